//! Five sites, the paths between them, and what happens when one breaks (the five are drawn in sites.rs).
//!
//! ```text
//!   ln1 --- 1 --10-- 2 --12-- 4 --10-- 5 --- ln5        cut: 2-4; killed: 4
//! ```

use std::thread;
use std::time::Duration;

use crate::lab;
use crate::pings::{Pings, unix_time};
use crate::sites::{SETTLES, Sites, address, laptop, site};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than this nothing may be silent when a wire or a node between dies.
const SILENCE: Duration = Duration::from_millis(600);

#[test]
fn five_sites_with_seven_wires_use_the_fastest_way_and_status_shows_it() {
    let Some(sites) = Sites::five(&[]) else { return };
    let pings = ping_1_to_5(&sites);
    // 64 ms, give or take a tenth, as soon as every node on the way knows all costs.
    let least = Duration::from_micros(57_600);
    let middle = || pings.round_trip_since(unix_time() - SECOND);
    thread::sleep(SECOND);
    lab::until(SETTLES, "laptop 1 to laptop 5 takes 64 ms", || {
        middle().is_some_and(|took| took >= least && took <= Duration::from_micros(70_400))
    });
    println!(
        "laptop 1 to laptop 5: {:.1} ms, {} of the pings lost",
        middle().unwrap().as_secs_f64() * 1e3,
        pings.lost_since(Duration::ZERO)
    );
    assert_eq!((pings.lost_since(Duration::ZERO), pings.duplicates()), (0, 0));
    for (from, path) in [(1, &[2, 4, 5][..]), (5, &[4, 2, 1]), (2, &[4, 5]), (1, &[2, 4]), (4, &[5])] {
        let route = sites.route(from, *path.last().unwrap()).unwrap();
        println!("node {from} to {} by {:?}: {} us", route.to, route.path, route.cost_us);
        assert_eq!(route.path, path.iter().map(|number| site(*number)).collect::<Vec<_>>());
        assert_eq!(route.via, site(path[0]));
    }
    // Others too, whichever way.
    for (from, to) in [(2, 3), (3, 4), (5, 2), (4, 1)] {
        assert_eq!(
            sites.lab.ping(&laptop(from), &format!("-c 5 -i 0.01 -W 2 {}", address(to))),
            (5, 5),
            "{from} to {to}"
        );
    }
    println!("{}", sites.lab.ok("quicap status home --socket n1/quicap.sock"));
}

#[test]
fn a_wire_that_is_cut_silently_costs_a_ping_of_10_ms_less_than_600_ms_and_doubles_none() {
    let Some(mut sites) = Sites::five(&[]) else { return };
    let pings = ping_1_to_5(&sites);
    thread::sleep(2 * SECOND);
    let before = pings.longest_silence(Duration::ZERO);
    let start = unix_time();
    sites.wire(2, 4).set("drop=all");
    lab::until(lab::SOON, "the path is another", || {
        sites.route(1, 5).is_some_and(|route| route.via == site(3))
    });
    thread::sleep(SECOND);
    let silence = pings.longest_silence(start);
    let lost = pings.lost_since(start - SECOND);
    println!(
        "wire 2-4 cut: longest silence {} ms ({} before), {lost} pings lost",
        silence.as_millis(),
        before.as_millis()
    );
    assert!(silence < SILENCE, "{silence:?}");
    let took = pings.round_trip_since(unix_time() - SECOND / 2).unwrap();
    println!("round trip then: {:.1} ms", took.as_secs_f64() * 1e3);
    assert!(took > Duration::from_millis(76), "by node 3: {took:?}");
    let healed = unix_time();
    sites.wire(2, 4).set("drop=none");
    let took = sites.wait_shortest(&[(1, 5), (5, 1)]);
    let silence = pings.longest_silence(healed);
    println!("healed: shortest paths after {took:?}, longest silence {} ms", silence.as_millis());
    assert!(silence < SILENCE, "{silence:?}");
    assert_eq!(pings.duplicates(), 0);
}

#[test]
fn a_node_that_is_killed_costs_those_behind_it_less_than_600_ms_and_it_comes_back() {
    let Some(mut sites) = Sites::five(&[]) else { return };
    let pings = ping_1_to_5(&sites);
    thread::sleep(2 * SECOND);
    let start = unix_time();
    sites.lab.kill9(&site(4));
    let forgotten = sites.wait_whole(&[1, 2, 3, 5], lab::SOON);
    thread::sleep(SECOND);
    let silence = pings.longest_silence(start);
    println!(
        "node 4 killed: longest silence {} ms, {} pings lost, forgotten after {forgotten:?}",
        silence.as_millis(),
        pings.lost_since(start - SECOND),
    );
    assert!(silence < SILENCE, "{silence:?}");
    let start = unix_time();
    sites.start(4);
    let back = lab::until(lab::SOON, "laptop 4 answers", || {
        sites.lab.ping(&laptop(1), &format!("-c 1 -W 1 {}", address(4))).1 == 1
    });
    let whole = sites.wait_shortest(&[(1, 5), (5, 1)]);
    let silence = pings.longest_silence(start);
    println!(
        "node 4 back: its laptop answers after {back:?}, shortest paths {whole:?} later, longest silence {} ms",
        silence.as_millis()
    );
    assert!(silence < SILENCE, "{silence:?}");
    assert_eq!(pings.duplicates(), 0);
}

/// That take the shortest path, of 64 ms there and back, by now.
fn ping_1_to_5(sites: &Sites) -> Pings {
    let pings = Pings::start(&sites.lab, &laptop(1), &address(5));
    lab::until(lab::SOON, "a ping is answered", || pings.first_since(Duration::ZERO).is_some());
    lab::until(SETTLES, "pings take the shortest path", || {
        let some = pings.round_trip_since(unix_time() - SECOND / 2);
        some.is_some_and(is_64_ms)
    });
    pings
}

/// +- 10 %.
fn is_64_ms(took: Duration) -> bool {
    (57_600..=70_400).contains(&took.as_micros())
}
