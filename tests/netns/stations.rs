//! Stations of five sites: one that moves from a site to another, and a million that do not exist.
//!
//! ```text
//!   ln1 --- 1 --10-- 2 --12-- 4        ln2 unplugs at 2, and is plugged in at 4
//! ```

use std::thread;
use std::time::Duration;

use crate::compiled;
use crate::lab;
use crate::machine;
use crate::pings::{Pings, unix_time};
use crate::sites::{Sites, address, laptop, site};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_laptop_that_moves_to_another_site_is_reached_there_after_its_first_frame() {
    if !machine::have(&["python3"]) {
        return;
    }
    let Some(sites) = Sites::five(&[]) else { return };
    sites.hush();
    let mac = mac_of(&sites, 2);
    // Neither laptop is to find the other by asking: only the mesh has to.
    for (at, of) in [(1, 2), (2, 1)] {
        let known = mac_of(&sites, of);
        sites.lab.ok(&format!(
            "ip -n @{} neigh replace {} lladdr {known} dev eth0 nud permanent",
            laptop(at),
            address(of)
        ));
    }
    let pings = Pings::start(&sites.lab, &laptop(1), &address(2));
    lab::until(lab::SOON, "a ping is answered", || pings.first_since(Duration::ZERO).is_some());
    for (from, to) in [(2, 4), (4, 2)] {
        let left = unix_time();
        plug(&sites, from, to);
        // It is silent there, and nobody can know.
        thread::sleep(SECOND / 2);
        assert!(pings.first_since(left + SECOND / 4).is_none(), "it has not said anything yet");
        let hello = format!("ffffffffffff{}88b5{:0>92}", mac.replace(':', ""), "");
        let sent = sites.lab.ok(&sites.lab.python(&laptop(2), &format!("send eth0 {hello}")));
        let sent = Duration::from_secs_f64(sent.trim().parse().unwrap());
        lab::until(lab::SOON, "a ping is answered", || pings.first_since(sent).is_some());
        let first = pings.first_since(sent).unwrap();
        thread::sleep(SECOND);
        println!(
            "from site {from} to site {to}: a ping is answered {} ms after the first frame there; \
             {} were lost in all, {} after that",
            (first - sent).as_millis(),
            pings.lost_since(left - SECOND / 4),
            pings.lost_since(first)
        );
        assert!(first - sent < SECOND / 2, "{:?}", first - sent);
        assert_eq!(pings.lost_since(first), 0);
        let owner = owner_of(&sites, 1, &mac);
        assert_eq!(owner, Some(to as f64), "laptop 2 at node 1");
    }
    assert_eq!(pings.duplicates(), 0);
}

#[test]
fn a_million_invented_stations_of_one_site_take_no_memory_and_no_place_from_others() {
    const FRAMES: u64 = 1_000_000;
    /// In a second: what a daemon without optimization takes and leaves time for others.
    const RATE: u64 = 60_000;
    let Some(mut sites) = Sites::five(&[]) else { return };
    let pairs = [(2, 5), (5, 3), (4, 2), (3, 4)];
    let ping_all = |sites: &Sites, when: &str| {
        for (from, to) in pairs {
            let options = format!("-c 20 -i 0.01 -W 2 {}", address(to));
            assert_eq!(sites.lab.ping(&laptop(from), &options), (20, 20), "{from} to {to} {when}");
        }
    };
    ping_all(&sites, "before");
    // Buffers grow with the first load.
    storm(&sites, 20_000, RATE, 1);
    thread::sleep(SECOND);
    let before: Vec<u64> = (1..=5).map(|number| sites.counter(number, "rss_kib")).collect();
    let read = sites.counter(1, "counters.tap_rx_frames");
    let pings = pairs.map(|(from, to)| Pings::start(&sites.lab, &laptop(from), &address(to)));
    let report = storm(&sites, FRAMES, RATE, 2);
    let read = sites.counter(1, "counters.tap_rx_frames") - read;
    println!("{report}; node 1 read {read} of them");
    assert!(read > FRAMES / 2, "it was a storm");
    for ((from, to), pings) in pairs.into_iter().zip(pings) {
        println!("laptop {from} to {to}: {:.2} % of pings lost in the storm", pings.loss() * 100.0);
        assert!(pings.loss() < 0.05);
    }
    ping_all(&sites, "after");
    for (number, before) in (1..).zip(before) {
        let after = sites.counter(number, "rss_kib");
        let not_learned = sites.counter(number, "counters.macs_not_learned");
        println!(
            "node {number}: RSS {before} KiB before, {after} after; {not_learned} addresses not learned"
        );
        assert!(after.abs_diff(before) <= 1024, "node {number}");
        assert!(not_learned > 0, "node {number}");
    }
    sites.wait_whole(&[1, 2, 3, 4, 5], lab::SOON);
}

/// Frames from invented stations behind site 1; what the sender says of them.
fn storm(sites: &Sites, frames: u64, rate: u64, seed: u64) -> String {
    let program = compiled::program("storm");
    let line = format!("ip netns exec @{} {} eth0 {frames} {rate} {seed}", laptop(1), program.display());
    let text = sites.lab.ok(&line);
    let (sent, ms) = text.trim().split_once(' ').unwrap();
    format!("{sent} frames in {ms} ms")
}

/// Unplugs laptop 2 at one site and plugs it in at another: its address and MAC stay.
fn plug(sites: &Sites, from: usize, to: usize) {
    let [from, to] = [from, to].map(site);
    for line in [
        format!("ip -n @{from} link set {} down", port(&from)),
        format!("ip -n @{from} link set {} netns @{to} name {}", port(&from), port(&to)),
        format!("ip -n @{to} link set {} master br-lan up", port(&to)),
    ] {
        sites.lab.ok(&line);
    }
}

/// What the port of laptop 2 is called at a site: its own is lan1 there.
fn port(at: &str) -> &'static str {
    if at == site(2) { "lan1" } else { "guest" }
}

fn mac_of(sites: &Sites, number: usize) -> String {
    let link = sites.lab.ok(&format!("ip -n @{} -o link show dev eth0", laptop(number)));
    link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

/// Which node a station lives behind, as a node sees it.
fn owner_of(sites: &Sites, at: usize, mac: &str) -> Option<f64> {
    let status = sites.lab.status(&site(at));
    let found = status.at("macs").items().iter().find(|known| known.at("mac").text() == mac)?;
    found.at("owner").number()
}
