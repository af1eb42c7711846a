//! What goes wrong in practice: floods, copies of a node, one node configured twice, long paths, pauses, many deaths.

use std::time::Duration;

use quicap::link::Credentials;
use quicap::link::peer::State;

use crate::for_seeds;
use crate::members::{Ca, broadcast, config, frame, mesh, name, named_peer, node, peer};
use crate::world::{Wire, World};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn all_up(world: &World) -> bool {
    (0..world.sites.len()).all(|site| {
        let node = world.sites[site].node.as_ref();
        let up = node.map_or(0, |node| node.links().iter().filter(|link| link.state == State::Up).count());
        up == world.sites.len() - 1
    })
}

/// Each site shows where it is, then reaches every other by unicast, in full-size frames, and nobody else hears it.
fn assert_everyone_reaches_everyone(world: &mut World) {
    let sites = world.sites.len();
    (0..sites).for_each(|site| world.send(site, &broadcast(site as u8 + 1, 60)));
    world.run_for(seconds(1));
    for from in 0..sites {
        for to in (0..sites).filter(|to| *to != from) {
            let heard: Vec<usize> = world.sites.iter().map(|site| site.frames.len()).collect();
            let sent = frame(to as u8 + 1, from as u8 + 1, 1514);
            world.send(from, &sent);
            world.run_for(ms(100));
            for (site, before) in heard.iter().enumerate() {
                let new = world.sites[site].frames.get(*before..).unwrap_or_default();
                let expected = if site == to { vec![sent.clone()] } else { vec![] };
                assert_eq!(new, expected, "{from} to {to} at {site}: {:?}", world.events(from));
            }
        }
    }
}

#[test]
fn split_frames_that_fill_the_queue_push_older_ones_out_whole() {
    let (mut world, _) = mesh(1, 2);
    world.run_for(seconds(5));
    let sent: Vec<_> = (0..2000_u32)
        .map(|n| {
            let mut frame = broadcast(1, 1514);
            frame[14..18].copy_from_slice(&n.to_be_bytes());
            frame
        })
        .collect();
    sent.iter().for_each(|frame| world.send(0, frame));
    world.run_for(seconds(1));
    let received = &world.sites[1].frames;
    assert!(received.len() < sent.len(), "the window and the queue were full");
    for frame in &sent[sent.len() - 60..] {
        assert!(received.contains(frame), "the newest arrive: {} of {}", received.len(), sent.len());
    }
}

#[test]
fn a_node_that_is_configured_twice_is_linked_once_and_told_so() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.names.insert("b.example".into(), vec![World::ip(1)]);
        let mut by_name = named_peer("b", "b.example");
        by_name.name = None;
        world
            .start(0, node(config(ca.credentials("a", 1), vec![peer(None, &[World::ip(1)]), by_name], seed)));
        let back = vec![peer(Some("a"), &[World::ip(0)])];
        let back = if seed.is_multiple_of(2) { back } else { vec![] };
        world.start(1, node(config(ca.credentials("b", 2), back, seed)));
        world.run_for(seconds(5));
        let changes = world.events(0).iter().filter(|event| event.contains(": up after")).count();
        assert!(changes <= 2, "{:?}", world.events(0));
        let up = usize::from(world.state(0, 0) != Some(State::Up));
        assert_eq!(world.state(0, up), Some(State::Up), "{:?}", world.events(0));
        assert!(world.reason(0, 1 - up).contains("another peer section"), "{}", world.reason(0, 1 - up));
        assert_everyone_reaches_everyone(&mut world);
        let before = world.events(0).len();
        world.run_for(seconds(120));
        assert_eq!(world.events(0).len(), before, "{:?}", world.events(0));
    });
}

#[test]
fn a_copy_of_a_node_does_not_bring_a_storm_of_handshakes() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(3);
        world.start(0, node(config(ca.credentials("hub", 1), vec![], seed)));
        let copy = ca.credentials("leaf", 2);
        for site in [1, 2] {
            let mut config = config(copy.clone(), vec![peer(None, &[World::ip(0)])], seed);
            config.links.seed[9] = site as u8;
            world.start(site, node(config));
        }
        world.run_for(seconds(60));
        let before = world.datagrams;
        world.run_for(seconds(120));
        let datagrams = world.datagrams - before;
        assert!(datagrams < 1000, "{datagrams} datagrams in two minutes: {:?}", world.events(0));
    });
}

#[test]
fn racing_addresses_of_one_node_over_a_long_path_end_in_one_lasting_connection() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.set_wire(0, 1, Wire { delay: ms(150 + 10 * (seed % 10)), jitter: ms(20), ..Wire::default() });
        world.aliases.extend([11, 12].map(|address| (World::ip(address), 1)));
        let addresses = [World::ip(1), World::ip(11), World::ip(12)];
        world.start(0, node(config(ca.credentials("a", 1), vec![peer(Some("b"), &addresses)], seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![], seed)));
        world.run_for(seconds(20));
        for site in [0, 1] {
            let lines = world.events(site);
            assert_eq!(lines.iter().filter(|line| line.contains(": down")).count(), 0, "{lines:?}");
            assert_eq!(world.links_up(site), 1, "{lines:?}");
            let node = world.sites[site].node.as_ref().expect("runs");
            assert_eq!((node.links().iter().count(), node.links().connections_used()), (1, 1));
        }
    });
}

#[test]
fn a_node_that_stood_still_for_twenty_seconds_is_linked_again_at_once() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 3);
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(seed % 7));
        world.pause(1);
        for _ in 0..200 {
            world.send(0, &broadcast(1, 200));
            world.run_for(ms(100));
        }
        assert_eq!((world.links_up(0), world.links_up(2)), (1, 1));
        world.resume(1);
        assert!(world.run_until(seconds(3), all_up), "{:?} {:?}", world.events(0), world.events(1));
        world.run_for(seconds(5));
        assert!(all_up(&world), "{:?}", world.events(1));
        assert_everyone_reaches_everyone(&mut world);
    });
}

#[test]
fn both_dial_at_the_same_instant_over_a_bad_path() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.set_wire(0, 1, Wire { loss: 300, delay: ms(30), jitter: ms(60), ..Wire::default() });
        for site in [0, 1] {
            let peers = vec![peer(Some(&name(1 - site)), &[World::ip(1 - site)])];
            world.start(site, node(config(ca.credentials(&name(site), site as u16 + 1), peers, seed)));
        }
        assert!(world.run_until(seconds(60), all_up), "{:?}", world.events(0));
        world.set_wire(0, 1, Wire::default());
        assert!(world.run_until(seconds(40), all_up), "{:?}", world.events(0));
        world.run_for(seconds(35));
        for site in [0, 1] {
            let node = world.sites[site].node.as_ref().expect("runs");
            assert_eq!(
                node.links().connections().filter(|c| c.is_up()).count(),
                2,
                "{:?}",
                world.events(site)
            );
            assert_eq!(node.links().connections_used(), 2);
        }
        assert_everyone_reaches_everyone(&mut world);
    });
}

fn member(world: &World, credentials: &[Credentials], site: usize, seed: u64) -> quicap::node::Config {
    let others = (0..world.sites.len()).filter(|other| *other != site);
    // Some know names, some do not: members then dial in as strangers and become the configured peer.
    let name_of = |other: usize| (!(seed + other as u64).is_multiple_of(3)).then(|| name(other));
    let peers = others.map(|other| peer(name_of(other).as_deref(), &[World::ip(other)])).collect();
    config(credentials[site].clone(), peers, seed)
}

#[test]
fn a_mesh_of_five_in_which_nodes_die_and_come_back_ends_whole() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(5);
        let credentials: Vec<_> = (0..5).map(|site| ca.credentials(&name(site), site as u16 + 1)).collect();
        for site in 0..5 {
            let config = member(&world, &credentials, site, seed);
            world.start(site, node(config));
        }
        for turn in 0..240_u64 {
            let site = world.random(5) as usize;
            match (world.sites[site].node.is_some(), world.random(8)) {
                (true, 0) => world.kill(site),
                (true, 1) => world.stop(site),
                (false, 0..=3) => {
                    let config = member(&world, &credentials, site, seed + turn);
                    world.start(site, node(config));
                }
                _ => {
                    let (from, to) = (world.random(5) as u8 + 1, world.random(5) as u8 + 1);
                    world.send(site, &frame(to, from, 1000));
                }
            }
            world.run_for(ms(500));
        }
        for site in 0..5 {
            if world.sites[site].node.is_none() {
                let config = member(&world, &credentials, site, seed);
                world.start(site, node(config));
            }
        }
        assert!(world.run_until(seconds(60), all_up), "{:?}", world.events(0));
        // Addresses that were sent from everywhere stay where they are for three minutes.
        world.run_for(seconds(200));
        assert!(all_up(&world));
        for site in 0..5 {
            let links = world.sites[site].node.as_ref().expect("runs").links();
            assert_eq!((links.iter().count(), links.connections_used()), (4, 8), "{:?}", world.events(site));
        }
        assert_everyone_reaches_everyone(&mut world);
    });
}
