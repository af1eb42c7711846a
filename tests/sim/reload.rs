//! Changed certificates, CRLs and peers while the network runs.

use std::time::Duration;

use quicap::mesh::switch::UnknownUnicast;
use quicap::node::{Reload, carrier};

use crate::for_seeds;
use crate::members::{Ca, broadcast, config, mesh, name, node, peer};
use crate::world::World;

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
        unknown_unicast: UnknownUnicast::Limited,
        carrier: carrier::Config::default(),
    };
    world.sites[site].node.as_mut().expect("runs").reload(now, change).expect("is taken");
    world.drain(site);
}

/// Certificates of the running node, with another CRL.
fn with_crl(world: &World, ca: &Ca, site: usize, crl: &str) -> quicap::link::Credentials {
    let mut credentials = ca.credentials_with_crl(&name(site), site as u16 + 1, Some(crl));
    credentials.me = world.sites[site].node.as_ref().expect("runs").links().me().clone();
    credentials
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
