//! What is measured on the way, and printed at the end. Judges nothing. Read first: docs/testing.md, "The mesh on virtual time".

use std::collections::BTreeMap;
use std::time::Duration;

/// Least, middle and greatest of what was seen.
#[derive(Clone, Default)]
pub struct Row(Vec<f64>);

impl Row {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn tell(&self, unit: &str) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at =
            |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(self.max());
        let (least, middle, most) = (at(0.0), at(0.5), self.max());
        format!("{least:.2} to {most:.2} {unit}, half of {} below {middle:.2}", sorted.len())
    }
}

/// What became of frames that had to arrive.
#[derive(Clone, Copy, Default)]
pub struct Frames {
    pub expected: u64,
    /// Lost on a link that its sender did not know to be dead.
    pub before: u64,
    /// Lost although it was known, or anywhere else.
    pub after: u64,
}

#[derive(Clone, Default)]
pub struct Figures {
    pub copies: Row,
    pub stretch: Row,
    pub costs_off: Row,
    /// From the event until all know the same, seconds.
    pub converged: BTreeMap<&'static str, Row>,
    /// From the last announcement until all know it, milliseconds; and of what the specification allows, a share.
    pub spread: Row,
    pub share: Row,
    pub frames: BTreeMap<&'static str, Frames>,
    /// Bytes of a node in a second while nothing happens, and beyond that for an event.
    pub quiet: Row,
    pub bytes: BTreeMap<&'static str, Row>,
}

impl Figures {
    pub fn join(&mut self, other: &Self) {
        let rows = [
            (&mut self.copies, &other.copies),
            (&mut self.stretch, &other.stretch),
            (&mut self.costs_off, &other.costs_off),
            (&mut self.spread, &other.spread),
            (&mut self.share, &other.share),
            (&mut self.quiet, &other.quiet),
        ];
        rows.into_iter().for_each(|(own, other)| own.0.extend(&other.0));
        for (all, others) in [(&mut self.converged, &other.converged), (&mut self.bytes, &other.bytes)] {
            others.iter().for_each(|(what, row)| all.entry(what).or_default().0.extend(&row.0));
        }
        for (what, frames) in &other.frames {
            self.count(what, *frames);
        }
    }

    pub fn count(&mut self, what: &'static str, frames: Frames) {
        let all = self.frames.entry(what).or_default();
        all.expected += frames.expected;
        all.before += frames.before;
        all.after += frames.after;
    }

    pub fn took(&mut self, what: &'static str, time: Duration) {
        self.converged.entry(what).or_default().add(time.as_secs_f64());
    }

    /// What did not occur, and what took no time, is left out.
    pub fn print(&self, of: &str) {
        let say = |what: &str, row: &Row, unit: &str| {
            if row.max() > 0.0 {
                println!("{of}: {what}: mean {:.3}, {}", row.mean(), row.tell(unit));
            }
        };
        say("copies of a broadcast, of one for each other node", &self.copies, "times");
        say("length of paths, of the shortest", &self.stretch, "times");
        say("costs off the truth", &self.costs_off, "ms");
        say("from the last announcement until all know", &self.spread, "ms");
        say("the same, of 2 diameters and 200 ms", &self.share, "times");
        say("a node sends while nothing happens", &self.quiet, "bytes a second");
        for (what, row) in &self.bytes {
            say(&format!("{what}: a node sends beyond that"), row, "bytes");
        }
        for (what, row) in &self.converged {
            say(&format!("{what}: all know after"), row, "s");
        }
        for (what, Frames { expected, before, after }) in &self.frames {
            println!("{of}: {what}: of {expected} frames {before} lost before detection, {after} after it");
        }
    }
}
