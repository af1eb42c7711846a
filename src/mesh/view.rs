//! What status shows of the mesh: ways, places in the trees, the graph, how full the tables are. Decides nothing.
//! Read first: docs/status.md.

use super::fabric::Fabric;
use super::graph::{self, Edge};
use super::spf::bit;
use crate::limits::{NODES, SLOTS};
use crate::types::{NodeId, Table};

/// How frames of this node get to another one now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// The nodes on it in their order, without this one; the last is the end.
    pub path: Vec<NodeId>,
    /// Of all its links, 0.1 ms.
    pub cost: u32,
}

/// A link that both ends announce, the lower id first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joint {
    pub ends: (NodeId, NodeId),
    /// 0.1 ms.
    pub cost: u32,
}

impl Fabric {
    /// `None`: no frame gets there. As frames are sent: round dead links, and over a link that others do not know of yet.
    pub fn way(&self, to: NodeId) -> Option<Way> {
        let mut way = Way { path: Vec::new(), cost: 0 };
        let mut at = self.graph().index(self.me);
        for slot in self.present_route(to)? {
            let found = at.and_then(|at| self.graph().edges(at).find(|(_, edge)| edge.slot == slot));
            match found {
                Some((_, edge)) => {
                    at = Some(edge.to.into());
                    way.path.push(self.graph().id(edge.to.into())?);
                    way.cost += graph::cost(edge.key);
                }
                None => {
                    let own = self.neighbors().get(slot)?;
                    at = self.graph().index(own.id);
                    way.path.push(own.id);
                    way.cost += u32::from(own.cost.of_both());
                }
            }
        }
        Some(way)
    }

    /// The neighbor that hands the broadcasts of that node on to this one. `None`: it is out of reach, or this node.
    pub fn parent(&self, origin: NodeId) -> Option<NodeId> {
        self.on_slot(self.trees().branch(self.graph(), origin)?.parent?)
    }

    /// The neighbors that this node hands the broadcasts of that node on to.
    pub fn children(&self, origin: NodeId) -> impl Iterator<Item = NodeId> {
        let slots = self.trees().branch(self.graph(), origin).map_or(0, |branch| branch.children);
        let slots = (0..SLOTS as u8).filter(move |slot| slots & bit(*slot) != 0);
        slots.filter_map(|slot| self.on_slot(slot))
    }

    fn on_slot(&self, slot: u8) -> Option<NodeId> {
        let graph = self.graph();
        graph.id(graph.neighbor(graph.index(self.me)?, slot)?)
    }

    /// The graph, each link once, in the order of ids.
    pub fn joints(&self) -> impl Iterator<Item = Joint> {
        let graph = self.graph();
        let is_first = |at: usize, edge: &Edge| at < usize::from(edge.to);
        let edges = (0..graph.len()).flat_map(move |at| graph.edges(at).map(move |(_, edge)| (at, edge)));
        edges.filter(move |(at, edge)| is_first(*at, edge)).filter_map(move |(at, edge)| {
            let ends = (graph.id(at)?, graph.id(edge.to.into())?);
            Some(Joint { ends, cost: graph::cost(edge.key) })
        })
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> {
        let routes = &*self.routes;
        let routes =
            Table { name: "routes", used: routes.len(), capacity: NODES, bytes: size_of_val(routes) };
        let search = [self.graph.table(), self.trees.table(), routes, self.repairs.table()];
        let own = [self.neighbors.table(), self.flood.table()];
        self.topology.tables().chain(search).chain(own).chain(self.sync.tables())
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::node;
    use super::super::world::{SEED, World};
    use super::*;

    fn ids(nodes: impl IntoIterator<Item = NodeId>) -> Vec<u16> {
        nodes.into_iter().map(NodeId::value).collect()
    }

    fn way(world: &World, from: usize, to: u16) -> Option<(Vec<u16>, u32)> {
        world.fabric(from).way(node(to)).map(|way| (ids(way.path), way.cost))
    }

    #[test]
    fn ways_and_trees_are_those_that_frames_take() {
        let mut world = World::new(5, &SEED);
        assert_eq!(way(&world, 0, 5), None);
        world.run(2000);
        // Costs are round trips.
        assert_eq!(way(&world, 0, 5), Some((vec![2, 4, 5], 640)));
        assert_eq!(way(&world, 0, 9), None);
        let second = world.fabric(1);
        assert_eq!((second.parent(node(1)), second.parent(node(2))), (Some(node(1)), None));
        assert_eq!((ids(second.children(node(1))), ids(second.children(node(5)))), (vec![4], vec![1]));
        let joints: Vec<_> =
            second.joints().map(|joint| (ids(<[_; 2]>::from(joint.ends)), joint.cost)).collect();
        let expected = SEED.map(|(a, b, ms)| (vec![a as u16 + 1, b as u16 + 1], 20 * ms as u32));
        assert_eq!(joints, expected);
        world.cut(1, 3);
        world.suspect(1, 3);
        assert_eq!(way(&world, 1, 5), Some((vec![3, 5], 660)), "round the dead link at once");
        assert_eq!(way(&world, 0, 5), Some((vec![2, 4, 5], 640)), "nobody was told yet");
    }

    #[test]
    fn a_link_that_fails_often_is_told_of_later_unless_it_is_the_only_way() {
        let mut world = World::new(3, &[(0, 1, 10), (0, 2, 10), (1, 2, 10)]);
        world.run(1000);
        for round in 0..3 {
            world.unlink(0, 1);
            world.run(if round == 2 { 1000 } else { 100 });
            world.link(0, 1, std::time::Duration::from_millis(10));
            world.run(100);
        }
        assert_eq!(world.fabric(0).joints().count(), 2, "it fails too often");
        assert_eq!(way(&world, 0, 2), Some((vec![3, 2], 400)));
        world.unlink(0, 2);
        world.run(1500);
        assert_eq!(way(&world, 0, 2), Some((vec![2], 200)), "there is no other");
        assert_eq!(way(&world, 0, 3), Some((vec![2, 3], 400)));
    }

    #[test]
    fn each_table_says_what_it_holds_of_how_much() {
        let mut world = World::new(5, &SEED);
        world.run(2000);
        let tables: Vec<Table> = world.fabric(0).tables().collect();
        let used = |name: &str| tables.iter().find(|table| table.name == name).expect("a table").used;
        assert_eq!(
            ["nodes", "node_links", "fragments", "graph", "windows", "slots"].map(used),
            [5, 14, 5, 14, 5, 2]
        );
        for table in &tables {
            assert!(table.used <= table.capacity && table.bytes > 0, "{table:?}");
            assert_eq!(tables.iter().filter(|other| other.name == table.name).count(), 1);
        }
    }
}
