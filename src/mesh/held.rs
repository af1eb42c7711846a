//! Announcements that must wait: too many of one node at once, or of a node whose key is not known yet. And which newest
//! announcement of unknown kinds was handed on. Judges nothing. Read first: docs/protocol.md, "The database".

use std::time::{Duration, Instant};

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::sync::Received;
use crate::limits::{FOREIGN, HELD, HELD_FOR, NODES, ORIGIN_BURST, ORIGIN_EVERY};
use crate::types::{NodeId, Table};
use crate::wire::control::Foreign;

struct Entry {
    id: NodeId,
    slot: u8,
    bytes: std::vec::Vec<u8>,
    /// When it is judged again, or forgotten.
    due: Instant,
    /// It came too early; otherwise it waits for its signer's NODE.
    is_early: bool,
}

/// At most [`HELD`] announcements. Full: the oldest goes, and is asked for again a second later.
pub struct Held {
    entries: Vec<Entry, HELD>,
    foreign: FnvIndexMap<(u8, NodeId), (u32, u32), FOREIGN>,
}

impl Held {
    pub fn new() -> Self {
        Self { entries: Vec::new(), foreign: FnvIndexMap::new() }
    }

    /// The one that had to go for it: whose it was, and who told it.
    pub fn put(
        &mut self,
        now: Instant,
        received: Received<'_>,
        id: NodeId,
        is_early: bool,
    ) -> Option<(NodeId, u8)> {
        let due = now + if is_early { ORIGIN_EVERY } else { HELD_FOR };
        // Of one kind and fragment of a node only the latest counts.
        let subject = |bytes: &[u8]| (bytes.first().copied(), bytes.get(13).copied());
        self.entries.retain(|entry| entry.id != id || subject(&entry.bytes) != subject(received.bytes));
        let gone = self.entries.is_full().then(|| self.entries.remove(0));
        let entry = Entry { id, slot: received.slot, bytes: received.bytes.to_vec(), due, is_early };
        let _ = self.entries.push(entry);
        gone.map(|gone| (gone.id, gone.slot))
    }

    /// One that waited for this node's NODE.
    pub fn take(&mut self, id: NodeId) -> Option<(u8, std::vec::Vec<u8>)> {
        let place = self.entries.iter().position(|entry| entry.id == id && !entry.is_early)?;
        let entry = self.entries.remove(place);
        Some((entry.slot, entry.bytes))
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// One that came too early and may be judged now; those that waited in vain are forgotten.
    pub fn poll(&mut self, now: Instant) -> Option<(u8, std::vec::Vec<u8>)> {
        self.entries.retain(|entry| entry.is_early || entry.due > now);
        let place = self.entries.iter().position(|entry| entry.due <= now)?;
        let entry = self.entries.remove(place);
        Some((entry.slot, entry.bytes))
    }

    pub fn tables(&self) -> [Table; 2] {
        let (entries, foreign) = (&self.entries, &self.foreign);
        let waiting: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let bytes = size_of_val(entries) + waiting;
        [
            Table { name: "held", used: entries.len(), capacity: HELD, bytes },
            Table { name: "foreign", used: foreign.len(), capacity: FOREIGN, bytes: size_of_val(foreign) },
        ]
    }

    pub fn is_newer(&self, foreign: &Foreign<'_>) -> bool {
        let known = self.foreign.get(&(foreign.kind, foreign.id));
        known.is_none_or(|known| (foreign.epoch, foreign.seq) > *known)
    }

    /// It is handed on. At most [`FOREIGN`] kinds and nodes. Full: the oldest is forgotten, and may be handed on once more.
    pub fn mark(&mut self, foreign: &Foreign<'_>) {
        let key = (foreign.kind, foreign.id);
        if self.foreign.is_full() && !self.foreign.contains_key(&key) {
            let oldest = self.foreign.keys().next().copied();
            oldest.map(|oldest| self.foreign.remove(&oldest));
        }
        let _ = self.foreign.insert(key, (foreign.epoch, foreign.seq));
    }
}

/// How often the announcements of one node are judged: [`ORIGIN_BURST`] at once, then one in [`ORIGIN_EVERY`].
pub struct Rates {
    buckets: Box<FnvIndexMap<NodeId, (u8, Instant), NODES>>,
}

impl Rates {
    pub fn new() -> Self {
        Self { buckets: Box::default() }
    }

    pub fn table(&self) -> Table {
        let buckets = &*self.buckets;
        Table { name: "rates", used: buckets.len(), capacity: NODES, bytes: size_of_val(buckets) }
    }

    pub fn permits(&mut self, now: Instant, id: NodeId) -> bool {
        if self.buckets.is_full() && !self.buckets.contains_key(&id) {
            self.buckets.retain(|_, (_, last)| now.saturating_duration_since(*last) < Duration::from_secs(1));
        }
        let Some((tokens, last)) = self.buckets.get_mut(&id) else {
            // Full of nodes that all speak now: this one waits.
            return self.buckets.insert(id, (ORIGIN_BURST - 1, now)).is_ok();
        };
        let passed = now.saturating_duration_since(*last).as_millis() / ORIGIN_EVERY.as_millis();
        if passed > 0 {
            *tokens = ORIGIN_BURST.min(tokens.saturating_add(passed.min(u8::MAX.into()) as u8));
            *last = now;
        }
        let permits = *tokens > 0;
        *tokens = tokens.saturating_sub(1);
        permits
    }
}
