//! What paths and trees should be: an own search over a graph, written from docs/protocol.md ("Paths") and from nothing else.
//! Knows no nodes. Read first: docs/protocol.md, "Paths" and "Trees".

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Links of sites; site n is node n + 1.
pub struct Truth {
    links: Vec<Vec<(usize, u64)>>,
}

/// Shortest paths from one site to all.
pub struct Tree {
    /// Sum of the lengths; `None`: not reached.
    length: Vec<Option<u64>>,
    /// The site before each on the way.
    pub before: Vec<Option<usize>>,
}

/// The modulus of all sums is 2^64.
fn tie(a: usize, b: usize) -> u64 {
    let (low, high) = (a.min(b) as u64 + 1, a.max(b) as u64 + 1);
    let x = (low << 16 | high).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) >> 30
}

impl Truth {
    /// Of links with their costs, 0.1 ms.
    pub fn new(sites: usize, links: impl Iterator<Item = ([usize; 2], u32)>) -> Self {
        let mut all = vec![Vec::new(); sites];
        for ([a, b], cost) in links {
            let length = (u64::from(cost) << 40) + tie(a, b);
            all[a].push((b, length));
            all[b].push((a, length));
        }
        Self { links: all }
    }

    pub fn tree(&self, root: usize) -> Tree {
        let sites = self.links.len();
        let mut tree = Tree { length: vec![None; sites], before: vec![None; sites] };
        let mut waiting = BinaryHeap::from([Reverse((0, root, None))]);
        while let Some(Reverse((length, site, before))) = waiting.pop() {
            if tree.length[site].is_some() {
                continue;
            }
            (tree.length[site], tree.before[site]) = (Some(length), before);
            for (to, more) in &self.links[site] {
                waiting.push(Reverse((length + more, *to, Some(site))));
            }
        }
        tree
    }
}

impl Tree {
    /// 0.1 ms.
    pub fn cost(&self, to: usize) -> Option<u32> {
        self.length[to].map(|length| (length >> 40) as u32)
    }

    /// The sites from the root to that one, both included.
    pub fn path(&self, to: usize) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(Some(to), |site| self.before[*site]).collect();
        path.reverse();
        path
    }

    /// The greatest cost of all.
    pub fn depth(&self) -> u32 {
        (0..self.length.len()).filter_map(|site| self.cost(site)).max().unwrap_or(0)
    }
}

#[test]
fn the_truth_about_five_sites_is_that_of_the_example() {
    let five = crate::topology::Topology::five();
    let truth = Truth::new(5, five.edges.iter().map(|edge| (edge.ends, edge.cost())));
    let tree = truth.tree(0);
    assert_eq!((tree.path(4), tree.cost(4), tree.depth()), (vec![0, 1, 3, 4], Some(320), 320));
    assert_eq!(tree.before, [None, Some(0), Some(0), Some(1), Some(3)]);
}
