//! The control stream of one connection: whole messages out of it, and how many a peer may send.
//! Does not act on messages. Read first: docs/protocol.md, "Control stream".

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use quinn_proto::{ReadError, StreamId};

use crate::limits;
use crate::types::Fingerprint;
use crate::wire::control::{self, Message, Next};

/// Why a connection is closed whose peer says more than it may for too long.
const FLOOD: &str = "floods the control stream";

/// Bytes that are read at a time.
const CHUNK: usize = 4096;
/// Larger buffers are given back once the long message is through.
const KEPT: usize = 2 * CHUNK;

/// HELLO as it outlives the buffer that it was read from.
#[derive(Clone, Debug)]
pub struct OwnedHello {
    pub version: u16,
    pub id: u16,
    pub fingerprint: Fingerprint,
    pub epoch: u32,
    pub network: String,
}

/// The one bidirectional stream that the client opens.
pub struct ControlStream {
    pub stream: Option<StreamId>,
    outgoing: VecDeque<u8>,
    /// At most one message that is not whole yet, and what was read with its end.
    incoming: Vec<u8>,
    /// There may be messages to read.
    pub ready: bool,
    /// Bytes of a long message of an unknown type that are still to come.
    skip: usize,
    budget: Budget,
    /// The budget is used up: reading goes on then.
    pub resume_at: Option<Instant>,
}

impl ControlStream {
    pub fn new(now: Instant) -> Self {
        Self {
            stream: None,
            outgoing: VecDeque::new(),
            incoming: Vec::new(),
            ready: false,
            skip: 0,
            budget: Budget::new(now),
            resume_at: None,
        }
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Puts a message behind those that wait.
    pub fn put(&mut self, message: &[u8]) {
        self.outgoing.extend(message);
    }

    /// True: something was written.
    pub fn write(&mut self, quinn: &mut quinn_proto::Connection) -> bool {
        let Some(stream) = self.stream else { return false };
        let before = self.outgoing.len();
        loop {
            let (front, _) = self.outgoing.as_slices();
            let written = quinn.send_stream(stream).write(front).unwrap_or(0);
            self.outgoing.drain(..written);
            if written == 0 || self.outgoing.is_empty() {
                break;
            }
        }
        if self.outgoing.is_empty() && self.outgoing.capacity() > KEPT {
            self.outgoing = VecDeque::new();
        }
        self.outgoing.len() < before
    }

    /// The peer's HELLO; what it says before is skipped. An error is the reason to close the connection.
    pub fn hello(
        &mut self,
        now: Instant,
        quinn: &mut quinn_proto::Connection,
    ) -> Result<Option<OwnedHello>, &'static str> {
        self.next(now, quinn, |message, _| Ok(owned(message)))
    }

    /// The next message that may be of use, header included. An error is the reason to close the connection.
    pub fn message(
        &mut self,
        now: Instant,
        quinn: &mut quinn_proto::Connection,
    ) -> Result<Option<Vec<u8>>, &'static str> {
        let next = self.next(now, quinn, |message, bytes| match message {
            Message::Hello(_) => Err("a second HELLO"),
            Message::Unknown(_) => Ok(None),
            _ => Ok(Some(bytes.to_vec())),
        });
        self.ready = matches!(next, Ok(Some(_)));
        next
    }

    /// The budget grows again.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.resume_at.is_some_and(|at| at <= now) {
            self.resume_at = None;
            self.ready = true;
        }
    }

    fn next<T>(
        &mut self,
        now: Instant,
        quinn: &mut quinn_proto::Connection,
        pick: impl Fn(&Message<'_>, &[u8]) -> Result<Option<T>, &'static str>,
    ) -> Result<Option<T>, &'static str> {
        self.budget.refill(now);
        self.resume_at = None;
        loop {
            if let Some(picked) = self.parse(&pick)? {
                return Ok(Some(picked));
            }
            if self.budget.is_empty() {
                self.resume_at = Some(now + Duration::from_secs(1));
                return if self.budget.is_overdrawn(now) { Err(FLOOD) } else { Ok(None) };
            }
            if !self.read(quinn)? {
                self.budget.caught_up();
                return Ok(None);
            }
        }
    }

    /// Goes through the messages that are here as a whole, to the first that is picked.
    fn parse<T>(
        &mut self,
        pick: impl Fn(&Message<'_>, &[u8]) -> Result<Option<T>, &'static str>,
    ) -> Result<Option<T>, &'static str> {
        while !self.budget.is_empty() {
            let skipped = self.skip.min(self.incoming.len());
            self.incoming.drain(..skipped);
            self.skip -= skipped;
            match control::next(&self.incoming) {
                Err(_) => return Err("malformed control message"),
                Ok(Next::Incomplete) => return Ok(None),
                Ok(Next::Skip(bytes)) => {
                    self.budget.spend_message();
                    self.skip = bytes;
                }
                Ok(Next::Message(message, taken)) => {
                    self.budget.spend_message();
                    let picked = pick(&message, self.incoming.get(..taken).unwrap_or_default());
                    self.incoming.drain(..taken);
                    if self.incoming.capacity() > KEPT {
                        self.incoming.shrink_to(0);
                    }
                    if let Some(picked) = picked? {
                        return Ok(Some(picked));
                    }
                }
            }
        }
        Ok(None)
    }

    /// True: there may be more.
    fn read(&mut self, quinn: &mut quinn_proto::Connection) -> Result<bool, &'static str> {
        let Some(stream) = self.stream else { return Ok(false) };
        let mut receive = quinn.recv_stream(stream);
        let Ok(mut chunks) = receive.read(true) else { return Err("the control stream was closed") };
        let mut more = false;
        let result = match chunks.next(CHUNK) {
            Ok(Some(chunk)) => {
                self.budget.spend_bytes(chunk.bytes.len());
                self.incoming.extend_from_slice(&chunk.bytes);
                more = true;
                Ok(())
            }
            Err(ReadError::Blocked) => Ok(()),
            Ok(None) | Err(ReadError::Reset(_)) => Err("the control stream was closed"),
        };
        // The window that this opens travels with the next packet.
        let _ = chunks.finalize();
        result.map(|()| more)
    }
}

fn owned(message: &Message<'_>) -> Option<OwnedHello> {
    let Message::Hello(hello) = message else { return None };
    Some(OwnedHello {
        version: hello.version,
        id: hello.id,
        fingerprint: hello.fingerprint,
        epoch: hello.epoch,
        network: hello.network.to_owned(),
    })
}

/// Token buckets for what a peer may say on its control stream.
struct Budget {
    bytes: u32,
    messages: u32,
    refilled: Instant,
    /// It was empty then, and since then there was always more to read.
    overdrawn: Option<Instant>,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            bytes: limits::CONTROL_BURST_BYTES,
            messages: limits::CONTROL_BURST_MESSAGES,
            refilled: now,
            overdrawn: None,
        }
    }

    fn refill(&mut self, now: Instant) {
        let ms = now.saturating_duration_since(self.refilled).as_millis().min(10_000) as u32;
        if ms < 10 {
            return;
        }
        self.refilled = now;
        self.bytes = (self.bytes + limits::CONTROL_RATE_BYTES / 1000 * ms).min(limits::CONTROL_BURST_BYTES);
        self.messages =
            (self.messages + limits::CONTROL_RATE_MESSAGES * ms / 1000).min(limits::CONTROL_BURST_MESSAGES);
    }

    fn is_empty(&self) -> bool {
        self.bytes == 0 || self.messages == 0
    }

    /// It is empty. True: it has been so, or the peer has sent as fast as it was filled, for too long.
    fn is_overdrawn(&mut self, now: Instant) -> bool {
        let since = *self.overdrawn.get_or_insert(now);
        now.saturating_duration_since(since) >= limits::CONTROL_FLOOD
    }

    /// Everything that the peer has sent is read.
    fn caught_up(&mut self) {
        self.overdrawn = None;
    }

    fn spend_bytes(&mut self, n: usize) {
        self.bytes = self.bytes.saturating_sub(n as u32);
    }

    fn spend_message(&mut self) {
        self.messages = self.messages.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Whether a peer that sends so much in each of these seconds is found to flood, and in which of them.
    fn found(bytes_per_second: &[u32]) -> Option<usize> {
        let t = start();
        let mut budget = Budget::new(t);
        let mut waiting = 0;
        bytes_per_second.iter().enumerate().position(|(second, bytes)| {
            let now = t + Duration::from_secs(second as u64);
            budget.refill(now);
            waiting += bytes;
            let read = waiting.min(budget.bytes);
            budget.spend_bytes(read as usize);
            waiting -= read;
            if !budget.is_empty() {
                budget.caught_up();
            }
            budget.is_empty() && budget.is_overdrawn(now)
        })
    }

    #[test]
    fn who_sends_more_than_the_budget_for_ten_seconds_floods_and_who_pauses_does_not() {
        let (much, little) = (1 << 20, limits::CONTROL_RATE_BYTES / 2);
        assert_eq!(found(&[much; 60]), Some(10));
        assert_eq!(found(&[little; 60]), None);
        let burst = [&[limits::CONTROL_BURST_BYTES + 5 * limits::CONTROL_RATE_BYTES][..], &[0; 59]].concat();
        assert_eq!(found(&burst), None, "a burst that is worked off in five seconds");
        let bursts = burst[..20].repeat(3);
        assert_eq!(found(&bursts), None, "and again, when it was worked off");
    }
}
