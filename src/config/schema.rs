//! What the sections of `/etc/config/quicap` mean: all options, their defaults, and the `Config` they make.
//!
//! All that is wrong is reported at once. Not here: the syntax (`uci.rs`), single values (`value.rs`), the two kinds of
//! section (`network.rs`, `peer.rs`). Read first: docs/configuration.md.

use std::net::IpAddr;

use log::LevelFilter;

use crate::link::peer;
use crate::mesh::switch;
use crate::node::{Capacity, carrier};

use super::fault::{Error, Fault, Warning};
use super::uci::{self, Package, Section};
use super::{network, reader, suggest};

/// A file without errors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Disabled ones too, in the order of the file; names are unique.
    pub networks: Vec<Network>,
    pub warnings: Vec<Warning>,
}

/// One `config network` and the peers that name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// The section's name, 1 to 64 of `A-Za-z0-9_`; certificates carry it.
    pub name: String,
    pub enabled: bool,
    /// L2 device; `None`: no L2 on this node.
    pub tap: Option<String>,
    /// L3 device, reserved.
    pub tun: Option<String>,
    /// Of the TUN, with prefix length; reserved.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Absolute paths of PEM files; only the CRL may be missing.
    pub ca: String,
    pub cert: String,
    pub key: String,
    pub crl: String,
    /// UDP; 0: this node only dials.
    pub listen_port: u16,
    /// Empty: any address of both families.
    pub listen_addresses: Vec<IpAddr>,
    /// Device that all UDP leaves and arrives by.
    pub tunlink: Option<String>,
    /// Of our UDP, for rules of the router; 0: none.
    pub fwmark: u32,
    /// The router's init script opens the port; the daemon has nothing to do with it.
    pub open_firewall: bool,
    pub mtu: Mtu,
    pub carrier: carrier::Config,
    pub switch: switch::Config,
    pub capacity: Capacity,
    /// Idle links are asked every second.
    pub fast_detect: bool,
    pub log_level: LevelFilter,
    /// Enabled ones only, in the order of the file.
    pub peers: Vec<peer::Config>,
}

impl Network {
    /// The peers but the node of this name, which is us: one file may serve all nodes of a network.
    pub fn others(&self, me: &str) -> Vec<peer::Config> {
        self.peers.iter().filter(|peer| peer.name.as_deref() != Some(me)).cloned().collect()
    }
}

/// `option mtu`, of the TAP, without the Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mtu {
    /// The device follows the path MTU.
    Auto,
    /// [`MTU_MIN`](crate::limits::MTU_MIN) to [`MTU_MAX`](crate::limits::MTU_MAX) bytes.
    Fixed(u16),
}

impl Default for Mtu {
    fn default() -> Self {
        Self::Fixed(1500)
    }
}

/// An option that exists. docs/configuration.md describes each; a test compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub name: &'static str,
    pub list: bool,
    /// As it would stand in the file, `NETWORK` for the section's name; empty: absent means none.
    pub default: &'static str,
}

const fn option(name: &'static str, default: &'static str) -> Known {
    Known { name, list: false, default }
}

const fn list(name: &'static str) -> Known {
    Known { name, list: true, default: "" }
}

/// The options of `config network 'NETWORK'`.
pub const NETWORK_OPTIONS: [Known; 23] = [
    option("enabled", "1"),
    option("tap", ""),
    option("tun", ""),
    list("address"),
    option("ca", "/etc/quicap/NETWORK/ca.crt"),
    option("cert", "/etc/quicap/NETWORK/node.crt"),
    option("key", "/etc/quicap/NETWORK/node.key"),
    option("crl", "/etc/quicap/NETWORK/crl.pem"),
    option("listen_port", "443"),
    list("listen_address"),
    option("tunlink", ""),
    option("fwmark", "0"),
    option("open_firewall", "1"),
    option("mtu", "1500"),
    option("carrier", "peers"),
    option("carrier_up_delay", "0"),
    option("carrier_down_delay", "5"),
    option("unknown_unicast", "limited"),
    option("stp_pass", "0"),
    option("max_nodes", if cfg!(feature = "large") { "1024" } else { "256" }),
    option("max_macs", if cfg!(feature = "large") { "16384" } else { "4096" }),
    option("fast_detect", "0"),
    option("log_level", "info"),
];

/// The options of `config peer`.
pub const PEER_OPTIONS: [Known; 5] =
    [option("network", ""), option("name", ""), list("endpoint"), option("sni", ""), option("disabled", "0")];

/// The kinds of section.
pub const KINDS: [&str; 2] = ["network", "peer"];

/// All that a file says, right or wrong. With errors the configuration is only good for finding more faults.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    pub config: Config,
    pub errors: Vec<Error>,
}

/// Reads a file's text; `file` is only used to name it in messages.
///
/// # Errors
/// Every fault of the file, in the order of its lines.
pub fn parse(file: &str, text: impl AsRef<[u8]>) -> Result<Config, Vec<Error>> {
    let Reading { config, errors } = read(file, text);
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

/// Like [`parse`], but goes on behind errors, with the default in place of what is wrong.
pub fn read(file: &str, text: impl AsRef<[u8]>) -> Reading {
    let mut report = Report { file, errors: Vec::new(), warnings: Vec::new() };
    let networks = match uci::parse(text.as_ref()) {
        Ok(package) => read_package(&package, &mut report),
        Err(error) => {
            report.error(error.line, "", None, error.reason.to_string());
            Vec::new()
        }
    };
    let Report { mut errors, mut warnings, .. } = report;
    errors.sort_by_key(|error| error.line);
    warnings.sort_by_key(|warning| warning.line);
    Reading { config: Config { networks, warnings }, errors }
}

fn read_package(package: &Package, report: &mut Report<'_>) -> Vec<Network> {
    let of_kind = |kind: &'static str| package.sections.iter().filter(move |section| section.kind == kind);
    let mut networks: Vec<Network> =
        of_kind("network").filter_map(|section| network::read(section, report)).collect();
    super::peer::read_all(of_kind("peer"), &mut networks, report);
    network::compare(&networks, of_kind("network"), report);
    for section in &package.sections {
        warn_of_unknown_section(section, report);
    }
    networks
}

fn warn_of_unknown_section(section: &Section, report: &mut Report<'_>) {
    if !KINDS.contains(&section.kind.as_str()) {
        let hint = suggest::hint(&section.kind, KINDS);
        let complaint = format!("this type of section is not known and is ignored{hint}");
        report.warning(section.line, &reader::title(section), None, complaint);
    }
}

/// Where faults are collected while a file is read.
pub(super) struct Report<'a> {
    file: &'a str,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
}

impl Report<'_> {
    pub(super) fn error(&mut self, line: u32, place: &str, found: Option<String>, complaint: String) {
        self.errors.push(self.fault(line, place, found, complaint));
    }

    pub(super) fn warning(&mut self, line: u32, place: &str, found: Option<String>, complaint: String) {
        self.warnings.push(self.fault(line, place, found, complaint));
    }

    fn fault(&self, line: u32, place: &str, found: Option<String>, complaint: String) -> Fault {
        Fault { file: self.file.to_owned(), line, place: place.to_owned(), found, complaint }
    }
}
