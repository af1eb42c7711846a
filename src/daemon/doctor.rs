//! The daemon's part of `quicap doctor`: what its status means, and whose MAC addresses are whose.
//! Looks at nothing but the status; the command looks at files, devices and the LAN. Read first: docs/doctor.md.

use std::fmt::Write;

use crate::link::connection::Role;
use crate::link::peer::State;
use crate::node::status::{Clock, LinkStatus, Status};

use super::finding::{Findings, Outcome};

/// Overlay datagrams below this are worth a word: tunnels in tunnels and mobile networks still have more.
const SMALL_MTU: u16 = 1300;
/// Ways there and back that differ by more are worth one too.
const UNEVEN_MTU: u16 = 100;
/// The path MTU of a link is not found at once.
const MTU_SETTLES_S: u64 = 30;
/// Events older than this are history.
const RECENT_S: u64 = 300;
/// What a connection takes (src/limits.rs), and what buffers that are empty now may take, KiB.
const CONNECTION_KIB: u64 = 22;
const BUFFERS_KIB: u64 = 2048;

const MORE_MEMORY: &str = "give it more: RAM, or a higher limit of its control group";

/// A word of a link's reason, and what to do.
const ADVICE: [(&str, &str); 5] = [
    (
        "blocked",
        "is it on, and does its firewall let UDP to this port in? Some networks block UDP: try another port",
    ),
    ("not found", "mend DNS, or the name in option endpoint"),
    ("certificate", "see docs/certificates.md"),
    ("inside", "give QUICAP a way out besides the bridge: option tunlink or fwmark"),
    ("", "run quicap doctor there"),
];

/// Lines of findings, then `mac ADDRESS NAME` for each station behind another node, all separated by tabs.
pub fn render(status: &Status) -> String {
    let mut found = Findings::default();
    found.ok("daemon", format_args!("version {}, runs for {} s", status.version, status.uptime_s));
    if !status.config.error.is_empty() {
        let error = &status.config.error;
        let advice = "mend it, then: service quicap reload";
        found.fault("config", format_args!("the last reload was refused: {error}"), advice);
    }
    clock(&mut found, status);
    memory(&mut found, status);
    port(&mut found, status);
    if status.links.is_empty() {
        let advice = "add a config peer, or wait for others to dial";
        found.warning("peer", format_args!("none is configured and none has dialed"), advice);
    }
    for link in &status.links {
        peer(&mut found, status, link);
        if link.state == State::Up {
            mtu(&mut found, status, link);
        }
    }
    flap(&mut found, status);
    stations(&mut found.0, status);
    found.0
}

fn stations(text: &mut String, status: &Status) {
    for known in status.macs.iter().filter(|known| known.owner != status.node.id) {
        let node = status.nodes.iter().find(|node| node.id == known.owner);
        // Writing to a string does not fail.
        let _ = writeln!(text, "mac\t{}\t{}", known.mac, node.map_or("?", |node| &node.name));
    }
}

fn clock(found: &mut Findings, status: &Status) {
    match &status.clock {
        Clock::Trusted => found.ok("clock", format_args!("trusted")),
        Clock::Untrusted { reason } => {
            found.warning("clock", format_args!("not trusted: {reason}"), super::CLOCK_ADVICE);
        }
    }
}

fn port(found: &mut Findings, status: &Status) {
    let reached = |link: &&LinkStatus| link.connections.iter().any(|own| own.role == Role::Server);
    match status.links.iter().find(reached) {
        Some(link) => found.ok("port", format_args!("{} has reached it", link.name)),
        None => found.warning(
            "port",
            format_args!("nobody has reached this node's port"),
            "if others are to dial this node, let UDP to it in (firewall, forwarding of a router in front); \
             if not, set option listen_port '0'",
        ),
    }
}

fn memory(found: &mut Findings, status: &Status) {
    let table = status.tables.iter().find(|table| table.name == "connections");
    let free = table.map_or(0, |table| table.capacity.saturating_sub(table.used) as u64);
    let most = status.rss_kib + BUFFERS_KIB + CONNECTION_KIB * free;
    let (used, limit) = (status.rss_kib, status.memory_kib);
    let (outcome, advice) = match limit {
        1.. if most > limit => (Outcome::Fault, MORE_MEMORY),
        1.. if most > limit / 2 => (Outcome::Warning, MORE_MEMORY),
        _ => (Outcome::Ok, ""),
    };
    found.add(outcome, "memory", format_args!("{used} KiB in use, at most {most} of {limit} KiB"), advice);
}

fn peer(found: &mut Findings, status: &Status, link: &LinkStatus) {
    const CHECK: &str = "peer";
    let (name, reason) = (&link.name, link.reason.as_str());
    if link.state == State::Up {
        let rtt = link.rtt_us / 100;
        return found.ok(CHECK, format_args!("{name}: up, rtt {}.{} ms", rtt / 10, rtt % 10));
    }
    let way = status.nodes.iter().find(|node| node.name == *name && node.hops > 1);
    let (outcome, words) = match reason {
        _ if link.state == State::Suspect => (Outcome::Warning, "has stopped to answer"),
        "" => (Outcome::Warning, "is being dialed"),
        // For the peer to dial.
        _ if way.is_some() || reason.starts_with("waits") => (Outcome::Warning, reason),
        _ => (Outcome::Fault, reason),
    };
    let advice = ADVICE.iter().find(|(word, _)| reason.contains(word)).map_or("", |(_, advice)| advice);
    match way {
        Some(node) => {
            let text = format_args!("{name}: reached by {}, not directly: {words}", node.via);
            found.add(outcome, CHECK, text, advice);
        }
        None => found.add(outcome, CHECK, format_args!("{name}: {words}"), advice),
    }
}

fn mtu(found: &mut Findings, status: &Status, link: &LinkStatus) {
    let (there, back) = (link.mtu, link.rx_mtu);
    let is_fine = there.min(back) >= SMALL_MTU && there.abs_diff(back) <= UNEVEN_MTU;
    let (outcome, more, advice) = match is_fine {
        _ if status.uptime_s.saturating_sub(link.since_s) < MTU_SETTLES_S => {
            (Outcome::Ok, ", being measured", "")
        }
        true => (Outcome::Ok, "", ""),
        false => (
            Outcome::Warning,
            "",
            "full frames still cross, split: find what on the way takes less (PPPoE, another tunnel) or drops ICMP",
        ),
    };
    found.add(outcome, "mtu", format_args!("{}: {there} bytes there, {back} back{more}", link.name), advice);
}

/// A station that was here and there in turns lately.
fn flap(found: &mut Findings, status: &Status) {
    let recent = |at_s: u64| status.uptime_s.saturating_sub(at_s) < RECENT_S;
    let mut events = status.events.iter().rev();
    if let Some(event) = events.find(|event| recent(event.at_s) && event.text.starts_with("mac_flap")) {
        let advice = "look for a second way between the sites, or for two devices with one MAC";
        found.warning("loop", format_args!("{}", event.text), advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::status::{EventStatus, sample};
    use crate::types::Table;

    fn outcomes(status: &Status, check: &str) -> Vec<(String, String)> {
        let found = Findings(render(status));
        let found = found.iter().filter(|finding| finding.check == check);
        found.map(|finding| (finding.outcome.to_owned(), finding.text.to_owned())).collect()
    }

    fn is(status: &Status, check: &str, outcome: Outcome, words: &str) {
        let found = outcomes(status, check);
        let fits = |(own, text): &(String, String)| own == outcome.name() && text.contains(words);
        assert!(found.iter().any(fits), "{check} {outcome:?} {words}: {found:?}");
    }

    #[test]
    fn a_status_is_judged_line_by_line() {
        let mut status = sample::full();
        status.uptime_s = 1000;
        is(&status, "daemon", Outcome::Ok, "runs for 1000 s");
        is(&status, "clock", Outcome::Ok, "trusted");
        is(&status, "port", Outcome::Ok, "office has reached it");
        is(&status, "memory", Outcome::Ok, "of 61440 KiB");
        is(&status, "peer", Outcome::Ok, "office: up, rtt 24.1 ms");
        is(&status, "peer", Outcome::Fault, "barn: no answer from 192.0.2.9:443");
        is(&status, "mtu", Outcome::Ok, "office: 1440 bytes there, 1432 back");
        assert_eq!((outcomes(&status, "config"), outcomes(&status, "loop")), (vec![], vec![]));
        assert!(render(&status).contains("mac\t02:00:00:00:00:01\tc\n"));
    }

    #[test]
    fn each_thing_that_is_not_as_it_should_be_changes_its_line() {
        let mut status = sample::full();
        status.clock = Clock::Untrusted { reason: "it shows 1970-01-01".to_owned() };
        is(&status, "clock", Outcome::Warning, "1970");
        status.config.error = "ca.crt: gone".to_owned();
        is(&status, "config", Outcome::Fault, "ca.crt: gone");
        status.links[0].connections.remove(0);
        is(&status, "port", Outcome::Warning, "nobody");
        status.memory_kib = 10_000;
        is(&status, "memory", Outcome::Warning, "4100 KiB");
        status.tables.push(Table { name: "connections", used: 4, capacity: 404, bytes: 0 });
        is(&status, "memory", Outcome::Fault, "at most 14948 of 10000");
        status.links[0].rx_mtu = 1168;
        is(&status, "mtu", Outcome::Ok, "being measured");
        status.uptime_s = 200;
        is(&status, "mtu", Outcome::Warning, "1168 back");
        status.links[1].reason = "waits for the peer to dial".to_owned();
        is(&status, "peer", Outcome::Warning, "barn: waits for the peer to dial");
        status.links[1].name = "c".to_owned();
        is(&status, "peer", Outcome::Warning, "c: reached by office");
        status.events.push(EventStatus { at_s: 150, text: "mac_flap: 02 moved".to_owned() });
        is(&status, "loop", Outcome::Warning, "mac_flap");
        status.links.clear();
        is(&status, "peer", Outcome::Warning, "none is configured");
    }
}
