//! Paths that change under a link: other addresses, other wires, other names.

use std::time::{Duration, Instant};

use quicap::link::connection::Role;
use quicap::link::peer::State;

use crate::for_seeds;
use crate::members::{Ca, broadcast, config, mesh, name, named_peer, node, peer};
use crate::world::{Wire, World};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn all_up(world: &World) -> bool {
    (0..2).all(|site| world.state(site, 0) == Some(State::Up))
}

/// Frames with a number each way every few milliseconds, and what became of them.
struct Stream {
    every: Duration,
    sent: u32,
    /// The longest time in which nothing new arrived, for each direction.
    silence: [Duration; 2],
    last: [(usize, Option<Instant>); 2],
}

impl Stream {
    fn new(every: Duration) -> Self {
        Self { every, sent: 0, silence: [Duration::ZERO; 2], last: [(0, None); 2] }
    }

    fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            for site in 0..2 {
                let mut frame = vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, site as u8 + 1, 8, 0];
                frame.extend(self.sent.to_be_bytes());
                frame.resize(200, 0);
                world.send(site, &frame);
            }
            self.sent += 1;
            world.run_for(self.every);
            self.look(world);
        }
    }

    fn look(&mut self, world: &World) {
        for site in 0..2 {
            let (count, since) = self.last[site];
            let new = world.sites[site].frames.len();
            if new > count {
                self.last[site] = (new, Some(world.now));
            } else if let Some(since) = since {
                self.silence[site] = self.silence[site].max(world.now - since);
            }
        }
    }

    /// Frames that never arrived, those still under way not counted, and those that arrived twice.
    fn lost_and_doubled(&self, world: &World, site: usize) -> (usize, usize) {
        let mut numbers: Vec<u32> = world.sites[site]
            .frames
            .iter()
            .map(|frame| u32::from_be_bytes(frame[14..18].try_into().expect("a number")))
            .collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        (self.sent as usize - numbers.len(), all - numbers.len())
    }

    fn worst(&self) -> Duration {
        self.silence[0].max(self.silence[1])
    }
}

/// Two nodes that know each other by name, at addresses 1 and 2.
fn by_name(seed: u64) -> (World, Ca) {
    let mut world = World::new(seed);
    let ca = Ca::new();
    world.add_many(2);
    for site in 0..2 {
        world.names.insert(format!("{}.example", name(site)), vec![World::ip(site)]);
        let other = 1 - site;
        let peers = vec![named_peer(&name(other), &format!("{}.example", name(other)))];
        let config = config(ca.credentials(&name(site), site as u16 + 1), peers, seed);
        world.start(site, node(config));
    }
    assert!(world.run_until(seconds(2), all_up));
    (world, ca)
}

/// `b` at its own address and at address 12; `a` knows both of them, `b` does not know `a`.
fn two_addresses(seed: u64, first: Wire, second: Wire) -> World {
    let mut world = World::new(seed);
    let ca = Ca::new();
    world.add_many(2);
    world.aliases.insert(World::ip(11), 1);
    world.ways.extend([(World::ip(1), first), (World::ip(11), second)]);
    let peers = vec![peer(Some("b"), &[World::ip(1), World::ip(11)])];
    world.start(0, node(config(ca.credentials("a", 1), peers, seed)));
    world.start(1, node(config(ca.credentials("b", 2), vec![], seed)));
    world
}

fn delay(n: u64) -> Wire {
    Wire { delay: ms(n), ..Wire::default() }
}

/// The address that the link of `a` is carried to.
fn carried_to(world: &World) -> std::net::IpAddr {
    let links = world.sites[0].node.as_ref().expect("runs").links();
    let active = links.iter().next().and_then(|link| link.active).expect("carries");
    links.connection(active).expect("there").remote().ip()
}

fn count(world: &World, site: usize, text: &str) -> usize {
    world.events(site).iter().filter(|line| line.contains(text)).count()
}

/// How often a connection of this site turned suspect.
fn suspicions(world: &World, site: usize) -> u64 {
    let links = world.sites[site].node.as_ref().expect("runs").links();
    links.iter().map(|link| link.suspicions).sum()
}

#[test]
fn the_least_round_trip_wins_the_race_whoever_answers_first_and_not_a_frame_is_lost() {
    for_seeds(|seed| {
        let (slow, fast) = (delay(40 + seed % 20), Wire { jitter: ms(seed % 3), ..delay(10) });
        for (first, second, best) in [(slow, fast, 11), (fast, slow, 1)] {
            let mut world = two_addresses(seed, first, second);
            let mut stream = Stream::new(ms(5));
            assert!(world.run_until(seconds(1), all_up), "{:?}", world.events(0));
            stream.run(&mut world, seconds(5));
            world.run_for(seconds(1));
            assert_eq!(carried_to(&world), World::ip(best), "{:?}", world.events(0));
            for site in 0..2 {
                assert_eq!(stream.lost_and_doubled(&world, site), (0, 0), "{:?}", world.events(site));
                let links = world.sites[site].node.as_ref().expect("runs").links();
                assert_eq!((links.connections_used(), count(&world, site, ": down")), (1, 0));
            }
        }
    });
}

#[test]
fn a_way_that_became_clearly_faster_is_taken_within_a_quarter_of_an_hour_without_losing_a_frame() {
    for_seeds(|seed| {
        let mut world = two_addresses(seed, delay(20), delay(60));
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(20));
        assert_eq!(carried_to(&world), World::ip(1));
        world.ways.insert(World::ip(11), delay(17));
        let mut stream = Stream::new(ms(100));
        stream.run(&mut world, seconds(900));
        assert_eq!(carried_to(&world), World::ip(1), "faster by 6 ms, but not by a fifth");
        world.run_for(seconds(1));
        world.ways.insert(World::ip(11), delay(10));
        stream.run(&mut world, seconds(900));
        world.run_for(seconds(1));
        assert_eq!(carried_to(&world), World::ip(11), "{:?}", world.events(0));
        for site in 0..2 {
            assert_eq!(stream.lost_and_doubled(&world, site), (0, 0));
            assert_eq!(count(&world, site, ": down"), 0);
        }
    });
}

#[test]
fn the_peer_s_connection_carries_when_it_was_clearly_faster_for_half_a_minute() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.aliases.insert(World::ip(11), 1);
        // a dials b at address 12, over the slow way; b dials a over the fast one.
        world.ways.insert(World::ip(11), delay(50));
        world.start(0, node(config(ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(11)])], seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![peer(Some("a"), &[World::ip(0)])], seed)));
        assert!(world.run_until(seconds(2), all_up));
        let role = |world: &World| {
            let links = world.sites[0].node.as_ref().expect("runs").links();
            let slot = links.iter().next().and_then(|link| link.active);
            slot.and_then(|slot| links.connection(slot)).map(|own| own.role)
        };
        let mut stream = Stream::new(ms(50));
        stream.run(&mut world, seconds(20));
        assert_eq!(role(&world), Some(Role::Client));
        stream.run(&mut world, seconds(30));
        assert_eq!(role(&world), Some(Role::Server));
        world.run_for(seconds(1));
        assert_eq!(stream.lost_and_doubled(&world, 1), (0, 0));
        let control = |site: usize| {
            let links = world.sites[site].node.as_ref().expect("runs").links();
            let slot = links.iter().next().and_then(|link| link.control(links.me().id));
            slot.and_then(|slot| links.connection(slot)).map(|own| own.role)
        };
        assert_eq!((control(0), control(1)), (Some(Role::Client), Some(Role::Server)), "one connection");
    });
}

#[test]
fn one_of_two_ways_that_dies_silently_costs_less_than_400_ms() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.aliases.insert(World::ip(11), 1);
        world.ways.insert(World::ip(11), Wire { jitter: ms(2), ..delay(10) });
        world.start(0, node(config(ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(11)])], seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![peer(Some("a"), &[World::ip(0)])], seed)));
        assert!(world.run_until(seconds(2), all_up));
        let mut stream = Stream::new(ms(10));
        stream.run(&mut world, seconds(3));
        match seed % 2 {
            0 => drop(world.ways.insert(World::ip(11), Wire { cut: true, ..delay(10) })),
            _ => world.set_wire(0, 1, Wire { cut: true, ..delay(10) }),
        }
        stream.run(&mut world, seconds(20));
        assert!(stream.worst() < ms(400), "{:?}", stream.silence);
        assert_eq!((count(&world, 0, ": down"), count(&world, 1, ": down")), (0, 0));
    });
}

#[test]
fn a_way_that_dies_in_one_direction_only_is_left_though_the_peer_is_still_heard_on_it() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.aliases.insert(World::ip(11), 1);
        world.start(0, node(config(ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(11)])], seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![peer(Some("a"), &[World::ip(0)])], seed)));
        assert!(world.run_until(seconds(2), all_up));
        let mut stream = Stream::new(ms(10));
        stream.run(&mut world, seconds(3));
        // What b sends on the connection that it opened; a goes on to answer what came last, and to ask.
        world.deaf = Some(World::ip(1));
        world.readdress(0, World::ip(0), true);
        stream.run(&mut world, seconds(10));
        assert!(stream.worst() < ms(400), "{:?}", stream.silence);
        assert_eq!((count(&world, 0, ": down"), count(&world, 1, ": down")), (0, 0));
    });
}

#[test]
fn a_nat_that_forgets_and_chooses_another_port_costs_nothing_under_traffic() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        world.start(
            0,
            node(config(ca.credentials("leaf", 1), vec![peer(Some("hub"), &[World::ip(1)])], seed)),
        );
        world.start(1, node(config(ca.credentials("hub", 2), vec![], seed)));
        assert!(world.run_until(seconds(1), all_up));
        let mut stream = Stream::new(ms(10));
        for turn in 0..5 {
            stream.run(&mut world, seconds(3));
            world.sites[0].dial_port = 40_000 + turn;
        }
        stream.run(&mut world, seconds(3));
        world.run_for(seconds(1));
        assert!(stream.worst() < ms(200), "{:?}", stream.silence);
        let (lost, doubled) = stream.lost_and_doubled(&world, 0);
        assert!(lost <= 5 * 8 && doubled == 0, "{lost} {doubled}");
        assert_eq!(stream.lost_and_doubled(&world, 1), (0, 0), "what the leaf sent");
        assert_eq!((count(&world, 0, ": down"), count(&world, 1, ": down")), (0, 0));
    });
}

/// Either end gets another address; the name follows at once or a minute later.
fn readdress(seed: u64, told: bool, name_follows: Duration) {
    let (mut world, _) = by_name(seed);
    let mut stream = Stream::new(ms(10));
    stream.run(&mut world, seconds(2));
    world.readdress(0, World::ip(20), told);
    stream.run(&mut world, name_follows);
    world.names.insert(format!("{}.example", name(0)), vec![World::ip(20)]);
    stream.run(&mut world, seconds(60));
    assert!(stream.worst() < ms(500), "{:?} {:?}", stream.silence, world.events(1));
    for site in 0..2 {
        assert_eq!(count(&world, site, ": down"), 0, "{:?}", world.events(site));
        let node = world.sites[site].node.as_ref().expect("runs");
        assert_eq!(node.links().connections_used(), 2, "b has dialed the new address");
    }
    assert_eq!(count(&world, 1, "the peer is at 192.0.2.21"), 1, "{:?}", world.events(1));
}

#[test]
fn another_address_of_either_end_does_not_take_the_link_down() {
    for_seeds(|seed| readdress(seed, true, Duration::ZERO));
}

#[test]
fn another_address_that_netlink_did_not_tell_of_and_a_slow_name_server_do_not_either() {
    for_seeds(|seed| readdress(seed, false, seconds(60)));
}

#[test]
fn other_addresses_of_both_ends_at_once_are_found_by_their_names() {
    for_seeds(|seed| {
        let (mut world, _) = by_name(seed);
        world.run_for(seconds(seed % 10));
        for site in 0..2 {
            world.readdress(site, World::ip(20 + site), true);
        }
        world.run_for(seconds(seed % 40));
        for site in 0..2 {
            world.names.insert(format!("{}.example", name(site)), vec![World::ip(20 + site)]);
        }
        assert!(world.run_until(seconds(40), all_up), "{:?}", world.events(0));
        let mut stream = Stream::new(ms(10));
        stream.run(&mut world, seconds(5));
        world.run_for(seconds(1));
        assert_eq!(
            (stream.lost_and_doubled(&world, 0), stream.lost_and_doubled(&world, 1)),
            ((0, 0), (0, 0))
        );
    });
}

#[test]
fn a_name_that_moves_while_the_link_is_down_is_looked_up_again_within_forty_seconds() {
    for_seeds(|seed| {
        let (mut world, ca) = by_name(seed);
        world.kill(1);
        world.run_for(seconds(120 + seed));
        world.readdress(1, World::ip(30), false);
        let listens = config(ca.credentials(&name(1), 2), vec![], seed);
        world.start(1, node(listens));
        world.run_for(seconds(10));
        assert!(!all_up(&world));
        world.names.insert(format!("{}.example", name(1)), vec![World::ip(30)]);
        assert!(world.run_until(seconds(40), all_up), "{:?}", world.events(0));
    });
}

#[test]
fn the_last_good_address_is_dialed_when_the_name_server_is_gone() {
    for_seeds(|seed| {
        let (mut world, ca) = by_name(seed);
        world.run_for(seconds(1));
        world.kill(1);
        world.names.clear();
        world.run_for(seconds(60));
        world.start(1, node(config(ca.credentials(&name(1), 2), vec![], seed)));
        assert!(world.run_until(seconds(40), all_up), "{:?}", world.events(0));
    });
}

#[test]
fn a_path_whose_mtu_drops_to_1280_carries_full_size_frames_again() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(10));
        world.set_wire(0, 1, Wire { mtu: 1280, ..Wire::default() });
        let before = world.sites[1].frames.len();
        let mut passed = None;
        for turn in 0..2000_u32 {
            let mut frame = crate::members::broadcast(1, 1514);
            frame[14..18].copy_from_slice(&turn.to_be_bytes());
            world.send(0, &frame);
            world.run_for(ms(5));
            if world.sites[1].frames.len() > before {
                passed.get_or_insert(turn);
            }
        }
        let passed = passed.expect("full-size frames pass again");
        assert!(passed < 400, "after {passed} frames, 5 ms apart");
        let late = world.sites[1].frames.len() - before;
        assert!(late as u32 > 2000 - passed - 100, "{late} of 2000 arrived, the first after {passed}");
        assert_eq!(count(&world, 0, ": down"), 0);
    });
}

#[test]
fn a_path_of_500_ms_is_slow_and_nothing_else() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        world.set_wire(0, 1, Wire { jitter: ms(seed % 20), ..delay(250) });
        assert!(world.run_until(seconds(5), all_up), "{:?}", world.events(0));
        let mut stream = Stream::new(ms(20));
        stream.run(&mut world, seconds(60));
        world.run_for(seconds(2));
        for site in 0..2 {
            assert_eq!(stream.lost_and_doubled(&world, site), (0, 0));
            assert_eq!(count(&world, site, ": down"), 0, "{:?}", world.events(site));
            assert_eq!(suspicions(&world, site), 0);
        }
    });
}

#[test]
fn a_path_that_swallows_one_direction_is_noticed_at_both_ends_and_used_again() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        assert!(world.run_until(seconds(1), all_up));
        world.deaf = Some(World::ip(seed as usize % 2));
        let mut stream = Stream::new(ms(20));
        stream.run(&mut world, seconds(20));
        for site in 0..2 {
            assert!(world.state(site, 0) != Some(State::Up), "{:?}", world.events(site));
            assert!(!world.reason(site, 0).is_empty());
        }
        world.deaf = None;
        assert!(world.run_until(seconds(40), all_up), "{:?}", world.events(0));
    });
}

#[test]
fn thirty_percent_loss_leaves_the_link_usable() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        world.set_wire(0, 1, Wire { loss: 300, jitter: ms(5), ..delay(15) });
        assert!(world.run_until(seconds(30), all_up), "{:?}", world.events(0));
        let mut stream = Stream::new(ms(10));
        stream.run(&mut world, seconds(120));
        world.run_for(seconds(1));
        for site in 0..2 {
            let (lost, doubled) = stream.lost_and_doubled(&world, site);
            assert!(lost * 100 < stream.sent as usize * 36 && doubled == 0, "{lost} of {}", stream.sent);
            assert_eq!(count(&world, site, ": down"), 0, "{:?}", world.events(site));
        }
    });
}

#[test]
fn a_reboot_of_either_end_at_the_same_address_is_over_in_three_seconds() {
    for_seeds(|seed| {
        let (mut world, ca) = by_name(seed);
        let mut stream = Stream::new(ms(20));
        stream.run(&mut world, seconds(1));
        let site = seed as usize % 2;
        for pause in [ms(20), ms(400), seconds(4), seconds(45)] {
            world.kill(site);
            stream.run(&mut world, pause);
            let other = 1 - site;
            let peers = vec![named_peer(&name(other), &format!("{}.example", name(other)))];
            let again = config(ca.credentials(&name(site), site as u16 + 1), peers, seed + 1);
            world.start(site, node(again));
            let heard = world.sites[other].frames.len();
            let start = world.now;
            while world.sites[other].frames.len() == heard || world.links_up(site) == 0 {
                stream.run(&mut world, ms(20));
                assert!(world.now - start < seconds(3), "{pause:?}: {:?}", world.events(other));
            }
        }
    });
}

#[test]
fn a_restart_that_takes_no_time_is_known_by_the_first_hello() {
    for_seeds(|seed| {
        let (mut world, ca) = mesh(seed, 2);
        let mut stream = Stream::new(ms(5));
        stream.run(&mut world, seconds(2));
        let mut again =
            config(ca.credentials(&name(1), 2), vec![peer(Some(&name(0)), &[World::ip(0)])], seed);
        again.links.epoch += 1;
        world.kill(1);
        world.start(1, node(again));
        stream.silence = [Duration::ZERO; 2];
        stream.run(&mut world, seconds(2));
        // A handshake over 20 ms, and the way back: well before the 120 ms after which silence is suspect.
        assert!(stream.worst() < ms(100), "{:?} {:?}", stream.silence, world.events(0));
        assert_eq!(count(&world, 0, ": down"), 0, "{:?}", world.events(0));
        let node = world.sites[0].node.as_ref().expect("runs");
        assert_eq!(node.links().connections().filter(|own| own.is_up()).count(), 2);
    });
}

#[test]
fn a_node_that_begins_again_in_the_same_second_is_heard_before_its_links_were_missed() {
    for_seeds(|seed| {
        // In a row, so that its broadcasts are numbered.
        let (sites, ca, mut world) = (3, Ca::new(), World::new(seed));
        let begin = |world: &mut World, site: usize, seed: u64| {
            let near = [site.wrapping_sub(1), site + 1].into_iter().filter(|other| *other < sites);
            let peers = near.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
            let mut config = config(ca.standing_credentials(&name(site), site as u16 + 1), peers, seed);
            config.links.seed[31] = seed as u8;
            world.start(site, node(config));
        };
        world.add_many(sites);
        (0..sites).for_each(|site| begin(&mut world, site, seed));
        world.run_for(seconds(40));
        let (site, others) = [(0, [1, 2]), (2, [0, 1])][seed as usize % 2];
        let heard = |world: &World| others.map(|other| world.sites[other].frames.len());
        let say = |world: &mut World, times: usize| {
            let before = heard(world);
            for _ in 0..times {
                world.send(site, &broadcast(site as u8 + 1, 100));
                world.run_for(ms(20));
            }
            world.run_for(seconds(1));
            let after = heard(world);
            [after[0] - before[0], after[1] - before[1]]
        };
        assert_eq!(say(&mut world, 100), [100, 100]);
        world.kill(site);
        begin(&mut world, site, seed + 1);
        world.run_for(seconds(5));
        assert_eq!(say(&mut world, 3), [3, 3], "{:?}", world.events(1));
    });
}

#[test]
fn an_hour_of_load_with_jitter_and_five_percent_loss_raises_no_false_alarm() {
    for (wire, every) in [
        (Wire { loss: 50, jitter: ms(15), ..delay(15) }, ms(40)),
        (Wire { loss: 50, jitter: ms(15), ..delay(15) }, ms(4000)),
    ] {
        let (mut world, _) = mesh(1, 2);
        world.set_wire(0, 1, wire);
        assert!(world.run_until(seconds(10), all_up));
        let mut stream = Stream::new(every);
        // How much the path loses is learned in the first minute.
        stream.run(&mut world, seconds(60));
        let before = [suspicions(&world, 0), suspicions(&world, 1)];
        stream.run(&mut world, seconds(3600));
        assert_eq!((count(&world, 0, ": down"), count(&world, 1, ": down")), (0, 0), "{:?}", world.events(0));
        assert_eq!([suspicions(&world, 0), suspicions(&world, 1)], before, "a frame every {every:?}");
    }
}

#[test]
fn under_traffic_a_dead_path_of_30_ms_is_suspect_after_about_150_ms() {
    for_seeds(|seed| {
        let (mut world, _) = mesh(seed, 2);
        world.set_wire(0, 1, Wire { jitter: ms(2), ..delay(14) });
        assert!(world.run_until(seconds(1), all_up));
        let mut stream = Stream::new(ms(5));
        stream.run(&mut world, seconds(3));
        world.set_wire(0, 1, Wire { cut: true, ..Wire::default() });
        let cut = world.now;
        while suspicions(&world, 0) == 0 {
            stream.run(&mut world, ms(5));
        }
        let first = world.now - cut;
        assert!(first >= ms(90) && first <= ms(170), "the connection in use: {first:?}");
        while world.state(0, 0) == Some(State::Up) {
            stream.run(&mut world, ms(5));
        }
        let all = world.now - cut;
        assert!(all <= ms(260), "both of them: {all:?}");
    });
}

#[test]
fn fast_detect_finds_a_silent_death_of_an_idle_peer_in_two_and_a_half_seconds() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        let mut impatient = config(ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(1)])], seed);
        impatient.links.fast_detect = true;
        world.start(0, node(impatient));
        world.start(1, node(config(ca.credentials("b", 2), vec![], seed)));
        assert!(world.run_until(seconds(1), all_up));
        world.run_for(seconds(20) + ms(37 * seed));
        let before = world.datagrams;
        world.run_for(seconds(60));
        let datagrams = world.datagrams - before;
        assert!((115..=190).contains(&datagrams), "{datagrams}: a PING and an ACK a second");
        world.kill(1);
        assert!(world.run_until(ms(2500), |world| world.links_up(0) == 0));
    });
}

#[test]
fn one_of_five_that_flaps_floods_and_loses_half_costs_the_others_nothing() {
    for_seeds(|seed| {
        let (mut world, ca) = mesh(seed, 5);
        assert!(world.run_until(seconds(2), |world| (0..5).all(|site| world.links_up(site) == 4)));
        world.run_for(seconds(1));
        for other in 0..4 {
            world.set_wire(other, 4, Wire { loss: 500, jitter: ms(50), ..delay(20) });
        }
        let mut sent = 0;
        for turn in 0..300_u32 {
            if turn % 30 == 7 {
                world.kill(4);
                let others = (0..4).map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
                world.start(4, node(config(ca.credentials(&name(4), 5), others, seed + u64::from(turn))));
            }
            for n in 0..50 {
                world.send(4, &crate::members::broadcast(0x50 + n as u8, 1400));
            }
            let mut frame = crate::members::broadcast(1, 100);
            frame[14..18].copy_from_slice(&turn.to_be_bytes());
            world.send(0, &frame);
            sent += 1;
            world.run_for(ms(100));
        }
        world.run_for(seconds(1));
        for site in 1..4 {
            let own = world.sites[site].frames.iter().filter(|frame| frame[11] == 1 && frame.len() == 100);
            assert_eq!(own.count(), sent, "what site 0 sent to site {site}");
        }
        for site in 0..4 {
            let lines = world.events(site);
            assert!(lines.iter().all(|l| !l.contains(": down") || l.contains("site-4")), "{lines:?}");
        }
    });
}
