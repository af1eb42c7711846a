//! Certificates over time: clocks that wake up in 1970 or jump, certificates that end, lists and certificates that are
//! renewed while everything runs.

use std::time::Duration;

use quicap::link::Credentials;
use quicap::node::Node;
use quicap::pki::clock::WallClock;
use quicap::pki::timekeeper::Reading;
use quicap::types::DropReason;

use crate::for_seeds;
use crate::members::{Ca, Terms, broadcast, config, name, node, peer};
use crate::world::World;

/// 2027-03-01: later than any build of this source, and within the certificates that are not made otherwise.
const NOW: u32 = 1_803_859_200;
const DAY: u32 = 86_400;
const SECOND: Duration = Duration::from_secs(1);
/// Ends with the first second after [`NOW`].
const UNTIL_NOW: (i32, u8, u8) = (2027, 3, 1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn node_of(world: &mut World, site: usize) -> &mut Node {
    world.sites[site].node.as_mut().expect("runs")
}

/// Sites with these credentials, each knows the others; all clocks show `unix_s`.
fn start(seed: u64, credentials: Vec<Credentials>, unix_s: u32, trusted: bool) -> World {
    let mut world = World::new(seed);
    let sites = credentials.len();
    world.add_many(sites);
    for (site, credentials) in credentials.into_iter().enumerate() {
        let others = (0..sites).filter(|other| *other != site);
        let peers = others.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
        let mut config = config(credentials, peers, seed);
        config.links.clock = WallClock::new(unix_s, trusted);
        world.start(site, node(config));
    }
    world
}

fn members(ca: &Ca, sites: usize) -> Vec<Credentials> {
    (0..sites).map(|site| ca.credentials(&name(site), site as u16 + 1)).collect()
}

/// As the daemon does after a step of the clock.
fn set_clock(world: &mut World, site: usize, unix_s: u32, synced: Option<u64>) {
    let now = world.now;
    let reading = Reading { unix: seconds(unix_s.into()), synced };
    node_of(world, site).handle_clock(now, reading);
    world.drain(site);
}

fn renew(world: &mut World, site: usize, credentials: Credentials) {
    let now = world.now;
    node_of(world, site).renew(now, credentials).expect("is taken");
    world.drain(site);
}

fn ups<const N: usize>(world: &World) -> [usize; N] {
    std::array::from_fn(|site| world.links_up(site))
}

fn said(world: &World, site: usize, words: &str) -> usize {
    world.events(site).iter().filter(|line| line.contains(words)).count()
}

#[test]
fn routers_that_wake_up_in_1970_link_and_judge_dates_as_soon_as_they_know_them() {
    for_seeds(|seed| {
        let ca = Ca::new();
        let ended = Terms { to: (2026, 12, 1), ..Terms::default() };
        let revoked = ca.credentials(&name(3), 4);
        let crl = ca.revoke(&[revoked.me.serial.as_bytes()]);
        let mut credentials: Vec<_> = [0, 1]
            .map(|site| ca.credentials_for(&name(site), site as u16 + 1, Some(&crl), &Terms::default()))
            .into();
        credentials.push(ca.credentials_for(&name(2), 3, Some(&crl), &ended));
        credentials.push(revoked);
        let mut world = start(seed, credentials, 60, false);
        world.run_for(seconds(20));
        assert_eq!(ups(&world), [2, 2, 2, 0], "dates are unknown, the list counts");
        assert!(world.reason(3, 0).contains("was revoked"), "{}", world.reason(3, 0));
        for site in [0, 1, 2, 3] {
            set_clock(&mut world, site, NOW, Some(1));
        }
        world.run_for(SECOND);
        assert_eq!(ups(&world), [1, 1, 0, 0]);
        for (site, link) in [(0, 1), (1, 1), (2, 0), (2, 1)] {
            let reason = world.reason(site, link);
            assert!(reason.contains("certificate expired on 2026-12-01"), "{site}: {reason}");
        }
        world.run_for(seconds(60));
        assert_eq!(ups(&world), [1, 1, 0, 0], "they stay out");
        assert_eq!((said(&world, 0, "clock trusted"), said(&world, 0, "down: ")), (1, 1));
    });
}

#[test]
fn a_clock_that_jumps_ten_years_ahead_cuts_nobody_until_that_is_confirmed() {
    for_seeds(|seed| {
        let ca = Ca::new();
        let mut world = start(seed, members(&ca, 3), NOW, true);
        world.run_for(seconds(5));
        let later = NOW + 3650 * DAY;
        set_clock(&mut world, 0, later, Some(1));
        world.run_for(seconds(60));
        assert_eq!(ups(&world), [2, 2, 2]);
        assert_eq!(said(&world, 0, "clock not trusted: it jumped"), 1);
        // Who comes back is judged by the time before.
        world.kill(1);
        world.run_for(seconds(20));
        assert_eq!(ups(&world), [1, 0, 1]);
        let mut again =
            config(ca.credentials(&name(1), 2), vec![peer(Some(&name(0)), &[World::ip(0)])], seed);
        again.links.clock = WallClock::new(NOW, true);
        world.start(1, node(again));
        assert!(world.run_until(seconds(5), |world| world.links_up(0) == 2), "{:?}", world.events(0));
        set_clock(&mut world, 0, later + 85, Some(2));
        world.run_for(seconds(3600));
        assert_eq!(world.links_up(0), 2, "an early answer confirms nothing");
        set_clock(&mut world, 0, later + 3700, Some(3));
        world.run_for(SECOND);
        assert_eq!(world.links_up(0), 0);
        assert_eq!((world.links_up(1), said(&world, 0, "clock trusted")), (1, 1), "1 and 2 know each other");
        for (site, link) in [(0, 0), (0, 1), (2, 0)] {
            let reason = world.reason(site, link);
            assert!(reason.contains("certificate expired on 2030-01-01"), "{site}: {reason}");
        }
    });
}

#[test]
fn a_clock_that_jumps_back_cuts_nobody_and_an_operator_may_confirm_any_jump() {
    let ca = Ca::new();
    let mut world = start(1, members(&ca, 2), NOW, true);
    world.run_for(seconds(5));
    set_clock(&mut world, 0, NOW - 5000 * DAY, Some(1));
    world.run_for(seconds(60));
    assert_eq!(ups(&world), [1, 1]);
    assert!(said(&world, 0, "clock not trusted") == 1, "{:?}", world.events(0));
    set_clock(&mut world, 0, NOW + 65, Some(2));
    assert_eq!(said(&world, 0, "clock trusted"), 1, "back in place");
    let (now, unix) = (world.now, seconds((NOW + 3650 * DAY).into()));
    set_clock(&mut world, 0, NOW + 3650 * DAY, Some(3));
    assert_eq!(ups(&world), [1, 1]);
    node_of(&mut world, 0).confirm_clock(now, Reading { unix, synced: Some(3) });
    world.drain(0);
    world.run_for(SECOND);
    assert_eq!(ups(&world), [0, 0]);
}

#[test]
fn a_certificate_that_ends_while_its_node_is_linked_ends_the_link_within_a_second() {
    for_seeds(|seed| {
        let ca = Ca::new();
        let mut credentials = members(&ca, 3);
        credentials[2] = ca.credentials_for(&name(2), 3, None, &Terms { to: UNTIL_NOW, ..Terms::default() });
        let mut world = start(seed, credentials, NOW - 30, true);
        world.run_for(seconds(30));
        assert_eq!(ups(&world), [2, 2, 2], "the last second counts");
        world.run_for(SECOND + Duration::from_millis(500));
        assert_eq!(ups(&world), [1, 1, 0]);
        for (site, link) in [(0, 1), (1, 1), (2, 0), (2, 1)] {
            let reason = world.reason(site, link);
            assert!(reason.contains("certificate expired on 2027-03-01"), "{site}: {reason}");
        }
        assert_eq!(said(&world, 2, "our certificate expired on 2027-03-01, and others refuse it"), 1);
        world.run_for(seconds(60));
        assert_eq!(ups(&world), [1, 1, 0]);
    });
}

#[test]
fn a_new_list_ends_the_links_of_who_is_on_it_within_a_second_and_asks_nobody_else() {
    for_seeds(|seed| {
        let ca = Ca::new();
        let credentials = members(&ca, 3);
        let mut world = start(seed, credentials.clone(), NOW, true);
        world.run_for(seconds(5));
        let crl = ca.revoke(&[credentials[2].me.serial.as_bytes()]);
        for site in [0, 1] {
            let trust = ca.credentials_with_crl(&name(site), site as u16 + 1, Some(&crl)).trust;
            renew(&mut world, site, Credentials { trust, ..credentials[site].clone() });
        }
        world.run_for(SECOND);
        assert_eq!(ups(&world), [1, 1, 0]);
        assert!(world.reason(0, 1).contains("was revoked"), "{}", world.reason(0, 1));
        assert!(world.reason(2, 0).contains("was revoked"), "{}", world.reason(2, 0));
    });
}

/// Frames both ways, one each 5 ms; how many have arrived.
fn talk(world: &mut World, frames: usize) -> [usize; 2] {
    let before = [0, 1].map(|site| world.sites[site].frames.len());
    for n in 0..frames {
        world.send(0, &broadcast(1, 100 + n % 1000));
        world.send(1, &broadcast(2, 100 + n % 1000));
        world.run_for(Duration::from_millis(5));
    }
    world.run_for(SECOND);
    [0, 1].map(|site| world.sites[site].frames.len() - before[site])
}

/// Fingerprints that the peer of a site has shown: on the connection that we dialed, and on the other.
fn shown(world: &mut World, site: usize) -> Vec<quicap::types::Fingerprint> {
    let links = node_of(world, site).links();
    let up = links.iter().flat_map(|link| link.connections.iter());
    let members = up.filter_map(|(slot, _)| links.connection(*slot)?.member.clone());
    members.map(|member| member.fingerprint).collect()
}

#[test]
fn a_renewed_certificate_is_shown_on_all_connections_without_the_loss_of_a_frame() {
    for_seeds(|seed| {
        let ca = Ca::new();
        let mut world = start(seed, members(&ca, 2), NOW, true);
        world.run_for(seconds(5));
        let terms = Terms { from: (2026, 2, 1), ..Terms::default() };
        let renewed = ca.credentials_for(&name(0), 1, None, &terms);
        let fingerprint = renewed.me.fingerprint;
        renew(&mut world, 0, renewed);
        assert_eq!(talk(&mut world, 2000), [2000, 2000]);
        assert_eq!(shown(&mut world, 1), [fingerprint, fingerprint]);
        assert_eq!((said(&world, 0, "down"), said(&world, 1, "down")), (0, 0));
        for site in [0, 1] {
            assert_eq!(world.sites[site].carrier_changes.len(), 1);
            assert_eq!(world.sites[site].node.as_ref().expect("runs").links().connections_used(), 2);
        }
    });
}

#[test]
fn rights_of_a_renewed_certificate_count_at_once_and_those_of_an_older_one_no_more() {
    let ca = Ca::new();
    let one_station = Terms { rights: &["quicap:mac=02:00:00:00:00:09"], ..Terms::default() };
    let old = ca.credentials_for(&name(0), 1, None, &one_station);
    let mut world = start(1, vec![old.clone(), ca.credentials(&name(1), 2)], NOW, true);
    world.run_for(seconds(5));
    world.send(0, &broadcast(1, 100));
    assert_eq!(world.drops(0, DropReason::Rights), 1);
    let new = ca.credentials_for(&name(0), 1, None, &Terms { from: (2026, 2, 1), ..Terms::default() });
    renew(&mut world, 0, new.clone());
    world.run_for(seconds(5));
    world.send(0, &broadcast(1, 100));
    world.run_for(SECOND);
    assert_eq!((world.sites[1].frames.len(), world.drops(1, DropReason::Rights)), (1, 0));
    renew(&mut world, 0, old);
    world.run_for(seconds(5));
    let member = node_of(&mut world, 1).links().iter().find_map(|link| link.member.clone());
    assert_eq!(member.map(|member| member.fingerprint), Some(new.me.fingerprint));
}

#[test]
fn who_only_dials_is_asked_for_a_later_certificate_an_hour_before_the_end_of_the_one_it_knows() {
    for seed in 1..=3 {
        let ca = Ca::new();
        let mut credentials = members(&ca, 2);
        credentials[0] = ca.credentials_for(&name(0), 1, None, &Terms { to: UNTIL_NOW, ..Terms::default() });
        let mut world = World::new(seed);
        world.add_many(2);
        // Site 0 knows no address, so it cannot dial to show what it has.
        for (site, credentials) in credentials.into_iter().enumerate() {
            let peers = if site == 1 { vec![peer(Some(&name(0)), &[World::ip(0)])] } else { vec![] };
            let mut config = config(credentials, peers, seed);
            config.links.clock = WallClock::new(NOW - 2 * 3600, true);
            world.start(site, node(config));
        }
        world.run_for(seconds(5));
        let later = ca.credentials_for(&name(0), 1, None, &Terms { from: (2026, 2, 1), ..Terms::default() });
        let fingerprint = later.me.fingerprint;
        renew(&mut world, 0, later);
        world.run_for(seconds(60));
        assert_ne!(shown(&mut world, 1), [fingerprint]);
        world.run_for(seconds(3600 - 70));
        assert_eq!(talk(&mut world, 2000), [2000, 2000]);
        assert_eq!(shown(&mut world, 1), [fingerprint]);
        world.run_for(seconds(3590));
        assert_eq!(talk(&mut world, 2000), [2000, 2000], "beyond the end of the old one");
        assert_eq!((said(&world, 1, "up after"), said(&world, 1, "down")), (1, 0));
    }
}

#[test]
fn the_end_of_our_own_certificate_is_announced_and_warned_of_while_it_lasts() {
    let ca = Ca::new();
    let own = ca.credentials_for(&name(0), 1, None, &Terms { to: UNTIL_NOW, ..Terms::default() });
    let mut world = start(1, vec![own], NOW - 50 * DAY, true);
    for days in [31, 30, 29, 8, 7, 2, 1] {
        set_clock(&mut world, 0, NOW - days * DAY, Some(1));
        world.run_for(SECOND);
    }
    let lines: Vec<String> =
        world.events(0).into_iter().filter(|line| line.contains("our certificate")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, left) in lines.iter().zip(["30 days", "7 days", "24 hours"]) {
        assert!(line.contains(&format!("expires in {left}, on 2027-03-01")), "{line}");
    }
    assert_eq!(node_of(&mut world, 0).warnings().len(), 1);
    renew(&mut world, 0, ca.credentials(&name(0), 1));
    assert_eq!(node_of(&mut world, 0).warnings(), Vec::<String>::new());
}
