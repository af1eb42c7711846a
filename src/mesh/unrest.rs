//! Meshes that do not come to rest: how often a node searches paths in them, and how much it judges at a time.

use std::time::Duration;

use super::graph::tests::node;
use super::world::{World, signature};
use crate::wire::announce::{FRAGMENT_LINKS, HASH, Link, Lsa, Node};
use crate::wire::control::Message;
use crate::wire::list::List;

/// The first of the nodes that are only spoken of.
const FIRST: u16 = 100;

fn told_node(id: u16) -> Vec<u8> {
    let (mut endpoints, mut prefixes, mut bytes) = Default::default();
    let node = Node {
        id: node(id),
        epoch: 1000,
        seq: 1,
        endpoints: List::of(&[], &mut endpoints),
        prefixes: List::of(&[], &mut prefixes),
        crl: 0,
        certificate: &[0; HASH],
        appendix: &[],
        signature: [0; 64],
    };
    Message::Node(node).emit(&mut bytes);
    bytes
}

fn told_links(id: u16, seq: u32, fragment: u8) -> Vec<u8> {
    let (mut rows, mut body, mut bytes) = Default::default();
    let link = Link { to: node(FIRST), slot: fragment * FRAGMENT_LINKS, cost: 100 };
    let mut lsa = Lsa {
        id: node(id),
        epoch: 1000,
        seq,
        fragment,
        flags: 0,
        segment: 0,
        links: List::of(&[link], &mut rows),
        appendix: &[],
        signature: [0; 64],
    };
    lsa.write_signed(&mut body);
    lsa.signature = signature(node(id), Lsa::KIND, &body);
    Message::Lsa(lsa).emit(&mut bytes);
    bytes
}

/// Three sites in a triangle, the first of which has been told of others, so many in all.
fn told_of(nodes: u16) -> World {
    let mut world = World::new(3, &[(0, 1, 10), (0, 2, 10), (1, 2, 10)]);
    world.run(2000);
    (FIRST..FIRST + nodes - 3).for_each(|id| world.hear(0, 1, &told_node(id)));
    world.run(2000);
    assert_eq!(world.fabric(0).topology().len(), usize::from(nodes));
    world
}

/// A newer LSA of one of them in each 10 ms.
fn disturb(world: &mut World, nodes: u16, ms: u64, seq: u32) {
    for n in 0..ms / 10 {
        let (round, place) = (n / u64::from(nodes - 3), n % u64::from(nodes - 3));
        world.hear(0, 1, &told_links(FIRST + place as u16, seq + round as u32, 0));
        world.run(10);
    }
}

#[test]
fn paths_are_searched_less_often_in_large_meshes() {
    for (nodes, expected) in [(50, 15..=21), (250, 4..=6)] {
        let mut world = told_of(nodes);
        disturb(&mut world, nodes, 500, 1);
        let before = world.fabric(0).counters().searches;
        disturb(&mut world, nodes, 1000, 100);
        let searches = world.fabric(0).counters().searches - before;
        assert!(expected.contains(&searches), "{searches} searches in a second among {nodes} nodes");
    }
}

#[test]
fn a_link_of_our_own_that_fails_is_out_of_the_paths_at_once() {
    let mut world = told_of(250);
    disturb(&mut world, 250, 1000, 1);
    assert_eq!(world.fabric(0).joints().count(), 3);
    world.unlink(0, 2);
    world.run(10);
    assert_eq!(world.fabric(0).joints().count(), 2);
}

#[test]
fn what_waited_for_its_node_is_judged_one_at_a_time() {
    let mut world = told_of(4);
    let before = world.fabric(0).counters().verified;
    let verified = |world: &World| world.fabric(0).counters().verified - before;
    (0..3).for_each(|fragment| world.hear(0, 1, &told_links(200, 1, fragment)));
    assert_eq!(verified(&world), 0, "its key is not known");
    world.hear(0, 1, &told_node(200));
    assert_eq!(verified(&world), 2 + 1, "the NODE counts for two");
    world.run(1);
    assert_eq!(verified(&world), 2 + 3);
    assert_eq!((world.fabric(0).topology().len(), world.fabric(0).counters().dropped), (5, 0));
}

#[test]
fn who_begins_again_and_again_in_a_large_mesh_knows_all_of_it_within_seconds() {
    let (sites, leaf) = (200, 199);
    let wires: Vec<_> = (1..sites).map(|site| ((site - 1) / 8, site, 5)).collect();
    let mut world = World::new(sites, &wires);
    world.run(5000);
    assert_eq!(world.fabric(leaf).topology().len(), sites);
    for run in 1..=3 {
        world.unlink((leaf - 1) / 8, leaf);
        world.run(1000);
        world.start(leaf, 1000 + 10 * run, run as u8);
        world.link((leaf - 1) / 8, leaf, Duration::from_millis(5));
        world.run(1000);
    }
    world.run(9000);
    assert_eq!(world.fabric(leaf).topology().len(), sites);
}
