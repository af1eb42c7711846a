//! What each node has in the table: how many entries, how many it may have, in which order they were used, and whether a
//! path leads to it. Read first: docs/protocol.md, "Owners".

use heapless::index_map::FnvIndexMap;

use super::addresses::{Addresses, NONE, Place};
use crate::limits::{NODES, OWNERS_LOCAL, OWNERS_PER_NODE};
use crate::types::{NodeId, Table};

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) count: u16,
    /// By certificate; `None`: no certificate of the node is known.
    quota: Option<u16>,
    /// The ends of its entries in the order of use.
    pub(super) oldest: Place,
    newest: Place,
    /// Tick since when no path leads to it.
    pub(super) lost: Option<u32>,
}

const EMPTY: Share = Share { count: 0, quota: None, oldest: NONE, newest: NONE, lost: None };

/// Of at most [`NODES`] nodes: of each that has entries or a quota. Full: a further one can have neither.
pub(super) struct Shares {
    me: NodeId,
    map: Box<FnvIndexMap<NodeId, Share, NODES>>,
}

impl Shares {
    pub(super) fn new(me: NodeId) -> Self {
        let mut map = Box::new(FnvIndexMap::new());
        // It is empty, and we are never taken out.
        let _ = map.insert(me, EMPTY);
        Self { me, map }
    }

    pub(super) fn table(&self) -> Table {
        let map = &*self.map;
        Table { name: "shares", used: map.len(), capacity: NODES, bytes: size_of_val(map) }
    }

    pub(super) fn get(&self, owner: NodeId) -> Option<&Share> {
        self.map.get(&owner)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Share)> {
        self.map.iter().map(|(owner, share)| (*owner, share))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Share)> {
        self.map.iter_mut().map(|(owner, share)| (*owner, share))
    }

    pub(super) fn is_reached(&self, owner: NodeId) -> bool {
        self.get(owner).is_some_and(|share| share.lost.is_none())
    }

    pub(super) fn set_quota(&mut self, owner: NodeId, quota: u16) {
        if let Some(share) = self.make(owner) {
            share.quota = Some(quota);
        }
    }

    pub(super) fn remove_quota(&mut self, owner: NodeId) {
        if let Some(share) = self.map.get_mut(&owner) {
            share.quota = None;
        }
        self.tidy(owner);
    }

    /// How many entries it may have.
    pub(super) fn quota(&self, owner: NodeId) -> u16 {
        let usual = if owner == self.me { OWNERS_LOCAL } else { OWNERS_PER_NODE };
        self.get(owner).and_then(|share| share.quota).map_or(usual, |quota| usual.min(quota))
    }

    pub(super) fn is_full(&self, owner: NodeId) -> bool {
        self.get(owner).is_some_and(|share| share.count >= self.quota(owner))
    }

    /// True if the node has a share, or can have one.
    pub(super) fn admits(&self, owner: NodeId) -> bool {
        self.map.contains_key(&owner) || !self.map.is_full()
    }

    fn make(&mut self, owner: NodeId) -> Option<&mut Share> {
        if !self.map.contains_key(&owner) {
            self.map.insert(owner, EMPTY).ok()?;
        }
        self.map.get_mut(&owner)
    }

    /// The entry is its owner's, and is the one used last. False: no room for a further node.
    pub(super) fn append(&mut self, addresses: &mut Addresses, place: Place) -> bool {
        let Some(owner) = addresses.get(place).map(|entry| entry.owner) else { return false };
        let Some(share) = self.make(owner) else { return false };
        let before = core::mem::replace(&mut share.newest, place);
        share.count += 1;
        if before == NONE {
            share.oldest = place;
        }
        if let Some(entry) = addresses.get_mut(before) {
            entry.newer = place;
        }
        if let Some(entry) = addresses.get_mut(place) {
            (entry.older, entry.newer) = (before, NONE);
        }
        true
    }

    /// The entry is no longer its owner's.
    pub(super) fn detach(&mut self, addresses: &mut Addresses, place: Place) {
        self.unlink(addresses, place);
        if let Some(owner) = addresses.get(place).map(|entry| entry.owner) {
            self.tidy(owner);
        }
    }

    /// The entry is the one that its owner used last.
    pub(super) fn touch(&mut self, addresses: &mut Addresses, place: Place) {
        self.unlink(addresses, place);
        self.append(addresses, place);
    }

    fn unlink(&mut self, addresses: &mut Addresses, place: Place) {
        let Some(entry) = addresses.get(place).copied() else { return };
        if let Some(older) = addresses.get_mut(entry.older) {
            older.newer = entry.newer;
        }
        if let Some(newer) = addresses.get_mut(entry.newer) {
            newer.older = entry.older;
        }
        let Some(share) = self.map.get_mut(&entry.owner) else { return };
        share.count = share.count.saturating_sub(1);
        if share.oldest == place {
            share.oldest = entry.newer;
        }
        if share.newest == place {
            share.newest = entry.older;
        }
    }

    /// Of the nodes with most entries the one whose oldest was not used for longest: that entry, and for how many ticks.
    pub(super) fn oldest_of_most(&self, addresses: &Addresses, tick: u32) -> Option<(Place, u16)> {
        let mut most: Option<(u16, u16, Place)> = None;
        for share in self.map.values() {
            if most.is_some_and(|(count, ..)| share.count < count) {
                continue;
            }
            let Some(oldest) = addresses.get(share.oldest) else { continue };
            let unused = (tick as u16).wrapping_sub(oldest.last);
            most = most.max(Some((share.count, unused, share.oldest)));
        }
        most.map(|(_, unused, place)| (place, unused))
    }

    /// Of a node that has nothing nothing need be known.
    fn tidy(&mut self, owner: NodeId) {
        let is_idle = |share: &Share| share.count == 0 && share.quota.is_none();
        if owner != self.me && self.get(owner).is_some_and(is_idle) {
            self.map.remove(&owner);
        }
    }
}
