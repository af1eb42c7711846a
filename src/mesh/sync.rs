//! How the databases of all nodes come to be the same: announcements are judged, kept and handed on, and what is missing is
//! asked for. Read first: docs/protocol.md, "The database".

use std::time::Instant;

use super::asked::Asked;
use super::fabric::{Fabric, Note};
use super::held::Held;
use super::rates::Rates;
use super::signature::{Accepted, Form, Registry, Signed};
use super::spf::bit;
use super::topology::Outcome;
use crate::limits::{DIGEST_EVERY, DIGEST_MISSES, NODES, RESYNC_AFTER, SLOTS, VAIN_CHAIN};
use crate::types::{NodeId, Table};
use crate::wire::announce::{FRAGMENTS, HASH, Lsa, Node};
use crate::wire::control::{self, Foreign, Message, Next};
use crate::wire::database::{Known, WANTS_LINKS, WANTS_NODE, Wanted};
use crate::wire::list::List;

/// What goes on between this node and its neighbors about the database.
pub struct Sync {
    /// A neighbor has said what it knows: an earlier run of this node would have come to light.
    pub is_ready: bool,
    /// A neighbor knows nodes for which there is no room here.
    leaves_out: bool,
    pub asked: Asked,
    held: Held,
    /// Of NODE, LSA and what later versions announce; and of stations, which come and go as hosts please.
    rates: Rates,
    station_rates: Rates,
    digest_due: Instant,
    /// How often the digest of that neighbor was another one.
    misses: [u8; SLOTS],
    /// Neighbors that may have missed something, one bit each.
    behind: (u64, Option<Instant>),
}

impl Sync {
    pub fn new(now: Instant) -> Self {
        Self {
            is_ready: false,
            leaves_out: false,
            asked: Asked::new(),
            held: Held::new(),
            rates: Rates::new(),
            station_rates: Rates::new(),
            digest_due: now + DIGEST_EVERY,
            misses: [0; SLOTS],
            behind: (0, None),
        }
    }

    pub fn handle_down(&mut self, slot: u8) {
        self.behind.0 &= !bit(slot);
        self.asked.handle_down(slot);
        if let Some(misses) = self.misses.get_mut(usize::from(slot)) {
            *misses = 0;
        }
    }

    pub fn handle_overflow(&mut self, now: Instant, slot: u8) {
        self.handle_return(now, bit(slot));
        self.asked.handle_overflow(slot);
    }

    /// A node is back that the neighbors on these slots may not know.
    pub fn handle_return(&mut self, now: Instant, slots: u64) {
        self.behind.0 |= slots;
        self.behind.1.get_or_insert(now + RESYNC_AFTER);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [Some(self.digest_due), self.behind.1, self.asked.next_timeout(), self.held.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> {
        let rates = [self.rates.table("rates"), self.station_rates.table("station_rates")];
        [self.asked.table()].into_iter().chain(rates).chain(self.held.tables())
    }

    pub fn permits_stations(&mut self, now: Instant, id: NodeId) -> bool {
        self.station_rates.permits(now, id)
    }

    pub fn count_stations(&mut self, now: Instant, id: NodeId, bytes: usize) {
        self.station_rates.count(now, id, bytes);
    }

    /// True: its database was another one for too long.
    fn misses(&mut self, slot: u8, is_same: bool) -> bool {
        let Some(misses) = self.misses.get_mut(usize::from(slot)) else { return false };
        *misses = if is_same { 0 } else { *misses + 1 };
        let is_off = *misses >= DIGEST_MISSES;
        if is_off {
            *misses = 0;
        }
        is_off
    }
}

/// A message and where it came from.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    pub slot: u8,
    pub bytes: &'a [u8],
}

impl Fabric {
    /// A control message from the neighbor on that slot, whole and parsed. Those of stations, CRLs and HELLO are not for us.
    pub fn handle_message(
        &mut self,
        now: Instant,
        slot: u8,
        (message, bytes): (&Message<'_>, &[u8]),
        registry: &mut impl Registry,
    ) {
        let received = Received { slot, bytes };
        match message {
            Message::Node(node) => self.handle_node(now, received, node, registry),
            Message::Lsa(lsa) => self.handle_lsa(now, received, lsa, registry),
            Message::Summary(list) => self.handle_summary(now, slot, list),
            Message::Request(list) => self.handle_request(now, slot, list, registry),
            Message::Digest(digest) => self.handle_digest(now, slot, *digest),
            Message::Cost(cost) => self.handle_cost(now, slot, *cost),
            Message::Foreign(foreign) => self.handle_foreign(now, received, foreign, registry),
            _ => {}
        }
    }

    fn handle_node(
        &mut self,
        now: Instant,
        received: Received<'_>,
        node: &Node<'_>,
        registry: &mut impl Registry,
    ) {
        let mark = (node.epoch, node.seq);
        let outcome = match self.topology.compare_node(node.id, mark) {
            Outcome::Known if self.is_of_twin(received, node, registry) => {
                if node.id == self.me {
                    Outcome::Own
                } else {
                    Outcome::Older
                }
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Stored => {}
            Outcome::Older => {
                if self.answers_older(now, received.slot) {
                    self.send_node(received.slot, node.id, registry);
                }
                return;
            }
            Outcome::Full => return self.refuse(node.id),
            Outcome::Own => return self.handle_own_node(now, received, node, registry),
            _ => return,
        }
        if !self.sync.rates.permits(now, node.id) {
            return self.hold(now, received, node.id, true);
        }
        if !self.bears(now, received.slot) {
            return;
        }
        self.counters.verified += 2;
        match registry.accept(node) {
            Accepted::Good(transit) => {
                self.sync.rates.count(now, node.id, received.bytes.len());
                self.topology.store_node(now, node.id, mark, transit);
                self.sync.asked.handle_answer(node.id, WANTS_NODE);
                self.relay(Some(received.slot), received.bytes);
                self.search_soon(now);
                self.accepted.push_back(node.id);
                self.sync.held.release(now, node.id);
            }
            Accepted::Stranger => self.ask(now, received.slot, Wanted { id: node.id, what: WANTS_NODE }),
            Accepted::Forged => self.blame(received.slot, node_tokens(node)),
            Accepted::Full => self.refuse(node.id),
        }
    }

    /// Has a NODE, of this node or told by its own, the number of one that says something else? Two runs of its node have begun
    /// in the same second, and that must come to light: what others remember of the one would be taken for the other's.
    fn is_of_twin(&self, received: Received<'_>, node: &Node<'_>, registry: &impl Registry) -> bool {
        let teller = self.neighbors.get(received.slot).map(|own| own.id);
        let form = if node.certificate.len() == HASH { Form::Hash } else { Form::Whole };
        let mut known = std::vec::Vec::new();
        (node.id == self.me || teller == Some(node.id))
            && registry.emit(node.id, form, &mut known)
            && known != received.bytes
    }

    /// A NODE of this node that it did not make, or made in an earlier run. Its key may be another one by now, so that the
    /// LSAs of that run do not tell.
    fn handle_own_node(
        &mut self,
        now: Instant,
        received: Received<'_>,
        node: &Node<'_>,
        registry: &mut impl Registry,
    ) {
        if !self.bears(now, received.slot) {
            return;
        }
        self.counters.verified += 2;
        match registry.accept(node) {
            Accepted::Good(_) => self.announcer.handle_own(now, node.epoch),
            _ => self.blame(received.slot, node_tokens(node)),
        }
    }

    fn handle_lsa(
        &mut self,
        now: Instant,
        received: Received<'_>,
        lsa: &Lsa<'_>,
        registry: &mut impl Registry,
    ) {
        match self.topology.compare_lsa(lsa) {
            Outcome::Stored => {}
            Outcome::Older => {
                if self.answers_older(now, received.slot) {
                    self.send_lsa(received.slot, lsa.id, lsa.fragment);
                }
                return;
            }
            _ => return,
        }
        if !self.sync.rates.permits(now, lsa.id) {
            return self.hold(now, received, lsa.id, true);
        }
        if !self.bears(now, received.slot) {
            return;
        }
        let is_twin = self.topology.is_twin(lsa) && lsa.id != self.me;
        let earlier = is_twin.then(|| self.lsa(lsa.id, lsa.fragment)).flatten();
        let outcome = self.topology.handle_lsa(now, lsa, registry);
        self.counters.verified += u64::from(outcome != Outcome::Stranger);
        if matches!(outcome, Outcome::Stored | Outcome::Own | Outcome::Full) {
            self.sync.rates.count(now, lsa.id, received.bytes.len());
        }
        match outcome {
            Outcome::Stored => {
                self.sync.asked.handle_answer(lsa.id, WANTS_LINKS);
                self.relay(Some(received.slot), received.bytes);
                self.search_soon(now);
                // Its origin does not know yet that it has said something else under this number.
                if let Some(message) = earlier.filter(|_| self.answers_older(now, received.slot)) {
                    self.tell(bit(received.slot), message);
                }
            }
            Outcome::Own => self.announcer.handle_own(now, lsa.epoch),
            Outcome::Forged => self.blame(received.slot, 1),
            Outcome::Stranger => {
                self.ask(now, received.slot, Wanted { id: lsa.id, what: WANTS_NODE });
                self.hold(now, received, lsa.id, false);
            }
            Outcome::Full => self.refuse(lsa.id),
            Outcome::Known | Outcome::Older => {}
        }
    }

    fn refuse(&mut self, id: NodeId) {
        if self.topology.epoch(id).is_none() {
            self.note(Note::Full(id));
        }
    }

    /// It is not even asked for. A neighbor names it again and again: said once, until there is room.
    fn leave_out(&mut self, id: NodeId) {
        if !self.sync.leaves_out && self.topology.epoch(id).is_none() {
            self.sync.leaves_out = true;
            self.refuse(id);
        }
    }

    /// It waits, until it may be judged or its signer is known.
    fn hold(&mut self, now: Instant, received: Received<'_>, id: NodeId, is_early: bool) {
        if let Some((gone, slot)) = self.sync.held.put(now, received, id, is_early) {
            self.counters.dropped += 1;
            self.sync.asked.put_off(now, slot, Wanted { id: gone, what: WANTS_NODE | WANTS_LINKS });
        }
    }

    fn handle_held(&mut self, now: Instant, slot: u8, bytes: &[u8], registry: &mut impl Registry) {
        if let Ok(Next::Message(message, _)) = control::next(bytes) {
            self.handle_message(now, slot, (&message, bytes), registry);
        }
    }

    /// What a later version announces: handed on if it is newer and its signer's, understood or not.
    fn handle_foreign(
        &mut self,
        now: Instant,
        received: Received<'_>,
        foreign: &Foreign<'_>,
        registry: &mut impl Registry,
    ) {
        if foreign.id == self.me || !self.sync.held.is_newer(foreign) {
            return;
        }
        if !self.sync.rates.permits(now, foreign.id) {
            self.counters.dropped += 1;
            return;
        }
        if !self.bears(now, received.slot) {
            return;
        }
        match self.check(foreign.id, foreign.kind, (foreign.signed(), &foreign.signature), registry) {
            Signed::Good => {
                self.sync.rates.count(now, foreign.id, received.bytes.len());
                self.sync.held.mark(foreign);
                self.relay(Some(received.slot), received.bytes);
            }
            Signed::Forged => self.blame(received.slot, 1),
            Signed::Stranger => self.ask(now, received.slot, Wanted { id: foreign.id, what: WANTS_NODE }),
        }
    }

    fn handle_summary(&mut self, now: Instant, slot: u8, list: &List<'_, Known>) {
        self.sync.is_ready = true;
        if !self.compares(now, slot) {
            return;
        }
        for known in list.iter().take(NODES) {
            match self.topology.wanted(&known) {
                Some(wanted) => self.sync.asked.put(slot, wanted),
                None if self.topology.is_full() => self.leave_out(known.id),
                None => {}
            }
        }
        self.sync.leaves_out &= self.topology.is_full();
        self.ask_all(now);
    }

    fn ask(&mut self, now: Instant, slot: u8, wanted: Wanted) {
        self.sync.asked.put(slot, wanted);
        self.ask_all(now);
    }

    /// Sends what is to be asked for now.
    fn ask_all(&mut self, now: Instant) {
        if !self.sync.asked.is_due(now) {
            return;
        }
        let up = self.neighbors.up();
        for (slot, rows) in self.sync.asked.poll(now, up) {
            let (mut buffer, mut message) = Default::default();
            Message::Request(List::of(&rows, &mut buffer)).emit(&mut message);
            self.tell(bit(slot), message);
        }
    }

    fn handle_request(&mut self, now: Instant, slot: u8, list: &List<'_, Wanted>, registry: &impl Registry) {
        for wanted in list.iter().take(NODES) {
            if !self.answers(now, slot) {
                // It is told what there is once more, and asks for the rest.
                return self.sync.handle_overflow(now, slot);
            }
            if wanted.what & WANTS_NODE != 0 {
                self.send_node(slot, wanted.id, registry);
            }
            for fragment in (0..FRAGMENTS).filter(|_| wanted.what & WANTS_LINKS != 0) {
                self.send_lsa(slot, wanted.id, fragment);
            }
        }
    }

    fn send_node(&mut self, slot: u8, id: NodeId, registry: &impl Registry) {
        let mut message = std::vec::Vec::new();
        if registry.emit(id, Form::Whole, &mut message) {
            self.tell(bit(slot), message);
        }
    }

    fn send_lsa(&mut self, slot: u8, id: NodeId, fragment: u8) {
        if let Some(message) = self.lsa(id, fragment) {
            self.tell(bit(slot), message);
        }
    }

    /// As a message.
    fn lsa(&self, id: NodeId, fragment: u8) -> Option<std::vec::Vec<u8>> {
        let (mut buffer, mut message) = Default::default();
        Message::Lsa(self.topology.lsa(id, fragment, &mut buffer)?).emit(&mut message);
        Some(message)
    }

    fn handle_digest(&mut self, now: Instant, slot: u8, digest: u64) {
        if !self.compares(now, slot) {
            return;
        }
        let is_same = digest == self.topology.digest();
        if self.is_settled() && self.sync.misses(slot, is_same) {
            self.tell_summary(now, slot);
        }
    }

    pub(super) fn handle_sync_timeout(&mut self, now: Instant, registry: &mut impl Registry) {
        if self.sync.digest_due <= now {
            self.sync.digest_due = now + DIGEST_EVERY;
            let mut message = std::vec::Vec::new();
            Message::Digest(self.topology.digest()).emit(&mut message);
            self.tell(self.neighbors.up(), message);
        }
        if self.sync.behind.1.is_some_and(|due| due <= now) {
            let behind = core::mem::take(&mut self.sync.behind).0 & self.neighbors.up();
            (0..SLOTS as u8)
                .filter(|slot| behind & bit(*slot) != 0)
                .for_each(|slot| self.tell_again(now, slot));
        }
        self.ask_all(now);
        // One in a turn: each costs a check of a signature.
        if let Some((slot, bytes)) = self.sync.held.poll(now) {
            self.handle_held(now, slot, &bytes, registry);
        }
    }
}

/// What it counts for if it is not good.
fn node_tokens(node: &Node<'_>) -> i16 {
    if node.certificate.len() == HASH { 1 } else { VAIN_CHAIN }
}
