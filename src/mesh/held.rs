//! Announcements that must wait: too many of one node at once, or of a node whose key is not known yet. And which newest
//! announcement of unknown kinds was handed on. Judges nothing. Read first: docs/protocol.md, "The database".

use std::time::Instant;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::sync::Received;
use crate::limits::{FOREIGN, HELD, HELD_FOR, ORIGIN_EVERY};
use crate::types::{NodeId, Table};
use crate::wire::control::Foreign;

struct Entry {
    id: NodeId,
    slot: u8,
    bytes: std::vec::Vec<u8>,
    /// When it is judged again, or forgotten.
    due: Instant,
    /// It came too early, or its signer's NODE has come; otherwise it waits for that.
    is_early: bool,
}

/// At most [`HELD`] announcements. Full: of the neighbor that brought most the oldest goes, and is asked for again a second
/// later.
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
        let gone = if self.entries.is_full() { self.make_room() } else { None };
        let entry = Entry { id, slot: received.slot, bytes: received.bytes.to_vec(), due, is_early };
        let _ = self.entries.push(entry);
        gone.map(|gone| (gone.id, gone.slot))
    }

    /// Who brings most pays for it, or one neighbor could keep what all others bring from being judged.
    fn make_room(&mut self) -> Option<Entry> {
        let brought = |slot| self.entries.iter().filter(|entry| entry.slot == slot).count();
        let most = self.entries.iter().map(|entry| brought(entry.slot)).max();
        let place = self.entries.iter().position(|entry| Some(brought(entry.slot)) == most)?;
        Some(self.entries.remove(place))
    }

    /// What waited for this node's NODE may be judged now.
    pub fn release(&mut self, now: Instant, id: NodeId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == id && !entry.is_early) {
            (entry.is_early, entry.due) = (true, now);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// One that may be judged now; those that waited in vain are forgotten.
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

    /// It is handed on. At most [`FOREIGN`] kinds and nodes. Full: one of the node with most is forgotten, and may be handed
    /// on once more.
    pub fn mark(&mut self, foreign: &Foreign<'_>) {
        let key = (foreign.kind, foreign.id);
        if self.foreign.is_full() && !self.foreign.contains_key(&key) {
            let of = |id| self.foreign.keys().filter(|(_, own)| *own == id).count();
            let greedy = self.foreign.keys().max_by_key(|(_, id)| of(*id)).copied();
            greedy.map(|greedy| self.foreign.remove(&greedy));
        }
        let _ = self.foreign.insert(key, (foreign.epoch, foreign.seq));
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::node;
    use super::super::topology::tests::start;
    use super::*;

    #[test]
    fn who_brings_most_pays_for_the_room_and_no_other_neighbor() {
        let (t, mut held) = (start(), Held::new());
        let put =
            |held: &mut Held, slot, id| held.put(t, Received { slot, bytes: &[4, 0, 0] }, node(id), false);
        assert!(put(&mut held, 1, 7).is_none() && put(&mut held, 2, 8).is_none());
        let evicted =
            (100..200).filter(|id| put(&mut held, 0, *id).is_some_and(|(_, slot)| slot == 0)).count();
        assert_eq!(evicted, 100 - (HELD - 2));
        assert!(held.poll(t).is_none(), "the NODE of none of them is there");
        for (id, slot) in [(7, Some(1)), (8, Some(2)), (199, Some(0)), (100, None)] {
            held.release(t, node(id));
            assert_eq!(held.poll(t).map(|(slot, _)| slot), slot, "of node {id}");
        }
    }

    #[test]
    fn a_node_with_many_kinds_pushes_out_its_own_marks_only() {
        let mut held = Held::new();
        let foreign =
            |kind, id, seq| Foreign { kind, id: node(id), epoch: 1, seq, body: &[], signature: [0; 64] };
        held.mark(&foreign(0x80, 7, 5));
        (0x80..=0xFF).for_each(|kind| held.mark(&foreign(kind, 66, 1)));
        assert!(!held.is_newer(&foreign(0x80, 7, 5)) && held.is_newer(&foreign(0x80, 7, 6)));
        let known = (0x80..=0xFF).filter(|kind| !held.is_newer(&foreign(*kind, 66, 1))).count();
        assert_eq!(known, FOREIGN - 1);
    }
}
