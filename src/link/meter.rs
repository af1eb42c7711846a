//! What a connection measures: its round trip and its share of lost packets.
//! Read first: RFC 9002, 5.

use std::time::{Duration, Instant};

/// Least round trip of the last ten to twenty seconds: what the path takes, without the queues on it.
#[derive(Default)]
pub struct RttMeter {
    began: Option<Instant>,
    /// Least of this period and of the one before.
    now: Option<Duration>,
    before: Option<Duration>,
    acks: u64,
    smoothed: Duration,
    /// Mean deviation of the samples from the average.
    deviation: Duration,
}

impl RttMeter {
    const PERIOD: Duration = Duration::from_secs(10);

    /// Takes the count of ACK frames and QUIC's smoothed round trip. True: there is a new sample.
    pub fn update(&mut self, now: Instant, acks: u64, smoothed: Duration) -> bool {
        let new = acks.saturating_sub(self.acks);
        if new == 0 {
            return false;
        }
        // QUIC tells only the average, in which a sample has an eighth (RFC 9002, 5.3). With one ACK since the last
        // look the sample can be told from it.
        let sample = match new {
            1 if self.began.is_some() => (smoothed * 8).saturating_sub(self.smoothed * 7),
            _ => smoothed,
        };
        // An ACK of nothing new leaves the average as it was, and is no sample.
        if self.began.is_some() && smoothed != self.smoothed {
            self.deviation = (self.deviation * 3 + sample.abs_diff(self.smoothed)) / 4;
        }
        (self.acks, self.smoothed) = (acks, smoothed);
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= Self::PERIOD) {
            (self.began, self.before, self.now) = (Some(now), self.now, None);
        }
        self.now = Some(self.now.map_or(sample, |least| least.min(sample)));
        true
    }

    /// `None`: nothing was measured yet.
    pub fn least(&self) -> Option<Duration> {
        [self.now, self.before].into_iter().flatten().min()
    }

    /// How far round trips are from their average.
    pub fn deviation(&self) -> Duration {
        self.deviation
    }

    /// The path is another one now: what was measured does not count any more.
    pub fn forget(&mut self) {
        (self.began, self.now, self.before) = (None, None, None);
    }
}

/// Share of lost packets, averaged over about a minute of samples.
#[derive(Default)]
pub struct LossMeter {
    sampled: Option<Instant>,
    sent: u64,
    lost: u64,
    pub permille: u16,
    /// The worst of the last minutes: what has to be reckoned with.
    pub worst: u16,
}

impl LossMeter {
    const PERIOD: Duration = Duration::from_secs(10);

    pub fn update(&mut self, now: Instant, sent: u64, lost: u64) {
        if self.sampled.is_some_and(|at| now.saturating_duration_since(at) < Self::PERIOD) {
            return;
        }
        let (new, gone) = (sent.saturating_sub(self.sent), lost.saturating_sub(self.lost));
        if self.sampled.is_some() && new > 0 {
            let sample = (gone.saturating_mul(1000) / new).min(1000) as u16;
            self.permille = (self.permille * 3 + sample) / 4;
            self.worst = self.permille.max(self.worst / 16 * 15);
        }
        (self.sampled, self.sent, self.lost) = (Some(now), sent, lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_least_sample_counts_for_ten_to_twenty_seconds() {
        let t = Instant::now();
        let mut meter = RttMeter::default();
        assert_eq!(meter.least(), None);
        assert!(meter.update(t, 3, ms(80)));
        assert!(!meter.update(t, 3, ms(10)), "no ACK, no sample");
        // (7 * 80 + 40) / 8
        assert!(meter.update(t, 4, ms(75)));
        assert_eq!(meter.least(), Some(ms(40)));
        assert!(meter.update(t + ms(10_000), 9, ms(75)));
        assert_eq!(meter.least(), Some(ms(40)));
        assert!(meter.update(t + ms(20_000), 12, ms(76)));
        assert_eq!(meter.least(), Some(ms(75)));
        meter.forget();
        assert_eq!(meter.least(), None);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_share_of_lost_packets_is_an_average_of_periods() {
        let t = Instant::now();
        let mut meter = LossMeter::default();
        meter.update(t, 100, 0);
        meter.update(t + ms(9_999), 200, 100);
        assert_eq!(meter.permille, 0, "not yet");
        meter.update(t + ms(10_000), 200, 20);
        assert_eq!(meter.permille, 50);
        meter.update(t + ms(20_000), 300, 20);
        assert_eq!((meter.permille, meter.worst), (37, 45));
    }
}
