//! Links without nodes around them: what one end says the other hears, whole, in order and nothing twice.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quicap::limits;
use quicap::link::connection::Stage;
use quicap::link::{self, Event, Links};
use quicap::types::LinkId;
use quicap::wire::control::{HEADER, Message};

use crate::members::{Ca, config, name, peer};
use crate::world::{DIAL, LISTEN, PORT, World};

const LINK: LinkId = LinkId(0);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One end, and what came out of it.
struct End {
    links: Links,
    events: Vec<Event>,
    heard: Vec<(LinkId, Vec<u8>)>,
    /// It asks for messages.
    attends: bool,
}

/// A UDP datagram on its way.
struct Flight {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Ends {
    now: Instant,
    ca: Ca,
    ends: Vec<End>,
    flights: VecDeque<Flight>,
    /// Nothing passes between the sockets that dial here and those that listen at the others.
    cut: Vec<usize>,
}

const DELAY: Duration = Duration::from_millis(10);

impl Ends {
    /// Nodes 1, 2 and so on, and whom each of them dials.
    fn new(dials: &[&[usize]], adapt: impl Fn(&mut link::Config)) -> Self {
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
    fn up(dials: &[&[usize]]) -> Self {
        let mut ends = Self::new(dials, |_| {});
        ends.come_up(2 * dials.iter().map(|dials| dials.len()).sum::<usize>());
        ends
    }

    /// So many ends of connections are up.
    fn come_up(&mut self, number: usize) {
        let up = |end: &End| end.links.connections().filter(|own| own.is_up()).count();
        self.run_until(ms(2000), |ends| ends.ends.iter().map(up).sum::<usize>() == number);
    }

    fn say(&mut self, end: usize, message: &[u8]) -> bool {
        let said = self.ends[end].links.say(self.now, LINK, message);
        self.drain(end);
        said
    }

    /// The first gets another certificate, so a new connection takes the place of the one that it dialed.
    fn renew(&mut self) {
        let credentials = self.ca.credentials(&name(0), 1);
        self.ends[0].links.renew(self.now, credentials).expect("good credentials");
        self.drain(0);
    }

    fn drain(&mut self, site: usize) {
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
    fn run_for(&mut self, time: Duration) -> usize {
        let end = self.now + time;
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 200_000, "somebody spins");
        }
        self.now = end;
        steps
    }

    fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) {
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
fn heard(end: &End) -> Vec<&Vec<u8>> {
    end.heard.iter().filter(|(link, _)| *link == LINK).map(|(_, message)| message).collect()
}

/// A message of this length with a number in it.
fn message(number: usize, length: usize) -> Vec<u8> {
    let der: Vec<u8> = (0..length).map(|at| (number + at * 7) as u8).collect();
    let mut bytes = Vec::new();
    Message::Crl(&der).emit(&mut bytes);
    bytes
}

#[test]
fn long_messages_and_many_arrive_whole_and_in_order_in_both_directions() {
    let mut pair = Ends::up(&[&[1], &[0]]);
    let mut said: Vec<_> = (0..40).map(|number| message(number, 1024)).collect();
    said.insert(20, message(99, 60 * 1024));
    said.push(message(100, 0xFFFF));
    for message in &said {
        assert!(pair.say(0, message) && pair.say(1, message));
    }
    pair.run_for(ms(3000));
    for end in &pair.ends {
        assert!(heard(end) == Vec::from_iter(&said), "{} of {}", end.heard.len(), said.len());
        assert_eq!(end.links.unsaid(), 0);
    }
}

#[test]
fn who_does_not_listen_holds_the_sender_back_and_loses_nothing() {
    let mut pair = Ends::up(&[&[1], &[0]]);
    pair.ends[1].attends = false;
    let mut said = Vec::new();
    for number in 0..1000 {
        let message = message(number, 1024);
        if pair.say(0, &message) {
            said.push(message);
        }
        pair.run_for(ms(1));
    }
    let bytes = said.len() * (1024 + HEADER);
    // What waits at the sender, and the window of the stream.
    assert!((limits::CONTROL_QUEUE..limits::CONTROL_QUEUE + 512 * 1024).contains(&bytes), "{bytes} bytes");
    assert_eq!(pair.ends[0].links.unsaid(), 1000 - said.len() as u64);
    let steps = pair.run_for(ms(10_000));
    assert!(steps < 200, "{steps} steps while nothing happens");
    assert!(pair.ends[1].heard.is_empty());
    pair.ends[1].attends = true;
    pair.drain(1);
    pair.run_for(ms(10_000));
    assert!(heard(&pair.ends[1]) == Vec::from_iter(&said), "{} of {}", pair.ends[1].heard.len(), said.len());
}

#[test]
fn what_is_said_at_once_waits_until_the_first_question() {
    let mut pair = Ends::new(&[&[1], &[]], |_| {});
    pair.ends[1].attends = false;
    pair.run_until(ms(1000), |pair| pair.ends[0].links.iter().any(|link| link.is_up()));
    assert!(pair.say(0, &message(1, 10)) && pair.say(0, &message(2, 10)));
    pair.run_for(ms(1000));
    pair.ends[1].attends = true;
    pair.drain(1);
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10), &message(2, 10)]);
}

#[test]
fn a_link_that_is_down_takes_no_message() {
    let mut pair = Ends::new(&[&[1], &[]], |_| {});
    assert!(!pair.say(0, &message(1, 10)));
    assert_eq!(pair.ends[0].links.unsaid(), 0, "that is no lack of room");
}

#[test]
fn a_message_that_is_none_ends_its_connection_and_one_that_is_not_understood_does_not() {
    let mut pair = Ends::up(&[&[1], &[]]);
    assert!(pair.say(0, &[99, 0, 1, 7]) && pair.say(0, &[0x80, 0, 1, 7]) && pair.say(0, &message(1, 10)));
    pair.run_for(ms(100));
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10)]);
    assert!(pair.say(0, &[14, 0, 1, 7]));
    pair.run_for(ms(100));
    assert!(pair.ends[1].events.contains(&Event::Down { link: LINK }), "{:?}", pair.ends[1].events);
    let reason = pair.ends[0].links.iter().next().map(|link| link.reason.clone()).unwrap_or_default();
    assert!(reason.contains("malformed control message"), "{reason}");
}

#[test]
fn a_connection_that_was_replaced_is_heard_to_the_end() {
    let mut pair = Ends::up(&[&[1], &[]]);
    pair.ends[1].attends = false;
    assert!(pair.say(0, &message(1, 10)));
    pair.run_for(ms(100));
    let dialed = |end: &End, stage| end.links.connections().filter(|own| own.stage == stage).count();
    pair.renew();
    pair.run_until(ms(5000), |pair| dialed(&pair.ends[1], Stage::Lingering) == 1);
    pair.ends[1].attends = true;
    pair.drain(1);
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10)]);
}

#[test]
fn each_link_gets_its_turn_however_much_another_says() {
    let mut ends = Ends::up(&[&[], &[0], &[0]]);
    ends.ends[0].attends = false;
    for number in 0..50 {
        assert!(ends.say(1, &message(number, 100)));
    }
    assert!(ends.say(2, &message(98, 100)) && ends.say(2, &message(99, 100)));
    ends.run_for(ms(200));
    ends.ends[0].attends = true;
    ends.drain(0);
    let links: Vec<u8> = ends.ends[0].heard.iter().map(|(LinkId(link), _)| *link).collect();
    assert_eq!(links.len(), 52);
    let [first, second] = [links[0], links[1]];
    assert_ne!(first, second);
    assert_eq!((links[2], links[3]), (first, second), "{links:?}");
}
