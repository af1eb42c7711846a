//! Faults that a link survives, and how long each takes: what docs/faults.md reports. Figures are printed.
//!
//! ```text
//!   la --- (a) === wire 1: a dials b === (b) --- lb
//!              === wire 2: b dials a ===
//! ```

use std::thread;
use std::time::Duration;

use crate::lab::{self, Lab, Underlay};
use crate::machine;
use crate::pings::{Pings, unix_time};
use crate::wire;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_of_two_wires_can_be_cut_under_a_transfer_and_the_silence_is_short() {
    if !machine::have(&["iperf3"]) {
        return;
    }
    for cut in [0, 1] {
        let Some((mut lab, mut wires)) = wire::two_sites("delay=10 rate=100", &[]) else { return };
        start_both(&mut lab);
        lab.wait(lab::SOON, "both connections are up", |lab| {
            ["a", "b"].iter().all(|site| lab.status(site).at("links.0.connections").items().len() == 2)
        });
        let pings = Pings::start(&lab, "la", "10.77.0.2");
        let mut transfer = lab.transfer("-t 9");
        thread::sleep(3 * SECOND);
        let before = pings.longest_silence(Duration::ZERO);
        let start = unix_time();
        wires[cut].set("drop=all");
        thread::sleep(3 * SECOND);
        let silence = pings.longest_silence(start);
        println!(
            "wire {} cut under iperf3: longest silence {} ms ({} ms before)",
            cut + 1,
            silence.as_millis(),
            before.as_millis()
        );
        assert!(silence < Duration::from_millis(400), "{silence:?}");
        assert!(transfer.wait().unwrap().success(), "the transfer goes on");
    }
}

#[test]
fn traffic_is_back_within_3_seconds_of_the_restart_of_a_killed_end() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let pings = Pings::start(&lab, "la", "10.77.0.2");
    for site in ["b", "a"] {
        lab.wait(lab::SOON, "pings are answered", |_| pings.first_since(unix_time() - SECOND / 10).is_some());
        lab.kill9(site);
        // A moment, as an init system takes it.
        thread::sleep(SECOND / 2);
        let start = unix_time();
        lab.start(site);
        lab.wait(lab::SOON, "a ping is answered", |_| pings.first_since(start).is_some());
        let took = pings.first_since(start).unwrap() - start;
        println!("kill -9 of {site} and start: traffic back {} ms after the start", took.as_millis());
        assert!(took < 3 * SECOND, "{took:?}");
    }
}

#[test]
fn both_ends_started_at_once_50_times_are_linked_within_a_second_each() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    // The laptops ask for a MAC address once a second otherwise, and their clock is not what is measured.
    for laptop in ["la", "lb"] {
        lab.ok(&format!("ip netns exec @{laptop} sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=50"));
    }
    let pings = Pings::start(&lab, "la", "10.77.0.2");
    lab.wait(lab::SOON, "pings are answered", |_| pings.first_since(Duration::ZERO).is_some());
    let mut took = Vec::new();
    for _ in 0..50 {
        lab.kill9("a");
        lab.kill9("b");
        let start = unix_time();
        lab.spawn_daemon("a");
        lab.spawn_daemon("b");
        lab.wait(lab::SOON, "a ping is answered", |_| pings.first_since(start).is_some());
        took.push(pings.first_since(start).unwrap() - start);
    }
    took.sort();
    println!(
        "both started at once 50 times: first ping after {} ms at best, {} ms in the middle, {} ms at worst",
        took[0].as_millis(),
        took[25].as_millis(),
        took[49].as_millis()
    );
    assert!(took[49] < SECOND, "{took:?}");
}

#[test]
fn a_minute_of_jitter_and_5_percent_loss_under_load_raises_no_suspicion() {
    if !machine::have(&["iperf3"]) {
        return;
    }
    let Some((mut lab, mut wires)) = wire::two_sites("delay=10 rate=20", &[]) else { return };
    start_both(&mut lab);
    let mut transfer = lab.transfer("-t 62 -u -b 5M");
    // iperf3 opens its UDP stream with one datagram each way, and gives up when one of them is lost.
    thread::sleep(2 * SECOND);
    wires.iter_mut().for_each(|wire| wire.set("jitter=5 loss=5"));
    assert!(transfer.wait().unwrap().success());
    for site in ["a", "b"] {
        let log = lab.log(site);
        let suspicions: Vec<&str> = log.lines().filter(|line| line.contains(": suspect")).collect();
        println!("{site}: {} suspicions in a minute of 5 % loss and 5 ms of jitter", suspicions.len());
        assert!(suspicions.is_empty(), "{suspicions:?}");
    }
}

fn start_both(lab: &mut Lab) {
    lab.start("a");
    lab.start("b");
    lab.wait_linked();
}
