//! What nodes tell each other on their control streams: messages go to who understands them, and out again.
//! Judges nothing itself. Read first: docs/protocol.md, "Control stream".

use std::time::Instant;

use heapless::Deque;

use super::{Node, permit};
use crate::limits::{CHECKS, CHECKS_PAUSE, COPIES, STATIONS};
use crate::mesh::fabric::Note;
use crate::mesh::graph::Transit;
use crate::mesh::signature::Sign;
use crate::pki::verify::Member;
use crate::types::{LinkId, NodeId};
use crate::wire::announce::Signature;
use crate::wire::control::{self, Message, Next};
use crate::wire::list::List;
use crate::wire::stations::{Owned, Station, Stations};

/// Signatures of what was judged lately: each neighbor hands the same on. Full: the oldest is judged once more.
#[derive(Default)]
pub(super) struct Copies(Deque<Signature, COPIES>);

impl Copies {
    fn contains(&self, signature: &Signature) -> bool {
        self.0.iter().any(|known| known == signature)
    }

    fn note(&mut self, signature: Signature) {
        if self.0.is_full() {
            self.0.pop_front();
        }
        let _ = self.0.push_back(signature);
    }
}

impl Node {
    /// Works off messages, until so many signatures were checked that frames must have their turn.
    pub(super) fn take_messages(&mut self, now: Instant) {
        let before = self.fabric.counters().verified;
        self.more_at = None;
        while self.fabric.counters().verified - before < CHECKS {
            let Some((link, bytes)) = self.links.poll_message(now) else { return };
            if let Some(slot) = self.fabric.slot_of(link) {
                self.take_message(now, link, slot, &bytes);
                self.say_messages(now);
            }
        }
        self.more_at = Some(now + CHECKS_PAUSE);
    }

    fn take_message(&mut self, now: Instant, link: LinkId, slot: u8, bytes: &[u8]) {
        let Ok(Next::Message(message, _)) = control::next(bytes) else { return };
        match &message {
            Message::MacMove(stations) | Message::MacGone(stations) => {
                let gone = matches!(message, Message::MacGone(_));
                self.take_stations(now, slot, stations, gone, bytes);
            }
            Message::MacSnapshot(list) => self.take_snapshot(now, (link, slot), list),
            Message::Crl(der) => self.take_crl(now, slot, der, bytes),
            _ => {
                self.fabric.handle_message(now, slot, (&message, bytes), &mut self.members);
                if matches!(message, Message::Summary(_)) {
                    self.snapshot.handle_summary(link);
                }
                self.take_accepted(now);
            }
        }
    }

    /// Of these nodes perhaps more, or something else, is known now.
    pub(super) fn take_accepted(&mut self, now: Instant) {
        while let Some(id) = self.fabric.poll_accepted() {
            self.handle_member(now, id);
        }
    }

    fn handle_member(&mut self, now: Instant, id: NodeId) {
        let Some(member) = self.members.member(id) else { return };
        let (transit, permit) = (transit(member), permit(member));
        self.switch.set_permit(id, permit);
        self.fabric.handle_rights(id, transit);
        self.tell_news(now, id);
    }

    fn take_stations(&mut self, now: Instant, slot: u8, told: &Stations<'_>, gone: bool, bytes: &[u8]) {
        let kind = if gone { Stations::GONE } else { Stations::MOVE };
        let mut body = Vec::new();
        told.write_signed(&mut body);
        let is_of_this_run = self.fabric.topology().epoch(told.owner) == Some(told.epoch);
        let is_known = self.copies.contains(&told.signature)
            || !self.switch.is_news(now, told.owner, told.stations.iter(), gone);
        if told.owner == self.links.me().id || is_known {
            return;
        }
        if !is_of_this_run || told.stations.len() > STATIONS {
            return self.fabric.count_outdated();
        }
        if !self.fabric.judge(now, slot, (told.owner, kind, &body, &told.signature), &self.members) {
            return;
        }
        self.copies.note(told.signature);
        let is_news = if gone {
            self.switch.handle_gone(told.owner, told.stations.iter())
        } else {
            self.switch.handle_moves(now, told.owner, told.stations.iter())
        };
        if is_news {
            self.fabric.relay(Some(slot), bytes);
        }
    }

    /// Tells of stations that came here, or left.
    pub(super) fn tell_stations(&mut self, now: Instant) {
        while let Some(rows) = self.switch.poll_moves(now) {
            self.tell_signed(Stations::MOVE, &rows);
        }
        while let Some(rows) = self.switch.poll_gone() {
            self.tell_signed(Stations::GONE, &rows);
        }
    }

    fn tell_signed(&mut self, kind: u8, rows: &[Station]) {
        let (mut buffer, mut body, mut message) = (Vec::new(), Vec::new(), Vec::new());
        let (owner, epoch) = (self.links.me().id, self.fabric.epoch());
        let signature: Signature = [0; 64];
        let mut told = Stations { owner, epoch, stations: List::of(rows, &mut buffer), signature };
        told.write_signed(&mut body);
        told.signature = self.members.sign(kind, &body);
        let told = if kind == Stations::GONE { Message::MacGone(told) } else { Message::MacMove(told) };
        told.emit(&mut message);
        self.fabric.relay(None, &message);
    }

    /// Asks who lives where, until one of the neighbors has answered: each when the nodes that it knows are known here, since
    /// what it says of others does not count.
    pub(super) fn ask_snapshots(&mut self, now: Instant) {
        while let Some(link) = self.next_to_ask(now) {
            self.say(now, link, &Message::MacSnapshot(List::of(&[], &mut Vec::new())));
        }
    }

    fn next_to_ask(&mut self, now: Instant) -> Option<LinkId> {
        let fabric = &self.fabric;
        self.snapshot.poll(now, |link| fabric.slot_of(link).is_some_and(|slot| !fabric.waits_for(slot)))
    }

    fn take_snapshot(&mut self, now: Instant, (link, slot): (LinkId, u8), list: &List<'_, Owned>) {
        if !list.is_empty() {
            if self.snapshot.takes(now, link) {
                let members = &self.members;
                self.switch.handle_snapshot(now, list.iter(), |id| members.member(id).is_some());
            }
            return;
        }
        if !self.fabric.may_tell_stations(now, slot) {
            return;
        }
        let (mut start, mut buffer) = (Some(0), Vec::new());
        while let Some(part) = start.and_then(|start| self.switch.snapshot(now, start)) {
            self.say(now, link, &Message::MacSnapshot(List::of(&part.rows, &mut buffer)));
            start = part.next;
        }
    }

    fn say(&mut self, now: Instant, link: LinkId, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        if !self.links.say(now, link, &bytes) {
            self.fabric.handle_overflow(now, link);
        }
    }

    /// Says what the mesh has to say.
    pub(super) fn say_messages(&mut self, now: Instant) {
        while let Some((slots, bytes)) = self.fabric.poll_message() {
            let links: heapless::Vec<LinkId, { crate::limits::SLOTS }> = self.fabric.links(slots).collect();
            for link in links {
                if !self.links.say(now, link, &bytes) {
                    self.fabric.handle_overflow(now, link);
                }
            }
        }
    }

    pub(super) fn say_notes(&mut self, now: Instant) {
        while let Some(note) = self.fabric.poll_note() {
            let line = match note {
                Note::Twin => {
                    "another node runs with the certificate of this one: give one of them its own".to_owned()
                }
                // Anybody may name nodes that do not exist.
                Note::Full(id) => {
                    let line = format!("node {id} is left out: the table of nodes is full");
                    self.journal.warn(now, line);
                    continue;
                }
            };
            self.journal.caution(now, line);
        }
        while let Some(line) = self.members.poll_note() {
            self.journal.warn(now, line);
        }
        while let Some(line) = self.switch.poll_note() {
            self.journal.warn(now, line);
        }
    }
}

pub(super) fn transit(member: &Member) -> Transit {
    if member.rights.transit { Transit::Yes } else { Transit::No }
}
