//! Which of two connections carries: our own, unless the other is clearly faster for long, or the first is suspect.
//! Knows only round trips and roles. Read first: docs/protocol.md, "Links".

use std::time::{Duration, Instant};

use super::connection::Role;
use crate::limits;

/// Whether a round trip is shorter than another by more than chance.
pub fn is_clearly_faster(this: Duration, than: Duration) -> bool {
    this + limits::FASTER_BY <= than && this * 5 <= than * 4
}

/// The role that is preferred, and since when the other one has been faster.
#[derive(Debug)]
pub struct Selector {
    preferred: Role,
    challenged: Option<Instant>,
}

impl Selector {
    pub const fn new() -> Self {
        Self { preferred: Role::Client, challenged: None }
    }

    pub const fn preferred(&self) -> Role {
        self.preferred
    }

    /// Takes the round trips of our own connection and of the peer's; `None`: there is none, or it was not measured.
    pub fn update(&mut self, now: Instant, client: Option<Duration>, server: Option<Duration>) {
        let (Some(client), Some(server)) = (client, server) else {
            *self = Self::new();
            return;
        };
        // Ours comes back as soon as the other is not clearly faster any more, but no sooner than it went.
        let better = if is_clearly_faster(server, client) { Role::Server } else { Role::Client };
        if better == self.preferred {
            self.challenged = None;
            return;
        }
        let since = *self.challenged.get_or_insert(now);
        if now.saturating_duration_since(since) >= limits::FASTER_FOR {
            *self = Self { preferred: better, challenged: None };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn faster_means_a_fifth_and_five_milliseconds() {
        for (this, than, clearly) in
            [(80, 100, true), (81, 100, false), (1, 6, true), (2, 6, false), (12, 15, false), (20, 25, true)]
        {
            assert_eq!(is_clearly_faster(ms(this), ms(than)), clearly, "{this} {than}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn the_other_is_preferred_after_thirty_seconds_in_a_row_and_ours_likewise() {
        let t = Instant::now();
        let mut selector = Selector::new();
        let mut after = |seconds: u64, client: u64, server: u64| {
            selector.update(t + Duration::from_secs(seconds), Some(ms(client)), Some(ms(server)));
            selector.preferred()
        };
        assert_eq!(after(0, 100, 20), Role::Client);
        assert_eq!(after(29, 100, 20), Role::Client);
        assert_eq!(after(30, 100, 90), Role::Client, "not clearly faster any more");
        assert_eq!(after(31, 100, 20), Role::Client);
        assert_eq!(after(61, 100, 20), Role::Server);
        assert_eq!(after(62, 20, 20), Role::Server);
        assert_eq!(after(92, 20, 20), Role::Client);
        assert_eq!(after(100, 100, 20), Role::Client);
        assert_eq!(after(130, 100, 20), Role::Server);
        selector.update(t + Duration::from_secs(131), Some(ms(100)), None);
        assert_eq!(selector.preferred(), Role::Client);
    }
}
