//! Members and strangers that misbehave: driven by hand on the same QUIC library.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quicap::limits;
use quicap::link::Credentials;
use quicap::link::transport::{self, Transports};
use quicap::pki::clock::WallClock;
use quicap::pki::tls::{self, Suites};
use quicap::pki::verify::Member;
use quicap::types::DropReason;
use quicap::wire::control::{self, Hello, Message};
use quinn_proto::{Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, Event, StreamId};

use crate::for_seeds;
use crate::members::{Ca, NETWORK, NOW, broadcast, config, node, peer};
use crate::world::World;

/// A QUIC client with a good certificate and bad manners.
struct Rogue {
    address: SocketAddr,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    quinn: Connection,
    connected: bool,
    lost: Option<String>,
    read: usize,
    me: Member,
}

impl Rogue {
    fn dial(world: &World, ca: &Ca, name: &str, id: u16, to: SocketAddr) -> Self {
        Self::dial_from(world, ca.credentials(name, id), 7000, to)
    }

    fn dial_from(world: &World, credentials: Credentials, port: u16, to: SocketAddr) -> Self {
        let id = credentials.me.id.value();
        let me = credentials.me.clone();
        let clock = WallClock::new(NOW, true);
        let crypto = tls::client_config(
            &credentials.identity,
            credentials.trust,
            clock,
            Suites::AesFirst,
            None,
            false,
        )
        .expect("TLS settings");
        let config = Transports::new(&limits::SERVER).client(to, crypto);
        let mut endpoint = Endpoint::new(transport::endpoint([port as u8; 32]), None, true, None);
        let (handle, quinn) = endpoint.connect(world.now, config, to, "rogue").expect("dials");
        let address = SocketAddr::from(([198, 51, 100, id as u8], port));
        Self { address, endpoint, handle, quinn, connected: false, lost: None, read: world.stray.len(), me }
    }

    /// Exchanges datagrams with the world for this long.
    fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.turn(world);
            world.run_for(Duration::from_millis(5).min(end - world.now));
        }
        self.turn(world);
    }

    fn turn(&mut self, world: &mut World) {
        let mut scratch = Vec::new();
        let arrived: Vec<_> = world.stray.get(self.read..).unwrap_or_default().to_vec();
        self.read = world.stray.len();
        for (from, to, bytes) in arrived {
            if to != self.address {
                continue;
            }
            scratch.clear();
            let event =
                self.endpoint.handle(world.now, from, None, None, BytesMut::from(&bytes[..]), &mut scratch);
            if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
                self.quinn.handle_event(event);
            }
        }
        if self.quinn.poll_timeout().is_some_and(|due| due <= world.now) {
            self.quinn.handle_timeout(world.now);
        }
        while let Some(event) = self.quinn.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.quinn.handle_event(answer);
            }
        }
        while let Some(event) = self.quinn.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::ConnectionLost { reason } => self.lost = Some(reason.to_string()),
                _ => {}
            }
        }
        loop {
            scratch.clear();
            let Some(transmit) = self.quinn.poll_transmit(world.now, 1, &mut scratch) else { break };
            world.inject(self.address, transmit.destination, &scratch[..transmit.size]);
        }
    }

    fn open(&mut self) -> StreamId {
        self.quinn.streams().open(Dir::Bi).expect("a stream")
    }

    /// Says HELLO as this member.
    fn greet(&mut self, member: &Member) -> StreamId {
        let hello = Hello {
            version: control::VERSION,
            id: member.id.value(),
            fingerprint: member.fingerprint,
            epoch: NOW,
            mode: control::MODE_L2,
            flags: 0,
            max_datagram: 1400,
            capabilities: 0,
            network: NETWORK,
        };
        let mut bytes = Vec::new();
        Message::Hello(hello).emit(&mut bytes);
        let stream = self.open();
        self.quinn.send_stream(stream).write(&bytes).expect("writes");
        stream
    }
}

fn listen() -> SocketAddr {
    "192.0.2.1:443".parse().expect("an address")
}

/// A hub, an honest member and a rogue that has connected.
fn scene(seed: u64) -> (World, Ca, Rogue) {
    let mut world = World::new(seed);
    let ca = Ca::new();
    world.add();
    world.add();
    world.start(0, node(config(ca.credentials("hub", 1), vec![], seed)));
    world.start(1, node(config(ca.credentials("leaf", 2), vec![peer(None, &[World::ip(0)])], seed)));
    assert!(world.run_until(Duration::from_secs(1), |world| world.links_up(0) == 1));
    let mut rogue = Rogue::dial(&world, &ca, "rogue", 66, listen());
    rogue.run(&mut world, Duration::from_millis(200));
    assert!(rogue.connected, "{:?}", rogue.lost);
    (world, ca, rogue)
}

/// The honest link still carries.
fn assert_served(world: &mut World) {
    let before = world.sites[0].frames.len();
    world.send(1, &broadcast(2, 900));
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.sites[0].frames.len(), before + 1);
}

#[test]
fn a_peer_that_handshakes_and_says_nothing_is_closed_after_five_seconds() {
    let (mut world, _, mut rogue) = scene(1);
    rogue.run(&mut world, Duration::from_secs(6));
    assert!(rogue.lost.as_deref().is_some_and(|lost| lost.contains("no HELLO in time")), "{:?}", rogue.lost);
    assert_served(&mut world);
    world.run_for(Duration::from_secs(5));
    let hub = world.sites[0].node.as_ref().expect("runs");
    assert_eq!(hub.links().connections_used(), 1, "nothing is left of it");
}

#[test]
fn random_control_bytes_end_the_connection_and_nothing_else() {
    for_seeds(|seed| {
        let (mut world, _, mut rogue) = scene(seed);
        let stream = rogue.open();
        let bytes: Vec<u8> = [1, 0, 9].into_iter().chain((0..9).map(|_| world.random(256) as u8)).collect();
        rogue.quinn.send_stream(stream).write(&bytes).expect("writes");
        rogue.run(&mut world, Duration::from_secs(1));
        let lost = rogue.lost.clone();
        assert!(lost.as_deref().is_some_and(|lost| lost.contains("malformed control message")), "{lost:?}");
        assert_served(&mut world);
    });
}

#[test]
fn a_hello_that_claims_to_be_someone_else_is_refused() {
    let (mut world, ca, mut rogue) = scene(1);
    rogue.greet(&ca.credentials("leaf", 2).me);
    rogue.run(&mut world, Duration::from_secs(1));
    let lost = rogue.lost.clone().unwrap_or_default();
    assert!(lost.contains("HELLO says node 2, the certificate 66"), "{lost}");
    let events = world.events(0);
    assert!(events.iter().any(|line| line.contains("HELLO says node 2")), "{events:?}");
    assert_served(&mut world);
}

#[test]
fn further_streams_and_datagrams_before_hello_are_ignored() {
    let (mut world, _, mut rogue) = scene(1);
    for _ in 0..4 {
        if let Some(stream) = rogue.quinn.streams().open(Dir::Bi) {
            rogue.quinn.send_stream(stream).write(b"x").expect("writes");
        }
        let frame: Bytes = [&[0][..], &broadcast(6, 100)].concat().into();
        rogue.quinn.datagrams().send(frame, true).expect("sends");
    }
    rogue.run(&mut world, Duration::from_millis(500));
    assert_eq!(world.sites[0].frames.len(), 0);
    assert_served(&mut world);
}

#[test]
fn a_member_that_floods_its_control_stream_is_held_back_by_flow_control_and_cut_after_ten_seconds() {
    let (mut world, _, mut rogue) = scene(1);
    let me = rogue.me.clone();
    let stream = rogue.greet(&me);
    rogue.run(&mut world, Duration::from_millis(200));
    let chunk = [99, 0x00, 0xFD].into_iter().chain([0; 0xFD]).collect::<Vec<u8>>().repeat(64);
    let mut written = 0;
    let start = world.now;
    while rogue.lost.is_none() && world.now < start + Duration::from_secs(20) {
        while let Ok(n) = rogue.quinn.send_stream(stream).write(&chunk) {
            written += n;
            if n < chunk.len() {
                break;
            }
        }
        rogue.run(&mut world, Duration::from_millis(20));
        assert!(
            world.now > start + Duration::from_secs(2) || written < 1 << 20,
            "{written} bytes in two seconds"
        );
    }
    let took = world.now - start;
    assert!((10..15).contains(&took.as_secs()), "{took:?}");
    let lost = rogue.lost.clone().unwrap_or_default();
    assert!(lost.contains("floods the control stream"), "{lost}");
    let events = world.events(0);
    assert!(events.iter().any(|line| line.contains("floods the control stream")), "{events:?}");
    assert_served(&mut world);
}

#[test]
fn random_datagrams_of_a_member_are_counted_and_cost_nothing_else() {
    for_seeds(|seed| {
        let (mut world, _, mut rogue) = scene(seed);
        let me = rogue.me.clone();
        rogue.greet(&me);
        rogue.run(&mut world, Duration::from_millis(100));
        assert_eq!(world.links_up(0), 2, "{:?}", rogue.lost);
        for n in 0..500_u32 {
            let length = 1 + world.random(1100) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| world.random(256) as u8).collect();
            bytes[0] = [0, 2, 2, 2, 0x40, 0xC0][n as usize % 6];
            let _ = rogue.quinn.datagrams().send(bytes.into(), true);
            if n % 50 == 0 {
                rogue.run(&mut world, Duration::from_millis(5));
            }
        }
        rogue.run(&mut world, Duration::from_millis(100));
        assert!(world.drops(0, DropReason::UnknownType) > 100);
        assert!(world.sites[0].frames.len() < 200);
        assert_served(&mut world);
        assert_eq!(world.links_up(0), 2, "bad datagrams are counted, not punished");
    });
}

#[test]
fn a_connection_that_is_closed_while_reading_pauses_does_not_spin() {
    let (mut world, _, mut rogue) = scene(1);
    world.outside.delay = Duration::from_millis(300);
    rogue.run(&mut world, Duration::from_secs(2));
    let stream = rogue.open();
    let chunk = [99, 0, 0].repeat(2000);
    rogue.quinn.send_stream(stream).write(&chunk).expect("writes");
    rogue.run(&mut world, Duration::from_secs(1));
    rogue.quinn.send_stream(stream).reset(0_u32.into()).expect("resets");
    rogue.run(&mut world, Duration::from_secs(10));
    assert_served(&mut world);
}

#[test]
fn one_member_cannot_take_the_places_of_all() {
    let (mut world, ca, mut first) = scene(1);
    world.add();
    let credentials = ca.credentials("rogue", 66);
    let mut rogues = Vec::new();
    for port in 7001..7041 {
        let mut rogue = Rogue::dial_from(&world, credentials.clone(), port, listen());
        rogue.run(&mut world, Duration::from_millis(50));
        rogues.push(rogue);
    }
    first.turn(&mut world);
    let hub = world.sites[0].node.as_ref().expect("runs");
    assert!(hub.links().iter().count() <= 3, "{} links", hub.links().iter().count());
    assert!(hub.links().connections().filter(|c| c.member.is_some()).count() <= 12);
    let peers = vec![peer(None, &[World::ip(0)])];
    world.start(2, node(config(ca.credentials("late", 3), peers, 1)));
    assert!(world.run_until(Duration::from_secs(1), |world| world.links_up(2) == 1));
    assert!(
        rogues.iter().any(|rogue| rogue.lost.as_deref().is_some_and(|lost| lost.contains("say nothing")))
    );
}

#[test]
fn handshakes_that_nobody_finishes_keep_nobody_out() {
    let (mut world, ca, _) = scene(1);
    world.add();
    let credentials = ca.credentials("rogue", 66);
    for port in 7001..7025 {
        // Long enough for a Retry, too short for the rest.
        let mut rogue = Rogue::dial_from(&world, credentials.clone(), port, listen());
        rogue.run(&mut world, Duration::from_millis(if port < 7005 { 15 } else { 30 }));
    }
    world.run_for(Duration::from_millis(500));
    let hub = world.sites[0].node.as_ref().expect("runs");
    let half_open = hub.links().connections().filter(|c| c.member.is_none()).count();
    assert_eq!(half_open, limits::HALF_OPEN_STRANGERS);
    let peers = vec![peer(None, &[World::ip(0)])];
    world.start(2, node(config(ca.credentials("late", 3), peers, 1)));
    assert!(world.run_until(Duration::from_secs(1), |world| world.links_up(2) == 1));
}
