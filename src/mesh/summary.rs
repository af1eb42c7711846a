//! What two nodes compare of what they know, and what one of them lacks: SUMMARY, REQUEST and DIGEST.
//! Does not send. Read first: docs/protocol.md, "The database".

use std::time::Instant;

use super::graph::mix;
use super::topology::{Member, Topology};
use crate::types::NodeId;
use crate::wire::announce::FRAGMENTS;
use crate::wire::database::{Known, WANTS_LINKS, WANTS_NODE, Wanted};

impl Topology {
    /// All nodes within reach, as SUMMARY lists them; and those that are so new that they may be within reach with the next
    /// search: what came before a link was up is not handed on over it.
    pub fn summary(&self, now: Instant) -> impl Iterator<Item = Known> {
        let told = self.members.iter().filter(move |member| member.is_listed(now));
        told.map(|member| self.known(member))
    }

    /// What DIGEST says: the same at two nodes that know the same of the same nodes within reach.
    pub fn digest(&self) -> u64 {
        let each = self.reached().map(|member| mix(self.chain(member).wrapping_add(member.node.into())));
        each.fold(0, |digest, hash| digest ^ hash)
    }

    /// What the sender of a SUMMARY has that is missing here.
    pub fn wanted(&self, theirs: &Known) -> Option<Wanted> {
        let none = Known { id: theirs.id, epoch: 0, links: 0, node: 0 };
        let ours = match self.member(theirs.id) {
            Some(member) if theirs.epoch < member.epoch => return None,
            Some(member) if theirs.epoch == member.epoch => self.known(member),
            None if self.is_full() => return None,
            _ => none,
        };
        let links = if theirs.links != 0 && theirs.links != ours.links { WANTS_LINKS } else { 0 };
        let node = if theirs.node > ours.node { WANTS_NODE } else { 0 };
        Some(Wanted { id: theirs.id, what: links | node }).filter(|wanted| wanted.what != 0)
    }

    fn reached(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.lost.is_none())
    }

    fn known(&self, member: &Member) -> Known {
        let is_announced = self.seqs(member.id).any(|seq| seq.is_some());
        let links = if is_announced { (self.chain(member) >> 32) as u32 | 1 } else { 0 };
        Known { id: member.id, epoch: member.epoch, links, node: member.node }
    }

    /// Hash over the epoch and the numbers of the fragments.
    fn chain(&self, member: &Member) -> u64 {
        let start = mix(u64::from(member.id.value()) << 32 | u64::from(member.epoch));
        self.seqs(member.id).fold(start, |hash, seq| mix(hash.wrapping_add(seq.unwrap_or(0).into())))
    }

    fn seqs(&self, id: NodeId) -> impl Iterator<Item = Option<u32>> {
        (0..FRAGMENTS).map(move |fragment| self.fragments.mark(id, fragment).map(|(seq, _)| seq))
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Transit;
    use super::super::graph::tests::node;
    use super::super::topology::tests::{Random, kept, lsa, start};
    use super::*;

    /// Sends what the other wants; false: it wants nothing.
    fn complete(from: &Topology, to: &mut Topology, t: Instant) -> bool {
        let wanted: std::vec::Vec<Wanted> = from.summary(t).filter_map(|known| to.wanted(&known)).collect();
        for wanted in &wanted {
            let id = wanted.id;
            let known = from.summary(t).find(|known| known.id == id).expect("listed");
            if wanted.what & WANTS_NODE != 0 {
                to.handle_node(t, id, (known.epoch, known.node), Transit::Yes);
            }
            for lsa in kept(from, id.value()) {
                if wanted.what & WANTS_LINKS != 0 {
                    lsa.feed(to, t);
                }
            }
        }
        !wanted.is_empty()
    }

    #[test]
    fn two_nodes_that_heard_different_things_come_to_know_the_same() {
        let t = start();
        for seed in 0..100 {
            let mut random = Random(seed);
            let mut both = [1, 50].map(|me| {
                let mut topology = Topology::new(node(me), 100);
                topology.store_node(t, node(me), (100, 1), Transit::Yes);
                topology
            });
            for _ in 0..60 {
                let (drawn, at) = (random.lsa(), random.below(2) as usize);
                // An origin gives a number once: the content follows from it.
                let content = lsa(drawn.id, drawn.mark, drawn.fragment, &[drawn.mark.1 as u16]);
                content.feed(&mut both[at], t);
                both[at].handle_node(t, node(drawn.id), drawn.mark, Transit::Yes);
            }
            both.iter_mut().for_each(|topology| {
                topology.handle_paths(t, |_| true);
            });
            let [a, b] = &mut both;
            assert_ne!(a.digest(), b.digest());
            let mut rounds = 0;
            while complete(a, b, t) | complete(b, a, t) {
                [&mut *a, &mut *b].into_iter().for_each(|topology| {
                    topology.handle_paths(t, |_| true);
                });
                rounds += 1;
                assert!(rounds < 4, "seed {seed}: no end");
            }
            assert_eq!(a.digest(), b.digest(), "seed {seed}");
            assert!((2..10).all(|id| kept(a, id) == kept(b, id)));
        }
    }

    #[test]
    fn an_own_announcement_of_an_earlier_run_is_asked_for() {
        let topology = Topology::new(node(1), 100);
        let known = |epoch, links, seq| Known { id: node(1), epoch, links, node: seq };
        let what = |known| topology.wanted(&known).map_or(0, |wanted| wanted.what);
        assert_eq!(what(known(99, 5, 5)), 0);
        assert_eq!(what(known(100, 0, 0)), 0);
        assert_eq!(what(known(100, 5, 5)), WANTS_LINKS | WANTS_NODE);
        assert_eq!(what(known(101, 5, 0)), WANTS_LINKS);
    }
}
