//! The place of this node in the tree of every origin: whom it hears an origin's broadcasts from, whom it hands them on to.
//! All nodes come to the same trees for the same graph, each by itself. Read first: docs/protocol.md, "Trees".

use heapless::Vec;

use super::graph::Graph;
use super::queue::Queue;
use super::spf::{Paths, Route, Without, bit};
use crate::limits::NODES;
use crate::types::{NodeId, Table};

/// The place of this node in the tree of one origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Branch {
    /// The slot of the parent; `None`: this node is the origin, or the origin is out of reach.
    pub parent: Option<u8>,
    /// Slots of the children, one bit each.
    pub children: u64,
}

/// Paths to all nodes and trees of all origins, for the graph of the last [`Trees::build`].
pub struct Trees {
    me: NodeId,
    mine: Box<Paths>,
    /// Scratch: as a neighbor sees it.
    far: Box<Paths>,
    queue: Box<Queue>,
    branches: Vec<Branch, NODES>,
}

impl Trees {
    pub fn new(me: NodeId) -> Self {
        let (mine, far, queue) = (Paths::new(), Paths::new(), Queue::new());
        Self { me, mine, far, queue, branches: Vec::new() }
    }

    /// Searches from this node and from each of its neighbors.
    pub fn build(&mut self, graph: &Graph) {
        self.mine.search(graph, self.me, Without::default(), &mut self.queue);
        self.branches.clear();
        let Some(me) = graph.index(self.me) else { return };
        let mine = &self.mine;
        self.branches.extend((0..graph.len()).map(|s| Branch { parent: mine.first_slot(s), children: 0 }));
        for (_, edge) in graph.edges(me) {
            let Some(neighbor) = graph.id(edge.to.into()) else { continue };
            self.far.search(graph, neighbor, Without::default(), &mut self.queue);
            for (origin, branch) in self.branches.iter_mut().enumerate() {
                let hands_on = origin == me || graph.is_transit(me);
                let (mine, far) = (self.mine.length(origin), self.far.length(origin));
                // The neighbor's shortest path to the origin leads over this node.
                if hands_on && far.is_some() && far == mine.and_then(|mine| mine.checked_add(edge.key)) {
                    branch.children |= bit(edge.slot);
                }
            }
        }
    }

    pub fn paths(&self) -> &Paths {
        &self.mine
    }

    pub fn table(&self) -> Table {
        let scratch = size_of_val(&*self.mine) + size_of_val(&*self.far) + size_of_val(&*self.queue);
        let bytes = size_of_val(self) + scratch;
        Table { name: "trees", used: self.branches.len(), capacity: NODES, bytes }
    }

    pub fn route(&self, graph: &Graph, to: NodeId) -> Option<Route> {
        self.mine.route(graph, to)
    }

    pub fn branch(&self, graph: &Graph, origin: NodeId) -> Option<Branch> {
        self.branches.get(graph.index(origin)?).copied()
    }

    /// Of all origins, those out of reach with an empty branch.
    pub fn branches(&self, graph: &Graph) -> impl Iterator<Item = (NodeId, Branch)> {
        graph.ids().zip(self.branches.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::graph::tests::{announced, graph, node};
    use super::super::graph::{Announced, Transit, cost, key};
    use super::super::spf::tests::{Drawn, draw};
    use super::*;

    /// The ids of the bits, as the node names its neighbors.
    fn children(graph: &Graph, of: NodeId, branch: Branch) -> Vec<NodeId, 64> {
        let index = graph.index(of).expect("a node");
        let slots = (0..64).filter(|slot| branch.children & bit(*slot) != 0);
        slots.map(|slot| graph.id(graph.neighbor(index, slot).expect("a link")).expect("a node")).collect()
    }

    /// Each node that an origin's broadcast reaches, and how many copies came to it.
    fn broadcast(graph: &Graph, all: &BTreeMap<NodeId, Trees>, origin: NodeId) -> BTreeMap<NodeId, usize> {
        let mut copies = BTreeMap::new();
        let mut waiting = vec![origin];
        while let Some(at) = waiting.pop() {
            let branch = all[&at].branch(graph, origin).expect("in the graph");
            for child in children(graph, at, branch) {
                *copies.entry(child).or_default() += 1;
                waiting.push(child);
                assert!(copies[&child] < 3, "a loop");
            }
        }
        copies
    }

    fn all_trees(graph: &Graph) -> BTreeMap<NodeId, Trees> {
        let trees = |id| {
            let mut trees = Trees::new(id);
            trees.build(graph);
            (id, trees)
        };
        graph.ids().map(trees).collect()
    }

    fn check(graph: &Graph, reachable: impl Fn(NodeId) -> BTreeSet<NodeId>) {
        let all = all_trees(graph);
        for origin in graph.ids() {
            let mut expected = reachable(origin);
            expected.remove(&origin);
            let copies = broadcast(graph, &all, origin);
            assert_eq!(copies.keys().copied().collect::<BTreeSet<_>>(), expected, "origin {origin}");
            assert!(copies.values().all(|n| *n == 1), "origin {origin}: {copies:?}");
            for (id, trees) in &all {
                let branch = trees.branch(graph, origin).expect("in the graph");
                let index = graph.index(*id).expect("a node");
                let parent = branch.parent.and_then(|slot| graph.id(graph.neighbor(index, slot)?));
                assert_eq!(parent.is_some(), expected.contains(id));
                let listed = parent.is_none_or(|parent| {
                    let of_parent = all[&parent].branch(graph, origin).expect("in the graph");
                    children(graph, parent, of_parent).contains(id)
                });
                assert!(listed, "origin {origin}: the parent of {id} does not know it");
            }
        }
    }

    #[test]
    fn the_trees_of_random_graphs_agree_at_all_nodes_and_reach_each_node_once() {
        for seed in 0..300 {
            let drawn = draw(seed, 2 + seed as u16 % 19);
            check(&drawn.graph(), |origin| drawn.reachable(origin));
        }
    }

    #[test]
    fn the_trees_of_a_large_graph_with_equal_costs_agree() {
        let drawn = Drawn::grid(12, 10);
        let graph = drawn.graph();
        assert_eq!(graph.len(), 120);
        check(&graph, |origin| drawn.reachable(origin));
    }

    /// Five sites: 1 and 2 next to each other, 5 behind 3 and 4.
    fn five() -> std::vec::Vec<Announced> {
        let links = [
            (1, 0, 2, 0, 100),
            (1, 1, 3, 1, 200),
            (2, 1, 3, 0, 150),
            (2, 2, 4, 0, 120),
            (3, 2, 4, 1, 180),
            (3, 3, 5, 0, 180),
            (4, 2, 5, 1, 100),
        ];
        let ends = |(a, slot, b, far, cost)| [announced(a, b, slot, cost), announced(b, a, far, 0)];
        links.into_iter().flat_map(ends).collect()
    }

    #[test]
    fn five_sites_have_the_trees_and_routes_of_the_protocols_example() {
        let graph = graph(&[1, 2, 3, 4, 5], &five());
        let all = all_trees(&graph);
        let children: std::vec::Vec<u64> =
            all.values().map(|trees| trees.branch(&graph, node(1)).expect("known").children).collect();
        assert_eq!(children, [0b11, 0b100, 0, 0b100, 0]);
        let route = all[&node(1)].route(&graph, node(5)).expect("a way");
        assert_eq!(route.as_slice(), [0, 2, 2]);
        assert_eq!(all[&node(1)].paths().cost(&graph, node(5)), Some(320));
        assert_eq!(cost(key(320, node(1), node(5))), 320);
        assert_eq!(all[&node(1)].branch(&graph, node(9)), None);
    }

    #[test]
    fn a_node_that_hands_nothing_on_is_a_leaf_and_still_an_origin() {
        let mut graph = Graph::new();
        let transit = |id| if id == 2 { Transit::No } else { Transit::Yes };
        let line =
            [announced(1, 2, 0, 9), announced(2, 1, 0, 9), announced(2, 3, 1, 9), announced(3, 2, 0, 9)];
        graph.build((1..=3).map(|id| (node(id), transit(id))), line.into_iter());
        let all = all_trees(&graph);
        let branch = |at, origin| all[&node(at)].branch(&graph, node(origin)).expect("known");
        assert_eq!(branch(2, 2), Branch { parent: None, children: 0b11 });
        assert_eq!(branch(2, 1), Branch { parent: Some(0), children: 0 });
        assert_eq!(branch(3, 1), Branch::default());
        assert_eq!(all[&node(1)].route(&graph, node(3)), None);
    }
}
