//! Who gives way when there is no room: quotas of nodes, the capacity of the table, and addresses that a node may no longer
//! have. Each is found by its order of use, never by a search through the table. Read first: docs/protocol.md, "Owners".

use std::time::Instant;

use super::addresses::{Entry, Place};
use super::{Owners, ticks};
use crate::limits;
use crate::types::{MacAddr, NodeId};

impl Owners {
    /// A share that is full gives up its own longest unused entry, and no other's.
    pub(super) fn make_room_in_share(&mut self, tick: u32, owner: NodeId) -> bool {
        if !self.shares.is_full(owner) {
            return self.shares.admits(owner);
        }
        let oldest = self.shares.get(owner).map(|share| share.oldest);
        let unused = |entry: &Entry| (tick as u16).wrapping_sub(entry.last);
        let victim = oldest.and_then(|place| Some((place, unused(self.addresses.get(place)?))));
        self.evict(victim)
    }

    /// A table that is full gives up the longest unused entry of the node with most.
    pub(super) fn make_room(&mut self, tick: u32) -> bool {
        self.addresses.len() < self.capacity || {
            let victim = self.shares.oldest_of_most(&self.addresses, tick);
            self.evict(victim)
        }
    }

    /// Takes the entry out if it was unused for so many ticks that it may go.
    fn evict(&mut self, victim: Option<(Place, u16)>) -> bool {
        let Some((place, unused)) = victim else { return false };
        let may_go = u32::from(unused) > ticks(limits::OWNER_EVICT_AGE);
        if may_go {
            self.remove(place);
            self.counters.evicted += 1;
        }
        may_go
    }

    /// Whether this node can have addresses at all: there are at most [`limits::NODES`].
    pub fn has_room_for(&self, owner: NodeId) -> bool {
        self.shares.admits(owner)
    }

    /// At most so many addresses may live behind this node, and not more than behind any.
    pub fn set_quota(&mut self, owner: NodeId, quota: u16) {
        self.shares.set_quota(owner, quota);
        while self.shares.get(owner).is_some_and(|share| share.count > self.shares.quota(owner)) {
            self.remove_oldest(owner);
        }
    }

    /// No certificate of the node is known any more.
    pub fn remove_quota(&mut self, owner: NodeId) {
        self.shares.remove_quota(owner);
    }

    fn remove_oldest(&mut self, owner: NodeId) {
        if let Some(place) = self.shares.get(owner).map(|share| share.oldest) {
            self.remove(place);
        }
    }

    /// At most so many addresses, and not more than [`limits::OWNERS`]. What is too much goes at once, longest unused first,
    /// of the node with most.
    pub fn set_capacity(&mut self, now: Instant, macs: usize) {
        self.capacity = macs.clamp(1, limits::OWNERS);
        let tick = self.tick(now);
        while self.addresses.len() > self.capacity {
            let Some((place, _)) = self.shares.oldest_of_most(&self.addresses, tick) else { return };
            self.remove(place);
            self.counters.evicted += 1;
        }
    }

    /// Forgets all addresses of a node.
    pub fn forget(&mut self, owner: NodeId) {
        self.retain(owner, |_| false);
        self.flaps.forget(owner);
    }

    /// Forgets those addresses of a node that it may not have.
    pub fn retain(&mut self, owner: NodeId, may_have: impl Fn(MacAddr) -> bool) {
        let mut next = self.shares.get(owner).map(|share| share.oldest);
        while let Some((place, entry)) = next.and_then(|place| Some((place, *self.addresses.get(place)?))) {
            next = Some(entry.newer);
            if !may_have(entry.mac) {
                self.remove(place);
            }
        }
    }

    /// Forgets the address if its owner may not have it.
    pub fn retain_address(&mut self, mac: MacAddr, may_have: impl Fn(NodeId) -> bool) {
        let Some(place) = self.addresses.find(mac) else { return };
        if self.addresses.get(place).is_some_and(|entry| !may_have(entry.owner)) {
            self.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, node, owners, seconds, start};
    use super::*;

    #[test]
    fn a_flooding_node_fills_only_its_own_share() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(0), node(3));
        (1..10_000).for_each(|n| owners.learn(t, mac(n), node(2)));
        assert_eq!(owners.len(), 1 + usize::from(limits::OWNERS_PER_NODE));
        assert_eq!(owners.find(t, mac(0)), Some(node(3)));
        assert_eq!(owners.counters().not_learned, 9_999 - u64::from(limits::OWNERS_PER_NODE));
        (10_000..20_000).for_each(|n| owners.learn(t, mac(n), node(1)));
        assert_eq!(owners.len(), 1 + usize::from(limits::OWNERS_PER_NODE + limits::OWNERS_LOCAL));
    }

    #[test]
    fn a_certificate_can_lower_a_share_and_not_raise_it() {
        let t = start();
        let usual = usize::from(limits::OWNERS_PER_NODE);
        for (quota, learned) in [(0, 0), (3, 3), (u16::MAX, usual)] {
            let mut owners = owners(t);
            owners.set_quota(node(2), quota);
            (0..2000).for_each(|n| owners.learn(t, mac(n), node(2)));
            assert_eq!(owners.len(), learned);
            owners.remove_quota(node(2));
            (0..2000).for_each(|n| owners.learn(t, mac(n), node(2)));
            assert_eq!(owners.len(), usual);
            owners.set_quota(node(2), 2);
            assert_eq!(owners.len(), 2);
        }
    }

    #[test]
    fn a_full_share_gives_up_its_own_longest_unused_after_a_minute() {
        let t = start();
        let mut owners = owners(t);
        owners.set_quota(node(2), 2);
        owners.learn(t, mac(9), node(3));
        owners.learn(t, mac(1), node(2));
        owners.learn(t + seconds(1), mac(2), node(2));
        owners.learn(t + seconds(50), mac(1), node(2));
        let learn_third = |owners: &mut Owners, after| {
            owners.learn(t + seconds(after), mac(3), node(2));
            [1, 2, 3, 9].map(|n| owners.find(t + seconds(after), mac(n)).is_some())
        };
        assert_eq!(learn_third(&mut owners, 61), [true, true, false, true]);
        assert_eq!(learn_third(&mut owners, 62), [true, false, true, true]);
        assert_eq!((owners.counters().not_learned, owners.counters().evicted), (1, 1));
    }

    #[test]
    fn a_full_table_gives_up_only_what_was_long_unused_of_the_node_with_most() {
        let t = start();
        let mut owners = owners(t);
        // Node 3 has most, node 2 the oldest.
        let of = |n: usize| {
            if n < 400 {
                node(2)
            } else if n < 900 {
                node(3)
            } else {
                node(4 + (n / 450) as u16)
            }
        };
        for n in 0..limits::OWNERS {
            owners.learn(t + seconds(u64::from(n >= 400)), mac(n as u32), of(n));
        }
        assert_eq!(owners.len(), limits::OWNERS);
        for (after, learned) in [(61, false), (62, true)] {
            let now = t + seconds(after);
            owners.learn(now, mac(999_999), node(60));
            assert_eq!(owners.find(now, mac(999_999)), learned.then_some(node(60)));
            assert_eq!(owners.find(now, mac(0)), Some(node(2)));
            assert_eq!(owners.find(now, mac(400)), (!learned).then_some(node(3)));
        }
        assert_eq!(owners.len(), limits::OWNERS);
    }

    #[test]
    fn the_table_can_be_made_smaller_and_never_larger() {
        let t = start();
        let mut owners = owners(t);
        (0..50).for_each(|n| owners.learn(t + seconds(n), mac(n as u32), node(if n < 40 { 2 } else { 3 })));
        let now = t + seconds(50);
        owners.set_capacity(now, 20);
        assert_eq!((owners.len(), owners.capacity(), owners.counters().evicted), (20, 20, 30));
        // Node 2 lost its oldest, until it had as many as node 3.
        assert!((30..50).all(|n| owners.find(now, mac(n)).is_some()));
        owners.learn(now, mac(99), node(4));
        assert_eq!(owners.find(now, mac(99)), None);
        owners.set_capacity(now, usize::MAX);
        assert_eq!(owners.capacity(), limits::OWNERS);
        owners.set_capacity(now, 0);
        assert_eq!((owners.capacity(), owners.len()), (1, 1));
    }

    #[test]
    fn a_revoked_node_has_nothing_at_once_and_the_others_all() {
        let t = start();
        let mut owners = owners(t);
        (0..300).for_each(|n| owners.learn(t, mac(n), node(2 + (n % 3) as u16)));
        (0..6).for_each(|n| owners.learn(t, mac(1000), node(2 + n % 2)));
        owners.learn(t, mac(1000), node(2));
        assert_eq!((owners.find(t, mac(1000)), owners.counters().frozen), (Some(node(2)), 1));
        owners.forget(node(2));
        assert_eq!(owners.len(), 200);
        assert!((0..300).all(|n| owners.find(t, mac(n)).is_some() == (n % 3 != 0)));
        owners.learn(t, mac(1000), node(3));
        assert_eq!(owners.find(t, mac(1000)), Some(node(3)), "nothing stays with it");
    }

    #[test]
    fn there_are_shares_for_all_nodes_and_a_further_one_gets_none() {
        let t = start();
        let mut owners = owners(t);
        for id in 2..=limits::NODES as u16 {
            owners.learn(t, mac(id.into()), node(id));
        }
        let late = node(limits::NODES as u16 + 1);
        assert!(!owners.has_room_for(late) && owners.has_room_for(node(2)));
        owners.learn(t, mac(7777), late);
        owners.learn(t, mac(2), late);
        assert_eq!((owners.find(t, mac(7777)), owners.find(t, mac(2))), (None, Some(node(2))));
        assert_eq!(owners.counters().not_learned, 2);
        owners.forget(node(2));
        owners.learn(t, mac(7777), late);
        assert_eq!(owners.find(t, mac(7777)), Some(late));
    }
}
