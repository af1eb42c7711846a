//! Probes: numbered frames between stations and to all; every copy of them is seen on every link.
//! Judges none. Read first: docs/testing.md, "The mesh on virtual time".

use std::time::{Duration, Instant};

use quicap::wire::overlay::{Datagram, Routed};

use super::net::{Net, id, site};
use super::probe::{How, Probe, Seen};
use crate::world::Sighting;

/// How often probes are sent; `None`: not at all.
#[derive(Clone, Copy, Default)]
pub struct Pace {
    pub unicast: Option<Duration>,
    pub broadcast: Option<Duration>,
}

/// Probes of the present scene.
pub struct Air {
    pub probes: Vec<Probe>,
    /// Number of the first of them.
    first: u32,
    pub pace: Pace,
    next: [Instant; 2],
}

impl Air {
    pub fn new(now: Instant) -> Self {
        Self { probes: Vec::new(), first: 0, pace: Pace::default(), next: [now; 2] }
    }

    pub fn clear(&mut self) {
        self.first += self.probes.len() as u32;
        self.probes.clear();
    }

    fn probe(&mut self, frame: &[u8]) -> Option<&mut Probe> {
        if frame.get(12..14) != Some(&TYPE) {
            return None;
        }
        let number = u32::from_be_bytes(*frame.get(14..)?.first_chunk()?);
        self.probes.get_mut(number.checked_sub(self.first)? as usize)
    }
}

/// EtherType for local experiments (IEEE 802).
const TYPE: [u8; 2] = [0x88, 0xB6];

pub fn mac(station: usize) -> [u8; 6] {
    let [high, low] = (station as u16).to_be_bytes();
    [2, 0x51, 0, 0, high, low]
}

impl Net {
    /// A frame of that station; its number among the probes of the scene.
    pub fn send(&mut self, station: usize, to: Option<usize>) -> usize {
        let from = self.stations[station];
        let number = self.air.first + self.air.probes.len() as u32;
        let destination = to.map_or([0xFF; 6], mac);
        let mut frame = [&destination[..], &mac(station), &TYPE, &number.to_be_bytes()].concat();
        frame.resize(80, 0x5A);
        let way = to.and_then(|to| self.fabric(from).way(id(self.stations[to])));
        let way = way.map_or(Vec::new(), |way| way.path.into_iter().map(site).collect());
        let (seen, arrived) = (Vec::new(), Vec::new());
        self.air.probes.push(Probe { from, to, sent: self.world.now, way, seen, arrived });
        self.world.send(from, &frame);
        self.air.probes.len() - 1
    }

    /// A station whose site runs.
    pub fn any_station(&mut self) -> usize {
        loop {
            let station = self.random.below(self.stations.len());
            if self.runs(self.stations[station]) {
                return station;
            }
        }
    }

    /// Two stations behind different sites that run.
    pub fn any_two(&mut self) -> (usize, usize) {
        loop {
            let (a, b) = (self.any_station(), self.any_station());
            if self.stations[a] != self.stations[b] {
                return (a, b);
            }
        }
    }

    pub fn launch_probes(&mut self) {
        let Pace { unicast, broadcast } = self.air.pace;
        for (place, pause) in [unicast, broadcast].into_iter().enumerate() {
            let Some(pause) = pause else { continue };
            while self.air.next[place] <= self.world.now {
                self.air.next[place] = self.air.next[place].max(self.world.now) + pause;
                let (from, to) = self.any_two();
                self.send(from, (place == 0).then_some(to));
            }
        }
    }

    /// What came out of TAPs, and what was seen on links since the last time.
    pub fn collect(&mut self) {
        for place in 0..self.sites() {
            for frame in std::mem::take(&mut self.world.sites[place].frames) {
                if let Some(probe) = self.air.probe(&frame) {
                    probe.arrived.push(place);
                }
            }
        }
        for sighting in std::mem::take(&mut self.world.sightings) {
            let (how, frame) = read(&sighting.bytes);
            if let Some(probe) = self.air.probe(frame) {
                let Sighting { at, site: from, to, is_alive, is_met, .. } = sighting;
                probe.seen.push(Seen { at, from, to: site(to), is_alive, is_met, how });
            }
        }
    }
}

fn read(bytes: &[u8]) -> (How, &[u8]) {
    match Datagram::parse(bytes).expect("nodes send what they understand") {
        Datagram::Eth(frame) => (How::Eth, frame),
        Datagram::Routed(Routed { repairs, slots, frame, .. }) => (How::Routed(repairs, slots.len()), frame),
        Datagram::Broadcast(_, frame) => (How::Broadcast, frame),
        Datagram::Tunnel(slots, inner) => (How::Tunnel(slots.len()), read(inner).1),
        Datagram::Frag(..) => panic!("probes are short"),
    }
}
