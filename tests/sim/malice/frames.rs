//! Frames with headers that no honest node writes.

use quicap::types::DropReason;
use quicap::wire::overlay::{Broadcast, Datagram, Routed, tunnel_header};

use super::double::id;
use super::{A, B, C, D, IDS, M, SITES, Scene, ms};
use crate::for_seeds;
use crate::members::{NOW, broadcast, frame};

/// A broadcast with that mark, of a host that nobody knows.
fn forged(origin: u16, epoch: u32, seq: u16) -> Vec<u8> {
    let header = Broadcast { origin: id(origin), epoch: epoch as u8, seq, is_astray: false }.header();
    [&header[..], &broadcast(0xEE, 100)].concat()
}

/// The slot of a node's link to another one.
fn slot(scene: &Scene, from: usize, to: u16) -> u8 {
    let (slot, _) = scene.node(from).fabric().neighbors().find(id(to)).expect("a neighbor");
    slot
}

/// The number of A's last broadcast, as its neighbors heard it from A.
fn last_of_a(scene: &Scene) -> u16 {
    let seqs = scene.double.frames.iter().filter_map(|(_, bytes)| match Datagram::parse(bytes) {
        Ok(Datagram::Broadcast(mark, _)) if mark.origin == id(IDS[A]) => Some(mark.seq),
        _ => None,
    });
    seqs.last().expect("the double hears A's broadcasts")
}

#[test]
fn broadcasts_in_the_name_of_others_keep_none_of_theirs_away() {
    for_seeds(|seed| {
        let mut scene = Scene::new(seed);
        let next = last_of_a(&scene);
        scene.attack(400, ms(5), |double, world, n| {
            let n = n as u16;
            // Under the next numbers of A and D, before they come; as far ahead as is believed, again and again; and farther.
            for ahead in (1..=8).chain([1000, 1024, 1025, 2000, 20_000]) {
                double.send(world, &forged(IDS[A], NOW, next.wrapping_add(n / 20).wrapping_add(ahead)));
                double.send(world, &forged(IDS[D], NOW, next.wrapping_add(n / 20).wrapping_add(ahead)));
            }
        });
        assert!(scene.drops(B, DropReason::BcastStale) > 100);
        assert!(scene.agree());
    });
}

#[test]
fn broadcasts_of_nobody_of_another_run_and_of_the_receiver_are_dropped_and_counted() {
    let mut scene = Scene::new(1);
    let cases = [
        (forged(IDS[B], NOW, 5000), DropReason::BcastDup),
        (forged(999, NOW, 1), DropReason::NoRoute),
        (forged(IDS[A], NOW + 1, 1), DropReason::BcastStale),
        (forged(IDS[A], NOW, 30_000), DropReason::BcastStale),
    ];
    let before = cases.each_ref().map(|(_, reason)| scene.drops(B, *reason));
    scene.attack_in_vain(80, ms(10), |double, world, n| double.send(world, &cases[n % 4].0));
    for ((_, reason), before) in cases.iter().zip(before) {
        assert!(scene.drops(B, *reason) >= before + 20, "{}", reason.name());
    }
    assert_eq!(scene.node(D).switch().owners().find(scene.world.now, super::mac(0xEE)), None);
}

#[test]
fn broadcasts_that_are_said_again_come_out_once() {
    let mut scene = Scene::new(1);
    (0..20).for_each(|_| scene.ping());
    scene.run(ms(300));
    let heard: Vec<_> = scene.double.frames.iter().map(|(_, bytes)| bytes.clone()).collect();
    assert!(heard.len() >= 20);
    // None of them comes out again: that is checked where the pings are.
    scene.attack_in_vain(heard.len() * 2, ms(5), |double, world, n| {
        double.send(world, &heard[n % heard.len()]);
    });
    assert!(scene.drops(B, DropReason::BcastDup) >= 20);
}

/// Two more nodes would do: M is one end of a triangle with B and C, so a route may lead round it many times.
fn rounds(scene: &Scene) -> Vec<u8> {
    let from_b = [slot(scene, B, IDS[C]), slot(scene, C, M), 0];
    from_b.into_iter().cycle().take(63).collect()
}

#[test]
fn frames_with_routes_that_no_honest_node_writes_are_dropped_and_counted() {
    let mut scene = Scene::new(1);
    let inner = frame(IDS[D] as u8, 0xEE, 100);
    let routed = |origin: u16, slots: &[u8]| {
        [&Routed::header(3, id(origin), slots).expect("a header")[..], &inner].concat()
    };
    let tunnel =
        |slots: &[u8]| [&tunnel_header(slots).expect("a header")[..], &forged(IDS[A], NOW, 30_000)].concat();
    let back = slot(&scene, B, M);
    let cases = [
        // Round and round, back to where it came from, to a slot that does not exist, as far as can be.
        (routed(M, &rounds(&scene)), DropReason::Local),
        (routed(M, &[back, 0, 1]), DropReason::Local),
        (routed(M, &[40]), DropReason::NoRoute),
        (routed(M, &[50; 63]), DropReason::NoRoute),
        // Of the receiver itself, and of nobody.
        (routed(IDS[B], &[]), DropReason::Origin),
        (routed(999, &[]), DropReason::Origin),
        (tunnel(&rounds(&scene)), DropReason::Local),
        (tunnel(&[40]), DropReason::NoRoute),
        (tunnel(&[back]), DropReason::NoRoute),
        (tunnel(&[]), DropReason::BcastStale),
        // No BCAST in a tunnel, more slots than there are, and too short.
        (vec![0xD1, 0, 0x40, 0, 11], DropReason::UnknownType),
        (vec![0x4F, 64, 0, 11], DropReason::UnknownType),
        (vec![0x41], DropReason::UnknownType),
    ];
    let forwarded =
        |scene: &Scene| (0..SITES).map(|site| scene.node(site).counters().forwarded_frames).sum::<u64>();
    for (bytes, reason) in &cases {
        let (before, sent) = (scene.drops(B, *reason), forwarded(&scene));
        for _ in 0..20 {
            let link = quicap::types::LinkId(0);
            scene.double.links.send(scene.world.now, link, &bytes.clone().into()).expect("sends");
            scene.run(ms(2));
        }
        scene.run(ms(100));
        assert!(scene.drops(B, *reason) >= before + 20, "{} {bytes:x?}", reason.name());
        assert_eq!(forwarded(&scene), sent, "{} {bytes:x?}", reason.name());
    }
    scene.attack_in_vain(260, ms(2), |double, world, n| {
        let bytes = cases[n % cases.len()].0.clone().into();
        double.links.send(world.now, quicap::types::LinkId(0), &bytes).expect("sends");
        double.turn(world);
    });
}

#[test]
fn a_frame_is_repaired_three_times_and_crosses_no_link_more_often_than_that() {
    let mut scene = Scene::new(1);
    // The link from C to D is dead, and there is no other way: whatever says so, nothing circles.
    let inner = frame(IDS[D] as u8, 0xEE, 100);
    let slots = [slot(&scene, B, IDS[C]), slot(&scene, C, IDS[D])];
    let header = Routed::header(3, id(M), &slots).expect("a header");
    let bytes = [&header[..], &inner].concat();
    scene.world.kill(D);
    scene.run(ms(12_000));
    let forwarded = |scene: &Scene| {
        [A, B, C].map(|site| scene.node(site).counters().forwarded_frames).iter().sum::<u64>()
    };
    let before = forwarded(&scene);
    for _ in 0..100 {
        scene.double.send(&mut scene.world, &bytes);
        scene.run(ms(2));
    }
    scene.run(ms(500));
    let sent = forwarded(&scene) - before;
    assert!(sent <= 2 * 100 * 4, "{sent} hops of 200 frames");
    let dropped = scene.node(C).drops();
    let dropped: Vec<_> = dropped.iter().filter(|(_, count)| *count > 0).collect();
    assert!(scene.drops(C, DropReason::NoRoute) >= 100, "{dropped:?}");
}

#[test]
fn a_neighbor_that_is_no_transit_cannot_speak_for_others() {
    let mut scene = Scene::with(1, M, &["quicap:notransit"]);
    let inner = frame(IDS[D] as u8, IDS[A] as u8, 100);
    let route = [slot(&scene, B, IDS[C]), slot(&scene, C, IDS[D])];
    let routed =
        |slots: &[u8]| [&Routed::header(3, id(IDS[A]), slots).expect("a header")[..], &inner].concat();
    let next = last_of_a(&scene).wrapping_add(1);
    let tunneled = [&tunnel_header(&route).expect("a header")[..], &forged(IDS[A], NOW, next)].concat();
    let cases = [routed(&[]), routed(&route), forged(IDS[A], NOW, next), tunneled];
    let before = scene.drops(B, DropReason::Rights);
    scene.attack_in_vain(80, ms(10), |double, world, n| double.send(world, &cases[n % 4]));
    assert_eq!(scene.drops(B, DropReason::Rights) - before, 80);
    // Nor is it sent what is not for it: it hears broadcasts, and no frame with a route that goes on.
    let goes_on = |bytes: &[u8]| matches!(Datagram::parse(bytes), Ok(Datagram::Routed(routed)) if !routed.slots.is_empty());
    assert!(!scene.double.frames.iter().any(|(_, bytes)| goes_on(bytes)));
}
