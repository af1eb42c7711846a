//! The wall clock as the core sees it: the last UNIX time it was told, and whether that can be believed.
//!
//! A router without a battery wakes up in the past; until NTP has answered, its time is a lower bound and no
//! more. Does not read any clock: the daemon sets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// A moment at which a certificate is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    pub unix_s: u32,
    /// False: the time is a lower bound only, so nothing is refused for being "not valid yet".
    pub trusted: bool,
}

impl Now {
    pub(crate) fn is_before(self, date: u32) -> bool {
        self.trusted && self.unix_s < date
    }

    pub(crate) fn is_after(self, date: u32) -> bool {
        self.unix_s > date
    }
}

/// UNIX seconds (until 2106) and trust, shared by every TLS configuration. 32 bits since 32-bit MIPS has no
/// wider atomics.
#[derive(Debug)]
pub struct WallClock {
    unix_s: AtomicU32,
    trusted: AtomicBool,
}

impl WallClock {
    pub fn new(unix_s: u32, trusted: bool) -> Arc<Self> {
        Arc::new(Self { unix_s: AtomicU32::new(unix_s), trusted: AtomicBool::new(trusted) })
    }

    pub fn set(&self, unix_s: u32) {
        self.unix_s.store(unix_s, Ordering::Relaxed);
    }

    pub fn set_trusted(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::Relaxed);
    }

    pub fn now(&self) -> Now {
        Now { unix_s: self.unix_s(), trusted: self.is_trusted() }
    }

    pub fn unix_s(&self) -> u32 {
        self.unix_s.load(Ordering::Relaxed)
    }

    /// False: the time is a lower bound only, so nothing is refused for being "not valid yet".
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unix_s().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_sees_the_time_that_was_set_last() {
        let clock = WallClock::new(5, false);
        clock.set(u32::MAX);
        clock.set_trusted(true);
        assert_eq!(clock.current_time().map(|t| t.as_secs()), Some(u64::from(u32::MAX)));
        assert!(clock.is_trusted());
    }
}
