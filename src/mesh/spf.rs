//! Shortest paths from one node to all (Dijkstra), and the slots that lead along them.
//! Does not decide when to search. Read first: docs/protocol.md, "Paths".

use core::iter;

use heapless::Vec;

use super::graph::{self, Graph};
use super::queue::Queue;
use crate::limits::{NODES, ROUTE};
use crate::types::NodeId;

/// Slots from a node to another: the first is the link to take, the others stand in the frame.
pub type Route = Vec<u8, ROUTE>;

/// What a search leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Without {
    pub node: Option<NodeId>,
    /// Links of the root, one bit for each slot.
    pub slots: u64,
}

/// How a node is reached.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Sum of the keys; [`u64::MAX`]: not reached.
    length: u64,
    /// The node before it, and the link from there, as the graph counts them.
    via: u16,
    edge: u16,
    /// The root's slot on the way.
    first: u8,
}

const UNREACHED: Step = Step { length: u64::MAX, via: 0, edge: 0, first: 0 };

/// The shortest paths of one graph; of no use with another one.
pub struct Paths {
    root: usize,
    steps: Vec<Step, NODES>,
}

impl Paths {
    pub fn new() -> Box<Self> {
        Box::new(Self { root: 0, steps: Vec::new() })
    }

    /// Searches. A root that is not in the graph reaches nothing.
    pub fn search(&mut self, graph: &Graph, root: NodeId, without: Without, queue: &mut Queue) {
        self.steps.clear();
        queue.clear();
        let Some(root) = graph.index(root) else { return };
        // As many as the graph has: both have the same bound.
        let _ = self.steps.resize(graph.len(), UNREACHED);
        self.root = root;
        if let Some(step) = self.steps.get_mut(root) {
            step.length = 0;
        }
        queue.put(0, root as u16);
        let avoided = without.node.and_then(|node| graph.index(node));
        while let Some((length, node)) = queue.pop() {
            self.expand(graph, node, length, (avoided, without.slots), queue);
        }
    }

    fn expand(
        &mut self,
        graph: &Graph,
        node: u16,
        length: u64,
        (avoided, slots): (Option<usize>, u64),
        queue: &mut Queue,
    ) {
        let is_root = usize::from(node) == self.root;
        if !is_root && !graph.is_transit(node.into()) {
            return;
        }
        let first = self.steps.get(usize::from(node)).map_or(0, |step| step.first);
        for (place, edge) in graph.edges(node.into()) {
            if avoided == Some(edge.to.into()) || (is_root && slots & bit(edge.slot) != 0) {
                continue;
            }
            let Some(step) = self.steps.get_mut(usize::from(edge.to)) else { continue };
            let longer = length.saturating_add(edge.key);
            if longer < step.length {
                let first = if is_root { edge.slot } else { first };
                *step = Step { length: longer, via: node, edge: place as u16, first };
                queue.put(longer, edge.to);
            }
        }
    }

    /// Sum of the keys to the node of that index.
    pub fn length(&self, index: usize) -> Option<u64> {
        self.step(index).map(|step| step.length)
    }

    /// 0.1 ms.
    pub fn cost(&self, graph: &Graph, to: NodeId) -> Option<u32> {
        self.length(graph.index(to)?).map(graph::cost)
    }

    /// The root's slot on the way to the node of that index; `None` for the root itself.
    pub fn first_slot(&self, index: usize) -> Option<u8> {
        self.step(index).filter(|_| index != self.root).map(|step| step.first)
    }

    /// `None`: no way, or one of more than [`ROUTE`] links. Empty for the root itself.
    pub fn route(&self, graph: &Graph, to: NodeId) -> Option<Route> {
        let to = graph.index(to)?;
        self.step(to)?;
        let mut route = Route::new();
        for (_, step) in self.back(to) {
            route.push(graph.edge(usize::from(step.edge))?.slot).ok()?;
        }
        route.reverse();
        Some(route)
    }

    /// Does the way to the one node lead over the other, or end there?
    pub fn crosses(&self, graph: &Graph, to: NodeId, over: NodeId) -> bool {
        let (Some(to), Some(over)) = (graph.index(to), graph.index(over)) else { return false };
        self.step(to).is_some() && self.back(to).any(|(index, _)| index == over)
    }

    /// The nodes to which the way leads over that one as the last before them.
    pub fn behind<'a>(&'a self, graph: &'a Graph, node: NodeId) -> impl Iterator<Item = NodeId> + 'a {
        let at = graph.index(node).filter(|at| *at != self.root);
        let is_behind = move |index: &usize| {
            *index != self.root && self.step(*index).is_some_and(|step| Some(usize::from(step.via)) == at)
        };
        (0..self.steps.len()).filter(is_behind).filter_map(|index| graph.id(index))
    }

    fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index).filter(|step| step.length != u64::MAX)
    }

    /// From a node that is reached back to the root, which is left out.
    fn back(&self, from: usize) -> impl Iterator<Item = (usize, &Step)> {
        let place = move |index: usize| Some((index, self.step(index)?)).filter(|_| index != self.root);
        iter::successors(place(from), move |(_, step)| place(step.via.into()))
    }
}

/// The bit of a slot in a set of slots.
pub const fn bit(slot: u8) -> u64 {
    match 1_u64.checked_shl(slot as u32) {
        Some(bit) => bit,
        None => 0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::graph::tests::{announced, node};
    use super::super::graph::{Announced, Transit, key};
    use super::*;

    /// A graph as the naive model has it: what is announced, and who hands nothing on.
    pub struct Drawn {
        pub nodes: BTreeMap<NodeId, Transit>,
        pub announced: std::vec::Vec<Announced>,
    }

    /// Few costs, so that many paths are equally long; links that one end only announces; nodes that are no transit.
    pub fn draw(seed: u64, nodes: u16) -> Drawn {
        let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(1);
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let transit = |draw| if draw == 0 { Transit::No } else { Transit::Yes };
        let ids: std::vec::Vec<u16> = (1..=nodes).map(|n| n * 211 % 997 + 1).collect();
        let nodes = ids.iter().map(|id| (node(*id), transit(random(9)))).collect();
        let density = 1 + random(4);
        let mut announced = std::vec::Vec::new();
        for (a, b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b))) {
            if a < b && random(4) < density {
                let slot = |at, ids: &[u16]| ids.iter().position(|id| *id == at).unwrap_or(0) as u8;
                let ends = [(a, b, slot(b, &ids)), (b, a, slot(a, &ids))];
                for (from, to, slot) in ends.into_iter().take(if random(10) == 0 { 1 } else { 2 }) {
                    let cost = [10, 10, 20, 30][random(4) as usize];
                    announced.insert(
                        random(announced.len() as u64 + 1) as usize,
                        self::announced(from, to, slot, cost),
                    );
                }
            }
        }
        Drawn { nodes, announced }
    }

    impl Drawn {
        /// Of equal costs everywhere: as many equally long paths as can be.
        pub fn grid(width: u16, height: u16) -> Self {
            let id = |x: u16, y: u16| 1 + x + y * width;
            let mut announced = std::vec::Vec::new();
            for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
                if x + 1 < width {
                    announced.extend([
                        self::announced(id(x, y), id(x + 1, y), 0, 7),
                        self::announced(id(x + 1, y), id(x, y), 1, 7),
                    ]);
                }
                if y + 1 < height {
                    announced.extend([
                        self::announced(id(x, y), id(x, y + 1), 2, 7),
                        self::announced(id(x, y + 1), id(x, y), 3, 7),
                    ]);
                }
            }
            Self { nodes: (1..=width * height).map(|id| (node(id), Transit::Yes)).collect(), announced }
        }

        pub fn graph(&self) -> Box<Graph> {
            let mut graph = Graph::new();
            graph.build(
                self.nodes.iter().map(|(id, transit)| (*id, *transit)),
                self.announced.iter().copied(),
            );
            graph
        }

        /// Length of a link, if both ends announce it.
        fn link(&self, from: NodeId, to: NodeId) -> Option<u64> {
            let find = |from, to| self.announced.iter().find(|link| link.from == from && link.to == to);
            Some(key(find(from, to)?.cost.max(find(to, from)?.cost), from, to))
        }

        /// By relaxing everything until nothing changes (Bellman and Ford).
        pub fn lengths(&self, root: NodeId, without: Without) -> BTreeMap<NodeId, u64> {
            let allowed = |link: &&Announced| {
                let transit = link.from == root || self.nodes[&link.from] == Transit::Yes;
                let dead = link.from == root && without.slots & bit(link.slot) != 0;
                transit && !dead && without.node != Some(link.to) && self.link(link.from, link.to).is_some()
            };
            let mut lengths = BTreeMap::from([(root, 0)]);
            for _ in 0..self.nodes.len() {
                for link in self.announced.iter().filter(allowed) {
                    let Some(length) = lengths.get(&link.from) else { continue };
                    let length = length + self.link(link.from, link.to).expect("both ends");
                    let known = lengths.entry(link.to).or_insert(length);
                    *known = length.min(*known);
                }
            }
            lengths
        }

        pub fn reachable(&self, root: NodeId) -> BTreeSet<NodeId> {
            let graph = self.graph();
            let mut paths = Paths::new();
            paths.search(&graph, root, Without::default(), &mut Queue::new());
            graph.ids().filter(|id| paths.cost(&graph, *id).is_some()).collect()
        }

        /// The nodes along a route, as the announcements name them.
        pub fn walk(&self, root: NodeId, route: &[u8]) -> std::vec::Vec<NodeId> {
            let mut nodes = vec![root];
            for slot in route {
                let at = *nodes.last().expect("one at least");
                let link = self.announced.iter().find(|link| link.from == at && link.slot == *slot);
                nodes.push(link.expect("a slot that is announced").to);
            }
            nodes
        }
    }

    fn check(drawn: &Drawn, root: NodeId, without: Without) {
        let graph = drawn.graph();
        let mut paths = Paths::new();
        paths.search(&graph, root, without, &mut Queue::new());
        let model = drawn.lengths(root, without);
        for id in graph.ids() {
            let index = graph.index(id).expect("a node");
            assert_eq!(paths.length(index), model.get(&id).copied(), "{root} to {id}");
            let route = paths.route(&graph, id);
            assert_eq!(route.is_some(), model.contains_key(&id));
            let Some(route) = route else { continue };
            let nodes = drawn.walk(root, &route);
            assert_eq!(nodes.last(), Some(&id));
            assert!(without.node.is_none_or(|node| node == root || !nodes.contains(&node)));
            assert_eq!(paths.first_slot(index), route.first().copied());
            assert!(route.first().is_none_or(|slot| without.slots & bit(*slot) == 0));
            let crossed = graph.ids().filter(|over| paths.crosses(&graph, id, *over));
            assert_eq!(crossed.collect::<BTreeSet<_>>(), nodes[1..].iter().copied().collect());
            let length: u64 =
                nodes.windows(2).map(|ends| drawn.link(ends[0], ends[1]).expect("a link")).sum();
            assert_eq!(model[&id], length);
        }
    }

    #[test]
    fn paths_of_random_graphs_are_those_of_a_naive_search() {
        for seed in 0..200 {
            let drawn = draw(seed, 2 + seed as u16 % 15);
            let ids: std::vec::Vec<NodeId> = drawn.nodes.keys().copied().collect();
            let root = ids[seed as usize % ids.len()];
            let node = ids.get(seed as usize / 7 % 20).copied().filter(|node| *node != root);
            for without in
                [Without::default(), Without { node, slots: 0 }, Without { node, slots: seed * 37 }]
            {
                check(&drawn, root, without);
            }
        }
    }

    #[test]
    fn a_way_of_more_links_than_a_frame_can_name_is_none() {
        let line = Drawn::grid(ROUTE as u16 + 2, 1);
        let graph = line.graph();
        let mut paths = Paths::new();
        paths.search(&graph, node(1), Without::default(), &mut Queue::new());
        let length = |id| paths.route(&graph, node(id)).map(|route| route.len());
        assert_eq!((length(1), length(65), length(66)), (Some(0), Some(64), None));
        assert_eq!(paths.cost(&graph, node(66)), Some(65 * 7));
    }

    #[test]
    fn a_root_that_is_not_in_the_graph_reaches_nothing() {
        let graph = Drawn::grid(2, 2).graph();
        let mut paths = Paths::new();
        paths.search(&graph, node(9), Without::default(), &mut Queue::new());
        assert_eq!(paths.route(&graph, node(1)), None);
        assert!(!paths.crosses(&graph, node(1), node(2)));
    }
}
