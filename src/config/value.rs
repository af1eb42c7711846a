//! One value each: text to a number, a name, an address, or a complaint that says what was expected.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use log::LevelFilter;

use crate::limits::{MTU_MAX, MTU_MIN, NODES, OWNERS};
use crate::link::peer::{Endpoint, Host};
use crate::mesh::switch::UnknownUnicast;
use crate::node::carrier::Mode;
use crate::pki::verify::is_node_name;

use super::schema::Mtu;

/// The port of an endpoint that names none.
pub const DEFAULT_PORT: u16 = 443;
/// Longest carrier delay: beyond an hour it is a typing error.
pub const MAX_DELAY_S: u16 = 3600;
/// IFNAMSIZ of the kernel, without the NUL.
pub const MAX_INTERFACE_NAME: usize = 15;

/// The value, or what is wrong, to be read behind it: `is not a UDP port (expected 0 to 65535)`.
pub type Parsed<T> = Result<T, String>;

/// As `config_get_bool` of OpenWrt's shell library reads it, in lower case only.
pub fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "1" | "on" | "true" | "yes" | "enabled" => Ok(true),
        "0" | "off" | "false" | "no" | "disabled" => Ok(false),
        _ => complain("is neither yes nor no (expected 1 or 0)"),
    }
}

pub fn listen_port(text: &str) -> Parsed<u16> {
    decimal(text).ok_or_else(|| "is not a UDP port (expected 0 to 65535)".to_owned())
}

/// As `ip rule` and WireGuard take it: decimal, or hexadecimal behind `0x`.
pub fn fwmark(text: &str) -> Parsed<u32> {
    let mark = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => decimal(text),
    };
    mark.ok_or_else(|| "is not a mark (expected 0 to 4294967295 or 0x0 to 0xffffffff)".to_owned())
}

pub fn mtu(text: &str) -> Parsed<Mtu> {
    let fixed = decimal(text).filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu)).map(Mtu::Fixed);
    let mtu = if text == "auto" { Some(Mtu::Auto) } else { fixed };
    mtu.ok_or_else(|| format!("is not an MTU (expected {MTU_MIN} to {MTU_MAX}, or auto)"))
}

/// Of the mesh; one alone is none.
pub fn max_nodes(text: &str) -> Parsed<usize> {
    let nodes = decimal(text).filter(|nodes| (2..=NODES).contains(nodes));
    nodes.ok_or_else(|| format!("is not a number of nodes (expected 2 to {NODES})"))
}

pub fn max_macs(text: &str) -> Parsed<usize> {
    let macs = decimal(text).filter(|macs| (1..=OWNERS).contains(macs));
    macs.ok_or_else(|| format!("is not a number of MAC addresses (expected 1 to {OWNERS})"))
}

pub fn delay_s(text: &str) -> Parsed<u16> {
    let seconds = decimal(text).filter(|seconds| *seconds <= MAX_DELAY_S);
    seconds.ok_or_else(|| format!("is not a number of seconds (expected 0 to {MAX_DELAY_S})"))
}

pub fn carrier_mode(text: &str) -> Parsed<Mode> {
    choice(text, &[("peers", Mode::Peers), ("always", Mode::Always)])
}

pub fn unknown_unicast(text: &str) -> Parsed<UnknownUnicast> {
    use UnknownUnicast::{Drop, Flood, Limited};
    choice(text, &[("limited", Limited), ("drop", Drop), ("flood", Flood)])
}

pub fn log_level(text: &str) -> Parsed<LevelFilter> {
    use LevelFilter::{Debug, Error, Info, Trace, Warn};
    choice(text, &[("error", Error), ("warn", Warn), ("info", Info), ("debug", Debug), ("trace", Trace)])
}

/// A name that the kernel takes for a device, and takes as it is (`%` would make it number the device).
pub fn interface(text: &str) -> Parsed<String> {
    let is_odd = |c: char| !c.is_ascii_graphic() || matches!(c, '/' | ':' | '%' | '\'' | '"');
    if text.is_empty() || text == "." || text == ".." || text.contains(is_odd) {
        return complain("is not an interface name (expected 1 to 15 letters, digits, '-', '_' or '.')");
    }
    match text.len() {
        0..=MAX_INTERFACE_NAME => Ok(text.to_owned()),
        length => Err(format!(
            "has {length} characters, an interface name may have {MAX_INTERFACE_NAME}: choose a shorter one"
        )),
    }
}

pub fn path(text: &str) -> Parsed<String> {
    match text.starts_with('/') && !text.ends_with('/') {
        true => Ok(text.to_owned()),
        false => complain("is not the path of a file (expected one that begins with '/')"),
    }
}

/// An address with its prefix length, `10.99.0.1/24`.
pub fn interface_address(text: &str) -> Parsed<(IpAddr, u8)> {
    let parts = text.split_once('/').map(|(address, length)| (address.parse::<IpAddr>(), decimal(length)));
    let most = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
    match parts {
        Some((Ok(address), Some(length))) if length <= most(&address) && is_host(&address) => {
            Ok((address, length))
        }
        _ => complain("is not an address with a prefix length (expected for example 10.99.0.1/24)"),
    }
}

pub fn listen_address(text: &str) -> Parsed<IpAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || is_host(&address) => Ok(address),
        _ => complain("is not an address to listen on (expected for example :: or 192.0.2.1)"),
    }
}

/// `host`, `host:port`, `[v6]:port`, `[v6]` or a bare IPv6 address.
pub fn endpoint(text: &str) -> Parsed<Endpoint> {
    if let Some(rest) = text.strip_prefix('[') {
        return bracketed(rest);
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Endpoint { host: host_address(address.into())?, port: DEFAULT_PORT });
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return complain("is not an endpoint (an IPv6 address with a port is written [2001:db8::1]:443)");
        }
        Some((host, port)) => (host, endpoint_port(port)?),
        None => (text, DEFAULT_PORT),
    };
    Ok(Endpoint { host: host_of(host)?, port })
}

fn bracketed(rest: &str) -> Parsed<Endpoint> {
    let parts =
        rest.split_once(']').and_then(|(address, tail)| Some((address.parse::<Ipv6Addr>().ok()?, tail)));
    let Some((address, tail)) = parts else {
        return complain(
            "is not an endpoint (expected an IPv6 address in the brackets, as [2001:db8::1]:443)",
        );
    };
    let port = match tail.strip_prefix(':') {
        Some(port) => endpoint_port(port)?,
        None if tail.is_empty() => DEFAULT_PORT,
        None => return complain("is not an endpoint (expected :port behind the bracket)"),
    };
    Ok(Endpoint { host: host_address(address.into())?, port })
}

fn endpoint_port(text: &str) -> Parsed<u16> {
    let port = decimal(text).filter(|port| *port != 0);
    port.ok_or_else(|| "has no UDP port behind the ':' (expected 1 to 65535)".to_owned())
}

fn host_of(text: &str) -> Parsed<Host> {
    match text.parse::<IpAddr>() {
        Ok(address) => host_address(address),
        Err(_) if is_host_name(text) => Ok(Host::Name(text.to_owned())),
        Err(_) => {
            complain("is not an endpoint (expected a host name or address, with :port if it is not 443)")
        }
    }
}

fn host_address(address: IpAddr) -> Parsed<Host> {
    match is_host(&address) {
        true => Ok(Host::Address(address)),
        false => complain("is not the address of one host"),
    }
}

pub fn server_name(text: &str) -> Parsed<String> {
    match is_host_name(text) {
        true => Ok(text.to_owned()),
        false => complain("is not a host name (expected for example www.example.org)"),
    }
}

pub fn node_name(text: &str) -> Parsed<String> {
    match is_node_name(text) {
        true => Ok(text.to_owned()),
        false => {
            complain("is not a node name (expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter)")
        }
    }
}

/// Up to 253 characters in labels of 1 to 63 letters, digits, `-` and `_` (RFC 1123, and what DNS really holds); a name
/// that ends in a number is a mistyped address.
fn is_host_name(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_number
}

fn is_host(address: &IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// Digits only: `parse` alone would take a `+` too.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("is not known here (expected one of {})", words()))
}

fn complain<T>(complaint: &str) -> Parsed<T> {
    Err(complaint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted<T: PartialEq + std::fmt::Debug>(parse: fn(&str) -> Parsed<T>, table: &[(&str, T)]) {
        for (text, expected) in table {
            assert_eq!(parse(text).as_ref(), Ok(expected), "{text:?}");
        }
    }

    fn refused<T: PartialEq + std::fmt::Debug>(parse: fn(&str) -> Parsed<T>, table: &[&str]) {
        for text in table {
            let complaint = parse(text).expect_err(text);
            let says =
                ["expected", "shorter", "written", "one host"].iter().any(|word| complaint.contains(word));
            assert!(says, "{text:?}: {complaint}");
        }
    }

    #[test]
    fn booleans_are_those_of_openwrt() {
        let yes = ["1", "on", "true", "yes", "enabled"].map(|text| (text, true));
        let no = ["0", "off", "false", "no", "disabled"].map(|text| (text, false));
        accepted(boolean, &yes);
        accepted(boolean, &no);
        refused(boolean, &["", "2", "TRUE", "Yes", " 1", "disable"]);
    }

    #[test]
    fn numbers_are_plain_decimals_within_their_range() {
        accepted(listen_port, &[("0", 0), ("443", 443), ("00443", 443), ("65535", 65535)]);
        refused(listen_port, &["", "-1", "+1", "65536", "99999", "0x1bb", "443 ", "4 43", "٤"]);
        accepted(delay_s, &[("0", 0), ("5", 5), ("3600", 3600)]);
        refused(delay_s, &["3601", "5s", "0.5", ""]);
        accepted(mtu, &[("auto", Mtu::Auto), ("576", Mtu::Fixed(576)), ("2000", Mtu::Fixed(2000))]);
        refused(mtu, &["575", "2001", "Auto", "", "9000", "1500 "]);
        accepted(max_nodes, &[("2", 2), ("256", 256)]);
        refused(max_nodes, &["0", "1", "1025", "-2", "", "all"]);
        accepted(max_macs, &[("1", 1), ("4096", 4096)]);
        refused(max_macs, &["0", "16385", "1k", ""]);
    }

    #[test]
    fn marks_are_decimal_or_hexadecimal() {
        accepted(
            fwmark,
            &[("0", 0), ("81", 0x51), ("0x51", 0x51), ("0XFf", 255), ("0xffffffff", u32::MAX), ("0x0", 0)],
        );
        refused(
            fwmark,
            &["", "0x", "x51", "51h", "0x1ffffffff", "4294967296", "-1", "0x+1", "0x51/0xff", "off"],
        );
    }

    #[test]
    fn choices_are_named_when_a_word_is_unknown() {
        accepted(carrier_mode, &[("peers", Mode::Peers), ("always", Mode::Always)]);
        accepted(log_level, &[("error", LevelFilter::Error), ("trace", LevelFilter::Trace)]);
        accepted(unknown_unicast, &[("drop", UnknownUnicast::Drop), ("flood", UnknownUnicast::Flood)]);
        refused(log_level, &["", "INFO", "off", "warning"]);
        assert_eq!(carrier_mode("never").unwrap_err(), "is not known here (expected one of peers, always)");
    }

    #[test]
    fn interface_names_are_those_of_the_kernel() {
        for name in ["a", "quicap0", "quicap0-l3", "br-lan.100", "abcdefghijklmno"] {
            assert_eq!(interface(name).as_deref(), Ok(name));
        }
        refused(interface, &["", ".", "..", "a/b", "a b", "a\tb", "a:1", "tap%d", "é", "a\n"]);
        let long = interface("abcdefghijklmnop").unwrap_err();
        assert!(long.starts_with("has 16 characters, an interface name may have 15"), "{long}");
    }

    #[test]
    fn addresses_belong_to_one_host() {
        let v4: IpAddr = "10.99.0.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        accepted(interface_address, &[("10.99.0.1/24", (v4, 24)), ("2001:db8::1/128", (v6, 128))]);
        refused(
            interface_address,
            &["10.99.0.1", "10.99.0.1/33", "10.99.0.1/", "/24", "::/0", "224.0.0.1/4"],
        );
        refused(interface_address, &["10.99.0.1/24/1", "2001:db8::1/129", "10.99.0.1/+8", "10.99.0.1/256"]);
        accepted(listen_address, &[("10.99.0.1", v4), ("2001:db8::1", v6)]);
        assert!(listen_address("::").is_ok() && listen_address("0.0.0.0").is_ok());
        refused(
            listen_address,
            &["", "ff02::1", "224.0.0.1", "255.255.255.255", "localhost", "fe80::1%eth0"],
        );
    }

    #[test]
    fn endpoints_are_read_in_all_their_forms() {
        let name = |name: &str| Host::Name(name.to_owned());
        let address = |text: &str| Host::Address(text.parse().unwrap());
        let label = "a".repeat(63);
        let longest = [label.as_str(); 4].join(".")[..253].to_owned();
        let table = [
            ("office.example.org:443", name("office.example.org"), 443),
            ("office.example.org", name("office.example.org"), 443),
            ("office:1", name("office"), 1),
            ("under_score.Example.org:65535", name("under_score.Example.org"), 65535),
            ("192.0.2.2:4433", address("192.0.2.2"), 4433),
            ("192.0.2.2", address("192.0.2.2"), 443),
            ("[2001:db8::1]:8443", address("2001:db8::1"), 8443),
            ("[2001:db8::1]", address("2001:db8::1"), 443),
            ("2001:db8::1", address("2001:db8::1"), 443),
            ("::ffff:192.0.2.2", address("::ffff:192.0.2.2"), 443),
            (longest.as_str(), name(&longest), 443),
        ];
        for (text, host, port) in table {
            assert_eq!(endpoint(text), Ok(Endpoint { host, port }), "{text}");
        }
    }

    #[test]
    fn endpoints_that_name_no_host_or_port_are_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a"; 128].join(".");
        refused(
            endpoint,
            &["", ":443", "a:", "a:0", "a:65536", "a:x", "a:-1", "a:+1", "a b", "a..b", ".a", "a."],
        );
        refused(
            endpoint,
            &["-a", "a-.b", "1.2.3", "300.1.2.3", "1.2.3.4.5", "a.1", "0.0.0.0", "::", "[::]:1"],
        );
        refused(
            endpoint,
            &["224.0.0.1", "255.255.255.255:1", "[ff02::1]:1", "[1.2.3.4]:1", "[::1", "[::1]x", "[]"],
        );
        refused(
            endpoint,
            &["2001:db8::1:443x", "a:1:2", "::1]:2", "fe80::1%eth0", "https://a", "a/b", "é.org"],
        );
        refused(endpoint, &[&long_label, &long_name, "a\n", "user@a"]);
    }

    #[test]
    fn names_of_nodes_and_servers_are_told_apart() {
        for name in ["a", "office-2", "a1"] {
            assert_eq!(node_name(name).as_deref(), Ok(name));
        }
        refused(node_name, &["", "Office", "1a", "-a", "a.b", "a_b", "a b"]);
        assert!(server_name("www.example.org").is_ok());
        refused(server_name, &["", "192.0.2.1", "::1", "a b", "www.example.org:443", "*.example.org"]);
        assert!(path("/a/b c").is_ok());
        refused(path, &["", "a", "./a", "/", "/a/"]);
    }
}
