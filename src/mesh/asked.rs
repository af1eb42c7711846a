//! What was asked of neighbors and has not come yet. Does not send. Read first: docs/protocol.md, "REQUEST".

use std::time::Instant;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::spf::bit;
use crate::limits::{ASK_AGAIN, ASKED_AT_ONCE, NODES, SLOTS};
use crate::types::{NodeId, Table};
use crate::wire::database::Wanted;

#[derive(Clone, Copy, Debug)]
struct Entry {
    what: u8,
    /// Neighbors that have it and were not asked yet, one bit each.
    sources: u64,
    /// When one was last asked.
    asked: Option<Instant>,
}

/// At most one question about each of [`NODES`] nodes. Full: a further one is not asked; the digest will tell.
pub struct Asked {
    entries: Box<FnvIndexMap<NodeId, Entry, NODES>>,
}

/// Rows of one REQUEST.
pub type Rows = Vec<Wanted, ASKED_AT_ONCE>;

impl Asked {
    pub fn new() -> Self {
        Self { entries: Box::default() }
    }

    /// The neighbor has something that is missing here.
    pub fn put(&mut self, slot: u8, wanted: Wanted) {
        let fresh = Entry { what: 0, sources: 0, asked: None };
        if !self.entries.contains_key(&wanted.id) {
            let _ = self.entries.insert(wanted.id, fresh);
        }
        if let Some(entry) = self.entries.get_mut(&wanted.id) {
            entry.what |= wanted.what;
            entry.sources |= bit(slot);
        }
    }

    /// As [`Asked::put`], but it has just come, and had to be dropped: it is asked for again a little later.
    pub fn put_off(&mut self, now: Instant, slot: u8, wanted: Wanted) {
        self.put(slot, wanted);
        if let Some(entry) = self.entries.get_mut(&wanted.id) {
            entry.asked.get_or_insert(now);
        }
    }

    /// It has come, from whomever.
    pub fn handle_answer(&mut self, id: NodeId, what: u8) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.what &= !what;
        }
    }

    pub fn handle_down(&mut self, slot: u8) {
        self.entries.values_mut().for_each(|entry| entry.sources &= !bit(slot));
    }

    pub fn table(&self) -> Table {
        let entries = &*self.entries;
        Table { name: "asked", used: entries.len(), capacity: NODES, bytes: size_of_val(entries) }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.asked).min().map(|asked| asked + ASK_AGAIN)
    }

    /// What is to be asked now, and of whom: of each node once in [`ASK_AGAIN`], and of all no more than can be answered
    /// at once.
    pub fn poll(&mut self, now: Instant, up: u64) -> Vec<(u8, Rows), SLOTS> {
        let is_recent =
            |entry: &Entry| entry.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN);
        self.entries.retain(|_, entry| {
            entry.sources &= up;
            is_recent(entry) || (entry.what != 0 && entry.sources != 0)
        });
        let waiting = self.entries.values().filter(|entry| is_recent(entry) && entry.what != 0).count();
        let mut free = ASKED_AT_ONCE.saturating_sub(waiting);
        let mut requests: Vec<(u8, Rows), SLOTS> = Vec::new();
        for (id, entry) in self.entries.iter_mut() {
            if free == 0 {
                break;
            }
            if is_recent(entry) || entry.what == 0 || entry.sources == 0 {
                continue;
            }
            // Spread over those who have it.
            let turn = u32::from(id.value()) % 64;
            let slot = ((entry.sources.rotate_right(turn).trailing_zeros() + turn) % 64) as u8;
            entry.sources &= !bit(slot);
            entry.asked = Some(now);
            free -= 1;
            let wanted = Wanted { id: *id, what: entry.what };
            match requests.iter_mut().find(|(own, _)| *own == slot) {
                Some((_, rows)) => drop(rows.push(wanted)),
                None => drop(requests.push((slot, Rows::from_iter([wanted])))),
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::graph::tests::node;
    use super::*;
    use crate::wire::database::{WANTS_LINKS, WANTS_NODE};

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn wanted(id: u16, what: u8) -> Wanted {
        Wanted { id: node(id), what }
    }

    #[test]
    fn each_node_is_asked_for_once_a_second_and_then_of_another_neighbor() {
        let t = start();
        let mut asked = Asked::new();
        asked.put(1, wanted(7, WANTS_NODE));
        asked.put(2, wanted(7, WANTS_NODE));
        let first = asked.poll(t, u64::MAX);
        assert_eq!(first.len(), 1);
        asked.put(3, wanted(7, WANTS_LINKS));
        assert!(asked.poll(t + Duration::from_millis(999), u64::MAX).is_empty());
        assert_eq!(asked.next_timeout(), Some(t + ASK_AGAIN));
        let second = asked.poll(t + ASK_AGAIN, u64::MAX);
        assert_eq!(second.len(), 1);
        assert_ne!(first[0].0, second[0].0);
        assert_eq!(second[0].1.as_slice(), [wanted(7, WANTS_NODE | WANTS_LINKS)]);
        asked.handle_answer(node(7), WANTS_NODE | WANTS_LINKS);
        assert!(asked.poll(t + 2 * ASK_AGAIN, u64::MAX).is_empty());
        assert_eq!(asked.next_timeout(), None);
    }

    #[test]
    fn nobody_is_asked_who_is_gone_and_nothing_waits_for_ever() {
        let t = start();
        let mut asked = Asked::new();
        asked.put(1, wanted(7, WANTS_NODE));
        asked.handle_down(1);
        assert!(asked.poll(t, u64::MAX).is_empty());
        asked.put(1, wanted(7, WANTS_NODE));
        assert!(asked.poll(t, 0).is_empty());
        assert_eq!(asked.next_timeout(), None);
    }

    #[test]
    fn no_more_is_asked_than_can_be_answered_at_once() {
        let t = start();
        let mut asked = Asked::new();
        (1..=NODES as u16 + 9).for_each(|id| asked.put(0, wanted(id, WANTS_NODE)));
        let first = asked.poll(t, 1);
        assert_eq!(first.iter().map(|(_, rows)| rows.len()).sum::<usize>(), ASKED_AT_ONCE);
        assert!(asked.poll(t, 1).is_empty());
        first[0].1.iter().take(5).for_each(|row| asked.handle_answer(row.id, WANTS_NODE));
        assert_eq!(asked.poll(t, 1)[0].1.len(), 5);
    }
}
