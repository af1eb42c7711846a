//! `quicap selftest`: two nodes in one process over loopback. Does this machine run it? Needs no root and no TAP.
//! Does not judge speed. Read first: docs/testing.md.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argh::FromArgs;
use bytes::{BufMut, BytesMut};

use super::{Failure, unix_now};
use crate::limits;
use crate::link::peer::{self, Endpoint, Host};
use crate::link::{self, Credentials, Purpose, SocketId};
use crate::mesh::switch::UnknownUnicast;
use crate::node::{self, Node, carrier};
use crate::pki::ca::{self, Authority, Validity};
use crate::pki::certificate::Serial;
use crate::pki::clock::WallClock;
use crate::pki::csr::{self, Request};
use crate::pki::fault::Fault;
use crate::pki::identity::Identity;
use crate::pki::rights::{Grant, Rights};
use crate::pki::text;
use crate::pki::tls::Suites;
use crate::pki::verify::Trust;
use crate::sys::process;
use crate::sys::timer::Timer;
use crate::sys::udp::{Batch, Buffers, RecvBuffers, Socket};
use crate::sys::wait::{Interest, Waiter};
use crate::types::NodeId;

/// make two nodes meet over loopback, exchange frames, and notice that one has gone
#[derive(FromArgs)]
#[argh(subcommand, name = "selftest")]
pub struct Selftest {}

const NETWORK: &str = "selftest";
/// Frames sent each way, of lengths that go whole and in pieces.
const FRAMES: usize = 200;
/// Slow emulators take their time for a handshake.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says what was seen, line by line; fails at the first thing that did not come to pass.
pub fn run(_args: &Selftest) -> Result<(), Failure> {
    let began = now();
    let trust = Certificates::new().map_err(Failure::runtime)?;
    let mut hub = Site::new(&trust, "hub", 1, None)?;
    let mut leaf = Site::new(&trust, "leaf", 2, Some(hub.listens_on()))?;
    println!("certificates: two nodes, ECDSA P-256, after {}", since(began));

    turn_until("the link is up", &mut [&mut hub, &mut leaf], PATIENCE, |sites| {
        sites.iter().all(|site| site.is_up())
    })?;
    println!("handshake: mutual TLS 1.3 over QUIC, both HELLOs, after {}", since(began));

    for number in 0..FRAMES {
        hub.send(&frame(number, 1));
        leaf.send(&frame(number, 2));
        turn(&mut [&mut hub, &mut leaf], Duration::ZERO)?;
    }
    turn_until("all frames have arrived", &mut [&mut hub, &mut leaf], PATIENCE, |sites| {
        sites.iter().all(|site| site.frames.len() == FRAMES)
    })?;
    for (site, other) in [(&hub, 2), (&leaf, 1)] {
        check_frames(site, other)?;
    }
    println!("data: {FRAMES} frames each way, byte for byte, whole and in pieces, after {}", since(began));

    let idle = now();
    drop(leaf);
    turn_until("the timers of the hub notice that the leaf has gone", &mut [&mut hub], PATIENCE, |sites| {
        sites.iter().all(|site| !site.is_up())
    })?;
    println!("timers: silence noticed after {}", since(idle));
    println!("ok, {} KiB of memory, {} in all", process::rss_kib(), since(began));
    Ok(())
}

/// A CA in memory and what it signs.
struct Certificates {
    authority: Authority,
    anchor: String,
    now: u32,
}

impl Certificates {
    fn new() -> Result<Self, Fault> {
        let now = unix_now();
        let key = csr::generate_key()?;
        let anchor = ca::create(NETWORK, key.as_bytes(), Validity::days(now, 2))?;
        Ok(Self { authority: Authority::from_pem(key.as_bytes(), anchor.as_bytes())?, anchor, now })
    }

    fn issue(&self, name: &str, id: NodeId) -> Result<Credentials, String> {
        let words = |fault: Fault| fault.to_string();
        let key = csr::generate_key().map_err(words)?;
        let request = csr::make_request(name, key.as_bytes()).map_err(words)?;
        let request = Request::from_pem(request.as_bytes()).map_err(words)?;
        let grant = Grant { network: NETWORK.to_owned(), id, rights: Rights::default() };
        let serial = Serial::random().map_err(words)?;
        let made =
            self.authority.issue(&request, &grant, serial, Validity::days(self.now, 1)).map_err(words)?;
        let made = text::pem(text::CERTIFICATE, &made);
        let identity = Identity::from_pem(made.as_bytes(), key.as_bytes()).map_err(words)?;
        let trust = Trust::from_pem(NETWORK, self.anchor.as_bytes(), None).map_err(words)?;
        let me = trust.judge(identity.chain(), self.now, true).map_err(|refusal| refusal.to_string())?;
        Ok(Credentials { identity: Arc::new(identity), trust: Arc::new(trust), me })
    }
}

/// One node with its sockets.
struct Site {
    node: Node,
    sockets: [Socket; 2],
    buffers: RecvBuffers,
    frames: Vec<Vec<u8>>,
}

impl Site {
    fn new(trust: &Certificates, name: &str, id: u16, peer: Option<SocketAddr>) -> Result<Self, Failure> {
        let id = NodeId::new(id).ok_or_else(|| Failure::runtime("no node id"))?;
        let credentials = trust.issue(name, id).map_err(Failure::runtime)?;
        let buffers = Buffers { send: limits::ROUTER.socket_send, receive: limits::ROUTER.socket_receive };
        let bind = || Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), buffers).map_err(Failure::runtime);
        let sockets = [bind()?, bind()?];
        let config = Self::config(credentials, trust.now, &sockets, peer);
        let node = Node::new(config, now()).map_err(Failure::runtime)?;
        Ok(Self { node, sockets, buffers: RecvBuffers::new(1), frames: Vec::new() })
    }

    fn config(
        credentials: Credentials,
        now: u32,
        sockets: &[Socket; 2],
        peer: Option<SocketAddr>,
    ) -> node::Config {
        let endpoint =
            |address: SocketAddr| Endpoint { host: Host::Address(address.ip()), port: address.port() };
        let peers =
            peer.map(|address| peer::Config { endpoints: vec![endpoint(address)], ..Default::default() });
        let purposes = [Purpose::Listen, Purpose::Dial];
        let describe = |(place, (socket, purpose)): (usize, (&Socket, Purpose))| link::Socket {
            id: SocketId(place as u8),
            purpose,
            ipv6: false,
            segments: socket.max_gso_segments().min(limits::SEGMENTS),
        };
        let mut seed = [0; 32];
        seed[0] = credentials.me.id.value() as u8;
        node::Config {
            links: link::Config {
                network: NETWORK.to_owned(),
                credentials,
                clock: WallClock::new(now, true),
                suites: if process::has_aes() { Suites::AesFirst } else { Suites::ChachaFirst },
                peers: peers.into_iter().collect(),
                sockets: sockets.iter().zip(purposes).enumerate().map(describe).collect(),
                epoch: now,
                profile: limits::ROUTER,
                seed,
            },
            unknown_unicast: UnknownUnicast::Limited,
            carrier: carrier::Config::default(),
        }
    }

    fn listens_on(&self) -> SocketAddr {
        self.sockets[0].local_addr()
    }

    fn is_up(&self) -> bool {
        self.node.links().iter().any(peer::Link::is_up)
    }

    fn send(&mut self, frame: &[u8]) {
        let mut buffer = BytesMut::zeroed(limits::HEADROOM);
        buffer.put_slice(frame);
        self.node.handle_frame(now(), buffer);
    }

    /// Reads what waits, runs what is due, sends what is ready.
    fn turn(&mut self) {
        let time = now();
        for (place, socket) in self.sockets.iter().enumerate() {
            while socket.recv(&mut self.buffers).is_ok() {
                for datagram in self.buffers.drain() {
                    let id = SocketId(place as u8);
                    self.node.handle_datagram(time, id, datagram.remote, datagram.local, datagram.bytes);
                }
            }
        }
        if self.node.next_timeout().is_some_and(|due| due <= time) {
            self.node.handle_timeout(time);
        }
        self.node.settle(time);
        let mut packets = Vec::new();
        while let Some(transmit) = self.node.poll_transmit(time, &mut packets) {
            let batch = Batch {
                destination: transmit.destination,
                source: transmit.source,
                contents: packets.get(..transmit.size).unwrap_or_default(),
                segment_size: transmit.segment_size,
            };
            if let Some(socket) = self.sockets.get(usize::from(transmit.socket.0)) {
                // What loopback does not take is lost as on any wire.
                let _ = socket.send(&batch);
            }
            packets.clear();
        }
        while let Some(frame) = self.node.poll_frame() {
            self.frames.push(frame.to_vec());
        }
        while self.node.poll_output().is_some() {}
    }
}

/// One turn of every site, then sleep until something happens, at most this long.
fn turn(sites: &mut [&mut Site], sleep: Duration) -> Result<(), Failure> {
    sites.iter_mut().for_each(|site| site.turn());
    if sleep.is_zero() {
        return Ok(());
    }
    let due = sites.iter_mut().filter_map(|site| site.node.next_timeout()).min();
    let end = now() + sleep;
    let failed = |error: std::io::Error| Failure::runtime(format!("timer: {error}"));
    let timer = Timer::new().map_err(failed)?;
    timer.set(Some(due.map_or(end, |due| due.min(end)))).map_err(failed)?;
    let mut waiter = Waiter::default();
    waiter.add(timer.as_fd(), Interest::Read);
    for socket in sites.iter().flat_map(|site| &site.sockets) {
        waiter.add(socket.as_fd(), Interest::Read);
    }
    waiter.wait(true).map_err(failed)
}

fn turn_until(
    what: &str,
    sites: &mut [&mut Site],
    patience: Duration,
    done: impl Fn(&[&mut Site]) -> bool,
) -> Result<(), Failure> {
    let end = now() + patience;
    while !done(sites) {
        if now() >= end {
            return Err(Failure::runtime(format!(
                "selftest: in {} s it did not happen that {what}",
                patience.as_secs()
            )));
        }
        turn(sites, Duration::from_secs(1))?;
    }
    Ok(())
}

/// A broadcast frame that tells its number, its sender and has a length of its own.
fn frame(number: usize, from: u8) -> Vec<u8> {
    let mut frame = vec![0xFF; 6];
    frame.extend([2, 0, 0, 0, 0, from, 0x88, 0xB5, number as u8]);
    frame.extend((frame.len()..60 + number * 7).map(|at| (at * 31 + number) as u8));
    frame
}

fn check_frames(site: &Site, from: u8) -> Result<(), Failure> {
    for number in 0..FRAMES {
        if !site.frames.contains(&frame(number, from)) {
            return Err(Failure::runtime(format!(
                "selftest: frame {number} of node {from} did not arrive unharmed"
            )));
        }
    }
    Ok(())
}

fn since(then: Instant) -> String {
    format!("{} ms", now().saturating_duration_since(then).as_millis())
}

#[allow(clippy::disallowed_methods, reason = "the program reads the clock for the core")]
fn now() -> Instant {
    Instant::now()
}
