//! Whether the wall clock can be believed, and which time counts while it cannot.
//!
//! A router without a battery wakes up in the past, and one wrong answer of a time server may send it anywhere. Reads no
//! clock and no file: it is told. Read first: docs/certificates.md, "The clock".
//!
//! ```text
//!              NTP has answered, or the time is plausible
//!       unset --------------------------------------------> trusted
//!             <--------------------------------------------  |   ^
//!                    stepped back to what is not plausible   |   | confirmed, or back where it should be
//!                                    stepped by over 30 days v   |
//!                                                            jumped
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use super::certificate::Certificate;
use super::clock::{Now, WallClock};
use super::date::Day;
use super::verify::Trust;

/// No clock that is right shows a time before this one, UNIX seconds: when the program was built, or released.
pub const BUILT: u32 = built(option_env!("SOURCE_DATE_EPOCH"), RELEASED);
/// 2026-11-01. Not the time of the build, which would make two builds of one source differ.
const RELEASED: u32 = 1_793_491_200;

/// A step of a trusted clock by more than this is not believed at once.
const JUMP: Duration = Duration::from_secs(30 * 86_400);
/// A time server that still says so after this long is believed.
pub const CONFIRMED_AFTER: Duration = Duration::from_secs(3600);
/// By how much the clocks of a CA and of a node may differ without anybody wondering (docs/certificates.md).
const SLACK_S: u32 = 300;

/// What the machine's clock shows, since 1970, and a mark that changes each time NTP has set it; `None`: not yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    pub unix: Duration,
    pub synced: Option<u64>,
}

impl Reading {
    pub fn unix_s(self) -> u32 {
        seconds(self.unix)
    }

    /// What it means while nothing else is known of the clock; `floor` is that of [`floor`].
    pub fn judge(self, floor: u32) -> Now {
        let unix_s = self.unix_s();
        Now { unix_s, trusted: self.synced.is_some() || unix_s > floor }
    }
}

/// What is thought of the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Trusted,
    /// NTP has not answered, and the time is before the floor.
    Unset {
        shows: u32,
        floor: u32,
    },
    /// From where it should be to where it is; not confirmed.
    Jumped {
        from: u32,
        to: u32,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Trusted => f.write_str("clock trusted"),
            _ => write!(f, "clock not trusted: {}", self.reason()),
        }
    }
}

impl Standing {
    /// Why it is not trusted, for people; empty: it is.
    pub fn reason(self) -> String {
        match self {
            Self::Trusted => String::new(),
            Self::Unset { shows, floor } => {
                format!("it shows {}, before {}, and NTP has not answered yet", Day(shows), Day(floor))
            }
            Self::Jumped { from, to } => format!(
                "it jumped from {} to {}; SIGHUP confirms that, or NTP in an hour",
                Day(from),
                Day(to)
            ),
        }
    }
}

/// A moment of both clocks.
#[derive(Clone, Copy, Debug)]
struct Pair {
    at: Instant,
    unix: Duration,
}

impl Pair {
    /// What the wall clock should show now.
    fn pace(self, now: Instant) -> Duration {
        self.unix.saturating_add(now.saturating_duration_since(self.at))
    }
}

#[derive(Clone, Copy, Debug)]
struct Jump {
    /// The last reading before.
    before: Pair,
    /// The first reading after.
    after: Pair,
    synced: Option<u64>,
}

/// Sets the [`WallClock`] by which certificates are judged.
pub struct Timekeeper {
    clock: Arc<WallClock>,
    floor: u32,
    /// The time that counts.
    base: Pair,
    jump: Option<Jump>,
    standing: Standing,
}

impl Timekeeper {
    /// Begins with what the clock says of itself.
    pub fn new(clock: Arc<WallClock>, now: Instant, floor: u32) -> Self {
        let shows = clock.unix_s();
        let standing = if clock.is_trusted() { Standing::Trusted } else { Standing::Unset { shows, floor } };
        let base = Pair { at: now, unix: Duration::from_secs(shows.into()) };
        Self { clock, floor, base, jump: None, standing }
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn judging_time(&self) -> Now {
        self.clock.now()
    }

    /// The time that counts.
    pub fn unix_s(&self) -> u32 {
        self.clock.unix_s()
    }

    /// Other certificates or lists prove another earliest time.
    pub fn set_floor(&mut self, floor: u32) {
        self.floor = floor;
    }

    /// The clock was read; call at least after each of its steps. True: what is thought of it has changed.
    pub fn read(&mut self, now: Instant, reading: Reading) -> bool {
        let before = self.standing;
        match self.jump {
            Some(jump) if is_far(reading.unix, jump.before.pace(now)) => self.doubt(now, jump, reading),
            None if self.is_trusted() && is_far(reading.unix, self.base.pace(now)) => {
                let after = Pair { at: now, unix: reading.unix };
                self.jump_to(Jump { before: self.base, after, synced: reading.synced });
            }
            _ => self.accept(now, reading),
        }
        self.advance(now);
        self.standing != before
    }

    /// Somebody who may says that the clock is right.
    pub fn confirm(&mut self, now: Instant, reading: Reading) -> bool {
        self.jump = None;
        self.standing = Standing::Unset { shows: reading.unix_s(), floor: self.floor };
        self.read(now, reading)
    }

    /// Time passes by the monotonic clock between two readings.
    pub fn advance(&self, now: Instant) {
        self.clock.set(seconds(self.base.pace(now)));
    }

    /// When the time that counts will be this; at once, if it is past.
    pub fn instant_of(&self, unix_s: u32) -> Option<Instant> {
        let wait = Duration::from_secs(unix_s.into()).saturating_sub(self.base.unix);
        self.base.at.checked_add(wait)
    }

    fn is_trusted(&self) -> bool {
        self.standing == Standing::Trusted
    }

    /// The clock is not where it should be: is it where it jumped to, and for long enough?
    fn doubt(&mut self, now: Instant, jump: Jump, reading: Reading) {
        let stays = !is_far(reading.unix, jump.after.pace(now));
        let is_synced = reading.synced.is_some() && reading.synced != jump.synced;
        let is_late = now.saturating_duration_since(jump.after.at) >= CONFIRMED_AFTER;
        match (stays, is_synced && is_late) {
            (false, _) => {
                let after = Pair { at: now, unix: reading.unix };
                self.jump_to(Jump { after, synced: reading.synced, ..jump });
            }
            (true, true) => self.accept(now, reading),
            // What NTP said too early does not count later either.
            (true, false) => self.jump_to(Jump { synced: reading.synced, ..jump }),
        }
    }

    /// Until it is confirmed, the time that counts is the earlier of the two: a bound from below in either case.
    fn jump_to(&mut self, jump: Jump) {
        self.jump = Some(jump);
        let from = jump.before.pace(jump.after.at);
        self.base = if jump.after.unix < from { jump.after } else { jump.before };
        self.standing = Standing::Jumped { from: seconds(from), to: seconds(jump.after.unix) };
        self.clock.set_trusted(false);
    }

    fn accept(&mut self, now: Instant, reading: Reading) {
        self.jump = None;
        self.base = Pair { at: now, unix: reading.unix };
        let trusted = reading.judge(self.floor).trusted;
        if trusted {
            self.standing = Standing::Trusted;
        } else if !matches!(self.standing, Standing::Unset { floor, .. } if floor == self.floor) {
            self.standing = Standing::Unset { shows: reading.unix_s(), floor: self.floor };
        }
        self.clock.set_trusted(trusted);
    }
}

/// The earliest time that our own files allow: no certificate or list of theirs was made in the future.
pub fn floor(chain: &[CertificateDer<'_>], trust: &Trust) -> u32 {
    let own = chain.iter().filter_map(|der| Certificate::from_der(der)).map(|own| own.not_before);
    let anchors = trust.anchors().iter().map(|anchor| anchor.not_before);
    let lists = trust.crls().iter().map(|crl| crl.this_update);
    let newest = own.chain(anchors).chain(lists).max().unwrap_or_default();
    newest.saturating_sub(SLACK_S).max(BUILT)
}

fn is_far(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) > JUMP
}

/// Clamped to what certificates can say: 1970 to 2106.
fn seconds(unix: Duration) -> u32 {
    u32::try_from(unix.as_secs()).unwrap_or(u32::MAX)
}

/// The date that a build is told, decimal UNIX seconds as by the reproducible-builds project, else another.
const fn built(told: Option<&str>, otherwise: u32) -> u32 {
    let Some(told) = told else { return otherwise };
    let (mut rest, mut seconds) = (told.as_bytes(), 0_u32);
    if rest.is_empty() || rest.len() > 10 {
        return otherwise;
    }
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        seconds = seconds.saturating_mul(10).saturating_add((*digit - b'0') as u32);
        rest = after;
    }
    if rest.is_empty() { seconds } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: u32 = 1_800_000_000;
    const DAY: u32 = 86_400;
    const NOW: u32 = FLOOR + 100 * DAY;
    const HOUR: Duration = CONFIRMED_AFTER;

    fn at(unix_s: u32, synced: Option<u64>) -> Reading {
        Reading { unix: Duration::from_secs(unix_s.into()), synced }
    }

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn keeper(unix_s: u32, trusted: bool) -> (Timekeeper, Arc<WallClock>, Instant) {
        let (clock, now) = (WallClock::new(unix_s, trusted), Instant::now());
        (Timekeeper::new(clock.clone(), now, FLOOR), clock, now)
    }

    #[test]
    fn a_clock_is_trusted_once_ntp_has_answered_or_it_is_plausible() {
        for (reading, trusted) in [
            (at(60, None), false),
            (at(FLOOR, None), false),
            (at(FLOOR + 1, None), true),
            (at(FLOOR - DAY, Some(1)), true),
        ] {
            let (mut keeper, clock, t) = keeper(0, false);
            assert_eq!(keeper.read(t, reading), trusted, "{reading:?}");
            assert_eq!((clock.is_trusted(), clock.unix_s()), (trusted, reading.unix_s()), "{reading:?}");
        }
        let (keeper, ..) = keeper(60, false);
        assert_eq!(
            keeper.standing().to_string(),
            "clock not trusted: it shows 1970-01-01, before 2027-01-15, and NTP has not answered yet"
        );
    }

    #[test]
    fn time_goes_on_between_readings_and_deadlines_follow_it() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        keeper.advance(t + Duration::from_secs(7));
        assert_eq!(clock.unix_s(), NOW + 7);
        assert_eq!(keeper.instant_of(NOW + 9), Some(t + Duration::from_secs(9)));
        assert_eq!(keeper.instant_of(NOW - 9), Some(t));
        assert!(!keeper.read(t, at(NOW + 5, None)));
        assert_eq!(keeper.instant_of(NOW + 9), Some(t + Duration::from_secs(4)));
    }

    #[test]
    fn small_steps_are_believed_in_either_direction_unless_they_lead_below_the_floor() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        for unix_s in [NOW + 29 * DAY, NOW, NOW - 29 * DAY] {
            assert!(!keeper.read(t, at(unix_s, None)));
            assert_eq!((clock.is_trusted(), clock.unix_s()), (true, unix_s));
        }
        keeper.set_floor(NOW - 10 * DAY);
        assert!(keeper.read(t, at(NOW - 29 * DAY, None)) && !clock.is_trusted());
        assert!(!keeper.read(t, at(NOW - 28 * DAY, None)), "told once");
        assert!(keeper.read(t, at(NOW, None)) && clock.is_trusted());
    }

    #[test]
    fn after_a_jump_ahead_the_time_before_it_goes_on_until_ntp_confirms_an_hour_later() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        let later = NOW + 3650 * DAY;
        assert!(keeper.read(t + Duration::from_secs(1), at(later, Some(1))));
        assert_eq!((clock.is_trusted(), clock.unix_s()), (false, NOW + 1));
        assert!(keeper.standing().to_string().contains("jumped from 2027-04-25 to 2037-04-22"));
        // The same answer again, an early one, and a late look at that one.
        for (wait, synced) in [(HOUR / 2, 1), (HOUR / 2, 2), (2 * HOUR, 2)] {
            let shows = later + wait.as_secs() as u32;
            assert!(!keeper.read(t + wait, at(shows, Some(synced))));
            assert_eq!((clock.is_trusted(), clock.unix_s()), (false, NOW + wait.as_secs() as u32));
        }
        assert!(keeper.read(t + 3 * HOUR, at(later + 10_800, Some(3))));
        assert_eq!((clock.is_trusted(), clock.unix_s()), (true, later + 10_800));
    }

    #[test]
    fn a_jump_that_is_taken_back_or_goes_elsewhere_confirms_nothing() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        keeper.read(t, at(NOW + 1000 * DAY, Some(1)));
        // Elsewhere: the hour begins anew.
        assert!(keeper.read(t + HOUR / 2, at(NOW + 2000 * DAY, Some(2))));
        assert!(!keeper.read(t + HOUR, at(NOW + 2000 * DAY + 1800, Some(3))));
        assert!(keeper.read(t + HOUR, at(NOW + 3600, Some(4))));
        assert_eq!((clock.is_trusted(), clock.unix_s()), (true, NOW + 3600));
    }

    #[test]
    fn an_operator_confirms_at_once() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        let later = at(NOW + 1000 * DAY, None);
        keeper.read(t, later);
        assert!(!clock.is_trusted());
        keeper.confirm(t, later);
        assert_eq!((clock.is_trusted(), clock.unix_s()), (true, NOW + 1000 * DAY));
    }

    #[test]
    fn after_a_jump_back_the_earlier_time_is_the_bound() {
        let (mut keeper, clock, t) = keeper(NOW, true);
        assert!(keeper.read(t, at(NOW - 60 * DAY, Some(1))));
        assert_eq!((clock.is_trusted(), clock.unix_s()), (false, NOW - 60 * DAY));
        assert!(!keeper.read(t + HOUR / 2, at(NOW - 60 * DAY + 1800, Some(2))));
        assert!(keeper.read(t + HOUR, at(NOW - 60 * DAY + 3600, Some(3))));
        assert_eq!((clock.is_trusted(), clock.unix_s()), (true, NOW - 60 * DAY + 3600));
    }

    #[test]
    fn the_build_date_is_the_one_that_was_told_or_that_of_the_release() {
        for (told, date) in [
            (None, 7),
            (Some("1700000000"), 1_700_000_000),
            (Some("99999999999"), 7),
            (Some("9999999999"), u32::MAX),
            (Some("12x"), 7),
            (Some(""), 7),
        ] {
            assert_eq!(built(told, 7), date, "{told:?}");
        }
        const { assert!(RELEASED > 1_780_000_000) };
    }
}
