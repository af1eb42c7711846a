//! Broadcasts of other nodes: which copy is the first, and over which links it goes on.
//! Does not send and finds no trees. Read first: docs/protocol.md, "Trees" and "Copies".

use std::time::Instant;

use heapless::Deque;
use heapless::index_map::FnvIndexMap;

use super::graph::mix;
use super::spf::bit;
use super::trees::Branch;
use crate::limits::{EARLY, NODES, OLD_TREE, WINDOW_JUMP, WINDOW_STALE};
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
    /// The same, but its neighbor there did not get it from its parent.
    Astray(u8),
    /// Round a dead link: its last link may well be one that it has to go out on again.
    Tunnel,
}

/// How a first copy goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Onward {
    /// Over the links of these slots, one bit each.
    pub slots: u64,
    /// It did not come from the parent, and is to say so.
    pub is_astray: bool,
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

/// How far the one number is behind the other, as numbers that wrap.
fn behind(seq: u16, of: u16) -> u16 {
    of.wrapping_sub(seq)
}

/// Numbers that were seen.
#[derive(Clone, Copy, Default, Debug)]
struct Marks {
    top: u16,
    /// Bit n: `top - n` was seen. 0: nothing was seen yet, and `top` is the number before the first.
    seen: u128,
}

impl Marks {
    fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// `None`: not among those that are remembered.
    fn has(&self, seq: u16) -> Option<bool> {
        let behind = behind(seq, self.top);
        (!self.is_empty() && behind < WIDTH).then(|| self.seen & 1 << behind != 0)
    }

    /// One that is remembered, or newer than all.
    fn mark(&mut self, seq: u16) {
        if self.has(seq).is_some() {
            self.seen |= 1 << behind(seq, self.top);
        } else {
            self.seen = self.seen.checked_shl(behind(self.top, seq).into()).unwrap_or(0) | 1;
            self.top = seq;
        }
    }
}

/// Of what the parent brought, and of what came first from elsewhere, whoever it was: that must not keep away what the parent
/// brings.
#[derive(Clone, Copy, Debug)]
struct Window {
    epoch: u32,
    parent: Marks,
    others: Marks,
    /// When the parent brought the last one.
    last: Instant,
}

impl Window {
    fn new(now: Instant, epoch: u32) -> Self {
        Self { epoch, parent: Marks::default(), others: Marks::default(), last: now }
    }

    /// The parent brings it.
    fn accept(&mut self, now: Instant, seq: u16) -> Result<(), Refused> {
        let is_anew = self.parent.is_empty() || now.saturating_duration_since(self.last) >= WINDOW_STALE;
        match self.parent.has(seq) {
            Some(false) => {}
            None if is_anew || behind(self.parent.top, seq) < 1 << 15 => {}
            _ => return Err(Refused::Duplicate),
        }
        self.parent.mark(seq);
        self.last = now;
        self.keep_near();
        Ok(())
    }

    /// Whether others may have brought that number.
    fn may_have_come(&self, seq: u16) -> bool {
        !self.others.is_empty() && self.others.has(seq) != Some(false)
    }

    /// Somebody else brings it.
    fn accept_from_others(&mut self, seq: u16) -> Result<(), Refused> {
        let ahead = behind(self.parent.top, seq);
        match self.parent.has(seq) {
            Some(true) => return Err(Refused::Duplicate),
            Some(false) => {}
            None if (1..=WINDOW_JUMP).contains(&ahead) => {}
            None if self.parent.is_empty() || ahead < 1 << 15 => return Err(Refused::Ahead),
            None => return Err(Refused::Duplicate),
        }
        self.keep_near();
        match self.others.has(seq) {
            Some(false) => {}
            None if self.others.is_empty() || behind(self.others.top, seq) < 1 << 15 => {}
            _ => return Err(Refused::Duplicate),
        }
        self.others.mark(seq);
        Ok(())
    }

    /// Numbers that are refused for their age need not be remembered, and later ones must not be compared with them.
    fn keep_near(&mut self) {
        let (ahead, old) =
            (behind(self.parent.top, self.others.top), behind(self.others.top, self.parent.top));
        if ahead > WINDOW_JUMP && old >= WIDTH {
            self.others = Marks::default();
        }
    }
}

/// What came first from elsewhere than from the parent: which one, and a hash over the frame.
type Early = (Mark, u64);

#[derive(Clone, Copy, Debug)]
struct Entry {
    branch: Branch,
    /// Children of earlier trees, and until when they are still sent to.
    old: u64,
    until: Instant,
    window: Option<Window>,
}

/// Trees and windows of at most [`NODES`] origins. Full: a further origin has no tree, and its broadcasts are refused;
/// the database has the same bound. And what the last [`EARLY`] frames were that came early. Full: the oldest is forgotten,
/// and when its parent brings it as well, it arrives twice.
pub struct Flood {
    me: NodeId,
    seq: u16,
    entries: Box<FnvIndexMap<NodeId, Entry, NODES>>,
    early: Box<Deque<Early, EARLY>>,
    seed: u64,
}

impl Flood {
    /// `seed`: any number that others cannot know.
    pub fn new(me: NodeId, seed: u64) -> Self {
        Self { me, seq: 0, entries: Box::new(FnvIndexMap::new()), early: Box::new(Deque::new()), seed }
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
        Table {
            name: "windows",
            used: entries.len(),
            capacity: NODES,
            bytes: size_of_val(entries) + size_of_val(&*self.early),
        }
    }

    /// The number of the next broadcast of this node, and the slots that it goes out on.
    pub fn originate(&mut self, now: Instant) -> (u16, u64) {
        self.seq = self.seq.wrapping_add(1);
        (self.seq, self.entries.get(&self.me).map_or(0, |entry| entry.slots(now)))
    }

    /// A copy came; `announced` is the origin's epoch in the database. How it goes on, if it is the first.
    pub fn receive(
        &mut self,
        now: Instant,
        mark: Mark,
        ingress: Ingress,
        announced: u32,
        frame: &[u8],
    ) -> Result<Onward, Refused> {
        if mark.origin == self.me {
            return Err(Refused::Own);
        }
        let entry = self.entries.get_mut(&mark.origin).ok_or(Refused::NoPath)?;
        let parent = entry.branch.parent.ok_or(Refused::NoPath)?;
        let mut window = entry.window.filter(|window| window.epoch as u8 == mark.epoch);
        if announced as u8 == mark.epoch && window.is_none_or(|window| window.epoch != announced) {
            window = Some(Window::new(now, announced));
        }
        let window = window.as_mut().ok_or(Refused::Epoch)?;
        let hash = || hash(self.seed, frame);
        let is_astray = ingress != Ingress::Slot(parent);
        let is_first = if !is_astray {
            window.accept(now, mark.seq)?;
            // Who brought something under this number before may have brought something else.
            !window.may_have_come(mark.seq) || !came_early(&self.early, (mark, hash()))
        } else {
            window.accept_from_others(mark.seq)?;
            remember(&mut self.early, (mark, hash()));
            true
        };
        entry.window = Some(*window);
        let back = match ingress {
            Ingress::Slot(slot) | Ingress::Astray(slot) => bit(slot),
            Ingress::Tunnel => 0,
        };
        let onward = Onward { slots: entry.slots(now) & !back, is_astray };
        if is_first { Ok(onward) } else { Err(Refused::Duplicate) }
    }
}

fn came_early(early: &Deque<Early, EARLY>, wanted: Early) -> bool {
    early.iter().rev().any(|one| *one == wanted)
}

fn remember(early: &mut Deque<Early, EARLY>, one: Early) {
    if early.is_full() {
        early.pop_front();
    }
    let _ = early.push_back(one);
}

/// Of use to nobody who does not know the seed: two frames with the same hash cannot be found.
fn hash(seed: u64, frame: &[u8]) -> u64 {
    let word = |chunk: &[u8]| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let begin = mix(seed ^ frame.len() as u64);
    frame.chunks(8).fold(begin, |hash, chunk| mix(hash ^ word(chunk)))
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

    fn onward(slots: u64) -> Result<Onward, Refused> {
        Ok(Onward { slots, is_astray: false })
    }

    fn astray(slots: u64) -> Result<Onward, Refused> {
        Ok(Onward { slots, is_astray: true })
    }

    /// Node 1, which hears node 2 over slot 3 and hands on to slots 0 and 1.
    fn flood(t: Instant) -> Flood {
        let mut flood = Flood::new(node(1), 5);
        flood.set_branch(t, node(2), Branch { parent: Some(3), children: 0b11 });
        flood
    }

    #[test]
    fn the_first_copy_goes_on_wherever_it_comes_from_and_never_back() {
        let t = start();
        for (ingress, expected) in [
            (PARENT, onward(0b11)),
            (OTHER, astray(0b10)),
            (Ingress::Astray(3), astray(0b11)),
            (Ingress::Tunnel, astray(0b11)),
        ] {
            let mut flood = flood(t);
            assert_eq!(flood.receive(t, mark(7, 1), ingress, 0x107, b"frame"), expected);
            for again in [PARENT, OTHER, Ingress::Tunnel] {
                assert_eq!(flood.receive(t, mark(7, 1), again, 0x107, b"frame"), Err(Refused::Duplicate));
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
            assert_eq!(flood.receive(t, mark, PARENT, 7, b"frame"), Err(refused));
        }
        flood.forget(node(2));
        assert_eq!(flood.receive(t, mark(7, 1), PARENT, 7, b"frame"), Err(Refused::NoPath));
    }

    #[test]
    fn a_restarted_origin_counts_anew_once_it_has_announced_itself() {
        let t = start();
        let mut flood = flood(t);
        assert!(flood.receive(t, mark(7, 1), PARENT, 7, b"frame").is_ok());
        assert_eq!(flood.receive(t, mark(8, 1), PARENT, 7, b"frame"), Err(Refused::Epoch));
        assert!(flood.receive(t, mark(8, 1), PARENT, 8, b"frame").is_ok());
        assert_eq!(flood.receive(t, mark(7, 2), PARENT, 8, b"frame"), Err(Refused::Epoch));
        assert_eq!(flood.receive(t, mark(8, 1), PARENT, 8, b"frame"), Err(Refused::Duplicate));
    }

    #[test]
    fn a_restarted_origin_counts_anew_though_the_low_byte_of_its_epoch_is_the_same() {
        let t = start();
        let mut flood = flood(t);
        assert!(flood.receive(t, mark(7, 5000), PARENT, 0x107, b"frame").is_ok());
        assert!(flood.receive(t, mark(7, 1), PARENT, 0x207, b"frame").is_ok());
        assert_eq!(flood.receive(t, mark(7, 1), PARENT, 0x207, b"frame"), Err(Refused::Duplicate));
        assert_eq!(flood.receive(t, mark(7, 2), OTHER, 0x207, b"frame"), astray(0b10));
    }

    #[test]
    fn only_the_parent_is_believed_a_number_far_ahead() {
        let t = start();
        let ahead = |seq, ingress, later| {
            let mut flood = flood(t);
            flood.receive(t, mark(7, 1), PARENT, 7, b"frame").expect("the first");
            flood.receive(t + later, mark(7, seq), ingress, 7, b"frame").err()
        };
        let zero = Duration::ZERO;
        let cases = [
            (1025, OTHER, zero, None),
            (1026, OTHER, zero, Some(Refused::Ahead)),
            (1026, Ingress::Tunnel, zero, Some(Refused::Ahead)),
            (1026, PARENT, zero, None),
            (0x8000, PARENT, zero, None),
            (0x8001, PARENT, zero, Some(Refused::Duplicate)),
            (0x8001, OTHER, WINDOW_STALE, Some(Refused::Duplicate)),
            (0x8001, PARENT, WINDOW_STALE, None),
        ];
        for (seq, ingress, later, refused) in cases {
            assert_eq!(ahead(seq, ingress, later), refused, "{seq} {ingress:?}");
        }
        // One that is heard for the first time may be anywhere.
        assert_eq!(flood(t).receive(t, mark(7, 40_000), OTHER, 7, b"frame"), Err(Refused::Ahead));
        assert!(flood(t).receive(t, mark(7, 40_000), PARENT, 7, b"frame").is_ok());
    }

    #[test]
    fn what_others_bring_in_the_name_of_the_origin_keeps_nothing_away_that_the_parent_brings() {
        let t = start();
        let mut flood = flood(t);
        flood.receive(t, mark(7, 100), PARENT, 7, b"frame").expect("the first");
        // As far ahead as can be, again and again: it does not move what they are compared with.
        let jumps = (1..=5).map(|n| flood.receive(t, mark(7, 100 + n * 1024), OTHER, 7, b"lie"));
        assert!(jumps.eq([astray(0b10)].into_iter().chain([Err(Refused::Ahead); 4])));
        let mut lies = 0;
        for seq in 101..1200 {
            // A lie comes just before each of them.
            lies += u32::from(flood.receive(t, mark(7, seq), OTHER, 7, b"lie").is_ok());
            assert_eq!(flood.receive(t, mark(7, seq), PARENT, 7, b"frame"), onward(0b11), "{seq}");
            assert_eq!(flood.receive(t, mark(7, seq), PARENT, 7, b"other"), Err(Refused::Duplicate));
            assert_eq!(flood.receive(t, mark(7, seq), OTHER, 7, b"frame"), Err(Refused::Duplicate));
        }
        assert!(lies > 150, "{lies}");
    }

    #[test]
    fn the_same_frame_that_came_early_goes_on_once() {
        let t = start();
        let mut flood = flood(t);
        for seq in 1..2000 {
            assert!(flood.receive(t, mark(7, seq), OTHER, 7, &seq.to_be_bytes()).is_ok());
            let again = flood.receive(t, mark(7, seq), PARENT, 7, &seq.to_be_bytes());
            assert_eq!(again, Err(Refused::Duplicate));
        }
        assert_eq!(flood.early.len(), EARLY);
        let frames: [&[u8]; 4] = [&[7; 60], &[[7; 59].as_slice(), &[8]].concat(), &[0], &[]];
        let hashes: BTreeSet<_> = frames.iter().flat_map(|frame| [hash(5, frame), hash(6, frame)]).collect();
        assert_eq!(hashes.len(), 8);
    }

    #[test]
    fn children_of_the_old_tree_are_sent_to_for_a_second() {
        let t = start();
        let at = |ms| t + Duration::from_millis(ms);
        let mut flood = flood(t);
        flood.set_branch(at(0), node(2), Branch { parent: Some(3), children: 0b100 });
        flood.set_branch(at(600), node(2), Branch { parent: Some(3), children: 0b100 });
        assert_eq!(flood.receive(at(999), mark(7, 1), PARENT, 7, b"frame"), onward(0b111));
        assert_eq!(flood.receive(at(1000), mark(7, 2), PARENT, 7, b"frame"), onward(0b100));
        flood.set_branch(at(1100), node(2), Branch { parent: Some(3), children: 0b1_0000 });
        flood.set_branch(at(1900), node(2), Branch { parent: Some(3), children: 0b10_0000 });
        assert_eq!(flood.receive(at(2899), mark(7, 3), PARENT, 7, b"frame"), onward(0b11_0100));
        flood.forget_slot(4);
        assert_eq!(flood.receive(at(2899), mark(7, 4), PARENT, 7, b"frame"), onward(0b10_0100));
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
        assert_eq!(flood.receive(t, last, PARENT, 7, b"frame"), Err(Refused::NoPath));
        assert!(flood.receive(t, mark(7, 1), PARENT, 7, b"frame").is_ok());
    }

    /// Numbers that do not wrap, of which the frame carries the low half.
    #[derive(Default)]
    struct Model {
        parent: BTreeSet<u64>,
        others: BTreeSet<u64>,
        early: Vec<u64>,
    }

    impl Model {
        fn top(seen: &BTreeSet<u64>) -> u64 {
            seen.last().copied().unwrap_or(0)
        }

        fn accept(&mut self, seq: u64) -> bool {
            let top = Self::top(&self.parent);
            if self.parent.contains(&seq) || seq + 128 <= top {
                return false;
            }
            self.parent.insert(seq);
            !self.early.iter().rev().take(EARLY).any(|early| *early == seq)
        }

        fn accept_from_others(&mut self, seq: u64) -> bool {
            let top = Self::top(&self.parent);
            if Self::top(&self.others) + 128 <= top {
                self.others.clear();
            }
            let is_old = seq + 128 <= top.max(Self::top(&self.others));
            if self.parent.contains(&seq) || self.others.contains(&seq) || is_old || seq > top + 1024 {
                return false;
            }
            self.others.insert(seq);
            self.early.push(seq);
            true
        }
    }

    #[test]
    fn random_copies_agree_with_a_naive_model() {
        let t = start();
        let mut flood = flood(t);
        let mut model = Model::default();
        assert!(flood.receive(t, mark(7, 1), PARENT, 7, b"frame").is_ok() && model.accept(1));
        let (mut random, mut accepted, mut clock) = (5_u64, BTreeSet::new(), 0);
        for _ in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = random >> 33;
            clock += draw % 3;
            let ingress = [PARENT, OTHER, Ingress::Tunnel, Ingress::Astray(3)][draw as usize / 4 % 4];
            let top = Model::top(&model.parent);
            let seq = match draw % 64 {
                0 => top + draw / 64 % 2000,
                1..=40 => top.saturating_sub(draw / 64 % 200),
                _ => top + draw / 64 % 4,
            };
            let expected = if ingress == PARENT { model.accept(seq) } else { model.accept_from_others(seq) };
            let now = t + Duration::from_millis(clock);
            let received = flood.receive(now, mark(7, seq as u16), ingress, 7, b"frame");
            assert_eq!(received.is_ok(), expected, "{seq} {top}");
            assert!(!expected || accepted.insert(seq), "{seq} was accepted twice");
        }
        assert!(accepted.len() > 10_000 && accepted.last() > Some(&(1 << 17)), "{}", accepted.len());
    }
}
