//! Splits overlay datagrams that are larger than the path and rejoins them: so the LAN keeps its MTU of 1500.
//! Per link, never end to end. Does not look into what it splits. Read first: docs/mtu.md.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits;
use crate::types::{LinkId, Table};
use crate::wire::overlay::{FRAG_HEADER, Frag};

/// Where pieces are built: one allocation that comes back when the pieces were sent.
const ARENA: usize = 128 * 1024;

/// Numbers and cuts datagrams, for all links.
#[derive(Default)]
pub struct Splitter {
    next_id: u16,
    arena: BytesMut,
}

impl Splitter {
    /// If all pieces so far were sent, their memory is used again.
    pub fn reclaim(&mut self) {
        let _ = self.arena.try_reclaim(ARENA);
    }

    /// Pieces of `datagram`, each at most `max` bytes with its header; `None` when more than [`limits::PIECES`] would
    /// be needed. The first has at most `first` bytes, if that costs no further piece: so it fills up the QUIC
    /// packet that is being filled, and a stream of full frames takes hardly more packets than it has bytes for.
    pub fn split(
        &mut self,
        datagram: &Bytes,
        max: usize,
        first: usize,
    ) -> Option<impl Iterator<Item = Bytes> + use<'_>> {
        let room = max.checked_sub(FRAG_HEADER).filter(|room| *room > 0)?;
        let count = datagram.len().div_ceil(room);
        if count > limits::PIECES || datagram.is_empty() {
            return None;
        }
        let head = first.saturating_sub(FRAG_HEADER).min(room);
        let fits = head > 0 && datagram.len().saturating_sub(head).div_ceil(room) < count;
        let head = if fits { head } else { room };
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let datagram = datagram.clone();
        let arena = &mut self.arena;
        let begin = move |index: usize| if index == 0 { 0 } else { head + (index - 1) * room };
        Some((0..count).map(move |index| {
            let end = begin(index + 1).min(datagram.len());
            let piece = datagram.get(begin(index)..end).unwrap_or_default();
            let frag = Frag { id, index: index as u8, last: index + 1 == count };
            if arena.capacity() < FRAG_HEADER + piece.len() {
                arena.reserve(ARENA);
            }
            arena.put_slice(&frag.emit());
            arena.put_slice(piece);
            arena.split().freeze()
        }))
    }
}

/// Pieces on their way to be whole, of all links. [`limits::REASSEMBLY`] buffers. Full: the oldest goes.
pub struct Rejoiner {
    slots: Vec<Slot>,
    given_up: u64,
}

struct Slot {
    key: Option<(LinkId, u16)>,
    born: Instant,
    /// Where in `bytes` each piece lies, by its index.
    pieces: [Option<(u16, u16)>; limits::PIECES],
    last: Option<u8>,
    bytes: BytesMut,
}

impl Rejoiner {
    pub fn new(now: Instant) -> Self {
        let slot = || Slot {
            key: None,
            born: now,
            pieces: [None; limits::PIECES],
            last: None,
            bytes: BytesMut::new(),
        };
        Self { slots: (0..limits::REASSEMBLY).map(|_| slot()).collect(), given_up: 0 }
    }

    /// Takes a piece; returns the whole datagram once its last missing piece has come.
    pub fn handle_piece(&mut self, now: Instant, link: LinkId, frag: Frag, piece: &[u8]) -> Option<Bytes> {
        let slot = self.slot(now, link, frag.id)?;
        if !slot.add(frag, piece) {
            slot.clear();
            self.given_up += 1;
            return None;
        }
        let whole = slot.whole()?;
        slot.clear();
        Some(whole)
    }

    /// Forgets what a link left unfinished.
    pub fn forget(&mut self, link: LinkId) {
        self.slots.iter_mut().filter(|slot| slot.belongs_to(link)).for_each(Slot::clear);
    }

    /// Datagrams given up so far: pieces that never came, or did not fit together.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    pub fn used(&self) -> usize {
        self.slots.iter().filter(|slot| slot.key.is_some()).count()
    }

    /// A buffer is there once it was needed.
    pub fn table(&self) -> Table {
        let used = self.used();
        let buffers: usize = self.slots.iter().map(|slot| slot.bytes.capacity()).sum();
        let bytes = size_of_val(&*self.slots) + buffers;
        Table { name: "reassembly", used, capacity: limits::REASSEMBLY, bytes }
    }

    /// The slot of this datagram: its own, a free one, or the oldest of those that may be given up.
    fn slot(&mut self, now: Instant, link: LinkId, id: u16) -> Option<&mut Slot> {
        self.expire(now);
        let key = Some((link, id));
        let place = match self.slots.iter().position(|slot| slot.key == key) {
            Some(place) => place,
            None => {
                let place = self.place(link)?;
                let slot = self.slots.get_mut(place)?;
                if slot.key.is_some() {
                    slot.clear();
                    self.given_up += 1;
                }
                let slot = self.slots.get_mut(place)?;
                (slot.key, slot.born) = (key, now);
                place
            }
        };
        self.slots.get_mut(place)
    }

    fn place(&self, link: LinkId) -> Option<usize> {
        let own = self.slots.iter().filter(|slot| slot.belongs_to(link)).count();
        if own < limits::REASSEMBLY_PER_LINK
            && let Some(free) = self.slots.iter().position(|slot| slot.key.is_none())
        {
            return Some(free);
        }
        let full = own >= limits::REASSEMBLY_PER_LINK;
        let may_go = |slot: &Slot| !full || slot.belongs_to(link);
        let oldest =
            self.slots.iter().enumerate().filter(|(_, slot)| may_go(slot)).min_by_key(|(_, slot)| slot.born);
        oldest.map(|(place, _)| place)
    }

    fn expire(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if slot.key.is_some() && now.saturating_duration_since(slot.born) >= limits::REASSEMBLY_TIMEOUT {
                slot.clear();
                self.given_up += 1;
            }
        }
    }
}

impl Slot {
    fn belongs_to(&self, link: LinkId) -> bool {
        self.key.is_some_and(|(owner, _)| owner == link)
    }

    fn clear(&mut self) {
        self.key = None;
        self.pieces = [None; limits::PIECES];
        self.last = None;
        self.bytes.clear();
    }

    /// False when the piece contradicts what is there.
    fn add(&mut self, frag: Frag, piece: &[u8]) -> bool {
        let beyond = self.last.is_some_and(|last| frag.index > last || (frag.last && frag.index != last));
        if beyond || self.bytes.len() + piece.len() > limits::DATAGRAM_MAX {
            return false;
        }
        let place = (self.bytes.len() as u16, piece.len() as u16);
        match self.pieces.get_mut(usize::from(frag.index)) {
            Some(entry @ None) => *entry = Some(place),
            _ => return false,
        }
        if self.bytes.capacity() < limits::DATAGRAM_MAX {
            self.bytes.reserve(limits::DATAGRAM_MAX);
        }
        self.bytes.put_slice(piece);
        if frag.last {
            self.last = Some(frag.index);
            return self.pieces.iter().skip(usize::from(frag.index) + 1).all(Option::is_none);
        }
        true
    }

    /// All pieces together, once they are all here.
    fn whole(&mut self) -> Option<Bytes> {
        let needed = self.pieces.get(..=usize::from(self.last?))?;
        let mut in_order = true;
        let mut end = 0;
        for piece in needed {
            let (start, length) = (*piece)?;
            in_order &= start == end;
            end = start.wrapping_add(length);
        }
        if in_order {
            return Some(self.bytes.split().freeze());
        }
        let mut whole = BytesMut::with_capacity(self.bytes.len());
        for (start, length) in needed.iter().flatten() {
            let start = usize::from(*start);
            whole.put_slice(self.bytes.get(start..start + usize::from(*length))?);
        }
        Some(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::overlay::Datagram;

    const LINK: LinkId = LinkId(3);

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn datagram(length: usize) -> Bytes {
        (0..length).map(|n| (n * 7 % 251) as u8).collect()
    }

    fn split(splitter: &mut Splitter, length: usize, max: usize) -> Option<Vec<Bytes>> {
        splitter.split(&datagram(length), max, max).map(Iterator::collect)
    }

    fn feed(rejoiner: &mut Rejoiner, now: Instant, link: LinkId, piece: &Bytes) -> Option<Bytes> {
        match Datagram::parse(piece) {
            Ok(Datagram::Frag(frag, bytes)) => rejoiner.handle_piece(now, link, frag, bytes),
            other => panic!("not a piece: {other:?}"),
        }
    }

    #[test]
    fn a_full_frame_becomes_two_pieces_on_every_usual_path() {
        for max in [1440, 1420, 1432, 1412, 1168] {
            let pieces = split(&mut Splitter::default(), 1 + 1514, max).expect("can be split");
            assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [max, 1515 + 8 - max]);
        }
    }

    #[test]
    fn the_first_piece_fills_a_begun_packet_unless_that_costs_a_piece_more() {
        let cases =
            [(1440, [1440, 83]), (800, [800, 723]), (83, [83, 1440]), (82, [1440, 83]), (0, [1440, 83])];
        for (first, lengths) in cases {
            let mut splitter = Splitter::default();
            let pieces: Vec<Bytes> =
                splitter.split(&datagram(1515), 1440, first).expect("can be split").collect();
            assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), lengths, "{first}");
            let t = start();
            let mut rejoiner = Rejoiner::new(t);
            assert_eq!(feed(&mut rejoiner, t, LINK, &pieces[0]), None);
            assert_eq!(feed(&mut rejoiner, t, LINK, &pieces[1]), Some(datagram(1515)));
        }
    }

    #[test]
    fn pieces_fit_and_rejoin_for_every_length_and_order() {
        let t = start();
        let mut splitter = Splitter::default();
        for length in (1..limits::DATAGRAM_MAX).step_by(13).chain([limits::DATAGRAM_MAX]) {
            for max in [5, 600, 700, 1168, 1440] {
                let Some(mut pieces) = split(&mut splitter, length, max) else {
                    assert!(length > limits::PIECES * (max - FRAG_HEADER));
                    continue;
                };
                assert!(pieces.iter().all(|piece| piece.len() <= max));
                for _ in 0..2 {
                    let mut rejoiner = Rejoiner::new(t);
                    let results: Vec<_> = pieces.iter().map(|p| feed(&mut rejoiner, t, LINK, p)).collect();
                    let (last, before) = results.split_last().expect("at least one piece");
                    assert!(before.iter().all(Option::is_none));
                    assert_eq!(last.as_ref(), Some(&datagram(length)));
                    assert_eq!((rejoiner.used(), rejoiner.given_up()), (0, 0));
                    pieces.reverse();
                }
            }
        }
    }

    #[test]
    fn pieces_of_two_links_with_the_same_number_are_kept_apart() {
        let t = start();
        let a = split(&mut Splitter::default(), 1500, 1000).expect("can be split");
        let b = split(&mut Splitter::default(), 1400, 1000).expect("can be split");
        let mut rejoiner = Rejoiner::new(t);
        assert_eq!(feed(&mut rejoiner, t, LinkId(1), &a[0]), None);
        assert_eq!(feed(&mut rejoiner, t, LinkId(2), &b[0]), None);
        assert_eq!(feed(&mut rejoiner, t, LinkId(1), &a[1]), Some(datagram(1500)));
        assert_eq!(feed(&mut rejoiner, t, LinkId(2), &b[1]), Some(datagram(1400)));
    }

    #[test]
    fn unfinished_datagrams_are_given_up_after_half_a_second() {
        let t = start();
        let pieces = split(&mut Splitter::default(), 1500, 1000).expect("can be split");
        let mut rejoiner = Rejoiner::new(t);
        feed(&mut rejoiner, t, LINK, &pieces[0]);
        assert_eq!(feed(&mut rejoiner, t + Duration::from_millis(500), LINK, &pieces[1]), None);
        assert_eq!(rejoiner.given_up(), 1);
    }

    #[test]
    fn a_full_pool_gives_up_the_oldest_and_a_link_only_its_own() {
        let t = start();
        let mut rejoiner = Rejoiner::new(t);
        let mut splitter = Splitter::default();
        let half =
            |splitter: &mut Splitter| split(splitter, 1500, 1000).expect("can be split").swap_remove(0);
        for n in 0..100 {
            feed(&mut rejoiner, t + Duration::from_millis(n), LINK, &half(&mut splitter));
        }
        assert_eq!(rejoiner.used(), limits::REASSEMBLY_PER_LINK);
        assert_eq!(rejoiner.given_up(), 100 - limits::REASSEMBLY_PER_LINK as u64);
        for link in 10_u8..20 {
            for n in 0..8 {
                feed(
                    &mut rejoiner,
                    t + Duration::from_millis(u64::from(link) * 10 + n),
                    LinkId(link),
                    &half(&mut splitter),
                );
            }
        }
        assert_eq!(rejoiner.used(), limits::REASSEMBLY);
        rejoiner.forget(LinkId(19));
        assert_eq!(rejoiner.used(), limits::REASSEMBLY - limits::REASSEMBLY_PER_LINK);
    }

    #[test]
    fn contradictory_pieces_are_given_up_without_harm() {
        let t = start();
        let frag = |index, last| Frag { id: 1, index, last };
        let long = vec![0; limits::FRAME_MAX];
        let cases: [&[(Frag, &[u8])]; 5] = [
            &[(frag(0, false), b"a"), (frag(0, false), b"a")],
            &[(frag(1, true), b"a"), (frag(2, false), b"b")],
            &[(frag(2, false), b"a"), (frag(1, true), b"b")],
            &[(frag(1, true), b"a"), (frag(0, true), b"b")],
            &[(frag(0, false), &long), (frag(1, true), &long)],
        ];
        for pieces in cases {
            let mut rejoiner = Rejoiner::new(t);
            for (frag, bytes) in pieces {
                assert_eq!(rejoiner.handle_piece(t, LINK, *frag, bytes), None, "{pieces:?}");
            }
            assert_eq!((rejoiner.used(), rejoiner.given_up()), (0, 1), "{pieces:?}");
        }
    }
}
