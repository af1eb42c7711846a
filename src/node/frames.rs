//! Frames: out of the TAP, into it, and on to other nodes. Decides nothing: the switch and the mesh do.
//! Read first: docs/architecture.md, "The path of a frame".

use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Node;
use crate::limits::{self, ROUTE_REPAIRS};
use crate::mesh::flood::Onward;
use crate::mesh::forward::{Hop, Spread};
use crate::mesh::spf::bit;
use crate::mesh::switch::{Cast, Verdict};
use crate::types::{DropReason, LinkId, NodeId};
use crate::wire::overlay::{self, Broadcast, Datagram};

impl Node {
    /// A frame came out of the TAP, with [`limits::HEADROOM`] free bytes in front of it.
    pub fn handle_frame(&mut self, now: Instant, buffer: BytesMut) {
        let Some(frame) = buffer.get(limits::HEADROOM..) else { return };
        self.counters.tap_rx_frames += 1;
        self.counters.tap_rx_bytes += frame.len() as u64;
        let verdict = self.switch.handle_local(now, frame);
        let result = match verdict {
            Verdict::To(owner) => self.send_to(now, owner, buffer),
            Verdict::Flood => self.send_to_all(now, buffer),
            Verdict::Drop(reason) => Err(reason),
            Verdict::Deliver | Verdict::Redirect(_) => Ok(()),
        };
        self.count(result);
    }

    fn count(&mut self, result: Result<(), DropReason>) {
        if let Err(reason) = result {
            self.drops.add(reason);
        }
    }

    fn send_to(&mut self, now: Instant, owner: NodeId, buffer: BytesMut) -> Result<(), DropReason> {
        let hop = self.fabric.launch(owner).ok_or(DropReason::NoRoute)?;
        let link = self.fabric.link(hop.slot).ok_or(DropReason::NoRoute)?;
        self.links.send(now, link, &prefix(buffer, &hop.header))
    }

    fn send_to_all(&mut self, now: Instant, buffer: BytesMut) -> Result<(), DropReason> {
        match self.fabric.spread(now).ok_or(DropReason::NoRoute)? {
            Spread::One(slot) => {
                let link = self.fabric.link(slot).ok_or(DropReason::NoRoute)?;
                self.links.send(now, link, &prefix(buffer, &[overlay::ETH]))
            }
            Spread::Tree(header, slots) => {
                self.hand_on(now, slots, &prefix(buffer, &header));
                Ok(())
            }
        }
    }

    /// A broadcast goes out over the links of these slots, and round those that are dead.
    fn hand_on(&mut self, now: Instant, slots: u64, datagram: &Bytes) {
        let alive = self.fabric.alive(slots);
        for link in self.fabric.links(alive) {
            self.counters.broadcast_copies += 1;
            if let Err(reason) = self.links.send(now, link, datagram) {
                self.drops.add(reason);
            }
        }
        let dead = slots & !alive;
        for slot in (0..limits::SLOTS as u8).filter(|slot| dead & bit(*slot) != 0) {
            let ways = self.fabric.tunnels(slot);
            self.counters.broadcast_copies += ways.len().max(1) as u64;
            for hop in &ways {
                let result = self.forward(now, hop, datagram);
                self.count(result);
            }
            if ways.is_empty() {
                // There is no way round: it may still carry.
                let link = self.fabric.link(slot).ok_or(DropReason::NoRoute);
                let result = link.and_then(|link| self.links.send(now, link, datagram));
                self.count(result);
            }
        }
    }

    /// Puts the frame behind its new header and sends it on.
    fn forward(&mut self, now: Instant, hop: &Hop, frame: &[u8]) -> Result<(), DropReason> {
        let link = self.fabric.link(hop.slot).ok_or(DropReason::NoRoute)?;
        let mut datagram = BytesMut::with_capacity(hop.header.len() + frame.len());
        datagram.put_slice(&hop.header);
        datagram.put_slice(frame);
        self.counters.forwarded_frames += 1;
        self.links.send(now, link, &datagram.freeze())
    }

    /// What the links received goes to the TAP, or on.
    pub(super) fn take_datagrams(&mut self, now: Instant) {
        while let Some((link, datagram)) = self.links.poll_datagram() {
            let result = self.take_datagram(now, link, &datagram);
            self.count(result);
        }
    }

    fn take_datagram(&mut self, now: Instant, link: LinkId, datagram: &Bytes) -> Result<(), DropReason> {
        let ingress = self.fabric.slot_of(link).ok_or(DropReason::NoRoute)?;
        match Datagram::parse(datagram).map_err(|_| DropReason::UnknownType)? {
            Datagram::Eth(frame) => {
                let neighbor = self.fabric.neighbors().get(ingress).ok_or(DropReason::NoRoute)?;
                self.deliver(now, neighbor.id, ROUTE_REPAIRS, datagram.slice_ref(frame))
            }
            Datagram::Routed(routed) if routed.slots.is_empty() => {
                self.fabric.arrive(ingress, routed.origin)?;
                self.deliver(now, routed.origin, routed.repairs, datagram.slice_ref(routed.frame))
            }
            Datagram::Routed(routed) => {
                let hop = self.fabric.transit(ingress, &routed)?;
                self.forward(now, &hop, routed.frame)
            }
            Datagram::Broadcast(broadcast, frame) => {
                let onward = self.fabric.receive(now, (ingress, false), broadcast, frame)?;
                self.take_broadcast(now, (broadcast, onward), datagram, datagram.slice_ref(frame))
            }
            Datagram::Tunnel(slots, inner) => {
                let Ok(Datagram::Broadcast(broadcast, frame)) = Datagram::parse(inner) else {
                    return Err(DropReason::UnknownType);
                };
                if !slots.is_empty() {
                    let hop = self.fabric.pass_tunnel(ingress, slots, broadcast.origin)?;
                    return self.forward(now, &hop, inner);
                }
                let onward = self.fabric.receive(now, (ingress, true), broadcast, frame)?;
                let (whole, frame) = (datagram.slice_ref(inner), datagram.slice_ref(frame));
                self.take_broadcast(now, (broadcast, onward), &whole, frame)
            }
            Datagram::Frag(..) => Err(DropReason::UnknownType),
        }
    }

    /// The first copy of a broadcast.
    fn take_broadcast(
        &mut self,
        now: Instant,
        (broadcast, onward): (Broadcast, Onward),
        datagram: &Bytes,
        frame: Bytes,
    ) -> Result<(), DropReason> {
        // A frame that its origin may not send goes no further either.
        let verdict = self.switch.handle_remote(now, broadcast.origin, &frame, Cast::All);
        if let Verdict::Drop(reason) = verdict {
            return Err(reason);
        }
        if onward.is_astray && !broadcast.is_astray {
            let header = Broadcast { is_astray: true, ..broadcast }.header();
            self.hand_on(now, onward.slots, &Bytes::from([&header[..], &frame].concat()));
        } else {
            self.hand_on(now, onward.slots, datagram);
        }
        self.put_on_tap(frame)
    }

    /// A frame that ended here.
    fn deliver(&mut self, now: Instant, origin: NodeId, repairs: u8, frame: Bytes) -> Result<(), DropReason> {
        match self.switch.handle_remote(now, origin, &frame, Cast::One) {
            Verdict::Drop(reason) => Err(reason),
            Verdict::Redirect(owner) => {
                let hop = self.fabric.redirect(origin, repairs, owner).ok_or(DropReason::NoRoute)?;
                self.forward(now, &hop, &frame)
            }
            _ => self.put_on_tap(frame),
        }
    }

    fn put_on_tap(&mut self, frame: Bytes) -> Result<(), DropReason> {
        if self.to_tap.len() >= limits::TAP_QUEUE {
            return Err(DropReason::TapFull);
        }
        self.to_tap.push_back(frame);
        Ok(())
    }

    /// A frame for the TAP.
    pub fn poll_frame(&mut self) -> Option<Bytes> {
        let frame = self.to_tap.pop_front()?;
        self.counters.tap_tx_frames += 1;
        self.counters.tap_tx_bytes += frame.len() as u64;
        Some(frame)
    }

    /// From now on copies of what is sent on the links are kept, for tests: [`crate::link::Links::watch`].
    pub fn watch(&mut self) {
        self.links.watch();
    }

    /// The oldest of these copies, and the link.
    pub fn poll_watched(&mut self) -> Option<(LinkId, Bytes)> {
        self.links.poll_watched()
    }

    /// The TAP did not take the last frame.
    pub fn handle_tap_refusal(&mut self, frame: &[u8], reason: DropReason) {
        self.counters.tap_tx_frames -= 1;
        self.counters.tap_tx_bytes -= frame.len() as u64;
        self.drops.add(reason);
    }
}

/// Writes the header into the free bytes in front of the frame.
fn prefix(mut buffer: BytesMut, header: &[u8]) -> Bytes {
    let start = limits::HEADROOM.saturating_sub(header.len());
    if let Some(room) = buffer.get_mut(start..limits::HEADROOM) {
        room.copy_from_slice(header);
    }
    buffer.advance(start);
    buffer.freeze()
}
