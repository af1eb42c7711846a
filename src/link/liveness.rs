//! Whether the far end of one connection still answers: told what was sent and which ACKs came, it says when to
//! ask again and when to give up. Knows no sockets and no QUIC. Read first: docs/protocol.md, "Liveness".
//!
//! ```text
//!            sent, no ACK for T/2: PINGs       no ACK for T          no ACK for 3 T
//!    +----+ -------------------------> +----+ ------------> +---------+ ---------> dead
//!    | up |                            | up |               | suspect |
//!    +----+ <------------------------- +----+ <------------ +---------+
//!                     ACK                          ACK
//! ```

use std::time::{Duration, Instant};

use crate::limits;

/// What is to be done about a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask for an ACK: keep-alive, or something is overdue.
    Ping,
    /// It was asked for the first time: others may be asked as well.
    Late,
    /// Overdue: other ways are to be preferred.
    Suspect,
    /// Long overdue: close it.
    Dead,
}

#[derive(Debug)]
pub struct Liveness {
    /// Packets acknowledged so far.
    acks: u64,
    /// When the oldest packet that may still await its ACK was sent.
    waiting: Option<Instant>,
    last_sent: Instant,
    next_ping: Instant,
    /// PINGs sent since an ACK is overdue.
    asked: u32,
    /// That was just now the first.
    late: bool,
    keep_alive: Duration,
    suspect: bool,
    path: Path,
}

/// What is known about the way.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Smoothed round trip, and how far single ones are from it.
    pub rtt: Duration,
    pub deviation: Duration,
    /// Share of lost packets, in thousandths.
    pub loss: u16,
}

impl Liveness {
    pub fn new(now: Instant, rtt: Duration) -> Self {
        Self {
            acks: 0,
            waiting: None,
            last_sent: now,
            next_ping: now + limits::KEEP_ALIVE,
            asked: 0,
            late: false,
            keep_alive: limits::KEEP_ALIVE,
            suspect: false,
            path: Path { rtt, deviation: Duration::ZERO, loss: 0 },
        }
    }

    /// How often an idle connection is asked: what a silent death costs at most.
    pub fn set_keep_alive(&mut self, keep_alive: Duration) {
        self.keep_alive = keep_alive;
        if self.waiting.is_none() {
            self.next_ping = self.last_sent + keep_alive;
        }
    }

    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Something that asks for an ACK was sent.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        if self.waiting.is_none() {
            self.waiting = Some(now);
            self.asked = 0;
            self.next_ping = now + self.patience() / 2;
        }
    }

    /// `acks` packets are acknowledged so far. True: the connection is suspect no more.
    pub fn acked(&mut self, now: Instant, acks: u64, path: Path) -> bool {
        if acks == self.acks {
            return false;
        }
        self.acks = acks;
        self.path = path;
        // An ACK speaks for what was sent a round trip ago; what was sent since is still under way. Round trips differ a
        // little, and on a path so long that there is no patience to spare that must not matter.
        let under_way = path.rtt / 8 * 7;
        self.waiting = Some(self.last_sent).filter(|sent| now.saturating_duration_since(*sent) < under_way);
        self.asked = 0;
        self.next_ping = match self.waiting {
            Some(sent) => sent + self.patience() / 2,
            None => self.last_sent + self.keep_alive,
        };
        core::mem::take(&mut self.suspect)
    }

    /// Nothing gets out: as if an ACK were overdue.
    pub fn doubt(&mut self, now: Instant) {
        let overdue = now.checked_sub(self.patience()).unwrap_or(now);
        self.waiting = Some(self.waiting.map_or(overdue, |since| since.min(overdue)));
    }

    pub fn next_timeout(&self) -> Instant {
        match self.waiting {
            Some(since) if self.suspect => self.next_ping.min(since + self.death()),
            Some(since) => self.next_ping.min(since + self.patience()),
            None => self.next_ping,
        }
    }

    /// Until when a suspect connection is worth waiting for before others are told (protocol); `None`: it owes nothing.
    pub fn withdraw_at(&self) -> Option<Instant> {
        self.waiting.map(|since| since + (self.patience() * 2).max(limits::WITHDRAW_MIN))
    }

    /// Call until it returns `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        self.forgive_own_pause(now);
        let overdue = self.waiting.map(|since| now.saturating_duration_since(since));
        if overdue.is_some_and(|overdue| overdue >= self.death()) {
            return Some(Action::Dead);
        }
        if !self.suspect && overdue.is_some_and(|overdue| overdue >= self.patience()) {
            self.suspect = true;
            self.next_ping = now;
            return Some(Action::Suspect);
        }
        if core::mem::take(&mut self.late) {
            return Some(Action::Late);
        }
        if now >= self.next_ping {
            self.ask(now);
            return Some(Action::Ping);
        }
        None
    }

    /// One PING, and when the next: a few are spread over the time in which their ACK can still come before the
    /// connection is suspect, so that on a bad path it takes several losses in a row.
    fn ask(&mut self, now: Instant) {
        let idle = self.waiting.is_none();
        self.sent(now);
        if self.suspect {
            self.next_ping = now + self.patience() / 4;
        } else if !idle {
            self.asked += 1;
            self.late = self.asked == 1;
            let slack = (self.patience() / 2).saturating_sub(self.path.rtt).max(Duration::from_millis(5));
            self.next_ping = match self.asked {
                limits::PROBES.. => now + self.patience(),
                _ => now + slack / limits::PROBES,
            };
        }
    }

    /// Whoever comes this late was not running (a stopped process, a paused machine, a router out of breath): what
    /// lies in the sockets has not been read, and nothing can be said about the peer. It is asked anew.
    fn forgive_own_pause(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.next_timeout());
        if self.waiting.is_some() && late >= self.patience() {
            self.waiting = Some(now);
            self.next_ping = now;
        }
    }

    /// How long an ACK may be overdue before the connection is suspect: three times as long where a twentieth is lost, since one
    /// ACK answers several packets and is lost as easily as one of them (measured: docs/protocol.md, "Liveness").
    fn patience(&self) -> Duration {
        let Path { rtt, deviation, loss } = self.path;
        let clean = rtt * 2 + deviation * 4 + Duration::from_millis(50);
        (clean * (25 + u32::from(loss).min(50)) / 25).clamp(limits::SUSPECT_MIN, limits::SUSPECT_MAX)
    }

    fn death(&self) -> Duration {
        (self.patience() * 3).max(limits::DEAD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn path(rtt: u64) -> Path {
        Path { rtt: ms(rtt), deviation: Duration::ZERO, loss: 0 }
    }

    /// Everything that happens until `end` without a single ACK: milliseconds and actions.
    fn silence(liveness: &mut Liveness, from: Instant, end: u64) -> Vec<(u64, Action)> {
        let mut seen = Vec::new();
        loop {
            let now = liveness.next_timeout();
            let at = now.duration_since(from).as_millis() as u64;
            if at > end {
                return seen;
            }
            while let Some(action) = liveness.handle_timeout(now) {
                seen.push((at, action));
                if action == Action::Dead {
                    return seen;
                }
            }
        }
    }

    #[test]
    fn an_idle_connection_only_keeps_alive() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(30));
        let mut pings = 0;
        let mut acks = 0;
        let mut now = t;
        while now < t + Duration::from_secs(60) {
            now = liveness.next_timeout();
            while let Some(action) = liveness.handle_timeout(now) {
                assert_eq!(action, Action::Ping);
                pings += 1;
                acks += 1;
                now += ms(30);
                assert!(!liveness.acked(now, acks, path(30)));
            }
        }
        assert!((11..=13).contains(&pings), "{pings}");
    }

    #[test]
    fn a_dead_peer_under_traffic_is_suspect_after_two_round_trips_and_fifty_milliseconds() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(50));
        liveness.sent(t);
        let seen = silence(&mut liveness, t, 5000);
        assert_eq!(seen[0], (75, Action::Ping));
        assert!(seen.contains(&(150, Action::Suspect)), "{seen:?}");
        assert_eq!(seen.last(), Some(&(1000, Action::Dead)));
    }

    #[test]
    fn a_dead_idle_peer_is_found_at_the_next_keep_alive() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(10));
        let seen = silence(&mut liveness, t, 20_000);
        assert_eq!(seen[0], (5000, Action::Ping));
        assert_eq!(seen.last(), Some(&(6000, Action::Dead)));
    }

    #[test]
    fn one_lost_packet_costs_one_ping_and_no_suspicion() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(30));
        liveness.sent(t);
        assert_eq!(liveness.handle_timeout(liveness.next_timeout()), Some(Action::Ping));
        assert!(!liveness.acked(t + ms(95), 1, path(30)));
        assert!(liveness.next_timeout() >= t + ms(4000));
    }

    #[test]
    fn a_pause_of_our_own_is_not_held_against_the_peer() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(30));
        liveness.sent(t);
        let resumed = t + Duration::from_secs(20);
        assert_eq!(liveness.handle_timeout(resumed), Some(Action::Ping));
        assert_eq!(liveness.handle_timeout(resumed), Some(Action::Late));
        assert_eq!(liveness.handle_timeout(resumed), None);
        assert!(!liveness.acked(resumed + ms(30), 1, path(30)));
        let mut liveness = Liveness::new(t, ms(30));
        liveness.sent(t);
        assert_eq!(liveness.handle_timeout(resumed), Some(Action::Ping));
        let seen = silence(&mut liveness, resumed, 5000);
        assert_eq!(seen.last(), Some(&(1000, Action::Dead)), "a peer that is gone is found all the same");
    }

    #[test]
    fn a_path_that_loses_is_given_more_time_and_asked_more_than_once() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(50));
        liveness.acked(t + ms(60), 1, Path { loss: 50, ..path(50) });
        liveness.sent(t + ms(100));
        let seen = silence(&mut liveness, t + ms(100), 5000);
        let pings = seen.iter().take_while(|(_, action)| *action != Action::Suspect);
        assert_eq!(pings.filter(|(_, action)| *action == Action::Ping).count(), 5, "{seen:?}");
        assert!(seen.contains(&(450, Action::Suspect)), "{seen:?}");
    }

    #[test]
    fn an_ack_lifts_the_suspicion_and_is_reported_once() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(30));
        liveness.sent(t);
        silence(&mut liveness, t, 500);
        assert!(liveness.is_suspect());
        assert!(liveness.acked(t + ms(600), 1, path(40)));
        assert!(!liveness.acked(t + ms(601), 2, path(40)));
        assert!(!liveness.is_suspect());
    }

    #[test]
    fn what_was_sent_within_the_last_round_trip_still_awaits_its_ack() {
        let t = start();
        let mut liveness = Liveness::new(t, ms(50));
        liveness.sent(t);
        liveness.sent(t + ms(40));
        liveness.acked(t + ms(50), 1, path(50));
        let seen = silence(&mut liveness, t, 400);
        assert!(seen.iter().any(|(at, action)| *action == Action::Suspect && *at < 250), "{seen:?}");
    }
}
