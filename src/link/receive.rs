//! What a connection received becomes whole overlay datagrams: pieces are rejoined.
//! Does not look into them. Read first: docs/protocol.md, "Data frames".

use std::time::Instant;

use bytes::Bytes;

use super::Links;
use super::peer::Slot;
use crate::types::{DropReason, LinkId};
use crate::wire::overlay;

impl Links {
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
