//! Which sites of a simulated mesh are linked, over what wires, and who dials whom. The same for the same seed.
//! Starts nothing. Read first: docs/protocol.md, "Paths".

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use quicap::limits;
use quicap::link::peer;

use crate::members::{name, peer};
use crate::world::{Wire, World};

/// How two linked sites know each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dials {
    /// Each has the other's address.
    Both,
    /// Only the first has; the second has a peer without one.
    First,
    /// Only the first has; the second is not configured at all.
    Stranger,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    pub ends: [usize; 2],
    /// One way.
    pub delay: Duration,
    pub dials: Dials,
}

impl Edge {
    /// The end that this site is linked to.
    pub fn other(&self, site: usize) -> Option<usize> {
        let [a, b] = self.ends;
        [(a, b), (b, a)].into_iter().find(|(own, _)| *own == site).map(|(_, other)| other)
    }

    /// What both ends should measure, 0.1 ms.
    pub fn cost(&self) -> u32 {
        (self.delay * 2).as_micros() as u32 / 100
    }
}

/// Sites and the links among them. A site's peers stand in its configuration in the order of the edges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    pub sites: usize,
    pub edges: Vec<Edge>,
}

/// Delays are multiples of this, so that costs are whole.
const TICK: Duration = Duration::from_micros(50);
/// What a datagram takes at least, and from one corner of the square to the next.
const NEAR: Duration = Duration::from_millis(1);
const ACROSS: Duration = Duration::from_millis(40);

impl Topology {
    /// The five sites of docs/protocol.md's example: costs of 10, 15, 20, 12, 8, 18 and 10 ms.
    pub fn five() -> Self {
        let links =
            [(1, 2, 100), (2, 3, 150), (1, 3, 200), (2, 4, 120), (3, 4, 80), (3, 5, 180), (4, 5, 100)];
        let edge = |(n, (a, b, cost)): (usize, (usize, usize, u32))| Edge {
            ends: [a - 1, b - 1],
            delay: TICK * cost,
            dials: if n % 2 == 0 { Dials::Both } else { Dials::First },
        };
        Self { sites: 5, edges: links.into_iter().enumerate().map(edge).collect() }
    }

    /// Sites in a square, each linked to its nearest few.
    pub fn geometric(sites: usize, seed: u64) -> Self {
        let mut draft = Draft::new(sites, seed);
        (0..sites).for_each(|site| draft.link_to_nearest(site, 5, 0..sites));
        draft.connect();
        draft.finish()
    }

    /// The same with a tenth of the sites as hubs: each of the others is linked to two of them and its two nearest.
    pub fn hubs(sites: usize, seed: u64) -> Self {
        let mut draft = Draft::new(sites, seed);
        let hubs = (sites / 10).max(2);
        (0..hubs).for_each(|hub| draft.link_to_nearest(hub, 3, 0..hubs));
        for site in hubs..sites {
            draft.link_to_nearest(site, 2, 0..hubs);
            draft.link_to_nearest(site, 2, hubs..sites);
        }
        draft.connect();
        draft.finish()
    }

    pub fn edges_of(&self, site: usize) -> impl Iterator<Item = (&Edge, usize)> {
        self.edges.iter().filter_map(move |edge| Some((edge, edge.other(site)?)))
    }

    pub fn degree(&self, site: usize) -> usize {
        self.edges_of(site).count()
    }

    /// What the configuration of this site says of its peers.
    pub fn peers(&self, site: usize) -> Vec<peer::Config> {
        let configured = |(edge, other): (&Edge, usize)| {
            let addresses: &[IpAddr] = match edge.dials {
                Dials::Stranger if edge.ends[1] == site => return None,
                Dials::First if edge.ends[1] == site => &[],
                _ => &[World::ip(other)],
            };
            Some(peer(Some(&name(other)), addresses))
        };
        self.edges_of(site).filter_map(configured).collect()
    }

    /// QUIC connections when all are up.
    pub fn connections(&self) -> usize {
        self.edges.iter().map(|edge| if edge.dials == Dials::Both { 2 } else { 1 }).sum()
    }

    /// Adds the sites, and wires that lose so many of 1000 datagrams.
    pub fn build(&self, world: &mut World, loss: u32) {
        world.add_many(self.sites);
        for Edge { ends: [a, b], delay, .. } in &self.edges {
            world.set_wire(*a, *b, Wire { delay: *delay, loss, ..Wire::default() });
        }
    }

    /// The sites that each is in one piece with, leaving out some edges and sites: the least of them.
    pub fn pieces(&self, is_there: impl Fn(&Edge) -> bool) -> Vec<usize> {
        let mut piece: Vec<usize> = (0..self.sites).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for edge in self.edges.iter().filter(|edge| is_there(edge)) {
                let [a, b] = edge.ends;
                let least = piece[a].min(piece[b]);
                changed |= piece[a] != piece[b];
                (piece[a], piece[b]) = (least, least);
            }
        }
        piece
    }
}

/// A topology that is being drawn.
struct Draft {
    random: Random,
    places: Vec<(f64, f64)>,
    pairs: BTreeSet<(usize, usize)>,
    degrees: Vec<usize>,
}

impl Draft {
    fn new(sites: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let places = (0..sites).map(|_| (random.fraction(), random.fraction())).collect();
        Self { random, places, pairs: BTreeSet::new(), degrees: vec![0; sites] }
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        let ((ax, ay), (bx, by)) = (self.places[a], self.places[b]);
        (ax - bx).hypot(ay - by)
    }

    /// To the nearest of these sites that have room.
    fn link_to_nearest(&mut self, site: usize, count: usize, among: std::ops::Range<usize>) {
        let mut others: Vec<usize> = among.filter(|other| *other != site).collect();
        others.sort_by(|a, b| self.distance(site, *a).total_cmp(&self.distance(site, *b)));
        let is_new = |draft: &Self, other| !draft.pairs.contains(&pair(site, other));
        let mut left = count;
        for other in others {
            if left == 0 || self.degrees[site] == limits::LINKS {
                return;
            }
            if !is_new(self, other) {
                left -= 1;
            } else if self.degrees[other] < limits::LINKS {
                self.link(site, other);
                left -= 1;
            }
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        self.pairs.insert(pair(a, b));
        self.degrees[a] += 1;
        self.degrees[b] += 1;
    }

    /// Links what is apart by the shortest link that has room at both ends.
    fn connect(&mut self) {
        loop {
            let piece = self.topology().pieces(|_| true);
            let apart = |(a, b): &(usize, usize)| piece[*a] != piece[*b];
            let room = |(a, b): &(usize, usize)| self.degrees[*a].max(self.degrees[*b]) < limits::LINKS;
            let sites = self.places.len();
            let all = (0..sites).flat_map(|a| (a + 1..sites).map(move |b| (a, b)));
            let shortest = all
                .filter(|ends| apart(ends) && room(ends))
                .min_by(|a, b| self.distance(a.0, a.1).total_cmp(&self.distance(b.0, b.1)));
            match shortest {
                Some((a, b)) => self.link(a, b),
                None => return,
            }
        }
    }

    fn topology(&self) -> Topology {
        let edge = |(a, b): &(usize, usize)| {
            let delay = NEAR + ACROSS.mul_f64(self.distance(*a, *b));
            let ticks = delay.as_micros() / TICK.as_micros();
            Edge { ends: [*a, *b], delay: TICK * ticks as u32, dials: Dials::Both }
        };
        Topology { sites: self.places.len(), edges: self.pairs.iter().map(edge).collect() }
    }

    /// Draws who dials: one side only for half of the links, and of these one half are strangers to the other side.
    fn finish(mut self) -> Topology {
        let mut topology = self.topology();
        for edge in &mut topology.edges {
            edge.dials = [Dials::Both, Dials::Both, Dials::First, Dials::Stranger][self.random.below(4)];
            if self.random.below(2) == 0 {
                edge.ends.reverse();
            }
        }
        topology
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn drawn_topologies_are_connected_bounded_as_dense_as_meant_and_the_same_for_a_seed() {
    type Draw = fn(usize, u64) -> Topology;
    for draw in [Topology::geometric as Draw, Topology::hubs] {
        for (sites, seed) in [(5, 1), (20, 1), (20, 2), (50, 1), (100, 1), (250, 1), (250, 2)] {
            let topology = draw(sites, seed);
            assert_eq!(topology, draw(sites, seed));
            assert_ne!(topology.edges, draw(sites, seed + 7).edges);
            assert!(topology.pieces(|_| true).iter().all(|piece| *piece == 0), "{sites} {seed}");
            assert!((0..sites).all(|site| topology.degree(site) <= limits::LINKS));
            let degree = 2.0 * topology.edges.len() as f64 / sites as f64;
            assert!(sites < 20 || (5.0..7.5).contains(&degree), "{sites} sites: {degree}");
            assert!(topology.edges.iter().all(|edge| (20..=1200).contains(&edge.cost())));
        }
    }
}

#[test]
fn the_five_sites_have_the_costs_and_ports_of_the_example() {
    let five = Topology::five();
    let costs: Vec<u32> = five.edges.iter().map(Edge::cost).collect();
    assert_eq!(costs, [100, 150, 200, 120, 80, 180, 100]);
    let ports: Vec<Vec<usize>> =
        (0..5).map(|site| five.edges_of(site).map(|(_, other)| other + 1).collect()).collect();
    assert_eq!(ports, [vec![2, 3], vec![1, 3, 4], vec![2, 1, 4, 5], vec![2, 3, 5], vec![3, 4]]);
    assert_eq!((0..5).map(|site| five.peers(site).len()).collect::<Vec<_>>(), [2, 3, 4, 3, 2]);
}
