//! A small internet on virtual time: real nodes, real QUIC and TLS, wires with delay, jitter, loss and MTU.
//! Assert events and counters, never ciphertext: connection ids come from the thread's random numbers.
//!
//! What the next event is costs the same for two sites and for hundreds: each site's timeout waits in one queue, and is
//! asked for anew only where something happened ([`World::drain`]).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use quicap::limits;
use quicap::link::{Query, SocketId, peer::State};
use quicap::mesh::spf::bit;
use quicap::node::{Node, Output};
use quicap::types::{DropReason, NodeId};

pub const LISTEN: SocketId = SocketId(0);
pub const DIAL: SocketId = SocketId(1);
pub const PORT: u16 = 443;

/// What a pair of nodes has between them.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// One way.
    pub delay: Duration,
    pub jitter: Duration,
    /// Of 1000 datagrams.
    pub loss: u32,
    /// Of the IP packet, bytes.
    pub mtu: usize,
    pub cut: bool,
}

impl Default for Wire {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { delay: ms(10), jitter: Duration::ZERO, loss: 0, mtu: 1500, cut: false }
    }
}

/// A UDP datagram under way.
struct Flight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: BytesMut,
}

/// A datagram that a node sent on a link, as it is without QUIC around it.
pub struct Sighting {
    pub at: Instant,
    pub site: usize,
    pub to: NodeId,
    /// Whether the node took the link for one that carries.
    pub is_alive: bool,
    /// Whether the other end still had the link.
    pub is_met: bool,
    pub bytes: Bytes,
}

/// One site: a node, its address and what came out of its TAP.
pub struct Site {
    pub node: Option<Box<Node>>,
    /// Changed by [`World::readdress`].
    ip: IpAddr,
    /// Port that the others see what it dials come from: its NAT may choose another.
    pub dial_port: u16,
    pub frames: Vec<Vec<u8>>,
    pub carrier: bool,
    /// Every change of the carrier.
    pub carrier_changes: Vec<(Instant, bool)>,
    /// Stopped as by SIGSTOP: it does nothing, and what arrives waits in its sockets.
    paused: bool,
    waiting: Vec<Flight>,
    /// Its timeout as it was last asked for: what the queue holds of it besides is void.
    due: Option<Instant>,
    /// Slots of links that carry, as of before the last event; for who watches.
    alive: u64,
}

pub struct World {
    pub now: Instant,
    pub sites: Vec<Site>,
    wires: HashMap<(usize, usize), Wire>,
    /// Sites by address.
    places: HashMap<IpAddr, usize>,
    /// Between a site and an address that no site has.
    pub outside: Wire,
    /// Nothing that this address sends arrives.
    pub deaf: Option<IpAddr>,
    pub names: HashMap<String, Vec<IpAddr>>,
    /// Names are looked up only when [`World::resolve`] is called: a slow name server.
    pub slow_names: bool,
    queries: Vec<(usize, Query)>,
    /// Further addresses of a site.
    pub aliases: HashMap<IpAddr, usize>,
    /// Wires by the address at their one end, for sites with several addresses; they go before [`World::wires`].
    pub ways: HashMap<IpAddr, Wire>,
    /// Datagrams put on the wires, and their bytes with IP and UDP headers.
    pub datagrams: u64,
    pub bytes: u64,
    /// Arrivals and timeouts.
    pub events_passed: u64,
    /// What arrives at an address that no node has.
    pub stray: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// What nodes send is seen; of those that are started from then on.
    pub watches: bool,
    pub sightings: Vec<Sighting>,
    /// Arrivals: when, the how manieth that was sent, and its place among the cargo.
    flights: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    cargo: Vec<Option<Flight>>,
    free: Vec<usize>,
    sent: u64,
    wakes: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
    /// Timeouts since the clock last moved.
    idle_wakes: u32,
    random: u64,
}

/// A node that asks for a timeout again and again without letting time pass would spin for ever.
const IDLE_WAKES: u32 = 10_000;

impl World {
    #[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            sites: Vec::new(),
            wires: HashMap::new(),
            places: HashMap::new(),
            outside: Wire::default(),
            deaf: None,
            names: HashMap::new(),
            slow_names: false,
            queries: Vec::new(),
            aliases: HashMap::new(),
            ways: HashMap::new(),
            datagrams: 0,
            bytes: 0,
            events_passed: 0,
            stray: Vec::new(),
            watches: false,
            sightings: Vec::new(),
            flights: BinaryHeap::new(),
            cargo: Vec::new(),
            free: Vec::new(),
            sent: 0,
            wakes: BinaryHeap::new(),
            buffer: Vec::new(),
            idle_wakes: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    pub fn ip(site: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0xC000_0201 + site as u32))
    }

    /// Adds a site without a node; [`World::start`] gives it one.
    pub fn add(&mut self) -> usize {
        let ip = Self::ip(self.sites.len());
        self.places.insert(ip, self.sites.len());
        self.sites.push(Site {
            node: None,
            ip,
            dial_port: 50_000 + self.sites.len() as u16,
            frames: Vec::new(),
            carrier: false,
            carrier_changes: Vec::new(),
            paused: false,
            waiting: Vec::new(),
            due: None,
            alive: 0,
        });
        self.sites.len() - 1
    }

    pub fn add_many(&mut self, sites: usize) {
        for _ in 0..sites {
            self.add();
        }
    }

    pub fn start(&mut self, site: usize, make: impl FnOnce(Instant) -> Node) {
        let mut node = Box::new(make(self.now));
        if self.watches {
            node.watch();
        }
        self.sites[site].node = Some(node);
        self.drain(site);
    }

    /// Ends a node without a word, as `kill -9` does.
    pub fn kill(&mut self, site: usize) {
        self.sites[site].node = None;
        self.sites[site].due = None;
        self.sites[site].waiting.clear();
    }

    /// Ends a node as SIGTERM does.
    pub fn stop(&mut self, site: usize) {
        let now = self.now;
        if let Some(node) = &mut self.sites[site].node {
            node.stop(now);
        }
        self.drain(site);
        self.kill(site);
    }

    /// Gives a site another address; its node is told, as netlink tells, if `told`.
    pub fn readdress(&mut self, site: usize, ip: IpAddr, told: bool) {
        let old = std::mem::replace(&mut self.sites[site].ip, ip);
        if self.places.get(&old) == Some(&site) {
            self.places.remove(&old);
        }
        self.places.insert(ip, site);
        let now = self.now;
        if told && let Some(node) = &mut self.sites[site].node {
            node.handle_network_change(now);
        }
        self.drain(site);
    }

    /// Stops a node as SIGSTOP does.
    pub fn pause(&mut self, site: usize) {
        self.sites[site].paused = true;
    }

    /// Lets it go on: like the daemon's loop, it reads what waits before it looks at its timers.
    pub fn resume(&mut self, site: usize) {
        self.sites[site].paused = false;
        for flight in std::mem::take(&mut self.sites[site].waiting) {
            self.deliver(site, flight);
        }
        self.schedule(site);
    }

    /// The same as far as the first turn of the loop: all that waits is read, nothing is acted on yet.
    pub fn resume_reading(&mut self, site: usize) {
        self.sites[site].paused = false;
        for flight in std::mem::take(&mut self.sites[site].waiting) {
            self.read(site, flight);
        }
    }

    /// The slow name server answers.
    pub fn resolve(&mut self) {
        let now = self.now;
        for (site, query) in std::mem::take(&mut self.queries) {
            let addresses = self.look_up(&query.host);
            if let Some(node) = &mut self.sites[site].node {
                node.handle_resolved(now, &query, &addresses);
            }
            self.drain(site);
        }
    }

    /// What the name server says; an address stands for itself.
    fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let literal = host.parse().ok().map(|address| vec![address]);
        literal.or_else(|| self.names.get(host).cloned()).ok_or_else(|| "name not found".to_owned())
    }

    fn site_of(&self, ip: IpAddr) -> Option<usize> {
        self.aliases.get(&ip).or_else(|| self.places.get(&ip)).copied()
    }

    pub fn set_wire(&mut self, a: usize, b: usize, wire: Wire) {
        self.wires.insert((a.min(b), a.max(b)), wire);
    }

    pub fn wire(&self, a: usize, b: usize) -> Wire {
        self.wires.get(&(a.min(b), a.max(b))).copied().unwrap_or_default()
    }

    pub fn random(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 32) % u64::from(end.max(1))) as u32
    }

    /// A frame out of the LAN of this site.
    pub fn send(&mut self, site: usize, frame: &[u8]) {
        let now = self.now;
        let mut buffer = BytesMut::zeroed(limits::HEADROOM);
        buffer.put_slice(frame);
        if let Some(node) = &mut self.sites[site].node {
            node.handle_frame(now, buffer);
        }
        self.drain(site);
    }

    /// Puts a UDP datagram on its way, whoever it is from.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.launch(from, to, bytes);
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most for `time`. True: it came to pass.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !done(self) {
            if !self.step(end) {
                self.now = end;
                return done(self);
            }
        }
        true
    }

    pub fn state(&self, site: usize, link: usize) -> Option<State> {
        self.sites[site].node.as_ref()?.links().iter().nth(link).map(|link| link.state)
    }

    pub fn links_up(&self, site: usize) -> usize {
        let node = self.sites[site].node.as_ref();
        node.map_or(0, |node| node.links().iter().filter(|link| link.is_up()).count())
    }

    pub fn reason(&self, site: usize, link: usize) -> String {
        let node = self.sites[site].node.as_ref();
        node.and_then(|node| node.links().iter().nth(link))
            .map(|link| link.reason.clone())
            .unwrap_or_default()
    }

    pub fn events(&self, site: usize) -> Vec<String> {
        let node = self.sites[site].node.as_ref();
        node.map(|node| node.events().map(|event| event.text.clone()).collect()).unwrap_or_default()
    }

    pub fn drops(&self, site: usize, reason: DropReason) -> u64 {
        self.sites[site].node.as_ref().map_or(0, |node| node.drops().count(reason))
    }

    /// The next thing that happens before `end`, if there is one.
    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.peek().map(|Reverse((at, _, _))| *at);
        let wake = self.next_wake();
        let Some(at) = [flight, wake].into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        self.events_passed += 1;
        self.idle_wakes = if at > self.now || flight == Some(at) { 0 } else { self.idle_wakes + 1 };
        assert!(self.idle_wakes < IDLE_WAKES, "a node spins: its timeout stays in the past");
        self.now = self.now.max(at);
        if flight == Some(at) {
            self.land()
        } else {
            self.wake()
        }
        true
    }

    /// When the first site has a timeout. What was scheduled and has been replaced since goes.
    fn next_wake(&mut self) -> Option<Instant> {
        loop {
            let Reverse((at, site)) = *self.wakes.peek()?;
            if self.sites[site].due == Some(at) && !self.sites[site].paused {
                return Some(at);
            }
            self.wakes.pop();
        }
    }

    /// The site whose timeout it is; [`World::next_wake`] has found it.
    fn wake(&mut self) {
        let Some(Reverse((_, site))) = self.wakes.pop() else { return };
        self.sites[site].due = None;
        if let Some(node) = &mut self.sites[site].node {
            node.handle_timeout(self.now);
        }
        self.drain(site);
    }

    /// Asks a node for its timeout.
    fn schedule(&mut self, site: usize) {
        let own = &mut self.sites[site];
        let due = own.node.as_mut().filter(|_| !own.paused).and_then(|node| node.next_timeout());
        if let Some(at) = due.filter(|_| due != own.due) {
            self.wakes.push(Reverse((at, site)));
        }
        own.due = due;
    }

    fn land(&mut self) {
        let Some(Reverse((_, _, place))) = self.flights.pop() else { return };
        let Some(flight) = self.cargo[place].take() else { return };
        self.free.push(place);
        match self.site_of(flight.to.ip()).filter(|site| self.sites[*site].node.is_some()) {
            Some(site) if self.sites[site].paused => self.sites[site].waiting.push(flight),
            Some(site) => self.deliver(site, flight),
            None => self.stray.push((flight.from, flight.to, flight.bytes.to_vec())),
        }
    }

    fn deliver(&mut self, site: usize, flight: Flight) {
        self.read(site, flight);
        self.drain(site);
    }

    fn read(&mut self, site: usize, flight: Flight) {
        let socket = match flight.to.port() {
            PORT => LISTEN,
            port if port == self.sites[site].dial_port => DIAL,
            _ => return,
        };
        let local = Some(flight.to.ip());
        if let Some(node) = &mut self.sites[site].node {
            node.handle_datagram(self.now, socket, flight.from, local, flight.bytes);
        }
    }

    /// Carries everything away that a node wants carried; for who acts on a node by hand.
    pub fn drain(&mut self, site: usize) {
        let Some(mut node) = self.sites[site].node.take() else { return };
        node.settle(self.now);
        self.take_datagrams(site, &mut node);
        while let Some(frame) = node.poll_frame() {
            self.sites[site].frames.push(frame.to_vec());
        }
        if self.watches {
            self.take_sightings(site, &mut node);
        }
        let answered = self.take_outputs(site, &mut node);
        self.sites[site].node = Some(node);
        if answered {
            self.drain(site);
        }
        self.schedule(site);
    }

    fn take_datagrams(&mut self, site: usize, node: &mut Node) {
        let (now, ip) = (self.now, self.sites[site].ip);
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            if transmit.source.is_some_and(|source| self.site_of(source) != Some(site)) {
                node.handle_unsent(now, &transmit, "Cannot assign requested address");
                buffer.clear();
                continue;
            }
            let port = if transmit.socket == LISTEN { PORT } else { self.sites[site].dial_port };
            let from = SocketAddr::new(transmit.source.unwrap_or(ip), port);
            for segment in buffer[..transmit.size].chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
                self.launch(from, transmit.destination, segment);
            }
            buffer.clear();
        }
        self.buffer = buffer;
    }

    fn take_sightings(&mut self, site: usize, node: &mut Node) {
        let neighbors = node.fabric().neighbors();
        // What turned suspect in this turn may have been sent on before.
        let alive = neighbors.alive() | std::mem::replace(&mut self.sites[site].alive, neighbors.alive());
        while let Some((link, bytes)) = node.poll_watched() {
            let neighbors = node.fabric().neighbors();
            let slot = neighbors.slot_of(link);
            let last = || neighbors.iter().find(|(_, own)| own.link == link).map(|(slot, _)| slot);
            let Some(slot) = slot.or_else(last) else { continue };
            let Some(to) = neighbors.get(slot).map(|own| own.id) else { continue };
            let is_alive = alive & bit(slot) != 0;
            let is_met = self.has_link(to, node.links().me().id);
            self.sightings.push(Sighting { at: self.now, site, to, is_alive, is_met, bytes });
        }
    }

    /// Whether the node of that id has a link to the other that is up.
    fn has_link(&self, id: NodeId, to: NodeId) -> bool {
        let mut nodes = self.sites.iter().filter_map(|site| site.node.as_ref());
        nodes.find(|node| node.links().me().id == id).is_some_and(|node| {
            let neighbors = node.fabric().neighbors();
            neighbors.find(to).is_some_and(|(slot, _)| neighbors.up() & bit(slot) != 0)
        })
    }

    /// True: a name was looked up, and the node may have more to say.
    fn take_outputs(&mut self, site: usize, node: &mut Node) -> bool {
        let mut answered = false;
        while let Some(output) = node.poll_output() {
            match output {
                Output::Carrier(on) => {
                    self.sites[site].carrier = on;
                    self.sites[site].carrier_changes.push((self.now, on));
                }
                Output::Crls => {}
                Output::Resolve(query) if self.slow_names && query.host.parse::<IpAddr>().is_err() => {
                    self.queries.push((site, query));
                }
                Output::Resolve(query) => {
                    node.handle_resolved(self.now, &query, &self.look_up(&query.host));
                    answered = true;
                }
            }
        }
        answered
    }

    fn launch(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.datagrams += 1;
        self.bytes += bytes.len() as u64 + 28;
        let wire = self.wire_between(from.ip(), to.ip());
        if self.deaf == Some(from.ip())
            || wire.cut
            || bytes.len() + 28 > wire.mtu
            || self.random(1000) < wire.loss
        {
            return;
        }
        let jitter = wire.jitter.mul_f64(f64::from(self.random(1000)) / 1000.0);
        let place = self.free.pop().unwrap_or_else(|| {
            self.cargo.push(None);
            self.cargo.len() - 1
        });
        self.cargo[place] = Some(Flight { from, to, bytes: BytesMut::from(bytes) });
        self.sent += 1;
        self.flights.push(Reverse((self.now + wire.delay + jitter, self.sent, place)));
    }

    fn wire_between(&self, from: IpAddr, to: IpAddr) -> Wire {
        if let Some(way) = self.ways.get(&from).or_else(|| self.ways.get(&to)) {
            return *way;
        }
        match (self.site_of(from), self.site_of(to)) {
            (Some(a), Some(b)) => self.wire(a, b),
            _ => self.outside,
        }
    }
}
