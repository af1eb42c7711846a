//! The table of MAC addresses itself: a hash table of fixed size in which an entry keeps its place.
//! Does not know what is learned and what is given up. Read first: any text on hash tables with chains.

use heapless::Vec;

use super::super::graph::mix;
use crate::limits::OWNERS;
use crate::types::{MacAddr, NodeId};

/// Where an entry is, as long as it exists.
pub(super) type Place = u16;

/// No place.
pub(super) const NONE: Place = Place::MAX;

const _: () = assert!(OWNERS.is_power_of_two() && OWNERS < NONE as usize);
// What limits.rs says of its size.
const _: () = assert!(size_of::<Entry>() == 20);

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Zero: the place is free.
    pub(super) mac: MacAddr,
    pub(super) owner: NodeId,
    /// Counts the moves of the address, in the order of RFC 1982.
    pub(super) moves: u16,
    /// Low bits of the tick of the last frame.
    pub(super) last: u16,
    /// Until this tick frames from elsewhere do not count. 0: they do.
    pub(super) hold: u16,
    /// Neighbors in the order of use among the entries of the owner.
    pub(super) newer: Place,
    pub(super) older: Place,
    /// The next one with this hash; of a free place the next free one.
    next: Place,
}

impl Entry {
    pub(super) fn new(mac: MacAddr, owner: NodeId, moves: u16) -> Self {
        Self { mac, owner, moves, last: 0, hold: 0, newer: NONE, older: NONE, next: NONE }
    }
}

/// At most [`OWNERS`] entries, all memory taken at the start.
pub(super) struct Addresses {
    entries: Box<Vec<Entry, OWNERS>>,
    /// The first entry of each hash.
    chains: Box<[Place; OWNERS]>,
    free: Place,
    len: usize,
    /// Odd. A secret, so that nobody can choose addresses that all have one hash.
    factor: u64,
}

impl Addresses {
    pub(super) const BYTES: usize = size_of::<Vec<Entry, OWNERS>>() + size_of::<[Place; OWNERS]>();

    /// `seed`: any number that others cannot know.
    pub(super) fn new(seed: u64) -> Self {
        let (entries, chains) = (Box::new(Vec::new()), Box::new([NONE; OWNERS]));
        Self { entries, chains, free: NONE, len: 0, factor: mix(seed) | 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, mac: MacAddr) -> Option<Place> {
        let mut place = *self.chains.get(self.hash(mac))?;
        while let Some(entry) = self.get(place) {
            if entry.mac == mac {
                return Some(place);
            }
            place = entry.next;
        }
        None
    }

    pub(super) fn get(&self, place: Place) -> Option<&Entry> {
        self.entries.get(usize::from(place))
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(usize::from(place))
    }

    /// The address must be new. `None`: no place is free.
    pub(super) fn insert(&mut self, mut entry: Entry) -> Option<Place> {
        let hash = self.hash(entry.mac);
        entry.next = *self.chains.get(hash)?;
        let place = self.take_place(entry)?;
        *self.chains.get_mut(hash)? = place;
        self.len += 1;
        Some(place)
    }

    fn take_place(&mut self, entry: Entry) -> Option<Place> {
        let place = self.free;
        if let Some(free) = self.get_mut(place) {
            let next = free.next;
            *free = entry;
            self.free = next;
            return Some(place);
        }
        self.entries.push(entry).ok()?;
        Place::try_from(self.entries.len() - 1).ok()
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Some(entry) = self.get(place).copied().filter(|entry| !entry.mac.is_zero()) else { return };
        self.unchain(place, entry);
        let next = self.free;
        if let Some(freed) = self.get_mut(place) {
            freed.mac = MacAddr([0; 6]);
            freed.next = next;
        }
        self.free = place;
        self.len -= 1;
    }

    /// Whatever led to the entry leads to the one behind it.
    fn unchain(&mut self, place: Place, entry: Entry) {
        let hash = self.hash(entry.mac);
        let Some(first) = self.chains.get_mut(hash) else { return };
        if *first == place {
            *first = entry.next;
            return;
        }
        let mut before = *first;
        while let Some(other) = self.get_mut(before) {
            if other.next == place {
                other.next = entry.next;
                return;
            }
            before = other.next;
        }
    }

    /// All entries from this place on.
    pub(super) fn iter_from(&self, start: usize) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().skip(start).filter(|(_, entry)| !entry.mac.is_zero())
    }

    /// The upper bits of a product: those that all bits of the address reach.
    fn hash(&self, mac: MacAddr) -> usize {
        let [a, b, c, d, e, f] = mac.0;
        let product = u64::from_be_bytes([0, 0, a, b, c, d, e, f]).wrapping_mul(self.factor);
        (product >> (u64::BITS - OWNERS.ilog2())) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{mac, node, random};
    use super::*;

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let mut addresses = Addresses::new(0x5EED);
        let mut model: BTreeMap<u32, u16> = BTreeMap::new();
        let mut draw = random(1);
        for n in 0..60_000_u32 {
            let (number, moves) = ((draw() % 6000) as u32, n as u16);
            match (model.contains_key(&number), addresses.find(mac(number))) {
                (true, Some(place)) => {
                    addresses.remove(place);
                    model.remove(&number);
                }
                (false, None) => {
                    let placed = addresses.insert(Entry::new(mac(number), node(2), moves));
                    assert_eq!(placed.is_some(), model.len() < OWNERS);
                    placed.map(|_| model.insert(number, moves));
                }
                (known, found) => panic!("{number}: {known} {found:?}"),
            }
            assert_eq!(addresses.len(), model.len());
        }
        assert!(model.len() > 2000, "{}", model.len());
        for number in 0..6000 {
            let found = addresses.find(mac(number)).and_then(|place| addresses.get(place));
            assert_eq!(found.map(|entry| entry.moves), model.get(&number).copied());
        }
        assert_eq!(addresses.iter_from(0).count(), model.len());
    }

    #[test]
    fn a_full_table_takes_no_more_and_keeps_what_it_has() {
        let mut addresses = Addresses::new(7);
        for n in 0..OWNERS as u32 {
            assert!(addresses.insert(Entry::new(mac(n), node(2), 0)).is_some());
        }
        assert!(addresses.insert(Entry::new(mac(9_999_999), node(2), 0)).is_none());
        assert_eq!(addresses.len(), OWNERS);
        assert!((0..OWNERS as u32).all(|n| addresses.find(mac(n)).is_some()));
        addresses.remove(0);
        addresses.remove(0);
        assert_eq!(addresses.len(), OWNERS - 1);
        assert_eq!(addresses.insert(Entry::new(mac(9_999_999), node(2), 0)), Some(0));
    }

    #[test]
    fn addresses_of_one_pattern_spread_over_the_chains_whatever_the_seed() {
        for (seed, step) in [(0, 1), (1, 256), (7, 0x0001_0000), (u64::MAX, 3)] {
            let mut addresses = Addresses::new(seed);
            for n in 0..OWNERS as u32 {
                addresses.insert(Entry::new(mac(n.wrapping_mul(step)), node(2), 0));
            }
            let longest = (0..OWNERS).map(|hash| {
                let mut place = addresses.chains[hash];
                let mut length = 0;
                while let Some(entry) = addresses.get(place) {
                    (length, place) = (length + 1, entry.next);
                }
                length
            });
            assert!(longest.max().unwrap() <= 64, "{seed:x} {step}");
        }
    }
}
