//! Any bytes as frames from the LAN and from the mesh, in any order and at any time: nothing panics, the table of
//! owners keeps its bounds, and no frame is flooded that a bridge keeps to itself.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use quicap::limits;
use quicap::mesh::switch::{Switch, UnknownUnicast, Verdict};
use quicap::types::{DropReason, NodeId};

fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, mut rest)) = bytes.split_first() else { return };
    let unknown = match mode % 3 {
        0 => UnknownUnicast::Limited,
        1 => UnknownUnicast::Drop,
        _ => UnknownUnicast::Flood,
    };
    let mut now = Instant::now();
    let me = NodeId::new(1).expect("a valid id");
    let mut switch = Switch::new(me, unknown, now);
    while let Some((&[from, wait, length], tail)) = rest.split_first_chunk::<3>() {
        now += Duration::from_secs(u64::from(wait));
        let (frame, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let origin = NodeId::new(2 + u16::from(from)).expect("a valid id");
        let verdict = if from == 0 {
            switch.handle_local(now, frame)
        } else {
            switch.handle_remote(now, origin, frame)
        };
        check(verdict, from == 0, frame);
        assert!(switch.owners().len() <= limits::OWNERS);
    }
    assert!(switch.owners().iter(now).count() <= switch.owners().len());
});

fn check(verdict: Verdict, local: bool, frame: &[u8]) {
    if frame.len() < 14 {
        assert_eq!(verdict, Verdict::Drop(DropReason::Malformed));
        return;
    }
    let reserved = frame.starts_with(&[1, 0x80, 0xC2, 0, 0]) && frame[5] < 16;
    match verdict {
        Verdict::Deliver => assert!(!local && !reserved),
        Verdict::Flood | Verdict::To(_) => assert!(local && !reserved),
        Verdict::Drop(_) => {}
    }
}
