//! The congestion controller of a tunnel: a fixed window. What is carried has congestion control of its own, and
//! a second one underneath only hurts; the window bounds memory. Read first: docs/performance.md.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, ControllerMetrics};

/// A window above this switches QUIC's pacer off (quinn-proto 0.11, `pacing.rs`).
const UNPACED: u64 = u64::MAX;

/// Makes a [`Window`] for each connection.
pub struct Factory {
    /// Bytes that may be in flight.
    pub bytes: u32,
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, _now: Instant, _mtu: u16) -> Box<dyn Controller> {
        Box::new(Window { bytes: self.bytes.into(), in_flight: 0, acked: 0 })
    }
}

/// Open while less than `bytes` are in flight, shut above.
#[derive(Clone, Debug)]
struct Window {
    bytes: u64,
    /// Bytes sent since they were last counted by the library, and those it counted then.
    in_flight: u64,
    /// Packets that were acknowledged so far.
    acked: u64,
}

/// Packets that the peer has acknowledged on this path so far. Not the ACK frames that came: a peer that hears nothing
/// any more goes on to acknowledge what it heard last.
pub fn acknowledged(controller: &dyn Controller) -> u64 {
    controller.metrics().pacing_rate.unwrap_or(0)
}

impl Controller for Window {
    fn on_sent(&mut self, _now: Instant, bytes: u64, _last: u64) {
        self.in_flight = self.in_flight.saturating_add(bytes);
    }

    fn on_ack(&mut self, _now: Instant, _sent: Instant, _bytes: u64, _limited: bool, _rtt: &RttEstimator) {
        self.acked += 1;
    }

    fn on_end_acks(&mut self, _now: Instant, in_flight: u64, _app_limited: bool, _largest: Option<u64>) {
        self.in_flight = in_flight;
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _persistent: bool, lost_bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(lost_bytes);
    }

    fn on_mtu_update(&mut self, _mtu: u16) {}

    fn window(&self) -> u64 {
        if self.in_flight < self.bytes { UNPACED } else { 0 }
    }

    /// Nothing is paced here; the place of its rate carries the count of [`acknowledged`], which QUIC does not tell otherwise.
    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window();
        metrics.pacing_rate = Some(self.acked);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.bytes
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_window_shuts_at_its_size_and_opens_with_acks_and_losses() {
        let t = Instant::now();
        let mut window = Arc::new(Factory { bytes: 3000 }).build(t, 1200);
        window.on_sent(t, 2999, 1);
        assert_eq!(window.window(), UNPACED);
        window.on_sent(t, 1, 2);
        assert_eq!(window.window(), 0);
        window.on_congestion_event(t, t, false, 1200);
        assert_eq!(window.window(), UNPACED);
        window.on_sent(t, 1200, 3);
        window.on_end_acks(t, 1200, false, Some(2));
        assert_eq!(window.window(), UNPACED);
    }
}
