//! SIGHUP: the files are read again, and what changed is applied. A fault in them changes nothing.
//! Read first: docs/configuration.md, "Reloading".

use std::time::Instant;

use super::turn::Loop;
use super::{credentials, material, read_networks};
use crate::config::Network;
use crate::node::Reload;

/// Reads and applies; says in the log and in status what came of it.
pub fn reload(daemon: &mut Loop<'_>, now: Instant) {
    match try_reload(daemon, now) {
        Ok(()) => {
            daemon.config_loaded = now;
            daemon.config_error.clear();
            daemon.node.note(now, "configuration read again".to_owned());
        }
        Err(reason) => {
            log::error!("configuration not taken, the running one stays: {reason}");
            daemon.config_error = reason;
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
    let clock = &daemon.clock;
    let material = material::load(&network, clock.unix_s(), clock.is_trusted())
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let me = daemon.node.links().me();
    if (material.member.id, &material.member.name) != (me.id, &me.name) {
        return Err(format!("{}: the certificate is for another node: restart to become it", network.cert));
    }
    let config = Reload {
        credentials: credentials(material),
        peers: network.peers.clone(),
        unknown_unicast: network.unknown_unicast,
        carrier: network.carrier,
        fast_detect: network.fast_detect,
    };
    daemon.node.reload(now, config).map_err(|fault| format!("{}: {fault}", network.cert))?;
    log::set_max_level(network.log_level);
    for option in needs_restart(&daemon.network, &network) {
        daemon.node.note(now, format!("option {option} has changed: restart to apply it"));
    }
    daemon.network =
        Network { peers: network.peers.clone(), carrier: network.carrier, ..daemon.network.clone() };
    Ok(())
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
        ca: _,
        cert: _,
        key: _,
        crl: _,
        carrier: _,
        unknown_unicast: _,
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
            let values = ["0", "1", "1400", "quicap0", "::1", "10.0.0.1/24", "/a", "always", "drop", "debug"];
            let others: Vec<Network> =
                values.into_iter().filter_map(|value| network(option, value)).collect();
            assert!(!others.is_empty(), "{option}: no value of its own here");
            let default = network("log_level", "").expect("no option");
            let named = others.iter().flat_map(|new| needs_restart(&default, new)).any(|name| name == option);
            assert_eq!(named, AT_START.contains(&option), "{option}");
        }
    }
}
