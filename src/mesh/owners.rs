//! Which node a MAC address lives behind: learned from source addresses, bounded, aged when looked at.
//! Knows nodes only, never links: a failing link changes nothing here. Read first: docs/protocol.md, "Owners".

use std::time::{Duration, Instant};

use heapless::LinearMap;
use heapless::index_map::FnvIndexMap;

use crate::limits;
use crate::types::{MacAddr, NodeId};

/// After a station was seen here, frames that still arrive from its old place do not pull it back.
const HOLD: Duration = Duration::from_secs(2);
/// A full table is searched for a victim at most once in this time: a flood of new addresses stays cheap.
const EVICT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
struct Entry {
    owner: NodeId,
    /// Seconds since the table was made, as are `hold`.
    last: u32,
    hold: u32,
}

/// MAC -> owner, at most [`limits::OWNERS`]. Full: see [`limits::OWNERS`].
pub struct Owners {
    me: NodeId,
    began: Instant,
    entries: Box<FnvIndexMap<MacAddr, Entry, { limits::OWNERS }>>,
    /// Entries of each owner.
    counts: LinearMap<NodeId, u16, 64>,
    /// Shares below the usual ones.
    quotas: LinearMap<NodeId, u16, 64>,
    evict_after: Option<Instant>,
    not_learned: u64,
}

/// One entry, for status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub mac: MacAddr,
    pub owner: NodeId,
    pub age: Duration,
}

impl Owners {
    pub fn new(me: NodeId, now: Instant) -> Self {
        Self {
            me,
            began: now,
            entries: Box::new(FnvIndexMap::new()),
            counts: LinearMap::new(),
            quotas: LinearMap::new(),
            evict_after: None,
            not_learned: 0,
        }
    }

    /// The owner of `mac`, if it was heard of recently.
    pub fn find(&mut self, now: Instant, mac: MacAddr) -> Option<NodeId> {
        let seconds = self.seconds(now);
        let entry = *self.entries.get(&mac)?;
        if self.is_stale(seconds, entry) {
            self.remove(mac);
            return None;
        }
        Some(entry.owner)
    }

    /// A frame of `mac` came out of the LAN here (`owner` is us) or from another node.
    pub fn learn(&mut self, now: Instant, mac: MacAddr, owner: NodeId) {
        let seconds = self.seconds(now);
        match self.entries.get_mut(&mac) {
            Some(entry) if entry.owner == owner => entry.last = seconds,
            Some(entry) if owner != self.me && seconds < entry.hold => {}
            Some(_) => self.move_to(seconds, mac, owner),
            None => self.insert(now, mac, owner),
        }
    }

    /// At most so many addresses may live behind this node, and not more than behind any.
    pub fn set_quota(&mut self, owner: NodeId, quota: u16) {
        // Full: the node keeps the usual share.
        let _ = self.quotas.insert(owner, quota);
    }

    pub fn remove_quota(&mut self, owner: NodeId) {
        self.quotas.remove(&owner);
    }

    /// Forgets all addresses of a node.
    pub fn forget(&mut self, owner: NodeId) {
        self.entries.retain(|_, entry| entry.owner != owner);
        self.counts.remove(&owner);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Addresses that were not learned because the table, or their owner's share of it, was full.
    pub fn not_learned(&self) -> u64 {
        self.not_learned
    }

    pub fn iter(&self, now: Instant) -> impl Iterator<Item = Known> {
        let seconds = self.seconds(now);
        self.entries.iter().filter(move |(_, entry)| !self.is_stale(seconds, **entry)).map(
            move |(mac, entry)| {
                let age = Duration::from_secs(seconds.saturating_sub(entry.last).into());
                Known { mac: *mac, owner: entry.owner, age }
            },
        )
    }

    fn seconds(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.began).as_secs() as u32
    }

    fn is_stale(&self, seconds: u32, entry: Entry) -> bool {
        let limit = if entry.owner == self.me { limits::OWNER_AGE_LOCAL } else { limits::OWNER_AGE_REMOTE };
        u64::from(seconds.saturating_sub(entry.last)) >= limit.as_secs()
    }

    fn move_to(&mut self, seconds: u32, mac: MacAddr, owner: NodeId) {
        if !self.has_quota(owner) {
            self.not_learned += 1;
            return;
        }
        let hold = if owner == self.me { seconds + HOLD.as_secs() as u32 } else { 0 };
        if let Some(old) = self.entries.get_mut(&mac).map(|entry| {
            let old = entry.owner;
            *entry = Entry { owner, last: seconds, hold };
            old
        }) {
            self.count(old, -1);
            self.count(owner, 1);
        }
    }

    fn insert(&mut self, now: Instant, mac: MacAddr, owner: NodeId) {
        let entry = Entry { owner, last: self.seconds(now), hold: 0 };
        if !self.has_quota(owner)
            || (self.entries.is_full() && !self.evict(now))
            || self.entries.insert(mac, entry).is_err()
        {
            self.not_learned += 1;
            return;
        }
        self.count(owner, 1);
    }

    fn has_quota(&self, owner: NodeId) -> bool {
        let usual = if owner == self.me { limits::OWNERS_LOCAL } else { limits::OWNERS_PER_NODE };
        let quota = self.quotas.get(&owner).map_or(usual, |quota| usual.min(*quota));
        self.counts.get(&owner).copied().unwrap_or(0) < quota
    }

    fn count(&mut self, owner: NodeId, change: i16) {
        match self.counts.get_mut(&owner) {
            Some(count) => *count = count.saturating_add_signed(change),
            None => drop(self.counts.insert(owner, 1)),
        }
        if self.counts.get(&owner) == Some(&0) {
            self.counts.remove(&owner);
        }
    }

    fn remove(&mut self, mac: MacAddr) {
        if let Some(entry) = self.entries.swap_remove(&mac) {
            self.count(entry.owner, -1);
        }
    }

    /// Makes room: a stale entry, or the longest unused one of the owner with most. False: there is none.
    fn evict(&mut self, now: Instant) -> bool {
        if self.evict_after.is_some_and(|after| now < after) {
            return false;
        }
        self.evict_after = Some(now + EVICT_PAUSE);
        let seconds = self.seconds(now);
        let fattest = self.counts.iter().max_by_key(|(_, count)| **count).map(|(owner, _)| *owner);
        let victim = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                let unused = u64::from(seconds.saturating_sub(entry.last));
                self.is_stale(seconds, **entry)
                    || (Some(entry.owner) == fattest && unused > limits::OWNER_EVICT_AGE.as_secs())
            })
            .min_by_key(|(_, entry)| entry.last)
            .map(|(mac, _)| *mac);
        victim.inspect(|mac| self.remove(*mac)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    #[test]
    fn an_address_ages_out_and_a_frame_keeps_it() {
        let t = start();
        let mut owners = Owners::new(node(1), t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(2), node(1));
        let later = t + Duration::from_secs(599);
        assert_eq!(owners.find(later, mac(2)), Some(node(1)));
        assert_eq!(owners.find(t + Duration::from_secs(600), mac(2)), None);
        owners.learn(later, mac(1), node(2));
        assert_eq!(owners.find(later + Duration::from_secs(899), mac(1)), Some(node(2)));
        assert_eq!(owners.find(later + Duration::from_secs(900), mac(1)), None);
        assert!(owners.is_empty());
    }

    #[test]
    fn a_station_that_came_here_is_not_pulled_back_for_two_seconds() {
        let t = start();
        let mut owners = Owners::new(node(1), t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(1), node(1));
        owners.learn(t + Duration::from_secs(1), mac(1), node(2));
        assert_eq!(owners.find(t + Duration::from_secs(1), mac(1)), Some(node(1)));
        owners.learn(t + Duration::from_secs(2), mac(1), node(2));
        assert_eq!(owners.find(t + Duration::from_secs(2), mac(1)), Some(node(2)));
    }

    #[test]
    fn a_flooding_node_fills_only_its_own_share() {
        let t = start();
        let mut owners = Owners::new(node(1), t);
        owners.learn(t, mac(0), node(3));
        for n in 1..10_000 {
            owners.learn(t, mac(n), node(2));
        }
        assert_eq!(owners.len(), 1 + usize::from(limits::OWNERS_PER_NODE));
        assert_eq!(owners.find(t, mac(0)), Some(node(3)));
        assert_eq!(owners.not_learned(), 9_999 - u64::from(limits::OWNERS_PER_NODE));
    }

    #[test]
    fn a_full_table_gives_up_only_what_was_long_unused() {
        let t = start();
        let mut owners = Owners::new(node(1), t);
        for n in 0..limits::OWNERS as u32 {
            owners.learn(t, mac(n), node(2 + (n / 400) as u16));
        }
        assert_eq!(owners.len(), limits::OWNERS);
        let soon = t + Duration::from_secs(30);
        owners.learn(soon, mac(999_999), node(60));
        assert_eq!(owners.find(soon, mac(999_999)), None);
        let later = t + Duration::from_secs(61);
        owners.learn(later, mac(999_999), node(60));
        assert_eq!(owners.find(later, mac(999_999)), Some(node(60)));
        assert_eq!(owners.len(), limits::OWNERS);
    }

    #[test]
    fn random_operations_agree_with_a_naive_model() {
        let t = start();
        let mut owners = Owners::new(node(1), t);
        let mut model: HashMap<MacAddr, (NodeId, u64, u64)> = HashMap::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut clock = 0;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = random >> 33;
            clock += draw % 7;
            let now = t + Duration::from_secs(clock);
            let (m, owner) = (mac((draw % 50) as u32), node(1 + (draw / 50 % 4) as u16));
            model.retain(|_, (o, last, _)| clock - *last < if *o == node(1) { 600 } else { 900 });
            assert_eq!(owners.find(now, m), model.get(&m).map(|(o, _, _)| *o));
            match model.get(&m) {
                Some((o, _, hold)) if *o == owner => drop(model.insert(m, (owner, clock, *hold))),
                Some((_, _, hold)) if owner != node(1) && clock < *hold => {}
                Some(_) if owner == node(1) => drop(model.insert(m, (owner, clock, clock + 2))),
                _ => drop(model.insert(m, (owner, clock, 0))),
            }
            owners.learn(now, m, owner);
        }
        assert!(owners.len() > 10);
    }
}
