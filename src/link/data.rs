//! Overlay datagrams out to the connection that carries, and in from all: split where they must be, and rejoined.
//! Does not look into them. Read first: docs/protocol.md, "Data frames".

use std::time::Instant;

use bytes::Bytes;

use super::Links;
use super::peer::Slot;
use crate::limits;
use crate::types::{DropReason, LinkId};
use crate::wire::overlay;

impl Links {
    /// Hands an overlay datagram to the connection that carries for this link, in pieces if it must be.
    pub fn send(&mut self, now: Instant, id: LinkId, datagram: &Bytes) -> Result<(), DropReason> {
        let link = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut);
        let link = link.ok_or(DropReason::NoRoute)?;
        let slot = link.active.ok_or(DropReason::NoRoute)?;
        let connection = self.table.find_mut(slot).ok_or(DropReason::NoRoute)?;
        link.tx_bytes += datagram.len() as u64;
        if let Some(watched) = &mut self.watched {
            watched.drain(..(watched.len() + 1).saturating_sub(limits::WATCHED));
            watched.push_back((id, datagram.clone()));
        }
        let max = connection.max_datagram();
        let result = if datagram.len() <= max {
            connection.send(now, datagram.clone())
        } else {
            let pieces = self.splitter.split(datagram, max, connection.room()).ok_or(DropReason::TooBig)?;
            // All of them, even if an older one had to make room: without one the others are worth nothing.
            pieces.map(|piece| connection.send(now, piece)).fold(Ok(()), Result::and)
        };
        self.table.touch(slot);
        result
    }

    /// From now on copies of what [`Links::send`] sends are kept, before it is split: for tests and for who looks closer.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// The oldest of [`limits::WATCHED`] copies.
    pub fn poll_watched(&mut self) -> Option<(LinkId, Bytes)> {
        self.watched.as_mut()?.pop_front()
    }

    /// A whole overlay datagram from a peer, with its header and as it came: of any type but FRAG.
    pub fn poll_datagram(&mut self) -> Option<(LinkId, Bytes)> {
        self.datagrams.pop_front()
    }

    /// Moves on what a connection received. What came before HELLO waits, in bounds, in QUIC: the
    /// peer is up a moment before us, and a datagram travels in front of the stream in the same packet.
    pub(super) fn receive(&mut self, now: Instant, slot: Slot) {
        loop {
            let Some(connection) = self.table.find_mut(slot).filter(|own| own.takes_frames()) else { return };
            let Some(link) = connection.link else { return };
            let Some(datagram) = connection.quinn.datagrams().recv() else { return };
            if let Some(own) = self.link_mut(link) {
                own.rx_bytes += datagram.len() as u64;
            }
            self.take(now, link, datagram);
        }
    }

    fn take(&mut self, now: Instant, link: LinkId, datagram: Bytes) {
        if datagram.first() != Some(&overlay::FRAG) {
            return self.datagrams.push_back((link, datagram));
        }
        let Ok(overlay::Datagram::Frag(frag, piece)) = overlay::Datagram::parse(&datagram) else {
            return self.drops.add(DropReason::UnknownType);
        };
        if let Some(whole) = self.rejoiner.handle_piece(now, link, frag, piece) {
            self.take_whole(link, whole);
        }
    }

    /// A datagram that came in pieces; pieces of pieces are no datagram.
    fn take_whole(&mut self, link: LinkId, whole: Bytes) {
        if whole.first() == Some(&overlay::FRAG) {
            return self.drops.add(DropReason::UnknownType);
        }
        self.datagrams.push_back((link, whole));
    }
}
