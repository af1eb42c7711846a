//! Ways round links that just died, until all nodes know: for each such link one that avoids the node at its far end, and
//! one that avoids only the link; and who hears broadcasts from that node. Does not tell others. Read first: docs/protocol.md, "Repair".

use std::time::Instant;

use heapless::Vec;

use super::graph::Graph;
use super::queue::Queue;
use super::spf::{Paths, Route, Without, bit};
use crate::limits::{REPAIR_FOR, REPAIRS, SLOTS};
use crate::types::{NodeId, Table};

struct Repair {
    slot: u8,
    far: NodeId,
    /// Kept until then, and while the graph still has the link.
    until: Instant,
    is_announced: bool,
    /// Nodes that the shortest way from here reaches straight from the far node. In the tree of an origin only these can have a
    /// broadcast from it that it has over the link: a part of a shortest path is one.
    behind: Vec<NodeId, SLOTS>,
    without_node: Box<Paths>,
    without_link: Box<Paths>,
}

impl Repair {
    fn search(&mut self, graph: &Graph, me: NodeId, slots: u64, queue: &mut Queue) {
        self.without_node.search(graph, me, Without { node: Some(self.far), slots }, queue);
        self.without_link.search(graph, me, Without { node: None, slots }, queue);
        let links = graph.index(me).into_iter().flat_map(|me| graph.edges(me));
        let ends = links.map(|(_, edge)| (edge.slot, graph.id(edge.to.into())));
        self.is_announced = ends.into_iter().any(|end| end == (self.slot, Some(self.far)));
    }

    /// As long as the link is announced; then the last ones stay, since others may still have the trees with it.
    fn look_behind(&mut self, graph: &Graph, shortest: &Paths) {
        let far = graph.index(self.far).and_then(|far| shortest.first_slot(far));
        if self.is_announced && far == Some(self.slot) {
            self.behind = shortest.behind(graph, self.far).take(SLOTS).collect();
        }
    }

    fn route(&self, graph: &Graph, to: NodeId) -> Option<Route> {
        // The far node may be dead: it is avoided where that can be, unless it is the end itself.
        let round = self.without_node.route(graph, to);
        round.or_else(|| self.without_link.route(graph, to))
    }
}

/// At most [`REPAIRS`] dead links of this node. Full: the oldest goes.
pub struct Repairs {
    me: NodeId,
    queue: Box<Queue>,
    entries: Vec<Repair, REPAIRS>,
}

impl Repairs {
    pub fn new(me: NodeId) -> Self {
        Self { me, queue: Queue::new(), entries: Vec::new() }
    }

    /// The link of that slot, to that node, is suspect or down.
    pub fn handle_dead(&mut self, now: Instant, graph: &Graph, shortest: &Paths, slot: u8, far: NodeId) {
        self.entries.retain(|entry| entry.slot != slot);
        if self.entries.is_full() {
            self.entries.remove(0);
        }
        let (without_node, without_link) = (Paths::new(), Paths::new());
        let until = now + REPAIR_FOR;
        let (is_announced, behind) = (true, Vec::new());
        let _ =
            self.entries.push(Repair { slot, far, until, is_announced, behind, without_node, without_link });
        self.handle_graph(now, graph, shortest);
    }

    /// The link carries again, or the slot has none any more.
    pub fn handle_alive(&mut self, now: Instant, graph: &Graph, shortest: &Paths, slot: u8) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.slot != slot);
        if self.entries.len() != before {
            self.handle_graph(now, graph, shortest);
        }
    }

    /// The graph has changed: what was found in the old one is worth nothing in this one.
    pub fn handle_graph(&mut self, now: Instant, graph: &Graph, shortest: &Paths) {
        let dead = self.dead();
        for entry in &mut self.entries {
            let was_announced = entry.is_announced;
            entry.search(graph, self.me, dead, &mut self.queue);
            entry.look_behind(graph, shortest);
            if was_announced {
                entry.until = now + REPAIR_FOR;
            }
        }
    }

    /// When [`Repairs::handle_timeout`] is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.entries.iter().filter(|entry| !entry.is_announced).map(|entry| entry.until).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.entries.retain(|entry| entry.is_announced || now < entry.until);
    }

    pub fn table(&self) -> Table {
        let used = self.entries.len();
        let bytes = size_of_val(self) + size_of_val(&*self.queue) + used * 2 * size_of::<Paths>();
        Table { name: "repairs", used, capacity: REPAIRS, bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Slots of the dead links, one bit each.
    pub fn dead(&self) -> u64 {
        self.entries.iter().fold(0, |slots, entry| slots | bit(entry.slot))
    }

    /// The way to `to` for a frame whose next link, on that slot, is dead. Its first slot is alive.
    pub fn route(&self, graph: &Graph, slot: u8, to: NodeId) -> Option<Route> {
        self.entries.iter().find(|entry| entry.slot == slot)?.route(graph, to)
    }

    /// Ways to those who hear broadcasts from the far end of the dead link on that slot, in case it is dead too.
    pub fn routes_behind(&self, graph: &Graph, slot: u8) -> impl Iterator<Item = Route> {
        let entry = self.entries.iter().find(|entry| entry.slot == slot);
        entry.into_iter().flat_map(move |entry| {
            entry.behind.iter().filter_map(move |to| entry.without_node.route(graph, *to))
        })
    }

    /// The way to `to` for this node's own frames: the shortest, unless that crosses the far end of a dead link.
    pub fn launch(&self, graph: &Graph, shortest: &Paths, to: NodeId) -> Option<Route> {
        let index = graph.index(to)?;
        let crossed = self.entries.iter().find(|entry| {
            let starts = shortest.first_slot(index) == Some(entry.slot);
            starts || (entry.far != to && shortest.crosses(graph, to, entry.far))
        });
        match crossed {
            Some(entry) => entry.route(graph, to),
            None => shortest.route(graph, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::graph::tests::node;
    use super::super::spf::tests::{Drawn, draw};
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    /// The links of a node: slot and far end.
    fn links(graph: &Graph, me: NodeId) -> std::vec::Vec<(u8, NodeId)> {
        let edges = graph.edges(graph.index(me).expect("a node"));
        edges.map(|(_, edge)| (edge.slot, graph.id(edge.to.into()).expect("a node"))).collect()
    }

    fn shortest(graph: &Graph, me: NodeId) -> Box<Paths> {
        let mut paths = Paths::new();
        paths.search(graph, me, Without::default(), &mut Queue::new());
        paths
    }

    /// With these links of `me` dead, a frame goes round each of them wherever the graph lets it.
    fn check(drawn: &Drawn, me: NodeId, dead: &[(u8, NodeId)]) {
        let (t, graph) = (start(), drawn.graph());
        let shortest = shortest(&graph, me);
        let mut repairs = Repairs::new(me);
        dead.iter().for_each(|(slot, far)| repairs.handle_dead(t, &graph, &shortest, *slot, *far));
        let slots = repairs.dead();
        assert_eq!(slots.count_ones() as usize, dead.len());
        for (slot, far) in dead {
            let without_node = drawn.lengths(me, Without { node: Some(*far), slots });
            let without_link = drawn.lengths(me, Without { node: None, slots });
            for to in graph.ids().filter(|to| *to != me) {
                let route = repairs.route(&graph, *slot, to);
                assert_eq!(route.is_some(), without_link.contains_key(&to), "{me} to {to} without {far}");
                let launched = repairs.launch(&graph, &shortest, to);
                assert_eq!(launched.is_some(), without_link.contains_key(&to));
                for route in route.iter().chain(&launched) {
                    assert_eq!(drawn.walk(me, route).last(), Some(&to));
                    assert_eq!(slots & bit(route[0]), 0);
                }
                let avoids = |route: &Route| !drawn.walk(me, route).contains(far);
                assert!(!without_node.contains_key(&to) || route.as_ref().is_some_and(avoids));
                assert!(
                    dead.len() > 1
                        || !without_node.contains_key(&to)
                        || launched.as_ref().is_some_and(avoids)
                );
            }
        }
    }

    #[test]
    fn every_node_that_a_random_graph_still_connects_is_reached_at_once() {
        for seed in 0..25 {
            let drawn = draw(seed, 3 + seed as u16 % 10);
            let graph = drawn.graph();
            for me in graph.ids() {
                let links = links(&graph, me);
                links.iter().for_each(|link| check(&drawn, me, &[*link]));
                links.windows(2).for_each(|pair| check(&drawn, me, pair));
            }
        }
    }

    #[test]
    fn a_repair_lives_while_the_link_is_announced_and_a_second_longer() {
        let (t, drawn) = (start(), Drawn::grid(2, 2));
        let graph = drawn.graph();
        let mut repairs = Repairs::new(node(1));
        repairs.handle_dead(t, &graph, &shortest(&graph, node(1)), 0, node(2));
        assert_eq!(repairs.next_timeout(), None);
        repairs.handle_timeout(t + Duration::from_secs(60));
        assert_eq!(repairs.dead(), 1);
        let rest = Drawn {
            announced: drawn.announced.iter().copied().filter(|l| l.from != node(1) || l.slot != 0).collect(),
            ..drawn
        };
        let (later, graph) = (t + Duration::from_secs(61), rest.graph());
        let shortest = shortest(&graph, node(1));
        repairs.handle_graph(later, &graph, &shortest);
        // To what lay behind the far node, frames still go round it: it may be dead itself.
        assert_eq!(repairs.launch(&graph, &shortest, node(4)).expect("a way").as_slice(), [2, 0]);
        repairs.handle_graph(later + Duration::from_millis(500), &graph, &shortest);
        assert_eq!(repairs.next_timeout(), Some(later + REPAIR_FOR));
        repairs.handle_timeout(later + REPAIR_FOR);
        assert_eq!((repairs.dead(), repairs.next_timeout()), (0, None));
    }

    #[test]
    fn those_who_hear_broadcasts_from_the_far_node_are_reached_without_it() {
        let (t, graph) = (start(), Drawn::grid(3, 3).graph());
        let shortest = shortest(&graph, node(1));
        for (slot, far) in links(&graph, node(1)) {
            let mut repairs = Repairs::new(node(1));
            repairs.handle_dead(t, &graph, &shortest, slot, far);
            let behind: Vec<NodeId, SLOTS> = shortest.behind(&graph, far).collect();
            assert!(!behind.is_empty() && repairs.routes_behind(&graph, slot).count() == behind.len());
            for (route, to) in repairs.routes_behind(&graph, slot).zip(behind) {
                let path = Drawn::grid(3, 3).walk(node(1), &route);
                assert!(path.last() == Some(&to) && !path.contains(&far), "{to}: {path:?}");
            }
            repairs.handle_alive(t, &graph, &shortest, slot);
            assert_eq!(repairs.routes_behind(&graph, slot).count(), 0);
        }
    }

    #[test]
    fn a_link_that_carries_again_is_used_again() {
        let (t, graph) = (start(), Drawn::grid(2, 2).graph());
        let mut repairs = Repairs::new(node(1));
        let shortest = shortest(&graph, node(1));
        repairs.handle_dead(t, &graph, &shortest, 0, node(2));
        let launch = |repairs: &Repairs| repairs.launch(&graph, &shortest, node(2)).expect("a way");
        assert_eq!(launch(&repairs).as_slice(), [2, 0, 3]);
        repairs.handle_alive(t, &graph, &shortest, 0);
        assert_eq!(launch(&repairs).as_slice(), [0]);
        assert_eq!(repairs.route(&graph, 0, node(2)), None);
    }

    #[test]
    fn of_too_many_dead_links_the_oldest_is_given_up() {
        let (t, graph) = (start(), Drawn::grid(3, 3).graph());
        let mut repairs = Repairs::new(node(5));
        for slot in 0..=REPAIRS as u8 {
            repairs.handle_dead(t, &graph, &shortest(&graph, node(5)), slot, node(1));
        }
        assert_eq!(repairs.dead(), 0b11110);
    }
}
