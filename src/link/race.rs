//! One attempt to reach a peer: names are looked up, and all addresses are dialed one after the other.
//! Does not know what became of a connection unless it is told. Read first: RFC 8305.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use heapless::Vec;

use super::peer::{Endpoint, Host};
use crate::limits;

/// What a race is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The peer is to be reached: the first that answers carries, the fastest stays.
    Reach,
    /// It is reached: is another address faster by now?
    Compare,
    /// It is reached: the fastest takes over, since a certificate has changed.
    Renew,
}

/// Something to look up: the number of the endpoint, its host and its port.
pub type Question = (usize, Host, u16);

#[derive(Debug)]
pub struct Race {
    pub purpose: Purpose,
    /// Endpoints and their addresses, in the order of dialing.
    candidates: Vec<(usize, SocketAddr), { limits::CANDIDATES }>,
    /// In use already: not dialed again.
    exclude: Option<SocketAddr>,
    /// How many candidates were dialed, and how many of these have failed.
    dialed: usize,
    failed: usize,
    next_at: Instant,
    /// Not up by then: the race is lost.
    deadline: Instant,
    /// How long after the last one was dialed their round trips are compared.
    compare_after: Duration,
    last_dialed: Instant,
    /// Asked for next, and asked for without an answer. One more than candidates: the last good address.
    to_resolve: Vec<Question, { limits::CANDIDATES + 1 }>,
    resolving: usize,
}

impl Race {
    /// `good`: the endpoint and address that worked last; it is tried first, or left out where it is in use.
    pub fn new(
        purpose: Purpose,
        endpoints: &[Endpoint],
        good: Option<(usize, SocketAddr)>,
        now: Instant,
    ) -> Self {
        let mut race = Self {
            purpose,
            candidates: Vec::new(),
            exclude: good.map(|(_, address)| address).filter(|_| purpose == Purpose::Compare),
            dialed: 0,
            failed: 0,
            next_at: now,
            deadline: now + limits::DIAL_TIMEOUT,
            compare_after: if purpose == Purpose::Renew { limits::COMPARE_MAX } else { limits::COMPARE_MIN },
            last_dialed: now,
            to_resolve: Vec::new(),
            resolving: 0,
        };
        let again = good.filter(|_| purpose != Purpose::Compare);
        let again = again.map(|(number, address)| (number, Host::Address(address.ip()), address.port()));
        let configured = endpoints.iter().enumerate().take(limits::CANDIDATES);
        let configured = configured.map(|(number, at)| (number, at.host.clone(), at.port));
        race.to_resolve.extend(again.into_iter().chain(configured));
        race.to_resolve.reverse();
        race
    }

    /// Names are looked up once more, unless that is under way; addresses that are known already are not dialed again.
    pub fn look_up_again(&mut self, endpoints: &[Endpoint]) {
        if self.resolving == 0 && self.to_resolve.is_empty() {
            let all = endpoints.iter().enumerate().take(limits::CANDIDATES);
            let names = all.filter(|(_, at)| matches!(at.host, Host::Name(_)));
            self.to_resolve.extend(names.map(|(number, at)| (number, at.host.clone(), at.port)));
        }
    }

    pub fn next_question(&mut self) -> Option<Question> {
        let question = self.to_resolve.pop()?;
        self.resolving += 1;
        Some(question)
    }

    /// Addresses of one endpoint; none: there is no such name.
    pub fn handle_resolved(&mut self, now: Instant, endpoint: usize, addresses: &[IpAddr], port: u16) {
        self.resolving = self.resolving.saturating_sub(1);
        for address in addresses {
            self.add(endpoint, SocketAddr::new(*address, port));
        }
        self.deadline = self.deadline.max(now + limits::DIAL_TIMEOUT);
    }

    fn add(&mut self, endpoint: usize, address: SocketAddr) {
        let known = self.candidates.iter().any(|(_, known)| *known == address);
        if !known && self.exclude != Some(address) {
            // More candidates than fit are left out.
            let _ = self.candidates.push((endpoint, address));
        }
    }

    pub fn handle_failed(&mut self) {
        self.failed += 1;
    }

    /// A connection is up, with this round trip: slower ones have a few round trips to answer.
    pub fn handle_up(&mut self, now: Instant, rtt: Duration) {
        self.last_dialed = now;
        self.compare_after =
            (rtt * limits::COMPARE_ROUND_TRIPS).clamp(limits::COMPARE_MIN, limits::COMPARE_MAX);
    }

    /// The next address to dial, if it is time.
    pub fn next(&mut self, now: Instant) -> Option<(usize, SocketAddr)> {
        let next = self.candidates.get(self.dialed).copied().filter(|_| now >= self.next_at)?;
        self.dialed += 1;
        self.last_dialed = now;
        self.next_at = now + limits::DIAL_STAGGER;
        self.deadline = self.deadline.max(now + limits::DIAL_TIMEOUT);
        Some(next)
    }

    /// Everything that is known has been dialed.
    pub fn is_dialed(&self) -> bool {
        self.dialed >= self.candidates.len() && self.resolving == 0 && self.to_resolve.is_empty()
    }

    pub fn is_lost(&self, now: Instant) -> bool {
        now >= self.deadline || self.is_dialed() && self.failed >= self.dialed
    }

    /// Nobody is waited for any longer: round trips are compared now.
    pub fn is_over(&self, now: Instant) -> bool {
        self.dialed >= self.candidates.len() && now >= self.decide_at()
    }

    fn decide_at(&self) -> Instant {
        let alone = match self.purpose {
            Purpose::Reach => self.candidates.len() <= 1,
            Purpose::Compare | Purpose::Renew => self.failed >= self.dialed,
        };
        if self.is_dialed() && alone {
            return self.last_dialed;
        }
        self.last_dialed + self.compare_after
    }

    /// `up`: a connection carries, so the race can only be decided, not lost.
    pub fn next_timeout(&self, up: bool) -> Instant {
        let end = if up { self.decide_at() } else { self.deadline };
        if self.dialed < self.candidates.len() { self.next_at.min(self.deadline) } else { end }
    }
}
