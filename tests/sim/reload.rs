//! Changed certificates, CRLs and peers while the network runs.

use std::time::Duration;

use quicap::mesh::switch;
use quicap::node::{Reload, carrier};
use quicap::types::{MacAddr, NodeId};

use crate::for_seeds;
use crate::members::{Ca, broadcast, config, mesh, name, named_peer, node, peer};
use crate::world::{Wire, World};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn reload(
    world: &mut World,
    site: usize,
    credentials: quicap::link::Credentials,
    peers: Vec<quicap::link::peer::Config>,
) {
    let now = world.now;
    let change = Reload {
        credentials,
        peers,
        switch: switch::Config::default(),
        fast_detect: false,
        carrier: carrier::Config::default(),
    };
    world.sites[site].node.as_mut().expect("runs").reload(now, change).expect("is taken");
    world.drain(site);
}

/// Certificates of the running node, with another CRL.
fn with_crl(world: &World, ca: &Ca, site: usize, crl: &str) -> quicap::link::Credentials {
    let trust = ca.credentials_with_crl(&name(site), site as u16 + 1, Some(crl)).trust;
    let own = world.sites[site].node.as_ref().expect("runs").links().credentials();
    quicap::link::Credentials { trust, ..own.clone() }
}

#[test]
fn a_revoked_node_is_cut_at_once_and_stays_out() {
    for_seeds(|seed| {
        let (mut world, ca) = mesh(seed, 3);
        world.run_for(seconds(2));
        assert_eq!([0, 1, 2].map(|site| world.links_up(site)), [2, 2, 2]);
        let revoked = world.sites[2].node.as_ref().expect("runs").links().me().serial;
        let crl = ca.revoke(&[revoked.as_bytes()]);
        for site in [0, 1] {
            let others = (0..3).filter(|other| *other != site);
            let peers = others.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
            let credentials = with_crl(&world, &ca, site, &crl);
            reload(&mut world, site, credentials, peers);
        }
        world.run_for(seconds(1));
        assert_eq!([0, 1, 2].map(|site| world.links_up(site)), [1, 1, 0]);
        world.run_for(seconds(60));
        assert_eq!([0, 1, 2].map(|site| world.links_up(site)), [1, 1, 0], "it dials, and stays out");
        for site in [0, 1] {
            assert!(world.reason(site, 1).contains("was revoked"), "{}", world.reason(site, 1));
        }
        assert!(world.reason(2, 0).contains("was revoked"), "{}", world.reason(2, 0));
    });
}

#[test]
fn a_list_that_walked_while_a_node_was_away_meets_it_when_it_is_back() {
    // 0 ---- 1 --x-- 2 ---- 3: the list is given to 0 while 2 and 3, which it revokes, are cut off.
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(4);
        for site in 0..4 {
            let next: Vec<_> = (site + 1..4).take(1).collect();
            let peers = next.into_iter().map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
            world.start(site, node(config(ca.credentials(&name(site), site as u16 + 1), peers, seed)));
        }
        world.run_for(seconds(3));
        assert_eq!(known(&world), [4, 4, 4, 4]);
        let wire = world.wire(1, 2);
        world.set_wire(1, 2, Wire { cut: true, ..wire });
        // From a moment, after which the connections live on, to long enough for all to begin anew.
        world.run_for(seconds([1, 5, 60][seed as usize % 3]));
        let revoked = world.sites[3].node.as_ref().expect("runs").links().me().serial;
        let credentials = with_crl(&world, &ca, 0, &ca.revoke(&[revoked.as_bytes()]));
        reload(&mut world, 0, credentials, vec![peer(Some(&name(1)), &[World::ip(1)])]);
        world.run_for(seconds(1));
        assert_eq!(known(&world)[2..], [4, 4], "there, nobody knows of it");
        world.set_wire(1, 2, wire);
        assert!(world.run_until(seconds(70), |world| world.links_up(1) == 2));
        let is_out = |world: &World| world.links_up(2) == 1 && known(world)[..3] == [3, 3, 3];
        assert!(world.run_until(seconds(5), is_out), "{:?}", known(&world));
    });
}

/// Of how many members each node knows.
fn known(world: &World) -> Vec<usize> {
    world.sites.iter().map(|site| site.node.as_ref().expect("runs").members().len()).collect()
}

#[test]
fn a_changed_peer_touches_no_other_link() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(6);
        let credentials = ca.credentials("hub", 1);
        let spokes = |addresses: [u8; 5]| -> Vec<_> {
            let one = |(n, address)| peer(Some(&name(n + 1)), &[World::ip(usize::from(address))]);
            addresses.into_iter().enumerate().map(one).collect()
        };
        world.start(0, node(config(credentials.clone(), spokes([1, 2, 3, 4, 5]), seed)));
        for site in 1..6 {
            world.start(site, node(config(ca.credentials(&name(site), site as u16 + 1), vec![], seed)));
        }
        world.run_for(seconds(1));
        assert_eq!(world.links_up(0), 5);
        reload(&mut world, 0, credentials.clone(), spokes([1, 2, 77, 4, 5]));
        for n in 0..50 {
            world.send(0, &broadcast(1, 100 + n));
            world.run_for(Duration::from_millis(10));
        }
        world.run_for(seconds(1));
        let heard: Vec<usize> = world.sites.iter().map(|site| site.frames.len()).collect();
        assert_eq!(heard, [0, 50, 50, 50, 50, 50], "an up link stays up with its old address");
        let four: Vec<_> = spokes([1, 2, 3, 4, 5]).into_iter().filter(|p| p.name != Some(name(3))).collect();
        reload(&mut world, 0, credentials, four);
        world.run_for(seconds(1));
        assert_eq!(world.links_up(0), 4);
        assert_eq!(world.links_up(3), 0);
        world.send(0, &broadcast(1, 60));
        world.run_for(seconds(1));
        let heard: Vec<usize> = world.sites.iter().map(|site| site.frames.len()).collect();
        assert_eq!(heard, [0, 51, 51, 50, 51, 51]);
    });
}

#[test]
fn a_list_that_was_lost_with_a_connection_is_told_again_by_the_next() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        // Each dials the other; what the first sends to this address is carried by its own connection.
        let far = World::ip(11);
        world.aliases.insert(far, 1);
        let peers = |site: usize| vec![peer(Some(&name(1 - site)), &[[far, World::ip(0)][site]])];
        for site in 0..2 {
            let credentials = ca.credentials(&name(site), site as u16 + 1);
            world.start(site, node(config(credentials, peers(site), seed)));
        }
        world.run_for(seconds(3));
        let connections = |world: &World| {
            let links = world.sites[0].node.as_ref().expect("runs").links();
            links.iter().next().map_or(0, |link| link.connections.len())
        };
        assert_eq!(connections(&world), 2);
        world.ways.insert(far, Wire { cut: true, ..Wire::default() });
        let credentials = with_crl(&world, &ca, 0, &ca.revoke(&[&[1, 2, 3, 4]]));
        reload(&mut world, 0, credentials, peers(0));
        world.run_for(seconds(10));
        assert_eq!((connections(&world), world.links_up(1)), (1, 1));
        assert_eq!(lists(&world, 1), Some(2), "{:?}", world.events(1));
    });
}

/// The number of the newest list that the node goes by.
fn lists(world: &World, site: usize) -> Option<u64> {
    world.sites[site].node.as_ref().expect("runs").links().trust().crl_number()
}

#[test]
fn a_list_goes_over_each_link_once() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(4);
        let peers = |site: usize| {
            let near = [site.wrapping_sub(1), site + 1].into_iter().filter(|other| *other < 4);
            near.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect::<Vec<_>>()
        };
        for site in 0..4 {
            let credentials = ca.credentials(&name(site), site as u16 + 1);
            world.start(site, node(config(credentials, peers(site), seed)));
        }
        world.run_for(seconds(5));
        let serials: Vec<[u8; 4]> = (0..1000_u32).map(|n| (n | 1 << 30).to_be_bytes()).collect();
        let crl = ca.revoke(&serials.iter().map(|serial| &serial[..]).collect::<Vec<_>>());
        let credentials = with_crl(&world, &ca, 0, &crl);
        let length: u64 = credentials.trust.told_crls().map(|crl| crl.der.len() as u64).sum();
        assert!(length > 20_000);
        let before = world.bytes;
        reload(&mut world, 0, credentials, peers(0));
        world.run_for(seconds(5));
        assert_eq!([0, 1, 2, 3].map(|site| lists(&world, site)), [Some(2); 4]);
        let times = (world.bytes - before) as f64 / length as f64;
        assert!(times < 3.9, "{times:.2} lists over three links");
    });
}

#[test]
fn a_peer_that_is_added_comes_up() {
    let mut world = World::new(4);
    let ca = Ca::new();
    world.add_many(2);
    let credentials = ca.credentials("a", 1);
    world.start(0, node(config(credentials.clone(), vec![], 4)));
    world.start(1, node(config(ca.credentials("b", 2), vec![], 4)));
    world.run_for(seconds(1));
    assert_eq!(world.links_up(0), 0);
    reload(&mut world, 0, credentials, vec![peer(Some("b"), &[World::ip(1)])]);
    assert!(world.run_until(seconds(1), |world| world.links_up(0) == 1));
}

#[test]
fn a_node_that_begins_learns_from_a_neighbor_where_all_hosts_are() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(4);
        let begin = |world: &mut World, site: usize| {
            let near = [site.wrapping_sub(1), site + 1].into_iter().filter(|other| *other < 4);
            let peers = near.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
            world.start(site, node(config(ca.credentials(&name(site), site as u16 + 1), peers, seed)));
        };
        (1..4).for_each(|site| begin(&mut world, site));
        world.run_for(seconds(3));
        (1..4).for_each(|site| world.send(site, &broadcast(site as u8, 100)));
        world.run_for(seconds(1));
        begin(&mut world, 0);
        assert!(world.run_until(seconds(2), |world| world.links_up(0) == 1));
        world.run_for(seconds(2));
        let owners = world.sites[0].node.as_ref().expect("runs").switch().owners();
        for site in 1..4 {
            let host = MacAddr([2, 0, 0, 0, 0, site as u8]);
            assert_eq!(owners.find(world.now, host), NodeId::new(site + 1), "behind {site}");
        }
    });
}

#[test]
fn frames_go_to_the_hosts_of_a_peer_as_soon_as_it_is_within_reach_again() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(2);
        let (credentials, peers) = (ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(1)])]);
        world.start(0, node(config(credentials.clone(), peers.clone(), seed)));
        world.start(1, node(config(ca.credentials("b", 2), vec![peer(Some("a"), &[World::ip(0)])], seed)));
        world.run_for(seconds(1));
        world.send(1, &broadcast(2, 100));
        world.run_for(seconds(1));
        let sees = |world: &World| {
            let node = world.sites[0].node.as_ref().expect("runs");
            let (id, host) = (NodeId::new(2).expect("an id"), MacAddr([2, 0, 0, 0, 0, 2]));
            (node.fabric().way(id).is_some(), node.switch().owners().find(world.now, host) == Some(id))
        };
        assert_eq!(sees(&world), (true, true));
        reload(&mut world, 0, credentials.clone(), vec![]);
        world.run_for(Duration::from_millis(100));
        assert_eq!(sees(&world), (false, false));
        reload(&mut world, 0, credentials, peers);
        assert!(world.run_until(seconds(1), |world| sees(world).0));
        assert_eq!(sees(&world), (true, true));
    });
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_drops_none() {
    let (mut world, ca) = mesh(3, 2);
    world.run_for(seconds(1));
    let renewed = ca.credentials(&name(0), 1);
    let fingerprint = renewed.me.fingerprint;
    reload(&mut world, 0, renewed, vec![peer(Some(&name(1)), &[World::ip(1)])]);
    world.run_for(seconds(5));
    assert_eq!(world.sites[1].carrier_changes.len(), 1, "{:?}", world.events(1));
    world.kill(1);
    world.run_for(seconds(10));
    world.start(1, node(config(ca.credentials(&name(1), 2), vec![peer(Some(&name(0)), &[World::ip(0)])], 3)));
    assert!(world.run_until(seconds(5), |world| world.links_up(1) == 1));
    let node = world.sites[1].node.as_ref().expect("runs");
    let member = node.links().iter().find_map(|link| link.member.clone()).expect("a member");
    assert_eq!(member.fingerprint, fingerprint);
}

#[test]
fn a_reload_dials_at_once_who_was_to_be_dialed_later() {
    let mut world = World::new(8);
    let ca = Ca::new();
    world.add_many(2);
    let (credentials, peers) = (ca.credentials("a", 1), vec![peer(Some("b"), &[World::ip(1)])]);
    world.start(0, node(config(credentials.clone(), peers.clone(), 8)));
    world.run_for(seconds(200));
    world.start(1, node(config(ca.credentials("b", 2), vec![], 8)));
    world.run_for(seconds(1));
    assert_eq!(world.links_up(0), 0, "the next attempt is far away");
    reload(&mut world, 0, credentials, peers);
    // An attempt that had begun before the peer was there runs into its end first.
    assert!(world.run_until(seconds(7), |world| world.links_up(0) == 1));
}

#[test]
fn a_peer_that_is_removed_in_the_middle_of_a_race_is_dialed_no_more() {
    let mut world = World::new(8);
    let ca = Ca::new();
    world.add();
    let credentials = ca.credentials("a", 1);
    let peers = vec![peer(Some("b"), &[71, 72, 73, 74, 75].map(World::ip))];
    world.start(0, node(config(credentials.clone(), peers, 8)));
    world.run_for(Duration::from_millis(740));
    // The loop comes late: the next address is due when the signal is handled.
    world.now += Duration::from_millis(20);
    reload(&mut world, 0, credentials, vec![]);
    let dialed = world.stray.len();
    world.run_for(seconds(60));
    let node = world.sites[0].node.as_ref().expect("runs");
    assert_eq!((node.links().iter().count(), node.links().connections_used()), (0, 0));
    assert!(world.stray.len() - dialed <= 6, "goodbyes only");
    let said = world.events(0);
    assert!(said.iter().any(|line| line == "peer b: removed"), "{said:?}");
    assert!(said.iter().all(|line| !line.starts_with("no longer")), "each line says who: {said:?}");
}

#[test]
fn an_answer_of_the_name_server_outlives_the_links_that_went_meanwhile() {
    let mut world = World::new(8);
    let ca = Ca::new();
    world.add_many(3);
    world.slow_names = true;
    world.names.insert("b.example".into(), vec![World::ip(1)]);
    world.start(0, node(config(ca.credentials("a", 1), vec![named_peer("b", "b.example")], 8)));
    world.start(1, node(config(ca.credentials("b", 2), vec![], 8)));
    world.start(2, node(config(ca.credentials("c", 3), vec![peer(None, &[World::ip(0)])], 8)));
    assert!(world.run_until(seconds(1), |world| world.links_up(0) == 1));
    world.stop(2);
    assert!(world.run_until(seconds(1), |world| world.links_up(0) == 0));
    world.resolve();
    assert!(world.run_until(seconds(1), |world| world.links_up(0) == 1), "{}", world.reason(0, 0));
}

#[test]
fn a_reload_asks_who_is_up_whether_it_still_answers() {
    let (mut world, ca) = mesh(4, 2);
    world.run_for(seconds(60));
    let asked = [0, 1, 2, 3, 4].into_iter().all(|_| {
        world.kill(1);
        let credentials = ca.credentials(&name(0), 1);
        reload(&mut world, 0, credentials, vec![peer(Some(&name(1)), &[World::ip(1)])]);
        let down = world.run_until(Duration::from_millis(1200), |world| world.links_up(0) == 0);
        world.run_for(seconds(1));
        let again = ca.credentials(&name(1), 2);
        world.start(1, node(config(again, vec![peer(Some(&name(0)), &[World::ip(0)])], 4)));
        world.run_for(seconds(32));
        down
    });
    assert!(asked, "{:?}", world.events(0));
}
