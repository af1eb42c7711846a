//! Hears of changes of addresses, devices and routes, and says when it is time to act on them.
//! What is done then is for the loop. Read first: docs/protocol.md, "Moving".

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::limits::NETWORK_CHANGE_PAUSE;
use crate::sys::monitor::{Changes, Monitor};
use crate::sys::tun::Tap;

pub struct Moving {
    monitor: Monitor,
    /// Number of the TAP: it stays while we have it open.
    tap: Option<u32>,
    pending: Pending,
}

impl Moving {
    pub fn open(tap: Option<&Tap>) -> io::Result<Self> {
        let tap = tap.and_then(Tap::interface).map(|interface| interface.index);
        Ok(Self { monitor: Monitor::open()?, tap, pending: Pending::default() })
    }

    /// Reads what the kernel tells; call when the descriptor is readable. True: something changed.
    pub fn hear(&mut self, now: Instant) -> bool {
        let changes = self.monitor.drain(self.tap);
        self.pending.add(now, changes);
        changes.any()
    }

    /// Someone asks to look at everything again.
    pub fn suspect(&mut self, now: Instant) {
        self.pending.add(now, Changes::ALL);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.pending.due
    }

    /// Changes that are to be acted on now.
    pub fn poll(&mut self, now: Instant) -> Option<Changes> {
        self.pending.take(now)
    }
}

impl AsFd for Moving {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

/// Changes come in swarms: the first is acted on at once, those that follow together, a pause later.
#[derive(Default)]
struct Pending {
    changes: Changes,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Pending {
    fn add(&mut self, now: Instant, changes: Changes) {
        if changes.any() {
            self.changes |= changes;
            let earliest = self.last.map_or(now, |last| now.max(last + NETWORK_CHANGE_PAUSE));
            self.due.get_or_insert(earliest);
        }
    }

    fn take(&mut self, now: Instant) -> Option<Changes> {
        self.due.filter(|due| *due <= now)?;
        (self.due, self.last) = (None, Some(now));
        Some(std::mem::take(&mut self.changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OTHERS: Changes = Changes { others: true, own: false };
    const OWN: Changes = Changes { others: false, own: true };

    #[test]
    fn the_first_change_counts_at_once_and_a_swarm_behind_it_once_in_a_pause() {
        let start = crate::daemon::now();
        let mut pending = Pending::default();
        let mut acted = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            if ms <= 600 {
                pending.add(now, OTHERS);
            }
            if pending.take(now).is_some() {
                acted.push(ms);
            }
        }
        assert_eq!(acted, [0, 250, 500, 750], "the last of them after the last change");
        assert_eq!(pending.due, None);
    }

    #[test]
    fn what_changed_is_gathered_and_nothing_is_no_change() {
        let start = crate::daemon::now();
        let mut pending = Pending::default();
        pending.add(start, Changes::default());
        assert_eq!((pending.due, pending.take(start)), (None, None));
        pending.add(start, OWN);
        assert_eq!(pending.take(start), Some(OWN));
        pending.add(start, OWN);
        pending.add(start, OTHERS);
        assert_eq!(pending.take(start), None);
        assert_eq!(pending.take(start + NETWORK_CHANGE_PAUSE), Some(Changes::ALL));
    }
}
