//! When and where one peer is dialed: its addresses in a staggered race, a pause that grows after each failure.
//! Opens nothing itself: it says which address is next. Read first: RFC 8305; docs/protocol.md, "Dialing".
//!
//! ```text
//!        pause over            all failed, or too long
//! waiting ---------> racing ---------------------------> waiting, longer
//!    ^               |    ^
//!    |      decided  v    | now and then: is another address faster?
//!    +------------ resting
//!     it is lost
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::peer::{Endpoint, Host};
use super::race::{Purpose, Race};
use crate::limits;

/// What the dialer asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Look this endpoint's host up, an address too: whoever knows the routes may object to it.
    /// [`Dialer::handle_resolved`] takes the answer.
    Resolve { race: u32, endpoint: usize, host: Host, port: u16 },
    /// Open a connection to this address of that endpoint.
    Dial { race: u32, endpoint: usize, address: SocketAddr },
    /// The attempt failed; nothing of it is left to wait for.
    Failed,
    /// The race is over, and a connection is up: the fastest stays, the others close.
    Decide(Purpose),
}

#[derive(Debug)]
enum State {
    Resting,
    Waiting(Instant),
    Racing(Box<Race>),
}

/// Another address that was clearly faster each time it was looked at.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    address: SocketAddr,
    since: Instant,
}

pub struct Dialer {
    endpoints: std::vec::Vec<Endpoint>,
    state: State,
    failures: u32,
    /// Numbers the attempts, so that late answers of an earlier one are known.
    race: u32,
    up_since: Option<Instant>,
    /// The endpoint and address that worked last, whatever the name server says now.
    good: Option<(usize, SocketAddr)>,
    /// When other addresses are looked at again.
    compare_at: Option<Instant>,
    /// When they last were: a race for the first connection counts.
    compared: Option<Instant>,
    ahead: Option<Ahead>,
    random: Random,
}

impl Dialer {
    pub fn new(endpoints: std::vec::Vec<Endpoint>, now: Instant, seed: u64) -> Self {
        let state = if endpoints.is_empty() { State::Resting } else { State::Waiting(now) };
        Self {
            endpoints,
            state,
            failures: 0,
            race: 0,
            up_since: None,
            good: None,
            compare_at: None,
            compared: None,
            ahead: None,
            random: Random::new(seed),
        }
    }

    pub fn is_dialing(&self) -> bool {
        matches!(self.state, State::Racing(_))
    }

    /// The attempt that just failed was the first since the peer was lost, or since it was known.
    pub fn has_failed_once(&self) -> bool {
        self.failures == 1
    }

    /// One of our own connections is up; others that are under way may turn out to be faster.
    pub fn handle_up(&mut self, now: Instant, endpoint: usize, address: SocketAddr, rtt: Duration) {
        self.good = Some((endpoint, address));
        self.ahead = None;
        self.up_since.get_or_insert(now);
        match &mut self.state {
            State::Racing(race) => race.handle_up(now, rtt),
            _ => self.rest(now),
        }
    }

    /// The connection that was up is lost; `race` is the one that it came from.
    pub fn handle_down(&mut self, now: Instant, race: u32) {
        let lasted = self.up_since.take().map(|since| now.saturating_duration_since(since));
        (self.ahead, self.compare_at) = (None, None);
        if self.endpoints.is_empty() {
            return;
        }
        if let State::Racing(running) = &mut self.state
            && running.purpose != Purpose::Compare
        {
            if race == self.race {
                running.handle_failed();
            }
            return;
        }
        // Who is soon lost again and again (a copy of this node, say) must not be dialed ten times in a second.
        self.failures = match lasted {
            Some(lasted) if lasted < limits::REDIAL_FORGIVEN => self.failures.saturating_add(1),
            _ => 0,
        };
        self.wait(now);
    }

    /// A connection of this race failed.
    pub fn handle_failed(&mut self, race: u32) {
        if let State::Racing(running) = &mut self.state
            && race == self.race
        {
            running.handle_failed();
        }
    }

    /// Dial at once: the network changed, or the peer just showed that it is alive. An attempt that is under way
    /// looks its names up once more, and takes in what they stand for now.
    pub fn hurry(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting(until) => {
                *until = now;
                self.failures = 0;
            }
            State::Racing(race) if self.up_since.is_none() => race.look_up_again(&self.endpoints),
            _ => {}
        }
        let soon = now + limits::DIAL_TIMEOUT;
        let earliest = self.compared.map_or(soon, |compared| soon.max(compared + limits::COMPARE_PAUSE));
        self.compare_at = self.compare_at.map(|at| at.min(earliest));
    }

    /// A certificate has changed: a new connection is to take the place of the one that is up.
    pub fn renew(&mut self, now: Instant) {
        if self.up_since.is_some() && !self.endpoints.is_empty() {
            self.race = self.race.wrapping_add(1);
            self.state = State::Racing(Box::new(Race::new(Purpose::Renew, &self.endpoints, self.good, now)));
        }
    }

    /// The configuration has other endpoints now; `up` says whether a connection to one of the old ones is up.
    pub fn set_endpoints(&mut self, now: Instant, endpoints: std::vec::Vec<Endpoint>, up: bool) {
        let idle = up || endpoints.is_empty();
        self.endpoints = endpoints;
        self.failures = 0;
        if !up {
            self.good = None;
        }
        if idle { self.rest(now) } else { self.state = State::Waiting(now) }
    }

    /// The answer to [`Action::Resolve`]; an empty one means that there is no such name.
    pub fn handle_resolved(
        &mut self,
        now: Instant,
        race: u32,
        endpoint: usize,
        addresses: &[IpAddr],
        port: u16,
    ) {
        if let State::Racing(running) = &mut self.state
            && race == self.race
        {
            running.handle_resolved(now, endpoint, addresses, port);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Resting => self.compare_at,
            State::Waiting(until) => Some(*until),
            State::Racing(race) => Some(race.next_timeout(self.up_since.is_some())),
        }
    }

    /// What is to be done now; call until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        match &mut self.state {
            State::Resting if self.compare_at.is_some_and(|at| at <= now) => {
                self.begin(now, Purpose::Compare)
            }
            State::Waiting(until) if *until <= now => self.begin(now, Purpose::Reach),
            State::Racing(race) => {
                if let Some((endpoint, host, port)) = race.next_question() {
                    return Some(Action::Resolve { race: self.race, endpoint, host, port });
                }
                if let Some((endpoint, address)) = race.next(now) {
                    return Some(Action::Dial { race: self.race, endpoint, address });
                }
                self.end_race(now)
            }
            _ => None,
        }
    }

    fn begin(&mut self, now: Instant, purpose: Purpose) -> Option<Action> {
        self.race = self.race.wrapping_add(1);
        self.compared = Some(now);
        self.state = State::Racing(Box::new(Race::new(purpose, &self.endpoints, self.good, now)));
        self.poll(now)
    }

    fn end_race(&mut self, now: Instant) -> Option<Action> {
        let State::Racing(race) = &self.state else { return None };
        let purpose = race.purpose;
        if self.up_since.is_some() {
            if !race.is_over(now) {
                return None;
            }
            self.rest(now);
            return Some(Action::Decide(purpose));
        }
        if !race.is_lost(now) {
            return None;
        }
        self.failures += 1;
        self.wait(now);
        Some(Action::Failed)
    }

    /// A comparison found this address clearly faster, or none. True: it has been so for long enough, and again now.
    pub fn judge(&mut self, now: Instant, faster: Option<SocketAddr>) -> bool {
        let before = self.ahead.filter(|ahead| Some(ahead.address) == faster);
        self.ahead = faster.map(|address| before.unwrap_or(Ahead { address, since: now }));
        if self.ahead.is_some() {
            self.compare_at = Some(now + self.jittered(limits::COMPARE_AGAIN));
        }
        before.is_some_and(|ahead| now.saturating_duration_since(ahead.since) >= limits::FASTER_FOR)
    }

    /// Nothing to dial; where there is a choice of addresses, they are compared now and then.
    fn rest(&mut self, now: Instant) {
        self.state = State::Resting;
        let choice = self.endpoints.len() > 1
            || self.endpoints.iter().any(|endpoint| matches!(endpoint.host, Host::Name(_)));
        let up = self.up_since.is_some() && choice;
        self.compare_at = up.then(|| now + self.jittered(limits::COMPARE_EVERY));
    }

    /// Half of the pause is fixed, half is drawn: two ends that failed together do not meet again and again.
    fn wait(&mut self, now: Instant) {
        let pause = limits::REDIAL_FIRST.saturating_mul(1 << self.failures.min(8)).min(limits::REDIAL_LAST);
        let pause = if self.failures == 0 { limits::REDIAL_FIRST / 4 } else { pause };
        self.state = State::Waiting(now + self.jittered(pause));
    }

    fn jittered(&mut self, pause: Duration) -> Duration {
        pause / 2 + Duration::from_millis(self.random.below(pause.as_millis() as u64 / 2 + 1))
    }
}

/// xorshift64*: spreads pauses, decides nothing that an attacker could use.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn address(n: u8) -> Endpoint {
        Endpoint { host: Host::Address(IpAddr::from([192, 0, 2, n])), port: 443 }
    }

    fn name(name: &str) -> Endpoint {
        Endpoint { host: Host::Name(name.into()), port: 4433 }
    }

    fn socket(n: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], port))
    }

    /// Polls until nothing is left, answering for addresses; gives names that were asked for, and addresses dialed.
    fn poll_all(dialer: &mut Dialer, now: Instant) -> (std::vec::Vec<String>, std::vec::Vec<SocketAddr>) {
        let (mut asked, mut dialed) = (vec![], vec![]);
        while let Some(action) = dialer.poll(now) {
            match action {
                Action::Resolve { race, endpoint, host: Host::Address(address), port } => {
                    dialer.handle_resolved(now, race, endpoint, &[address], port);
                }
                Action::Resolve { host: Host::Name(name), .. } => asked.push(name),
                Action::Dial { address, .. } => dialed.push(address),
                Action::Failed => asked.push("failed".into()),
                Action::Decide(purpose) => asked.push(format!("{purpose:?}")),
            }
        }
        (asked, dialed)
    }

    fn strings(words: &[&str]) -> std::vec::Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    const RTT: Duration = Duration::from_millis(20);

    #[test]
    fn addresses_are_tried_in_order_a_quarter_of_a_second_apart_and_compared_a_second_later() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1), address(2)], t, 1);
        assert_eq!(poll_all(&mut dialer, t).1, [socket(1, 443)]);
        let next = dialer.next_timeout().expect("a second address");
        assert_eq!(next, t + limits::DIAL_STAGGER);
        dialer.handle_up(t + RTT, 0, socket(1, 443), RTT);
        assert_eq!(poll_all(&mut dialer, next).1, [socket(2, 443)]);
        let end = dialer.next_timeout().expect("a decision");
        assert_eq!(end, next + limits::COMPARE_MIN);
        assert_eq!(poll_all(&mut dialer, end), (strings(&["Reach"]), vec![]));
        let again = dialer.next_timeout().expect("a comparison") - end;
        assert!(again >= limits::COMPARE_EVERY / 2 && again <= limits::COMPARE_EVERY);
    }

    #[test]
    fn one_address_is_neither_compared_nor_looked_at_again() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1)], t, 1);
        poll_all(&mut dialer, t);
        dialer.handle_up(t + RTT, 0, socket(1, 443), RTT);
        assert_eq!(poll_all(&mut dialer, t + RTT), (strings(&["Reach"]), vec![]));
        assert_eq!(dialer.next_timeout(), None);
    }

    #[test]
    fn names_are_resolved_first_and_unknown_names_fail_the_attempt() {
        let t = start();
        let mut dialer = Dialer::new(vec![name("a.example"), name("b.example")], t, 1);
        assert_eq!(poll_all(&mut dialer, t).0, strings(&["a.example", "b.example"]));
        dialer.handle_resolved(t, 1, 0, &[], 4433);
        assert_eq!(poll_all(&mut dialer, t), (vec![], vec![]));
        dialer.handle_resolved(t, 1, 1, &[IpAddr::from([192, 0, 2, 9])], 4433);
        assert_eq!(poll_all(&mut dialer, t).1, [socket(9, 4433)]);
        dialer.handle_failed(7);
        assert_eq!(poll_all(&mut dialer, t), (vec![], vec![]), "a failure of another race");
        dialer.handle_failed(1);
        assert_eq!(poll_all(&mut dialer, t).0, strings(&["failed"]));
    }

    #[test]
    fn an_attempt_under_way_that_is_hurried_takes_in_what_its_names_stand_for_now() {
        let t = start();
        let mut dialer = Dialer::new(vec![name("a.example"), address(7)], t, 1);
        poll_all(&mut dialer, t);
        dialer.hurry(t);
        assert_eq!(poll_all(&mut dialer, t).0, strings(&[]), "the name is being looked up");
        dialer.handle_resolved(t, 1, 0, &[IpAddr::from([192, 0, 2, 9])], 4433);
        let now = t + limits::DIAL_STAGGER;
        assert_eq!(poll_all(&mut dialer, now).1, [socket(9, 4433)]);
        dialer.hurry(now);
        assert_eq!(poll_all(&mut dialer, now).0, strings(&["a.example"]));
        let addresses = [9, 8].map(|n| IpAddr::from([192, 0, 2, n]));
        dialer.handle_resolved(now, 1, 0, &addresses, 4433);
        assert_eq!(poll_all(&mut dialer, now + limits::DIAL_STAGGER).1, [socket(8, 4433)]);
    }

    #[test]
    fn pauses_grow_to_their_limit_and_are_forgiven_after_a_long_time_up() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1)], t, 7);
        let mut now = t;
        let mut pauses = std::vec::Vec::new();
        for _ in 0..8 {
            assert_eq!(poll_all(&mut dialer, now).1, [socket(1, 443)]);
            let deadline = dialer.next_timeout().expect("a deadline");
            assert_eq!(deadline, now + limits::DIAL_TIMEOUT);
            assert_eq!(poll_all(&mut dialer, deadline).0, strings(&["failed"]));
            now = dialer.next_timeout().expect("a pause");
            pauses.push(now - deadline);
        }
        assert!(pauses[0] >= limits::REDIAL_FIRST && pauses[0] <= limits::REDIAL_FIRST * 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= limits::REDIAL_LAST));
        assert!(pauses[7] >= limits::REDIAL_LAST / 2);
        dialer.handle_up(now, 0, socket(1, 443), RTT);
        now += limits::REDIAL_FORGIVEN;
        dialer.handle_down(now, 8);
        assert!(dialer.next_timeout().expect("redials") - now <= limits::REDIAL_FIRST);
    }

    #[test]
    fn the_last_good_address_is_tried_first_whatever_the_name_server_says() {
        let t = start();
        let mut dialer = Dialer::new(vec![name("a.example")], t, 1);
        poll_all(&mut dialer, t);
        dialer.handle_resolved(t, 1, 0, &[IpAddr::from([192, 0, 2, 9])], 4433);
        poll_all(&mut dialer, t);
        dialer.handle_up(t, 0, socket(9, 4433), RTT);
        poll_all(&mut dialer, t);
        dialer.handle_down(t, 1);
        let now = dialer.next_timeout().expect("redials");
        assert_eq!(poll_all(&mut dialer, now), (strings(&["a.example"]), vec![socket(9, 4433)]));
        dialer.handle_resolved(now, 2, 0, &[], 4433);
        assert_eq!(poll_all(&mut dialer, now), (vec![], vec![]));
    }

    #[test]
    fn a_faster_address_is_taken_when_it_was_faster_for_thirty_seconds() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1), address(2)], t, 1);
        poll_all(&mut dialer, t);
        dialer.handle_up(t, 0, socket(1, 443), RTT);
        let (mut compared, mut began) = (0, None);
        let mut now;
        loop {
            now = dialer.next_timeout().expect("goes on");
            let (said, dialed) = poll_all(&mut dialer, now);
            assert!(!dialed.contains(&socket(1, 443)), "in use");
            if said == ["Compare"] {
                compared += 1;
                let taken = dialer.judge(now, Some(socket(2, 443)));
                let began = *began.get_or_insert(now);
                assert_eq!(taken, now - began >= limits::FASTER_FOR);
                if taken {
                    break;
                }
            }
            assert!(now - t < Duration::from_secs(700), "{compared}");
        }
        assert!((3..=4).contains(&compared), "{compared}");
        assert!(!dialer.judge(now, None) && !dialer.judge(now, Some(socket(2, 443))));
    }

    #[test]
    fn a_network_that_changes_all_the_time_brings_one_comparison_a_minute() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1), address(2)], t, 1);
        poll_all(&mut dialer, t);
        dialer.handle_up(t, 0, socket(1, 443), RTT);
        let mut dials = 0;
        for ms in (0..600_000).step_by(250) {
            let now = t + Duration::from_millis(ms);
            dialer.hurry(now);
            dials += poll_all(&mut dialer, now).1.len();
        }
        assert!((9..=11).contains(&dials), "{dials} in ten minutes");
    }

    #[test]
    fn a_peer_without_endpoints_is_never_dialed() {
        let t = start();
        let mut dialer = Dialer::new(vec![], t, 1);
        assert_eq!(dialer.poll(t), None);
        dialer.handle_down(t, 1);
        assert_eq!(dialer.next_timeout(), None);
    }

    #[test]
    fn an_attempt_never_tries_more_than_its_limit() {
        let t = start();
        let mut dialer = Dialer::new((0..50).map(address).chain((0..50).map(|_| name("x"))).collect(), t, 1);
        let mut dialed = 0;
        let mut now = t;
        for _ in 0..100 {
            let (said, new) = poll_all(&mut dialer, now);
            dialed += new.len();
            if said.contains(&"failed".to_owned()) {
                assert_eq!(dialed, limits::CANDIDATES);
                return;
            }
            now = dialer.next_timeout().expect("still dialing");
            dialer.handle_failed(1);
        }
        panic!("the attempt did not end");
    }
}
