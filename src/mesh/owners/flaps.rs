//! Addresses that move again and again: a sign of a loop outside of the mesh, or of somebody who uses another's address.
//! Says when one is to stay where it is. Read first: docs/protocol.md, "Owners".

use heapless::Vec;

use super::ticks;
use crate::limits::{FLAP_FREEZE, FLAP_MOVES, FLAP_WINDOW, FLAPS};
use crate::types::{MacAddr, NodeId, Table};

struct Flap {
    mac: MacAddr,
    /// Of the nodes that had it since it last stayed for [`FLAP_WINDOW`].
    lowest: NodeId,
    /// Ticks of its last moves.
    moves: Vec<u32, FLAP_MOVES>,
    last: u32,
    /// It does not move before this tick.
    until: Option<u32>,
}

/// At most [`FLAPS`] addresses that moved lately. Full: of those that may move the one goes that did so longest ago; if none
/// may, the one that stayed longest.
pub(super) struct Flaps {
    rows: Vec<Flap, FLAPS>,
}

impl Flaps {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { rows: Vec::new() })
    }

    pub(super) fn table(&self) -> Table {
        Table { name: "flaps", used: self.rows.len(), capacity: FLAPS, bytes: size_of_val(self) }
    }

    pub(super) fn is_frozen(&self, tick: u32, mac: MacAddr) -> bool {
        let row = self.rows.iter().find(|row| row.mac == mac);
        row.and_then(|row| row.until).is_some_and(|until| tick < until)
    }

    /// The address moved. With one move too many it is frozen, and stays with the node that is given.
    pub(super) fn record(&mut self, tick: u32, mac: MacAddr, from: NodeId, to: NodeId) -> Option<NodeId> {
        let row = self.row(tick, mac, from)?;
        row.lowest = row.lowest.min(from).min(to);
        row.last = tick;
        let first = row.moves.first().copied();
        if row.moves.is_full() && first.is_some_and(|first| tick.saturating_sub(first) <= ticks(FLAP_WINDOW))
        {
            row.moves.clear();
            row.until = Some(tick.saturating_add(ticks(FLAP_FREEZE)));
            return Some(row.lowest);
        }
        if row.moves.is_full() {
            row.moves.remove(0);
        }
        // There is room now.
        let _ = row.moves.push(tick);
        None
    }

    /// What is known of the address; nothing of what is over.
    fn row(&mut self, tick: u32, mac: MacAddr, from: NodeId) -> Option<&mut Flap> {
        let fresh = Flap { mac, lowest: from, moves: Vec::new(), last: tick, until: None };
        if let Some(at) = self.rows.iter().position(|row| row.mac == mac) {
            let row = self.rows.get_mut(at)?;
            if row.until.is_some() || tick.saturating_sub(row.last) > ticks(FLAP_WINDOW) {
                *row = fresh;
            }
            return Some(row);
        }
        if self.rows.is_full() {
            let rank = |row: &Flap| (row.until.is_some_and(|until| tick < until), row.last);
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| rank(row)).map(|(at, _)| at);
            oldest.map(|at| self.rows.swap_remove(at));
        }
        self.rows.push(fresh).ok()?;
        self.rows.last_mut()
    }

    /// Nothing stays with this node.
    pub(super) fn forget(&mut self, owner: NodeId) {
        self.rows.retain(|row| row.lowest != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, node};
    use super::*;

    const SECOND: u32 = 16;

    #[test]
    fn the_sixth_move_in_twenty_seconds_is_one_too_many() {
        for (pause, frozen) in [(4 * SECOND, true), (4 * SECOND + 1, false)] {
            let mut flaps = Flaps::new();
            let stays: Vec<_, 12> =
                (0..12).map(|n| flaps.record(n * pause, mac(1), node(5), node(3))).collect();
            assert_eq!(stays.first_chunk(), Some(&[None; 5]));
            assert_eq!(stays.get(5), Some(&frozen.then_some(node(3))), "{pause}");
            assert_eq!(stays.iter().any(Option::is_some), frozen);
        }
    }

    #[test]
    fn it_stays_for_three_minutes_with_the_lowest_of_those_involved() {
        let mut flaps = Flaps::new();
        let nodes = [4, 9, 4, 3, 9, 8, 7].map(node);
        for pair in nodes.windows(2).take(5) {
            assert_eq!(flaps.record(0, mac(1), pair[0], pair[1]), None);
        }
        assert!(!flaps.is_frozen(0, mac(1)));
        assert_eq!(flaps.record(0, mac(1), node(8), node(7)), Some(node(3)));
        assert!(flaps.is_frozen(180 * SECOND - 1, mac(1)) && !flaps.is_frozen(0, mac(2)));
        assert!(!flaps.is_frozen(180 * SECOND, mac(1)));
        // Afterwards it begins anew, with those who are involved then.
        for n in 0..5 {
            assert_eq!(flaps.record(181 * SECOND + n, mac(1), node(8), node(7)), None);
        }
        assert_eq!(flaps.record(182 * SECOND, mac(1), node(8), node(7)), Some(node(7)));
    }

    #[test]
    fn a_full_table_forgets_what_moved_longest_ago_and_keeps_what_is_frozen() {
        let mut flaps = Flaps::new();
        for _ in 0..6 {
            flaps.record(0, mac(0), node(2), node(1));
        }
        for n in 1..1000 {
            flaps.record(n, mac(n), node(2), node(1));
            assert!(flaps.is_frozen(n, mac(0)), "{n}");
            assert!(flaps.rows.len() <= FLAPS);
        }
        flaps.forget(node(1));
        assert!(!flaps.is_frozen(1000, mac(0)));
    }

    #[test]
    fn if_all_are_frozen_the_first_of_them_goes() {
        let mut flaps = Flaps::new();
        for n in 0..=FLAPS as u32 {
            for _ in 0..6 {
                flaps.record(n, mac(n), node(2), node(1));
            }
        }
        let frozen = (0..=FLAPS as u32).filter(|n| flaps.is_frozen(100, mac(*n)));
        assert_eq!(frozen.collect::<std::vec::Vec<_>>(), (1..=FLAPS as u32).collect::<std::vec::Vec<_>>());
    }
}
