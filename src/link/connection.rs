//! One QUIC connection to another node: its handshake, its control stream and its datagrams.
//! Does not know which other connections the link has. Read first: RFC 9000, 5; docs/protocol.md.
//!
//! ```text
//! handshaking --Connected--> greeting --HELLO of both--> up --> closed --drained--> gone
//!                  |            ^                         |        ^
//!                  v            | the fastest             v        |
//!               measuring ------+                     lingering ---+  replaced: takes what is under way
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn_proto::{ConnectionError, ConnectionHandle, Dir, Event, VarInt};

use rustls::pki_types::CertificateDer;

use super::SocketId;
use super::control::{ControlStream, OwnedHello};
use super::liveness::{Action, Liveness, Path};
use super::meter::{LossMeter, RttMeter};
use super::reason;
use super::way::Way;
use super::window;
use crate::limits;
use crate::pki::tls;
use crate::pki::verify::Member;
use crate::types::{DropReason, LinkId};
use crate::wire::control::{self, CloseCode, Message};

/// Who opened the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We dialed: it lives on our dialing endpoint.
    Client,
    /// The peer dialed: it lives on our listening endpoint.
    Server,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Handshaking,
    /// Another address of the peer carries already: only the round trip is measured.
    Measuring,
    Greeting,
    Up,
    /// Another connection carries: nothing more is sent here.
    Lingering,
    Closed,
}

/// What a connection that we opened came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    pub race: u32,
    pub endpoint: usize,
}

/// What a connection reports to the links.
pub enum Report {
    /// The handshake is done; the certificates that the peer showed wait in [`Connection::peer_chain`].
    Connected,
    /// The peer's HELLO.
    Hello(OwnedHello),
    /// It is over. The text says why; the code, if the peer gave one.
    Lost { reason: String, code: Option<u64> },
}

pub struct Connection {
    pub quinn: quinn_proto::Connection,
    pub handle: ConnectionHandle,
    pub role: Role,
    pub socket: SocketId,
    pub stage: Stage,
    pub member: Option<Member>,
    /// Start of the peer's run, from its HELLO.
    pub epoch: Option<u32>,
    pub link: Option<LinkId>,
    /// With role client.
    pub attempt: Option<Attempt>,
    pub began: Instant,
    pub(super) liveness: Liveness,
    pub(super) control: ControlStream,
    /// A stage that must be over by then.
    deadline: Instant,
    max_datagram: usize,
    /// Largest UDP payload that came on the path in use, bytes.
    largest: usize,
    /// Our address that the last datagram was sent to.
    local: Option<IpAddr>,
    /// Bytes of DATAGRAM frames in the packet that the queue is filling now.
    filled: usize,
    pub(super) way: Way,
    loss: LossMeter,
    rtt: RttMeter,
    /// PINGs still to be sent to measure the round trip, one after the answer to the other.
    pings: u8,
    /// Where the peer was when last looked at.
    seen_at: SocketAddr,
}

/// What [`Connection::settle`] found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Settled {
    /// It is suspect no more.
    pub recovered: bool,
    /// A round trip was measured.
    pub measured: bool,
    /// The peer sends from another address now.
    pub moved: bool,
}

/// What type and length of a DATAGRAM frame really take.
const FRAME_HEADER: usize = 3;

impl Connection {
    pub fn new(
        quinn: quinn_proto::Connection,
        handle: ConnectionHandle,
        role: Role,
        socket: SocketId,
        now: Instant,
    ) -> Self {
        Self {
            began: now,
            liveness: Liveness::new(now, limits::INITIAL_RTT),
            seen_at: quinn.remote_address(),
            quinn,
            handle,
            role,
            socket,
            stage: Stage::Handshaking,
            member: None,
            epoch: None,
            link: None,
            attempt: None,
            rtt: RttMeter::default(),
            pings: 0,
            control: ControlStream::new(now),
            deadline: now + limits::DIAL_TIMEOUT,
            max_datagram: 0,
            largest: 0,
            local: None,
            filled: 0,
            way: Way::default(),
            loss: LossMeter::default(),
        }
    }

    pub fn remote(&self) -> SocketAddr {
        self.quinn.remote_address()
    }

    pub fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    pub fn is_suspect(&self) -> bool {
        self.liveness.is_suspect()
    }

    /// Round trip, smoothed.
    pub fn rtt(&self) -> Duration {
        self.quinn.rtt()
    }

    fn path(&self) -> Path {
        Path { rtt: self.quinn.rtt(), deviation: self.rtt.deviation(), loss: self.loss.worst }
    }

    /// Round trip without the queues on the way; `None`: not measured yet.
    pub fn least_rtt(&self) -> Option<Duration> {
        self.rtt.least()
    }

    /// Whether frames may come in.
    pub fn takes_frames(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Lingering)
    }

    /// Largest overlay datagram that the path carries now, bytes; 0 before the handshake.
    pub fn max_datagram(&self) -> usize {
        self.max_datagram
    }

    /// Largest overlay datagram that the path has shown to carry towards us, bytes: the peer searches for it as we do.
    pub fn max_received(&self) -> usize {
        let overhead = usize::from(self.quinn.current_mtu()).saturating_sub(self.max_datagram);
        self.largest.saturating_sub(overhead)
    }

    /// Our address; `None`: nothing came yet. QUIC itself knows it only of connections that the peer dialed.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// A UDP payload of so many bytes came to this address of ours.
    pub fn received(&mut self, bytes: usize, local: Option<IpAddr>) {
        self.largest = self.largest.max(bytes);
        self.local = local.or(self.local);
    }

    /// Lost packets of the last minute or so, in thousandths.
    pub fn loss_permille(&self) -> u16 {
        self.loss.permille
    }

    pub fn peer_chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        tls::peer_chain(self.quinn.crypto_session())
    }

    /// Queues an overlay datagram. [`DropReason::LinkFull`]: an older one had to make room.
    pub fn send(&mut self, now: Instant, datagram: Bytes) -> Result<(), DropReason> {
        if self.way.is_closed() {
            return Err(DropReason::LinkFull);
        }
        let mut datagrams = self.quinn.datagrams();
        let full = datagrams.send_buffer_space() < datagram.len();
        let length = datagram.len();
        datagrams.send(datagram, true).map_err(|_| DropReason::TooBig)?;
        self.fill(length);
        self.liveness.sent(now);
        if full { Err(DropReason::LinkFull) } else { Ok(()) }
    }

    /// Largest datagram that still fits into the packet that the queue is filling now; 0: none. The packet is taken
    /// to end where one with a single largest datagram ends: packets of one batch have one size, and the few bytes
    /// that are free behind it take an ACK.
    pub fn room(&self) -> usize {
        self.max_datagram.saturating_sub(self.filled)
    }

    fn fill(&mut self, datagram: usize) {
        let begun = if datagram <= self.room() { self.filled } else { 0 };
        self.filled = begun + FRAME_HEADER + datagram;
    }

    /// The queue was sent as far as it may be: the next datagram begins a packet.
    pub fn flushed(&mut self, now: Instant) {
        self.filled = 0;
        let open = self.quinn.congestion_state().window() > 0;
        let space = self.quinn.datagrams().send_buffer_space();
        self.way.flushed(now, open, space);
    }

    /// The handshake is over and the peer is who it should be: says HELLO.
    pub fn greet(&mut self, now: Instant, hello: &control::Hello<'_>) {
        self.stage = Stage::Greeting;
        self.deadline = now + limits::HELLO_TIMEOUT;
        self.max_datagram = self.quinn.datagrams().max_size().unwrap_or(0);
        let mut message = Vec::new();
        Message::Hello(hello.clone()).emit(&mut message);
        self.control.put(&message);
        if self.role == Role::Client {
            self.control.stream = self.quinn.streams().open(Dir::Bi);
        }
        self.write_control(now);
    }

    /// Another address of the peer has answered before: the round trip is measured, and nothing said.
    pub fn measure(&mut self, now: Instant) {
        self.stage = Stage::Measuring;
        self.deadline = now + limits::MEASURE_TIMEOUT;
        self.sample(now);
    }

    /// Measures the round trip anew, with a few PINGs.
    pub fn sample(&mut self, now: Instant) {
        self.pings = limits::COMPARE_PINGS;
        self.quinn.ping();
        self.liveness.sent(now);
    }

    /// Another connection has taken its place.
    pub fn linger(&mut self, now: Instant) {
        self.stage = Stage::Lingering;
        let time = if self.role == Role::Client { limits::LINGER_CLIENT } else { limits::LINGER_SERVER };
        self.deadline = now + time;
    }

    /// HELLO of the peer was accepted.
    pub fn set_up(&mut self, now: Instant, keep_alive: Duration) {
        self.stage = Stage::Up;
        self.control.ready = true;
        self.liveness = Liveness::new(now, self.quinn.rtt());
        self.liveness.set_keep_alive(keep_alive);
        let acks = window::acknowledged(self.quinn.congestion_state());
        self.liveness.acked(now, acks, self.path());
        if self.role == Role::Client {
            self.sample(now);
        }
    }

    pub fn set_keep_alive(&mut self, keep_alive: Duration) {
        self.liveness.set_keep_alive(keep_alive);
    }

    /// Asks for an ACK now: the network may have changed.
    pub fn probe(&mut self, now: Instant) {
        if self.is_up() {
            self.quinn.ping();
            self.liveness.sent(now);
        }
    }

    /// Our own address may have changed: QUIC goes on from the new one with another connection id (RFC 9000, 9.5).
    pub fn migrate(&mut self) {
        if self.is_up() {
            self.quinn.local_address_changed();
        }
    }

    /// The kernel does not even send to it: suspect at once, without waiting for an ACK to be late.
    pub fn doubt(&mut self, now: Instant) {
        self.liveness.doubt(now);
    }

    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closed;
            self.quinn.close(now, VarInt::from_u32(code as u32), Bytes::copy_from_slice(reason.as_bytes()));
        }
    }

    /// What happened since the last call; call after every input until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Report> {
        while let Some(event) = self.quinn.poll() {
            match event {
                Event::Connected if self.stage == Stage::Handshaking => return Some(Report::Connected),
                Event::ConnectionLost { reason } => {
                    let seen = self.stage;
                    self.stage = Stage::Closed;
                    if seen != Stage::Closed && seen != Stage::Lingering {
                        return Some(self.lost(&reason));
                    }
                }
                Event::Stream(event) => self.handle_stream(now, event),
                _ => {}
            }
        }
        if self.stage != Stage::Greeting {
            return None;
        }
        match self.control.hello(now, &mut self.quinn) {
            Ok(hello) => hello.map(Report::Hello),
            Err(reason) => {
                self.close(now, CloseCode::Protocol, reason);
                Some(Report::Lost { reason: reason.to_owned(), code: None })
            }
        }
    }

    fn lost(&self, error: &ConnectionError) -> Report {
        let code = match error {
            ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
            _ => None,
        };
        Report::Lost { reason: reason::of_connection(error, self.stage_before_loss(), self.remote()), code }
    }

    fn stage_before_loss(&self) -> reason::Phase {
        if self.member.is_some() { reason::Phase::Established } else { reason::Phase::Handshake }
    }

    /// Takes note of ACKs, of the path MTU and of where the peer is; call once after a batch of input.
    pub fn settle(&mut self, now: Instant) -> Settled {
        if self.stage != Stage::Up && self.stage != Stage::Measuring {
            return Settled::default();
        }
        let stats = self.quinn.stats();
        let moved = core::mem::replace(&mut self.seen_at, self.quinn.remote_address()) != self.seen_at;
        if moved {
            self.rtt.forget();
            self.largest = 0;
        }
        let measured = self.rtt.update(now, stats.frame_rx.acks, self.quinn.rtt());
        if measured && self.pings > 0 {
            self.pings -= 1;
            self.quinn.ping();
        }
        self.loss.update(now, stats.path.sent_packets, stats.path.lost_packets);
        self.max_datagram = self.quinn.datagrams().max_size().unwrap_or(0);
        let path = self.path();
        let acks = window::acknowledged(self.quinn.congestion_state());
        let recovered = self.liveness.acked(now, acks, path);
        Settled { recovered: recovered && self.is_up(), measured, moved }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        let own = match self.stage {
            Stage::Handshaking | Stage::Measuring | Stage::Greeting | Stage::Lingering => Some(self.deadline),
            Stage::Up => Some(self.liveness.next_timeout()),
            Stage::Closed => None,
        };
        let control = self.control.resume_at.filter(|_| self.stage != Stage::Closed);
        [own, self.quinn.poll_timeout(), control].into_iter().flatten().min()
    }

    /// Returns why the connection should be given up, or that it became suspect.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Overdue> {
        if self.quinn.poll_timeout().is_some_and(|due| due <= now) {
            self.quinn.handle_timeout(now);
        }
        self.control.handle_timeout(now);
        match self.stage {
            Stage::Up => self.handle_liveness(now),
            Stage::Closed => None,
            _ => (now >= self.deadline).then_some(Overdue::Stage),
        }
    }

    fn handle_liveness(&mut self, now: Instant) -> Option<Overdue> {
        let mut overdue = None;
        while let Some(action) = self.liveness.handle_timeout(now) {
            match action {
                Action::Ping => self.quinn.ping(),
                Action::Late => overdue = Some(Overdue::Late),
                Action::Suspect => overdue = Some(Overdue::Suspect),
                Action::Dead => return Some(Overdue::Dead),
            }
        }
        overdue
    }
}

/// What took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overdue {
    /// The handshake, the comparison, HELLO or what was under way.
    Stage,
    /// An ACK, long enough to see whether another connection answers.
    Late,
    /// An ACK, long enough to prefer other ways.
    Suspect,
    /// An ACK, long enough to give up.
    Dead,
}
