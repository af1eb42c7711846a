//! What a connection measures: the share of lost packets.

use std::time::{Duration, Instant};

/// Share of lost packets, averaged over about a minute of samples.
#[derive(Default)]
pub struct LossMeter {
    sampled: Option<Instant>,
    sent: u64,
    lost: u64,
    pub permille: u16,
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
        }
        (self.sampled, self.sent, self.lost) = (Some(now), sent, lost);
    }
}
