//! Control messages out to the connection that carries them, and in from all: whole, in order, each link in its turn.
//! Does not act on messages. Read first: docs/protocol.md, "Control stream".

use std::time::Instant;

use quinn_proto::{Dir, StreamEvent, VarInt};

use super::Links;
use super::connection::{Connection, Role, Stage};
use super::peer::Slot;
use crate::limits;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// Says a whole control message, header included, to the peer. False: the link is down, or so much waits that there is
    /// no room for it, and it is not said.
    pub fn say(&mut self, now: Instant, link: LinkId, message: &[u8]) -> bool {
        let Some(slot) = self.link(link).and_then(|link| link.control(self.me().id)) else { return false };
        let Some(connection) = self.table.find_mut(slot) else { return false };
        let said = connection.say(now, message);
        self.unsaid += u64::from(!said);
        self.table.touch(slot);
        said
    }

    /// Messages that were not said since [`limits::CONTROL_QUEUE`] was full.
    pub fn unsaid(&self) -> u64 {
        self.unsaid
    }

    /// The next whole control message but HELLO, header included and well-formed, of a type that is known or
    /// [`crate::wire::control::Message::Foreign`]. What is not asked for stays with the peer. Call until it returns `None`
    /// after each [`Links::settle`], and look at the events then: a message that is none ends its connection.
    pub fn poll_message(&mut self, now: Instant) -> Option<(LinkId, Vec<u8>)> {
        while let Some((link, slot)) = self.next_talker() {
            match self.table.find_mut(slot)?.next_message(now) {
                Ok(Some(message)) => {
                    self.heard = (link, slot);
                    // More room for the peer may be told.
                    self.table.set_sendable(slot);
                    return Some((link, message));
                }
                Ok(None) => self.table.set_silent(slot),
                Err(reason) => self.end_talk(now, link, slot, reason),
            }
        }
        None
    }

    /// The link behind the one that was heard last, and behind its connection there.
    fn next_talker(&self) -> Option<(LinkId, Slot)> {
        let (LinkId(last), last_slot) = self.heard;
        let talkers = self.table.talking().filter_map(|(slot, connection)| {
            let id = connection.link.filter(|_| connection.has_messages())?;
            self.link(id).is_some_and(super::peer::Link::is_up).then_some((id, slot))
        });
        talkers.min_by_key(|(LinkId(id), slot)| {
            (id.wrapping_sub(last).wrapping_sub(1), slot.wrapping_sub(last_slot).wrapping_sub(1))
        })
    }

    fn end_talk(&mut self, now: Instant, link: LinkId, slot: Slot, reason: &'static str) {
        self.table.set_silent(slot);
        let Some(connection) = self.table.find_mut(slot) else { return };
        let carried = connection.is_up();
        connection.close(now, CloseCode::Protocol, reason);
        self.table.touch(slot);
        match carried {
            true => self.handle_lost(now, slot, reason.to_owned(), None),
            false => self.remove_if_unused(link),
        }
        self.settle(now);
    }
}

impl Connection {
    /// Whether its control stream may have messages: not what waits for HELLO to be accepted.
    pub fn has_messages(&self) -> bool {
        self.control.ready && matches!(self.stage, Stage::Up | Stage::Lingering)
    }

    /// False: there is no room for it.
    fn say(&mut self, now: Instant, message: &[u8]) -> bool {
        let fits = self.control.waiting() + message.len() <= limits::CONTROL_QUEUE;
        if fits {
            self.control.put(message);
            self.write_control(now);
        }
        fits
    }

    /// An error is the reason to close the connection.
    fn next_message(&mut self, now: Instant) -> Result<Option<Vec<u8>>, &'static str> {
        self.control.message(now, &mut self.quinn)
    }

    pub(super) fn handle_stream(&mut self, now: Instant, event: StreamEvent) {
        match event {
            StreamEvent::Opened { dir: Dir::Bi } => self.accept_streams(now),
            StreamEvent::Readable { id } if self.control.stream == Some(id) => self.control.ready = true,
            StreamEvent::Writable { .. } => self.write_control(now),
            _ => {}
        }
    }

    /// The first stream of the client is the control stream; nothing else is spoken yet, so others are refused.
    fn accept_streams(&mut self, now: Instant) {
        while let Some(id) = self.quinn.streams().accept(Dir::Bi) {
            if self.role == Role::Server && self.control.stream.is_none() {
                self.control.stream = Some(id);
                self.control.ready = true;
                self.write_control(now);
            } else {
                let code = VarInt::from_u32(CloseCode::Protocol as u32);
                let _ = self.quinn.recv_stream(id).stop(code);
                let _ = self.quinn.send_stream(id).reset(code);
            }
        }
    }

    pub(super) fn write_control(&mut self, now: Instant) {
        if self.control.write(&mut self.quinn) {
            self.liveness.sent(now);
            self.way.said(now);
        }
    }
}
