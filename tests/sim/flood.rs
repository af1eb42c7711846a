//! Strangers that send first Initials without end, from addresses that are not theirs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use quicap::limits;
use quicap::link::transport::{self, Transports};
use quicap::pki::clock::WallClock;
use quicap::pki::tls::{self, Suites};
use quinn_proto::Endpoint;

use crate::for_seeds;
use crate::members::{Ca, NOW, broadcast, config, node, peer};
use crate::world::World;

/// First datagrams of as many connections, good for once each.
fn initials(world: &World, ca: &Ca, to: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    let stranger = ca.credentials("stranger", 99);
    let clock = WallClock::new(NOW, true);
    let crypto = tls::client_config(&stranger.identity, stranger.trust, clock, Suites::AesFirst, None, false)
        .expect("TLS settings");
    let config = Transports::new(&limits::SERVER).client(to, crypto);
    let mut endpoint = Endpoint::new(transport::endpoint([9; 32]), None, true, None);
    let mut dial = || {
        let (_, mut quinn) = endpoint.connect(world.now, config.clone(), to, "x").expect("dials");
        let mut bytes = Vec::new();
        let transmit = quinn.poll_transmit(world.now, 1, &mut bytes).expect("a first datagram");
        bytes[..transmit.size].to_vec()
    };
    (0..count).map(|_| dial()).collect()
}

/// For this long one Initial each millisecond, each from another address.
fn flood(world: &mut World, to: SocketAddr, initials: &mut impl Iterator<Item = Vec<u8>>, time: Duration) {
    let end = world.now + time;
    while world.now < end {
        let from = Ipv4Addr::from(0x0A00_0000 + world.random(65_000));
        world.inject(SocketAddr::from((from, 4000)), to, &initials.next().expect("one more"));
        world.run_for(Duration::from_millis(1));
    }
}

#[test]
fn a_peer_that_was_good_before_comes_back_during_a_flood_of_handshakes_and_frames_still_pass() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add_many(3);
        let peers = || vec![peer(None, &[World::ip(0)])];
        world.start(0, node(config(ca.credentials("hub", 1), vec![], seed)));
        let (leaf, other) = (ca.credentials("leaf", 2), ca.credentials("other", 3));
        world.start(1, node(config(leaf.clone(), peers(), seed)));
        world.start(2, node(config(other, peers(), seed)));
        assert!(world.run_until(Duration::from_secs(1), |world| world.links_up(0) == 2));
        let to = SocketAddr::new(World::ip(0), 443);
        let mut initials = initials(&world, &ca, to, 4_000).into_iter();
        flood(&mut world, to, &mut initials, Duration::from_secs(1));
        world.kill(1);
        flood(&mut world, to, &mut initials, Duration::from_millis(500));
        world.start(1, node(config(leaf, peers(), seed + 1)));
        flood(&mut world, to, &mut initials, Duration::from_millis(1500));
        assert_eq!(world.links_up(1), 1, "{}", world.reason(1, 0));
        let before = world.sites[0].frames.len();
        world.send(2, &broadcast(2, 900));
        world.run_for(Duration::from_millis(100));
        assert_eq!(world.sites[0].frames.len(), before + 1);
        let hub = world.sites[0].node.as_ref().expect("runs");
        let half_open = hub.links().connections().filter(|c| c.member.is_none()).count();
        assert!(half_open < limits::CONNECTIONS / 2, "{half_open} connections of strangers");
        assert!(hub.links().initials_ignored() > 2_000, "{} ignored", hub.links().initials_ignored());
    });
}

#[test]
fn an_address_that_has_not_proved_itself_is_sent_at_most_three_times_what_came_from_it() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        let ca = Ca::new();
        world.add();
        world.start(0, node(config(ca.credentials("hub", 1), vec![], seed)));
        let to = SocketAddr::new(World::ip(0), 443);
        // Some are answered by a handshake, some by a Retry; of each only the first datagram comes.
        for (n, initial) in initials(&world, &ca, to, 12).into_iter().enumerate() {
            let from = SocketAddr::from(([10, 0, 0, n as u8], 4000));
            world.inject(from, to, &initial);
            world.run_for(Duration::from_millis(20 + seed % 7));
        }
        // As long as the hub repeats what nobody acknowledges.
        world.run_for(Duration::from_secs(20));
        let mut answered = 0;
        for n in 0..12 {
            let address = SocketAddr::from(([10, 0, 0, n], 4000));
            let sent: usize =
                world.stray.iter().filter(|(_, to, _)| *to == address).map(|(_, _, bytes)| bytes.len()).sum();
            assert!(sent <= 3 * 1200, "{sent} bytes to {address}");
            answered += usize::from(sent > 1200);
        }
        assert!(answered >= limits::HALF_OPEN_BEFORE_RETRY, "{answered} were sent more than came from them");
    });
}
