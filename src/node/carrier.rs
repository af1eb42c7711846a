//! When the TAP has carrier: what netifd is told.

use std::time::Duration;

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
