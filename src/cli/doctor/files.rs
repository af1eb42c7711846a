//! What `quicap doctor` finds in files: configuration, certificates, keys, and what the kernel says of ports and the CPU.

#![allow(clippy::disallowed_methods, reason = "files of the kernel")]

use crate::cli::check;
use crate::config::Network;
use crate::daemon::finding::Findings;
use crate::daemon::material;
use crate::daemon::notices::read_clock;
use crate::sys::process;

use super::Doctor;

/// The network that is meant, as far as it can be read.
pub fn network(arguments: &Doctor, found: &mut Findings) -> Option<Network> {
    const CHECK: &str = "config";
    let file = &arguments.config;
    let text = material::read_config(file)
        .map_err(|message| found.fault(CHECK, format_args!("{message}"), ""))
        .ok()?;
    let name = arguments.network.as_ref();
    let networks = check::networks(file, &text, found).into_iter();
    let mut meant = networks.filter(|own| name.map_or(own.enabled, |name| *name == own.name));
    let (Some(network), None) = (meant.next(), meant.next()) else {
        found.fault(
            CHECK,
            format_args!("{file}: not one network that is meant"),
            "name one that is there and enabled",
        );
        return None;
    };
    if !network.enabled {
        found.fault(
            CHECK,
            format_args!("{file}: network {} is disabled", network.name),
            "set option enabled '1'",
        );
    }
    Some(network)
}

/// Certificates and keys, port and CPU. With a daemon it is the daemon who knows more of the clock and its memory.
pub fn look(network: &Network, runs: bool, found: &mut Findings) {
    check::look(network, read_clock(), found);
    if !runs {
        found.ok("memory", format_args!("{} KiB", process::total_kib().unwrap_or(0)));
    }
    port(network, runs, found);
    let aes =
        if process::has_aes() { "AES in hardware" } else { "no AES in hardware: ChaCha20-Poly1305 is used" };
    found.ok("cpu", format_args!("{aes}"));
    for check in ["config", "clock", "files", "key"] {
        if !found.has(check) {
            found.ok(check, format_args!("in order"));
        }
    }
}

/// Whether somebody has the port: us, if the daemon runs.
fn port(network: &Network, runs: bool, found: &mut Findings) {
    const CHECK: &str = "port";
    let port = network.listen_port;
    match (is_taken(port), runs) {
        _ if port == 0 => found.ok(CHECK, format_args!("none: this node only dials")),
        (true, true) => {}
        (false, false) => found.ok(CHECK, format_args!("UDP {port} is free")),
        (true, false) => {
            let advice = "stop that one, or set option listen_port";
            found.fault(CHECK, format_args!("UDP {port} is in use by another program"), advice);
        }
        (false, true) => {
            let advice = "has option listen_port changed? service quicap restart";
            found.fault(CHECK, format_args!("the daemon does not listen on UDP {port}"), advice);
        }
    }
}

/// Whether a socket of this network namespace has this UDP port.
pub fn is_taken(port: u16) -> bool {
    let end = format!(":{port:04X}");
    ["/proc/self/net/udp", "/proc/self/net/udp6"].iter().any(|table| {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        // `  sl  local_address rem_address ...`: addresses have no other colon.
        text.lines()
            .any(|line| line.split_ascii_whitespace().nth(1).is_some_and(|local| local.ends_with(&end)))
    })
}
