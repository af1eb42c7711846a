//! What a link costs: the round trip, told to others only when it has changed for good.
//! Does not measure. Read first: docs/protocol.md, "Announcing".

use std::time::{Duration, Instant};

use super::graph::COST_MAX;
use crate::limits::{
    COST_CHANGE, COST_LESS, COST_PAUSE, COST_STEADY, COST_YOUNG, COST_YOUNG_FIRST, COST_YOUNG_PAUSE,
};

/// The cost of one link, 0.1 ms of round trip: as it is measured here, and as it was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    measured: u16,
    told: u16,
    told_at: Option<Instant>,
    up_at: Option<Instant>,
    /// Since when what is measured differs from what was told.
    differs: Option<Instant>,
    /// What the other end measures; 0: it has not said.
    theirs: u16,
    /// How often it has said so since then.
    heard: Option<(Instant, u8)>,
    /// It said so too often, and the last of it was told to nobody yet.
    owes: bool,
}

/// Changes of the other end's mind that count within [`COST_PAUSE`]; what it says beyond is told later.
const HEARD: u8 = 3;

impl Cost {
    /// The link has come up, perhaps over another path. While others still know it as it was before, what they were told stays
    /// unless it is another cost now.
    pub fn handle_up(&mut self, now: Instant, rtt: Duration, is_announced: bool) {
        let (measured, before) = (units(rtt), *self);
        *self = Self { measured, told: measured, up_at: Some(now), ..Self::default() };
        if is_announced && !is_other(measured, before.told) {
            (self.told, self.theirs) = (before.told, before.theirs);
        }
    }

    /// True: others are to be told.
    pub fn handle_rtt(&mut self, now: Instant, rtt: Duration) -> bool {
        self.measured = units(rtt);
        let tells = self.is_less_than_at_first(now) || self.is_other_for_good(now);
        if tells {
            (self.told, self.told_at, self.differs) = (self.measured, Some(now), None);
        }
        tells || self.pays(now)
    }

    /// True, once: what the other end said too often may be told now.
    fn pays(&mut self, now: Instant) -> bool {
        let since = self.heard.map(|(since, _)| since);
        let pays = self.owes && !is_within(now, since, COST_PAUSE);
        if pays {
            (self.heard, self.owes) = (Some((now, 1)), false);
        }
        pays
    }

    fn is_less_than_at_first(&self, now: Instant) -> bool {
        let less = self.told.saturating_sub(self.measured);
        let is_young = is_within(now, self.up_at, COST_YOUNG);
        let has_paused =
            !is_within(now, self.up_at, COST_YOUNG_FIRST) && !is_within(now, self.told_at, COST_YOUNG_PAUSE);
        is_young && has_paused && less > (self.told / 20).max(COST_LESS)
    }

    fn is_other_for_good(&mut self, now: Instant) -> bool {
        if !is_other(self.measured, self.told) {
            self.differs = None;
            return false;
        }
        let since = *self.differs.get_or_insert(now);
        let is_steady = !is_within(now, Some(since), COST_STEADY);
        let is_double = u32::from(self.measured) > 2 * u32::from(self.told);
        is_double || (is_steady && !is_within(now, self.told_at, COST_PAUSE))
    }

    /// The other end says what it measures. True: others are to be told.
    pub fn handle_theirs(&mut self, now: Instant, cost: u16) -> bool {
        let before = self.of_both();
        self.theirs = cost.min(COST_MAX);
        if !is_other(self.of_both(), before) {
            return false;
        }
        let (since, count) = self.heard.unwrap_or((now, 0));
        let is_over = now.saturating_duration_since(since) >= COST_PAUSE;
        let (since, count) = if is_over { (now, 1) } else { (since, count.saturating_add(1)) };
        self.heard = Some((since, count));
        self.owes = count > HEARD;
        !self.owes
    }

    /// What this end measured when it last told.
    pub fn told(&self) -> u16 {
        self.told
    }

    /// What both ends measured, the worse of the two.
    pub fn of_both(&self) -> u16 {
        self.told.max(self.theirs)
    }
}

/// Has it been less than `time` since then?
fn is_within(now: Instant, since: Option<Instant>, time: Duration) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) < time)
}

/// By more than chance.
fn is_other(cost: u16, than: u16) -> bool {
    cost.abs_diff(than) > (than / 5).max(COST_CHANGE)
}

/// At least 1, at most [`COST_MAX`].
fn units(rtt: Duration) -> u16 {
    u16::try_from(rtt.as_micros() / 100).unwrap_or(COST_MAX).clamp(1, COST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn a_change_is_told_when_it_lasts_and_a_doubling_at_once() {
        let t = Instant::now();
        let mut cost = Cost::default();
        cost.handle_up(t, Duration::from_millis(20), false);
        assert_eq!(cost.told(), 200);
        let mut told = |seconds: u64, ms: u64| {
            let tells =
                cost.handle_rtt(t + COST_YOUNG + Duration::from_secs(seconds), Duration::from_millis(ms));
            (tells, cost.told())
        };
        assert_eq!(told(0, 24), (false, 200), "within a fifth");
        assert_eq!(told(1, 25), (false, 200), "not for long yet");
        assert_eq!(told(3, 20), (false, 200), "back again");
        assert_eq!(told(4, 25), (false, 200));
        assert_eq!(told(7, 25), (true, 250));
        assert_eq!(told(8, 10), (false, 250));
        assert_eq!(told(16, 10), (false, 250), "told less than ten seconds ago");
        assert_eq!(told(17, 10), (true, 100));
        assert_eq!(told(18, 21), (true, 210), "more than twice");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn of_a_young_link_less_is_told_soon_and_more_is_not() {
        let t = Instant::now();
        let mut cost = Cost::default();
        cost.handle_up(t, Duration::from_millis(50), false);
        let mut told = |ms: u64, rtt: u64| {
            let tells = cost.handle_rtt(t + Duration::from_millis(ms), Duration::from_millis(rtt));
            (tells, cost.told())
        };
        assert_eq!(told(900, 41), (false, 500), "the handshake is hardly over");
        assert_eq!(told(1000, 41), (true, 410));
        assert_eq!(told(4900, 38), (false, 410), "told less than four seconds ago");
        assert_eq!(told(5000, 39), (false, 410), "within a twentieth");
        assert_eq!(told(5100, 38), (true, 380));
        assert_eq!(told(9000, 45), (false, 380), "within a fifth");
        assert_eq!(told(31_000, 31), (false, 380), "young no more");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_worse_of_both_ends_counts_and_no_link_is_free() {
        let t = Instant::now();
        let mut cost = Cost::default();
        cost.handle_up(t, Duration::from_micros(40), false);
        assert_eq!(cost.of_both(), 1);
        assert_eq!((cost.handle_theirs(t, 70), cost.handle_theirs(t, 75)), (true, false));
        assert_eq!((cost.of_both(), cost.told()), (75, 1));
        // A mind that changes all the time is heard three times in ten seconds.
        let heard = [200, 70, 200, 70].map(|theirs| cost.handle_theirs(t, theirs));
        assert_eq!(heard, [true, true, false, false]);
        let own = Duration::from_micros(40);
        let told = [COST_PAUSE / 2, COST_PAUSE, COST_PAUSE].map(|time| cost.handle_rtt(t + time, own));
        assert_eq!((told, cost.of_both()), ([false, true, false], 70), "the last of it is told later");
        assert!(cost.handle_theirs(t + COST_PAUSE, 200));
        cost.handle_up(t, Duration::from_secs(60), false);
        assert_eq!(cost.of_both(), COST_MAX);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn of_a_link_that_is_up_again_before_others_know_only_another_cost_is_told() {
        let t = Instant::now();
        for (ms, expected) in [(21, (200, 230)), (19, (200, 230)), (25, (250, 250)), (15, (150, 150))] {
            let mut cost = Cost::default();
            cost.handle_up(t, Duration::from_millis(20), false);
            cost.handle_theirs(t, 230);
            cost.handle_up(t, Duration::from_millis(ms), true);
            assert_eq!((cost.told(), cost.of_both()), expected, "{ms} ms");
        }
    }
}
