//! One whole node, QUIC and TLS included, without any I/O: joins the links to the switch and the carrier.
//!
//! UDP datagrams and frames go in by `handle_...`; after a batch of them call [`Node::settle`], drain
//! [`Node::poll_transmit`], [`Node::poll_frame`] and [`Node::poll_output`] until each says `None`, then sleep until
//! [`Node::next_timeout`]. Time is always told. Read first: docs/architecture.md.

pub mod carrier;
pub mod dates;
mod exchange;
mod frames;
mod journal;
pub mod json;
pub mod members;
mod overview;
mod renewal;
mod snapshot;
pub mod status;
mod time;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use self::carrier::Carrier;
use self::dates::Dates;
use self::exchange::{Copies, transit};
use self::journal::Journal;
use self::members::Members;
use self::snapshot::Snapshot;
use crate::limits;
use crate::link::{self, Event, Links, Query, SocketId, Transmit};
use crate::mesh::fabric::{self, Fabric};
use crate::mesh::switch::{self, Permit, Switch};
use crate::pki::fault::Fault;
use crate::pki::timekeeper::{self, Timekeeper};
use crate::pki::verify::Member;
use crate::types::{DropReason, Drops, LinkId, NodeId, Table};

pub struct Config {
    pub links: link::Config,
    pub switch: switch::Config,
    pub carrier: carrier::Config,
}

/// How much the node keeps, at most what limits.rs says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Nodes of the mesh, this one among them.
    pub nodes: usize,
    /// MAC addresses.
    pub macs: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { nodes: limits::NODES, macs: limits::OWNERS }
    }
}

/// What may change while the node runs.
pub struct Reload {
    pub credentials: link::Credentials,
    pub peers: Vec<link::peer::Config>,
    pub switch: switch::Config,
    pub carrier: carrier::Config,
    pub fast_detect: bool,
}

/// What the daemon is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Set the carrier of the TAP.
    Carrier(bool),
    /// Look a name up; the answer goes to [`Node::handle_resolved`].
    Resolve(Query),
    /// Keep the lists of revoked certificates that we have now: another node told one.
    Crls,
}

/// Frames that crossed the TAP, and those of others; they only grow.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub tap_rx_frames: u64,
    pub tap_tx_frames: u64,
    pub tap_rx_bytes: u64,
    pub tap_tx_bytes: u64,
    /// Frames that were sent on for others, tunneled broadcasts included.
    pub forwarded_frames: u64,
    /// Copies of broadcasts, our own ones included, that went out to neighbors.
    pub broadcast_copies: u64,
}

pub struct Node {
    links: Links,
    fabric: Fabric,
    members: Members,
    switch: Switch,
    carrier: Carrier,
    /// Messages wait, whose signatures are checked then.
    more_at: Option<Instant>,
    copies: Copies,
    /// Which neighbor tells which station lives where.
    snapshot: Snapshot,
    /// Nodes within reach when paths were last searched.
    reached: usize,
    to_tap: VecDeque<Bytes>,
    outputs: VecDeque<Output>,
    counters: Counters,
    drops: Drops,
    journal: Journal,
    keeper: Timekeeper,
    dates: Dates,
    began: Instant,
}

impl Node {
    /// Fails when the certificate and key are of no use to TLS.
    pub fn new(config: Config, now: Instant) -> Result<Self, Fault> {
        let credentials = &config.links.credentials;
        let floor = timekeeper::floor(credentials.identity.chain(), &credentials.trust);
        let keeper = Timekeeper::new(config.links.clock.clone(), now, floor);
        let members = Members::new(credentials.clone(), config.links.clock.clone());
        let epoch = config.links.epoch;
        let seed = config.links.seed.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let links = Links::new(config.links, now)?;
        let me = links.me().id;
        let fabric = Fabric::new(&fabric::Config { me, epoch, transit: transit(links.me()), seed }, now);
        let mut node = Self {
            switch: Switch::new(me, config.switch, seed, now),
            links,
            fabric,
            members,
            carrier: Carrier::new(config.carrier, now),
            more_at: None,
            copies: Copies::default(),
            snapshot: Snapshot::new(),
            reached: 1,
            to_tap: VecDeque::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            drops: Drops::default(),
            journal: Journal::new(now),
            keeper,
            dates: Dates::default(),
            began: now,
        };
        node.switch.set_permit(me, permit(node.links.me()));
        node.say_clock(now);
        node.say_dates(now);
        node.settle(now);
        Ok(node)
    }

    /// A UDP datagram came in on one of our sockets.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        local: Option<IpAddr>,
        bytes: BytesMut,
    ) {
        self.links.handle_datagram(now, socket, remote, local, bytes);
        self.take_datagrams(now);
    }

    /// The answer to an [`Output::Resolve`].
    pub fn handle_resolved(&mut self, now: Instant, query: &Query, answer: &Result<Vec<IpAddr>, String>) {
        self.links.handle_resolved(now, query, answer);
        self.settle(now);
    }

    /// Our addresses or routes have changed.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.links.handle_network_change(now);
        self.settle(now);
    }

    /// The kernel refused to send this, for a reason that lasts; its words.
    pub fn handle_unsent(&mut self, now: Instant, transmit: &Transmit, reason: &str) {
        self.links.handle_unsent(now, transmit, reason);
        self.settle(now);
    }

    /// Addresses of all peers that we are connected to or that are being dialed.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.links.remotes()
    }

    /// The way to this address leads into our own tunnel now.
    pub fn handle_inside(&mut self, now: Instant, remote: SocketAddr, reason: &str) {
        self.links.handle_inside(now, remote, reason);
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_time(now);
        self.journal.handle_timeout(now);
        self.switch.handle_timeout(now);
        self.links.handle_timeout(now);
        self.settle(now);
    }

    /// Works off what a batch of input has set going.
    pub fn settle(&mut self, now: Instant) {
        self.keeper.advance(now);
        self.links.settle(now);
        self.handle_events(now);
        self.take_datagrams(now);
        self.take_measured(now);
        self.take_messages(now);
        // Connections of nodes that are no members any more were closed meanwhile.
        self.handle_events(now);
        self.fabric.handle_timeout(now, &mut self.members);
        self.take_accepted(now);
        self.handle_reach(now);
        self.tell_stations(now);
        self.say_messages(now);
        self.ask_snapshots(now);
        self.say_notes(now);
        self.links.settle(now);
        self.carrier.handle_links(now, self.fabric.neighbors().up() != 0);
        if let Some(on) = self.carrier.poll(now) {
            self.journal.note(now, format!("carrier {}", if on { "on" } else { "off" }));
            self.outputs.push_back(Output::Carrier(on));
        }
    }

    fn handle_events(&mut self, now: Instant) {
        while let Some(event) = self.links.poll_event() {
            self.handle_event(now, event);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { link, node } => self.handle_up(now, link, node),
            Event::Down { link } => {
                self.snapshot.handle_down(link);
                self.fabric.handle_down(now, link);
            }
            Event::Suspect { link, withdraw_after } => self.fabric.handle_suspect(now, link, withdraw_after),
            Event::Recovered { link } => self.fabric.handle_recovered(now, link),
            Event::Resync { link } => self.fabric.handle_resync(now, link),
            Event::Resolve(query) => self.outputs.push_back(Output::Resolve(query)),
            Event::Note(line) => self.journal.note(now, line),
            Event::Refusal(line) => self.journal.warn(now, line),
            Event::Detail(line) => log::debug!("{line}"),
        }
    }

    /// A link has come up, or its peer has shown a newer certificate.
    fn handle_up(&mut self, now: Instant, link: LinkId, node: NodeId) {
        let Some(member) = self.links.iter().find(|own| own.id == link).and_then(|own| own.member.as_ref())
        else {
            return;
        };
        let (permit, transit) = (permit(member), transit(member));
        self.switch.set_permit(node, permit);
        let slot = self.fabric.slot_of(link);
        if slot.and_then(|slot| self.fabric.neighbors().get(slot)).is_some_and(|own| own.id == node) {
            return self.fabric.handle_rights(node, transit);
        }
        let rtt = self.links.least_rtt(link).unwrap_or(limits::INITIAL_RTT);
        if !self.fabric.handle_up(now, link, (node, transit), rtt, &self.members) {
            return self.journal.caution(now, format!("node {node} gets no slot: too many links"));
        }
        self.switch.look_again();
        self.tell_news(now, node);
    }

    fn take_measured(&mut self, now: Instant) {
        let measured = self.links.take_measured();
        for link in (0..limits::LINKS as u8).filter(|link| measured & 1 << link != 0).map(LinkId) {
            if let Some(rtt) = self.links.least_rtt(link) {
                self.fabric.handle_rtt(now, link, rtt);
            }
        }
    }

    /// Who is within reach now, if that may have changed?
    fn handle_reach(&mut self, now: Instant) {
        if self.fabric.poll_reach() {
            let fabric = &self.fabric;
            self.switch.handle_reach(now, |id| fabric.reaches(id));
            let reached = fabric.graph().ids().filter(|id| fabric.reaches(*id)).count();
            if core::mem::replace(&mut self.reached, reached) < reached {
                self.switch.look_again();
            }
        }
        while let Some(id) = self.fabric.poll_purged(now, &mut self.members) {
            self.switch.forget(id);
        }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        let own = [
            self.carrier.next_timeout(),
            self.next_date(),
            self.journal.next_timeout(),
            self.fabric.next_timeout(),
            self.switch.next_timeout(),
            self.more_at,
        ];
        let all = [self.links.next_timeout()].into_iter().chain(own);
        all.flatten().min()
    }

    /// UDP datagrams to send now, written to the empty `buffer`.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Transmit> {
        self.links.poll_transmit(now, buffer)
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The kernel refused to send batches on this socket.
    pub fn set_segments(&mut self, socket: SocketId, segments: usize) {
        self.links.set_segments(socket, segments);
    }

    /// Takes a changed configuration; what did not change goes on. Sockets, names and the node's own id cannot
    /// change. Fails, and changes nothing, when the certificate and key are of no use to TLS.
    pub fn reload(&mut self, now: Instant, config: Reload) -> Result<(), Fault> {
        let credentials = self.with_newest_crls(config.credentials);
        self.links.reload(now, credentials.clone(), config.peers)?;
        self.links.set_fast_detect(config.fast_detect);
        self.handle_renewed(now, credentials, u64::MAX);
        self.switch.configure(config.switch);
        self.carrier.configure(now, config.carrier);
        self.settle(now);
        Ok(())
    }

    /// MAC addresses that are too many go at once; nodes that are known stay.
    pub fn set_capacity(&mut self, now: Instant, capacity: Capacity) {
        self.fabric.set_capacity(capacity.nodes);
        self.switch.set_capacity(now, capacity.macs);
    }

    /// Something that the operator should act upon.
    pub fn caution(&mut self, now: Instant, line: String) {
        self.journal.caution(now, line);
    }

    /// Something that the operator should know.
    pub fn note(&mut self, now: Instant, line: String) {
        self.journal.note(now, line);
    }

    /// Says goodbye to all peers; what [`Node::poll_transmit`] then gives is the last to be sent.
    pub fn stop(&mut self, now: Instant) {
        self.links.stop(now);
        self.settle(now);
    }

    pub fn links(&self) -> &Links {
        &self.links
    }

    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    pub fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// All refusals, those of the links included.
    pub fn drops(&self) -> Drops {
        let mut all = self.links.all_drops();
        DropReason::ALL.into_iter().for_each(|reason| all.add_many(reason, self.drops.count(reason)));
        all
    }

    /// The last events, oldest first, with the time since the node began.
    pub fn events(&self) -> impl Iterator<Item = &journal::Entry> {
        self.journal.iter()
    }

    /// How full the bounded tables of all rooms are, and what memory they take.
    pub fn tables(&self) -> Vec<Table> {
        let mesh = self.fabric.tables().chain(self.switch.tables());
        let own = [self.waiting_frames(), self.journal.table()];
        mesh.chain(self.members.tables()).chain(self.links.tables()).chain(own).collect()
    }

    fn waiting_frames(&self) -> Table {
        let bytes = self.to_tap.iter().map(Bytes::len).sum();
        Table { name: "to_tap", used: self.to_tap.len(), capacity: limits::TAP_QUEUE, bytes }
    }

    pub fn began(&self) -> Instant {
        self.began
    }
}

/// What a certificate says about Ethernet.
fn permit(member: &Member) -> Permit {
    let rights = &member.rights;
    Permit { l2: rights.l2, macs: rights.mac.clone(), quota: rights.macs.unwrap_or(u16::MAX) }
}
