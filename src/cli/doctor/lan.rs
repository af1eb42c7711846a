//! What `quicap doctor` asks the other sites, and what their answers mean: loops, addresses that are in use twice,
//! DHCP servers and routers that nobody wanted there.
//!
//! First a probe that finds loops; only without one the rest, which goes to all. Read first: `frames.rs`, docs/doctor.md.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::device::query;
use super::files::is_taken;
use super::frames::{self, Said};
use crate::config::Network;
use crate::daemon::finding::Findings;
use crate::mesh::switch::UnknownUnicast;
use crate::sys::address;
use crate::sys::interface::{Interface, name_of};
use crate::sys::packet::Packets;
use crate::types::MacAddr;

/// How long a probe may travel in a circle, and the second one; the mesh floods them 0.1 s apart or more.
const LOOP: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(850)];
/// How long answers are waited for, after the first questions and after the second ones, for a frame may be lost: a DHCP
/// server may ping the address for 3 seconds before it offers it.
const ANSWERS: [Duration; 2] = [Duration::from_millis(1200), Duration::from_millis(3300)];
/// Frames that are remembered, at most.
const HEARD: usize = 256;

/// What was heard, and where we are.
#[derive(Default)]
pub struct Heard {
    /// Why nothing was asked; empty: it was.
    silent: &'static str,
    tap: Interface,
    /// The bridge; the TAP itself where there is none.
    lan: Interface,
    /// Of `lan`.
    addresses: Vec<(IpAddr, u8)>,
    /// Devices that our probe came back by.
    circles: Vec<u32>,
    /// Device, sender and what it says, each once.
    said: Vec<(u32, MacAddr, Said)>,
}

/// Asks and listens; takes up to 6 seconds.
pub fn listen(network: &Network) -> Heard {
    let mut heard = Heard::default();
    heard.silent = ask(network, &mut heard).err().unwrap_or_default();
    heard
}

fn ask(network: &Network, heard: &mut Heard) -> Result<(), &'static str> {
    heard.tap = query(network.tap.as_deref().unwrap_or_default());
    if !heard.tap.up || !heard.tap.carrier {
        return Err("the TAP has no carrier");
    }
    heard.lan = heard.tap.bridge.as_deref().map_or_else(|| heard.tap.clone(), query);
    heard.addresses = address::of(heard.lan.index);
    let packets = Packets::open().map_err(|_| "no raw socket: must run as root")?;
    let (Some(of_tap), Some(me)) = (heard.tap.mac, heard.lan.mac) else {
        return Err("it has no MAC address");
    };
    let number = number();
    if network.switch.unknown_unicast == UnknownUnicast::Limited {
        let probe = frames::probe(of_tap, number);
        // Twice: the first may be lost.
        for time in LOOP {
            packets.send(heard.tap.index, &probe).map_err(|_| "it takes no frames")?;
            gather(&packets, time, number, heard);
        }
    }
    if !heard.circles.is_empty() {
        return Ok(());
    }
    for time in ANSWERS {
        for (address, _) in &heard.addresses {
            let _ = packets.send(heard.tap.index, &frames::who_has(me, *address));
        }
        let _ = packets.send(heard.tap.index, &frames::router_solicitation(me));
        let _ = packets.send(heard.lan.index, &frames::discover(me, number));
        gather(&packets, time, number, heard);
    }
    Ok(())
}

/// So that answers to another's questions are not taken for those to ours.
#[allow(clippy::disallowed_methods, reason = "a number that is not twice the same")]
fn number() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.subsec_nanos() ^ std::process::id().rotate_left(16)
}

/// Hears what comes in for so long. In a circle one more frame says nothing new.
#[allow(clippy::disallowed_methods, reason = "a command waits by the clock")]
fn gather(packets: &Packets, time: Duration, number: u32, heard: &mut Heard) {
    let end = Instant::now() + time;
    while heard.circles.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let Some(own) = packets.receive(left) else { continue };
        let Some((mac, said)) = frames::read(&own.frame).filter(|_| !own.outgoing) else { continue };
        match said {
            Said::Probe(own_number) if own_number == number => heard.circles.push(own.device),
            Said::Probe(_) => {}
            Said::Offer { number: asked, .. } if asked != number => {}
            _ if [heard.tap.mac, heard.lan.mac].contains(&Some(mac)) => {}
            _ => {
                let one = (own.device, mac, said);
                if heard.said.len() < HEARD && !heard.said.contains(&one) {
                    heard.said.push(one);
                }
            }
        }
    }
}

/// `answer` is what the daemon says.
pub fn judge(network: &Network, heard: &Heard, answer: &str, found: &mut Findings) {
    if network.tap.is_none() {
        return;
    }
    let mut silent = heard.silent;
    if silent.is_empty() && circle(heard, answer, found) {
        silent = "there is a loop";
    }
    if !silent.is_empty() {
        let text = format_args!("the other sites were not asked: {silent}");
        return found.warning("probe", text, "run it again when that is mended");
    }
    let mut servers = Vec::new();
    let (mut places, mut here) = (String::new(), None);
    for (device, mac, said) in &heard.said {
        let (is_remote, mac) = (*device == heard.tap.index, *mac);
        match *said {
            Said::Offer { address, prefix, .. } if is_remote && !servers.contains(&mac) => {
                servers.push(mac);
                let place = place(answer, mac);
                places = places + &place + ", ";
                if !heard.is_near(address.into()) {
                    let text = format_args!("{place} hands out {address}/{prefix}, {NOT_NEAR}");
                    found.fault("subnet", text, ONE_SUBNET);
                }
            }
            // What came through the mesh is heard on the bridge once more.
            Said::Offer { .. } if !servers.contains(&mac) => here = Some("another machine here"),
            Said::Address(own) if is_remote => claim(heard, own, &place(answer, mac), found),
            Said::Router if is_remote => found.warning(
                "router",
                format_args!(
                    "{} announces itself as an IPv6 router: hosts here may use it",
                    place(answer, mac)
                ),
                "if that is not meant, on OpenWrt: option ra 'disabled' in config dhcp 'lan' there",
            ),
            _ => {}
        }
    }
    let here = here.or(is_taken(67).then_some("this router"));
    match (servers.len(), here) {
        (0, _) => {}
        (1, None) => found.ok("dhcp", format_args!("one server for all sites: {places}none here")),
        _ => found.fault(
            "dhcp",
            format_args!("several servers in one LAN: {places}{}", here.unwrap_or("none here")),
            "switch all but one off, on OpenWrt by option ignore '1' in config dhcp 'lan'",
        ),
    }
    for check in ["address", "subnet", "dhcp", "router"] {
        if !found.has(check) {
            found.ok(check, format_args!("nothing odd was heard"));
        }
    }
}

const NOT_NEAR: &str = "in no subnet of ours";
const ONE_SUBNET: &str = "one LAN needs one subnet: give all sites addresses of the same";

/// Somebody at another site uses this address.
fn claim(heard: &Heard, address: IpAddr, place: &str, found: &mut Findings) {
    if heard.addresses.iter().any(|(own, _)| *own == address) {
        let text = format_args!("{address} is ours, and is used at {place} too");
        found.fault("address", text, "give one of the two another address");
    } else if !heard.is_near(address) && !found.has("subnet") {
        found.warning("subnet", format_args!("{place} uses {address}, {NOT_NEAR}"), ONE_SUBNET);
    }
}

impl Heard {
    /// Whether the address is in a subnet of ours; so it is when we have none.
    fn is_near(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return true };
        let mut is_near = address.is_link_local();
        let mut has_subnet = false;
        for (own, prefix) in &self.addresses {
            if let IpAddr::V4(own) = own {
                has_subnet = true;
                let differs = u32::from(*own) ^ u32::from(address);
                is_near |= differs.leading_zeros() >= u32::from(*prefix);
            }
        }
        is_near || !has_subnet
    }
}

/// A station, and the node that it is behind.
fn place(answer: &str, mac: MacAddr) -> String {
    let mac = mac.to_string();
    format!("{} ({mac})", node(answer, &mac).unwrap_or("somebody"))
}

/// The node that a station is behind, as the daemon says.
fn node<'a>(answer: &'a str, mac: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix("mac\t")?.strip_prefix(mac)?.strip_prefix('\t'))
}

/// Whether what is sent to all would never end.
fn circle(heard: &Heard, answer: &str, found: &mut Findings) -> bool {
    const CHECK: &str = "loop";
    const ADVICE: &str = "take the second way (a cable, a radio) away, or use spanning tree: option stp_pass";
    if let Some(device) = heard.circles.first() {
        let (by, who) = match *device == heard.tap.index {
            true => ("the mesh".to_owned(), "two other sites"),
            false => (name_of(*device).unwrap_or_default(), "the sites"),
        };
        let text =
            format_args!("a frame sent into the mesh came back by {by}: {who} are joined by a second way");
        found.fault(CHECK, text, ADVICE);
        return true;
    }
    let mac = heard.lan.mac.map(|mac| mac.to_string()).unwrap_or_default();
    if let Some(node) = node(answer, &mac) {
        let text = format_args!(
            "the address of our bridge, {mac}, seems to be behind {node}: a loop, or used twice"
        );
        found.fault(CHECK, text, ADVICE);
    } else if !found.has(CHECK) {
        found.ok(CHECK, format_args!("none found"));
    }
    false
}
