//! Any bytes as frames from the LAN and from the mesh, and as what nodes tell of their stations, in any order and at any
//! time: nothing panics, the table of owners keeps its bounds, and no frame is flooded that a bridge keeps to itself.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use quicap::limits;
use quicap::mesh::switch::{Cast, Config, Permit, Switch, UnknownUnicast, Verdict};
use quicap::types::{DropReason, MacAddr, NodeId};
use quicap::wire::stations::Station;

fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, mut rest)) = bytes.split_first() else { return };
    let unknown = match mode % 3 {
        0 => UnknownUnicast::Limited,
        1 => UnknownUnicast::Drop,
        _ => UnknownUnicast::Flood,
    };
    let mut now = Instant::now();
    let me = NodeId::new(1).expect("a valid id");
    let config = Config { unknown_unicast: unknown, stp_pass: false };
    let mut switch = Switch::new(me, config, u64::from(mode), now);
    for id in 1..=limits::NODES as u16 {
        let macs = if id % 16 == 0 { vec![MacAddr([2, 0, 0, 0, 0, id as u8])] } else { vec![] };
        switch.set_permit(NodeId::new(id).expect("a valid id"), Permit { l2: true, macs, quota: 4 * id });
    }
    switch.set_capacity(now, 1 + 16 * usize::from(mode));
    while let Some((&[from, wait, length], tail)) = rest.split_first_chunk::<3>() {
        now += Duration::from_secs(u64::from(wait));
        let (frame, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let origin = NodeId::new(2 + u16::from(from)).expect("a valid id");
        match (from, wait % 8) {
            (0, _) => check(switch.handle_local(now, frame), true, frame),
            (_, 0) => drop(switch.handle_moves(now, origin, stations(frame))),
            (_, 1) => drop(switch.handle_gone(origin, stations(frame))),
            (_, 2) => switch.handle_reach(now, |node| node.value() % u16::from(from) != 0),
            (_, 3) => check(switch.handle_remote(now, origin, frame, Cast::All), false, frame),
            _ => check(switch.handle_remote(now, origin, frame, Cast::One), false, frame),
        }
        if switch.next_timeout().is_some_and(|due| due <= now) {
            switch.handle_timeout(now);
        }
        while switch.poll_moves(now).is_some() || switch.poll_gone().is_some() || switch.poll_note().is_some()
        {
        }
        assert!(switch.next_timeout().is_none_or(|due| due > now));
        assert!(switch.owners().len() <= switch.owners().capacity());
    }
    assert!(switch.owners().iter(now).count() <= switch.owners().len());
});

/// Eight bytes each.
fn stations(bytes: &[u8]) -> impl Iterator<Item = Station> {
    let (rows, _) = bytes.as_chunks::<8>();
    rows.iter().map(|[a, b, c, d, e, f, high, low]| Station {
        mac: MacAddr([*a, *b, *c, *d, *e, *f]),
        moves: u16::from_be_bytes([*high, *low]),
    })
}

fn check(verdict: Verdict, local: bool, frame: &[u8]) {
    if frame.len() < 14 {
        assert_eq!(verdict, Verdict::Drop(DropReason::Malformed));
        return;
    }
    let reserved = frame.starts_with(&[1, 0x80, 0xC2, 0, 0]) && frame[5] < 16;
    match verdict {
        Verdict::Deliver | Verdict::Redirect(_) => assert!(!local && !reserved),
        Verdict::Flood | Verdict::To(_) => assert!(local && !reserved),
        Verdict::Drop(_) => {}
    }
}
