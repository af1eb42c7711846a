//! How often a frame for an address that nobody is known to have is sent to all: a few times for one address, at a bounded
//! rate for all together. Read first: docs/protocol.md, "Owners".

use std::time::Instant;

use heapless::LinearMap;

use crate::limits;
use crate::types::{MacAddr, Table};

/// Floods of unknown destinations: a few for one address, a bounded rate for all together.
pub(super) struct Limiter {
    /// Floods in a period. Full: the one that began first is forgotten.
    macs: LinearMap<MacAddr, Floods, { limits::UNKNOWN_MACS }>,
    second: (Instant, u32),
}

/// Of one address, in the period that began then.
struct Floods {
    began: Instant,
    last: Instant,
    /// Floods after the first.
    repeats: usize,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self { macs: LinearMap::new(), second: (now, 0) }
    }

    pub(super) fn permits(&mut self, now: Instant, mac: MacAddr) -> bool {
        if now.saturating_duration_since(self.second.0).as_secs() >= 1 {
            self.second = (now, 0);
        }
        if self.second.1 >= limits::UNKNOWN_PER_SECOND || !self.permits_mac(now, mac) {
            return false;
        }
        self.second.1 += 1;
        true
    }

    /// A further node can be reached: it may have what was looked for in vain.
    pub(super) fn look_again(&mut self) {
        self.macs.clear();
    }

    pub(super) fn table(&self) -> Table {
        let bytes = size_of_val(&self.macs);
        Table { name: "unknown", used: self.macs.len(), capacity: limits::UNKNOWN_MACS, bytes }
    }

    fn permits_mac(&mut self, now: Instant, mac: MacAddr) -> bool {
        if let Some(floods) = self.macs.get_mut(&mac) {
            if now.saturating_duration_since(floods.began) >= limits::UNKNOWN_PERIOD {
                *floods = Floods { began: now, last: now, repeats: 0 };
                return true;
            }
            let pause = limits::UNKNOWN_PAUSES.get(floods.repeats);
            let permits = pause.is_some_and(|pause| now.saturating_duration_since(floods.last) >= *pause);
            if permits {
                (floods.last, floods.repeats) = (now, floods.repeats + 1);
            }
            return permits;
        }
        if self.macs.len() == self.macs.capacity() {
            let oldest = self.macs.iter().min_by_key(|(_, floods)| floods.began).map(|(mac, _)| *mac);
            oldest.map(|mac| self.macs.remove(&mac));
        }
        self.macs.insert(mac, Floods { began: now, last: now, repeats: 0 }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::owners::tests::{mac, ms, seconds, start};
    use super::*;

    #[test]
    fn unknown_destination_is_flooded_at_most_three_times_in_ten_seconds_and_not_all_at_once() {
        let t = start();
        let mut limiter = Limiter::new(t);
        let flooded: Vec<u64> = (0..21_000).filter(|n| limiter.permits(t + ms(*n), mac(1))).collect();
        assert_eq!(flooded, [0, 100, 1100, 10_000, 10_100, 11_100, 20_000, 20_100]);
    }

    #[test]
    fn floods_of_many_unknown_destinations_share_one_rate() {
        let t = start();
        let mut limiter = Limiter::new(t);
        for second in 0..3 {
            let floods =
                (0..1000).filter(|n| limiter.permits(t + seconds(second), mac(second as u32 * 1000 + n)));
            assert_eq!(floods.count(), 50);
        }
    }
}
