//! A mesh of fabrics without QUIC and certificates, for tests: messages take time, frames are followed to their end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use super::fabric::{Config, Fabric};
use super::forward::{Hop, Spread};
use super::graph::Transit;
use super::graph::tests::node;
use super::signature::{Accepted, Form, Registry, Sign, Signed, Verify};
use super::spf::bit;
use super::topology::tests::start;
use crate::types::{DropReason, LinkId, NodeId};
use crate::wire::announce::{HASH, Node, Signature};
use crate::wire::control::{self, Message, Next};
use crate::wire::list::List;
use crate::wire::overlay::{Broadcast, Datagram, Routed};

/// Signs with the node's id: good enough to tell whose it is.
struct Book {
    me: NodeId,
    /// The last byte of its signatures: no two real ones are the same.
    run: u8,
    nodes: HashMap<NodeId, Vec<u8>>,
}

pub fn signature(signer: NodeId, kind: u8, body: &[u8]) -> Signature {
    let seed = u64::from(signer.value()) << 8 | u64::from(kind);
    let hash = body.iter().fold(seed, |hash, byte| super::graph::mix(hash ^ u64::from(*byte)));
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&hash.to_be_bytes());
    signature
}

impl Verify for Book {
    fn verify(&self, signer: NodeId, kind: u8, body: &[u8], given: &Signature) -> Signed {
        if !self.nodes.contains_key(&signer) {
            return Signed::Stranger;
        }
        if given[..63] == signature(signer, kind, body)[..63] { Signed::Good } else { Signed::Forged }
    }
}

impl Sign for Book {
    fn sign(&self, kind: u8, body: &[u8]) -> Signature {
        let mut signature = signature(self.me, kind, body);
        signature[63] = self.run;
        signature
    }
}

impl Registry for Book {
    fn accept(&mut self, node: &Node<'_>) -> Accepted {
        let mut bytes = Vec::new();
        Message::Node(node.clone()).emit(&mut bytes);
        if node.id != self.me {
            self.nodes.insert(node.id, bytes);
        }
        Accepted::Good(Transit::Yes)
    }

    fn announce(&mut self, epoch: u32, seq: u32) {
        let (mut first, mut second, mut bytes) = Default::default();
        let node = Node {
            id: self.me,
            epoch,
            seq,
            endpoints: List::of(&[], &mut first),
            prefixes: List::of(&[], &mut second),
            crl: 0,
            certificate: &[0; HASH],
            appendix: &[],
            signature: [self.run; 64],
        };
        Message::Node(node).emit(&mut bytes);
        self.nodes.insert(self.me, bytes);
    }

    fn emit(&self, id: NodeId, _: Form, out: &mut Vec<u8>) -> bool {
        self.nodes.get(&id).is_some_and(|bytes| {
            out.extend(bytes);
            true
        })
    }

    fn forget(&mut self, id: NodeId) {
        self.nodes.remove(&id);
    }
}

struct Site {
    fabric: Fabric,
    book: Book,
}

/// One end of a wire: at that site, the link to the other site.
type Port = (usize, LinkId);

pub struct World {
    pub now: Instant,
    sites: Vec<Site>,
    /// From both ends.
    wires: HashMap<Port, (Port, Duration)>,
    /// Wires that carry nothing, though nobody knows.
    cut: Vec<Port>,
    flights: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    cargo: HashMap<usize, (Port, Vec<u8>)>,
    sent: usize,
    pub bytes: usize,
    /// Of a hundred messages so many find no room.
    full: usize,
    draw: Draw,
}

/// What became of a broadcast.
#[derive(Default, Debug)]
pub struct Tally {
    /// Deliveries at each site.
    pub delivered: Vec<u32>,
    pub copies: u32,
}

impl World {
    /// Sites 0, 1, 2 ... with the ids 1, 2, 3 ..., linked over these wires (both ends, milliseconds of a one-way trip).
    pub fn new(sites: usize, wires: &[(usize, usize, u64)]) -> Self {
        let now = start();
        let mut world = Self {
            now,
            sites: Vec::new(),
            wires: HashMap::new(),
            cut: Vec::new(),
            flights: BinaryHeap::new(),
            cargo: HashMap::new(),
            sent: 0,
            bytes: 0,
            full: 0,
            draw: Draw(7),
        };
        (0..sites).for_each(|site| world.start(site, 1000, 5));
        wires.iter().for_each(|(a, b, ms)| world.link(*a, *b, Duration::from_millis(*ms)));
        world
    }

    pub fn start(&mut self, site: usize, epoch: u32, run: u8) {
        let me = node(site as u16 + 1);
        let config = Config { me, epoch, transit: Transit::Yes, seed: 7 };
        let mut book = Book { me, run, nodes: HashMap::new() };
        let mut fabric = Fabric::new(&config, self.now);
        fabric.handle_timeout(self.now, &mut book);
        let fresh = Site { fabric, book };
        if site < self.sites.len() { self.sites[site] = fresh } else { self.sites.push(fresh) }
    }

    pub fn fabric(&self, site: usize) -> &Fabric {
        &self.sites[site].fabric
    }

    fn free_link(&self, site: usize) -> LinkId {
        let is_free = |link: &u8| !self.wires.contains_key(&(site, LinkId(*link)));
        LinkId((0..32).find(is_free).expect("a free link"))
    }

    pub fn link(&mut self, a: usize, b: usize, delay: Duration) {
        let ends = [(a, self.free_link(a)), (b, self.free_link(b))];
        for (own, far) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            self.wires.insert(own, (far, delay));
        }
        for (own, far) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let site = &mut self.sites[own.0];
            let id = node(far.0 as u16 + 1);
            assert!(site.fabric.handle_up(self.now, own.1, (id, Transit::Yes), 2 * delay, &site.book));
            self.drain(own.0);
        }
    }

    fn ports(&self, a: usize, b: usize) -> [Port; 2] {
        let port = |from: usize, to: usize| {
            let found = self.wires.iter().find(|((site, _), (far, _))| *site == from && far.0 == to);
            *found.expect("a wire").0
        };
        [port(a, b), port(b, a)]
    }

    /// Both ends find it out by themselves, some time later.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.extend(self.ports(a, b));
    }

    pub fn suspect(&mut self, a: usize, b: usize) {
        for (site, link) in self.ports(a, b) {
            self.sites[site].fabric.handle_suspect(self.now, link, Duration::from_millis(200));
            self.drain(site);
        }
    }

    pub fn recover(&mut self, a: usize, b: usize) {
        let ports = self.ports(a, b);
        self.cut.retain(|port| !ports.contains(port));
        for (site, link) in ports {
            self.sites[site].fabric.handle_recovered(self.now, link);
            self.drain(site);
        }
    }

    /// The one end's least round trip to the other.
    fn measure(&mut self, from: usize, to: usize, rtt: Duration) {
        let [(site, link), _] = self.ports(from, to);
        self.sites[site].fabric.handle_rtt(self.now, link, rtt);
        self.drain(site);
    }

    fn resync(&mut self, from: usize, to: usize) {
        let [(site, link), _] = self.ports(from, to);
        self.sites[site].fabric.handle_resync(self.now, link);
        self.drain(site);
    }

    pub fn unlink(&mut self, a: usize, b: usize) {
        for (site, link) in self.ports(a, b) {
            self.sites[site].fabric.handle_down(self.now, link);
            self.wires.remove(&(site, link));
            self.cut.retain(|port| *port != (site, link));
            self.cargo.retain(|_, (port, _)| *port != (site, link));
            self.drain(site);
        }
    }

    /// The other ends of this site's wires, and how long they are.
    fn wires_of(&self, site: usize) -> Vec<(usize, Duration)> {
        let own = self.wires.iter().filter(|((from, _), _)| *from == site);
        let mut wires: Vec<_> = own.map(|(_, ((far, _), delay))| (*far, *delay)).collect();
        wires.sort_unstable();
        wires
    }

    /// It begins again so soon that its neighbors do not see their links go down: they hear it on other connections.
    fn restart(&mut self, site: usize, epoch: u32, run: u8) {
        let wires = self.wires_of(site);
        self.start(site, epoch, run);
        for (far, delay) in wires {
            let link = self.ports(site, far)[0].1;
            let (own, id) = (&mut self.sites[site], node(far as u16 + 1));
            assert!(own.fabric.handle_up(self.now, link, (id, Transit::Yes), 2 * delay, &own.book));
            self.drain(site);
            self.resync(far, site);
        }
    }

    fn drain(&mut self, site: usize) {
        let own = &mut self.sites[site];
        own.fabric.handle_timeout(self.now, &mut own.book);
        while own.fabric.poll_purged(self.now, &mut own.book).is_some() {}
        while let Some((slots, message)) = self.sites[site].fabric.poll_message() {
            let links: Vec<LinkId> = self.sites[site].fabric.links(slots).collect();
            for link in links {
                if self.full > 0 && self.draw.below(100) < self.full {
                    self.sites[site].fabric.handle_overflow(self.now, link);
                    continue;
                }
                self.bytes += message.len();
                self.launch((site, link), &message);
            }
        }
    }

    fn launch(&mut self, from: Port, bytes: &[u8]) {
        let Some((to, delay)) = self.wires.get(&from).filter(|_| !self.cut.contains(&from)) else { return };
        self.sent += 1;
        self.cargo.insert(self.sent, (*to, bytes.to_vec()));
        self.flights.push(Reverse((self.now + *delay, self.sent as u64, self.sent)));
    }

    pub fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let wake = self.sites.iter().filter_map(|site| site.fabric.next_timeout()).min();
            let flight = self.flights.peek().map(|Reverse((at, _, _))| *at);
            let Some(at) = wake.into_iter().chain(flight).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            if flight == Some(at) {
                self.land();
            } else {
                (0..self.sites.len()).for_each(|site| self.drain(site));
            }
        }
        self.now = end;
    }

    fn land(&mut self) {
        let Some(Reverse((_, _, number))) = self.flights.pop() else { return };
        let Some(((site, link), bytes)) = self.cargo.remove(&number) else { return };
        let own = &mut self.sites[site];
        let Some(slot) = own.fabric.slot_of(link) else { return };
        let Ok(Next::Message(message, taken)) = control::next(&bytes) else { panic!("not a message") };
        assert_eq!(taken, bytes.len());
        own.fabric.handle_message(self.now, slot, (&message, &bytes), &mut own.book);
        self.drain(site);
    }

    fn across(&self, from: usize, slot: u8) -> Option<Port> {
        let port = (from, self.sites[from].fabric.link(slot)?);
        self.wires.get(&port).filter(|_| !self.cut.contains(&port)).map(|(far, _)| *far)
    }

    /// Follows a frame to its end; the sites that it crossed.
    pub fn unicast(&mut self, from: usize, to: usize) -> Result<Vec<usize>, DropReason> {
        let hop = self.sites[from].fabric.launch(node(to as u16 + 1)).ok_or(DropReason::NoRoute)?;
        let (mut at, mut slot, mut header) = (from, hop.slot, hop.header);
        let (mut trace, mut rank) = (vec![from], (u8::MAX, usize::MAX));
        loop {
            let (site, link) = self.across(at, slot).ok_or(DropReason::LinkFull)?;
            (at, slot) = (site, self.sites[site].fabric.slot_of(link).ok_or(DropReason::LinkFull)?);
            trace.push(at);
            let next = match Datagram::parse(&header) {
                Ok(Datagram::Eth(_)) => return Ok(trace),
                Ok(Datagram::Routed(Routed { repairs, slots: [], origin, .. })) => {
                    assert!((repairs, 0) < rank);
                    return self.sites[at].fabric.arrive(slot, origin).map(|()| trace);
                }
                Ok(Datagram::Routed(routed)) => {
                    assert!((routed.repairs, routed.slots.len()) < rank, "grows: {trace:?}");
                    rank = (routed.repairs, routed.slots.len());
                    self.sites[at].fabric.transit(slot, &routed)?
                }
                other => panic!("{other:?}"),
            };
            (slot, header) = (next.slot, next.header);
        }
    }

    /// Follows a broadcast to all its ends, nearest first as if all wires were equally long.
    pub fn broadcast(&mut self, from: usize) -> Tally {
        let mut tally = Tally { delivered: vec![0; self.sites.len()], copies: 0 };
        let mut queue: std::collections::VecDeque<(Port, Vec<u8>)> = Default::default();
        match self.sites[from].fabric.spread(self.now) {
            Some(Spread::One(slot)) => {
                tally.copies += 1;
                self.across(from, slot).into_iter().for_each(|(site, _)| tally.delivered[site] += 1);
            }
            Some(Spread::Tree(header, slots)) => self.send(from, slots, &header, &mut queue, &mut tally),
            None => {}
        }
        while let Some(((at, link), bytes)) = queue.pop_front() {
            let Some(ingress) = self.sites[at].fabric.slot_of(link) else { continue };
            let fabric = &mut self.sites[at].fabric;
            let (is_tunneled, inner) = match Datagram::parse(&bytes) {
                Ok(Datagram::Tunnel([], inner)) => (true, inner.to_vec()),
                Ok(Datagram::Tunnel(slots, inner)) => {
                    let Ok(Datagram::Broadcast(broadcast, _)) = Datagram::parse(inner) else { panic!() };
                    if let Ok(hop) = fabric.pass_tunnel(ingress, slots, broadcast.origin) {
                        let out = [&hop.header[..], inner].concat();
                        tally.copies += 1;
                        self.across(at, hop.slot)
                            .into_iter()
                            .for_each(|far| queue.push_back((far, out.clone())));
                    }
                    continue;
                }
                _ => (false, bytes.clone()),
            };
            let Ok(Datagram::Broadcast(broadcast, _)) = Datagram::parse(&inner) else { panic!() };
            if let Ok(onward) = fabric.receive(self.now, (ingress, is_tunneled), broadcast, b"frame") {
                tally.delivered[at] += 1;
                let header = Broadcast { is_astray: onward.is_astray, ..broadcast }.header();
                self.send(at, onward.slots, &header, &mut queue, &mut tally);
            }
        }
        tally
    }

    fn send(
        &mut self,
        at: usize,
        slots: u64,
        bytes: &[u8],
        queue: &mut std::collections::VecDeque<(Port, Vec<u8>)>,
        tally: &mut Tally,
    ) {
        for slot in (0..64).filter(|slot| slots & bit(*slot) != 0) {
            let fabric = &self.sites[at].fabric;
            let ways: Vec<(u8, Vec<u8>)> = if fabric.alive(bit(slot)) != 0 {
                vec![(slot, bytes.to_vec())]
            } else {
                let tunnels = fabric.tunnels(slot).into_iter();
                tunnels.map(|hop| (hop.slot, [&hop.header[..], bytes].concat())).collect()
            };
            for (slot, out) in ways {
                tally.copies += 1;
                self.across(at, slot).into_iter().for_each(|far| queue.push_back((far, out.clone())));
            }
        }
    }

    /// The slot of the one site's link to the other, as it announces it.
    pub fn slot(&self, from: usize, to: usize) -> u8 {
        let (slot, _) = self.fabric(from).neighbors().find(node(to as u16 + 1)).expect("a neighbor");
        slot
    }

    /// What becomes of a datagram with this header at that site, that came from the other.
    pub fn transit(&self, at: usize, from: usize, header: &[u8]) -> Result<Hop, DropReason> {
        let ingress = self.slot(at, from);
        match Datagram::parse(header) {
            Ok(Datagram::Routed(routed)) => self.fabric(at).transit(ingress, &routed),
            Ok(Datagram::Tunnel(slots, _)) => {
                self.fabric(at).pass_tunnel(ingress, slots, node(from as u16 + 1))
            }
            other => panic!("{other:?}"),
        }
    }

    /// That site's neighbor says something, whatever it is.
    pub fn hear(&mut self, site: usize, from: usize, message: &[u8]) {
        let slot = self.slot(site, from);
        let Ok(Next::Message(parsed, _)) = control::next(message) else { panic!("not a message") };
        let own = &mut self.sites[site];
        own.fabric.handle_message(self.now, slot, (&parsed, message), &mut own.book);
        self.drain(site);
    }

    pub fn agrees(&self) -> bool {
        let digest = self.fabric(0).topology().digest();
        self.sites.iter().all(|site| site.fabric.is_settled() && site.fabric.topology().digest() == digest)
    }
}

/// The five sites of the founders' picture; ids are site + 1.
pub const SEED: [(usize, usize, u64); 7] =
    [(0, 1, 10), (0, 2, 20), (1, 2, 15), (1, 3, 12), (2, 3, 8), (2, 4, 18), (3, 4, 10)];

fn seed() -> World {
    let mut world = World::new(5, &SEED);
    world.run(2000);
    world
}

#[test]
fn five_sites_come_to_know_the_same_and_send_as_few_copies_as_can_be() {
    let mut world = seed();
    assert!(world.agrees());
    assert_eq!(world.unicast(0, 4), Ok(vec![0, 1, 3, 4]));
    for from in 0..5 {
        let tally = world.broadcast(from);
        let expected: Vec<u32> = (0..5).map(|site| u32::from(site != from)).collect();
        assert_eq!((tally.copies, tally.delivered), (4, expected));
    }
}

#[test]
fn the_first_link_of_a_node_that_has_just_started_is_known_at_once() {
    let mut world = World::new(2, &[]);
    world.run(3);
    world.link(0, 1, Duration::from_millis(1));
    // The second search of paths within half a second comes 50 ms after a change.
    world.run(60);
    assert_eq!([0, 1].map(|site| world.fabric(site).joints().count()), [1, 1]);
}

#[test]
fn a_link_that_turned_suspect_costs_no_frame_whether_or_not_others_know() {
    for (a, b, _) in SEED {
        let mut world = seed();
        world.cut(a, b);
        world.suspect(a, b);
        for round in 0..60 {
            for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))).filter(|(x, y)| x != y)
            {
                let trace = world.unicast(from, to);
                assert!(trace.is_ok(), "{a}-{b} dead for {round}0 ms, {from} to {to}: {trace:?}");
            }
            for from in 0..5 {
                let delivered = world.broadcast(from).delivered;
                let expected: Vec<u32> = (0..5).map(|site| u32::from(site != from)).collect();
                assert_eq!(delivered, expected, "{a}-{b} dead, of {from}");
            }
            world.run(10);
        }
        assert!(world.agrees());
        world.run(1500);
        assert_eq!(world.broadcast(0).copies, 4);
    }
}

#[test]
fn a_node_that_died_costs_no_frame_of_others_once_its_neighbors_suspect_it() {
    for dead in 0..5 {
        let mut world = seed();
        let wires = SEED.iter().filter(|(a, b, _)| *a == dead || *b == dead);
        for (a, b, _) in wires.clone() {
            world.cut(*a, *b);
        }
        wires.for_each(|(a, b, _)| world.suspect(*a, *b));
        let rest: Vec<usize> = (0..5).filter(|site| *site != dead).collect();
        let expected =
            |from| -> Vec<u32> { (0..5).map(|site| u32::from(site != from && site != dead)).collect() };
        for round in 0..60 {
            for (from, to) in rest.iter().flat_map(|from| rest.iter().map(move |to| (*from, *to))) {
                let trace = if from == to { Ok(Vec::new()) } else { world.unicast(from, to) };
                assert!(trace.is_ok(), "{dead} dead for {round}0 ms, {from} to {to}: {trace:?}");
            }
            for from in &rest {
                assert_eq!(world.broadcast(*from).delivered, expected(*from), "{dead} dead for {round}0 ms");
            }
            world.run(10);
        }
        world.run(1500);
        for from in &rest {
            let tally = world.broadcast(*from);
            assert_eq!((tally.copies, tally.delivered), (3, expected(*from)));
        }
    }
}

#[test]
fn a_node_whose_links_all_fail_often_is_part_of_the_mesh_whenever_one_is_up() {
    let mut world = seed();
    for _ in 0..5 {
        world.unlink(2, 4);
        world.unlink(3, 4);
        world.run(1500);
        world.link(2, 4, Duration::from_millis(18));
        world.link(3, 4, Duration::from_millis(10));
        world.run(400);
        assert_eq!(world.broadcast(4).delivered, [1, 1, 1, 1, 0]);
        assert_eq!(world.broadcast(0).delivered, [0, 1, 1, 1, 1]);
    }
}

#[test]
fn a_suspicion_that_was_wrong_is_told_to_nobody() {
    let mut world = seed();
    let before = world.bytes;
    world.suspect(1, 3);
    world.run(150);
    world.recover(1, 3);
    world.run(1000);
    assert_eq!(world.bytes, before);
    assert_eq!(world.broadcast(0).copies, 4);
}

#[test]
fn a_node_that_begins_again_with_an_earlier_epoch_takes_a_later_one() {
    let mut world = seed();
    for far in [1, 2] {
        world.unlink(0, far);
    }
    world.run(100);
    world.start(0, 7, 6);
    world.link(0, 1, Duration::from_millis(10));
    world.run(1000);
    assert!(world.agrees());
    assert_eq!(world.fabric(4).topology().epoch(node(1)), Some(1001));
    assert_eq!(world.broadcast(0).delivered, [0, 1, 1, 1, 1]);
}

#[test]
fn a_node_that_begins_again_within_the_same_second_takes_a_later_epoch() {
    // Signatures less and greater than those of the first run.
    for run in [4, 6] {
        let mut world = World::new(3, &[(0, 1, 10), (1, 2, 10)]);
        world.run(1000);
        let known = |world: &World| {
            let mut buffer = Vec::new();
            world.fabric(2).topology().lsa(node(1), 0, &mut buffer).map(|lsa| (lsa.epoch, lsa.seq))
        };
        let first = known(&world);
        for _ in 0..10 {
            assert_eq!(world.broadcast(0).delivered, [0, 1, 1]);
        }
        world.unlink(0, 1);
        world.run(1000);
        world.start(0, 1000, run);
        world.link(0, 1, Duration::from_millis(10));
        world.run(15);
        assert!(known(&world) == first, "the numbers are the same");
        world.run(2000);
        assert!(world.agrees());
        assert_eq!(known(&world).map(|(epoch, _)| epoch), Some(1001), "{run}");
        assert_eq!(world.broadcast(0).delivered, [0, 1, 1], "{run}");
    }
}

#[test]
fn a_node_that_begins_again_256_seconds_later_is_heard_at_once() {
    let mut world = World::new(3, &[(0, 1, 10), (1, 2, 10)]);
    world.run(1000);
    for _ in 0..10 {
        assert_eq!(world.broadcast(0).delivered, [0, 1, 1]);
    }
    world.unlink(0, 1);
    world.run(1000);
    world.start(0, 1256, 6);
    world.link(0, 1, Duration::from_millis(10));
    world.run(2000);
    assert!(world.agrees());
    assert_eq!(world.broadcast(0).delivered, [0, 1, 1]);
}

#[test]
fn a_clock_that_was_beyond_all_epochs_keeps_nobody_out_after_it() {
    let mut world = World::new(3, &[(1, 2, 10)]);
    world.start(0, u32::MAX, 5);
    world.link(0, 1, Duration::from_millis(10));
    world.run(1000);
    for run in 6..10 {
        for _ in 0..10 {
            assert_eq!(world.broadcast(0).delivered, [0, 1, 1], "{run}");
        }
        world.unlink(0, 1);
        world.run(1000);
        world.start(0, if run % 2 == 0 { u32::MAX } else { 2000 }, run);
        world.link(0, 1, Duration::from_millis(10));
        world.run(3000);
        assert!(world.agrees(), "{run}");
    }
}

#[test]
fn a_link_that_comes_back_before_others_know_that_it_was_gone_costs_what_it_costs_then() {
    for (failures, gone) in [(0, 0), (1, 300)] {
        let mut world = World::new(3, &[(0, 1, 10), (1, 2, 10)]);
        world.run(1000);
        for _ in 0..failures {
            world.unlink(0, 1);
            world.run(1000);
            world.link(0, 1, Duration::from_millis(10));
            world.run(1000);
        }
        let cost =
            |world: &World| [0, 1, 2].map(|site| world.fabric(site).joints().map(|joint| joint.cost).max());
        assert_eq!(cost(&world), [Some(200); 3]);
        for (ms, told) in [(100, 2000), (20, 400), (20, 400)] {
            world.unlink(0, 1);
            world.run(gone);
            world.link(0, 1, Duration::from_millis(ms));
            world.run(1000);
            assert_eq!(cost(&world), [Some(told); 3], "{failures} failures before, {ms} ms");
        }
    }
}

#[test]
fn a_cost_that_was_lost_with_a_connection_is_told_again_by_the_next() {
    let mut world = World::new(2, &[(0, 1, 10)]);
    world.run(1000);
    let cost = |world: &World| world.fabric(0).way(node(2)).expect("a way").cost;
    world.cut(0, 1);
    world.measure(1, 0, Duration::from_millis(100));
    world.run(100);
    world.recover(0, 1);
    world.run(1000);
    assert_eq!(cost(&world), 200, "it was lost");
    world.resync(1, 0);
    world.run(1000);
    assert_eq!(cost(&world), 1000);
}

#[test]
fn who_is_linked_while_others_are_heard_of_learns_of_them_at_once() {
    for ms in [11, 14, 30, 90] {
        let mut world = World::new(3, &[]);
        world.run(1000);
        world.link(2, 1, Duration::from_millis(10));
        // The third knows the second by now, and may not have found the way to it.
        world.run(ms);
        world.link(2, 0, Duration::from_millis(10));
        world.run(1500);
        assert!(world.agrees() && world.fabric(0).route(node(2)).is_some(), "{ms} ms later");
    }
}

#[test]
fn parts_that_were_apart_come_together() {
    let mut world = seed();
    world.unlink(1, 3);
    world.unlink(2, 3);
    world.unlink(2, 4);
    world.run(2000);
    assert_eq!(world.broadcast(0).delivered, [0, 1, 1, 0, 0]);
    world.link(2, 4, Duration::from_millis(18));
    world.run(2000);
    assert!(world.agrees());
    assert_eq!(world.broadcast(0).delivered, [0, 1, 1, 1, 1]);
    world.link(1, 3, Duration::from_millis(12));
    world.run(2000);
    assert_eq!(world.unicast(0, 4), Ok(vec![0, 1, 3, 4]));
}

#[test]
fn who_began_while_parts_were_apart_learns_of_all_when_they_come_together() {
    let mut world = World::new(5, &[(0, 1, 10), (1, 2, 10), (2, 3, 10), (3, 4, 10)]);
    world.run(2000);
    world.unlink(1, 2);
    world.run(2000);
    world.unlink(0, 1);
    world.run(1000);
    world.start(0, 2000, 6);
    world.link(0, 1, Duration::from_millis(10));
    world.run(2000);
    assert_eq!(world.broadcast(0).delivered, [0, 1, 0, 0, 0]);
    // Who is behind the other end says nothing new, and all but the one that began know of it.
    world.link(1, 2, Duration::from_millis(10));
    world.run(2000);
    assert!(world.agrees());
    assert_eq!(world.broadcast(0).delivered, [0, 1, 1, 1, 1]);
    assert_eq!(world.broadcast(4).delivered, [1, 1, 1, 1, 0]);
}

/// Splits off draws from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = super::graph::mix(self.0);
        (self.0 >> 16) as usize % end.max(1)
    }
}

/// Of random tests; a thousand take ten seconds.
const SEEDS: u64 = 20;

/// A ring, so that all hang together, and as many wires across.
fn random_wires(draw: &mut Draw, sites: usize) -> Vec<(usize, usize, u64)> {
    let mut wires: Vec<(usize, usize, u64)> =
        (0..sites).map(|site| (site, (site + 1) % sites, 1 + draw.below(30) as u64)).collect();
    for _ in 0..2 * sites {
        let (a, b) = (draw.below(sites), draw.below(sites));
        let is_new = wires.iter().all(|(x, y, _)| (*x, *y) != (a, b) && (*x, *y) != (b, a));
        if a != b && is_new {
            wires.push((a, b, 1 + draw.below(30) as u64));
        }
    }
    wires
}

fn assert_whole(world: &mut World, sites: usize, what: &str) {
    assert!(world.agrees(), "{what}");
    for from in 0..sites {
        let tally = world.broadcast(from);
        let expected: Vec<u32> = (0..sites).map(|site| u32::from(site != from)).collect();
        assert_eq!((tally.copies as usize, tally.delivered), (sites - 1, expected), "{what}: from {from}");
        for to in (0..sites).filter(|to| *to != from) {
            let trace = world.unicast(from, to);
            assert!(trace.is_ok(), "{what}: {from} to {to}: {trace:?}");
        }
    }
}

#[test]
fn whatever_happens_a_quiet_mesh_is_whole() {
    for seed in 0..SEEDS {
        let (mut draw, sites) = (Draw(seed), 5 + seed as usize % 6 * 2);
        let wires = random_wires(&mut draw, sites);
        let mut world = World::new(sites, &wires);
        world.run(4000);
        assert_whole(&mut world, sites, &format!("seed {seed}, cold"));
        let rounds = if wires.len() == sites { 0 } else { 4 };
        for round in 0..rounds {
            // Wires of the ring stay: the graph hangs together without the others.
            let (a, b, ms) = wires[sites + draw.below(wires.len() - sites)];
            let what = format!("seed {seed}, round {round}, {a}-{b}");
            match draw.below(3) {
                0 => {
                    world.cut(a, b);
                    world.suspect(a, b);
                    world.run(draw.below(900) as u64);
                    world.recover(a, b);
                }
                1 => {
                    world.unlink(a, b);
                    world.run(draw.below(3000) as u64);
                    world.link(a, b, Duration::from_millis(ms));
                }
                _ => {
                    world.cut(a, b);
                    world.suspect(a, b);
                    world.run(draw.below(1500) as u64);
                    world.unlink(a, b);
                    world.run(draw.below(1500) as u64);
                    world.link(a, b, Duration::from_millis(ms + draw.below(50) as u64));
                }
            }
            world.run(65_000);
            assert_whole(&mut world, sites, &what);
        }
    }
}

/// Whose broadcasts of the last run may be remembered anywhere, all hear again within seconds.
fn assert_heard(world: &mut World, sites: usize, what: &str) {
    for from in 0..sites {
        let expected: Vec<u32> = (0..sites).map(|site| u32::from(site != from)).collect();
        for _ in 0..3 {
            assert_eq!(world.broadcast(from).delivered, expected, "{what}: from {from}");
        }
    }
}

fn assert_costs(world: &World, sites: usize, what: &str) {
    for (a, b) in (0..sites).flat_map(|a| (a + 1..sites).map(move |b| (a, b))) {
        let wire = world.wires_of(a).into_iter().find(|(far, _)| *far == b);
        let Some(is) = wire.map(|(_, delay)| delay.as_micros() as u32 / 50) else { continue };
        let ends = (node(a as u16 + 1), node(b as u16 + 1));
        for at in 0..sites {
            let told = world.fabric(at).joints().find(|joint| joint.ends == ends).map(|joint| joint.cost);
            let near = told.is_some_and(|told| told.abs_diff(is) <= (told / 5).max(20));
            assert!(near, "{what}: {a}-{b} costs {told:?} of {is} as {at} knows it");
        }
    }
}

/// All hear all within seconds, and once no link waits to be announced any more, all is as it should be.
fn assert_heals(world: &mut World, sites: usize, what: &str) {
    world.run(5000);
    assert_heard(world, sites, what);
    world.run(65_000);
    assert_whole(world, sites, what);
    assert_costs(world, sites, what);
}

#[test]
fn whoever_begins_again_and_whatever_its_clock_says_is_heard_within_seconds() {
    for seed in 0..SEEDS {
        let (mut draw, sites) = (Draw(seed + 1000), 3 + seed as usize % 5);
        let wires = random_wires(&mut draw, sites);
        let mut world = World::new(sites, &wires);
        world.run(4000);
        for round in 0..5 {
            let site = draw.below(sites);
            for _ in 0..draw.below(300) {
                world.broadcast(site);
            }
            let was = world.fabric(site).epoch();
            let later = [0, 0, 1, 256, 5, u32::MAX - was, u32::MAX];
            let epoch = match draw.below(9) {
                n @ 0..7 => was.wrapping_add(later[n]),
                _ => was.saturating_sub(256),
            };
            // No two runs sign alike.
            let (run, how) = ((6 + round * 40 + draw.below(40)) as u8, draw.below(3));
            let what =
                format!("seed {seed}, round {round}: {site} after {was} with {epoch}, run {run}, way {how}");
            if how == 0 {
                world.restart(site, epoch, run);
            } else {
                let own = world.wires_of(site);
                own.iter().for_each(|(far, _)| world.unlink(site, *far));
                world.run(if draw.below(5) == 0 {
                    590_000 + draw.below(20_000) as u64
                } else {
                    draw.below(2000) as u64
                });
                world.start(site, epoch, run);
                for (far, delay) in own {
                    world.link(site, far, delay + Duration::from_millis(draw.below(2) as u64 * 40));
                    world.run(if how == 1 { 0 } else { draw.below(1500) as u64 });
                }
            }
            assert_heals(&mut world, sites, &what);
        }
    }
}

#[test]
fn parts_that_heal_are_whole_within_seconds_whatever_happened_in_them() {
    for seed in 0..SEEDS {
        let (mut draw, sites) = (Draw(seed + 3000), 4 + seed as usize % 6);
        let wires = random_wires(&mut draw, sites);
        let mut world = World::new(sites, &wires);
        world.run(4000);
        for round in 0..4 {
            let gone: Vec<_> = wires.iter().copied().filter(|_| draw.below(3) > 0).collect();
            let what = format!("seed {seed}, round {round}, without {gone:?}");
            gone.iter().for_each(|(a, b, _)| world.unlink(*a, *b));
            // Long enough to be noticed, to be forgotten in part, and by all.
            world.run([300, 20_000, 590_000, 601_000, 700_000][draw.below(5)]);
            for n in 0..draw.below(3) {
                let site = draw.below(sites);
                let epoch = world.fabric(site).epoch() + [0, 1, 256][draw.below(3)];
                world.restart(site, epoch, (6 + round * 40 + n * 20 + draw.below(20)) as u8);
                (0..draw.below(200)).for_each(|_| drop(world.broadcast(site)));
                world.run(draw.below(3000) as u64);
            }
            for (a, b, ms) in gone {
                world.link(a, b, Duration::from_millis(ms));
                world.run(draw.below(40) as u64);
            }
            assert_heals(&mut world, sites, &what);
        }
    }
}

#[test]
fn messages_that_find_no_room_are_made_up_for_within_seconds() {
    for seed in 0..SEEDS {
        let (mut draw, sites) = (Draw(seed + 4000), 4 + seed as usize % 6);
        let wires = random_wires(&mut draw, sites);
        let mut world = World::new(sites, &wires);
        (world.draw, world.full) = (Draw(seed + 5000), 5 + draw.below(60));
        world.run(1 + draw.below(4000) as u64);
        for round in 0..4 {
            let what = format!("seed {seed}, round {round}");
            for (a, b, ms) in wires.iter().filter(|_| draw.below(4) == 0).copied().collect::<Vec<_>>() {
                world.unlink(a, b);
                world.run(draw.below(300) as u64);
                world.link(a, b, Duration::from_millis(ms));
            }
            if draw.below(2) == 0 {
                let site = draw.below(sites);
                world.restart(site, world.fabric(site).epoch() + 1, 6 + round as u8);
            }
            world.run(draw.below(1500) as u64);
            let full = core::mem::take(&mut world.full);
            world.run(1000);
            assert_heals(&mut world, sites, &what);
            world.full = full;
        }
    }
}

#[test]
fn a_wire_that_is_another_one_at_once_costs_what_it_costs() {
    for seed in 0..SEEDS {
        let (mut draw, sites) = (Draw(seed + 2000), 4 + seed as usize % 5);
        let wires = random_wires(&mut draw, sites);
        let mut world = World::new(sites, &wires);
        world.run(4000);
        for round in 0..6 {
            let (a, b, _) = wires[draw.below(wires.len())];
            let ms = 1 + draw.below(150) as u64;
            world.unlink(a, b);
            world.run([0, 0, 50, 300, 650, 800][draw.below(6)]);
            world.link(a, b, Duration::from_millis(ms));
            if draw.below(2) == 0 {
                continue;
            }
            world.run(65_000);
            let what = format!("seed {seed}, round {round}: {a}-{b} of {ms} ms");
            assert_whole(&mut world, sites, &what);
            assert_costs(&world, sites, &what);
        }
    }
}
