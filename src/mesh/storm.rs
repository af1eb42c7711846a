//! A million random source addresses from one site: what it costs, and that it hurts nobody else. The times are printed.

#![cfg(test)]

use std::time::{Duration, Instant};

use super::owners::tests::{mac, node, random, start};
use super::switch::tests::{frame, switch};
use super::switch::{Cast, Switch, Verdict};
use crate::limits;
use crate::types::MacAddr;

/// Frames of random sources from `origin`, 10,000 in a second; nanoseconds for each.
fn storm(switch: &mut Switch, t: Instant, origin: u16, frames: u64) -> u128 {
    let (mut draw, began) = (random(origin.into()), start());
    for n in 0..frames {
        let [.., a, b, c, d] = draw().to_be_bytes();
        let bytes = frame(MacAddr::BROADCAST, MacAddr([6, a, b, c, d, n as u8]));
        let now = t + Duration::from_micros(100 * n);
        if origin == 1 {
            assert_eq!(switch.handle_local(now, &bytes), Verdict::Flood);
        } else {
            assert_eq!(switch.handle_remote(now, node(origin), &bytes, Cast::All), Verdict::Deliver);
        }
        if n % 100_000 == 0 {
            // The stations of the others say something every ten seconds.
            keep(switch, now);
            switch.handle_timeout(now);
        }
    }
    start().duration_since(began).as_nanos() / u128::from(frames)
}

/// 400 stations of each of the nodes 3 to 9: all of them say something.
fn keep(switch: &mut Switch, now: Instant) {
    for n in 0..2800 {
        switch.handle_remote(now, node(3 + (n / 400) as u16), &frame(MacAddr::BROADCAST, mac(n)), Cast::All);
    }
}

#[test]
fn a_storm_of_a_million_sources_from_one_site_pushes_out_nobody_elses() {
    for origin in [2, 1] {
        let t = start();
        let mut switch = switch(t);
        keep(&mut switch, t);
        let before: Vec<usize> = switch.tables().map(|table| table.bytes).collect();
        let nanoseconds = storm(&mut switch, t, origin, 1_000_000);
        let end = t + Duration::from_secs(100);
        for n in 0..2800 {
            assert_eq!(switch.owners().find(end, mac(n)), Some(node(3 + (n / 400) as u16)));
        }
        let share = if origin == 1 { limits::OWNERS_LOCAL } else { limits::OWNERS_PER_NODE };
        assert_eq!(switch.owners().len(), 2800 + usize::from(share));
        assert!(switch.tables().map(|table| table.bytes).eq(before));
        println!("{nanoseconds} ns for each frame of a storm from node {origin}");
    }
}

#[test]
fn a_storm_that_finds_the_table_full_costs_no_search_through_it() {
    let t = start();
    let mut switch = switch(t);
    keep(&mut switch, t);
    switch.set_capacity(t, 3000);
    let nanoseconds = storm(&mut switch, t, 2, 200_000);
    assert_eq!((switch.owners().len(), switch.owners().counters().evicted), (3000, 0));
    println!("{nanoseconds} ns for each frame of a storm that meets a full table");
}
