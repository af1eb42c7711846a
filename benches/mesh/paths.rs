//! Paths, trees and repairs in meshes of sites that are linked to their nearest few.

use std::hint::black_box;
use std::time::Instant;

use quicap::mesh::graph::{Graph, Transit};
use quicap::mesh::repair::Repairs;
use quicap::mesh::trees::Trees;
use quicap::wire::announce::{FRAGMENT_LINKS, Link, Lsa};
use quicap::wire::list::List;

use crate::hub::{EPOCH, id, links};
use crate::topology::Topology;

/// A usual site: it searches from itself and its six neighbors.
const LINKS: usize = 6;

/// What a node knows when all have announced themselves.
struct Database {
    known: quicap::mesh::topology::Topology,
    graph: Box<Graph>,
    site: usize,
    /// Of that site.
    links: Vec<Link>,
    now: Instant,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark needs one instant to count from")]
fn start() -> Instant {
    Instant::now()
}

impl Database {
    fn new(sites: usize) -> Self {
        let (topology, now) = (Topology::geometric(sites, 1), start());
        let site = (0..sites).find(|site| topology.degree(*site) == LINKS).expect("a usual site");
        let mut known = quicap::mesh::topology::Topology::new(id(site), EPOCH);
        for from in 0..sites {
            known.store_node(now, id(from), (EPOCH, 1), Transit::Yes);
            let of_one = |a: &Link, b: &Link| a.slot / FRAGMENT_LINKS == b.slot / FRAGMENT_LINKS;
            for links in links(&topology, from).chunk_by(of_one) {
                store(&mut known, now, from, links);
            }
        }
        let mut graph = Graph::new();
        known.build(&mut graph);
        assert_eq!(graph.len(), sites);
        Self { known, graph, site, links: links(&topology, site), now }
    }
}

fn store(known: &mut quicap::mesh::topology::Topology, now: Instant, from: usize, links: &[Link]) {
    let mut rows = Vec::new();
    let lsa = Lsa {
        id: id(from),
        epoch: EPOCH,
        seq: 1,
        fragment: links[0].slot / FRAGMENT_LINKS,
        flags: 0,
        segment: 0,
        links: List::of(links, &mut rows),
        appendix: &[],
        signature: [0; 64],
    };
    known.store_lsa(now, &lsa);
}

/// The graph from all announcements.
pub fn graph(sites: usize, rounds: usize) {
    let mut database = Database::new(sites);
    (0..rounds).for_each(|_| database.known.build(black_box(&mut database.graph)));
}

/// Paths, and the node's place in all trees: a search from the site and one from each of its neighbors.
pub fn searches(sites: usize, rounds: usize) {
    let database = Database::new(sites);
    let mut trees = Trees::new(id(database.site));
    (0..rounds).for_each(|_| trees.build(black_box(&database.graph)));
    assert!(rounds == 0 || trees.route(&database.graph, id(sites - 1 - database.site)).is_some());
}

/// Ways round one dead link: two searches.
pub fn repairs(sites: usize, rounds: usize) {
    let database = Database::new(sites);
    let (mut repairs, mut trees) = (Repairs::new(id(database.site)), Trees::new(id(database.site)));
    trees.build(&database.graph);
    for _ in 0..rounds {
        let Link { slot, to, .. } = database.links[0];
        repairs.handle_dead(database.now, black_box(&database.graph), trees.paths(), slot, to);
    }
    assert_eq!(repairs.is_empty(), rounds == 0);
}
