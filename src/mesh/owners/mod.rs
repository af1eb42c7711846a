//! Which node a MAC address lives behind: learned from source addresses and from what nodes tell, bounded, aged.
//! Knows nodes only, never links: a failing link changes nothing here. Does not know rights: what it is given is permitted.
//! Read first: docs/protocol.md, "Owners".

mod addresses;
mod ageing;
mod flaps;
#[cfg(test)]
mod model;
mod moves;
mod room;
mod shares;
mod snapshot;

use std::time::{Duration, Instant};

use heapless::Deque;

use self::addresses::{Addresses, Entry, Place};
use self::ageing::Sweep;
use self::flaps::Flaps;
pub use self::moves::Batch;
use self::moves::Outbox;
use self::shares::Shares;
pub use self::snapshot::Snapshot;
use crate::limits;
use crate::types::{MacAddr, NodeId, Table};

/// Moments of the table are ticks of a sixteenth of a second since it was made. An entry keeps the lower 16 bits, which
/// come again after 68 minutes; none waits that long.
const TICKS_PER_SECOND: u32 = 16;
const TICK_NANOSECONDS: u32 = 1_000_000_000 / TICKS_PER_SECOND;

const fn ticks(time: Duration) -> u32 {
    (time.as_secs() as u32)
        .wrapping_mul(TICKS_PER_SECOND)
        .wrapping_add(time.subsec_nanos() / TICK_NANOSECONDS)
}

/// MAC -> owner, at most [`limits::OWNERS`]. Full: see there.
pub struct Owners {
    me: NodeId,
    began: Instant,
    capacity: usize,
    addresses: Addresses,
    shares: Shares,
    flaps: Box<Flaps>,
    outbox: Box<Outbox>,
    sweep: Sweep,
    /// Full: the newest is not said.
    notes: Deque<String, { limits::NOTES }>,
    counters: Counters,
}

/// They only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// The table, or the share of the owner, was full.
    pub not_learned: u64,
    /// An address came to another owner.
    pub moves: u64,
    /// Nodes claimed addresses that they may not have.
    pub refused: u64,
    /// An address moved so often that it was made to stay.
    pub frozen: u64,
    /// An unused address went to make room.
    pub evicted: u64,
    /// Moves that nobody was told of: too many waited.
    pub untold: u64,
}

/// One entry, for status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub mac: MacAddr,
    pub owner: NodeId,
    pub age: Duration,
}

/// What is written into an entry.
#[derive(Clone, Copy)]
struct Claim {
    owner: NodeId,
    moves: u16,
    hold: u16,
}

impl Owners {
    /// `seed`: any number that others cannot know.
    pub fn new(me: NodeId, seed: u64, now: Instant) -> Self {
        Self {
            me,
            began: now,
            capacity: limits::OWNERS,
            addresses: Addresses::new(seed),
            shares: Shares::new(me),
            flaps: Flaps::new(),
            outbox: Outbox::new(),
            sweep: Sweep::new(now),
            notes: Deque::new(),
            counters: Counters::default(),
        }
    }

    /// The owner of `mac`, if it was heard of recently and a path leads to it.
    pub fn find(&self, now: Instant, mac: MacAddr) -> Option<NodeId> {
        let entry = self.addresses.get(self.addresses.find(mac)?)?;
        self.is_used(self.tick(now), entry).then_some(entry.owner)
    }

    /// A frame of `mac` came out of the LAN here (`owner` is us), or from another node and ended or was sent to all here.
    pub fn learn(&mut self, now: Instant, mac: MacAddr, owner: NodeId) {
        let tick = self.tick(now);
        let Some((place, entry)) = self.entry(tick, mac, owner) else {
            self.insert(now, mac, Claim { owner, moves: 0, hold: 0 });
            return;
        };
        if entry.owner == owner {
            self.refresh(tick, place);
        } else if owner == self.me {
            self.take(now, place, entry);
        } else if !is_held(tick, entry.hold) && self.may_move(tick, &entry) {
            self.move_to(now, place, Claim { owner, moves: entry.moves, hold: 0 });
        }
    }

    /// A station that lived elsewhere is here now: all are to know.
    fn take(&mut self, now: Instant, place: Place, entry: Entry) {
        let tick = self.tick(now);
        let claim = Claim { owner: self.me, moves: entry.moves.wrapping_add(1), hold: hold(tick) };
        if self.may_move(tick, &entry) && self.move_to(now, place, claim) == Some(self.me) {
            self.tell(entry.mac);
        }
    }

    /// The entry of this address, as far as it concerns this owner: what another one has not used for too long is gone.
    fn entry(&mut self, tick: u32, mac: MacAddr, owner: NodeId) -> Option<(Place, Entry)> {
        let place = self.addresses.find(mac)?;
        let entry = *self.addresses.get(place)?;
        if entry.owner != owner && self.is_stale(tick, &entry) {
            self.remove(place);
            return None;
        }
        Some((place, entry))
    }

    fn refresh(&mut self, tick: u32, place: Place) {
        let Some(entry) = self.addresses.get_mut(place) else { return };
        if !is_held(tick, entry.hold) {
            // Or it would seem to begin again when the ticks come again.
            entry.hold = 0;
        }
        if entry.last != tick as u16 {
            entry.last = tick as u16;
            self.shares.touch(&mut self.addresses, place);
        }
    }

    /// It is not frozen, or its owner could not be reached anyway.
    fn may_move(&self, tick: u32, entry: &Entry) -> bool {
        !self.shares.is_reached(entry.owner) || !self.flaps.is_frozen(tick, entry.mac)
    }

    /// Gives an entry to another owner, or to the one that it is frozen with. The owner that it has then; `None`: there was
    /// no room, and nothing happened.
    fn move_to(&mut self, now: Instant, place: Place, claim: Claim) -> Option<NodeId> {
        let tick = self.tick(now);
        let old = *self.addresses.get(place)?;
        if !self.make_room_in_share(tick, claim.owner) {
            self.counters.not_learned += 1;
            return None;
        }
        self.give(now, place, claim);
        self.counters.moves += 1;
        if let Some(lowest) = self.flaps.record(tick, old.mac, old.owner, claim.owner) {
            return Some(self.freeze(now, place, old.mac, Claim { owner: lowest, ..claim }));
        }
        Some(claim.owner)
    }

    fn freeze(&mut self, now: Instant, place: Place, mac: MacAddr, claim: Claim) -> NodeId {
        self.counters.frozen += 1;
        let current = self.addresses.get(place).map_or(claim.owner, |entry| entry.owner);
        let fits = current == claim.owner || self.make_room_in_share(self.tick(now), claim.owner);
        if fits {
            self.give(now, place, claim);
        }
        let owner = if fits { claim.owner } else { current };
        let (window, freeze) = (limits::FLAP_WINDOW.as_secs(), limits::FLAP_FREEZE.as_secs());
        let times = limits::FLAP_MOVES + 1;
        self.note(format!(
            "mac_flap: {mac} moved {times} times in {window} s and stays behind node {owner} for {freeze} s"
        ));
        owner
    }

    /// Writes the entry anew. There is room for it in the share of the owner.
    fn give(&mut self, now: Instant, place: Place, claim: Claim) {
        self.shares.detach(&mut self.addresses, place);
        self.write(self.tick(now), place, claim);
        self.shares.append(&mut self.addresses, place);
        self.schedule_for(now, claim.owner);
    }

    fn write(&mut self, tick: u32, place: Place, claim: Claim) {
        if let Some(entry) = self.addresses.get_mut(place) {
            (entry.owner, entry.moves, entry.hold) = (claim.owner, claim.moves, claim.hold);
            entry.last = tick as u16;
        }
    }

    /// A new entry. False: there was no room.
    fn insert(&mut self, now: Instant, mac: MacAddr, claim: Claim) -> bool {
        let tick = self.tick(now);
        let place = if self.make_room_in_share(tick, claim.owner) && self.make_room(tick) {
            self.addresses.insert(Entry::new(mac, claim.owner, claim.moves))
        } else {
            None
        };
        let Some(place) = place else {
            self.counters.not_learned += 1;
            return false;
        };
        self.write(tick, place, claim);
        self.shares.append(&mut self.addresses, place);
        self.schedule_for(now, claim.owner);
        true
    }

    fn remove(&mut self, place: Place) {
        self.shares.detach(&mut self.addresses, place);
        self.addresses.remove(place);
    }

    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// All memory is taken at the start.
    pub fn tables(&self) -> [Table; 5] {
        let [moved, gone] = self.outbox.tables();
        let (used, capacity) = (self.len(), self.capacity);
        let owners = Table { name: "owners", used, capacity, bytes: Addresses::BYTES };
        [owners, self.shares.table(), self.flaps.table(), moved, gone]
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A node claimed addresses that it may not have.
    pub fn count_refused(&mut self) {
        self.counters.refused += 1;
    }

    /// Something that the operator should know.
    pub fn note(&mut self, line: String) {
        let _ = self.notes.push_back(line);
    }

    pub fn poll_note(&mut self) -> Option<String> {
        self.notes.pop_front()
    }

    /// All entries in use, in no order.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = Known> {
        let tick = self.tick(now);
        let entries = self.addresses.iter_from(0).map(|(_, entry)| entry);
        entries.filter(move |entry| self.is_used(tick, entry)).map(move |entry| {
            let age = u32::from((tick as u16).wrapping_sub(entry.last)) / TICKS_PER_SECOND;
            Known { mac: entry.mac, owner: entry.owner, age: Duration::from_secs(age.into()) }
        })
    }

    fn tick(&self, now: Instant) -> u32 {
        ticks(now.saturating_duration_since(self.began))
    }

    fn is_used(&self, tick: u32, entry: &Entry) -> bool {
        !self.is_stale(tick, entry) && self.shares.is_reached(entry.owner)
    }

    fn is_stale(&self, tick: u32, entry: &Entry) -> bool {
        u32::from((tick as u16).wrapping_sub(entry.last)) >= ticks(self.age_limit(entry.owner))
    }

    fn age_limit(&self, owner: NodeId) -> Duration {
        if owner == self.me { limits::OWNER_AGE_LOCAL } else { limits::OWNER_AGE_REMOTE }
    }
}

/// The end of a hold that begins now, never 0: one tick more, as this one has already begun.
fn hold(tick: u32) -> u16 {
    (tick.wrapping_add(ticks(limits::OWNER_HOLD) + 1) as u16).max(1)
}

fn is_held(tick: u32, hold: u16) -> bool {
    hold != 0 && (1..1 << 15).contains(&hold.wrapping_sub(tick as u16))
}

/// Whether the one number of moves is newer than the other (RFC 1982, 3.2).
fn is_newer(moves: u16, than: u16) -> bool {
    (1..1 << 15).contains(&moves.wrapping_sub(than))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub fn start() -> Instant {
        Instant::now()
    }

    pub fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    pub fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    pub fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    pub fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Numbers of 31 bits.
    pub fn random(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        }
    }

    /// The table of node 1.
    pub fn owners(t: Instant) -> Owners {
        Owners::new(node(1), 0x5EED, t)
    }

    #[test]
    fn an_address_belongs_to_the_node_that_used_it_last() {
        let t = start();
        let mut owners = owners(t);
        assert_eq!(owners.find(t, mac(1)), None);
        owners.learn(t, mac(1), node(3));
        assert_eq!(owners.find(t, mac(1)), Some(node(3)));
        owners.learn(t, mac(1), node(2));
        assert_eq!(owners.find(t, mac(1)), Some(node(2)));
        assert_eq!((owners.len(), owners.counters().moves), (1, 1));
        let known: Vec<Known> = owners.iter(t + ms(7999)).collect();
        assert_eq!(known, [Known { mac: mac(1), owner: node(2), age: seconds(7) }]);
    }

    #[test]
    fn a_station_that_came_here_is_not_pulled_back_for_two_seconds() {
        for fraction in [0, 1, 62, 63, 999] {
            let t = start();
            let mut owners = owners(t);
            let moved = t + ms(fraction);
            owners.learn(t, mac(1), node(2));
            owners.learn(moved, mac(1), node(1));
            owners.learn(moved + seconds(2), mac(1), node(2));
            assert_eq!(owners.find(moved, mac(1)), Some(node(1)));
            owners.learn(moved + ms(2126), mac(1), node(2));
            assert_eq!(owners.find(moved + seconds(3), mac(1)), Some(node(2)), "{fraction}");
        }
    }

    #[test]
    fn a_hold_that_is_over_does_not_begin_again_when_the_ticks_do() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(1), node(1));
        let round = seconds(1 << 12);
        (1..=4096 / 512).for_each(|n| owners.learn(t + seconds(n * 512), mac(1), node(1)));
        owners.learn(t + round, mac(1), node(2));
        assert_eq!(owners.find(t + round, mac(1)), Some(node(2)));
    }

    #[test]
    fn an_address_that_moves_six_times_in_twenty_seconds_stays_with_the_lowest_for_three_minutes() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(4));
        for n in 0..5 {
            owners.learn(t + seconds(n), mac(1), node(if n % 2 == 0 { 3 } else { 4 }));
        }
        let frozen = t + seconds(5);
        assert_eq!((owners.find(frozen, mac(1)), owners.counters().frozen), (Some(node(3)), 0));
        owners.learn(frozen, mac(1), node(4));
        assert_eq!(owners.find(frozen, mac(1)), Some(node(3)));
        assert_eq!(
            owners.poll_note().as_deref(),
            Some("mac_flap: 02:00:00:00:00:01 moved 6 times in 20 s and stays behind node 3 for 180 s")
        );
        assert_eq!(owners.poll_note(), None);
        for n in 0..180 {
            owners.learn(frozen + seconds(n), mac(1), node(4));
            owners.learn(frozen + seconds(n), mac(1), node(1));
            assert_eq!(owners.find(frozen + seconds(n), mac(1)), Some(node(3)));
        }
        assert_eq!((owners.counters().frozen, owners.counters().moves), (1, 6));
        owners.learn(frozen + seconds(180), mac(1), node(4));
        assert_eq!(owners.find(frozen + seconds(180), mac(1)), Some(node(4)));
    }

    #[test]
    fn what_is_frozen_with_a_node_out_of_reach_may_move() {
        let t = start();
        let mut owners = owners(t);
        (0..=6).for_each(|n| owners.learn(t, mac(1), node(3 + n % 2)));
        assert_eq!((owners.find(t, mac(1)), owners.counters().frozen), (Some(node(3)), 1));
        owners.handle_reach(t, |node| node.value() != 3);
        owners.learn(t, mac(1), node(4));
        assert_eq!(owners.find(t, mac(1)), Some(node(4)));
    }

    #[test]
    fn numbers_of_moves_are_compared_as_serial_numbers() {
        for (moves, than, newer) in
            [(1, 0, true), (0, 0, false), (0, 1, false), (0, 0xFFFF, true), (0xFFFF, 0, false)]
        {
            assert_eq!(is_newer(moves, than), newer, "{moves} {than}");
        }
        assert!(is_newer(0x7FFF, 0) && !is_newer(0x8000, 0) && !is_newer(0x8001, 0));
    }

    #[test]
    fn the_tables_take_as_much_as_their_entries_and_little_more() {
        let tables = Owners::new(node(1), 1, start()).tables();
        let bytes: usize = tables.iter().map(|table| table.bytes).sum();
        let entries = 22 * limits::OWNERS;
        assert!((entries..entries + 32 * limits::NODES + 12 * 1024).contains(&bytes), "{tables:?}");
    }
}
