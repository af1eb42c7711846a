//! SIGHUP: all files are read again, and what changed is applied. Certificates, keys and lists that were replaced are taken
//! without it. A fault in them changes nothing. Read first: docs/configuration.md, "Reloading".

use std::time::Instant;

use super::material::{self, Material};
use super::turn::Loop;
use super::{credentials, read_networks};
use crate::config::Network;
use crate::node::Reload;

/// Reads and applies all; says in the log and in status what came of it. Who asks for it has looked at the clock.
pub fn reload(daemon: &mut Loop<'_>, now: Instant) {
    let reading = daemon.notices.read_clock(now);
    daemon.node.confirm_clock(now, reading);
    match try_reload(daemon, now) {
        Ok(()) => {
            daemon.config_loaded = now;
            daemon.config_error.clear();
            daemon.files_error.clear();
            daemon.node.note(now, "configuration read again".to_owned());
        }
        Err(reason) => {
            let line = format!("configuration not taken, the running one stays: {reason}");
            daemon.node.caution(now, line);
            daemon.config_error = reason;
        }
    }
    daemon.notices.watch(now, &daemon.network);
}

/// Reads and applies certificate, key, CA and CRL, which have changed.
pub fn renew(daemon: &mut Loop<'_>, now: Instant) {
    match try_renew(daemon, now) {
        Ok(()) => {
            daemon.files_error.clear();
            daemon.node.note(now, "certificates and CRL read again".to_owned());
        }
        Err(reason) => {
            let line = format!("changed files not taken, the running ones stay: {reason}");
            daemon.node.caution(now, line);
            daemon.files_error = reason;
        }
    }
}

fn try_reload(daemon: &mut Loop<'_>, now: Instant) -> Result<(), String> {
    let name = &daemon.network.name;
    let networks = read_networks(&daemon.options.config).map_err(|failure| failure.message)?;
    let network = networks
        .into_iter()
        .find(|network| network.name == *name)
        .ok_or_else(|| format!("{}: there is no network '{name}' any more", daemon.options.config))?;
    let material = load(daemon, now, &network)?;
    let config = Reload {
        peers: network.others(&material.member.name),
        credentials: credentials(material),
        switch: network.switch,
        carrier: network.carrier,
        fast_detect: network.fast_detect,
    };
    daemon.node.reload(now, config).map_err(|fault| format!("{}: {fault}", network.cert))?;
    daemon.node.set_capacity(now, network.capacity);
    log::set_max_level(network.log_level);
    for option in needs_restart(&daemon.network, &network) {
        daemon.node.caution(now, format!("option {option} has changed: restart to apply it"));
    }
    daemon.network = applied(&daemon.network, network);
    Ok(())
}

fn try_renew(daemon: &mut Loop<'_>, now: Instant) -> Result<(), String> {
    let network = daemon.network.clone();
    let material = load(daemon, now, &network)?;
    // Who moves the old list away before the new one is there must not set free whom it holds.
    if material.trust.crls().is_empty() && !daemon.node.links().trust().crls().is_empty() {
        return Err(format!("{}: no such file any more (SIGHUP: go on without a list)", network.crl));
    }
    daemon.node.renew(now, credentials(material)).map_err(|fault| format!("{}: {fault}", network.cert))
}

/// The files of a network, as long as they are for the node that we are.
fn load(daemon: &mut Loop<'_>, now: Instant, network: &Network) -> Result<Material, String> {
    daemon.notices.begin(network);
    let me = daemon.node.links().me();
    let mut time = |_| daemon.node.judging_time();
    let material = material::load(network, &mut time, Some(me))
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    if (material.member.id, &material.member.name) != (me.id, &me.name) {
        return Err(format!("{}: the certificate is for another node: restart to become it", network.cert));
    }
    if let Some(fault) = &material.refused {
        daemon.node.caution(now, fault.to_string());
    }
    Ok(material)
}

/// What holds from now on: of what needs a restart, the old.
fn applied(old: &Network, new: Network) -> Network {
    Network {
        enabled: old.enabled,
        tap: old.tap.clone(),
        tun: old.tun.clone(),
        listen_port: old.listen_port,
        listen_addresses: old.listen_addresses.clone(),
        tunlink: old.tunlink.clone(),
        fwmark: old.fwmark,
        mtu: old.mtu,
        ..new
    }
}

/// Options that are only read at the start. All options are named, so that a new one is not forgotten.
fn needs_restart(old: &Network, new: &Network) -> Vec<&'static str> {
    let Network {
        enabled,
        tap,
        tun,
        listen_port,
        listen_addresses,
        tunlink,
        fwmark,
        mtu,
        // What follows is applied, is the same, or means nothing yet.
        name: _,
        addresses: _,
        open_firewall: _,
        ca: _,
        cert: _,
        key: _,
        crl: _,
        carrier: _,
        switch: _,
        capacity: _,
        fast_detect: _,
        log_level: _,
        peers: _,
    } = old;
    let changes = [
        ("enabled", *enabled != new.enabled),
        ("tap", *tap != new.tap),
        ("tun", *tun != new.tun),
        ("listen_port", *listen_port != new.listen_port),
        ("listen_address", *listen_addresses != new.listen_addresses),
        ("tunlink", *tunlink != new.tunlink),
        ("fwmark", *fwmark != new.fwmark),
        ("mtu", *mtu != new.mtu),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::NETWORK_OPTIONS;

    /// The network with this value of an option, if it may have it.
    fn network(option: &str, value: &str) -> Option<Network> {
        let tap = if option == "tap" { "" } else { "option tap t\n" };
        let text = format!("config network home\n{tap}option {option} '{value}'");
        crate::config::parse("f", text).ok()?.networks.pop()
    }

    #[test]
    fn each_option_is_either_applied_at_once_or_named_as_one_that_needs_a_restart() {
        const AT_START: [&str; 8] =
            ["enabled", "tap", "tun", "listen_port", "listen_address", "tunlink", "fwmark", "mtu"];
        for option in NETWORK_OPTIONS.map(|option| option.name) {
            let values =
                ["0", "1", "100", "1400", "quicap0", "::1", "10.0.0.1/24", "/a", "always", "drop", "debug"];
            let others: Vec<Network> =
                values.into_iter().filter_map(|value| network(option, value)).collect();
            assert!(!others.is_empty(), "{option}: no value of its own here");
            let default = network("log_level", "").expect("no option");
            let named = others.iter().flat_map(|new| needs_restart(&default, new)).any(|name| name == option);
            assert_eq!(named, AT_START.contains(&option), "{option}");
        }
    }
}
