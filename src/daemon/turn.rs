//! One thread, one loop: what is readable is read, the node is settled, what it has to say is sent, then sleep.
//! Read first: docs/architecture.md, "The loop".

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use super::control::{Control, Message};
use super::follow::Follower;
use super::moving::{self, Moving};
use super::notices::Notices;
use super::resolve::Answer;
use super::sockets::{Received, Sent, Sockets};
use super::{Options, now, reload, report};
use crate::cli::Failure;
use crate::config::{Mtu, Network};
use crate::limits;
use crate::link::{Query, Transmit};
use crate::node::{Node, Output};
use crate::sys::signal::{Signal, Signals};
use crate::sys::timer::Timer;
use crate::sys::tun::{Tap, Written};
use crate::sys::wait::{Interest, Waiter};
use crate::types::DropReason;

/// Frames read from the TAP, and batches read from a socket, in one turn.
const FRAMES: usize = 64;
const BATCHES: usize = 4;
/// Frames from the TAP are read into pieces of one buffer of this size, which comes back when they were sent.
const ARENA: usize = FRAMES * (limits::HEADROOM + limits::FRAME_MAX);
/// How long the end may wait for room in the sockets.
const GOODBYE: Duration = Duration::from_millis(200);

pub struct Loop<'a> {
    pub options: &'a Options,
    pub network: Network,
    pub node: Node,
    pub tap: Option<Tap>,
    pub sockets: Sockets,
    pub moving: Moving,
    pub signals: Signals,
    pub control: Control,
    pub notices: Notices,
    /// When the configuration was last taken, and why a later one was not.
    pub config_loaded: Instant,
    pub config_error: String,
    /// Why changed certificates or lists were not taken.
    pub files_error: String,
}

/// Where a turn left off.
struct State {
    timer: Timer,
    waiter: Waiter,
    arena: BytesMut,
    /// QUIC packets on their way out, and what they are if the socket took them not yet.
    packets: Vec<u8>,
    blocked: Option<Transmit>,
    /// A source gave a full batch: there may be more, so there is no wait.
    more: bool,
    /// With `mtu auto`.
    follower: Option<Follower>,
}

/// Places in the list of what is waited for.
const TIMER: usize = 0;
const SIGNALS: usize = 1;
const CONTROL: usize = 2;
const CHANGES: usize = 3;
const NOTICES: [usize; 2] = [4, 5];
const FIRST_SOCKET: usize = 6;

impl Loop<'_> {
    /// Ends by SIGTERM or SIGINT, or when the TAP is gone; the peers are told in either case.
    pub fn run(mut self) -> Result<(), Failure> {
        let mut state = State {
            timer: Timer::new().map_err(broken)?,
            waiter: Waiter::default(),
            arena: BytesMut::new(),
            packets: Vec::new(),
            blocked: None,
            more: false,
            follower: (self.network.mtu == Mtu::Auto).then(Follower::new),
        };
        self.greet();
        self.control.turn();
        let end = self.turn(&mut state);
        self.stop(&mut state);
        end
    }

    /// Turns until it is time to end.
    fn turn(&mut self, state: &mut State) -> Result<(), Failure> {
        loop {
            let time = now();
            self.serve(time);
            self.flush(time, state)?;
            self.wait(state).map_err(broken)?;
            let time = now();
            if state.waiter.is_ready(TIMER) {
                state.timer.clear();
            }
            if state.waiter.is_ready(SIGNALS) && self.handle_signals(time) {
                return Ok(());
            }
            if state.waiter.is_ready(CONTROL) {
                self.control.turn();
            }
            if state.waiter.is_ready(CHANGES) {
                self.moving.hear(time);
                if let (Some(follower), Some(tap)) = (&mut state.follower, &self.tap) {
                    follower.look_again(time, tap);
                }
            }
            moving::move_on(self, time)?;
            if NOTICES.iter().any(|place| state.waiter.is_ready(*place)) {
                self.notices.hear(time);
            }
            self.look_at_clock(time);
            if self.notices.files_are_due(time, &self.network) {
                reload::renew(self, time);
            }
            state.more = false;
            self.receive(time, state)?;
            self.read_tap(time, state)?;
            self.node.settle(time);
            // After what has arrived is known: an ACK that waited in the socket may make a timeout needless.
            if self.node.next_timeout().is_some_and(|due| due <= time) {
                self.node.handle_timeout(time);
            }
            self.follow_mtu(time, state)?;
        }
    }

    fn look_at_clock(&mut self, time: Instant) {
        let reading = self.notices.read_clock(time);
        self.node.handle_clock(time, reading);
    }

    fn follow_mtu(&self, time: Instant, state: &mut State) -> Result<(), Failure> {
        let (Some(follower), Some(tap)) = (&mut state.follower, &self.tap) else { return Ok(()) };
        follower.follow(time, &self.node, tap).map_err(Failure::runtime)
    }

    fn greet(&mut self) {
        let me = self.node.links().me();
        let device =
            self.tap.as_ref().map_or_else(|| "no TAP".to_owned(), |tap| format!("TAP {}", tap.name()));
        let line = format!(
            "network {}: node {} (id {}), {device}, {}",
            self.network.name,
            me.name,
            me.id,
            self.sockets.describe_listeners()
        );
        self.node.note(now(), line);
        self.sockets.describe_tunlink().into_iter().for_each(|line| self.node.note(now(), line));
    }

    /// Sends and writes everything that the node has ready.
    fn flush(&mut self, time: Instant, state: &mut State) -> Result<(), Failure> {
        // First: an address that is answered for is dialed in the same turn.
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Carrier(on) => self.set_carrier(on)?,
                Output::Resolve(query) => self.resolve(time, query),
                Output::Crls => self.keep_crls(time),
            }
        }
        self.transmit(time, state);
        self.write_tap()
    }

    /// Other nodes told a list of revoked certificates: it is to count after a restart as well.
    fn keep_crls(&mut self, time: Instant) {
        if let Err(line) = self.notices.keep_lists(&self.network, self.node.links().trust()) {
            self.node.caution(time, line);
        }
    }

    /// Addresses need no name server.
    fn resolve(&mut self, time: Instant, query: Query) {
        match query.host.parse() {
            Ok(address) => self.handle_resolved(time, &query, Ok(vec![address])),
            Err(_) => self.control.resolve(query),
        }
    }

    fn handle_resolved(&mut self, time: Instant, query: &Query, answer: Answer) {
        let answer = self.moving.inside.sift(answer, &self.sockets);
        self.node.handle_resolved(time, query, &answer);
    }

    fn write_tap(&mut self) -> Result<(), Failure> {
        while let Some(frame) = self.node.poll_frame() {
            let Some(tap) = &self.tap else { continue };
            match tap.send(&frame).map_err(|error| Failure::runtime(error.to_string()))? {
                Written::Taken => {}
                Written::DeviceDown => self.node.handle_tap_refusal(&frame, DropReason::TapDown),
                Written::Refused => self.node.handle_tap_refusal(&frame, DropReason::TapFull),
            }
        }
        Ok(())
    }

    fn transmit(&mut self, time: Instant, state: &mut State) {
        loop {
            let transmit = match state.blocked.take() {
                Some(transmit) => transmit,
                None => {
                    state.packets.clear();
                    match self.node.poll_transmit(time, &mut state.packets) {
                        Some(transmit) => transmit,
                        None => return,
                    }
                }
            };
            let packets = state.packets.get(..transmit.size).unwrap_or_default();
            match self.sockets.send(time, &mut self.node, &transmit, packets) {
                Sent::Taken => {}
                // What the node makes of it is to be done before the wait.
                Sent::Refused => state.more = true,
                Sent::Blocked => {
                    state.blocked = Some(transmit);
                    return;
                }
            }
        }
    }

    fn set_carrier(&self, on: bool) -> Result<(), Failure> {
        let Some(tap) = &self.tap else { return Ok(()) };
        tap.set_carrier(on).map_err(|error| Failure::runtime(error.to_string()))
    }

    /// Answers and looks after what the tasks brought.
    fn serve(&mut self, time: Instant) {
        while let Some(message) = self.control.next() {
            match message {
                Message::Status(request) => {
                    let status = report::status(self, time);
                    request.answer(&status);
                }
                Message::Resolved(query, answer) => self.handle_resolved(time, &query, answer),
            }
        }
    }

    fn wait(&mut self, state: &mut State) -> std::io::Result<()> {
        if !state.more {
            let follower = state.follower.as_ref().and_then(Follower::next_timeout);
            let (moving, notices) = (self.moving.next_timeout(), self.notices.next_timeout());
            let due = [self.node.next_timeout(), moving, notices, follower];
            state.timer.set(due.into_iter().flatten().min())?;
        }
        let blocked = state.blocked.map(|transmit| transmit.socket);
        let waiter = &mut state.waiter;
        waiter.clear();
        waiter.add(state.timer.as_fd(), Interest::Read);
        waiter.add(self.signals.as_fd(), Interest::Read);
        waiter.add(self.control.as_fd(), Interest::Read);
        waiter.add(self.moving.as_fd(), Interest::Read);
        self.notices.descriptors().into_iter().for_each(|fd| waiter.add_if_open(fd));
        for socket in self.sockets.iter() {
            // ACKs are read from a blocked socket as well: on a slow uplink it is blocked for long.
            let interest = if blocked == Some(socket.id) { Interest::Both } else { Interest::Read };
            waiter.add(socket.as_fd(), interest);
        }
        if let Some(tap) = &self.tap {
            waiter.add(tap.as_fd(), if blocked.is_some() { Interest::Nothing } else { Interest::Read });
        }
        waiter.wait(!state.more)
    }

    /// True: it is time to end.
    fn handle_signals(&mut self, time: Instant) -> bool {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Stop => return true,
                Signal::Reload => {
                    reload::reload(self, time);
                    self.moving.suspect(time);
                }
                Signal::Probe => self.moving.suspect(time),
            }
        }
        false
    }

    /// The frames of a batch are written before the next is read: then its buffers are free to be used again.
    fn receive(&mut self, time: Instant, state: &mut State) -> Result<(), Failure> {
        for place in 0..self.sockets.count() {
            if !state.waiter.is_ready(FIRST_SOCKET + place) {
                continue;
            }
            for batch in 1..=BATCHES {
                match self.sockets.receive(place, time, &mut self.node) {
                    Received::Nothing => break,
                    Received::Batch => state.more |= batch == BATCHES,
                }
                self.write_tap()?;
            }
        }
        Ok(())
    }

    fn read_tap(&mut self, time: Instant, state: &mut State) -> Result<(), Failure> {
        let Some(tap) = &self.tap else { return Ok(()) };
        if !state.waiter.is_ready(FIRST_SOCKET + self.sockets.count()) || state.blocked.is_some() {
            return Ok(());
        }
        // The frames of the last turn are sent: all of the arena is free again. If some still wait, it is used up
        // to its end, so that not much more memory is held than frames.
        let _ = state.arena.try_reclaim(ARENA);
        for _ in 0..FRAMES {
            if state.arena.capacity() < limits::HEADROOM + limits::FRAME_MAX {
                state.arena.reserve(ARENA);
            }
            state.arena.put_bytes(0, limits::HEADROOM);
            match tap.recv(&mut state.arena).map_err(|error| Failure::runtime(error.to_string()))? {
                Some(_) => self.node.handle_frame(time, state.arena.split()),
                None => {
                    state.arena.clear();
                    return Ok(());
                }
            }
        }
        state.more = true;
        Ok(())
    }

    /// Says goodbye, and waits a moment for sockets that have no room for it.
    fn stop(&mut self, state: &mut State) {
        let time = now();
        self.node.note(time, "stopping".to_owned());
        self.node.stop(time);
        self.transmit(time, state);
        while state.blocked.is_some() && now() < time + GOODBYE {
            if self.wait_to_send(state, time + GOODBYE).is_err() {
                break;
            }
            self.transmit(now(), state);
        }
        if let Err(failure) = self.set_carrier(false) {
            log::debug!("{}", failure.message);
        }
    }

    fn wait_to_send(&self, state: &mut State, until: Instant) -> std::io::Result<()> {
        state.timer.set(Some(until))?;
        state.waiter.clear();
        state.waiter.add(state.timer.as_fd(), Interest::Read);
        let blocked = state.blocked.map(|transmit| transmit.socket);
        let sockets = self.sockets.iter().filter(|socket| Some(socket.id) == blocked);
        sockets.for_each(|socket| state.waiter.add(socket.as_fd(), Interest::Write));
        state.waiter.wait(true)
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::runtime(format!("event loop: {error}"))
}
