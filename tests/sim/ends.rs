//! Links without nodes around them, joined by wires of 10 ms: for what nodes do not show.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quicap::link::{self, Event, Links};
use quicap::types::LinkId;
use quicap::wire::control::Message;

use crate::members::{Ca, config, name, peer};
use crate::world::{DIAL, LISTEN, PORT, World};

pub const LINK: LinkId = LinkId(0);

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One end, and what came out of it.
pub struct End {
    pub links: Links,
    pub events: Vec<Event>,
    pub heard: Vec<(LinkId, Vec<u8>)>,
    /// It asks for messages.
    pub attends: bool,
}

/// A UDP datagram on its way.
pub struct Flight {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub struct Ends {
    pub now: Instant,
    ca: Ca,
    pub ends: Vec<End>,
    flights: VecDeque<Flight>,
    /// Nothing passes between the sockets that dial here and those that listen at the others.
    pub cut: Vec<usize>,
}

pub const DELAY: Duration = Duration::from_millis(10);

impl Ends {
    /// Nodes 1, 2 and so on, and whom each of them dials.
    pub fn new(dials: &[&[usize]], adapt: impl Fn(&mut link::Config)) -> Self {
        let now = World::new(1).now;
        let ca = Ca::new();
        let end = |(site, dials): (usize, &&[usize])| {
            let peers = dials.iter().map(|to| peer(None, &[World::ip(*to)])).collect();
            let mut config = config(ca.credentials(&name(site), site as u16 + 1), peers, 1).links;
            adapt(&mut config);
            let links = Links::new(config, now).expect("links");
            End { links, events: Vec::new(), heard: Vec::new(), attends: true }
        };
        let ends = dials.iter().enumerate().map(end).collect();
        let mut all = Self { now, ca, ends, flights: VecDeque::new(), cut: Vec::new() };
        (0..dials.len()).for_each(|site| all.drain(site));
        all
    }

    /// All connections are up.
    pub fn up(dials: &[&[usize]]) -> Self {
        let mut ends = Self::new(dials, |_| {});
        ends.come_up(2 * dials.iter().map(|dials| dials.len()).sum::<usize>());
        ends
    }

    /// So many ends of connections are up.
    pub fn come_up(&mut self, number: usize) {
        let up = |end: &End| end.links.connections().filter(|own| own.is_up()).count();
        self.run_until(ms(2000), |ends| ends.ends.iter().map(up).sum::<usize>() == number);
    }

    pub fn say(&mut self, end: usize, message: &[u8]) -> bool {
        let said = self.ends[end].links.say(self.now, LINK, message);
        self.drain(end);
        said
    }

    /// The first gets another certificate, so a new connection takes the place of the one that it dialed.
    pub fn renew(&mut self) {
        let credentials = self.ca.credentials(&name(0), 1);
        self.ends[0].links.renew(self.now, credentials).expect("good credentials");
        self.drain(0);
    }

    pub fn drain(&mut self, site: usize) {
        let now = self.now;
        let end = &mut self.ends[site];
        end.links.settle(now);
        end.attend(now);
        while let Some(event) = end.links.poll_event() {
            match event {
                Event::Resolve(query) => {
                    let answer = Ok(vec![query.host.parse().expect("an address")]);
                    end.links.handle_resolved(now, &query, &answer);
                }
                event => end.events.push(event),
            }
        }
        let mut buffer = Vec::new();
        while let Some(transmit) = end.links.poll_transmit(now, &mut buffer) {
            let to = transmit.destination;
            let (port, dialer) =
                if transmit.socket == DIAL { (50_000, Some(site)) } else { (PORT, site_of(to)) };
            let from = (World::ip(site), port).into();
            for bytes in buffer[..transmit.size].chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
                if !dialer.is_some_and(|dialer| self.cut.contains(&dialer)) {
                    self.flights.push_back(Flight { at: now + DELAY, from, to, bytes: bytes.to_vec() });
                }
            }
            buffer.clear();
        }
    }

    /// The next thing that happens before `end`. False: nothing does.
    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.front().map(|flight| flight.at);
        let wakes: Vec<_> = self.ends.iter_mut().map(|end| end.links.next_timeout()).collect();
        let next = wakes.iter().flatten().copied().chain(flight).min();
        let Some(at) = next.filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        if flight == Some(at)
            && let Some(Flight { from, to, bytes, .. }) = self.flights.pop_front()
            && let Some(site) = site_of(to)
        {
            let socket = if to.port() == PORT { LISTEN } else { DIAL };
            let bytes = BytesMut::from(&bytes[..]);
            self.ends[site].links.handle_datagram(self.now, socket, from, Some(to.ip()), bytes);
            self.drain(site);
            return true;
        }
        for (site, wake) in wakes.into_iter().enumerate() {
            if wake.is_some_and(|wake| wake <= self.now) {
                self.ends[site].links.handle_timeout(self.now);
                self.drain(site);
            }
        }
        true
    }

    /// How often somebody had to do something.
    pub fn run_for(&mut self, time: Duration) -> usize {
        let end = self.now + time;
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 200_000, "somebody spins");
        }
        self.now = end;
        steps
    }

    pub fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + time;
        while !done(self) {
            assert!(self.step(end), "it did not come to pass");
        }
    }
}

impl End {
    fn attend(&mut self, now: Instant) {
        while self.attends
            && let Some((link, message)) = self.links.poll_message(now)
        {
            self.heard.push((link, message));
        }
    }
}

fn site_of(address: SocketAddr) -> Option<usize> {
    (0..9).find(|site| World::ip(*site) == address.ip())
}

/// What came over the first link.
pub fn heard(end: &End) -> Vec<&Vec<u8>> {
    end.heard.iter().filter(|(link, _)| *link == LINK).map(|(_, message)| message).collect()
}

/// A message of this length with a number in it.
pub fn message(number: usize, length: usize) -> Vec<u8> {
    let der: Vec<u8> = (0..length).map(|at| (number + at * 7) as u8).collect();
    let mut bytes = Vec::new();
    Message::Crl(&der).emit(&mut bytes);
    bytes
}
