//! The `quicap:` URIs of a certificate: which network, which node id, and what the node may do.
//!
//! Only reads and writes the text; mesh enforces it. An unknown, repeated or malformed URI refuses the whole
//! certificate, so that a restriction invented later binds old nodes too; `quicap:x-...` is ignored. Read first:
//! docs/certificates.md, "Rights".

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;

use crate::pki::refusal::Refusal;
use crate::types::{MacAddr, NodeId};

/// What a node may do beyond being a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Prefixes that it may own; none by default.
    pub prefixes: Vec<Prefix>,
    /// May own `::/0` and `0.0.0.0/0`.
    pub gateway: bool,
    /// How many MAC addresses may live behind it; `None`: the network's default.
    pub macs: Option<u16>,
    /// If not empty: the only MAC addresses that may live behind it, and behind no other node.
    pub mac: Vec<MacAddr>,
    /// May carry others' frames; true unless `quicap:notransit`.
    pub transit: bool,
    /// Takes part in the Ethernet; true unless `quicap:l2=no`.
    pub l2: bool,
    /// `quicap:issuer`: may issue for the network. Not used yet.
    pub issuer: bool,
    /// `quicap:vlan=N`: not used yet.
    pub vlans: Vec<u16>,
    /// `quicap:exit`: not used yet.
    pub exit: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            gateway: false,
            macs: None,
            mac: Vec::new(),
            transit: true,
            l2: true,
            issuer: false,
            vlans: Vec::new(),
            exit: false,
        }
    }
}

/// An IP prefix, with no bit set behind its length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = ();

    /// `10.1.0.0/16` or `2001:db8::/32`; host bits must be zero.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let length = decimal(length).and_then(|n| u8::try_from(n).ok()).ok_or(())?;
        let (bits, width) = match address {
            IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 32),
            IpAddr::V6(a) => (a.to_bits(), 128),
        };
        let host_bits = bits.checked_shl(length.into()).unwrap_or(0);
        if length > width || host_bits != 0 { Err(()) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What all `quicap:` URIs of one certificate say together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub network: String,
    pub id: NodeId,
    pub rights: Rights,
}

impl Grant {
    /// Reads the URIs of a certificate; those of other schemes are none of our business.
    pub fn from_uris<'a>(uris: impl Iterator<Item = &'a str> + Clone) -> Result<Self, Refusal> {
        let mut rights = Rights::default();
        let (mut network, mut id) = (None, None);
        for (nth, uri) in uris.clone().enumerate() {
            let Some(statement) = statement(uri)? else { continue };
            let (word, value) = match statement.split_once('=') {
                Some((word, value)) => (word, Some(value)),
                None => (statement, None),
            };
            let is_repeated = uris.clone().take(nth).any(|other| repeats(other, uri));
            match word {
                "net" if network.is_some() => return Err(Refusal::TwoNetworks),
                "net" => network = Some(value.filter(|v| is_network_name(v)).ok_or_else(|| malformed(uri))?),
                "id" if id.is_some() => return Err(Refusal::TwoIds),
                "id" => id = Some(read_id(value.unwrap_or_default())?),
                _ if is_repeated => return Err(Refusal::RepeatedRight(shown(uri))),
                _ => rights.add(word, value, uri)?,
            }
        }
        let network = network.ok_or(Refusal::NoNetwork)?.to_owned();
        Ok(Self { network, id: id.ok_or(Refusal::NoId)?, rights })
    }

    /// The URIs that say this; [`Grant::from_uris`] reads them back.
    pub fn to_uris(&self) -> Vec<String> {
        let mut uris = vec![format!("quicap:net={}", self.network), format!("quicap:id={}", self.id)];
        let rights = &self.rights;
        uris.extend(rights.prefixes.iter().map(|prefix| format!("quicap:prefix={prefix}")));
        uris.extend(rights.macs.map(|n| format!("quicap:macs={n}")));
        uris.extend(rights.mac.iter().map(|mac| format!("quicap:mac={mac}")));
        uris.extend(rights.vlans.iter().map(|n| format!("quicap:vlan={n}")));
        let flags = [
            (rights.gateway, "gateway"),
            (!rights.transit, "notransit"),
            (!rights.l2, "l2=no"),
            (rights.issuer, "issuer"),
            (rights.exit, "exit"),
        ];
        uris.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| format!("quicap:{word}")));
        uris
    }
}

impl Rights {
    fn add(&mut self, word: &str, value: Option<&str>, uri: &str) -> Result<(), Refusal> {
        match (word, value) {
            ("prefix", Some(text)) => self.prefixes.push(text.parse().map_err(|()| malformed(uri))?),
            ("mac", Some(text)) => self.mac.push(read_mac(text).ok_or_else(|| malformed(uri))?),
            ("macs", Some(text)) => self.macs = Some(decimal(text).ok_or_else(|| malformed(uri))?),
            ("vlan", Some(text)) => {
                let vlan = decimal(text).filter(|n| (1..=4094).contains(n)); // IEEE 802.1Q-2018, table 9-2
                self.vlans.push(vlan.ok_or_else(|| malformed(uri))?);
            }
            ("l2", Some("no")) => self.l2 = false,
            ("gateway", None) => self.gateway = true,
            ("notransit", None) => self.transit = false,
            ("issuer", None) => self.issuer = true,
            ("exit", None) => self.exit = true,
            ("prefix" | "mac" | "macs" | "vlan" | "l2" | "gateway" | "notransit" | "issuer" | "exit", _) => {
                return Err(malformed(uri));
            }
            _ => return Err(Refusal::UnknownRight(shown(uri))),
        }
        Ok(())
    }
}

/// What follows `quicap:`; `None` for other schemes and for `quicap:x-...`. Schemes know no case (RFC 3986, 3.1),
/// so an odd spelling must not slip through as "other scheme".
fn statement(uri: &str) -> Result<Option<&str>, Refusal> {
    match uri.split_once(':') {
        Some(("quicap", statement)) => Ok((!statement.starts_with("x-")).then_some(statement)),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("quicap") => Err(Refusal::UnknownRight(shown(uri))),
        _ => Ok(None),
    }
}

/// Whether two statements may not stand in one certificate: lists may have several values, the rest one.
fn repeats(a: &str, b: &str) -> bool {
    let word = |uri: &str| uri.split_once('=').map_or(uri.len(), |(word, _)| word.len());
    let is_list = ["quicap:prefix=", "quicap:mac=", "quicap:vlan="].iter().any(|list| a.starts_with(list));
    a == b || !is_list && a[..word(a)] == b[..word(b)]
}

fn read_id(text: &str) -> Result<NodeId, Refusal> {
    decimal(text).and_then(NodeId::new).ok_or_else(|| Refusal::BadId(shown(text)))
}

/// A decimal number in its only spelling: no sign, no leading zero.
fn decimal(text: &str) -> Option<u16> {
    let is_canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_canonical)
}

/// A unicast address as `02:00:00:00:00:01`, lower case.
pub fn read_mac(text: &str) -> Option<MacAddr> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    let mac = MacAddr(bytes);
    (mac.to_string() == text && !mac.is_group() && !mac.is_zero()).then_some(mac)
}

/// A UCI section name: `[A-Za-z0-9_]+`.
pub fn is_network_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn malformed(uri: &str) -> Refusal {
    Refusal::MalformedRight(shown(uri))
}

/// Text from a certificate as it may stand in a log line: printable ASCII, at most 80 characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uris: &[&str]) -> Result<Grant, Refusal> {
        let base = ["quicap:net=home", "quicap:id=7"];
        Grant::from_uris(base.iter().chain(uris).copied())
    }

    #[test]
    fn every_right_is_read_and_written_back_the_same() {
        let uris = [
            "quicap:prefix=10.1.0.0/16",
            "quicap:prefix=2001:db8::/32",
            "quicap:prefix=0.0.0.0/0",
            "quicap:macs=40",
            "quicap:mac=02:00:00:00:00:01",
            "quicap:mac=02:00:00:00:00:02",
            "quicap:vlan=1",
            "quicap:vlan=4094",
            "quicap:gateway",
            "quicap:notransit",
            "quicap:l2=no",
            "quicap:issuer",
            "quicap:exit",
        ];
        let grant = read(&uris).unwrap();
        assert_eq!(grant.to_uris()[2..], uris);
        assert!(grant.rights.gateway && !grant.rights.transit && !grant.rights.l2);
        assert_eq!(read(&[]).unwrap().rights, Rights::default());
    }

    #[test]
    fn other_schemes_and_private_statements_are_ignored() {
        let grant =
            read(&["https://example.org/", "quicap:x-color=red", "quicap:x-color=red", "urn:a"]).unwrap();
        assert_eq!(grant.rights, Rights::default());
    }

    #[test]
    fn wrong_statements_refuse_the_certificate() {
        let unknown = |uri: &str| Refusal::UnknownRight(uri.into());
        let malformed = |uri: &str| Refusal::MalformedRight(uri.into());
        for (uris, refusal) in [
            (&["quicap:foo"][..], unknown("quicap:foo")),
            (&["quicap:foo=1"], unknown("quicap:foo=1")),
            (&["QUICAP:l2=no"], unknown("QUICAP:l2=no")),
            (&["quicap:"], unknown("quicap:")),
            (&["quicap:Gateway"], unknown("quicap:Gateway")),
            (&["quicap:l2=yes"], malformed("quicap:l2=yes")),
            (&["quicap:gateway=1"], malformed("quicap:gateway=1")),
            (&["quicap:prefix"], malformed("quicap:prefix")),
            (&["quicap:prefix=10.0.0.1/24"], malformed("quicap:prefix=10.0.0.1/24")),
            (&["quicap:prefix=10.0.0.0/33"], malformed("quicap:prefix=10.0.0.0/33")),
            (&["quicap:prefix=::/129"], malformed("quicap:prefix=::/129")),
            (&["quicap:prefix=10.0.0.0/08"], malformed("quicap:prefix=10.0.0.0/08")),
            (&["quicap:macs=+4"], malformed("quicap:macs=+4")),
            (&["quicap:macs=65536"], malformed("quicap:macs=65536")),
            (&["quicap:mac=01:00:00:00:00:01"], malformed("quicap:mac=01:00:00:00:00:01")),
            (&["quicap:mac=02:00:00:00:00"], malformed("quicap:mac=02:00:00:00:00")),
            (&["quicap:mac=02:00:00:00:00:01:02"], malformed("quicap:mac=02:00:00:00:00:01:02")),
            (&["quicap:vlan=4095"], malformed("quicap:vlan=4095")),
            (&["quicap:gateway", "quicap:gateway"], Refusal::RepeatedRight("quicap:gateway".into())),
            (&["quicap:macs=1", "quicap:macs=2"], Refusal::RepeatedRight("quicap:macs=2".into())),
            (
                &["quicap:prefix=::/0", "quicap:prefix=::/0"],
                Refusal::RepeatedRight("quicap:prefix=::/0".into()),
            ),
            (&["quicap:id=8"], Refusal::TwoIds),
            (&["quicap:net=other"], Refusal::TwoNetworks),
        ] {
            assert_eq!(read(uris), Err(refusal), "{uris:?}");
        }
    }

    #[test]
    fn network_and_id_are_mandatory_and_in_range() {
        let read = |uris: &[&str]| Grant::from_uris(uris.iter().copied()).map(|g| g.id.value());
        assert_eq!(read(&["quicap:id=1"]), Err(Refusal::NoNetwork));
        assert_eq!(read(&["quicap:net=home"]), Err(Refusal::NoId));
        assert_eq!(read(&["quicap:net=home", "quicap:id=65279"]), Ok(65279));
        for bad in ["0", "65280", "65536", "01", "+1", "-1", "", "x"] {
            let id = format!("quicap:id={bad}");
            assert_eq!(read(&["quicap:net=home", &id]), Err(Refusal::BadId(bad.into())));
        }
        let bad = "quicap:net=ho me".to_owned();
        assert_eq!(read(&["quicap:id=1", &bad]), Err(Refusal::MalformedRight(bad.clone())));
    }

    #[test]
    fn hostile_text_is_made_printable() {
        assert_eq!(shown("a\n\u{1b}[31mé"), "a??[31m?");
        assert_eq!(shown(&"x".repeat(200)).len(), 80);
    }
}
