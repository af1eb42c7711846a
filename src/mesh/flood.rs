//! Broadcasts of other nodes: which copy is the first, and over which links it goes on.
//! Does not send and finds no trees. Read first: docs/protocol.md, "Trees" and "Copies".

use std::time::Instant;

use heapless::index_map::FnvIndexMap;

use super::spf::bit;
use super::trees::Branch;
use crate::limits::{NODES, OLD_TREE, WINDOW_JUMP, WINDOW_STALE};
use crate::types::{NodeId, Table};

/// What a broadcast says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub origin: NodeId,
    /// Low byte of the origin's epoch.
    pub epoch: u8,
    pub seq: u16,
}

/// How a copy came here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ingress {
    /// Over the link of that slot, along a tree.
    Slot(u8),
    /// Round a dead link: its last link may well be one that it has to go out on again.
    Tunnel,
}

/// Why a copy goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Its origin is this node.
    Own,
    /// Its origin is out of reach or unknown.
    NoPath,
    /// Of another run of the origin than the one that is announced.
    Epoch,
    /// Here already, or so old that nobody can tell.
    Duplicate,
    /// Far ahead of what came before, and not from the parent, who alone is believed that.
    Ahead,
}

/// Bits of what was seen: the newest and 127 before it.
const WIDTH: u16 = 128;

#[derive(Clone, Copy, Debug)]
struct Window {
    epoch: u8,
    top: u16,
    /// Bit n: `top - n` was seen. 0: nothing was seen yet, and `top` is the number before the first.
    seen: u128,
    last: Instant,
}

impl Window {
    fn new(now: Instant, epoch: u8) -> Self {
        Self { epoch, top: 0, seen: 0, last: now }
    }

    /// Marks the number as seen.
    fn accept(&mut self, now: Instant, seq: u16, is_from_parent: bool) -> Result<(), Refused> {
        let (ahead, behind) = (seq.wrapping_sub(self.top), self.top.wrapping_sub(seq));
        let is_anew = self.seen == 0 || now.saturating_duration_since(self.last) >= WINDOW_STALE;
        if self.seen != 0 && behind < WIDTH {
            let mark = 1 << behind;
            if self.seen & mark != 0 {
                return Err(Refused::Duplicate);
            }
            self.seen |= mark;
        } else if (1..=WINDOW_JUMP).contains(&ahead) || (is_from_parent && (is_anew || ahead < 1 << 15)) {
            self.seen = self.seen.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.top = seq;
        } else {
            return Err(if is_anew || ahead < 1 << 15 { Refused::Ahead } else { Refused::Duplicate });
        }
        self.last = now;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    branch: Branch,
    /// Children of earlier trees, and until when they are still sent to.
    old: u64,
    until: Instant,
    window: Option<Window>,
}

/// Trees and windows of at most [`NODES`] origins. Full: a further origin has no tree, and its broadcasts are refused;
/// the database has the same bound.
pub struct Flood {
    me: NodeId,
    seq: u16,
    entries: Box<FnvIndexMap<NodeId, Entry, NODES>>,
}

impl Flood {
    pub fn new(me: NodeId) -> Self {
        Self { me, seq: 0, entries: Box::new(FnvIndexMap::new()) }
    }

    /// The tree of this origin, after each search. Children that it had before are sent to for a while.
    pub fn set_branch(&mut self, now: Instant, origin: NodeId, branch: Branch) {
        let Some(entry) = self.entries.get_mut(&origin) else {
            let _ = self.entries.insert(origin, Entry { branch, old: 0, until: now, window: None });
            return;
        };
        if entry.branch.children != branch.children {
            let old = if now < entry.until { entry.old } else { 0 };
            entry.old = old | entry.branch.children;
            entry.until = now + OLD_TREE;
        }
        entry.branch = branch;
    }

    /// The node is gone from the database.
    pub fn forget(&mut self, origin: NodeId) {
        self.entries.remove(&origin);
    }

    /// The slot may become another node's: nothing of the old trees goes there.
    pub fn forget_slot(&mut self, slot: u8) {
        for entry in self.entries.values_mut() {
            entry.old &= !bit(slot);
            entry.branch.children &= !bit(slot);
        }
    }

    pub fn table(&self) -> Table {
        let entries = &*self.entries;
        Table { name: "windows", used: entries.len(), capacity: NODES, bytes: size_of_val(entries) }
    }

    /// The number of the next broadcast of this node, and the slots that it goes out on.
    pub fn originate(&mut self, now: Instant) -> (u16, u64) {
        self.seq = self.seq.wrapping_add(1);
        (self.seq, self.entries.get(&self.me).map_or(0, |entry| entry.slots(now)))
    }

    /// A copy came; `announced` is the origin's epoch in the database. The slots over which it goes on, if it is the first.
    pub fn receive(
        &mut self,
        now: Instant,
        mark: Mark,
        ingress: Ingress,
        announced: u32,
    ) -> Result<u64, Refused> {
        if mark.origin == self.me {
            return Err(Refused::Own);
        }
        let entry = self.entries.get_mut(&mark.origin).ok_or(Refused::NoPath)?;
        let parent = entry.branch.parent.ok_or(Refused::NoPath)?;
        let mut window = entry.window.filter(|window| window.epoch == mark.epoch);
        if window.is_none() && announced as u8 == mark.epoch {
            window = Some(Window::new(now, mark.epoch));
        }
        let mut window = window.ok_or(Refused::Epoch)?;
        window.accept(now, mark.seq, ingress == Ingress::Slot(parent))?;
        entry.window = Some(window);
        let back = if let Ingress::Slot(slot) = ingress { bit(slot) } else { 0 };
        Ok(entry.slots(now) & !back)
    }
}

impl Entry {
    fn slots(&self, now: Instant) -> u64 {
        self.branch.children | if now < self.until { self.old } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::graph::tests::node;
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn mark(epoch: u8, seq: u16) -> Mark {
        Mark { origin: node(2), epoch, seq }
    }

    const PARENT: Ingress = Ingress::Slot(3);
    const OTHER: Ingress = Ingress::Slot(0);

    /// Node 1, which hears node 2 over slot 3 and hands on to slots 0 and 1.
    fn flood(t: Instant) -> Flood {
        let mut flood = Flood::new(node(1));
        flood.set_branch(t, node(2), Branch { parent: Some(3), children: 0b11 });
        flood
    }

    #[test]
    fn the_first_copy_goes_on_wherever_it_comes_from_and_never_back() {
        let t = start();
        for (ingress, slots) in [(PARENT, 0b11), (OTHER, 0b10), (Ingress::Tunnel, 0b11)] {
            let mut flood = flood(t);
            assert_eq!(flood.receive(t, mark(7, 1), ingress, 0x107), Ok(slots));
            for again in [PARENT, OTHER, Ingress::Tunnel] {
                assert_eq!(flood.receive(t, mark(7, 1), again, 0x107), Err(Refused::Duplicate));
            }
        }
    }

    #[test]
    fn copies_of_the_node_itself_and_of_nodes_out_of_reach_are_refused() {
        let t = start();
        let mut flood = flood(t);
        flood.set_branch(t, node(4), Branch::default());
        for (origin, refused) in [(1, Refused::Own), (4, Refused::NoPath), (5, Refused::NoPath)] {
            let mark = Mark { origin: node(origin), epoch: 7, seq: 1 };
            assert_eq!(flood.receive(t, mark, PARENT, 7), Err(refused));
        }
        flood.forget(node(2));
        assert_eq!(flood.receive(t, mark(7, 1), PARENT, 7), Err(Refused::NoPath));
    }

    #[test]
    fn a_restarted_origin_counts_anew_once_it_has_announced_itself() {
        let t = start();
        let mut flood = flood(t);
        assert!(flood.receive(t, mark(7, 1), PARENT, 7).is_ok());
        assert_eq!(flood.receive(t, mark(8, 1), PARENT, 7), Err(Refused::Epoch));
        assert!(flood.receive(t, mark(8, 1), PARENT, 8).is_ok());
        assert_eq!(flood.receive(t, mark(7, 2), PARENT, 8), Err(Refused::Epoch));
        assert_eq!(flood.receive(t, mark(8, 1), PARENT, 8), Err(Refused::Duplicate));
    }

    #[test]
    fn only_the_parent_is_believed_a_number_far_ahead() {
        let t = start();
        let ahead = |seq, ingress, later| {
            let mut flood = flood(t);
            flood.receive(t, mark(7, 1), PARENT, 7).expect("the first");
            flood.receive(t + later, mark(7, seq), ingress, 7).err()
        };
        let zero = Duration::ZERO;
        let cases = [
            (1025, OTHER, zero, None),
            (1026, OTHER, zero, Some(Refused::Ahead)),
            (1026, Ingress::Tunnel, zero, Some(Refused::Ahead)),
            (1026, PARENT, zero, None),
            (0x8000, PARENT, zero, None),
            (0x8001, PARENT, zero, Some(Refused::Duplicate)),
            (0x8001, OTHER, WINDOW_STALE, Some(Refused::Ahead)),
            (0x8001, PARENT, WINDOW_STALE, None),
        ];
        for (seq, ingress, later, refused) in cases {
            assert_eq!(ahead(seq, ingress, later), refused, "{seq} {ingress:?}");
        }
        // One that is heard for the first time may be anywhere.
        assert_eq!(flood(t).receive(t, mark(7, 40_000), OTHER, 7), Err(Refused::Ahead));
        assert!(flood(t).receive(t, mark(7, 40_000), PARENT, 7).is_ok());
    }

    #[test]
    fn children_of_the_old_tree_are_sent_to_for_a_second() {
        let t = start();
        let at = |ms| t + Duration::from_millis(ms);
        let mut flood = flood(t);
        flood.set_branch(at(0), node(2), Branch { parent: Some(3), children: 0b100 });
        flood.set_branch(at(600), node(2), Branch { parent: Some(3), children: 0b100 });
        assert_eq!(flood.receive(at(999), mark(7, 1), PARENT, 7), Ok(0b111));
        assert_eq!(flood.receive(at(1000), mark(7, 2), PARENT, 7), Ok(0b100));
        flood.set_branch(at(1100), node(2), Branch { parent: Some(3), children: 0b1_0000 });
        flood.set_branch(at(1900), node(2), Branch { parent: Some(3), children: 0b10_0000 });
        assert_eq!(flood.receive(at(2899), mark(7, 3), PARENT, 7), Ok(0b11_0100));
        flood.forget_slot(4);
        assert_eq!(flood.receive(at(2899), mark(7, 4), PARENT, 7), Ok(0b10_0100));
    }

    #[test]
    fn own_broadcasts_are_numbered_from_one_and_go_to_the_children() {
        let t = start();
        let mut flood = flood(t);
        assert_eq!(flood.originate(t), (1, 0));
        flood.set_branch(t, node(1), Branch { parent: None, children: 0b101 });
        assert_eq!(flood.originate(t), (2, 0b101));
    }

    #[test]
    fn more_origins_than_there_is_room_for_are_refused_and_hurt_no_other() {
        let t = start();
        let mut flood = flood(t);
        let branch = Branch { parent: Some(3), children: 1 };
        (10..2000).for_each(|id| flood.set_branch(t, node(id), branch));
        let last = Mark { origin: node(1999), epoch: 7, seq: 1 };
        assert_eq!(flood.receive(t, last, PARENT, 7), Err(Refused::NoPath));
        assert!(flood.receive(t, mark(7, 1), PARENT, 7).is_ok());
    }

    #[test]
    fn random_copies_agree_with_a_naive_model() {
        let t = start();
        let mut flood = flood(t);
        // Numbers that do not wrap, of which the frame carries the low half.
        let (mut top, mut seen) = (1_u64, BTreeSet::from([1_u64]));
        flood.receive(t, mark(7, 1), PARENT, 7).expect("the first");
        let (mut random, mut accepted, mut clock) = (5_u64, 0, 0);
        for _ in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = random >> 33;
            clock += draw % 3;
            let ingress = [PARENT, OTHER, Ingress::Tunnel][draw as usize / 4 % 3];
            let seq = match draw % 64 {
                0 => top + draw / 64 % 2000,
                1..=40 => top.saturating_sub(draw / 64 % 200),
                _ => top + draw / 64 % 4,
            };
            let expected = if seq <= top {
                top - seq < 128 && !seen.contains(&seq)
            } else {
                seq - top <= 1024 || ingress == PARENT
            };
            let now = t + Duration::from_millis(clock);
            assert_eq!(flood.receive(now, mark(7, seq as u16), ingress, 7).is_ok(), expected, "{seq} {top}");
            if expected {
                assert!(seen.insert(seq), "{seq} was accepted twice");
                top = top.max(seq);
                accepted += 1;
            }
        }
        assert!(accepted > 10_000 && top > 1 << 17, "{accepted} {top}");
    }
}
