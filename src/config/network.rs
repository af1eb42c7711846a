//! `config network 'home'`: this node's part in one network.

use std::time::Duration;

use log::LevelFilter;

use crate::mesh::switch;
use crate::node::{Capacity, carrier};
use crate::pki::rights::is_network_name;

use super::reader::{Reader, title};
use super::schema::{Mtu, NETWORK_OPTIONS, Network, Report};
use super::uci::Section;
use super::value;

/// Below it the kernel turns IPv6 off on a device, and on the bridge that the device is in (RFC 8200, 5).
const IPV6_MIN_MTU: u16 = 1280;

/// `None` when the section has no usable name. What is wrong or absent is the default in the result.
pub(super) fn read(section: &Section, report: &mut Report<'_>) -> Option<Network> {
    let mut reader = Reader::new(section, &NETWORK_OPTIONS, report);
    let network = Network {
        name: section.name.clone(),
        enabled: reader.option("enabled", value::boolean).unwrap_or(true),
        tap: reader.option("tap", value::interface),
        tun: reader.option("tun", value::interface),
        addresses: reader.list("address", value::interface_address),
        ca: file(&mut reader, "ca", "ca.crt"),
        cert: file(&mut reader, "cert", "node.crt"),
        key: file(&mut reader, "key", "node.key"),
        crl: file(&mut reader, "crl", "crl.pem"),
        listen_port: reader.option("listen_port", value::listen_port).unwrap_or(value::DEFAULT_PORT),
        listen_addresses: reader.list("listen_address", value::listen_address),
        tunlink: reader.option("tunlink", value::interface),
        fwmark: reader.option("fwmark", value::fwmark).unwrap_or_default(),
        open_firewall: reader.option("open_firewall", value::boolean).unwrap_or(true),
        mtu: reader.option("mtu", value::mtu).unwrap_or_default(),
        carrier: carrier(&mut reader),
        switch: switch(&mut reader),
        capacity: capacity(&mut reader),
        fast_detect: reader.option("fast_detect", value::boolean).unwrap_or(false),
        log_level: reader.option("log_level", value::log_level).unwrap_or(LevelFilter::Info),
        peers: Vec::new(),
    };
    judge(&network, &mut reader);
    judge_name(section, report).then_some(network)
}

/// What two networks of one node must not share: devices, and (a warning, since addresses may differ) the port.
pub(super) fn compare<'a>(
    networks: &[Network],
    sections: impl Iterator<Item = &'a Section>,
    report: &mut Report<'_>,
) {
    let enabled: Vec<&Network> = networks.iter().filter(|network| network.enabled).collect();
    for section in sections {
        let Some(index) = enabled.iter().position(|network| network.name == section.name) else { continue };
        let (before, rest) = enabled.split_at(index);
        let Some(network) = rest.first() else { continue };
        let mut reader = Reader { section, report: &mut *report };
        for other in before {
            compare_two(network, other, &mut reader);
        }
    }
}

fn compare_two(network: &Network, other: &Network, reader: &mut Reader<'_, '_>) {
    for (option, device) in [("tap", &network.tap), ("tun", &network.tun)] {
        if device.is_some() && (*device == other.tap || *device == other.tun) {
            let complaint =
                format!("is a device of network '{}' already (expected another name)", other.name);
            reader.complain(option, device.as_deref(), complaint);
        }
    }
    let any = network.listen_addresses.is_empty() || other.listen_addresses.is_empty();
    let shared =
        any || network.listen_addresses.iter().any(|address| other.listen_addresses.contains(address));
    if network.listen_port != 0 && network.listen_port == other.listen_port && shared {
        let port = network.listen_port.to_string();
        let complaint = format!("is the port of network '{}' too: one of them will not start", other.name);
        reader.warn("listen_port", Some(&port), complaint);
    }
}

fn file(reader: &mut Reader<'_, '_>, option: &str, name: &str) -> String {
    let path = reader.option(option, value::path);
    path.unwrap_or_else(|| format!("/etc/quicap/{}/{name}", reader.section.name))
}

fn carrier(reader: &mut Reader<'_, '_>) -> carrier::Config {
    let default = carrier::Config::default();
    let seconds = |seconds: u16| Duration::from_secs(seconds.into());
    carrier::Config {
        mode: reader.option("carrier", value::carrier_mode).unwrap_or(default.mode),
        up_delay: reader.option("carrier_up_delay", value::delay_s).map_or(default.up_delay, seconds),
        down_delay: reader.option("carrier_down_delay", value::delay_s).map_or(default.down_delay, seconds),
    }
}

fn switch(reader: &mut Reader<'_, '_>) -> switch::Config {
    switch::Config {
        unknown_unicast: reader.option("unknown_unicast", value::unknown_unicast).unwrap_or_default(),
        stp_pass: reader.option("stp_pass", value::boolean).unwrap_or_default(),
    }
}

fn capacity(reader: &mut Reader<'_, '_>) -> Capacity {
    let default = Capacity::default();
    Capacity {
        nodes: reader.option("max_nodes", value::max_nodes).unwrap_or(default.nodes),
        macs: reader.option("max_macs", value::max_macs).unwrap_or(default.macs),
    }
}

/// What is wrong though each value by itself is right.
fn judge(network: &Network, reader: &mut Reader<'_, '_>) {
    if network.tap.is_some() && network.tap == network.tun {
        reader.complain("tun", network.tun.as_deref(), "is the TAP's name too (expected another name)");
    }
    if network.tunlink.is_some() && (network.tunlink == network.tap || network.tunlink == network.tun) {
        let complaint = "is this network's own device (expected the one that leads to the others)";
        reader.complain("tunlink", network.tunlink.as_deref(), complaint);
    }
    if reader.section.entry("tap").is_none() && reader.section.entry("tun").is_none() {
        reader.warn("tap", None, "neither tap nor tun is set: this node only relays for others");
    }
    for option in ["tun", "address"] {
        if reader.section.entry(option).is_some() {
            reader.warn(option, None, "is reserved: this version does no L3 and ignores it");
        }
    }
    if let Mtu::Fixed(mtu) = network.mtu
        && mtu < IPV6_MIN_MTU
    {
        let complaint = "turns IPv6 off on the device and on its bridge (IPv6 needs 1280)";
        reader.warn("mtu", Some(&mtu.to_string()), complaint);
    }
}

fn judge_name(section: &Section, report: &mut Report<'_>) -> bool {
    let complaint = match section.anonymous {
        true => "has no name (expected the network's, as in: config network 'home')",
        false if is_network_name(&section.name) => return true,
        false => "has too long a name (expected at most 64 characters)",
    };
    report.error(section.line, &title(section), None, complaint.to_owned());
    false
}
