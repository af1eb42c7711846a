//! Random operations against a model that searches where the table knows, and has no bounds but those of the rules.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Instant;

use super::tests::{mac, ms, node, random, seconds, start};
use super::{Owners, is_newer};
use crate::types::NodeId;
use crate::wire::stations::{Owned, Station};

const MACS: u64 = 24;
const NODES: u64 = 5;
const CAPACITY: usize = 16;
const QUOTA: u16 = 6;

#[derive(Clone, Copy, Debug)]
struct Entry {
    owner: u16,
    moves: u16,
    last: u64,
    hold: u64,
}

/// Times are ticks.
struct Model {
    capacity: usize,
    quotas: BTreeMap<u16, u16>,
    entries: BTreeMap<u32, Entry>,
    lost: BTreeMap<u16, u64>,
    /// Of each address: when and between whom it moved since it last stayed.
    flaps: BTreeMap<u32, Vec<(u64, u16, u16)>>,
    frozen: BTreeMap<u32, u64>,
    told: Vec<(u32, u16)>,
    gone: Vec<(u32, u16)>,
    not_learned: u64,
    evicted: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            capacity: CAPACITY,
            quotas: (1..=NODES as u16).map(|id| (id, QUOTA)).collect(),
            entries: BTreeMap::new(),
            lost: BTreeMap::new(),
            flaps: BTreeMap::new(),
            frozen: BTreeMap::new(),
            told: Vec::new(),
            gone: Vec::new(),
            not_learned: 0,
            evicted: 0,
        }
    }

    fn quota(&self, owner: u16) -> usize {
        usize::from(self.quotas[&owner])
    }

    fn oldest(&self, owner: u16) -> Option<(u32, u64)> {
        let own = self.entries.iter().filter(|(_, entry)| entry.owner == owner);
        own.map(|(n, entry)| (*n, entry.last)).min_by_key(|(_, last)| *last)
    }

    fn set_quota(&mut self, owner: u16, quota: u16) {
        self.quotas.insert(owner, quota);
        while self.count(owner) > self.quota(owner) {
            let oldest = self.oldest(owner).map(|(n, _)| n);
            oldest.map(|n| self.entries.remove(&n));
        }
    }

    fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.entries.len() > capacity {
            let oldest = self.oldest(self.greediest()).map(|(n, _)| n);
            oldest.map(|n| self.entries.remove(&n));
            self.evicted += 1;
        }
    }

    /// The node with most entries; of several the one whose oldest was not used for longest.
    fn greediest(&self) -> u16 {
        let rank = |owner: &u16| (self.count(*owner), self.oldest(*owner).map(|(_, last)| u64::MAX - last));
        (1..=NODES as u16).max_by_key(rank).unwrap_or(1)
    }

    fn is_stale(tick: u64, entry: &Entry) -> bool {
        tick - entry.last >= 16 * if entry.owner == 1 { 600 } else { 900 }
    }

    fn find(&self, tick: u64, n: u32) -> Option<u16> {
        let entry = self.entries.get(&n).filter(|entry| !Self::is_stale(tick, entry))?;
        (!self.lost.contains_key(&entry.owner)).then_some(entry.owner)
    }

    fn count(&self, owner: u16) -> usize {
        self.entries.values().filter(|entry| entry.owner == owner).count()
    }

    fn has_share(&mut self, tick: u64, owner: u16) -> bool {
        self.count(owner) < self.quota(owner) || self.evict(tick, owner)
    }

    fn evict(&mut self, tick: u64, owner: u16) -> bool {
        let Some((n, last)) = self.oldest(owner) else { return false };
        let goes = tick - last > 60 * 16;
        if goes {
            self.entries.remove(&n);
            self.evicted += 1;
        }
        goes
    }

    fn has_room(&mut self, tick: u64) -> bool {
        self.entries.len() < self.capacity || self.evict(tick, self.greediest())
    }

    fn insert(&mut self, tick: u64, n: u32, entry: Entry) -> bool {
        let fits = self.has_share(tick, entry.owner) && self.has_room(tick);
        if fits {
            self.entries.insert(n, entry);
        } else {
            self.not_learned += 1;
        }
        fits
    }

    /// Who has it then.
    fn move_to(&mut self, tick: u64, n: u32, entry: Entry) -> Option<u16> {
        let from = self.entries.get(&n)?.owner;
        if !self.has_share(tick, entry.owner) {
            self.not_learned += 1;
            return None;
        }
        self.entries.insert(n, entry);
        let flaps = self.flaps.entry(n).or_default();
        if self.frozen.remove(&n).is_some() || flaps.last().is_some_and(|(at, ..)| tick - at > 20 * 16) {
            flaps.clear();
        }
        flaps.push((tick, from, entry.owner));
        if flaps.len() < 6 || tick - flaps[flaps.len() - 6].0 > 20 * 16 {
            return Some(entry.owner);
        }
        let lowest = flaps.iter().flat_map(|(_, a, b)| [*a, *b]).min()?;
        self.frozen.insert(n, tick + 180 * 16);
        if lowest != entry.owner && !self.has_share(tick, lowest) {
            return Some(entry.owner);
        }
        self.entries.insert(n, Entry { owner: lowest, ..entry });
        Some(lowest)
    }

    fn may_move(&self, tick: u64, n: u32, entry: &Entry) -> bool {
        self.lost.contains_key(&entry.owner) || self.frozen.get(&n).is_none_or(|until| tick >= *until)
    }

    /// The entry as far as it concerns this owner.
    fn entry(&mut self, tick: u64, n: u32, owner: u16) -> Option<Entry> {
        let entry = *self.entries.get(&n)?;
        if entry.owner != owner && Self::is_stale(tick, &entry) {
            self.entries.remove(&n);
            return None;
        }
        Some(entry)
    }

    fn learn(&mut self, tick: u64, n: u32, owner: u16) {
        let Some(entry) = self.entry(tick, n, owner) else {
            self.insert(tick, n, Entry { owner, moves: 0, last: tick, hold: 0 });
            return;
        };
        if entry.owner == owner {
            self.entries.insert(n, Entry { last: tick, ..entry });
        } else if owner == 1 && self.may_move(tick, n, &entry) {
            let moves = entry.moves.wrapping_add(1);
            if self.move_to(tick, n, Entry { owner, moves, last: tick, hold: tick + 33 }) == Some(1) {
                self.told.push((n, moves));
            }
        } else if owner != 1 && tick >= entry.hold && self.may_move(tick, n, &entry) {
            self.move_to(tick, n, Entry { owner, moves: entry.moves, last: tick, hold: 0 });
        }
    }

    fn handle_move(&mut self, tick: u64, n: u32, owner: u16, moves: u16) -> bool {
        let new = Entry { owner, moves, last: tick, hold: tick + 33 };
        let Some(entry) = self.entry(tick, n, owner) else { return self.insert(tick, n, new) };
        if !is_newer(moves, entry.moves) && (moves != entry.moves || owner >= entry.owner) {
            return false;
        }
        if entry.owner == owner {
            self.entries.insert(n, new);
            return true;
        }
        self.may_move(tick, n, &entry) && self.move_to(tick, n, new) == Some(owner)
    }

    fn handle_gone(&mut self, n: u32, owner: u16, moves: u16) -> bool {
        let goes = self.entries.get(&n).is_some_and(|e| e.owner == owner && !is_newer(e.moves, moves));
        if goes {
            self.entries.remove(&n);
        }
        goes
    }

    fn handle_owned(&mut self, tick: u64, n: u32, owner: u16) -> bool {
        let has_room = self.count(owner) < self.quota(owner) && self.entries.len() < self.capacity;
        has_room
            && self.entry(tick, n, owner).is_none()
            && self.insert(tick, n, Entry { owner, moves: 0, last: tick, hold: 0 })
    }

    fn sweep(&mut self, tick: u64) {
        let (lost, gone) = (&self.lost, &mut self.gone);
        self.entries.retain(|n, entry| {
            let is_lost = lost.get(&entry.owner).is_some_and(|since| tick - since >= 60 * 16);
            let stays = !is_lost && !Self::is_stale(tick, entry);
            if !stays && entry.owner == 1 {
                gone.push((*n, entry.moves));
            }
            stays
        });
    }

    fn reach(&mut self, tick: u64, is_reached: impl Fn(u16) -> bool) {
        for id in 2..=NODES as u16 {
            match is_reached(id) {
                true => drop(self.lost.remove(&id)),
                false => drop(self.lost.entry(id).or_insert(tick)),
            }
        }
    }
}

struct Both {
    owners: Owners,
    model: Model,
    began: Instant,
    tick: u64,
    /// Moves are asked for in a time far ahead, so that no pause keeps them.
    asked: Instant,
}

impl Both {
    fn new() -> Self {
        let began = start();
        let mut owners = Owners::new(node(1), 99, began);
        owners.set_capacity(began, CAPACITY);
        (1..=NODES as u16).for_each(|id| owners.set_quota(node(id), QUOTA));
        Self { owners, model: Model::new(), began, tick: 0, asked: began + seconds(10_000_000) }
    }

    fn now(&self) -> Instant {
        self.began + ms(self.tick * 125 / 2 + 1)
    }

    /// One operation, the same on both.
    fn step(&mut self, draw: &mut impl FnMut() -> u64) {
        self.tick += 1 + match draw() % 40 {
            0 => draw() % 8000,
            1..=4 => draw() % 300,
            _ => draw() % 8,
        };
        let (now, tick) = (self.now(), self.tick);
        if self.owners.next_timeout().is_some_and(|due| due <= now) {
            self.owners.handle_timeout(now);
            self.model.sweep(tick);
        }
        let n = (if draw().is_multiple_of(3) { draw() % 3 } else { draw() % MACS }) as u32;
        let owner = 1 + (draw() % NODES) as u16;
        // Near the number that stands there, on both sides.
        let moves = self
            .model
            .entries
            .get(&n)
            .map_or(0, |e| e.moves)
            .wrapping_add((draw() % 4) as u16)
            .wrapping_sub(1);
        let (is_other, station) = (owner != 1, Station { mac: mac(n), moves });
        let pair = match draw() % 20 {
            0..=3 if is_other => (
                self.owners.handle_move(now, node(owner), station),
                self.model.handle_move(tick, n, owner, moves),
            ),
            4 if is_other => {
                (self.owners.handle_gone(node(owner), station), self.model.handle_gone(n, owner, moves))
            }
            5 if is_other => {
                let owned = Owned { mac: mac(n), owner: node(owner), moves };
                (self.owners.handle_owned(now, owned), self.model.handle_owned(tick, n, owner))
            }
            6 if draw().is_multiple_of(4) => {
                let reached = draw() | draw();
                self.owners.handle_reach(now, |id: NodeId| reached >> id.value() & 1 == 1);
                self.model.reach(tick, |id| reached >> id & 1 == 1);
                (true, true)
            }
            8 if draw().is_multiple_of(20) => {
                let quota = 1 + (draw() % u64::from(QUOTA * 2)) as u16;
                self.owners.set_quota(node(owner), quota);
                self.model.set_quota(owner, quota);
                (true, true)
            }
            9 if draw().is_multiple_of(20) => {
                let capacity = 4 + (draw() % (2 * CAPACITY as u64)) as usize;
                self.owners.set_capacity(now, capacity);
                self.model.set_capacity(capacity);
                (true, true)
            }
            7 if is_other && draw().is_multiple_of(20) => {
                self.owners.forget(node(owner));
                self.model.entries.retain(|_, entry| entry.owner != owner);
                let lowest = |moves: &Vec<(u64, u16, u16)>| moves.iter().flat_map(|(_, a, b)| [*a, *b]).min();
                let freed: Vec<u32> = self
                    .model
                    .flaps
                    .iter()
                    .filter(|(_, m)| lowest(m) == Some(owner))
                    .map(|(n, _)| *n)
                    .collect();
                for n in freed {
                    self.model.flaps.remove(&n);
                    self.model.frozen.remove(&n);
                }
                (true, true)
            }
            _ => {
                self.owners.learn(now, mac(n), node(owner));
                self.model.learn(tick, n, owner);
                (true, true)
            }
        };
        assert_eq!(pair.0, pair.1, "tick {tick}, address {n}, owner {owner}, moves {moves}");
    }

    /// What can be seen is the same.
    fn compare(&mut self) {
        let now = self.now();
        for n in 0..MACS as u32 {
            let found = self.owners.find(now, mac(n)).map(NodeId::value);
            assert_eq!(found, self.model.find(self.tick, n), "address {n} at tick {}", self.tick);
        }
        let counters = self.owners.counters();
        assert_eq!(self.owners.len(), self.model.entries.len());
        assert_eq!((counters.not_learned, counters.evicted), (self.model.not_learned, self.model.evicted));
        assert_eq!(
            self.owners.iter(now).count(),
            (0..MACS as u32).filter(|n| self.model.find(self.tick, *n).is_some()).count()
        );
    }

    /// What is told is what the model would tell, as far as it still holds.
    fn compare_told(&mut self) {
        let mut told: Vec<(u32, u16)> = self.model.told.drain(..).collect();
        told.retain(|(n, moves)| {
            self.model.entries.get(n).is_some_and(|entry| (entry.owner, entry.moves) == (1, *moves))
        });
        let mut said = Vec::new();
        while let Some(batch) = self.owners.poll_moves(self.asked) {
            said.extend(batch);
            self.asked += seconds(1);
        }
        for station in said {
            let at = told.iter().position(|(n, moves)| (mac(*n), *moves) == (station.mac, station.moves));
            told.remove(at.unwrap_or_else(|| panic!("{station:?} was told and did not move")));
        }
        assert_eq!(told, [], "these moves were not told");
        let gone = std::mem::take(&mut self.model.gone);
        let own = |n: &u32| self.model.entries.get(n).is_some_and(|entry| entry.owner == 1);
        let expected: Vec<Station> = gone
            .into_iter()
            .filter(|(n, _)| !own(n))
            .map(|(n, moves)| Station { mac: mac(n), moves })
            .collect();
        let mut said: Vec<Station> = std::iter::from_fn(|| self.owners.poll_gone()).flatten().collect();
        said.sort_unstable_by_key(|station| station.mac);
        assert_eq!(said, expected);
    }
}

#[test]
fn random_operations_agree_with_a_naive_model() {
    let mut seen = [0; 4];
    for seed in 1..=20 {
        let mut draw = random(seed);
        let mut both = Both::new();
        for _ in 0..5000 {
            both.step(&mut draw);
            both.compare();
            both.compare_told();
        }
        let counters = both.owners.counters();
        let counted = [counters.frozen, counters.evicted, counters.moves, counters.not_learned];
        seen.iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
    }
    assert!(seen.iter().all(|count| *count > 100), "each rule was met: {seen:?}");
}
