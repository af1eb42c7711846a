//! Links: QUIC connections to other nodes, which of them carries, and whether the peer is alive.
//! Never: sockets, files, the mesh. Read first: RFC 9000, RFC 9221, docs/protocol.md.
//!
//! Frames go in by [`Links::send`] and come out by [`Links::poll_frame`]; UDP datagrams go in by
//! [`Links::handle_datagram`] and come out by [`Links::poll_transmit`]. After a batch of input: [`Links::settle`].

pub mod connection;
pub mod dial;
pub mod fragment;
pub mod liveness;
pub mod peer;
mod reason;
mod reload;
mod table;
pub mod transport;
pub mod window;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{DatagramEvent, Endpoint, Incoming, ServerConfig};

use self::connection::{Connection, Overdue, OwnedHello, Report, Role};
use self::fragment::{Rejoiner, Splitter};
use self::peer::{Link, Slot, State};
use self::table::Table;
use self::transport::Transports;
use crate::limits::{self, Profile};
use crate::pki::clock::WallClock;
use crate::pki::fault::Fault;
use crate::pki::identity::Identity;
use crate::pki::tls::{self, Suites};
use crate::pki::verify::{Member, Trust};
use crate::types::{DropReason, Drops, LinkId, NodeId};
use crate::wire::control::{self, CloseCode};
use crate::wire::overlay;

/// One of the node's UDP sockets, as the daemon numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketId(pub u8);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    Listen,
    Dial,
}

#[derive(Clone, Copy, Debug)]
pub struct Socket {
    pub id: SocketId,
    pub purpose: Purpose,
    pub ipv6: bool,
    /// QUIC packets that one system call may send.
    pub segments: usize,
}

/// Who we are and whom we trust: what a reload of the certificates changes.
#[derive(Clone)]
pub struct Credentials {
    pub identity: Arc<Identity>,
    pub trust: Arc<Trust>,
    /// Our own certificate, as the others judge it.
    pub me: Member,
}

#[derive(Clone)]
pub struct Config {
    pub network: String,
    pub credentials: Credentials,
    pub clock: Arc<WallClock>,
    pub suites: Suites,
    pub peers: Vec<peer::Config>,
    pub sockets: Vec<Socket>,
    /// Start of this run, UNIX seconds.
    pub epoch: u32,
    pub profile: Profile,
    /// Seeds pauses, packet numbers and keys of Retry tokens.
    pub seed: [u8; 32],
}

/// What others need to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Up {
        link: LinkId,
        node: NodeId,
    },
    Down {
        link: LinkId,
    },
    /// Look a name up and tell [`Links::handle_resolved`].
    Resolve(Query),
    /// A line for the log and for status.
    Note(String),
    /// Someone was refused: strangers can provoke these.
    Refusal(String),
    /// A line that only matters to who looks closer.
    Detail(String),
}

/// A name to look up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    pub host: String,
    pub port: u16,
    link: LinkId,
    generation: u32,
    race: u32,
    endpoint: usize,
}

/// UDP datagrams to send: `size` bytes, in segments of `segment_size` if that is given.
#[derive(Clone, Copy, Debug)]
pub struct Transmit {
    pub socket: SocketId,
    pub destination: SocketAddr,
    pub source: Option<IpAddr>,
    pub size: usize,
    pub segment_size: Option<usize>,
}

pub struct Links {
    config: Config,
    listener: Endpoint,
    dialer: Endpoint,
    server: ServerConfig,
    transports: Transports,
    table: Table,
    links: Vec<Option<Link>>,
    /// Links made so far.
    made: u32,
    splitter: Splitter,
    rejoiner: Rejoiner,
    events: VecDeque<Event>,
    frames: VecDeque<(LinkId, Bytes)>,
    responses: VecDeque<(Transmit, Vec<u8>)>,
    scratch: Vec<u8>,
    pub drops: Drops,
}

impl Links {
    /// Fails when the certificate and key are of no use to TLS.
    pub fn new(config: Config, now: Instant) -> Result<Self, Fault> {
        let mut token_key = [0; 64];
        token_key.iter_mut().zip(config.seed.iter().cycle()).for_each(|(key, seed)| *key = *seed);
        let crypto = server_crypto(&config)?;
        let server = transport::server(crypto, token_key, config.clock.clone());
        let listens = config.sockets.iter().any(|socket| socket.purpose == Purpose::Listen);
        let endpoint = |salt: u8, server: Option<Arc<ServerConfig>>| {
            let mut seed = config.seed;
            seed.iter_mut().for_each(|byte| *byte ^= salt);
            Endpoint::new(transport::endpoint(seed), server, true, None)
        };
        let mut links = Self {
            listener: endpoint(0x5A, listens.then(|| Arc::new(server.clone()))),
            dialer: endpoint(0xA5, None),
            transports: Transports::new(&config.profile),
            server,
            table: Table::new(),
            links: (0..limits::LINKS).map(|_| None).collect(),
            made: 0,
            splitter: Splitter::default(),
            rejoiner: Rejoiner::new(now),
            events: VecDeque::new(),
            frames: VecDeque::new(),
            responses: VecDeque::new(),
            scratch: Vec::new(),
            drops: Drops::default(),
            config,
        };
        for peer in links.config.peers.clone() {
            if links.add_link(now, Some(peer)).is_none() {
                links.note(format!("more than {} peers: the rest is left out", limits::LINKS));
                break;
            }
        }
        links.poll_dialers(now);
        Ok(links)
    }

    pub fn me(&self) -> &Member {
        &self.config.credentials.me
    }

    pub fn trust(&self) -> &Trust {
        &self.config.credentials.trust
    }

    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten()
    }

    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.table.iter().map(|(_, connection)| connection)
    }

    pub fn connection(&self, slot: Slot) -> Option<&Connection> {
        self.table.find(slot)
    }

    /// Largest overlay datagram that every link which is up carries in one piece; `None`: no link is up.
    pub fn smallest_datagram(&self) -> Option<usize> {
        let active = self.iter().filter_map(|link| self.table.find(link.active?));
        active.map(Connection::max_datagram).filter(|max| *max > 0).min()
    }

    pub fn connections_used(&self) -> usize {
        self.table.len()
    }

    pub fn rejoining(&self) -> usize {
        self.rejoiner.used()
    }

    /// Drops on the links, those of the reassembly included.
    pub fn all_drops(&self) -> Drops {
        let mut drops = self.drops;
        drops.add_many(DropReason::Reassembly, self.rejoiner.given_up());
        drops
    }

    /// A UDP datagram came in.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        local: Option<IpAddr>,
        bytes: BytesMut,
    ) {
        let role = match self.config.sockets.iter().find(|known| known.id == socket) {
            Some(Socket { purpose: Purpose::Listen, .. }) => Role::Server,
            Some(_) => Role::Client,
            None => return,
        };
        self.scratch.clear();
        let endpoint = if role == Role::Server { &mut self.listener } else { &mut self.dialer };
        match endpoint.handle(now, remote, local, None, bytes, &mut self.scratch) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(slot) = self.table.by_handle(role, handle)
                    && let Some(connection) = self.table.find_mut(slot)
                {
                    connection.quinn.handle_event(event);
                    self.table.touch(slot);
                    self.receive(now, slot);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.handle_incoming(now, socket, incoming),
            Some(DatagramEvent::Response(transmit)) => self.respond(socket, &transmit),
            None => {}
        }
    }

    /// Moves what a connection received on to the frames. What came before HELLO waits, in bounds, in QUIC: the
    /// peer is up a moment before us, and a datagram travels in front of the stream in the same packet.
    fn receive(&mut self, now: Instant, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot).filter(|connection| connection.is_up()) else {
            return;
        };
        while let Some(datagram) = connection.quinn.datagrams().recv() {
            let Some(link) = connection.link else { continue };
            if let Some(Some(link)) = self.links.get_mut(usize::from(link.0)) {
                link.rx_bytes += datagram.len() as u64;
            }
            match overlay::Datagram::parse(&datagram) {
                Ok(overlay::Datagram::Eth(_)) => {
                    self.frames.push_back((link, datagram.slice(overlay::ETH_HEADER..)))
                }
                Ok(overlay::Datagram::Frag(frag, piece)) => {
                    let whole = self.rejoiner.handle_piece(now, link, frag, piece);
                    match whole.as_deref().map(overlay::Datagram::parse) {
                        Some(Ok(overlay::Datagram::Eth(frame))) => {
                            let frame = whole.as_ref().map(|whole| whole.slice_ref(frame));
                            self.frames.extend(frame.map(|frame| (link, frame)));
                        }
                        Some(_) => self.drops.add(DropReason::UnknownType),
                        None => {}
                    }
                }
                Err(_) => self.drops.add(DropReason::UnknownType),
            }
        }
    }

    fn handle_incoming(&mut self, now: Instant, socket: SocketId, incoming: Incoming) {
        let half_open = self.table.half_open().count();
        if self.table.is_full() || (half_open >= limits::HALF_OPEN && !self.end_stale_handshake(now)) {
            return self.listener.ignore(incoming);
        }
        self.scratch.clear();
        if half_open >= limits::HALF_OPEN_BEFORE_RETRY && incoming.may_retry() {
            if let Ok(transmit) = self.listener.retry(incoming, &mut self.scratch) {
                self.respond(socket, &transmit);
            }
            return;
        }
        let config = self.transports.server(incoming.remote_address(), &self.server);
        match self.listener.accept(incoming, now, &mut self.scratch, Some(config)) {
            Ok((handle, quinn)) => {
                self.table.insert(Connection::new(quinn, handle, Role::Server, socket, now));
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.respond(socket, &transmit);
                }
            }
        }
    }

    /// Makes room for a handshake by ending the oldest one. False: none is old enough.
    fn end_stale_handshake(&mut self, now: Instant) -> bool {
        let oldest = self.table.half_open().min_by_key(|(_, connection)| connection.began);
        let stale =
            oldest.filter(|(_, own)| now.saturating_duration_since(own.began) >= limits::HALF_OPEN_STALE);
        let Some(slot) = stale.map(|(slot, _)| slot) else { return false };
        self.retire(now, slot, CloseCode::Busy, "the handshake took too long, and others wait");
        true
    }

    fn respond(&mut self, socket: SocketId, transmit: &quinn_proto::Transmit) {
        if self.responses.len() < limits::RESPONSES
            && let Some(bytes) = self.scratch.get(..transmit.size)
        {
            self.responses.push_back((outgoing(socket, transmit), bytes.to_vec()));
        }
    }

    /// The answer to an [`Event::Resolve`].
    pub fn handle_resolved(&mut self, now: Instant, query: &Query, answer: &Result<Vec<IpAddr>, String>) {
        if let Some(Some(link)) = self.links.get_mut(usize::from(query.link.0))
            && query.generation == link.generation
        {
            let addresses = answer.as_deref().unwrap_or_default();
            if let Err(reason) = answer
                && !link.is_up()
            {
                link.reason = format!("{reason}: {}", query.host);
            }
            link.dialer.handle_resolved(now, query.race, query.endpoint, addresses);
            self.poll_dialers(now);
        }
    }

    /// Hands an overlay datagram to the connection that carries for this link, in pieces if it must be.
    pub fn send(&mut self, now: Instant, link: LinkId, datagram: &Bytes) -> Result<(), DropReason> {
        let link =
            self.links.get_mut(usize::from(link.0)).and_then(Option::as_mut).ok_or(DropReason::NoRoute)?;
        let slot = link.active.ok_or(DropReason::NoRoute)?;
        let connection = self.table.find_mut(slot).ok_or(DropReason::NoRoute)?;
        link.tx_bytes += datagram.len() as u64;
        let max = connection.max_datagram();
        let result = if datagram.len() <= max {
            connection.send(now, datagram.clone())
        } else {
            let pieces = self.splitter.split(datagram, max, connection.room()).ok_or(DropReason::TooBig)?;
            // All of them, even if an older one had to make room: without one the others are worth nothing.
            pieces.map(|piece| connection.send(now, piece)).fold(Ok(()), Result::and)
        };
        self.table.touch(slot);
        result
    }

    /// Works off what the input since the last call has set going.
    pub fn settle(&mut self, now: Instant) {
        while let Some(slot) = self.table.next_touched() {
            self.settle_connection(now, slot);
        }
    }

    fn settle_connection(&mut self, now: Instant, slot: Slot) {
        self.exchange_events(slot);
        while let Some(report) = self.table.find_mut(slot).and_then(|connection| connection.poll(now)) {
            match report {
                Report::Connected => self.handle_connected(now, slot),
                Report::Hello(hello) => self.handle_hello(now, slot, &hello),
                Report::Lost { reason, code } => self.handle_lost(now, slot, reason, code),
            }
        }
        let Some(connection) = self.table.find_mut(slot) else { return };
        if connection.settle(now)
            && let Some(link) = connection.link
        {
            self.rechoose(now, link);
        }
        self.exchange_events(slot);
        self.table.remove_drained(slot);
    }

    /// Carries events between a connection and its endpoint.
    fn exchange_events(&mut self, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let endpoint = if connection.role == Role::Server { &mut self.listener } else { &mut self.dialer };
        while let Some(event) = connection.quinn.poll_endpoint_events() {
            if let Some(answer) = endpoint.handle_event(connection.handle, event) {
                connection.quinn.handle_event(answer);
            }
        }
    }

    /// The peer has shown its certificate: finds its link and says HELLO.
    fn handle_connected(&mut self, now: Instant, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let chain = connection.peer_chain().unwrap_or_default();
        let clock = &self.config.clock;
        let judged = self.config.credentials.trust.judge(&chain, clock.unix_s(), clock.is_trusted());
        let (code, reason) = match judged {
            Err(refusal) => (CloseCode::Certificate, refusal.to_string()),
            Ok(member) if self.is_beaten(slot, &member) => {
                self.retire(now, slot, CloseCode::Replaced, "another address answered first");
                return self.handle_lost(now, slot, String::new(), Some(CloseCode::Replaced as u64));
            }
            Ok(member) => match self.admit(now, slot, &member) {
                Ok(link) => return self.greet(now, slot, link, member),
                Err(refused) => refused,
            },
        };
        self.give_up(now, slot, code, &reason);
    }

    /// Whether another address of the same node has answered before. Only one of them says HELLO: the peer takes the
    /// newest that does, and over a long path both ends would close what the other has chosen.
    fn is_beaten(&self, slot: Slot, member: &Member) -> bool {
        let Some(own) = self.table.find(slot).filter(|own| own.role == Role::Client) else { return false };
        self.table.iter().any(|(_, other)| {
            let same =
                other.link == own.link || other.member.as_ref().is_some_and(|it| it.is_same_node(member));
            same && other.role == Role::Client && other.stage == connection::Stage::Greeting
        })
    }

    /// The link for a member that has connected, or why there is none.
    fn admit(&mut self, now: Instant, slot: Slot, member: &Member) -> Result<LinkId, (CloseCode, String)> {
        let me = self.me();
        if member.id == me.id {
            let reason = if member.fingerprint == me.fingerprint {
                "this is the node itself".to_owned()
            } else {
                format!("node id {} is mine ({}), and {} has it too", me.id, me.name, member.name)
            };
            return Err((CloseCode::Duplicate, reason));
        }
        if let Some(conflict) = self.conflict(slot, member) {
            return Err(conflict);
        }
        if let Some(link) = self.table.find(slot).and_then(|connection| connection.link) {
            return Ok(link);
        }
        let greeting = |own: &&Connection| {
            let same = own.member.as_ref().is_some_and(|other| other.is_same_node(member));
            same && own.stage == connection::Stage::Greeting
        };
        if self.connections().filter(greeting).count() > limits::CANDIDATES {
            return Err((CloseCode::Busy, format!("too many connections of {} say nothing", member.name)));
        }
        let fits = |link: &&Link| link.expects(&member.name) || link.is_of(member);
        let known = self.iter().filter(fits).min_by_key(|link| !link.is_up()).map(|link| link.id);
        known
            .or_else(|| self.connections().find(greeting).and_then(|own| own.link))
            .or_else(|| self.add_link(now, None))
            .ok_or_else(|| (CloseCode::Busy, format!("all {} links are taken", limits::LINKS)))
    }

    /// Why a member cannot be linked by this connection: another node has its id or its link, or it is linked by
    /// another peer section. So a node has one link at a time, and a link one node.
    fn conflict(&self, slot: Slot, member: &Member) -> Option<(CloseCode, String)> {
        let link = self.table.find(slot)?.link;
        let is_configured = |link: &Link| link.config.is_some();
        let reason = self.iter().filter(|other| other.is_up()).find_map(|other| {
            let theirs = other.member.as_ref()?;
            let own = link == Some(other.id);
            if theirs.id == member.id && theirs.name != member.name {
                Some(format!(
                    "node id {} belongs to {}, and {} has it too",
                    member.id, theirs.name, member.name
                ))
            } else if own && theirs.id != member.id {
                Some(format!("this is {}, and the peer is {} already", member.name, theirs.name))
            } else if !own && theirs.id == member.id && is_configured(other) {
                let mine = self.iter().find(|mine| Some(mine.id) == link);
                mine.is_some_and(is_configured).then(|| {
                    format!(
                        "{} is linked by another peer section already: remove one of the two",
                        member.name
                    )
                })
            } else {
                None
            }
        });
        reason.map(|reason| (CloseCode::Duplicate, reason))
    }

    fn greet(&mut self, now: Instant, slot: Slot, link: LinkId, member: Member) {
        let me = &self.config.credentials.me;
        let hello = control::Hello {
            version: control::VERSION,
            id: me.id.value(),
            fingerprint: me.fingerprint,
            epoch: self.config.epoch,
            mode: control::MODE_L2,
            flags: 0,
            slot: link.0,
            max_datagram: limits::FRAME_MAX as u16,
            capabilities: 0,
            network: &self.config.network,
        };
        if let Some(connection) = self.table.find_mut(slot) {
            connection.link = Some(link);
            connection.member = Some(member);
            connection.greet(now, &hello);
        }
        self.table.touch(slot);
    }

    fn handle_hello(&mut self, now: Instant, slot: Slot, hello: &OwnedHello) {
        let Some(connection) = self.table.find(slot) else { return };
        let (Some(member), Some(link)) = (&connection.member, connection.link) else { return };
        if connection.is_up() {
            return self.give_up(now, slot, CloseCode::Protocol, "a second HELLO");
        }
        let refused = check_hello(hello, member, &self.config.network).err();
        match refused.or_else(|| self.conflict(slot, member)) {
            None => self.bring_up(now, slot, link),
            Some((code, reason)) => self.give_up(now, slot, code, &reason),
        }
    }

    /// A connection has become usable: it takes its place in the link.
    fn bring_up(&mut self, now: Instant, slot: Slot, link: LinkId) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        connection.set_up(now);
        let (role, member) = (connection.role, connection.member.clone());
        let facts = format!(
            "rtt {}, mtu {}, via {}",
            milliseconds(connection.rtt()),
            connection.max_datagram(),
            connection.remote()
        );
        let link = self.merge(now, slot, link, member.as_ref());
        let Some(own) = self.links.get_mut(usize::from(link.0)).and_then(Option::as_mut) else { return };
        let replaced = own.with_role(role);
        let first = !own.is_up();
        own.attach(slot, role);
        own.member = member;
        match role {
            Role::Client => own.dialer.handle_up(now),
            Role::Server => own.dialer.hurry(now),
        }
        if let Some(old) = replaced {
            self.retire(now, old, CloseCode::Replaced, "a newer connection took its place");
        }
        if role == Role::Client {
            self.end_race(now, link, slot);
        }
        self.rechoose(now, link);
        if first {
            self.announce_up(now, link, &facts);
        }
        self.receive(now, slot);
        self.poll_dialers(now);
    }

    fn announce_up(&mut self, now: Instant, link: LinkId, facts: &str) {
        let Some(own) = self.links.get_mut(usize::from(link.0)).and_then(Option::as_mut) else { return };
        let Some(node) = own.member.as_ref().map(|member| member.id) else { return };
        let took = milliseconds(now.saturating_duration_since(own.since));
        own.since = now;
        own.reason.clear();
        let line = format!("link {}: up after {took}, {facts}", own.title());
        self.events.push_back(Event::Up { link, node });
        self.note(line);
    }

    /// Two links to one node become one: the configured one stays.
    fn merge(&mut self, now: Instant, slot: Slot, link: LinkId, member: Option<&Member>) -> LinkId {
        let Some(member) = member else { return link };
        let Some(other) =
            self.iter().find(|other| other.id != link && other.is_of(member)).map(|other| other.id)
        else {
            return link;
        };
        let configured = |links: &Self, id: LinkId| {
            links
                .links
                .get(usize::from(id.0))
                .and_then(Option::as_ref)
                .is_some_and(|link| link.config.is_some())
        };
        let (keep, gone) =
            if configured(self, other) && !configured(self, link) { (other, link) } else { (link, other) };
        if let Some(connection) = self.table.find_mut(slot) {
            connection.link = Some(keep);
        }
        if configured(self, gone) {
            // Two peer sections are one node: the other one stays and waits.
            return link;
        }
        self.table.move_link(gone, keep);
        let moved: Vec<(Slot, Role)> = self
            .links
            .get_mut(usize::from(gone.0))
            .and_then(Option::take)
            .map(|link| link.connections.into_iter().collect())
            .unwrap_or_default();
        self.rejoiner.forget(gone);
        self.events.push_back(Event::Down { link: gone });
        for (old, role) in moved {
            let taken = self.links.get_mut(usize::from(keep.0)).and_then(Option::as_mut);
            match taken {
                Some(own) if own.with_role(role).is_none() => {
                    own.attach(old, role);
                    own.member = Some(member.clone());
                    self.events.push_back(Event::Up { link: keep, node: member.id });
                }
                _ => self.retire(now, old, CloseCode::Replaced, "another connection to this node is up"),
            }
        }
        keep
    }

    /// The other attempts of a race are over.
    fn end_race(&mut self, now: Instant, link: LinkId, winner: Slot) {
        let losers: Vec<Slot> = self
            .table
            .iter()
            .filter(|(slot, connection)| {
                *slot != winner
                    && connection.link == Some(link)
                    && connection.role == Role::Client
                    && matches!(
                        connection.stage,
                        connection::Stage::Handshaking | connection::Stage::Greeting
                    )
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in losers {
            self.retire(now, slot, CloseCode::Replaced, "another address answered first");
        }
    }

    /// Closes a connection that its link no longer needs.
    fn retire(&mut self, now: Instant, slot: Slot, code: CloseCode, reason: &str) {
        if let Some(connection) = self.table.find_mut(slot) {
            connection.close(now, code, reason);
        }
        self.table.touch(slot);
    }

    /// Closes a connection that is no good, and says so.
    fn give_up(&mut self, now: Instant, slot: Slot, code: CloseCode, reason: &str) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        connection.close(now, code, reason);
        let reason = format!("refused {}: {reason}", connection.remote());
        self.table.touch(slot);
        self.handle_lost(now, slot, reason, None);
    }

    /// A connection is over.
    fn handle_lost(&mut self, now: Instant, slot: Slot, reason: String, code: Option<u64>) {
        let Some(connection) = self.table.find(slot) else { return };
        let role = connection.role;
        let Some(id) = connection.link else {
            return self.events.push_back(Event::Refusal(reason));
        };
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        let was_up = link.detach(slot);
        match (role, was_up) {
            (Role::Client, true) => link.dialer.handle_down(now),
            (Role::Client, false) => link.dialer.handle_failed(),
            (Role::Server, _) => {}
        }
        // A peer that says goodbye in a race that another connection has won is no news.
        let replaced = code == Some(CloseCode::Replaced as u64);
        if was_up && !link.is_up() {
            self.take_down(now, id, reason);
        } else if was_up {
            self.rechoose(now, id);
        } else if !link.is_up() && !replaced {
            if link.config.is_none() {
                self.events.push_back(Event::Refusal(reason.clone()));
            }
            link.reason = reason;
        }
        self.remove_if_unused(id);
        self.poll_dialers(now);
    }

    fn take_down(&mut self, now: Instant, id: LinkId, reason: String) {
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        let line = format!("link {}: down: {reason}", link.title());
        link.state = State::Down;
        link.active = None;
        link.reason = reason;
        link.since = now;
        self.rejoiner.forget(id);
        self.events.push_back(Event::Down { link: id });
        self.note(line);
    }

    /// A link that is not in the configuration lives as long as a connection of it does.
    fn remove_if_unused(&mut self, id: LinkId) {
        let used = self.table.iter().any(|(_, connection)| {
            connection.link == Some(id) && connection.stage != connection::Stage::Closed
        });
        if let Some(place) = self.links.get_mut(usize::from(id.0))
            && place.as_ref().is_some_and(|link| link.config.is_none() && !link.is_up())
            && !used
        {
            *place = None;
        }
    }

    /// Decides anew which connection of a link carries.
    fn rechoose(&mut self, _now: Instant, id: LinkId) {
        let table = &self.table;
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        let suspect = link.choose(|slot| table.find(slot).is_none_or(Connection::is_suspect));
        let state = if suspect { State::Suspect } else { State::Up };
        if link.is_up() && link.state != state {
            let before = core::mem::replace(&mut link.state, state);
            link.reason = if suspect { "no acknowledgement for too long".to_owned() } else { String::new() };
            if matches!((before, state), (State::Up, State::Suspect) | (State::Suspect, State::Up)) {
                let line = format!("link {}: {}", link.title(), state.name());
                self.events.push_back(Event::Detail(line));
            }
        }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        let dialers = self.links.iter().flatten().filter_map(|link| link.dialer.next_timeout()).min();
        [dialers, self.table.next_timeout()].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((slot, overdue)) = self.table.handle_timeout(now) {
            self.handle_overdue(now, slot, overdue);
        }
        self.poll_dialers(now);
        self.settle(now);
    }

    fn handle_overdue(&mut self, now: Instant, slot: Slot, overdue: Overdue) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let remote = connection.remote();
        match overdue {
            Overdue::Suspect => {
                if let Some(link) = connection.link {
                    self.rechoose(now, link);
                }
            }
            Overdue::Dead => {
                connection.close(now, CloseCode::Dead, "no acknowledgement for too long");
                self.handle_lost(now, slot, format!("{remote} answers no more"), None);
            }
            Overdue::Stage => {
                let greeted = connection.stage == connection::Stage::Greeting;
                connection.close(now, CloseCode::Protocol, "no HELLO in time");
                if connection.link.is_none() {
                    return self
                        .events
                        .push_back(Event::Detail(format!("{remote}: handshake not finished in time")));
                }
                let reason = if greeted {
                    format!("no HELLO from {remote} in time")
                } else {
                    reason::no_answer(remote)
                };
                self.handle_lost(now, slot, reason, None);
            }
        }
    }

    fn poll_dialers(&mut self, now: Instant) {
        for place in 0..self.links.len() {
            while let Some(Some(link)) = self.links.get_mut(place) {
                let Some(action) = link.dialer.poll(now) else { break };
                let id = link.id;
                match action {
                    dial::Action::Resolve { race, endpoint, host, port } => {
                        let generation = link.generation;
                        let query = Query { host, port, link: id, generation, race, endpoint };
                        self.events.push_back(Event::Resolve(query));
                    }
                    dial::Action::Dial { endpoint, address } => self.dial(now, id, endpoint, address),
                    dial::Action::Failed => {
                        let line = format!("link {}: {}", link.title(), link.reason);
                        self.events.push_back(Event::Detail(line));
                    }
                }
                self.show_dialing(place);
            }
            self.show_dialing(place);
        }
    }

    fn show_dialing(&mut self, place: usize) {
        if let Some(Some(link)) = self.links.get_mut(place)
            && !link.is_up()
        {
            link.state = if link.dialer.is_dialing() { State::Connecting } else { State::Down };
        }
    }

    fn dial(&mut self, now: Instant, id: LinkId, endpoint: usize, address: SocketAddr) {
        if let Err(reason) = self.try_dial(now, id, endpoint, address)
            && let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut)
        {
            link.reason = reason;
            link.dialer.handle_failed();
        }
    }

    fn try_dial(
        &mut self,
        now: Instant,
        id: LinkId,
        endpoint: usize,
        address: SocketAddr,
    ) -> Result<(), String> {
        let socket = self
            .config
            .sockets
            .iter()
            .find(|socket| socket.purpose == Purpose::Dial && socket.ipv6 == address.is_ipv6())
            .map(|socket| socket.id)
            .ok_or_else(|| format!("{address}: no socket of this address family"))?;
        if self.table.is_full() {
            return Err(format!("all {} connections are taken", limits::CONNECTIONS));
        }
        let link = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut).ok_or("no such link")?;
        let name = link.config.as_ref().and_then(|config| server_name(config, endpoint));
        let crypto = client_crypto(&self.config, link, name.is_some())?;
        let config = self.transports.client(address, crypto);
        let name = name.unwrap_or_else(|| address.ip().to_string());
        let (handle, quinn) = self
            .dialer
            .connect(now, config, address, &name)
            .map_err(|error| format!("{address}: {error}"))?;
        let mut connection = Connection::new(quinn, handle, Role::Client, socket, now);
        connection.link = Some(id);
        self.table.insert(connection);
        Ok(())
    }

    fn add_link(&mut self, now: Instant, config: Option<peer::Config>) -> Option<LinkId> {
        let place = self.links.iter().position(Option::is_none)?;
        let id = LinkId(place as u8);
        let seed = u64::from_le_bytes(*self.config.seed.first_chunk()?);
        self.made = self.made.wrapping_add(1);
        *self.links.get_mut(place)? = Some(Link::new(id, self.made, config, now, seed));
        Some(id)
    }

    /// Says goodbye to everyone: the last thing before the daemon ends.
    pub fn stop(&mut self, now: Instant) {
        for slot in 0..limits::CONNECTIONS {
            self.retire(now, slot, CloseCode::Bye, "");
        }
        self.settle(now);
    }

    /// UDP datagrams to send now, appended to the empty `buffer`.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((transmit, bytes)) = self.responses.pop_front() {
            buffer.extend_from_slice(&bytes);
            return Some(transmit);
        }
        while let Some(slot) = self.table.next_sendable() {
            let Some(connection) = self.table.find_mut(slot) else {
                self.table.sent(slot);
                continue;
            };
            let socket = connection.socket;
            let segments =
                self.config.sockets.iter().find(|own| own.id == socket).map_or(1, |own| own.segments);
            match connection.quinn.poll_transmit(now, segments.max(1), buffer) {
                Some(transmit) => return Some(outgoing(socket, &transmit)),
                None => {
                    connection.flushed();
                    self.table.sent(slot);
                }
            }
        }
        self.splitter.reclaim();
        None
    }

    /// A frame from a peer.
    pub fn poll_frame(&mut self) -> Option<(LinkId, Bytes)> {
        self.frames.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The kernel refused to send batches on this socket.
    pub fn set_segments(&mut self, socket: SocketId, segments: usize) {
        if let Some(own) = self.config.sockets.iter_mut().find(|own| own.id == socket) {
            own.segments = segments;
        }
    }

    fn note(&mut self, line: String) {
        self.events.push_back(Event::Note(line));
    }
}

fn server_crypto(config: &Config) -> Result<Arc<QuicServerConfig>, Fault> {
    let Credentials { identity, trust, .. } = &config.credentials;
    tls::server_config(identity, trust.clone(), config.clock.clone(), config.suites)
}

/// The TLS settings for dialing this peer, made once.
fn client_crypto(config: &Config, link: &mut Link, sni: bool) -> Result<Arc<QuicClientConfig>, String> {
    let Some(place) = link.crypto.get_mut(usize::from(sni)) else { return Err("no TLS settings".to_owned()) };
    if let Some(crypto) = place {
        return Ok(crypto.clone());
    }
    let Credentials { identity, trust, .. } = &config.credentials;
    let expected = link.config.as_ref().and_then(|config| config.name.clone());
    let crypto =
        tls::client_config(identity, trust.clone(), config.clock.clone(), config.suites, expected, sni)
            .map_err(|fault| fault.to_string())?;
    Ok(place.insert(crypto).clone())
}

/// The name to send in TLS, if any.
fn server_name(config: &peer::Config, endpoint: usize) -> Option<String> {
    let host = match config.endpoints.get(endpoint).map(|endpoint| &endpoint.host) {
        Some(peer::Host::Name(host)) => Some(host.clone()),
        _ => None,
    };
    config.sni.clone().or(host)
}

/// What HELLO says must be what the certificate says.
fn check_hello(hello: &OwnedHello, member: &Member, network: &str) -> Result<(), (CloseCode, String)> {
    if hello.version != control::VERSION {
        let reason = format!("speaks version {} of the protocol, not {}", hello.version, control::VERSION);
        return Err((CloseCode::Version, reason));
    }
    if hello.network != network {
        return Err((CloseCode::Network, format!("is in network '{}', not '{network}'", hello.network)));
    }
    if hello.id != member.id.value() {
        let reason = format!("HELLO says node {}, the certificate {}", hello.id, member.id);
        return Err((CloseCode::Protocol, reason));
    }
    if hello.fingerprint != member.fingerprint {
        return Err((CloseCode::Protocol, "HELLO names another key than the certificate".to_owned()));
    }
    Ok(())
}

fn outgoing(socket: SocketId, transmit: &quinn_proto::Transmit) -> Transmit {
    Transmit {
        socket,
        destination: transmit.destination,
        source: transmit.src_ip,
        size: transmit.size,
        segment_size: transmit.segment_size,
    }
}

fn milliseconds(duration: std::time::Duration) -> String {
    format!("{} ms", duration.as_millis())
}
