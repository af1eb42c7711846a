//! One whole node, QUIC and TLS included, without any I/O: joins the links to the switch and the carrier.
//!
//! UDP datagrams and frames go in by `handle_...`; after a batch of them call [`Node::settle`], drain
//! [`Node::poll_transmit`], [`Node::poll_frame`] and [`Node::poll_output`] until each says `None`, then sleep until
//! [`Node::next_timeout`]. Time is always told. Read first: docs/architecture.md.

pub mod carrier;
pub mod dates;
mod journal;
pub mod json;
pub mod status;
mod time;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use heapless::LinearMap;

use self::carrier::Carrier;
use self::dates::Dates;
use self::journal::Journal;
use crate::limits;
use crate::link::{self, Event, Links, Query, SocketId, Transmit};
use crate::mesh::switch::{self, Cast, Permit, Switch, Verdict};
use crate::pki::fault::Fault;
use crate::pki::timekeeper::{self, Timekeeper};
use crate::pki::verify::Member;
use crate::types::{DropReason, Drops, LinkId, NodeId};
use crate::wire::overlay::{self, ETH_HEADER};

pub struct Config {
    pub links: link::Config,
    pub switch: switch::Config,
    pub carrier: carrier::Config,
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
}

/// Frames that crossed the TAP; they only grow.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub tap_rx_frames: u64,
    pub tap_tx_frames: u64,
    pub tap_rx_bytes: u64,
    pub tap_tx_bytes: u64,
}

pub struct Node {
    links: Links,
    switch: Switch,
    carrier: Carrier,
    /// The link to each node that we are linked to.
    routes: LinearMap<NodeId, LinkId, { limits::LINKS }>,
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
        let seed = config.links.seed.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let links = Links::new(config.links, now)?;
        let me = links.me().id;
        let mut node = Self {
            switch: Switch::new(me, config.switch, seed, now),
            links,
            carrier: Carrier::new(config.carrier, now),
            routes: LinearMap::new(),
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

    /// A frame came out of the TAP, with [`limits::HEADROOM`] free bytes in front of it.
    pub fn handle_frame(&mut self, now: Instant, mut buffer: BytesMut) {
        let Some(header) = buffer.get_mut(limits::HEADROOM - ETH_HEADER) else { return };
        *header = overlay::ETH;
        let datagram = buffer.freeze().slice(limits::HEADROOM - ETH_HEADER..);
        let frame = datagram.get(ETH_HEADER..).unwrap_or_default();
        self.counters.tap_rx_frames += 1;
        self.counters.tap_rx_bytes += frame.len() as u64;
        match self.switch.handle_local(now, frame) {
            Verdict::To(owner) => match self.routes.get(&owner) {
                Some(link) => self.send(now, *link, &datagram),
                None => self.drops.add(DropReason::NoRoute),
            },
            Verdict::Flood => self.flood(now, &datagram),
            Verdict::Deliver | Verdict::Redirect(_) => {}
            Verdict::Drop(reason) => self.drops.add(reason),
        }
    }

    fn flood(&mut self, now: Instant, datagram: &Bytes) {
        if self.routes.is_empty() {
            self.drops.add(DropReason::NoRoute);
        }
        for (_, link) in &self.routes {
            if let Err(reason) = self.links.send(now, *link, datagram) {
                self.drops.add(reason);
            }
        }
    }

    fn send(&mut self, now: Instant, link: LinkId, datagram: &Bytes) {
        if let Err(reason) = self.links.send(now, link, datagram) {
            self.drops.add(reason);
        }
    }

    /// Frames that the links received go to the TAP.
    fn take_datagrams(&mut self, now: Instant) {
        while let Some((link, datagram)) = self.links.poll_datagram() {
            match overlay::Datagram::parse(&datagram) {
                Ok(overlay::Datagram::Eth(_)) => self.take_frame(now, link, datagram.slice(ETH_HEADER..)),
                Ok(_) | Err(_) => self.drops.add(DropReason::UnknownType),
            }
        }
    }

    fn take_frame(&mut self, now: Instant, link: LinkId, frame: Bytes) {
        let Some(origin) = self.routes.iter().find(|(_, own)| **own == link).map(|(node, _)| *node) else {
            return self.drops.add(DropReason::NoRoute);
        };
        match self.switch.handle_remote(now, origin, &frame, Cast::One) {
            // ETH has no budget of repairs: it ends here, wherever its station may be.
            Verdict::Deliver | Verdict::Redirect(_) if self.to_tap.len() < limits::TAP_QUEUE => {
                self.to_tap.push_back(frame);
            }
            Verdict::Drop(reason) => self.drops.add(reason),
            _ => self.drops.add(DropReason::TapFull),
        }
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
        self.links.handle_timeout(now);
        self.switch.handle_timeout(now);
        self.settle(now);
    }

    /// Works off what a batch of input has set going.
    pub fn settle(&mut self, now: Instant) {
        self.keeper.advance(now);
        self.links.settle(now);
        while let Some(event) = self.links.poll_event() {
            self.handle_event(now, event);
        }
        self.take_datagrams(now);
        self.settle_switch(now);
        self.carrier.handle_links(now, !self.routes.is_empty());
        if let Some(on) = self.carrier.poll(now) {
            self.journal.note(now, format!("carrier {}", if on { "on" } else { "off" }));
            self.outputs.push_back(Output::Carrier(on));
        }
    }

    fn settle_switch(&mut self, now: Instant) {
        // Others learn by frames only: nothing is announced to them.
        while self.switch.poll_moves(now).is_some() || self.switch.poll_gone().is_some() {}
        while let Some(line) = self.switch.poll_note() {
            self.journal.note(now, line);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { link, node } => {
                self.switch.look_again();
                // There are as many routes as links.
                let _ = self.routes.insert(node, link);
                let member = self.links.iter().find(|own| own.id == link).and_then(|own| own.member.as_ref());
                if let Some(permit) = member.map(permit) {
                    self.switch.set_permit(node, permit);
                }
            }
            Event::Down { link } => {
                let node = self.routes.iter().find(|(_, own)| **own == link).map(|(node, _)| *node);
                if let Some(node) = node {
                    self.routes.remove(&node);
                    self.switch.remove_permit(node);
                }
            }
            Event::Resolve(query) => self.outputs.push_back(Output::Resolve(query)),
            Event::Note(line) => self.journal.note(now, line),
            Event::Refusal(line) => self.journal.warn(now, line),
            Event::Detail(line) => log::debug!("{line}"),
        }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        let own = [self.carrier.next_timeout(), self.next_date(), self.journal.next_timeout()];
        let all = [self.links.next_timeout(), self.switch.next_timeout()].into_iter().chain(own);
        all.flatten().min()
    }

    /// UDP datagrams to send now, written to the empty `buffer`.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Transmit> {
        self.links.poll_transmit(now, buffer)
    }

    /// A frame for the TAP.
    pub fn poll_frame(&mut self) -> Option<Bytes> {
        let frame = self.to_tap.pop_front()?;
        self.counters.tap_tx_frames += 1;
        self.counters.tap_tx_bytes += frame.len() as u64;
        Some(frame)
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The TAP did not take the last frame.
    pub fn handle_tap_refusal(&mut self, frame: &[u8], reason: DropReason) {
        self.counters.tap_tx_frames -= 1;
        self.counters.tap_tx_bytes -= frame.len() as u64;
        self.drops.add(reason);
    }

    /// The kernel refused to send batches on this socket.
    pub fn set_segments(&mut self, socket: SocketId, segments: usize) {
        self.links.set_segments(socket, segments);
    }

    /// Takes a changed configuration; what did not change goes on. Sockets, names and the node's own id cannot
    /// change. Fails, and changes nothing, when the certificate and key are of no use to TLS.
    pub fn reload(&mut self, now: Instant, config: Reload) -> Result<(), Fault> {
        let floor = timekeeper::floor(config.credentials.identity.chain(), &config.credentials.trust);
        self.links.reload(now, config.credentials, config.peers)?;
        self.links.set_fast_detect(config.fast_detect);
        self.handle_renewed(now, floor);
        self.switch.configure(config.switch);
        self.carrier.configure(now, config.carrier);
        self.settle(now);
        Ok(())
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

    pub fn began(&self) -> Instant {
        self.began
    }
}

/// What a certificate says about Ethernet.
fn permit(member: &Member) -> Permit {
    let rights = &member.rights;
    Permit { l2: rights.l2, macs: rights.mac.clone(), quota: rights.macs.unwrap_or(u16::MAX) }
}
