//! Nanoseconds per frame through a whole node, in process: TAP to UDP on one, UDP to TAP on the other, and UDP to UDP on one in
//! between, without system calls; and what the mesh costs a node beside frames. Minima of many rounds: what else the
//! machine does only adds. `cargo bench` runs it.

#[path = "../tests/sim/members.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod members;
#[path = "../tests/sim/topology.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod topology;
#[path = "../tests/sim/world.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use quicap::limits;
use quicap::mesh::graph::{Announced, Graph, Transit};
use quicap::mesh::trees::Trees;
use quicap::node::Node;
use quicap::pki::signature::{self, PublicKey};
use quicap::types::NodeId;
use quicap::wire::announce::Signature;
use ring::signature::Ed25519KeyPair;

use topology::Topology;
use world::{DIAL, LISTEN, PORT, Wire, World};

const BATCH: usize = 44;
const ROUNDS: usize = 2000;

/// UDP datagrams of one batch, and where their bytes lie.
struct Flight {
    bytes: Vec<u8>,
    /// From where to where in `bytes`, and between which addresses.
    datagrams: Vec<(usize, usize, SocketAddr, SocketAddr)>,
}

/// Nodes side by side, of which each sees the others at the addresses of [`World`].
struct Bench {
    nodes: Vec<Box<Node>>,
    now: Instant,
    arena: BytesMut,
    began: Instant,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

fn since(began: Instant) -> Duration {
    clock().saturating_duration_since(began)
}

impl Bench {
    fn new(mut world: World) -> Self {
        let nodes = world.sites.iter_mut().map(|site| site.node.take().expect("runs")).collect();
        Self { nodes, now: world.now, arena: BytesMut::new(), began: clock() }
    }

    /// Time goes on as it does outside, and what is due is done.
    fn tick(&mut self) {
        self.now += since(std::mem::replace(&mut self.began, clock()));
        let now = self.now;
        for node in &mut self.nodes {
            if node.next_timeout().is_some_and(|due| due <= now) {
                node.handle_timeout(now);
            }
        }
        self.calm();
    }

    /// A batch of frames comes out of the TAP of a node.
    fn send(&mut self, site: usize, frame: &[u8]) -> Flight {
        for _ in 0..BATCH {
            if self.arena.capacity() < limits::HEADROOM + frame.len() {
                self.arena.reserve(BATCH * (limits::HEADROOM + limits::FRAME_MAX));
            }
            self.arena.put_bytes(0, limits::HEADROOM);
            self.arena.put_slice(frame);
            self.nodes[site].handle_frame(self.now, self.arena.split());
        }
        self.take(site)
    }

    /// What a node has to send.
    fn take(&mut self, site: usize) -> Flight {
        let node = &mut self.nodes[site];
        node.settle(self.now);
        let mut flight = Flight { bytes: Vec::with_capacity(128 * 1024), datagrams: Vec::with_capacity(64) };
        let mut buffer = Vec::with_capacity(64 * 1024);
        while let Some(transmit) = node.poll_transmit(self.now, &mut buffer) {
            let port = if transmit.socket == LISTEN { PORT } else { 50_000 + site as u16 };
            let from = SocketAddr::new(World::ip(site), port);
            let mut start = flight.bytes.len();
            flight.bytes.extend_from_slice(&buffer[..transmit.size]);
            while start < flight.bytes.len() {
                let end = flight.bytes.len().min(start + transmit.segment_size.unwrap_or(usize::MAX - start));
                flight.datagrams.push((start, end, from, transmit.destination));
                start = end;
            }
            buffer.clear();
        }
        flight
    }

    /// Brings a node what its neighbors in the row sent it; the outer ones dial each other in vain.
    fn bring(&mut self, site: usize, flight: &Flight) {
        let is_near = |from: &SocketAddr| {
            (0..self.nodes.len()).any(|other| other.abs_diff(site) == 1 && World::ip(other) == from.ip())
        };
        let is_here = |to: &SocketAddr| to.ip() == World::ip(site);
        let mine = flight.datagrams.iter().filter(|(_, _, from, to)| is_near(from) && is_here(to));
        for (start, end, from, to) in mine.collect::<Vec<_>>() {
            if self.arena.capacity() < end - start {
                self.arena.reserve(64 * 1024);
            }
            self.arena.put_slice(&flight.bytes[*start..*end]);
            let socket = if to.port() == PORT { LISTEN } else { DIAL };
            self.nodes[site].handle_datagram(self.now, socket, *from, Some(to.ip()), self.arena.split());
        }
        self.nodes[site].settle(self.now);
    }

    /// Frames that a node has for its TAP.
    fn frames(&mut self, site: usize) -> usize {
        std::iter::from_fn(|| self.nodes[site].poll_frame()).count()
    }

    /// Carries ACKs and the like until nobody has anything to say: outside of what is timed.
    fn calm(&mut self) {
        loop {
            let flights: Vec<Flight> = (0..self.nodes.len()).map(|site| self.take(site)).collect();
            if flights.iter().all(|flight| flight.datagrams.is_empty()) {
                return;
            }
            for flight in &flights {
                (0..self.nodes.len()).for_each(|site| self.bring(site, flight));
            }
        }
    }
}

/// Out of the TAP of one node, and into that of its neighbor.
fn deliver(bench: &mut Bench, frame: &[u8]) -> [Duration; 2] {
    bench.tick();
    let began = clock();
    let flight = bench.send(0, frame);
    let send = since(began);
    let began = clock();
    bench.bring(1, &flight);
    let frames = bench.frames(1);
    let receive = since(began);
    assert_eq!(frames, BATCH, "frames were lost");
    bench.calm();
    [send, receive]
}

/// Through the node in the middle: from the one's UDP to the other's.
fn transit(bench: &mut Bench, frame: &[u8]) -> [Duration; 1] {
    bench.tick();
    let flight = bench.send(0, frame);
    let began = clock();
    bench.bring(1, &flight);
    let onwards = bench.take(1);
    let took = since(began);
    bench.bring(2, &onwards);
    // The ACKs.
    bench.bring(0, &onwards);
    assert_eq!(bench.frames(2), BATCH, "frames were lost");
    bench.calm();
    [took]
}

/// The least of many rounds, nanoseconds for each frame.
fn best<const N: usize>(mut round: impl FnMut() -> [Duration; N]) -> [u128; N] {
    let mut least = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        let times = round();
        least.iter_mut().zip(times).for_each(|(least, time)| *least = time.min(*least));
    }
    least.map(|time| time.as_nanos() / BATCH as u128)
}

/// Three nodes in a row, of which each knows where the others' stations are.
fn row() -> Bench {
    let (mut world, _) = members::mesh(1, 3);
    world.set_wire(0, 2, Wire { cut: true, ..Wire::default() });
    world.run_for(Duration::from_secs(5));
    for site in 0..3 {
        world.send(site, &members::broadcast(site as u8 + 1, 60));
        world.run_for(Duration::from_secs(1));
    }
    Bench::new(world)
}

fn frames() {
    println!("ns per frame, minimum of {ROUNDS} rounds of {BATCH} frames; AES-128-GCM");
    println!(
        "{:>7} {:>9} {:>9} {:>9} {:>9} {:>16}",
        "bytes", "tap->udp", "udp->tap", "together", "udp->udp", "udp->udp/udp->tap"
    );
    for length in [60, 512, 1420, 1514] {
        let mut bench = row();
        let frame = members::frame(2, 1, length);
        let [send, receive] = best(|| deliver(&mut bench, &frame));
        let frame = members::frame(3, 1, length);
        let [forward] = best(|| transit(&mut bench, &frame));
        let ratio = forward as f64 / receive as f64;
        println!("{length:>7} {send:>9} {receive:>9} {:>9} {forward:>9} {ratio:>16.2}", send + receive);
    }
}

fn node(site: usize) -> NodeId {
    NodeId::new(site as u16 + 1).expect("an id")
}

/// What a change of the graph costs each node: the graph from the announcements, and paths and trees from that.
fn searches() {
    println!("\nsearch for paths and trees, us: least of 20 rounds, mean of all nodes");
    println!("{:>7} {:>7} {:>9} {:>9}", "nodes", "links", "graph", "trees");
    for sites in [20, 100, 250] {
        let topology = Topology::geometric(sites, 1);
        let links = |site: usize| {
            let ends = topology.edges_of(site).enumerate();
            ends.map(move |(slot, (edge, to))| (slot as u8, edge.cost() as u16, to))
        };
        let announced: Vec<Announced> = (0..sites)
            .flat_map(|from| links(from).map(move |(slot, cost, to)| (from, slot, cost, to)))
            .map(|(from, slot, cost, to)| Announced { from: node(from), to: node(to), slot, cost })
            .collect();
        let mut graph = Graph::new();
        let all = || (0..sites).map(|site| (node(site), Transit::Yes));
        let build = least(20, || graph.build(all(), announced.iter().copied()));
        let trees: Duration = (0..sites)
            .map(|site| {
                let mut trees = Trees::new(node(site));
                least(20, || trees.build(&graph))
            })
            .sum();
        let us = |time: Duration| time.as_nanos() as f64 / 1000.0;
        let edges = topology.edges.len();
        println!("{sites:>7} {edges:>7} {:>9.1} {:>9.1}", us(build), us(trees) / sites as f64);
    }
}

fn least(rounds: u32, mut work: impl FnMut()) -> Duration {
    let times = (0..rounds).map(|_| {
        let began = clock();
        work();
        since(began)
    });
    times.min().unwrap_or_default()
}

/// What an announcement costs who hears of it.
fn signatures() {
    let body = signature::message(members::NETWORK, 4, &[7; 100]);
    let credentials = members::Ca::new().credentials("a", 1);
    let p256 = (credentials.me.key, credentials.identity.sign(&body).expect("a signature"));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let own = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der()).expect("a key");
    let signed: Signature = own.sign(&body).as_ref().try_into().expect("64 bytes");
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let ed25519 = (PublicKey::from_spki(&spki).expect("a key"), signed);
    println!("\ncheck of a signature, us: least of 1000");
    for (name, (key, signature)) in [("P-256", p256), ("Ed25519", ed25519)] {
        let time = least(1000, || assert!(key.verify(&body, &signature)));
        println!("{name:>7} {:>9.1}", time.as_nanos() as f64 / 1000.0);
    }
}

fn main() {
    frames();
    searches();
    signatures();
}
