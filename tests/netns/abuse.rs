//! Strangers that flood the port of a small router with garbage and with handshakes that they never finish.
//!
//! ```text
//!   la --- (a: 64 MiB) wan --- net (a bridge) --- wan (b) --- lb        b dials a, a cannot dial b
//!                                    |
//!                                  wan (x): 198.18.0.0/16
//! ```

use std::thread;
use std::time::Duration;

use quicap::cli::demo::json::Json;
use quicap::limits;

use crate::attack::{self, Flood, Sent};
use crate::cgroup::Group;
use crate::lab::{self, Lab};
use crate::machine;
use crate::pings::{Pings, unix_time};

const MEMORY_KIB: u64 = 64 * 1024;
/// What the router may take of it, as the kernel counts it.
const RSS_KIB: u64 = 24 * 1024;
/// What strangers provoke is at level debug.
const QUIET: lab::Options<'_> = &[("log_level", "info")];
/// Of each kind, in a second; a busy machine may not send as many.
const RATE: u32 = 10_500;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_router_of_64_mib_carries_its_traffic_and_lets_its_peer_in_while_strangers_flood_it() {
    if !machine::have(&["iperf3", "nsenter"]) {
        return;
    }
    let group = match Group::with_memory(MEMORY_KIB * 1024) {
        Ok(group) => group,
        Err(reason) => return machine::skip(&reason),
    };
    let Some(mut lab) = scene(&group) else { return };
    let to = "192.0.2.1:443".parse().unwrap();
    let initials = attack::initials(&lab, "b", to, 20_000);
    let floods = [(attack::garbage(), "garbage"), (initials, "handshakes")]
        .map(|(datagrams, name)| (Flood::start(&lab, "x", to, datagrams, RATE), name));
    let end = unix_time() + 30 * SECOND;
    carries(&mut lab);
    comes_back(&mut lab);
    thread::sleep(end.saturating_sub(unix_time()));
    for (flood, name) in floods {
        let Sent { datagrams, per_second } = flood.stop();
        println!("{name}: {datagrams} datagrams, {per_second} a second");
        assert!(per_second > u64::from(RATE) / 4, "too few to mean anything");
    }
    check_memory(&lab, &group);
    assert!(lab.is_running("a") && lab.is_running("b"));
}

/// The router a in its group, linked to b; the attacker can reach it.
fn scene(group: &Group) -> Option<Lab> {
    let mut lab = Lab::open()?;
    lab.add_namespace("net");
    lab.ok("ip -n @net link add switch type bridge");
    lab.ok("ip -n @net link set switch up");
    for (site, number) in [("a", 1), ("b", 2), ("x", 3)] {
        lab.add_namespace(site);
        lab.ok(&format!("ip -n @net link add name {site} type veth peer name wan netns @{site}"));
        lab.ok(&format!("ip -n @net link set dev {site} master switch up"));
        lab.ok(&format!("ip -n @{site} addr add 192.0.2.{number}/24 dev wan"));
        lab.ok(&format!("ip -n @{site} link set wan up"));
    }
    lab.ok(&format!("ip -n @x route add local {} dev lo", attack::NETWORK));
    lab.ok(&format!("ip -n @a route add {} via 192.0.2.3", attack::NETWORK));
    lab.ok("quicap ca init --dir ca --network home");
    for (site, number) in [("a", 1), ("b", 2)] {
        lab.build_site(site, number);
        lab.join(site);
    }
    lab.configure_peers("a", QUIET, &[]);
    lab.configure_peers("b", QUIET, &[("a", "192.0.2.1:443")]);
    // `ip netns exec` would hide the control groups from it.
    let line = Lab::run_line("a").replace("ip netns exec @a", "nsenter --net=/run/netns/@a");
    lab.spawn_daemon_by("a", &group.wrap(&line));
    lab.wait_tap("a");
    lab.start("b");
    lab.wait_linked();
    lab.wait_ping(lab::SOON);
    let device = lab.ok("ip -n @a link show dev quicap0");
    assert!(device.contains(&format!("qlen {}", limits::ROUTER.tap_queue)), "a small router: {device}");
    Some(lab)
}

/// Pings and a stream of UDP cross during the flood.
fn carries(lab: &mut Lab) {
    let pings = Pings::start(lab, "la", "10.77.0.2");
    let stream = lab.transfer("-u -b 5M -t 12 --json").wait_with_output().unwrap();
    let loss = pings.loss();
    let report = Json::parse(&String::from_utf8(stream.stdout).unwrap()).unwrap();
    let lost = report.at("end.sum.lost_percent").number().unwrap();
    println!("12 s of flood: {:.2} % of pings lost, {lost:.2} % of a stream of 5 Mbit/s", loss * 100.0);
    assert!(loss < 0.05 && lost < 5.0);
}

/// A peer that restarts during the flood.
fn comes_back(lab: &mut Lab) {
    let pings = Pings::start(lab, "la", "10.77.0.2");
    lab.wait(lab::SOON, "a ping is answered", |_| pings.first_since(Duration::ZERO).is_some());
    lab.kill9("b");
    let start = unix_time();
    lab.spawn_daemon("b");
    lab.wait(lab::SOON, "a ping is answered", |_| pings.first_since(start).is_some());
    let took = pings.first_since(start).unwrap() - start;
    println!("a peer that restarts is in again after {} ms", took.as_millis());
    assert!(took < 5 * SECOND);
}

fn check_memory(lab: &Lab, group: &Group) {
    let status = lab.status("a");
    let rss = status.at("rss_kib").number().unwrap() as u64;
    let ignored = status.at("counters.initials_ignored").number().unwrap();
    println!(
        "router: RSS {rss} KiB, at most {:?} KiB of {MEMORY_KIB} in its group, {ignored} first packets ignored",
        group.peak_kib()
    );
    assert!(rss < RSS_KIB);
    assert!(ignored > 10_000.0, "the gate was needed");
    let log = lab.log("a");
    println!("its log has {} lines", log.lines().count());
    assert!(log.lines().count() < 200 && !log.contains("panicked"));
}
