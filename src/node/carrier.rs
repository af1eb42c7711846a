//! When the TAP has carrier: what netifd is told. Does not touch the device.
//! Read first: docs/configuration.md, `carrier`.

use std::time::{Duration, Instant};

/// `option carrier` and its delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    pub mode: Mode,
    /// How long a link must have been up before the carrier is raised.
    pub up_delay: Duration,
    /// How long all links must have been down before the carrier is dropped.
    pub down_delay: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Carrier while at least one link is up.
    Peers,
    /// Carrier as long as the daemon runs.
    Always,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Peers, up_delay: Duration::ZERO, down_delay: Duration::from_secs(5) }
    }
}

/// Follows the links with the delays of the configuration. It begins without carrier, as the device does.
#[derive(Debug)]
pub struct Carrier {
    config: Config,
    on: bool,
    linked: bool,
    /// When the carrier follows the links, if it differs.
    due: Option<Instant>,
}

impl Carrier {
    pub fn new(config: Config, now: Instant) -> Self {
        let mut carrier = Self { config, on: false, linked: false, due: None };
        carrier.schedule(now);
        carrier
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether at least one link is up.
    pub fn handle_links(&mut self, now: Instant, linked: bool) {
        if self.linked != linked {
            self.linked = linked;
            self.schedule(now);
        }
    }

    /// Takes a changed configuration.
    pub fn configure(&mut self, now: Instant, config: Config) {
        if self.config != config {
            self.config = config;
            self.schedule(now);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The new state, when it changes now.
    pub fn poll(&mut self, now: Instant) -> Option<bool> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        self.on = !self.on;
        Some(self.on)
    }

    fn schedule(&mut self, now: Instant) {
        let wanted = self.linked || self.config.mode == Mode::Always;
        let delay = match (wanted, self.config.mode) {
            (_, Mode::Always) => Duration::ZERO,
            (true, Mode::Peers) => self.config.up_delay,
            (false, Mode::Peers) => self.config.down_delay,
        };
        self.due = (wanted != self.on).then(|| now + delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_carrier_rises_at_once_and_falls_after_its_delay() {
        let t = start();
        let mut carrier = Carrier::new(Config::default(), t);
        assert_eq!((carrier.poll(t), carrier.next_timeout()), (None, None));
        carrier.handle_links(t, true);
        assert_eq!(carrier.poll(t), Some(true));
        carrier.handle_links(t + seconds(1), false);
        assert_eq!(carrier.poll(t + seconds(5)), None);
        assert_eq!(carrier.poll(t + seconds(6)), Some(false));
        assert_eq!(carrier.poll(t + seconds(60)), None);
    }

    #[test]
    fn a_short_outage_is_not_shown() {
        let t = start();
        let mut carrier = Carrier::new(Config::default(), t);
        carrier.handle_links(t, true);
        carrier.poll(t);
        carrier.handle_links(t + seconds(1), false);
        carrier.handle_links(t + seconds(4), true);
        assert_eq!(carrier.next_timeout(), None);
        assert!(carrier.is_on());
    }

    #[test]
    fn a_link_must_last_as_long_as_the_up_delay() {
        let t = start();
        let config = Config { up_delay: seconds(3), ..Config::default() };
        let mut carrier = Carrier::new(config, t);
        carrier.handle_links(t, true);
        assert_eq!(carrier.next_timeout(), Some(t + seconds(3)));
        carrier.handle_links(t + seconds(2), false);
        assert_eq!(carrier.next_timeout(), None);
    }

    #[test]
    fn always_means_from_the_start_and_whatever_the_links_do() {
        let t = start();
        let mut carrier = Carrier::new(Config { mode: Mode::Always, ..Config::default() }, t);
        assert_eq!(carrier.poll(t), Some(true));
        carrier.handle_links(t, true);
        carrier.handle_links(t, false);
        assert_eq!(carrier.next_timeout(), None);
        carrier.configure(t, Config::default());
        assert_eq!(carrier.next_timeout(), Some(t + seconds(5)));
    }
}
