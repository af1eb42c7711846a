//! A hub and five sites, and what a change of one peer costs the others.
//!
//! ```text
//!   hub --- net (a bridge) --- s1, s2, s3, s4, s5        each with br-lan, 10.77.0.100 and 10.77.0.N
//! ```

use std::thread;
use std::time::Duration;

use quicap::types::DropReason;

use crate::lab::{self, Lab};

const SITES: [&str; 5] = ["s1", "s2", "s3", "s4", "s5"];

#[test]
fn a_changed_peer_of_five_costs_the_other_four_not_one_frame() {
    let Some(mut lab) = hub_and_sites() else { return };
    let others = &SITES[..4];
    let before: Vec<Counts> = others.iter().map(|site| Counts::of(&lab, site)).collect();
    let hub_before = Counts::of(&lab, "hub");
    let pings: Vec<_> = (1..=others.len())
        .map(|number| lab.spawn(&lab::ping_line("hub", &format!("-q -i 0.01 -c 500 10.77.0.{number}"))))
        .collect();
    for (time, fifth) in [Some("192.0.2.99:443"), None, Some("192.0.2.5:443")].into_iter().enumerate() {
        thread::sleep(Duration::from_millis(700));
        configure_hub(&lab, fifth);
        lab.signal("hub", "HUP");
        lab.wait(lab::SOON, "the change is taken", |lab| {
            lab.log("hub").matches("configuration read again").count() == time + 1
        });
    }
    for (site, ping) in others.iter().zip(pings) {
        let text = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(lab::parse_ping(&text), Some((500, 500)), "{site}: {text}");
    }
    for (site, before) in others.iter().zip(before) {
        let after = Counts::of(&lab, site);
        let (rx, tx) = (after.tap_rx - before.tap_rx, after.tap_tx - before.tap_tx);
        println!("{site}: {rx} frames from the LAN, {tx} into it, {} dropped", after.drops - before.drops);
        assert!(rx >= 500 && tx >= 500);
        assert_eq!(after.drops, before.drops, "{site}");
    }
    assert_eq!(Counts::of(&lab, "hub").drops, hub_before.drops);
    lab.wait(lab::SOON, "the fifth is linked again", |lab| is_up(lab, "s5"));
}

fn hub_and_sites() -> Option<Lab> {
    let mut lab = Lab::open()?;
    lab.add_namespace("net");
    lab.ok("ip -n @net link add switch type bridge");
    lab.ok("ip -n @net link set switch up");
    lab.ok("quicap ca init --dir ca --network home");
    for (site, number) in SITES.into_iter().zip(1..).chain([("hub", 100)]) {
        lab.add_namespace(site);
        for line in [
            format!("ip -n @net link add {site} type veth peer name wan netns @{site}"),
            format!("ip -n @net link set {site} master switch up"),
            format!("ip -n @{site} addr add 192.0.2.{number}/24 dev wan"),
            format!("ip -n @{site} link set wan up"),
            format!("ip -n @{site} link add br-lan type bridge"),
            format!("ip -n @{site} addr add 10.77.0.{number}/24 dev br-lan"),
            format!("ip -n @{site} link set br-lan up"),
        ] {
            lab.ok(&line);
        }
        lab.join(site);
        lab.configure_peers(site, &[], &[("hub", "192.0.2.100:443")]);
    }
    configure_hub(&lab, Some("192.0.2.5:443"));
    ["hub"].into_iter().chain(SITES).for_each(|site| lab.start(site));
    for (site, number) in SITES.into_iter().zip(1..) {
        lab.wait(lab::SOON, "the link is up", |lab| is_up(lab, site));
        let ping = format!("-c 1 -W 1 10.77.0.{number}");
        lab.wait(lab::SOON, "a ping is answered", |lab| lab.ping("hub", &ping).1 == 1);
    }
    Some(lab)
}

/// The hub's file, with this endpoint of the fifth site or without it.
fn configure_hub(lab: &Lab, fifth: Option<&str>) {
    let endpoints: Vec<String> = (1..=4).map(|number| format!("192.0.2.{number}:443")).collect();
    let addresses = endpoints.iter().map(String::as_str).chain(fifth);
    let peers: Vec<(&str, &str)> = SITES.into_iter().zip(addresses).collect();
    lab.configure_peers("hub", &[], &peers);
}

/// Whether the hub is linked to a site.
fn is_up(lab: &Lab, site: &str) -> bool {
    let status = lab.status("hub");
    let mut links = status.at("links").items().iter();
    links.any(|link| link.at("name").text() == site && link.at("state").text() == "up")
}

/// Frames that crossed the TAP of a site, and those dropped.
struct Counts {
    tap_rx: u64,
    tap_tx: u64,
    drops: u64,
}

impl Counts {
    fn of(lab: &Lab, site: &str) -> Self {
        let status = lab.status(site);
        let number = |path: &str| status.at(path).number().unwrap() as u64;
        // Not what the fifth site says while it comes and goes, nor further copies of a broadcast.
        let of_the_fifth = [DropReason::NoRoute, DropReason::BcastDup];
        let losses = DropReason::ALL.into_iter().filter(|reason| !of_the_fifth.contains(reason));
        Self {
            tap_rx: number("counters.tap_rx_frames"),
            tap_tx: number("counters.tap_tx_frames"),
            drops: losses.map(|reason| number(&format!("drops.{}", reason.name()))).sum(),
        }
    }
}
