//! Our own address, device and routes change while the tunnel is in use, and what decides which way it takes.
//!
//! ```text
//!              /-- wan  192.0.2.1 ------- 192.0.2.2    wan --\
//!   la ... a --                                                -- b ... lb
//!    203.0.113.1 \-- wan2 198.51.100.1 --- 198.51.100.2 wan2 --/ 203.0.113.2 (both on lo)
//! ```

use std::fs;
use std::time::Duration;

use crate::lab::{self, Lab, Underlay};
use crate::transfer::Transfer;

const MB: u64 = 1_000_000;
/// A link that was cut is up again within a second or two; TCP in it waits longer, the longer it was silent.
const RESUMES: Duration = Duration::from_secs(3);

#[test]
fn a_transfer_survives_a_new_address_of_either_end() {
    for site in ["a", "b"] {
        let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
        let number = if site == "a" { 1 } else { 2 };
        let transfer = Transfer::start(&lab, 30 * MB);
        transfer.wait_more(&mut lab, 5 * MB);
        lab.ok(&format!("ip -n @{site} addr del 192.0.2.{number}/24 dev wan"));
        lab.ok(&format!("ip -n @{site} addr add 192.0.2.1{number}/24 dev wan"));
        transfer.wait_more(&mut lab, 5 * MB);
        let seen = seen(&lab, site);
        assert!(seen.iter().any(|from| from.starts_with(&format!("192.0.2.1{number}:"))), "{seen:?}");
        let silence = transfer.finish();
        println!("{site} gets another address under a transfer of 30 MB: nothing arrived for {silence:?}");
        assert!(silence < RESUMES);
    }
}

#[test]
fn a_transfer_survives_the_fall_of_one_wan_onto_the_other() {
    let Some(mut lab) = two_wans() else { return };
    endpoint(&lab, "a", "203.0.113.2:443");
    lab.ok("ip -n @a route add default via 192.0.2.2 dev wan");
    lab.start("a");
    lab.start("b");
    lab.wait_linked();
    let transfer = Transfer::start(&lab, 60 * MB);
    transfer.wait_more(&mut lab, 5 * MB);
    // As mwan3 or netifd do when the better way is back: nothing breaks but the source address.
    transfer.silence();
    lab.ok("ip -n @a route replace default via 198.51.100.2 dev wan2");
    transfer.wait_more(&mut lab, 10 * MB);
    let moved = transfer.silence();
    // As when a modem dies: the second connection, which b dialed, goes with it.
    lab.ok("ip -n @a link set wan down");
    transfer.wait_more(&mut lab, 10 * MB);
    let seen = seen(&lab, "a");
    assert!(seen.iter().any(|from| from.starts_with("198.51.100.1:")), "{seen:?}");
    let silence = transfer.finish();
    println!("under a transfer: default route to wan2: nothing arrived for {moved:?}; wan down: {silence:?}");
    assert!(moved < RESUMES && silence < RESUMES);
}

#[test]
fn a_transfer_survives_a_wan_that_is_down_for_three_seconds() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let transfer = Transfer::start(&lab, 30 * MB);
    transfer.wait_more(&mut lab, 5 * MB);
    lab.ok("ip -n @a link set wan down");
    lab.wait(lab::SOON, "the link is lost", |lab| lab.link("a").0 != "up" && lab.link("a").0 != "suspect");
    std::thread::sleep(Duration::from_secs(2));
    lab.ok("ip -n @a link set wan up");
    let link = lab.wait(lab::SOON, "the link is up", |lab| lab.link("a").0 == "up");
    let more = transfer.wait_more(&mut lab, MB);
    let silence = transfer.finish();
    println!(
        "wan down and up: link up {link:?} after it, transfer on after {more:?} more, silent for {silence:?}"
    );
    assert!(link < Duration::from_secs(3), "it is not left to the pause between two attempts");
    assert!(silence < Duration::from_secs(30));
}

#[test]
fn status_names_our_own_address_of_each_connection() {
    for (underlay, ours) in [(Underlay::V4, "192.0.2.1:"), (Underlay::V6, "[2001:db8::1]:")] {
        let Some(mut lab) = Lab::two_linked_sites(underlay, &[]) else { return };
        lab.wait(lab::SOON, "both ends have dialed", |lab| connections(&lab.status("a"), "role").len() == 2);
        let seen = connections(&lab.status("a"), "local");
        assert!(seen.iter().all(|local| local.starts_with(ours)), "{seen:?}");
    }
}

#[test]
fn an_endpoint_inside_the_tunnel_is_refused_in_words_and_others_are_used() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    lab.ok("ip -n @a addr add 10.77.0.254/24 dev br-lan");
    endpoint(&lab, "a", "10.77.0.2:443");
    lab.start("a");
    let words = "would run inside the tunnel (the route to 10.77.0.2 leads into br-lan)";
    lab.wait(lab::SOON, "the reason is known", |lab| lab.link("a").1.contains(words));
    println!("status says: {}", lab.link("a").1);
    // A second endpoint is used, though the first one is refused.
    endpoint(&lab, "a", "10.77.0.2:443 192.0.2.2:443");
    lab.signal("a", "HUP");
    lab.start("b");
    lab.wait_linked();
    assert_eq!(
        connections(&lab.status("a"), "remote").iter().filter(|to| to.starts_with("10.77")).count(),
        0
    );
}

#[test]
fn a_link_whose_way_comes_to_lead_into_the_tunnel_is_cut_and_returns_when_it_does_not() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    lab.ok("ip -n @a route add 192.0.2.2/32 dev br-lan");
    let words = "would run inside the tunnel (the route to 192.0.2.2 leads into br-lan)";
    lab.wait(lab::SOON, "the link is cut", |lab| lab.link("a").0 != "up" && lab.link("a").1.contains(words));
    lab.ok("ip -n @a route del 192.0.2.2/32 dev br-lan");
    let back = lab.wait(lab::SOON, "the link is back", |lab| lab.link("a").0 == "up");
    println!("back {back:?} after the route left the tunnel");
    lab.wait_ping(lab::SOON);
}

#[test]
fn the_mark_decides_which_rule_routes_the_tunnel() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[("fwmark", "0x51")]) else { return };
    only_dials(&lab);
    lab.ok("ip -n @b addr add 203.0.113.2/32 dev lo");
    endpoint(&lab, "a", "203.0.113.2:443");
    lab.ok("ip -n @a rule add fwmark 0x51 table 51");
    lab.start("b");
    lab.start("a");
    let words = "no way to 203.0.113.2:443: Network is unreachable";
    lab.wait(lab::SOON, "the reason is known", |lab| lab.link("a").1 == words);
    // Only who has the mark finds this route.
    lab.ok("ip -n @a route add 203.0.113.2/32 via 192.0.2.2 table 51");
    let up = lab.wait(lab::SOON, "the link is up", |lab| lab.link("a").0 == "up");
    println!("up {up:?} after the route for the mark");
    assert_ne!(
        lab.run("ip netns exec @a ping -c 1 -W 1 203.0.113.2").status.code(),
        Some(0),
        "no mark, no route"
    );
}

#[test]
fn the_tunnel_goes_by_its_device_alone_which_may_come_later_and_come_back_as_another_one() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    only_dials(&lab);
    lab.configure("a", &[("tunlink", "wan2")]);
    endpoint(&lab, "a", "203.0.113.2:443");
    lab.ok("ip -n @b addr add 203.0.113.2/32 dev lo");
    lab.ok("ip -n @a route add 203.0.113.2/32 via 192.0.2.2 dev wan");
    lab.start("b");
    lab.start("a");
    let words = "there is no device 'wan2' (option tunlink)";
    lab.wait(lab::SOON, "the reason is known", |lab| lab.link("a").1.contains(words));
    for time in ["first", "second"] {
        add_wan2(&lab);
        lab.ok("ip -n @a route add 203.0.113.2/32 via 198.51.100.2 dev wan2 metric 9");
        let up = lab.wait(lab::SOON, "the link is up", |lab| lab.link("a").0 == "up");
        println!("up {up:?} after wan2 came for the {time} time");
        let seen = seen(&lab, "a");
        assert!(!seen.is_empty() && seen.iter().all(|from| from.starts_with("198.51.100.1:")), "{seen:?}");
        lab.ok("ip -n @a link del wan2");
        lab.wait(lab::SOON, "the link is lost", |lab| !["up", "suspect"].contains(&lab.link("a").0.as_str()));
    }
    assert!(lab.is_running("a"));
}

/// The two sites with a second wire between them, and an address each that both wires lead to.
fn two_wans() -> Option<Lab> {
    let lab = Lab::two_sites(Underlay::V4, &[])?;
    add_wan2(&lab);
    for (site, number) in [("a", 1), ("b", 2)] {
        lab.ok(&format!("ip -n @{site} addr add 203.0.113.{number}/32 dev lo"));
    }
    Some(lab)
}

fn add_wan2(lab: &Lab) {
    lab.ok("ip -n @a link add wan2 type veth peer name wan2 netns @b");
    for (site, number) in [("a", 1), ("b", 2)] {
        lab.ok(&format!("ip -n @{site} addr add 198.51.100.{number}/24 dev wan2"));
        lab.ok(&format!("ip -n @{site} link set wan2 up"));
    }
}

/// Has b dial nobody, so that all is up to a.
fn only_dials(lab: &Lab) {
    endpoint(lab, "b", "");
}

/// Writes other endpoints, separated by spaces, into the configuration of a site.
fn endpoint(lab: &Lab, site: &str, endpoints: &str) {
    let path = lab.dir.join(site).join("quicap");
    let text = fs::read_to_string(&path).unwrap();
    let (before, old) = text.rsplit_once("endpoint").unwrap();
    assert_eq!(old.lines().count(), 1, "the last option of the file");
    let before = before.trim_end_matches("list ").trim_end_matches("option ");
    fs::write(path, format!("{before}option endpoint '{endpoints}'\n")).unwrap();
}

/// Where the other end sees the packets of a site come from.
fn seen(lab: &Lab, site: &str) -> Vec<String> {
    let status = lab.status(if site == "a" { "b" } else { "a" });
    connections(&status, "remote")
}

/// A field of all connections.
fn connections(status: &quicap::cli::demo::json::Json, field: &str) -> Vec<String> {
    let links = status.at("links").items().iter();
    links
        .flat_map(|link| link.at("connections").items().iter())
        .map(|connection| connection.at(field).text().to_owned())
        .collect()
}
