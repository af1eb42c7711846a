//! Any bytes as datagrams of several links, in any order and at any time: nothing panics, the pool of unfinished
//! ones keeps its bounds, and what was split rejoins whole in between.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use quicap::limits;
use quicap::link::fragment::{Rejoiner, Splitter};
use quicap::types::LinkId;
use quicap::wire::overlay::{self, Datagram, Routed};

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let mut rejoiner = Rejoiner::new(now);
    let mut splitter = Splitter::default();
    let mut rest = bytes;
    while let Some((&[link, wait, length], tail)) = rest.split_first_chunk::<3>() {
        now += Duration::from_millis(u64::from(wait));
        let (datagram, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        check_header(datagram);
        feed(&mut rejoiner, now, LinkId(link % 40), datagram);
        check_round_trip(&mut splitter, &mut rejoiner, now, datagram, [wait, link]);
        if link == 0xFF {
            rejoiner.forget(LinkId(wait % 40));
        }
        assert!(rejoiner.used() <= limits::REASSEMBLY);
    }
});

/// What was read is written again as it was.
fn check_header(datagram: &[u8]) {
    match Datagram::parse(datagram) {
        Ok(Datagram::Routed(Routed { repairs, origin, slots, frame })) => {
            let header = Routed::header(repairs, origin, slots).expect("was read");
            assert_eq!([&header[..], frame].concat(), datagram);
        }
        Ok(Datagram::Broadcast(cast, frame)) => assert_eq!([&cast.header()[..], frame].concat(), datagram),
        Ok(Datagram::Tunnel(slots, inner)) => {
            let header = overlay::tunnel_header(slots).expect("was read");
            assert_eq!([&header[..], inner].concat(), datagram);
            assert!(matches!(Datagram::parse(inner), Ok(Datagram::Broadcast(..))));
        }
        Ok(Datagram::Eth(_) | Datagram::Frag(..)) | Err(_) => {}
    }
}

fn feed(rejoiner: &mut Rejoiner, now: Instant, link: LinkId, datagram: &[u8]) -> Option<Bytes> {
    let Ok(Datagram::Frag(frag, piece)) = Datagram::parse(datagram) else { return None };
    assert_eq!(frag.emit()[..], datagram[..4]);
    let whole = rejoiner.handle_piece(now, link, frag, piece);
    assert!(whole.as_ref().is_none_or(|whole| whole.len() <= limits::DATAGRAM_MAX));
    whole
}

/// A link of its own, on which nothing else disturbs.
fn check_round_trip(splitter: &mut Splitter, rejoiner: &mut Rejoiner, now: Instant, datagram: &[u8], rooms: [u8; 2]) {
    let datagram = Bytes::copy_from_slice(datagram);
    let [room, first] = rooms.map(usize::from);
    let Some(pieces) = splitter.split(&datagram, room, first) else { return };
    let pieces: Vec<Bytes> = pieces.collect();
    assert!(pieces.len() <= limits::PIECES && pieces.iter().all(|piece| piece.len() <= room));
    let mut last = None;
    for piece in &pieces {
        assert!(last.is_none(), "whole before its last piece");
        last = feed(rejoiner, now, LinkId(200), piece);
    }
    assert_eq!(last, Some(datagram));
}
