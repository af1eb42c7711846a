//! Makes way for control messages on a connection that frames fill: QUIC puts what waits of DATAGRAMs into a packet before
//! what waits of streams, so frames that each fill a packet would keep messages out for as long as there are any.
//! Knows no QUIC: it is told. Read first: RFC 9221, 5.

use std::time::Instant;

use crate::limits;

/// Closed for frames while the queue of those that were taken empties once.
#[derive(Default)]
pub struct Way {
    closed: bool,
    /// Something was written to the control stream last.
    said: Option<Instant>,
    /// Since then there were always frames that could not be sent yet.
    full: Option<Instant>,
    /// Free bytes in the queue of frames, as many as there ever were: when it is empty.
    space: usize,
}

impl Way {
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn said(&mut self, now: Instant) {
        self.said = Some(now);
    }

    /// All was sent that may be. `open`: QUIC would send more; `space`: free bytes in the queue of frames.
    pub fn flushed(&mut self, now: Instant, open: bool, space: usize) {
        self.space = self.space.max(space);
        if open && space == self.space {
            (self.closed, self.full) = (false, None);
            return;
        }
        let full = *self.full.get_or_insert(now);
        let is_owed = self.said.is_some_and(|at| now.saturating_duration_since(at) < limits::WAY_AFTER);
        self.closed |= is_owed && now.saturating_duration_since(full) >= limits::WAY_PATIENCE;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn only_frames_that_leave_no_gap_make_way_and_only_for_what_was_said_lately() {
        let t = Instant::now();
        let mut way = Way::default();
        let mut closed = |ms: u64, open, space, said: bool| {
            let now = t + Duration::from_millis(ms);
            if said {
                way.said(now);
            }
            way.flushed(now, open, space);
            way.is_closed()
        };
        assert!(!closed(0, true, 100, false));
        assert!(!closed(10, false, 20, false));
        assert!(!closed(500, false, 0, false), "nothing was said");
        assert!(closed(510, false, 0, true));
        assert!(closed(520, false, 100, false), "frames are out, but the message may not be");
        assert!(closed(530, true, 80, false), "not all frames are out");
        assert!(!closed(540, true, 100, false));
        assert!(!closed(550, false, 0, false));
        assert!(!closed(649, false, 0, false));
        assert!(closed(650, false, 0, false), "again: a message may have been lost");
        assert!(!closed(660, true, 100, false));
        assert!(!closed(3500, false, 0, false));
        assert!(!closed(3600, false, 0, false), "that is long ago");
    }
}
