//! What this node tells all others of itself: its NODE and its LSAs, in which epoch and with which number.
//! Does not say when a link is fit to be told of. Read first: docs/protocol.md, "Announcing".

use std::time::Instant;

use heapless::Vec;

use super::fabric::{Fabric, Note};
use super::signature::{Form, Registry};
use crate::limits::{ANNOUNCE_PAUSE, EPOCH_MAX, FIGHT_PAUSE, FLAP_FORGOTTEN, SLOTS};
use crate::wire::announce::{FRAGMENT_LINKS, FRAGMENTS, Link, Lsa};
use crate::wire::control::Message;
use crate::wire::list::List;

/// Epochs taken in a minute above which somebody else must be running as this node.
const FIGHTS: u32 = 3;

/// Numbers of this node's announcements.
#[derive(Debug)]
pub struct Announcer {
    pub epoch: u32,
    /// Of the fragments, and of NODE.
    seqs: [u32; FRAGMENTS as usize],
    node: u32,
    /// Fragments that have changed, one bit each.
    changed: u8,
    has_new_node: bool,
    /// Of what has changed, something is a link that failed.
    is_withdrawn: bool,
    due: Option<Instant>,
    last: Option<Instant>,
    /// Somebody told of an epoch of ours that is not over: the next one is above it.
    above: Option<u32>,
    fought: Option<Instant>,
    fights: u32,
}

impl Announcer {
    pub fn new(epoch: u32, now: Instant) -> Self {
        Self {
            epoch: epoch.min(EPOCH_MAX),
            seqs: [0; FRAGMENTS as usize],
            node: 0,
            changed: 1,
            has_new_node: true,
            is_withdrawn: false,
            due: Some(now),
            last: None,
            above: None,
            fought: None,
            fights: 0,
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The first change is told at once, others are gathered.
    fn schedule(&mut self, now: Instant) {
        let next = self.last.map_or(now, |last| now.max(last + ANNOUNCE_PAUSE));
        self.due = Some(self.due.map_or(next, |due| due.min(next)));
    }

    /// Links of these slots are to be told of anew.
    pub fn handle_changed(&mut self, now: Instant, slots: u64) {
        for fragment in (0..FRAGMENTS).filter(|fragment| slots >> (fragment * FRAGMENT_LINKS) & 0xFFFF != 0) {
            self.changed |= 1 << fragment;
        }
        if slots != 0 {
            self.schedule(now);
        }
    }

    /// Of the links that are to be told of anew one is withdrawn.
    pub fn handle_withdrawn(&mut self) {
        self.is_withdrawn = true;
    }

    /// Our certificate or CRL is another one.
    pub fn handle_renewed(&mut self, now: Instant) {
        self.has_new_node = true;
        self.schedule(now);
    }

    /// An announcement of an earlier run of this node, or of somebody who runs as this node, with that epoch.
    pub fn handle_own(&mut self, now: Instant, epoch: u32) {
        self.above = Some(self.above.unwrap_or(0).max(epoch));
        let next = self.fought.map_or(now, |fought| now.max(fought + FIGHT_PAUSE));
        self.due = Some(self.due.map_or(next, |due| due.max(next)));
    }

    /// Takes an epoch above the one that others know. True: this happens again and again.
    fn fight(&mut self, now: Instant) -> bool {
        let Some(above) = self.above.take().filter(|above| *above >= self.epoch) else { return false };
        self.epoch = above.saturating_add(1);
        (self.seqs, self.node) = ([0; FRAGMENTS as usize], 0);
        (self.changed, self.has_new_node) = (u8::MAX, true);
        let is_recent = self.fought.is_some_and(|last| now.saturating_duration_since(last) < FLAP_FORGOTTEN);
        self.fights = if is_recent { self.fights + 1 } else { 1 };
        self.fought = Some(now);
        self.fights == FIGHTS
    }
}

impl Fabric {
    /// Tells others what has changed, if it is time to.
    pub(super) fn announce(&mut self, now: Instant, registry: &mut impl Registry) {
        if self.announcer.due.is_none_or(|due| due > now) {
            return;
        }
        self.announcer.due = None;
        // What nobody hears costs nobody anything: the first link of a node that has just started is told of at once.
        if self.neighbors.up() != 0 {
            self.announcer.last = Some(now);
        }
        if self.announcer.fight(now) {
            self.note(Note::Twin);
        }
        if core::mem::take(&mut self.announcer.has_new_node) {
            self.announce_node(now, registry);
        }
        for fragment in 0..FRAGMENTS {
            self.announce_fragment(now, fragment, registry);
        }
        self.announcer.changed = 0;
        if core::mem::take(&mut self.announcer.is_withdrawn) {
            self.search_now(now);
        }
    }

    fn announce_node(&mut self, now: Instant, registry: &mut impl Registry) {
        self.announcer.node += 1;
        let mark = (self.announcer.epoch, self.announcer.node);
        registry.announce(mark.0, mark.1);
        self.topology.store_node(now, self.me, mark, self.transit);
        let mut message = std::vec::Vec::new();
        if registry.emit(self.me, Form::Whole, &mut message) {
            self.tell(self.neighbors.up(), message);
        }
        self.search_soon(now);
    }

    fn announce_fragment(&mut self, now: Instant, fragment: u8, registry: &impl Registry) {
        let links = self.links_of(fragment);
        let is_first = self.announcer.seqs.get(usize::from(fragment)) == Some(&0);
        // The first fragment is told even when it is empty, so that there is one; others when they have been.
        let is_due = self.announcer.changed & 1 << fragment != 0;
        if !is_due || (is_first && links.is_empty() && fragment != 0) {
            return;
        }
        let Some(seq) = self.announcer.seqs.get_mut(usize::from(fragment)) else { return };
        *seq += 1;
        let (mut rows, mut body, mut message) = Default::default();
        let mut lsa = Lsa {
            id: self.me,
            epoch: self.announcer.epoch,
            seq: *seq,
            fragment,
            flags: 0,
            segment: 0,
            links: List::of(&links, &mut rows),
            appendix: &[],
            signature: [0; 64],
        };
        lsa.write_signed(&mut body);
        lsa.signature = registry.sign(Lsa::KIND, &body);
        self.topology.store_lsa(now, &lsa);
        Message::Lsa(lsa).emit(&mut message);
        self.tell(self.neighbors.up(), message);
        self.search_soon(now);
    }

    /// Links that are to be told of. The node with the lower id tells what a link costs, for both.
    fn links_of(&self, fragment: u8) -> Vec<Link, { FRAGMENT_LINKS as usize }> {
        debug_assert!(usize::from(FRAGMENTS) * usize::from(FRAGMENT_LINKS) == SLOTS);
        let own =
            self.neighbors.iter().filter(|(slot, own)| slot / FRAGMENT_LINKS == fragment && own.is_announced);
        let cost = |own: &super::neighbors::Neighbor| if self.me < own.id { own.cost.of_both() } else { 0 };
        own.map(|(slot, own)| Link { to: own.id, slot, cost: cost(own) }).collect()
    }
}
