//! How much one node may say of itself, and what a neighbor may cost: its own announcements count for their signer, and what
//! turns out to be worth nothing for who brought it. Judges nothing. Read first: docs/protocol.md, "The database";
//! docs/security.md, "Members".

use std::time::{Duration, Instant};

use heapless::index_map::FnvIndexMap;

use crate::limits::{NODES, ORIGIN_BURST, ORIGIN_EVERY};
use crate::types::{NodeId, Table};

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Below 0: what took them was larger than what was left.
    left: i16,
    at: Instant,
}

impl Bucket {
    pub fn new(now: Instant, burst: i16) -> Self {
        Self { left: burst, at: now }
    }

    /// Is there one? At most `burst` are saved up, and one comes in each `every`.
    pub fn has_any(&mut self, now: Instant, burst: i16, every: Duration) -> bool {
        let passed = now.saturating_duration_since(self.at).as_micros() / every.as_micros().max(1);
        let passed = i16::try_from(passed).unwrap_or(i16::MAX);
        if passed > 0 {
            self.left = burst.min(self.left.saturating_add(passed));
            // What is left of the time counts for the next.
            self.at = if self.left == burst { now } else { self.at + every * passed.unsigned_abs().into() };
        }
        self.left > 0
    }

    pub fn take(&mut self, tokens: i16) {
        self.left = self.left.saturating_sub(tokens);
    }

    /// Takes one, if there is one.
    pub fn takes_one(&mut self, now: Instant, burst: i16, every: Duration) -> bool {
        let has_any = self.has_any(now, burst, every);
        if has_any {
            self.take(1);
        }
        has_any
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.has_any(now, ORIGIN_BURST, ORIGIN_EVERY) && self.left == ORIGIN_BURST
    }
}

/// How often the announcements of one node are judged: [`ORIGIN_BURST`] at once, then one in [`ORIGIN_EVERY`]; one that is
/// longer than 1 KiB counts for as many as it has begun. Only what is its signer's work counts, or others could use up what
/// a node may say. Of at most [`NODES`] nodes. Full: a further one is not counted; no more than that have a known key.
pub struct Rates {
    buckets: Box<FnvIndexMap<NodeId, Bucket, NODES>>,
}

impl Rates {
    pub fn new() -> Self {
        Self { buckets: Box::default() }
    }

    pub fn table(&self, name: &'static str) -> Table {
        let buckets = &*self.buckets;
        Table { name, used: buckets.len(), capacity: NODES, bytes: size_of_val(buckets) }
    }

    /// May one more be judged now?
    pub fn permits(&mut self, now: Instant, id: NodeId) -> bool {
        self.buckets.get_mut(&id).is_none_or(|bucket| bucket.has_any(now, ORIGIN_BURST, ORIGIN_EVERY))
    }

    /// One of so many bytes was judged, and is its signer's.
    pub fn count(&mut self, now: Instant, id: NodeId, bytes: usize) {
        if self.buckets.is_full() && !self.buckets.contains_key(&id) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if !self.buckets.contains_key(&id) {
            let _ = self.buckets.insert(id, Bucket::new(now, ORIGIN_BURST));
        }
        if let Some(bucket) = self.buckets.get_mut(&id) {
            bucket.take(i16::try_from(bytes.div_ceil(1024)).unwrap_or(i16::MAX).max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::node;
    use super::super::topology::tests::start;
    use super::*;

    /// How many messages of that length are judged in so many milliseconds, if there is always one more.
    fn judged(bytes: usize, time: u64) -> usize {
        let (t, mut rates) = (start(), Rates::new());
        let mut judge = |ms| {
            let now = t + Duration::from_millis(ms);
            let permits = rates.permits(now, node(7));
            if permits {
                rates.count(now, node(7), bytes);
            }
            permits
        };
        (0..time).filter(|ms| judge(*ms)).count()
    }

    #[test]
    fn five_are_judged_at_once_and_then_ten_in_a_second_and_long_ones_count_for_more() {
        for (bytes, time, expected) in [
            (100, 5, 5),
            (100, 1000, 14),
            (1024, 1000, 14),
            (4096, 5, 2),
            (4096, 10_000, 26),
            (16_000, 5000, 4),
        ] {
            assert_eq!(judged(bytes, time), expected, "{bytes} bytes, {time} ms");
        }
    }

    #[test]
    fn nobody_uses_up_what_another_may_say_nor_the_table() {
        let (t, mut rates) = (start(), Rates::new());
        for id in 1..2000 {
            assert!(rates.permits(t, node(id)));
            (0..5).for_each(|_| rates.count(t, node(id), 100));
        }
        assert!(!rates.permits(t, node(1)) && rates.permits(t, node(1999)));
        let later = t + Duration::from_secs(1);
        rates.count(later, node(1999), 100);
        assert_eq!(rates.buckets.len(), 1, "who is silent needs no place");
    }

    #[test]
    fn parts_of_the_time_for_a_token_are_not_lost() {
        let t = start();
        let mut bucket = Bucket::new(t, 3);
        let second = Duration::from_secs(1);
        let taken = (0..100).filter(|n| bucket.takes_one(t + second * 7 / 10 * *n, 3, second));
        assert!((69..=72).contains(&taken.count()));
    }
}
