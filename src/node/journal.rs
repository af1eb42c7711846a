//! What happened lately: the last lines for `quicap status`, and the same to the log.
//! Lines that a stranger can provoke are limited, and so are those about one subject: a link that flaps fills neither the
//! log nor the list. Does not decide what is worth a line.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heapless::Vec;

use crate::limits;
use crate::types::Table;

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
    /// What was noted about lately. Full: the one that began first goes.
    subjects: Vec<Subject, { limits::SUBJECTS }>,
}

/// Warnings in a minute that strangers can provoke; the rest is only counted.
const WARNINGS: u32 = 10;
/// Lines in a minute about one subject; of the rest the last is written when the minute is over.
const NOTES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// What the lines of one minute are about: what stands in front of the colon, `link office`.
struct Subject {
    name: String,
    began: Instant,
    lines: u32,
    last: String,
}

impl Subject {
    fn left_out(&self) -> u32 {
        self.lines.saturating_sub(NOTES)
    }
}

impl Journal {
    pub fn new(now: Instant) -> Self {
        Self { began: now, entries: VecDeque::new(), minute: (now, 0), subjects: Vec::new() }
    }

    /// At most [`NOTES`] a minute that begin with the same words; further ones go to the debug log, and the last of
    /// them is written later, by [`Journal::handle_timeout`].
    pub fn note(&mut self, now: Instant, text: String) {
        self.handle_timeout(now);
        let name = text.split(": ").next().unwrap_or_default();
        match self.subjects.iter_mut().find(|subject| subject.name == name) {
            Some(subject) => {
                subject.lines = subject.lines.saturating_add(1);
                if subject.left_out() > 0 {
                    log::debug!(target: "quicap", "{text}");
                    subject.last = text;
                    return;
                }
            }
            None => self.begin(now, name.to_owned()),
        }
        self.write(now, text);
    }

    fn begin(&mut self, now: Instant, name: String) {
        if self.subjects.is_full() {
            let oldest = self.subjects.iter().enumerate().min_by_key(|(_, subject)| subject.began);
            oldest.map(|(place, _)| place).map(|place| self.subjects.swap_remove(place));
        }
        let _ = self.subjects.push(Subject { name, began: now, lines: 1, last: String::new() });
    }

    /// When lines that were left out are due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let owing = self.subjects.iter().filter(|subject| subject.left_out() > 0);
        owing.map(|subject| subject.began + MINUTE).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let over = |subject: &Subject| now.saturating_duration_since(subject.began) >= MINUTE;
        while let Some(place) = self.subjects.iter().position(over) {
            let subject = self.subjects.swap_remove(place);
            match subject.left_out() {
                0 => {}
                1 => self.write(now, subject.last),
                n => self.write(now, format!("{} ({} lines before this left out)", subject.last, n - 1)),
            }
        }
    }

    fn write(&mut self, now: Instant, text: String) {
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
        if now.saturating_duration_since(self.minute.0) >= MINUTE {
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

    pub fn table(&self) -> Table {
        let text = |text: usize| text + size_of::<Entry>();
        let bytes: usize = self.entries.iter().map(|entry| text(entry.text.len())).sum();
        let bytes = bytes + size_of_val(&self.subjects);
        Table { name: "events", used: self.entries.len(), capacity: limits::EVENTS, bytes }
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
        (0..100).for_each(|n| journal.note(t + Duration::from_secs(n), format!("link {n}: up")));
        assert_eq!(journal.iter().count(), limits::EVENTS);
        assert_eq!(journal.iter().last().map(|entry| entry.at.as_secs()), Some(99));
        journal.warn(t + Duration::from_secs(60), "next minute".into());
        assert_eq!(journal.iter().last().map(|entry| entry.text.as_str()), Some("next minute"));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn a_link_that_flaps_writes_ten_lines_a_minute_and_the_last_of_the_rest_when_it_is_over() {
        let t = Instant::now();
        let mut journal = Journal::new(t);
        let texts = |journal: &Journal| -> std::vec::Vec<String> {
            journal.iter().map(|entry| entry.text.clone()).collect()
        };
        for n in 0..100 {
            journal.note(t + Duration::from_millis(n * 100), format!("link office: up after {n} ms"));
        }
        journal.note(t, "link home: up".into());
        assert_eq!(texts(&journal).len(), 11, "{:?}", texts(&journal));
        assert_eq!(texts(&journal)[9..], ["link office: up after 9 ms", "link home: up"]);
        assert_eq!(journal.next_timeout(), Some(t + MINUTE));
        journal.handle_timeout(t + MINUTE);
        assert_eq!(texts(&journal)[11..], ["link office: up after 99 ms (89 lines before this left out)"]);
        assert_eq!(journal.next_timeout(), None);
        (0..11).for_each(|n| journal.note(t + MINUTE * 2, format!("link office: down: {n}")));
        journal.note(t + MINUTE * 4, "link office: up".into());
        assert_eq!(
            texts(&journal)[20..],
            ["link office: down: 8", "link office: down: 9", "link office: down: 10", "link office: up"]
        );
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn more_subjects_than_are_counted_are_written_all_the_same() {
        let t = Instant::now();
        let mut journal = Journal::new(t);
        for n in 0..limits::SUBJECTS as u64 + 10 {
            journal.note(t + Duration::from_millis(n), format!("link {n}: up"));
        }
        assert_eq!(journal.subjects.len(), limits::SUBJECTS);
        assert_eq!(journal.iter().last().map(|entry| entry.text.clone()), Some("link 73: up".to_owned()));
    }
}
