//! What a tunnel costs when nothing goes through it: memory and wake-ups.
//!
//! ```text
//!   a ===== b        nobody speaks
//! ```

use std::thread;
use std::time::Duration;

use crate::lab::{Lab, Underlay};

#[test]
fn an_idle_tunnel_wakes_for_keep_alives_only() {
    const WATCHED: Duration = Duration::from_secs(20);
    let Some(lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    // The laptops' own chatter (IPv6 router solicitations, MLD) would wake the daemons too.
    for namespace in ["la", "lb"] {
        lab.ok(&format!("ip -n @{namespace} link set eth0 down"));
    }
    for site in ["a", "b"] {
        lab.ok(&format!("ip netns exec @{site} sysctl -qw net.ipv6.conf.br-lan.disable_ipv6=1"));
        lab.ok(&format!("ip netns exec @{site} sysctl -qw net.ipv6.conf.quicap0.disable_ipv6=1"));
    }
    thread::sleep(Duration::from_secs(5));
    let before = ["a", "b"].map(|site| of_process(&lab, site, "voluntary_ctxt_switches"));
    thread::sleep(WATCHED);
    for (site, before) in ["a", "b"].into_iter().zip(before) {
        let rate =
            (of_process(&lab, site, "voluntary_ctxt_switches") - before) as f64 / WATCHED.as_secs_f64();
        println!("{site}: {rate:.2} wake-ups a second, RSS {} KiB", of_process(&lab, site, "VmRSS"));
        // Two connections with a PING and its ACK every 5 s from either end; a tick would be far above.
        assert!(rate <= 3.0, "{rate} wake-ups a second");
    }
}

/// A number from /proc/PID/status.
fn of_process(lab: &Lab, site: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", lab.pid(site))).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
