//! What a node that is new asks of a neighbor: who owns what. Nobody signs it, so it fills gaps only.
//! Read first: docs/protocol.md, "MAC_SNAPSHOT".

use std::time::Instant;

use super::addresses::Entry;
use super::{Claim, Owners};
use crate::wire::stations::{Owned, SNAPSHOT};

/// A part of the table, for one message; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub rows: Vec<Owned>,
    /// Where the next part begins; `None`: that was all.
    pub next: Option<usize>,
}

impl Owners {
    /// The part of the table that begins at `start`, 0 at first. `None`: there is nothing, and nothing is to be sent, since
    /// an empty message would ask. Entries that come and go between two parts may be missing, or there twice.
    pub fn snapshot(&self, now: Instant, start: usize) -> Option<Snapshot> {
        let tick = self.tick(now);
        let mut entries = self.addresses.iter_from(start).filter(|(_, entry)| self.is_used(tick, entry));
        let row =
            |(_, entry): (usize, &Entry)| Owned { mac: entry.mac, owner: entry.owner, moves: entry.moves };
        let rows: Vec<Owned> = entries.by_ref().take(SNAPSHOT).map(row).collect();
        let next = entries.next().map(|(place, _)| place);
        (!rows.is_empty()).then_some(Snapshot { rows, next })
    }

    /// Another node says who owns an address. Nothing gives way to it. True: we did not know, and do now.
    pub fn handle_owned(&mut self, now: Instant, owned: Owned) -> bool {
        let tick = self.tick(now);
        let has_room = !self.shares.is_full(owned.owner) && self.addresses.len() < self.capacity;
        has_room
            && owned.owner != self.me
            && self.entry(tick, owned.mac, owned.owner).is_none()
            && self.insert(now, owned.mac, Claim { owner: owned.owner, moves: 0, hold: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, node, owners, start};
    use super::*;
    use crate::limits;
    use crate::wire::stations::Station;

    fn owned(n: u32, id: u16) -> Owned {
        Owned { mac: mac(n), owner: node(id), moves: 7 }
    }

    #[test]
    fn all_parts_together_tell_each_usable_address_once() {
        let t = start();
        for entries in [0, 1, 511, 512, 513, 1024, 1500] {
            let mut owners = owners(t);
            (0..entries).for_each(|n| owners.learn(t, mac(n), node(2 + (n / 400) as u16)));
            owners.learn(t, mac(5000), node(1));
            owners.learn(t, mac(6000), node(60));
            owners.handle_reach(t, |node| node.value() != 60);
            let (mut told, mut next) = (Vec::new(), Some(0));
            while let Some(part) = next.and_then(|start| owners.snapshot(t, start)) {
                assert!((1..=SNAPSHOT).contains(&part.rows.len()));
                told.extend(part.rows.iter().map(|row| row.mac));
                next = part.next;
            }
            told.sort_unstable();
            assert!(told.into_iter().eq((0..entries).map(mac).chain([mac(5000)])), "{entries}");
        }
        assert_eq!(owners(t).snapshot(t, 0), None);
    }

    #[test]
    fn a_snapshot_fills_gaps_only() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.set_quota(node(4), 1);
        let cases = [
            (owned(1, 3), false),
            (owned(2, 3), true),
            (owned(3, 1), false),
            (owned(4, 4), true),
            (owned(5, 4), false),
        ];
        for (row, learned) in cases {
            assert_eq!(owners.handle_owned(t, row), learned, "{row:?}");
        }
        assert_eq!([1, 2, 3].map(|n| owners.find(t, mac(n))), [Some(node(2)), Some(node(3)), None]);
        // It has no number and no hold: frames and moves count at once.
        owners.learn(t, mac(2), node(5));
        assert_eq!(owners.find(t, mac(2)), Some(node(5)));
        assert!(owners.handle_move(t, node(6), Station { mac: mac(2), moves: 1 }));
        assert_eq!(owners.counters().not_learned, 0);
    }

    #[test]
    fn nothing_gives_way_to_a_snapshot() {
        let t = start();
        let mut owners = owners(t);
        (0..limits::OWNERS as u32).for_each(|n| owners.learn(t, mac(n), node(2 + (n / 400) as u16)));
        let later = t + super::super::tests::seconds(100);
        assert!(!owners.handle_owned(later, owned(99_999, 60)));
        owners.learn(later, mac(99_999), node(60));
        assert_eq!((owners.find(later, mac(99_999)), owners.counters().evicted), (Some(node(60)), 1));
    }
}
