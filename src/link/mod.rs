//! Links: QUIC connections to other nodes, which of them carries, and whether the peer is alive.
//! Never: sockets, files, the mesh. Read first: RFC 9000, RFC 9221, docs/protocol.md.
//!
//! Overlay datagrams go in by [`Links::send`] and come out by [`Links::poll_datagram`]; UDP datagrams go in by
//! [`Links::handle_datagram`] and come out by [`Links::poll_transmit`]; control messages go in by [`Links::say`] and come out
//! by [`Links::poll_message`]. After a batch of input: [`Links::settle`].

mod adjacency;
mod admission;
pub mod connection;
mod control;
mod data;
pub mod dial;
mod dialing;
mod expiry;
pub mod fragment;
pub mod gate;
pub mod liveness;
mod meter;
mod moving;
pub mod peer;
mod race;
mod reason;
mod reload;
mod select;
mod settle;
mod table;
mod talk;
pub mod transport;
mod way;
pub mod window;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{DatagramEvent, Endpoint, ServerConfig};

use self::connection::{Connection, Role};
use self::fragment::{Rejoiner, Splitter};
use self::gate::Gate;
use self::peer::{Link, Slot};
use self::table::Table;
use self::transport::Transports;
use crate::limits::{self, Profile};
use crate::pki::clock::WallClock;
use crate::pki::fault::Fault;
use crate::pki::identity::Identity;
use crate::pki::tls::{self, Suites};
use crate::pki::verify::{Member, Trust};
use crate::types::{self, DropReason, Drops, LinkId, NodeId};
use crate::wire::control::CloseCode;

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
    /// Idle links are asked every second whether they still live.
    pub fast_detect: bool,
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
    /// No connection of the link answers: other ways are to be preferred, and if it is still so after this time, others
    /// are to be told.
    Suspect {
        link: LinkId,
        withdraw_after: Duration,
    },
    /// It is suspect no more.
    Recovered {
        link: LinkId,
    },
    /// The link stays up, and another connection carries control messages than before: the last may be lost.
    Resync {
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
    gate: Gate,
    table: Table,
    links: Vec<Option<Link>>,
    /// Links made so far.
    made: u32,
    splitter: Splitter,
    rejoiner: Rejoiner,
    events: VecDeque<Event>,
    datagrams: VecDeque<(LinkId, Bytes)>,
    /// Whose message was taken last: the others go first.
    heard: (LinkId, Slot),
    /// Messages that did not find room.
    unsaid: u64,
    /// Links whose round trip was measured, one bit each.
    measured: u64,
    /// Copies of what was sent, if somebody watches.
    watched: Option<VecDeque<(LinkId, Bytes)>>,
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
            gate: Gate::new(&config.profile, now),
            server,
            table: Table::new(),
            links: (0..limits::LINKS).map(|_| None).collect(),
            made: 0,
            splitter: Splitter::default(),
            rejoiner: Rejoiner::new(now),
            events: VecDeque::new(),
            datagrams: VecDeque::new(),
            heard: (LinkId(0), 0),
            unsaid: 0,
            measured: 0,
            watched: None,
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

    pub fn credentials(&self) -> &Credentials {
        &self.config.credentials
    }

    pub fn trust(&self) -> &Trust {
        &self.config.credentials.trust
    }

    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten()
    }

    fn keep_alive(&self) -> Duration {
        if self.config.fast_detect { limits::KEEP_ALIVE_FAST } else { limits::KEEP_ALIVE }
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(usize::from(id.0)).and_then(Option::as_ref)
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut)
    }

    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.table.iter().map(|(_, connection)| connection)
    }

    pub fn connection(&self, slot: Slot) -> Option<&Connection> {
        self.table.find(slot)
    }

    /// Links whose round trip was measured since the last call, one bit for each id.
    pub fn take_measured(&mut self) -> u64 {
        const _: () = assert!(limits::LINKS <= u64::BITS as usize);
        core::mem::take(&mut self.measured)
    }

    /// Round trip of the connection in use, without the queues on the way; the smoothed one until that is known. `None`: the
    /// link is down.
    pub fn least_rtt(&self, link: LinkId) -> Option<Duration> {
        let connection = self.table.find(self.link(link)?.active?)?;
        Some(connection.least_rtt().unwrap_or_else(|| connection.rtt()))
    }

    /// Largest overlay datagram that every link which is up carries in one piece; `None`: no link is up.
    pub fn smallest_datagram(&self) -> Option<usize> {
        let active = self.iter().filter_map(|link| self.table.find(link.active?));
        active.map(Connection::max_datagram).filter(|max| *max > 0).min()
    }

    /// Initials that got no answer: those of a flood.
    pub fn initials_ignored(&self) -> u64 {
        self.gate.ignored()
    }

    pub fn connections_used(&self) -> usize {
        self.table.len()
    }

    /// Without what QUIC itself keeps of a connection: that is most of it ([`limits::CONNECTIONS`]).
    pub fn tables(&self) -> impl Iterator<Item = types::Table> {
        let links = types::Table {
            name: "links",
            used: self.iter().count(),
            capacity: limits::LINKS,
            bytes: size_of_val(&*self.links),
        };
        [links, self.table.table(), self.rejoiner.table()].into_iter().chain(self.gate.tables())
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
        let begun = || self.table.half_open().any(|(_, own)| own.remote() == remote);
        if role == Role::Server && !self.gate.opens(now, remote.ip(), &bytes, begun) {
            return;
        }
        self.scratch.clear();
        let length = bytes.len();
        let endpoint = if role == Role::Server { &mut self.listener } else { &mut self.dialer };
        match endpoint.handle(now, remote, local, None, bytes, &mut self.scratch) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(slot) = self.table.by_handle(role, handle)
                    && let Some(connection) = self.table.find_mut(slot)
                {
                    connection.quinn.handle_event(event);
                    connection.received(length, local);
                    self.table.touch(slot);
                    self.receive(now, slot);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.handle_incoming(now, socket, incoming),
            Some(DatagramEvent::Response(transmit)) if self.gate.answers(now) => {
                self.respond(socket, &transmit)
            }
            Some(DatagramEvent::Response(_)) => {}
            None => {}
        }
    }

    fn respond(&mut self, socket: SocketId, transmit: &quinn_proto::Transmit) {
        if self.responses.len() < limits::RESPONSES
            && let Some(bytes) = self.scratch.get(..transmit.size)
        {
            self.responses.push_back((outgoing(socket, transmit), bytes.to_vec()));
        }
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
                    connection.flushed(now);
                    self.table.sent(slot);
                }
            }
        }
        self.splitter.reclaim();
        None
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

fn outgoing(socket: SocketId, transmit: &quinn_proto::Transmit) -> Transmit {
    Transmit {
        socket,
        destination: transmit.destination,
        source: transmit.src_ip,
        size: transmit.size,
        segment_size: transmit.segment_size,
    }
}
