//! Where LSAs are kept: heads, links and appendices in one pool each, in the order of nodes and slots.
//! Does not judge which LSA is newer. Read first: docs/protocol.md, "LSA".

use core::ops::Range;

use heapless::Vec;

use super::graph::Announced;
use crate::limits::{APPENDICES, FRAGMENTS, NODE_LINKS, NODES};
use crate::types::{NodeId, Table};
use crate::wire::announce::{self, FRAGMENT_LINKS, Link, Lsa, Signature};
use crate::wire::list::List;

/// All that is kept of one LSA but its links and its appendix.
#[derive(Clone, Copy)]
struct Head {
    id: NodeId,
    fragment: u8,
    flags: u8,
    appendix: u8,
    seq: u32,
    segment: u32,
    signature: Signature,
}

/// At most [`FRAGMENTS`] LSAs with [`NODE_LINKS`] links and [`APPENDICES`] bytes. Full: the LSA is refused whole. Nodes
/// have a place for their first fragment each, whatever others announce.
pub struct Fragments {
    heads: Box<Vec<Head, FRAGMENTS>>,
    links: Box<Vec<Announced, NODE_LINKS>>,
    appendices: Box<Vec<u8, APPENDICES>>,
}

impl Fragments {
    pub fn new() -> Self {
        Self { heads: Box::default(), links: Box::default(), appendices: Box::default() }
    }

    /// Puts the LSA in the place of those fragments of its node. False: there is no room, and nothing has changed.
    pub fn put(&mut self, lsa: &Lsa<'_>, replaced: Range<u8>) -> bool {
        let heads = self.heads_of(lsa.id, &replaced);
        let links = self.links_of(lsa.id, &replaced);
        let appendices = self.appendices_of(&heads);
        let others = self.heads.len() - heads.len();
        let further = self.heads.iter().filter(|head| head.fragment != 0).count();
        let has_room = (lsa.fragment == 0 || further < FRAGMENTS - NODES)
            && others < FRAGMENTS
            && self.links.len() - links.len() + lsa.links.len() <= NODE_LINKS
            && self.appendices.len() - appendices.len() + lsa.appendix.len() <= APPENDICES;
        if has_room {
            let appendix = lsa.appendix.len() as u8;
            let Lsa { id, fragment, flags, seq, segment, signature, .. } = *lsa;
            let head = Head { id, fragment, flags, appendix, seq, segment, signature };
            splice(&mut self.appendices, appendices, lsa.appendix.iter().copied());
            splice(&mut self.links, links, lsa.links.iter().map(|link| announced(id, link)));
            splice(&mut self.heads, heads, [head].into_iter());
        }
        has_room
    }

    /// All that the node announced.
    pub fn remove(&mut self, id: NodeId) {
        let all = 0..announce::FRAGMENTS;
        let (heads, links) = (self.heads_of(id, &all), self.links_of(id, &all));
        let appendices = self.appendices_of(&heads);
        splice(&mut self.appendices, appendices, [].into_iter());
        splice(&mut self.links, links, [].into_iter());
        splice(&mut self.heads, heads, [].into_iter());
    }

    /// The number and the signature of one fragment.
    pub fn mark(&self, id: NodeId, fragment: u8) -> Option<(u32, Signature)> {
        self.head(id, fragment).map(|(_, head)| (head.seq, head.signature))
    }

    /// As it was announced in that epoch. The links are written to the empty `buffer`.
    pub fn lsa<'a>(
        &'a self,
        id: NodeId,
        epoch: u32,
        fragment: u8,
        buffer: &'a mut std::vec::Vec<u8>,
    ) -> Option<Lsa<'a>> {
        let (place, head) = self.head(id, fragment)?;
        let links = self.links.get(self.links_of(id, &(fragment..fragment + 1)))?.iter();
        let links = links.map(|link| Link { to: link.to, slot: link.slot, cost: link.cost });
        let links: Vec<Link, { FRAGMENT_LINKS as usize }> = links.collect();
        Some(Lsa {
            id,
            epoch,
            seq: head.seq,
            fragment,
            flags: head.flags,
            segment: head.segment,
            links: List::of(&links, buffer),
            appendix: self.appendices.get(self.appendices_of(&(place..place + 1)))?,
            signature: head.signature,
        })
    }

    pub fn announced(&self) -> impl Iterator<Item = Announced> {
        self.links.iter().copied()
    }

    pub fn tables(&self) -> [Table; 3] {
        let (heads, links, bytes) = (&*self.heads, &*self.links, &*self.appendices);
        [
            Table { name: "fragments", used: heads.len(), capacity: FRAGMENTS, bytes: size_of_val(heads) },
            Table { name: "node_links", used: links.len(), capacity: NODE_LINKS, bytes: size_of_val(links) },
            Table { name: "appendices", used: bytes.len(), capacity: APPENDICES, bytes: size_of_val(bytes) },
        ]
    }

    /// Who is on that slot, as the node announces it, whether or not the other end does.
    pub fn neighbor(&self, id: NodeId, slot: u8) -> Option<NodeId> {
        let place = self.links.binary_search_by_key(&(id, slot), |link| (link.from, link.slot)).ok()?;
        self.links.get(place).map(|link| link.to)
    }

    fn head(&self, id: NodeId, fragment: u8) -> Option<(usize, &Head)> {
        let place = self.heads.binary_search_by_key(&(id, fragment), |head| (head.id, head.fragment)).ok()?;
        Some((place, self.heads.get(place)?))
    }

    fn heads_of(&self, id: NodeId, fragments: &Range<u8>) -> Range<usize> {
        let before = |end| self.heads.partition_point(|head| (head.id, head.fragment) < (id, end));
        before(fragments.start)..before(fragments.end)
    }

    fn links_of(&self, id: NodeId, fragments: &Range<u8>) -> Range<usize> {
        let before = |end| self.links.partition_point(|link| (link.from, link.slot) < (id, end));
        before(fragments.start * FRAGMENT_LINKS)..before(fragments.end * FRAGMENT_LINKS)
    }

    fn appendices_of(&self, heads: &Range<usize>) -> Range<usize> {
        let length = |heads: &[Head]| heads.iter().map(|head| usize::from(head.appendix)).sum::<usize>();
        let start = length(self.heads.get(..heads.start).unwrap_or_default());
        start..start + length(self.heads.get(heads.clone()).unwrap_or_default())
    }
}

fn announced(from: NodeId, link: Link) -> Announced {
    Announced { from, to: link.to, slot: link.slot, cost: link.cost }
}

/// Puts the items in the place of those of the range; there is room for them.
fn splice<T, const N: usize>(pool: &mut Vec<T, N>, range: Range<usize>, items: impl Iterator<Item = T>) {
    let Range { start, end } = range;
    if let Some(tail) = pool.get_mut(start..) {
        tail.rotate_left(end - start);
    }
    pool.truncate(pool.len() - (end - start));
    let rest = pool.len();
    for item in items {
        let _ = pool.push(item);
    }
    let added = pool.len() - rest;
    if let Some(tail) = pool.get_mut(start..) {
        tail.rotate_right(added);
    }
}
