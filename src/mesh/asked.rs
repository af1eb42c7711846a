//! What was asked of neighbors and has not come yet. Does not send. Read first: docs/protocol.md, "REQUEST".

use std::time::Instant;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::spf::bit;
use crate::limits::{ASK_AGAIN, ASKED, ASKED_AT_ONCE, SLOTS};
use crate::types::{NodeId, Table};
use crate::wire::database::Wanted;

#[derive(Clone, Copy, Debug)]
struct Entry {
    what: u8,
    /// Neighbors that have it and were not asked since they said so, one bit each.
    sources: u64,
    /// Who said so first.
    by: u8,
    /// Who was asked last, and when.
    last: Option<(u8, Instant)>,
}

impl Entry {
    fn is_recent(&self, now: Instant) -> bool {
        self.last.is_some_and(|(_, asked)| now.saturating_duration_since(asked) < ASK_AGAIN)
    }

    /// Of these neighbors the one behind who was asked last, so that nobody who says again and again that he has it is asked
    /// again and again; at first spread over those who have it.
    fn next_source(&self, id: NodeId, allowed: u64) -> Option<u8> {
        let start = self.last.map_or(u32::from(id.value()), |(slot, _)| u32::from(slot) + 1) % 64;
        let sources = (self.sources & allowed).rotate_right(start);
        (sources != 0).then(|| ((sources.trailing_zeros() + start) % 64) as u8)
    }
}

/// At most one question about each of [`ASKED`] nodes. Full: the neighbor that caused most of them gives one up, if it caused
/// more than the one that causes the new one; otherwise the new one is not asked, and the digest will tell.
pub struct Asked {
    entries: Box<FnvIndexMap<NodeId, Entry, ASKED>>,
    /// When the first of those that were asked has had its time.
    due: Option<Instant>,
    /// Something was said since [`Asked::poll`] that may lead to a question.
    is_changed: bool,
}

/// Rows of one REQUEST.
pub type Rows = Vec<Wanted, ASKED_AT_ONCE>;

impl Asked {
    pub fn new() -> Self {
        Self { entries: Box::default(), due: None, is_changed: false }
    }

    /// The neighbor has something that is missing here.
    pub fn put(&mut self, slot: u8, wanted: Wanted) {
        if !self.entries.contains_key(&wanted.id) {
            if self.entries.is_full() {
                self.make_room(slot);
            }
            let _ = self.entries.insert(wanted.id, Entry { what: 0, sources: 0, by: slot, last: None });
        }
        if let Some(entry) = self.entries.get_mut(&wanted.id) {
            entry.what |= wanted.what;
            entry.sources |= bit(slot);
            self.is_changed = true;
        }
    }

    /// As [`Asked::put`], but it has just come, and had to be dropped: it is asked for again a little later.
    pub fn put_off(&mut self, now: Instant, slot: u8, wanted: Wanted) {
        self.put(slot, wanted);
        if let Some(entry) = self.entries.get_mut(&wanted.id) {
            entry.last.get_or_insert((slot, now));
        }
        self.due.get_or_insert(now + ASK_AGAIN);
    }

    /// Room for a question that this neighbor causes: by one that nobody but who caused most can answer.
    fn make_room(&mut self, slot: u8) {
        let caused = |by| self.entries.values().filter(|entry| entry.by == by).count();
        let slots = (0..SLOTS as u8).map(|by| (caused(by), by));
        let Some((_, greedy)) = slots.max().filter(|(most, _)| *most > caused(slot) + 1) else { return };
        let is_alone = |entry: &Entry| entry.by == greedy && entry.sources & !bit(greedy) == 0;
        let victim = self.entries.iter().find(|(_, entry)| is_alone(entry)).map(|(id, _)| *id);
        victim.map(|victim| self.entries.remove(&victim));
    }

    /// It has come, from whomever.
    pub fn handle_answer(&mut self, id: NodeId, what: u8) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.what &= !what;
            // Who answered may be asked for something else.
            self.is_changed = true;
        }
    }

    /// The neighbor may not have got the last question: it is asked again in its turn.
    pub fn handle_overflow(&mut self, slot: u8) {
        let is_its = |entry: &&mut Entry| entry.last.is_some_and(|(last, _)| last == slot);
        self.entries.values_mut().filter(is_its).for_each(|entry| entry.sources |= bit(slot));
    }

    pub fn handle_down(&mut self, slot: u8) {
        self.is_changed = true;
        self.entries.values_mut().for_each(|entry| entry.sources &= !bit(slot));
    }

    /// Whether that neighbor has something that is still to come, from it or from others.
    pub fn waits_for(&self, slot: u8) -> bool {
        let is_its = |entry: &Entry| {
            entry.sources & bit(slot) != 0 || entry.last.is_some_and(|(last, _)| last == slot)
        };
        self.entries.values().any(|entry| entry.what != 0 && is_its(entry))
    }

    pub fn table(&self) -> Table {
        let entries = &*self.entries;
        Table { name: "asked", used: entries.len(), capacity: ASKED, bytes: size_of_val(entries) }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether [`Asked::poll`] has anything to do. It goes through the whole table, and a turn of the loop is for each batch of frames.
    pub fn is_due(&self, now: Instant) -> bool {
        self.is_changed || self.due.is_some_and(|due| due <= now)
    }

    /// What is to be asked now, and of whom: of each node once in [`ASK_AGAIN`], and of each neighbor no more than it can
    /// answer at once.
    pub fn poll(&mut self, now: Instant, up: u64) -> Vec<(u8, Rows), SLOTS> {
        self.entries.retain(|_, entry| {
            entry.sources &= up;
            entry.is_recent(now) || (entry.what != 0 && entry.sources != 0)
        });
        let mut free = self.free(now);
        let mut requests: Vec<(u8, Rows), SLOTS> = Vec::new();
        for (id, entry) in
            self.entries.iter_mut().filter(|(_, entry)| entry.what != 0 && !entry.is_recent(now))
        {
            let allowed =
                (0..).zip(&free).filter(|(_, free)| **free > 0).fold(0, |all, (slot, _)| all | bit(slot));
            let Some(slot) = entry.next_source(*id, allowed) else { continue };
            entry.sources &= !bit(slot);
            entry.last = Some((slot, now));
            if let Some(free) = free.get_mut(usize::from(slot)) {
                *free -= 1;
            }
            let wanted = Wanted { id: *id, what: entry.what };
            match requests.iter_mut().find(|(own, _)| *own == slot) {
                Some((_, rows)) => drop(rows.push(wanted)),
                None => drop(requests.push((slot, Rows::from_iter([wanted])))),
            }
        }
        // Those that nobody has time for wait for the others.
        let recent = self.entries.values().filter(|entry| entry.is_recent(now));
        self.due = recent.filter_map(|entry| entry.last).map(|(_, asked)| asked + ASK_AGAIN).min();
        self.is_changed = false;
        requests
    }

    /// How much more each neighbor may be asked now.
    fn free(&self, now: Instant) -> [u8; SLOTS] {
        const _: () = assert!(ASKED_AT_ONCE <= u8::MAX as usize);
        let mut free = [ASKED_AT_ONCE as u8; SLOTS];
        let waiting = self.entries.values().filter(|entry| entry.what != 0 && entry.is_recent(now));
        for (slot, _) in waiting.filter_map(|entry| entry.last) {
            if let Some(free) = free.get_mut(usize::from(slot)) {
                *free = free.saturating_sub(1);
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::graph::tests::node;
    use super::*;
    use crate::limits::NODES;
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
        assert_eq!([1, 2, 3].map(|slot| asked.waits_for(slot)), [true, true, false]);
        asked.put(3, wanted(7, WANTS_LINKS));
        assert!(asked.poll(t + Duration::from_millis(999), u64::MAX).is_empty());
        assert_eq!(asked.next_timeout(), Some(t + ASK_AGAIN));
        let second = asked.poll(t + ASK_AGAIN, u64::MAX);
        assert_eq!(second.len(), 1);
        assert_ne!(first[0].0, second[0].0);
        assert_eq!(second[0].1.as_slice(), [wanted(7, WANTS_NODE | WANTS_LINKS)]);
        asked.handle_answer(node(7), WANTS_NODE | WANTS_LINKS);
        assert!([1, 2, 3].iter().all(|slot| !asked.waits_for(*slot)));
        assert!(asked.poll(t + 2 * ASK_AGAIN, u64::MAX).is_empty());
        assert_eq!(asked.next_timeout(), None);
    }

    #[test]
    fn with_nothing_to_ask_there_is_nothing_to_do() {
        let t = start();
        let mut asked = Asked::new();
        assert!(!asked.is_due(t));
        asked.put(1, wanted(7, WANTS_NODE));
        assert!(asked.is_due(t) && asked.poll(t, u64::MAX).len() == 1);
        assert!(!asked.is_due(t + ASK_AGAIN - Duration::from_millis(1)), "it has been asked");
        assert!(asked.is_due(t + ASK_AGAIN), "there was no answer");
        // The only one that had it was asked: until somebody else has it, no time brings more.
        assert!(asked.poll(t + ASK_AGAIN, u64::MAX).is_empty() && !asked.is_due(t + 100 * ASK_AGAIN));
        asked.put_off(t, 2, wanted(8, WANTS_NODE));
        asked.poll(t, u64::MAX);
        asked.handle_answer(node(8), WANTS_NODE);
        assert!(asked.is_due(t) && asked.poll(t, u64::MAX).is_empty());
        assert!(asked.is_due(t + ASK_AGAIN) && asked.poll(t + ASK_AGAIN, u64::MAX).is_empty());
        assert!(!asked.is_due(t + 100 * ASK_AGAIN));
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

    #[test]
    fn who_claims_to_have_everything_and_answers_nothing_keeps_nobody_from_being_asked() {
        let t = start();
        let mut asked = Asked::new();
        let mut came = 0;
        for second in 0..12 {
            let now = t + ASK_AGAIN * second;
            // The liar is quicker, names nodes that exist and that do not, and does so again and again.
            for id in
                (1..=40).chain(1000 + NODES as u16 * second as u16..1000 + NODES as u16 * (second as u16 + 1))
            {
                asked.put(5, wanted(id, WANTS_NODE));
            }
            if second == 0 {
                (1..=200).for_each(|id| asked.put(9, wanted(id, WANTS_NODE)));
            }
            for (_, rows) in asked.poll(now, u64::MAX).iter().filter(|(slot, _)| *slot == 9) {
                came += rows.len();
                rows.iter().for_each(|row| asked.handle_answer(row.id, WANTS_NODE));
            }
            assert!(asked.entries.len() <= ASKED);
        }
        assert_eq!(came, 200);
    }

    #[test]
    fn what_nobody_has_time_for_wakes_nobody() {
        let t = start();
        let mut asked = Asked::new();
        let mut now = t;
        for _ in 0..100 {
            (1..=200).for_each(|id| asked.put(5, wanted(id, WANTS_NODE)));
            asked.poll(now, u64::MAX);
            let due = asked.next_timeout().expect("an answer is due");
            assert!(due > now);
            now = due;
        }
        assert!(now >= t + ASK_AGAIN * 90);
    }
}
