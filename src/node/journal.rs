//! What happened lately: the last lines for `quicap status`, and the same to the log.
//! Lines that a stranger can provoke are limited. Does not decide what is worth a line.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

/// One line and when it was written, since the node began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub at: Duration,
    pub text: String,
}

/// At most [`limits::EVENTS`] lines. Full: the oldest goes.
pub struct Journal {
    began: Instant,
    entries: VecDeque<Entry>,
    /// Warnings of the minute that began then.
    minute: (Instant, u32),
}

/// Warnings in a minute that strangers can provoke; the rest is only counted.
const WARNINGS: u32 = 10;

impl Journal {
    pub fn new(now: Instant) -> Self {
        Self { began: now, entries: VecDeque::new(), minute: (now, 0) }
    }

    pub fn note(&mut self, now: Instant, text: String) {
        log::info!(target: "quicap", "{text}");
        self.push(now, text);
    }

    /// The operator should act. Not for what strangers can provoke.
    pub fn caution(&mut self, now: Instant, text: String) {
        log::warn!(target: "quicap", "{text}");
        self.push(now, text);
    }

    /// At most [`WARNINGS`] a minute; further ones go to the debug log only.
    pub fn warn(&mut self, now: Instant, text: String) {
        if now.saturating_duration_since(self.minute.0) >= Duration::from_secs(60) {
            self.minute = (now, 0);
        }
        self.minute.1 += 1;
        if self.minute.1 > WARNINGS {
            log::debug!(target: "quicap", "{text}");
            return;
        }
        log::warn!(target: "quicap", "{text}");
        self.push(now, text);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn push(&mut self, now: Instant, text: String) {
        if self.entries.len() >= limits::EVENTS {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at: now.saturating_duration_since(self.began), text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_last_lines_are_kept_and_strangers_cannot_push_them_out() {
        let t = Instant::now();
        let mut journal = Journal::new(t);
        journal.note(t, "first".into());
        (0..1000).for_each(|n| journal.warn(t, format!("stranger {n}")));
        assert_eq!(journal.iter().count(), 1 + WARNINGS as usize);
        (0..100).for_each(|n| journal.note(t + Duration::from_secs(n), n.to_string()));
        assert_eq!(journal.iter().count(), limits::EVENTS);
        assert_eq!(journal.iter().last().map(|entry| entry.at.as_secs()), Some(99));
        journal.warn(t + Duration::from_secs(60), "next minute".into());
        assert_eq!(journal.iter().last().map(|entry| entry.text.as_str()), Some("next minute"));
    }
}
