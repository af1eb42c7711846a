//! What `quicap doctor` finds about the TAP and its bridge. Read first: docs/configuration.md, "mtu" and "stp_pass".

use crate::config::Network;
use crate::daemon::finding::{Findings, Outcome};
use crate::sys::address;
use crate::sys::interface::{BLOCKING, FORWARDING, Interface};

const BRIDGE: &str = "bridge";
const ADVICE: &str =
    "in /etc/config/network, put the TAP into the ports of br-lan; then: service network reload";

pub fn look(network: &Network, runs: bool, found: &mut Findings) {
    let Some(tap) = &network.tap else {
        return found.ok(BRIDGE, format_args!("no TAP: this node only relays"));
    };
    let device = query(tap);
    if device.index == 0 {
        let outcome = if runs { Outcome::Fault } else { Outcome::Warning };
        return found.add(outcome, BRIDGE, format_args!("there is no device {tap}"), "the daemon makes it");
    }
    if !device.up {
        return found.fault(BRIDGE, format_args!("{tap} is down: nobody has set it up"), ADVICE);
    }
    match &device.bridge {
        Some(name) => port(tap, &device, name, found),
        None if address::of(device.index).is_empty() => {
            found.fault(BRIDGE, format_args!("{tap} is in no bridge and has no address"), ADVICE);
        }
        None => found.ok(BRIDGE, format_args!("{tap} is in no bridge, and has an address of its own")),
    }
}

/// A device with the number 0 when there is none.
pub fn query(name: &str) -> Interface {
    Interface::query(name).ok().flatten().unwrap_or_default()
}

fn port(tap: &str, device: &Interface, name: &str, found: &mut Findings) {
    let bridge = query(name);
    let (outcome, more, advice) = match device.port {
        _ if !bridge.up => (Outcome::Fault, ": it is down", ADVICE),
        Some(BLOCKING) => (
            Outcome::Warning,
            ": spanning tree blocks the TAP",
            "there is another way between the sites; costs of the ports say which is used (option stp_pass)",
        ),
        Some(state) if device.carrier && state != FORWARDING => {
            (Outcome::Warning, ": waits before it forwards", "wait for the forward delay (up to 30 s)")
        }
        _ if bridge.mtu < 1500 && bridge.mtu == device.mtu => {
            (Outcome::Warning, ": the TAP lowers it", "set option mtu '1500'")
        }
        _ => (Outcome::Ok, "", ""),
    };
    let stp = if bridge.stp { "on" } else { "off" };
    let text = format_args!("{tap} is a port of {name}, MTU {}, STP {stp}{more}", bridge.mtu);
    found.add(outcome, BRIDGE, text, advice);
}
