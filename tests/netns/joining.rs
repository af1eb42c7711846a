//! Nodes that come to a running mesh, leave it, and come back.
//!
//! ```text
//!   1 - 2 - 4 - 5 --- 6        6 knows 5, and 5 does not know 6; 4 leaves
//!    `- 3 -/ `-'
//! ```

use std::thread;
use std::time::Duration;

use crate::lab;
use crate::pings::{Pings, unix_time};
use crate::sites::{Dials, FIVE, Sites, Span, address, laptop, site};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sixth_node_that_knows_one_peer_joins_and_a_node_that_leaves_and_returns_is_missed_by_none() {
    let new = Span { ends: (6, 5), ms: 5, dials: Dials::First };
    let spans: Vec<Span> = FIVE.into_iter().chain([new]).collect();
    let Some(mut sites) = Sites::build(6, &spans, &[]) else { return };
    (1..=5).for_each(|number| sites.start(number));
    sites.wait_shortest(&[(1, 5), (5, 1)]);
    joins(&mut sites);
    leaves_and_returns(&mut sites);
}

fn joins(sites: &mut Sites) {
    sites.start(6);
    let known = sites.wait_whole(&[1, 2, 3, 4, 5, 6], lab::SOON);
    println!("the sixth is known to all, and all to it, {known:?} after its start");
    for (from, to) in [(1, 6), (6, 2), (3, 6)] {
        let answered = lab::until(lab::SOON, "a ping is answered", || {
            sites.lab.ping(&laptop(from), &format!("-c 1 -W 1 {}", address(to))).1 == 1
        });
        println!("laptop {from} to laptop {to}: answered after {answered:?}");
    }
    sites.wait_shortest(&[(1, 6), (6, 1)]);
    assert_eq!(sites.route(1, 6).unwrap().path, [2, 4, 5, 6].map(site));
    let links = sites.lab.status(&site(6));
    assert_eq!(links.at("links").items().len(), 1, "it knows one peer");
}

fn leaves_and_returns(sites: &mut Sites) {
    let pings = Pings::start(&sites.lab, &laptop(1), &address(6));
    lab::until(lab::SOON, "a ping is answered", || pings.first_since(Duration::ZERO).is_some());
    let start = unix_time();
    sites.lab.signal(&site(4), "TERM");
    let status = sites.lab.wait_end(&site(4), 2 * SECOND);
    assert_eq!(status.code(), Some(0));
    let forgotten = sites.wait_whole(&[1, 2, 3, 5, 6], lab::SOON);
    thread::sleep(SECOND);
    let silence = pings.longest_silence(start);
    println!(
        "node 4 leaves: all know {forgotten:?} after its end, longest silence {} ms, {} pings lost",
        silence.as_millis(),
        pings.lost_since(start - SECOND)
    );
    // Who says that it goes is left at once, without a suspicion first.
    assert!(silence < Duration::from_millis(400), "{silence:?}");
    let start = unix_time();
    sites.start(4);
    let known = sites.wait_whole(&[1, 2, 3, 4, 5, 6], lab::SOON);
    let took = sites.wait_shortest(&[(1, 6), (6, 1)]);
    let silence = pings.longest_silence(start);
    println!(
        "node 4 returns: known {known:?} after its start, shortest paths {took:?} later, longest silence {} ms",
        silence.as_millis()
    );
    assert!(silence < Duration::from_millis(400), "{silence:?}");
    assert_eq!(pings.duplicates(), 0);
    assert_eq!(sites.lab.ping(&laptop(4), &format!("-c 5 -i 0.01 -W 2 {}", address(6))), (5, 5));
}
