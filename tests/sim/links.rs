//! Links between honest nodes: coming up, carrying, failing, coming back.

use std::time::Duration;

use quicap::link::peer::State;
use quicap::types::DropReason;

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
    let others = world.sites.len() - 1;
    (0..world.sites.len()).all(|site| world.links_up(site) == others)
}

#[test]
fn two_nodes_that_know_each_other_are_up_within_a_second_with_two_connections() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up), "{:?}", world.events(0));
        world.run_for(seconds(2));
        for site in 0..2 {
            let node = world.sites[site].node.as_ref().expect("runs");
            let link = node.links().iter().next().expect("one link");
            assert_eq!(link.connections.len(), 2, "each side dials the other");
            assert_eq!(node.links().connections().filter(|c| c.is_up()).count(), 2);
            assert!(world.sites[site].carrier);
        }
    });
}

#[test]
fn frames_of_every_length_cross_whole_on_every_underlay() {
    for mtu in [1500, 1492, 1460, 1280, 1228] {
        let (mut world, _) = mesh(7, 2);
        world.set_wire(0, 1, Wire { mtu, ..Wire::default() });
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(5));
        let lengths: Vec<usize> = (14..=1518).step_by(47).chain([60, 1514, 1518]).collect();
        for length in &lengths {
            world.send(0, &broadcast(1, *length));
            world.send(1, &broadcast(2, *length));
            world.run_for(ms(1));
        }
        world.run_for(ms(100));
        for site in 0..2 {
            let expected: Vec<_> = lengths.iter().map(|length| broadcast(2 - site as u8, *length)).collect();
            let mut received = world.sites[site].frames.clone();
            received.sort();
            let mut sorted = expected;
            sorted.sort();
            assert_eq!(received, sorted, "underlay {mtu}");
        }
    }
}

#[test]
fn the_path_mtu_is_found_to_the_last_byte() {
    for (mtu, datagram) in [(1500, 1440), (1492, 1432), (1401, 1341), (1280, 1220), (1228, 1168)] {
        let (mut world, _) = mesh(3, 2);
        world.set_wire(0, 1, Wire { mtu, ..Wire::default() });
        world.run_for(seconds(8));
        let node = world.sites[0].node.as_ref().expect("runs");
        let found: Vec<usize> = node.links().connections().map(|c| c.max_datagram()).collect();
        assert_eq!(found, [datagram, datagram], "underlay {mtu}");
    }
}

#[test]
fn a_killed_peer_costs_the_carrier_within_its_delay_and_comes_back() {
    for_seeds(|seed| {
        let (mut world, ca) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up));
        world.kill(1);
        let killed = world.now;
        for _ in 0..200 {
            world.send(0, &broadcast(1, 100));
            world.run_for(ms(20));
        }
        world.run_for(seconds(4));
        let off = world.sites[0].carrier_changes.last().copied().expect("a change");
        assert!(!off.1 && off.0 - killed <= seconds(7), "{:?}", off.0 - killed);
        let again = config(ca.credentials(&name(1), 2), vec![peer(Some(&name(0)), &[World::ip(0)])], seed);
        world.start(1, node(again));
        assert!(world.run_until(seconds(3), all_up));
        assert!(world.run_until(seconds(1), |world| world.sites[0].carrier));
    });
}

#[test]
fn an_idle_link_notices_a_killed_peer_at_its_keep_alive() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(60));
        world.kill(1);
        let killed = world.now;
        world.run_for(seconds(20));
        let off = world.sites[0].carrier_changes.last().copied().expect("a change");
        assert!(!off.1 && off.0 - killed <= seconds(13), "{:?}", off.0 - killed);
    });
}

#[test]
fn a_stopped_peer_says_goodbye() {
    let (mut world, _) = mesh(1, 2);
    assert!(world.run_until(seconds(1), all_up));
    world.run_for(seconds(1));
    world.stop(1);
    assert!(world.run_until(ms(50), |world| world.links_up(0) == 0));
    assert!(world.reason(0, 0).contains("has stopped"), "{}", world.reason(0, 0));
}

#[test]
fn a_peer_that_only_listens_for_us_is_served_over_one_connection() {
    let mut world = World::new(5);
    let ca = Ca::new();
    world.add();
    world.add();
    world.start(0, node(config(ca.credentials("hub", 1), vec![], 5)));
    world.start(1, node(config(ca.credentials("leaf", 2), vec![peer(None, &[World::ip(0)])], 5)));
    assert!(world.run_until(seconds(1), |world| world.links_up(0) == 1 && world.links_up(1) == 1));
    world.send(0, &broadcast(1, 1514));
    world.send(1, &broadcast(2, 1514));
    world.run_for(ms(100));
    assert_eq!((world.sites[0].frames.len(), world.sites[1].frames.len()), (1, 1));
    world.kill(1);
    world.run_for(seconds(10));
    let hub = world.sites[0].node.as_ref().expect("runs");
    assert_eq!(hub.links().iter().count(), 0, "a link that is not configured goes with its connection");
}

#[test]
fn a_frame_goes_to_its_owner_only_and_through_a_hub_from_spoke_to_spoke() {
    let mut world = World::new(9);
    let ca = Ca::new();
    world.add_many(4);
    world.start(0, node(config(ca.credentials("hub", 1), vec![], 9)));
    for site in 1..4 {
        let spoke =
            config(ca.credentials(&name(site), site as u16 + 1), vec![peer(None, &[World::ip(0)])], 9);
        world.start(site, node(spoke));
    }
    assert!(world.run_until(seconds(2), |world| world.links_up(0) == 3));
    world.run_for(seconds(1));
    (1..4).for_each(|site| world.send(site, &broadcast(site as u8, 60)));
    world.run_for(ms(100));
    let heard = |world: &World| world.sites.iter().map(|site| site.frames.len()).collect::<Vec<_>>();
    assert_eq!(heard(&world), [3, 2, 2, 2]);
    world.send(0, &frame(2, 9, 60));
    world.send(1, &frame(3, 1, 60));
    world.run_for(ms(100));
    assert_eq!(heard(&world), [3, 2, 3, 3]);
}

#[test]
fn one_dead_and_one_unresolvable_peer_disturb_nobody() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add();
        world.add();
        world.names.insert("b.example".into(), vec![World::ip(1)]);
        let peers = vec![
            named_peer("nowhere", "nowhere.example"),
            peer(Some("dead"), &[World::ip(77)]),
            named_peer("b", "b.example"),
        ];
        world.start(0, node(config(ca.credentials("a", 1), peers, seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![], seed)));
        assert!(world.run_until(seconds(1), |world| world.state(0, 2) == Some(State::Up)));
        world.run_for(seconds(60));
        assert_eq!(world.state(0, 2), Some(State::Up));
        assert_eq!(world.reason(0, 0), "name not found: nowhere.example");
        assert_eq!(world.reason(0, 1), "no answer from 192.0.2.78:443 (UDP blocked?)");
        let tries = |world: &World| world.stray.iter().filter(|(_, to, _)| to.ip() == World::ip(77)).count();
        let first = tries(&world);
        world.run_for(seconds(600));
        let minute = (tries(&world) - first) / 10;
        assert!(
            first > 8 && (4..=30).contains(&minute),
            "{first}, then {minute} datagrams a minute to a dead peer"
        );
        for reason in
            ["nowhere: name not found: nowhere.example", "dead: no answer from 192.0.2.78:443 (UDP blocked?)"]
        {
            let line = format!("link {reason}");
            assert_eq!(world.events(0).iter().filter(|event| **event == line).count(), 1, "{line}");
        }
    });
}

#[test]
fn loss_and_jitter_cost_frames_but_not_the_link() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        world.set_wire(0, 1, Wire { loss: 50, jitter: ms(10), delay: ms(20), ..Wire::default() });
        assert!(world.run_until(seconds(4), all_up));
        world.run_for(seconds(1));
        for _ in 0..1000 {
            world.send(0, &broadcast(1, 200));
            world.run_for(ms(10));
        }
        world.run_for(ms(200));
        let arrived = world.sites[1].frames.len();
        assert!((900..=990).contains(&arrived), "{arrived} of 1000 at 5 % loss");
        assert_eq!(world.sites[0].carrier_changes.len(), 1, "{:?}", world.events(0));
    });
}

#[test]
fn what_is_sent_the_moment_a_link_is_up_arrives() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.set_wire(0, 1, Wire { jitter: ms(seed % 5), ..Wire::default() });
        world.start(0, node(config(ca.credentials("hub", 1), vec![], seed)));
        world.start(1, node(config(ca.credentials("leaf", 2), vec![peer(None, &[World::ip(0)])], seed)));
        let mut sent = [0, 0];
        for _ in 0..200 {
            for (site, sent) in sent.iter_mut().enumerate() {
                if world.links_up(site) == 1 {
                    world.send(site, &broadcast(site as u8 + 1, 1400));
                    *sent += 1;
                }
            }
            world.run_for(ms(1));
        }
        world.run_for(ms(100));
        assert!(sent[0] > 100 && sent[1] > 100);
        assert_eq!([world.sites[1].frames.len(), world.sites[0].frames.len()], sent);
    });
}

#[test]
fn an_idle_pair_only_keeps_alive() {
    let (mut world, _) = mesh(2, 2);
    assert!(world.run_until(seconds(1), all_up));
    world.run_for(seconds(30));
    let (datagrams, bytes) = (world.datagrams, world.bytes);
    world.run_for(seconds(100));
    let (datagrams, bytes) = (world.datagrams - datagrams, world.bytes - bytes);
    // Two connections, a PING each way in five seconds and its ACK: 4 * 20 * 2.
    assert!(datagrams <= 170, "{datagrams} datagrams, {bytes} bytes in 100 s");
}

#[test]
fn a_node_that_dials_itself_says_so() {
    let mut world = World::new(1);
    let ca = Ca::new();
    world.add();
    world.start(0, node(config(ca.credentials("a", 1), vec![peer(None, &[World::ip(0)])], 1)));
    world.run_for(seconds(5));
    assert_eq!(world.links_up(0), 0);
    assert!(world.reason(0, 0).contains("the node itself"), "{}", world.reason(0, 0));
}

#[test]
fn two_nodes_with_one_id_are_not_both_let_in() {
    let mut world = World::new(1);
    let ca = Ca::new();
    world.add_many(3);
    world.start(0, node(config(ca.credentials("hub", 1), vec![], 1)));
    world.start(1, node(config(ca.credentials("first", 2), vec![peer(None, &[World::ip(0)])], 1)));
    assert!(world.run_until(seconds(1), |world| world.links_up(1) == 1));
    world.start(2, node(config(ca.credentials("second", 2), vec![peer(None, &[World::ip(0)])], 1)));
    world.run_for(seconds(5));
    assert_eq!((world.links_up(1), world.links_up(2)), (1, 0));
    let both = "node id 2 belongs to first, and second has it too";
    assert!(world.reason(2, 0).contains(both), "{}", world.reason(2, 0));
    assert!(world.events(0).iter().any(|event| event.contains(both)), "{:?}", world.events(0));
}

#[test]
fn the_wrong_name_is_refused_on_both_ends_with_its_reason() {
    let mut world = World::new(1);
    let ca = Ca::new();
    world.add();
    world.add();
    world.start(0, node(config(ca.credentials("a", 1), vec![peer(Some("office"), &[World::ip(1)])], 1)));
    world.start(1, node(config(ca.credentials("b", 2), vec![], 1)));
    world.run_for(seconds(5));
    assert_eq!(world.links_up(0), 0);
    assert!(world.reason(0, 0).contains("'office'"), "{}", world.reason(0, 0));
    assert!(world.events(1).iter().any(|event| event.contains("'office'")), "{:?}", world.events(1));
}

#[test]
fn the_addresses_of_a_peer_are_raced_and_a_dead_one_costs_a_quarter_of_a_second() {
    let mut world = World::new(1);
    let ca = Ca::new();
    world.add();
    world.add();
    let peers = vec![peer(Some("b"), &[World::ip(90), World::ip(1), World::ip(91)])];
    world.start(0, node(config(ca.credentials("a", 1), peers, 1)));
    world.start(1, node(config(ca.credentials("b", 2), vec![], 1)));
    assert!(world.run_until(ms(400), |world| world.links_up(0) == 1));
    world.run_for(seconds(5));
    let node = world.sites[0].node.as_ref().expect("runs");
    assert_eq!(node.links().connections().filter(|c| c.is_up()).count(), 1);
}

#[test]
fn garbage_replays_and_cut_off_datagrams_disturb_nobody() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up));
        let (from, to) =
            ("198.51.100.9:9999".parse().expect("an address"), "192.0.2.1:443".parse().expect("one"));
        for n in 0..2000_u32 {
            let length = world.random(1600) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| world.random(256) as u8).collect();
            if let (Some(first), 0) = (bytes.first_mut(), n % 3) {
                *first |= 0xC0;
            }
            world.inject(from, to, &bytes);
            if n % 20 == 0 {
                world.send(0, &broadcast(1, 500));
                world.run_for(ms(1));
            }
        }
        world.run_for(seconds(1));
        assert_eq!(world.sites[1].frames.len(), 100);
        assert!(all_up(&world));
        assert_eq!(world.drops(0, DropReason::UnknownType), 0);
    });
}

#[test]
fn a_small_full_table_of_links_refuses_with_the_reason_busy() {
    let mut world = World::new(1);
    let ca = Ca::new();
    world.add_many(34);
    world.start(0, node(config(ca.credentials("hub", 1), vec![], 1)));
    for site in 1..34 {
        let spoke =
            config(ca.credentials(&name(site), site as u16 + 1), vec![peer(None, &[World::ip(0)])], 1);
        world.start(site, node(spoke));
        world.run_for(ms(500));
    }
    world.run_for(seconds(3));
    assert_eq!(world.links_up(0), quicap::limits::LINKS);
    assert!(world.reason(33, 0).contains("links are taken"), "{}", world.reason(33, 0));
}
