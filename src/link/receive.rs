//! What a connection received becomes frames: pieces are rejoined, other types counted.
//! Decides nothing about where a frame goes. Read first: docs/protocol.md, "Data".

use std::time::Instant;

use bytes::Bytes;

use super::Links;
use super::peer::Slot;
use crate::types::{DropReason, LinkId};
use crate::wire::overlay;

impl Links {
    /// Moves what a connection received on to the frames. What came before HELLO waits, in bounds, in QUIC: the
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
        match overlay::Datagram::parse(&datagram) {
            Ok(overlay::Datagram::Eth(_)) => {
                self.frames.push_back((link, datagram.slice(overlay::ETH_HEADER..)));
            }
            Ok(overlay::Datagram::Frag(frag, piece)) => {
                if let Some(whole) = self.rejoiner.handle_piece(now, link, frag, piece) {
                    self.take_whole(link, &whole);
                }
            }
            Ok(_) | Err(_) => self.drops.add(DropReason::UnknownType),
        }
    }

    /// A datagram that came in pieces; pieces of pieces are no datagram.
    fn take_whole(&mut self, link: LinkId, whole: &Bytes) {
        match overlay::Datagram::parse(whole) {
            Ok(overlay::Datagram::Eth(frame)) => self.frames.push_back((link, whole.slice_ref(frame))),
            _ => self.drops.add(DropReason::UnknownType),
        }
    }
}
