//! The node and the wall clock: who is told when it changes, and what has to be said as time passes.
//! Decides neither what is believed nor who is refused. Read first: docs/certificates.md, "The clock".

use std::time::Instant;

use super::{Node, dates};
use crate::pki::clock::Now;
use crate::pki::timekeeper::{Reading, Standing};

impl Node {
    /// The wall clock was read: to be told often, and at once after a step.
    pub fn handle_clock(&mut self, now: Instant, reading: Reading) {
        let changed = self.keeper.read(now, reading);
        self.handle_standing(now, changed);
    }

    /// The operator says that the clock is right.
    pub fn confirm_clock(&mut self, now: Instant, reading: Reading) {
        let before = self.keeper.standing();
        self.keeper.confirm(now, reading);
        self.handle_standing(now, self.keeper.standing() != before);
    }

    pub fn clock(&self) -> Standing {
        self.keeper.standing()
    }

    /// The time at which certificates are judged now.
    pub fn judging_time(&self) -> Now {
        self.keeper.judging_time()
    }

    /// What the operator should know about certificates and lists of ours.
    pub fn warnings(&self) -> Vec<String> {
        dates::warnings(self.keeper.unix_s(), self.links.me(), self.links.trust())
    }

    pub(super) fn handle_time(&mut self, now: Instant) {
        self.keeper.advance(now);
        let unix_s = self.keeper.unix_s();
        if self.dates.next_due().is_some_and(|due| due <= unix_s) {
            self.say_dates(now);
        }
        if self.links.next_expiry().is_some_and(|due| due <= unix_s) {
            self.links.handle_expiry(now);
        }
        if self.members.is_judging() || self.members.next_expiry().is_some_and(|due| due <= unix_s) {
            self.judge_members(now);
        }
    }

    pub(super) fn next_date(&self) -> Option<Instant> {
        let dates = [self.dates.next_due(), self.links.next_expiry(), self.members.next_expiry()];
        self.keeper.instant_of(dates.into_iter().flatten().min()?)
    }

    /// Only if there is something wrong with it.
    pub(super) fn say_clock(&mut self, now: Instant) {
        let standing = self.clock();
        if standing != Standing::Trusted {
            self.journal.caution(now, standing.to_string());
        }
    }

    pub(super) fn say_dates(&mut self, now: Instant) {
        let unix_s = self.keeper.unix_s();
        let lines = self.dates.poll(unix_s, self.links.me(), self.links.trust());
        lines.into_iter().for_each(|line| self.journal.caution(now, line));
    }

    fn handle_standing(&mut self, now: Instant, changed: bool) {
        if changed {
            if self.clock() == Standing::Trusted {
                self.journal.note(now, "clock trusted".to_owned());
                self.links.judge_again(now);
                self.members.handle_trusted_clock();
            }
            self.say_clock(now);
            self.say_dates(now);
        }
        self.handle_time(now);
        if changed {
            self.settle(now);
        }
    }
}
