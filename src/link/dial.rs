//! When and where one peer is dialed: its addresses in a staggered race, a pause that grows after each failure.
//! Opens nothing itself: it says which address is next. Read first: RFC 8305; docs/protocol.md, "Dialing".
//!
//! ```text
//!        pause over            all failed, or too long
//! waiting ---------> racing ---------------------------> waiting, longer
//!    ^                  | a connection is up
//!    |  it is lost      v
//!    +--------------- resting
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use heapless::Vec;

use super::peer::{Endpoint, Host};
use crate::limits;

/// What the dialer asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Look this endpoint's name up; [`Dialer::handle_resolved`] takes the answer.
    Resolve { race: u32, endpoint: usize, host: String, port: u16 },
    /// Open a connection to this address of that endpoint.
    Dial { endpoint: usize, address: SocketAddr },
    /// The attempt failed; nothing of it is left to wait for.
    Failed,
}

#[derive(Debug)]
enum State {
    Resting,
    Waiting(Instant),
    Racing(Box<Race>),
}

#[derive(Debug)]
struct Race {
    /// Endpoints and their addresses, in the order of dialing.
    candidates: Vec<(usize, SocketAddr), { limits::CANDIDATES }>,
    /// How many candidates were dialed, and how many of these have failed.
    dialed: usize,
    failed: usize,
    next_at: Instant,
    deadline: Instant,
    /// Endpoints whose names are asked for next, and those asked for without an answer.
    to_resolve: Vec<usize, { limits::CANDIDATES }>,
    resolving: usize,
}

pub struct Dialer {
    endpoints: std::vec::Vec<Endpoint>,
    state: State,
    failures: u32,
    /// Numbers the attempts, so that late answers of an earlier one are known.
    race: u32,
    up_since: Option<Instant>,
    random: Random,
}

impl Dialer {
    pub fn new(endpoints: std::vec::Vec<Endpoint>, now: Instant, seed: u64) -> Self {
        let state = if endpoints.is_empty() { State::Resting } else { State::Waiting(now) };
        Self { endpoints, state, failures: 0, race: 0, up_since: None, random: Random::new(seed) }
    }

    pub fn is_dialing(&self) -> bool {
        matches!(self.state, State::Racing(_))
    }

    /// One of our own connections is up: the race is over.
    pub fn handle_up(&mut self, now: Instant) {
        self.state = State::Resting;
        self.up_since = Some(now);
    }

    /// The connection that was up is lost.
    pub fn handle_down(&mut self, now: Instant) {
        if self.endpoints.is_empty() {
            return;
        }
        let lasted = self.up_since.take().map(|since| now.saturating_duration_since(since));
        // Who is soon lost again and again (a copy of this node, say) must not be dialed ten times in a second.
        self.failures = match lasted {
            Some(lasted) if lasted < limits::REDIAL_FORGIVEN => self.failures.saturating_add(1),
            _ => 0,
        };
        self.wait(now);
    }

    /// A connection of this race failed.
    pub fn handle_failed(&mut self) {
        if let State::Racing(race) = &mut self.state {
            race.failed += 1;
        }
    }

    /// Dial at once: the network changed, or the peer just showed that it is alive.
    pub fn hurry(&mut self, now: Instant) {
        if let State::Waiting(until) = &mut self.state {
            *until = now;
            self.failures = 0;
        }
    }

    /// The configuration has other endpoints now; `up` says whether a connection to one of the old ones is up.
    pub fn set_endpoints(&mut self, now: Instant, endpoints: std::vec::Vec<Endpoint>, up: bool) {
        let idle = up || endpoints.is_empty();
        self.endpoints = endpoints;
        self.failures = 0;
        self.state = if idle { State::Resting } else { State::Waiting(now) };
    }

    /// The answer to [`Action::Resolve`]; an empty one means that there is no such name.
    pub fn handle_resolved(&mut self, now: Instant, race: u32, endpoint: usize, addresses: &[IpAddr]) {
        if race != self.race {
            return;
        }
        let Some(port) = self.endpoints.get(endpoint).map(|endpoint| endpoint.port) else { return };
        if let State::Racing(race) = &mut self.state {
            race.resolving = race.resolving.saturating_sub(1);
            for address in addresses {
                race.add(endpoint, SocketAddr::new(*address, port));
            }
            race.deadline = race.deadline.max(now + limits::DIAL_TIMEOUT);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Resting => None,
            State::Waiting(until) => Some(*until),
            State::Racing(race) if race.has_more() => Some(race.next_at.min(race.deadline)),
            State::Racing(race) => Some(race.deadline),
        }
    }

    /// What is to be done now; call until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        match &mut self.state {
            State::Resting => None,
            State::Waiting(until) if now < *until => None,
            State::Waiting(_) => {
                self.race = self.race.wrapping_add(1);
                self.state = State::Racing(Box::new(Race::new(&self.endpoints, now)));
                self.poll(now)
            }
            State::Racing(race) => {
                if let Some(endpoint) = race.to_resolve.pop() {
                    race.resolving += 1;
                    return self.resolve(endpoint);
                }
                if race.has_more() && now >= race.next_at {
                    return race.next(now).map(|(endpoint, address)| Action::Dial { endpoint, address });
                }
                if race.is_lost() || now >= race.deadline {
                    self.failures += 1;
                    self.wait(now);
                    return Some(Action::Failed);
                }
                None
            }
        }
    }

    fn resolve(&self, endpoint: usize) -> Option<Action> {
        let Endpoint { host: Host::Name(host), port } = self.endpoints.get(endpoint)? else { return None };
        Some(Action::Resolve { race: self.race, endpoint, host: host.clone(), port: *port })
    }

    /// Half of the pause is fixed, half is drawn: two ends that failed together do not meet again and again.
    fn wait(&mut self, now: Instant) {
        let pause = limits::REDIAL_FIRST.saturating_mul(1 << self.failures.min(8)).min(limits::REDIAL_LAST);
        let pause = if self.failures == 0 { limits::REDIAL_FIRST / 4 } else { pause };
        let drawn = Duration::from_millis(self.random.below(pause.as_millis() as u64 / 2 + 1));
        self.state = State::Waiting(now + pause / 2 + drawn);
    }
}

impl Race {
    fn new(endpoints: &[Endpoint], now: Instant) -> Self {
        let mut race = Self {
            candidates: Vec::new(),
            dialed: 0,
            failed: 0,
            next_at: now,
            deadline: now + limits::DIAL_TIMEOUT,
            to_resolve: Vec::new(),
            resolving: 0,
        };
        let names =
            endpoints.iter().enumerate().filter(|(_, endpoint)| matches!(endpoint.host, Host::Name(_)));
        race.to_resolve.extend(names.map(|(number, _)| number).take(limits::CANDIDATES));
        race.to_resolve.reverse();
        for (number, endpoint) in endpoints.iter().enumerate() {
            if let Host::Address(address) = endpoint.host {
                race.add(number, SocketAddr::new(address, endpoint.port));
            }
        }
        race
    }

    fn add(&mut self, endpoint: usize, address: SocketAddr) {
        if self.candidates.iter().all(|(_, known)| *known != address) {
            // More candidates than fit are left out.
            let _ = self.candidates.push((endpoint, address));
        }
    }

    fn has_more(&self) -> bool {
        self.dialed < self.candidates.len()
    }

    fn is_lost(&self) -> bool {
        !self.has_more() && self.failed >= self.dialed && self.resolving == 0 && self.to_resolve.is_empty()
    }

    fn next(&mut self, now: Instant) -> Option<(usize, SocketAddr)> {
        let next = self.candidates.get(self.dialed).copied()?;
        self.dialed += 1;
        self.next_at = now + limits::DIAL_STAGGER;
        self.deadline = self.deadline.max(now + limits::DIAL_TIMEOUT);
        Some(next)
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

    fn dial(endpoint: usize, address: SocketAddr) -> Action {
        Action::Dial { endpoint, address }
    }

    fn poll_all(dialer: &mut Dialer, now: Instant) -> std::vec::Vec<Action> {
        core::iter::from_fn(|| dialer.poll(now)).collect()
    }

    #[test]
    fn addresses_are_tried_in_order_a_quarter_of_a_second_apart() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1), address(2)], t, 1);
        assert_eq!(poll_all(&mut dialer, t), [dial(0, socket(1, 443))]);
        let next = dialer.next_timeout().expect("a second address");
        assert_eq!(next, t + limits::DIAL_STAGGER);
        assert_eq!(poll_all(&mut dialer, next), [dial(1, socket(2, 443))]);
        assert!(poll_all(&mut dialer, next + Duration::from_secs(1)).is_empty());
        dialer.handle_up(next);
        assert_eq!(dialer.next_timeout(), None);
    }

    #[test]
    fn names_are_resolved_first_and_unknown_names_fail_the_attempt() {
        let t = start();
        let mut dialer = Dialer::new(vec![name("a.example"), name("b.example")], t, 1);
        let asked = poll_all(&mut dialer, t);
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0], Action::Resolve { race: 1, endpoint: 0, host: "a.example".into(), port: 4433 });
        dialer.handle_resolved(t, 1, 0, &[]);
        assert!(poll_all(&mut dialer, t).is_empty());
        dialer.handle_resolved(t, 1, 1, &[IpAddr::from([192, 0, 2, 9])]);
        assert_eq!(poll_all(&mut dialer, t), [dial(1, socket(9, 4433))]);
        dialer.handle_failed();
        assert_eq!(poll_all(&mut dialer, t), [Action::Failed]);
    }

    #[test]
    fn pauses_grow_to_their_limit_and_are_forgiven_after_a_long_time_up() {
        let t = start();
        let mut dialer = Dialer::new(vec![address(1)], t, 7);
        let mut now = t;
        let mut pauses = std::vec::Vec::new();
        for _ in 0..8 {
            assert_eq!(poll_all(&mut dialer, now), [dial(0, socket(1, 443))]);
            let deadline = dialer.next_timeout().expect("a deadline");
            assert_eq!(deadline, now + limits::DIAL_TIMEOUT);
            assert_eq!(poll_all(&mut dialer, deadline), [Action::Failed]);
            now = dialer.next_timeout().expect("a pause");
            pauses.push(now - deadline);
        }
        assert!(pauses[0] >= limits::REDIAL_FIRST && pauses[0] <= limits::REDIAL_FIRST * 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= limits::REDIAL_LAST));
        assert!(pauses[7] >= limits::REDIAL_LAST / 2);
        dialer.handle_up(now);
        now += limits::REDIAL_FORGIVEN;
        dialer.handle_down(now);
        assert!(dialer.next_timeout().expect("redials") - now <= limits::REDIAL_FIRST);
    }

    #[test]
    fn a_peer_without_endpoints_is_never_dialed() {
        let t = start();
        let mut dialer = Dialer::new(vec![], t, 1);
        assert_eq!(dialer.poll(t), None);
        dialer.handle_down(t);
        assert_eq!(dialer.next_timeout(), None);
    }

    #[test]
    fn an_attempt_never_tries_more_than_its_limit() {
        let t = start();
        let mut dialer = Dialer::new((0..50).map(address).chain((0..50).map(|_| name("x"))).collect(), t, 1);
        let mut dialed = 0;
        let mut now = t;
        for _ in 0..100 {
            for action in poll_all(&mut dialer, now) {
                match action {
                    Action::Dial { .. } => dialed += 1,
                    Action::Resolve { race, endpoint, .. } => {
                        dialer.handle_resolved(now, race, endpoint, &[])
                    }
                    Action::Failed => assert_eq!(dialed, limits::CANDIDATES),
                }
            }
            if !dialer.is_dialing() {
                return;
            }
            now = dialer.next_timeout().expect("still dialing");
            dialer.handle_failed();
        }
        panic!("the attempt did not end");
    }
}
