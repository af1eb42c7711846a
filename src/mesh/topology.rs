//! What is known of all nodes: which announcement of two is newer, what another node has that this one lacks, and when one
//! that nobody can reach is forgotten. Does not send. Read first: docs/protocol.md, "The database".

use core::cmp::Ordering;
use std::time::Instant;

use heapless::Vec;

use super::fragments::Fragments;
use super::graph::{Graph, Transit};
use super::signature::{Signed, Verify};
use crate::limits::{NEWS_FOR, NODES, PURGE_AFTER};
use crate::types::{NodeId, Table};
use crate::wire::announce::{FRAGMENTS, Lsa};

/// What became of an announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// New here: it is to be handed on, and paths are to be searched anew.
    Stored,
    /// Here already.
    Known,
    /// What is known here is newer, and is to be sent to whom it came from.
    Older,
    /// Of this node itself, and newer than what it announced: of an earlier run. It takes an epoch above that one's.
    Own,
    Forged,
    /// The key of its node is not known: its NODE is to be asked for.
    Stranger,
    /// No room: what was known stays.
    Full,
}

pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) epoch: u32,
    /// Number of its NODE in this epoch; 0: none.
    pub(super) node: u32,
    transit: Transit,
    /// Since when no path leads to it.
    pub(super) lost: Option<Instant>,
}

impl Member {
    /// Whether a SUMMARY tells of it.
    pub(super) fn is_listed(&self, now: Instant) -> bool {
        self.lost.is_none_or(|lost| now.saturating_duration_since(lost) < NEWS_FOR)
    }
}

/// At most [`NODES`] nodes, this one among them. Full: a new one is refused, those that are known stay.
pub struct Topology {
    me: NodeId,
    pub(super) members: Box<Vec<Member, NODES>>,
    pub(super) fragments: Fragments,
    /// Announcements for which there was no room.
    refused: u64,
    /// Nodes that there may be, at most [`NODES`].
    capacity: usize,
    /// When the first of those out of reach went.
    lost: Option<Instant>,
}

impl Topology {
    pub fn new(me: NodeId, epoch: u32) -> Self {
        let mut members: Box<Vec<Member, NODES>> = Box::default();
        let _ = members.push(Member { id: me, epoch, node: 0, transit: Transit::No, lost: None });
        Self { me, members, fragments: Fragments::new(), refused: 0, capacity: NODES, lost: None }
    }

    /// At most so many nodes, this one among them; those that are known stay.
    pub fn set_capacity(&mut self, nodes: usize) {
        self.capacity = nodes.clamp(1, NODES);
    }

    pub(super) fn is_full(&self) -> bool {
        self.members.len() >= self.capacity
    }

    /// An LSA that came from another node, of whomever it is.
    pub fn handle_lsa(&mut self, now: Instant, lsa: &Lsa<'_>, verify: &impl Verify) -> Outcome {
        match self.compare(lsa) {
            Ordering::Less => return Outcome::Older,
            Ordering::Equal => return Outcome::Known,
            Ordering::Greater => {}
        }
        let mut body = std::vec::Vec::new();
        lsa.write_signed(&mut body);
        match verify.verify(lsa.id, Lsa::KIND, &body, &lsa.signature) {
            Signed::Forged => Outcome::Forged,
            Signed::Stranger => Outcome::Stranger,
            Signed::Good if lsa.id == self.me => Outcome::Own,
            Signed::Good => self.store_lsa(now, lsa),
        }
    }

    /// What would become of an LSA, before its signature is looked at; `Stored`: it is news.
    pub(super) fn compare_lsa(&self, lsa: &Lsa<'_>) -> Outcome {
        match self.compare(lsa) {
            Ordering::Less => Outcome::Older,
            Ordering::Equal => Outcome::Known,
            Ordering::Greater => Outcome::Stored,
        }
    }

    /// What would become of a NODE, before anything is judged.
    pub(super) fn compare_node(&self, id: NodeId, mark: (u32, u32)) -> Outcome {
        match self.member(id).map(|known| mark.cmp(&(known.epoch, known.node))) {
            Some(Ordering::Less) => Outcome::Older,
            Some(Ordering::Equal) => Outcome::Known,
            Some(Ordering::Greater) if id == self.me => Outcome::Own,
            None if self.is_full() => Outcome::Full,
            _ => Outcome::Stored,
        }
    }

    /// An LSA that needs no judgement: one that this node just made.
    pub fn store_lsa(&mut self, now: Instant, lsa: &Lsa<'_>) -> Outcome {
        let epoch = self.member(lsa.id).map(|member| member.epoch);
        let is_first = epoch != Some(lsa.epoch);
        let replaced = if is_first { 0..FRAGMENTS } else { lsa.fragment..lsa.fragment + 1 };
        if (epoch.is_none() && self.is_full()) || !self.fragments.put(lsa, replaced) {
            return self.refuse();
        }
        self.enter_epoch(now, lsa.id, lsa.epoch);
        Outcome::Stored
    }

    /// A NODE whose signature, certificate and rights are good. What else it says is kept elsewhere.
    #[cfg(test)]
    pub(super) fn handle_node(
        &mut self,
        now: Instant,
        id: NodeId,
        mark: (u32, u32),
        transit: Transit,
    ) -> Outcome {
        match self.compare_node(id, mark) {
            Outcome::Stored => self.store_node(now, id, mark, transit),
            Outcome::Full => self.refuse(),
            other => other,
        }
    }

    /// A NODE that was judged, or that this node just made.
    pub fn store_node(
        &mut self,
        now: Instant,
        id: NodeId,
        (epoch, seq): (u32, u32),
        transit: Transit,
    ) -> Outcome {
        if self.member(id).is_some_and(|member| member.epoch != epoch) {
            // Links of an earlier run: its slots may lead elsewhere by now.
            self.fragments.remove(id);
        }
        match self.enter_epoch(now, id, epoch) {
            Some(member) => {
                (member.node, member.transit) = (seq, transit);
                Outcome::Stored
            }
            None => self.refuse(),
        }
    }

    /// Writes who is linked to whom.
    pub fn build(&self, graph: &mut Graph) {
        let nodes = self.members.iter().map(|member| (member.id, member.transit));
        graph.build(nodes, self.fragments.announced());
    }

    /// Paths were searched: what is out of reach begins to be forgotten. True: a node is within reach again that no SUMMARY
    /// has told of lately.
    pub fn handle_paths(&mut self, now: Instant, is_reached: impl Fn(NodeId) -> bool) -> bool {
        let mut is_back = false;
        for member in self.members.iter_mut().filter(|member| member.id != self.me) {
            let reached = is_reached(member.id);
            is_back |= reached && !member.is_listed(now);
            member.lost = if reached { None } else { member.lost.or(Some(now)) };
        }
        self.look_for_lost();
        is_back
    }

    fn look_for_lost(&mut self) {
        self.lost = self.members.iter().filter_map(|member| member.lost).min();
    }

    /// When [`Topology::poll_purged`] is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.lost.map(|lost| lost + PURGE_AFTER)
    }

    /// Forgets a node that was out of reach for too long; to be called until there is none.
    pub fn poll_purged(&mut self, now: Instant) -> Option<NodeId> {
        self.next_timeout().filter(|due| *due <= now)?;
        let is_due = |member: &Member| member.lost.is_some_and(|lost| now >= lost + PURGE_AFTER);
        let place = self.members.iter().position(is_due);
        let gone = place.map(|place| self.members.remove(place).id);
        gone.into_iter().for_each(|id| self.fragments.remove(id));
        self.look_for_lost();
        gone
    }

    /// The node is no member any more.
    pub fn remove(&mut self, id: NodeId) {
        if let Ok(place) = self.members.binary_search_by_key(&id, |member| member.id)
            && id != self.me
        {
            self.members.remove(place);
            self.fragments.remove(id);
        }
    }

    /// One of the node's LSAs as it was announced. The links are written to the empty `buffer`.
    pub fn lsa<'a>(&'a self, id: NodeId, fragment: u8, buffer: &'a mut std::vec::Vec<u8>) -> Option<Lsa<'a>> {
        self.fragments.lsa(id, self.member(id)?.epoch, fragment, buffer)
    }

    /// The end of a route from that node, as the nodes on the way announce their slots, whether or not the links are up.
    pub fn walk(&self, from: NodeId, slots: &[u8]) -> Option<NodeId> {
        slots.iter().try_fold(from, |at, slot| self.fragments.neighbor(at, *slot))
    }

    pub fn epoch(&self, id: NodeId) -> Option<u32> {
        self.member(id).map(|member| member.epoch)
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// In the order of their ids, this node included.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().map(|member| member.id)
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> {
        let members = &*self.members;
        let (used, capacity, bytes) = (members.len(), self.capacity, size_of_val(members));
        let nodes = Table { name: "nodes", used, capacity, bytes };
        [nodes].into_iter().chain(self.fragments.tables())
    }

    /// Never: this node is always there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Is the LSA newer than what is known? Of two with the same number the one with the greater signature is: an origin
    /// that restarts within a second may use a number twice, and all nodes must keep the same one.
    /// Of this node itself the other is of an earlier run, whichever is the greater.
    fn compare(&self, lsa: &Lsa<'_>) -> Ordering {
        if lsa.id == self.me && self.is_twin(lsa) {
            return Ordering::Greater;
        }
        let Some(member) = self.member(lsa.id) else { return Ordering::Greater };
        let mark = self.fragments.mark(lsa.id, lsa.fragment);
        lsa.epoch.cmp(&member.epoch).then_with(|| Some((lsa.seq, lsa.signature)).cmp(&mark))
    }

    /// Has its number been used for another LSA, which is known here?
    pub(super) fn is_twin(&self, lsa: &Lsa<'_>) -> bool {
        let known = self.fragments.mark(lsa.id, lsa.fragment);
        self.epoch(lsa.id) == Some(lsa.epoch)
            && known.is_some_and(|(seq, signature)| seq == lsa.seq && signature != lsa.signature)
    }

    /// The node's entry, a new one if need be; what an earlier epoch said of it no longer counts.
    fn enter_epoch(&mut self, now: Instant, id: NodeId, epoch: u32) -> Option<&mut Member> {
        let place = match self.members.binary_search_by_key(&id, |member| member.id) {
            Ok(place) => place,
            Err(_) if self.is_full() => return None,
            Err(place) => {
                let member = Member { id, epoch, node: 0, transit: Transit::No, lost: Some(now) };
                self.members.insert(place, member).ok()?;
                place
            }
        };
        let member = self.members.get_mut(place)?;
        // What was heard of it now is handed on.
        member.lost = member.lost.map(|_| now);
        if member.epoch != epoch {
            (member.epoch, member.node) = (epoch, 0);
        }
        Some(member)
    }

    fn refuse(&mut self) -> Outcome {
        self.refused += 1;
        Outcome::Full
    }

    pub(super) fn member(&self, id: NodeId) -> Option<&Member> {
        let place = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        self.members.get(place)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::graph::tests::node;
    use super::*;
    use crate::limits::{APPENDICES, NEWS_FOR};
    use crate::wire::announce::{Link, Signature};
    use crate::wire::database::Known;
    use crate::wire::list::List;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub fn start() -> Instant {
        Instant::now()
    }

    /// The first byte of a signature says what it is worth.
    struct First;

    impl Verify for First {
        fn verify(&self, _: NodeId, kind: u8, body: &[u8], signature: &Signature) -> Signed {
            assert_eq!((kind, body.is_empty()), (4, false));
            match signature[0] {
                0 => Signed::Good,
                1 => Signed::Forged,
                _ => Signed::Stranger,
            }
        }
    }

    /// An LSA that owns what it lists.
    #[derive(Clone, PartialEq, Debug)]
    pub struct Owned {
        pub id: u16,
        pub mark: (u32, u32),
        pub fragment: u8,
        links: std::vec::Vec<Link>,
        appendix: std::vec::Vec<u8>,
        pub signature: Signature,
    }

    impl Owned {
        fn lend<'a>(&'a self, buffer: &'a mut std::vec::Vec<u8>) -> Lsa<'a> {
            let (epoch, seq) = self.mark;
            Lsa {
                id: node(self.id),
                epoch,
                seq,
                fragment: self.fragment,
                flags: self.signature[63],
                segment: seq,
                links: List::of(&self.links, buffer),
                appendix: &self.appendix,
                signature: self.signature,
            }
        }

        fn of(lsa: &Lsa<'_>) -> Self {
            assert_eq!((lsa.flags, lsa.segment), (lsa.signature[63], lsa.seq));
            let (links, appendix) = (lsa.links.iter().collect(), lsa.appendix.to_vec());
            let (id, mark) = (lsa.id.value(), (lsa.epoch, lsa.seq));
            Self { id, mark, fragment: lsa.fragment, links, appendix, signature: lsa.signature }
        }

        pub fn feed(&self, topology: &mut Topology, now: Instant) -> Outcome {
            topology.handle_lsa(now, &self.lend(&mut std::vec::Vec::new()), &First)
        }
    }

    pub fn lsa(id: u16, mark: (u32, u32), fragment: u8, to: &[u16]) -> Owned {
        let slots = fragment * 16..;
        let links = to.iter().zip(slots).map(|(to, slot)| Link { to: node(*to), slot, cost: 9 }).collect();
        Owned { id, mark, fragment, links, appendix: vec![], signature: [0; 64] }
    }

    /// All that is kept of a node.
    pub fn kept(topology: &Topology, id: u16) -> std::vec::Vec<Owned> {
        let fragment =
            |fragment| topology.lsa(node(id), fragment, &mut std::vec::Vec::new()).map(|lsa| Owned::of(&lsa));
        (0..FRAGMENTS).filter_map(fragment).collect()
    }

    fn topology(t: Instant) -> Topology {
        let mut topology = Topology::new(node(1), 100);
        assert_eq!(lsa(2, (5, 5), 0, &[1, 3]).feed(&mut topology, t), Outcome::Stored);
        topology
    }

    #[test]
    fn only_what_is_newer_and_well_signed_changes_anything() {
        let t = start();
        let signed = |signature, mark| Owned { signature, ..lsa(2, mark, 0, &[9]) };
        let (forged, strange, greater) = ([1; 64], [2; 64], [&[0][..], &[9; 63]].concat());
        let greater = greater.try_into().expect("64 bytes");
        let cases = [
            (lsa(2, (5, 5), 0, &[1, 3]), Outcome::Known),
            (lsa(2, (5, 4), 0, &[9]), Outcome::Older),
            (lsa(2, (4, 9), 0, &[9]), Outcome::Older),
            (lsa(2, (4, 9), 1, &[9]), Outcome::Older),
            (lsa(2, (5, 6), 0, &[9]), Outcome::Stored),
            (lsa(2, (6, 1), 0, &[9]), Outcome::Stored),
            (lsa(2, (5, 1), 1, &[9]), Outcome::Stored),
            (signed(greater, (5, 5)), Outcome::Stored),
            (signed(forged, (6, 1)), Outcome::Forged),
            (signed(strange, (6, 1)), Outcome::Stranger),
            (lsa(1, (100, 1), 0, &[9]), Outcome::Own),
            (lsa(1, (99, 9), 0, &[9]), Outcome::Older),
            (Owned { signature: forged, ..lsa(1, (200, 1), 0, &[9]) }, Outcome::Forged),
        ];
        for (lsa, outcome) in cases {
            let mut topology = topology(t);
            let before = (topology.digest(), kept(&topology, 1), kept(&topology, 2));
            assert_eq!(lsa.feed(&mut topology, t), outcome, "{lsa:?}");
            let after = (topology.digest(), kept(&topology, 1), kept(&topology, 2));
            assert_eq!(outcome == Outcome::Stored, before != after, "{lsa:?}");
        }
    }

    #[test]
    fn a_new_epoch_ends_all_that_the_one_before_said() {
        let t = start();
        for by_node in [false, true] {
            let mut topology = topology(t);
            assert_eq!(topology.handle_node(t, node(2), (5, 7), Transit::Yes), Outcome::Stored);
            assert_eq!(lsa(2, (5, 1), 2, &[4]).feed(&mut topology, t), Outcome::Stored);
            assert_eq!(topology.walk(node(2), &[1]), Some(node(3)));
            if by_node {
                assert_eq!(topology.handle_node(t, node(2), (6, 1), Transit::Yes), Outcome::Stored);
                assert_eq!(kept(&topology, 2), []);
            } else {
                let newer = lsa(2, (6, 1), 1, &[7]);
                assert_eq!(newer.feed(&mut topology, t), Outcome::Stored);
                assert_eq!(kept(&topology, 2), [newer]);
            }
            assert_eq!(topology.handle_node(t, node(2), (5, 9), Transit::Yes), Outcome::Older);
            assert_eq!((topology.epoch(node(2)), topology.walk(node(2), &[1])), (Some(6), None));
        }
    }

    #[test]
    fn a_node_out_of_reach_is_forgotten_after_ten_minutes_and_listed_only_before() {
        let t = start();
        let mut topology = topology(t);
        let listed = |topology: &Topology, at| {
            topology.summary(at).map(|known| known.id.value()).collect::<std::vec::Vec<_>>()
        };
        assert_eq!((listed(&topology, t), listed(&topology, t + NEWS_FOR)), (vec![1, 2], vec![1]), "news");
        topology.handle_paths(t, |_| true);
        assert_eq!((listed(&topology, t + NEWS_FOR), topology.next_timeout()), (vec![1, 2], None));
        let alone = Topology::new(node(1), 100).digest();
        assert_ne!(topology.digest(), alone);
        let lost = t + Duration::from_secs(9);
        topology.handle_paths(lost, |_| false);
        topology.handle_paths(lost + Duration::from_secs(9), |_| false);
        assert_eq!((listed(&topology, lost + NEWS_FOR), topology.digest()), (vec![1], alone));
        assert_eq!(topology.next_timeout(), Some(lost + PURGE_AFTER));
        assert_eq!(topology.poll_purged(lost + PURGE_AFTER - Duration::from_millis(1)), None);
        assert_eq!(topology.poll_purged(lost + PURGE_AFTER), Some(node(2)));
        assert_eq!(topology.poll_purged(lost + PURGE_AFTER), None);
        assert_eq!((topology.len(), kept(&topology, 2), topology.next_timeout()), (1, vec![], None));
    }

    #[test]
    fn full_tables_refuse_what_is_new_and_keep_what_is_known() {
        let t = start();
        let mut topology = topology(t);
        let all: std::vec::Vec<u16> = (1000..1016).collect();
        for id in 3..=NODES as u16 {
            assert_eq!(lsa(id, (5, 1), 0, &all).feed(&mut topology, t), Outcome::Stored);
        }
        // Full of nodes: a further one is refused, and is not asked for.
        assert_eq!(lsa(5000, (5, 1), 0, &[1]).feed(&mut topology, t), Outcome::Full);
        assert_eq!(topology.handle_node(t, node(5000), (5, 1), Transit::Yes), Outcome::Full);
        assert_eq!(topology.wanted(&Known { id: node(5000), epoch: 5, links: 1, node: 1 }), None);
        assert_eq!((topology.len(), topology.refused()), (NODES, 2));
        // 254 nodes with 16 links, one with 2: 30 more have room, and 16 after them not. The older one stays.
        assert_eq!(lsa(3, (5, 1), 1, &all).feed(&mut topology, t), Outcome::Stored);
        assert_eq!(lsa(2, (5, 6), 0, &all).feed(&mut topology, t), Outcome::Stored);
        let kept_before = kept(&topology, 4);
        assert_eq!(lsa(4, (5, 1), 1, &all).feed(&mut topology, t), Outcome::Full);
        assert_eq!(kept(&topology, 4), kept_before);
        // Less than before always fits.
        assert_eq!(lsa(4, (5, 2), 0, &[1]).feed(&mut topology, t), Outcome::Stored);
        // Appendices have a bound of their own.
        let long = |id| Owned { appendix: vec![7; 128], ..lsa(id, (6, 1), 0, &[1]) };
        let stored =
            (3..=NODES as u16).filter(|id| long(*id).feed(&mut topology, t) == Outcome::Stored).count();
        assert_eq!(stored, APPENDICES / 128);
    }

    #[test]
    fn a_lower_capacity_keeps_out_who_is_new_and_not_who_is_known() {
        let t = start();
        let mut topology = topology(t);
        topology.handle_node(t, node(3), (5, 1), Transit::Yes);
        topology.set_capacity(2);
        assert_eq!(topology.handle_node(t, node(4), (5, 1), Transit::Yes), Outcome::Full);
        assert_eq!(lsa(4, (5, 1), 0, &[1]).feed(&mut topology, t), Outcome::Full);
        assert_eq!(topology.wanted(&Known { id: node(4), epoch: 5, links: 1, node: 1 }), None);
        assert_eq!(lsa(3, (6, 1), 0, &[1]).feed(&mut topology, t), Outcome::Stored);
        assert_eq!((topology.len(), topology.tables().next().map(|table| table.capacity)), (3, Some(2)));
        topology.remove(node(3));
        assert_eq!(topology.handle_node(t, node(3), (7, 1), Transit::Yes), Outcome::Full);
        topology.set_capacity(3);
        assert_eq!(topology.handle_node(t, node(4), (5, 1), Transit::Yes), Outcome::Stored);
    }

    #[test]
    fn further_fragments_leave_room_for_the_first_of_every_node() {
        let t = start();
        let mut topology = topology(t);
        for id in 3..3 + NODES as u16 * 3 / 8 {
            for fragment in 1..FRAGMENTS {
                lsa(id, (5, 1), fragment, &[1]).feed(&mut topology, t);
            }
        }
        assert!(topology.refused() > 0);
        let first = |id, topology: &mut Topology| lsa(id, (5, 1), 0, &[1]).feed(topology, t);
        assert!((3..=NODES as u16).all(|id| first(id, &mut topology) == Outcome::Stored));
    }

    pub struct Random(pub u64);

    impl Random {
        pub fn below(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % below
        }

        pub fn lsa(&mut self) -> Owned {
            let (epoch, seq) = (1 + self.below(400) / 100, 1 + self.below(6));
            let to: std::vec::Vec<u16> = (0..self.below(17)).map(|_| 1 + self.below(9) as u16).collect();
            let mut lsa = lsa(2 + self.below(8) as u16, (epoch as u32, seq as u32), self.below(4) as u8, &to);
            lsa.appendix = vec![self.below(256) as u8; self.below(4) as usize * 20];
            lsa.signature[0] = u8::from(self.below(9) == 0);
            lsa.signature[63] = self.below(3) as u8;
            lsa
        }
    }

    #[test]
    fn random_announcements_agree_with_a_naive_model() {
        let t = start();
        for seed in 0..40 {
            let mut random = Random(seed);
            let mut topology = Topology::new(node(1), 100);
            let mut model: BTreeMap<(u16, u8), Owned> = BTreeMap::new();
            for _ in 0..300 {
                let lsa = random.lsa();
                let newest =
                    model.values().filter(|known| known.id == lsa.id).map(|known| known.mark.0).max();
                let known = model.get(&(lsa.id, lsa.fragment));
                let is_newer = newest.is_none_or(|newest| lsa.mark.0 >= newest)
                    && known.is_none_or(|known| (lsa.mark, lsa.signature) > (known.mark, known.signature));
                let stores = is_newer && lsa.signature[0] == 0;
                assert_eq!(lsa.feed(&mut topology, t) == Outcome::Stored, stores, "{lsa:?}");
                if stores {
                    model.retain(|_, known| known.id != lsa.id || known.mark.0 == lsa.mark.0);
                    model.insert((lsa.id, lsa.fragment), lsa);
                }
                for id in 2..10 {
                    let expected = model.values().filter(|known| known.id == id);
                    assert_eq!(kept(&topology, id), expected.cloned().collect::<std::vec::Vec<_>>());
                }
            }
            let links = model.values().map(|lsa| lsa.links.len()).sum::<usize>();
            assert_eq!(topology.fragments.announced().count(), links);
        }
    }
}
