//! A neighbor that lies, repeats itself and asks without end: what it costs one node, and that it hurts nobody else.
//! The same with whole nodes: tests/sim/malice.

use super::graph::tests::node;
use super::world::{SEED, World, signature};
use crate::types::DropReason;
use crate::wire::announce::{Link, Lsa};
use crate::wire::control::{Foreign, Message};
use crate::wire::database::{Known, WANTS_LINKS, WANTS_NODE, Wanted};
use crate::wire::list::List;
use crate::wire::overlay::{BCAST, Routed, tunnel_header};

/// The attacker is site 2, a neighbor of all others.
const LIAR: usize = 2;

fn seed() -> World {
    let mut world = World::new(5, &SEED);
    world.run(2000);
    world
}

fn emit(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    bytes
}

/// An LSA in the name of that node with these links, signed by that one.
fn lsa(id: u16, seq: u32, to: &[u16], signer: u16) -> Vec<u8> {
    let (mut buffer, mut body) = Default::default();
    let links: Vec<_> = (0..).zip(to).map(|(slot, to)| Link { to: node(*to), slot, cost: 1 }).collect();
    let mut lsa = Lsa {
        id: node(id),
        epoch: 1000,
        seq,
        fragment: 0,
        flags: 0,
        segment: 0,
        links: List::of(&links, &mut buffer),
        appendix: &[],
        signature: [0; 64],
    };
    lsa.write_signed(&mut body);
    lsa.signature = signature(node(signer), Lsa::KIND, &body);
    emit(&Message::Lsa(lsa))
}

/// Something of a later version, of this length, well signed.
fn foreign(id: u16, kind: u8, seq: u32, length: usize) -> Vec<u8> {
    let mut body = [&id.to_be_bytes()[..], &[0, 0, 3, 232], &seq.to_be_bytes()].concat();
    body.resize(length, 7);
    let signature = signature(node(id), kind, &body);
    body.extend(signature);
    emit(&Message::Foreign(Foreign { kind, id: node(id), epoch: 1000, seq, body: &body, signature }))
}

#[test]
fn forged_announcements_cost_a_bounded_number_of_checks_and_keep_nobody_from_speaking() {
    let mut world = seed();
    let before = world.fabric(1).counters();
    for n in 0..2000 {
        world.hear(1, LIAR, &lsa(4, 1000 + n, &[3], 3));
        world.run(5);
    }
    let after = world.fabric(1).counters();
    let (verified, forged) = (after.verified - before.verified, after.forged - before.forged);
    assert!((100..=200).contains(&forged) && verified < 220, "{forged} forged, {verified} checked in 10 s");
    assert!(after.dropped - before.dropped > 1500);
    // What the node itself says in the meantime is believed at once.
    world.hear(1, 3, &lsa(4, 500, &[2], 4));
    assert_eq!(world.fabric(1).topology().walk(node(4), &[0]), Some(node(2)));
}

#[test]
fn what_one_node_says_of_itself_does_not_fill_the_links_between_others() {
    let mut world = seed();
    let before = world.bytes;
    for n in 0..2000 {
        world.hear(1, LIAR, &foreign(3, 0x80 + (n % 128) as u8, n, 15_000));
        world.run(5);
    }
    // Of 3 MB a second some 10 kB go on, over each of ten links.
    let relayed = world.bytes - before;
    assert!((100_000..1_500_000).contains(&relayed), "{relayed} bytes in 10 s");
    world.hear(1, 3, &lsa(4, 500, &[2], 4));
    assert_eq!(world.fabric(1).topology().walk(node(4), &[0]), Some(node(2)));
}

#[test]
fn questions_and_comparisons_without_end_get_few_answers() {
    let (mut buffer, mut rows) = (Vec::new(), Vec::new());
    let wanted: Vec<_> = (1..=5).map(|id| Wanted { id: node(id), what: WANTS_NODE | WANTS_LINKS }).collect();
    let lies: Vec<_> = (0..1100).map(|n| Known { id: node(100 + n), epoch: 9, links: 1, node: 1 }).collect();
    let storms = [
        (emit(&Message::Request(List::of(&wanted, &mut buffer))), 400_000),
        (emit(&Message::Digest(7)), 5_000),
        (emit(&Message::Summary(List::of(&lies, &mut rows))), 20_000),
        (lsa(4, 0, &[], 4), 200_000),
    ];
    for (storm, limit) in storms {
        let mut world = seed();
        let before = world.bytes;
        for _ in 0..2000 {
            world.hear(1, LIAR, &storm);
            world.run(5);
        }
        let bytes = world.bytes - before;
        assert!(bytes < limit, "{bytes} bytes in answer to {} of {} a time", storm.len() * 2000, storm.len());
        assert!(world.agrees());
    }
}

#[test]
fn a_route_that_leads_over_a_node_again_ends_there() {
    let world = seed();
    let path =
        |nodes: &[usize]| nodes.windows(2).map(|pair| world.slot(pair[0], pair[1])).collect::<Vec<_>>();
    let routed = |nodes: &[usize]| Routed::header(3, node(3), &path(nodes)).expect("a header").to_vec();
    let tunnel = |nodes: &[usize]| {
        let mut header = tunnel_header(&path(nodes)).expect("a header").to_vec();
        header.extend([BCAST, 0, 3, 232, 0, 1]);
        header
    };
    for (nodes, refused) in [
        (&[1, 0, 2, 1, 0, 2, 1, 0][..], Some(DropReason::Local)),
        (&[1, 3, 4, 2, 1, 0], Some(DropReason::Local)),
        (&[1, 0, 2], None),
        (&[1, 3, 4, 2], None),
    ] {
        assert_eq!(world.transit(1, LIAR, &routed(nodes)).err(), refused, "{nodes:?}");
        assert_eq!(world.transit(1, LIAR, &tunnel(nodes)).err(), refused, "{nodes:?}");
    }
}
