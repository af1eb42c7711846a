//! Who is linked to whom, as all nodes agree on it: bounded, sorted, the same for the same announcements in any order.
//! Does not keep announcements and searches nothing. Read first: docs/protocol.md, "Paths".

use core::ops::Range;

use heapless::Vec;

use crate::limits::{NODE_LINKS, NODES, SLOTS};
use crate::types::{NodeId, Table};

/// Costs that make a link, 0.1 ms. 0 stands for no opinion and what is above for a link that is not to be used.
pub const COST_MAX: u16 = 65_534;

/// Bits below the cost in a key: room for the sum of the ties.
const COST_SHIFT: u32 = 40;

/// May others' frames cross the node?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transit {
    Yes,
    No,
}

/// One link as one of its ends announces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    pub from: NodeId,
    pub to: NodeId,
    /// The number that `from` gave the link, below [`SLOTS`].
    pub slot: u8,
    /// 0.1 ms.
    pub cost: u16,
}

/// A link out of one node. Nodes are named by their place in the order of ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    pub to: u16,
    pub slot: u8,
    /// What the link adds to the length of a path.
    pub key: u64,
}

#[derive(Clone, Copy, Debug)]
struct Vertex {
    id: NodeId,
    transit: Transit,
    /// Its links, among all.
    first: u16,
    end: u16,
}

#[derive(Clone, Copy, Debug)]
struct Arc {
    to: u16,
    cost: u16,
    slot: u8,
}

/// At most [`NODES`] nodes and [`NODE_LINKS`] links, each counted at both ends. Full: what comes last is left out; the
/// database has the same bounds, so that does not happen.
pub struct Graph {
    vertices: Vec<Vertex, NODES>,
    arcs: Vec<Arc, NODE_LINKS>,
    /// Of the arcs; while building, what is announced.
    keys: Vec<u64, NODE_LINKS>,
}

impl Graph {
    pub fn new() -> Box<Self> {
        Box::new(Self { vertices: Vec::new(), arcs: Vec::new(), keys: Vec::new() })
    }

    /// Makes it anew: of nodes that are named once each, and of links that both ends announce.
    pub fn build(
        &mut self,
        nodes: impl Iterator<Item = (NodeId, Transit)>,
        announced: impl Iterator<Item = Announced>,
    ) {
        self.vertices.clear();
        for (id, transit) in nodes.take(NODES) {
            let _ = self.vertices.push(Vertex { id, transit, first: 0, end: 0 });
        }
        self.vertices.sort_unstable_by_key(|vertex| vertex.id);
        self.keys.clear();
        for link in announced {
            if let Some(packed) = self.pack(&link) {
                let _ = self.keys.push(packed);
            }
        }
        self.keys.sort_unstable();
        self.join_ends();
        self.write_keys();
    }

    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    pub fn index(&self, id: NodeId) -> Option<usize> {
        self.vertices.binary_search_by_key(&id, |vertex| vertex.id).ok()
    }

    pub fn id(&self, index: usize) -> Option<NodeId> {
        self.vertices.get(index).map(|vertex| vertex.id)
    }

    /// In the order of ids.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.vertices.iter().map(|vertex| vertex.id)
    }

    pub fn is_transit(&self, index: usize) -> bool {
        self.vertices.get(index).is_some_and(|vertex| vertex.transit == Transit::Yes)
    }

    /// The links of a node, each with its place among all.
    pub fn edges(&self, index: usize) -> impl Iterator<Item = (usize, Edge)> {
        let range = self.range(index);
        range.clone().zip(self.edge_slice(range))
    }

    pub fn edge(&self, place: usize) -> Option<Edge> {
        let (arc, key) = (self.arcs.get(place)?, self.keys.get(place)?);
        Some(Edge { to: arc.to, slot: arc.slot, key: *key })
    }

    /// The neighbor of a node on that slot.
    pub fn neighbor(&self, index: usize, slot: u8) -> Option<usize> {
        self.edges(index).find(|(_, edge)| edge.slot == slot).map(|(_, edge)| usize::from(edge.to))
    }

    pub fn table(&self) -> Table {
        Table { name: "graph", used: self.arcs.len(), capacity: NODE_LINKS, bytes: size_of_val(self) }
    }

    fn edge_slice(&self, range: Range<usize>) -> impl Iterator<Item = Edge> {
        let arcs = self.arcs.get(range.clone()).unwrap_or_default();
        let keys = self.keys.get(range).unwrap_or_default();
        arcs.iter().zip(keys).map(|(arc, key)| Edge { to: arc.to, slot: arc.slot, key: *key })
    }

    fn range(&self, index: usize) -> Range<usize> {
        self.vertices.get(index).map_or(0..0, |vertex| usize::from(vertex.first)..usize::from(vertex.end))
    }

    /// One number for each: from, to, slot, cost. `None`: it can be no link.
    fn pack(&self, link: &Announced) -> Option<u64> {
        if link.from == link.to || usize::from(link.slot) >= SLOTS {
            return None;
        }
        let (from, to) = (self.index(link.from)?, self.index(link.to)?);
        Some(pair(from, to) | u64::from(link.slot) << 16 | u64::from(link.cost))
    }

    /// Keeps the links that both ends announce, at the greater cost of the two.
    fn join_ends(&mut self) {
        self.arcs.clear();
        let mut previous = None;
        for packed in &self.keys {
            let (from, to) = ((packed >> 40) as u16, (packed >> 24) as u16);
            // Announced twice, on two slots: the lower one counts.
            if previous.replace((from, to)) == Some((from, to)) {
                continue;
            }
            let Some(back) = self.announced(usize::from(to), usize::from(from)) else { continue };
            let cost = (*packed as u16).max(back as u16);
            let arc = Arc { to, cost, slot: (packed >> 16) as u8 };
            let place = self.arcs.len() as u16;
            let Some(vertex) = self.vertices.get_mut(usize::from(from)) else { continue };
            if (1..=COST_MAX).contains(&cost) && self.arcs.push(arc).is_ok() {
                if vertex.end == 0 {
                    vertex.first = place;
                }
                vertex.end = place + 1;
            }
        }
    }

    /// What is announced from the one node to the other, the lowest slot first.
    fn announced(&self, from: usize, to: usize) -> Option<u64> {
        let wanted = pair(from, to);
        let place = self.keys.partition_point(|packed| *packed < wanted);
        self.keys.get(place).copied().filter(|packed| packed >> 24 == wanted >> 24)
    }

    fn write_keys(&mut self) {
        self.keys.clear();
        for vertex in &self.vertices {
            let range = usize::from(vertex.first)..usize::from(vertex.end);
            for arc in self.arcs.get(range).unwrap_or_default() {
                let to = self.vertices.get(usize::from(arc.to)).map_or(vertex.id, |far| far.id);
                let _ = self.keys.push(key(arc.cost, vertex.id, to));
            }
        }
    }
}

const fn pair(from: usize, to: usize) -> u64 {
    (from as u64) << 40 | (to as u64) << 24
}

/// What a link adds to the length of a path: the cost, and below it a number that makes sums over different paths of one
/// cost differ. It must not be linear in the ids, or the sums of equally long paths coincide.
pub fn key(cost: u16, a: NodeId, b: NodeId) -> u64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    (u64::from(cost) << COST_SHIFT) + (mix(u64::from(low.value()) << 16 | u64::from(high.value())) >> 30)
}

/// Cost of a whole path, 0.1 ms.
pub const fn cost(length: u64) -> u32 {
    (length >> COST_SHIFT) as u32
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    pub fn announced(from: u16, to: u16, slot: u8, cost: u16) -> Announced {
        Announced { from: node(from), to: node(to), slot, cost }
    }

    pub fn graph(nodes: &[u16], links: &[Announced]) -> Box<Graph> {
        let mut graph = Graph::new();
        graph.build(nodes.iter().map(|id| (node(*id), Transit::Yes)), links.iter().copied());
        graph
    }

    /// Each edge as ids, slot and cost.
    fn edges(graph: &Graph) -> std::vec::Vec<(u16, u16, u8, u32)> {
        let id = |index: usize| graph.id(index).expect("a node").value();
        let of = |index: usize| graph.edges(index).map(move |(_, edge)| (index, edge));
        let all = (0..graph.len()).flat_map(of);
        all.map(|(from, edge)| (id(from), id(edge.to.into()), edge.slot, cost(edge.key))).collect()
    }

    #[test]
    fn a_link_is_one_that_both_ends_announce_at_the_greater_cost() {
        type Case<'a> = (&'a [Announced], &'a [(u16, u16, u8, u32)]);
        let cases: [Case; 9] = [
            (&[announced(1, 2, 0, 9)], &[]),
            (&[announced(1, 2, 0, 9), announced(2, 1, 5, 0)], &[(1, 2, 0, 9), (2, 1, 5, 9)]),
            (&[announced(1, 2, 0, 9), announced(2, 1, 5, 12)], &[(1, 2, 0, 12), (2, 1, 5, 12)]),
            (&[announced(1, 2, 0, 0), announced(2, 1, 5, 0)], &[]),
            (&[announced(1, 2, 0, 9), announced(2, 1, 5, 65_535)], &[]),
            (&[announced(1, 2, 0, 65_534), announced(2, 1, 5, 1)], &[(1, 2, 0, 65_534), (2, 1, 5, 65_534)]),
            (&[announced(1, 1, 0, 9)], &[]),
            (&[announced(1, 9, 0, 9), announced(9, 1, 0, 9)], &[]),
            (&[announced(1, 2, 64, 9), announced(2, 1, 5, 9)], &[]),
        ];
        for (links, expected) in cases {
            assert_eq!(edges(&graph(&[2, 1], links)), expected, "{links:?}");
        }
    }

    #[test]
    fn of_a_link_that_is_announced_twice_the_lower_slot_counts_in_any_order() {
        let links = [announced(1, 2, 7, 3), announced(1, 2, 4, 9), announced(2, 1, 0, 1)];
        let expected = [(1, 2, 4, 9), (2, 1, 0, 9)];
        assert_eq!(edges(&graph(&[1, 2], &links)), expected);
        assert_eq!(edges(&graph(&[2, 1], &[links[2], links[1], links[0]])), expected);
    }

    #[test]
    fn keys_are_what_the_protocol_says() {
        // Values of SplitMix64's reference implementation for the seeds 0 and 1.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(1), 0x910A_2DEC_8902_5CC1);
        let expected = (50 << 40) + (mix(0x0002_0300) >> 30);
        assert_eq!(key(50, node(2), node(0x300)), expected);
        assert_eq!(key(50, node(0x300), node(2)), expected);
    }

    #[test]
    fn a_full_graph_keeps_its_bounds() {
        let ids = 1..=NODES as u16 + 9;
        let links = ids.clone().flat_map(|a| {
            (1..=16).flat_map(move |b| [announced(a, b, b as u8, 1), announced(b, a, 17 + (a % 40) as u8, 1)])
        });
        let mut graph = Graph::new();
        graph.build(ids.map(|id| (node(id), Transit::Yes)), links);
        assert_eq!(graph.len(), NODES);
        assert!((0..NODES).map(|index| graph.edges(index).count()).sum::<usize>() <= NODE_LINKS);
        graph.build([(node(1), Transit::Yes)].into_iter(), [].into_iter());
        assert_eq!((graph.len(), graph.edges(0).count()), (1, 0));
    }
}
