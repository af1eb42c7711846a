//! What one frame costs in the mesh and the switch, between the links: no QUIC, no cryptography. And a turn of the loop without any,
//! and copies of bytes.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use quicap::limits;
use quicap::mesh::switch::{Cast, Verdict};
use quicap::types::LinkId;
use quicap::wire::overlay::{self, Broadcast, Datagram, Routed};

use crate::hub::{EPOCH, Hub, id};
use crate::members::{self, Ca};
use crate::topology::{Dials, Edge, Topology};

/// Bytes of a frame.
const FRAME: usize = 60;
/// And of a copy.
const COPY: usize = 1400;

/// Sites in a row.
fn row(sites: usize) -> Topology {
    let delay = std::time::Duration::from_millis(5);
    let edge = |site| Edge { ends: [site, site + 1], delay, dials: Dials::Both };
    Topology { sites, edges: (0..sites - 1).map(edge).collect() }
}

/// The second of five in a row: a neighbor on slot 0, all others behind slot 1.
fn second() -> Hub {
    Hub::of(&Ca::new(), &row(5), 1)
}

/// A frame with a route on its way: header read, rights and link looked up, copied behind its next header.
pub fn routed(rounds: usize) {
    let hub = second();
    // From the first to the last: here, then over slots of the third and the fourth.
    let header = Routed::header(limits::ROUTE_REPAIRS, id(0), &[1, 1, 1]).expect("a header");
    let datagram = Bytes::from([&header[..], &members::frame(5, 1, FRAME)].concat());
    for _ in 0..rounds {
        let Ok(Datagram::Routed(routed)) = Datagram::parse(black_box(&datagram)) else { panic!("no route") };
        let ingress = hub.fabric.slot_of(LinkId(0)).expect("a slot");
        let hop = hub.fabric.transit(ingress, &routed).expect("a way");
        let link = hub.fabric.link(hop.slot).expect("a link");
        let mut onward = BytesMut::with_capacity(hop.header.len() + routed.frame.len());
        onward.put_slice(&hop.header);
        onward.put_slice(routed.frame);
        black_box((link, onward.freeze()));
    }
}

/// A broadcast of another node: first copy or not, over which links it goes on, and its source address.
pub fn broadcast(rounds: usize) {
    let mut hub = second();
    let frame = members::broadcast(1, FRAME);
    for seq in 0..rounds {
        let header =
            Broadcast { origin: id(0), epoch: EPOCH as u8, seq: seq as u16, is_astray: false }.header();
        let mut datagram = [0; overlay::BCAST_HEADER + FRAME];
        datagram[..header.len()].copy_from_slice(&header);
        datagram[header.len()..].copy_from_slice(&frame);
        let parsed = Datagram::parse(black_box(&datagram));
        let Ok(Datagram::Broadcast(broadcast, frame)) = parsed else { panic!("no broadcast") };
        let ingress = hub.fabric.slot_of(LinkId(0)).expect("a slot");
        let onward = hub.fabric.receive(hub.now, (ingress, false), broadcast, frame).expect("a first copy");
        let verdict = hub.switch.handle_remote(hub.now, broadcast.origin, frame, Cast::All);
        let copies = hub.fabric.links(hub.fabric.alive(onward.slots)).count();
        assert_eq!((verdict, copies), (Verdict::Deliver, 1));
    }
}

/// Frames of addresses that were never seen before, of eight nodes.
pub fn learn(rounds: usize) {
    let mut hub = Hub::of(&Ca::new(), &row(10), 1);
    stations(&mut hub, rounds);
    assert_eq!(hub.switch.owners().len(), rounds);
}

/// Frames of addresses that are known.
pub fn known(rounds: usize) {
    let mut hub = Hub::of(&Ca::new(), &row(10), 1);
    stations(&mut hub, KNOWN);
    (0..rounds).step_by(KNOWN).for_each(|_| stations(&mut hub, KNOWN));
    assert_eq!(hub.switch.owners().len(), KNOWN);
}

/// Rounds of [`known`] are a multiple of this.
const KNOWN: usize = 500;

/// A frame of each of so many addresses comes from other nodes.
fn stations(hub: &mut Hub, count: usize) {
    let mut frame = members::broadcast(0, FRAME);
    for station in 0..count {
        frame[8..12].copy_from_slice(&(station as u32).to_be_bytes());
        let origin = id(2 + station % 8);
        let verdict = hub.switch.handle_remote(hub.now, origin, black_box(&frame), Cast::All);
        assert_eq!(verdict, Verdict::Deliver);
    }
}

/// What the mesh does in each turn of the loop, when nothing is due.
pub fn turn(rounds: usize) {
    let mut hub = second();
    for _ in 0..rounds {
        hub.fabric.handle_timeout(black_box(hub.now), &mut hub.members);
        assert!(hub.fabric.poll_message().is_none());
    }
}

pub fn copy(rounds: usize) {
    let (from, mut to) = (vec![7_u8; COPY], vec![0; COPY]);
    (0..rounds).for_each(|_| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
}

pub fn fill(rounds: usize) {
    let mut to = vec![1_u8; COPY];
    (0..rounds).for_each(|_| black_box(&mut to[..]).fill(black_box(0)));
}
