//! Names and numbers that every room uses. Nothing else lives here.

use core::fmt;

/// A member of the network: 1..=0xFEFF, assigned by the CA in the certificate (`quicap:id=N`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(u16);

impl NodeId {
    /// Highest id that a certificate may carry; what is above is reserved.
    pub const MAX: u16 = 0xFEFF;

    /// `None` for 0 and for the reserved numbers above [`NodeId::MAX`].
    pub const fn new(id: u16) -> Option<Self> {
        if id == 0 || id > Self::MAX { None } else { Some(Self(id)) }
    }

    pub const fn value(self) -> u16 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port of the switch: our adjacency to one peer, numbered in order of creation and reused after removal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u8);

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    pub const BROADCAST: Self = Self([0xFF; 6]);
    /// To all bridges of the LAN: spanning tree (IEEE 802.1Q-2018, table 8-1).
    pub const STP: Self = Self([0x01, 0x80, 0xC2, 0, 0, 0]);

    /// Broadcast or multicast (IEEE 802-2014, 8.2.2: the I/G bit).
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    pub const fn is_zero(self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// 01:80:C2:00:00:00 to :0F: never forwarded by a bridge (IEEE 802.1Q-2018, table 8-1).
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xC2, 0, 0, 0x00..=0x0F])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// First 16 bytes of SHA-256 over the SubjectPublicKeyInfo (DER): names a key in HELLO and to people.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a frame went no further: each has a counter of this name in `quicap status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DropReason {
    /// Shorter than an Ethernet header, or longer than the switch carries.
    Malformed,
    /// To 01:80:C2:00:00:0x: what bridges keep to themselves (STP, LLDP, pause).
    Reserved,
    /// Group or zero source address.
    BadSource,
    /// To a station on the side that it came from.
    Local,
    /// No known owner, and the rate of `unknown_unicast` is used up or it says drop.
    UnknownUnicast,
    /// The owner has no link that is up.
    NoRoute,
    /// More pieces than the protocol knows.
    TooBig,
    /// The QUIC connection took no more: the oldest frame in its queue went.
    LinkFull,
    /// A datagram of a type of a later version, or malformed.
    UnknownType,
    /// Pieces whose siblings never came.
    Reassembly,
    /// The certificate of its origin, or that of another node, does not permit it.
    Rights,
    /// The queue to the TAP was full.
    TapFull,
    /// The TAP is down, as a device that nobody has set up is.
    TapDown,
    /// A further copy of a broadcast.
    BcastDup,
    /// A broadcast of another run of its origin, or far ahead of what came before.
    BcastStale,
    /// A frame that names this node, or one out of reach, as its origin.
    Origin,
}

impl DropReason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Reserved,
        Self::BadSource,
        Self::Local,
        Self::UnknownUnicast,
        Self::NoRoute,
        Self::TooBig,
        Self::LinkFull,
        Self::UnknownType,
        Self::Reassembly,
        Self::Rights,
        Self::TapFull,
        Self::TapDown,
        Self::BcastDup,
        Self::BcastStale,
        Self::Origin,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Reserved => "reserved",
            Self::BadSource => "bad_source",
            Self::Local => "local",
            Self::UnknownUnicast => "unknown_unicast",
            Self::NoRoute => "no_route",
            Self::TooBig => "too_big",
            Self::LinkFull => "link_full",
            Self::UnknownType => "rx_unknown_type",
            Self::Reassembly => "reassembly",
            Self::Rights => "rights",
            Self::TapFull => "tap_full",
            Self::TapDown => "tap_down",
            Self::BcastDup => "bcast_dup",
            Self::BcastStale => "bcast_stale",
            Self::Origin => "bad_origin",
        }
    }
}

/// One counter for each [`DropReason`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    pub fn add(&mut self, reason: DropReason) {
        self.add_many(reason, 1);
    }

    pub fn add_many(&mut self, reason: DropReason, n: u64) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter += n;
        }
    }

    pub fn count(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DropReason::ALL.into_iter().map(|reason| (reason.name(), self.count(reason)))
    }
}

/// One bounded table, for status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    pub name: &'static str,
    pub used: usize,
    pub capacity: usize,
    /// Memory that it takes now: of most tables all from the start.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_leave_zero_and_the_reserved_range_out() {
        assert_eq!(NodeId::new(0), None);
        assert_eq!(NodeId::new(1).map(NodeId::value), Some(1));
        assert_eq!(NodeId::new(0xFEFF).map(NodeId::value), Some(0xFEFF));
        assert_eq!(NodeId::new(0xFF00), None);
    }

    #[test]
    fn every_drop_reason_has_its_own_counter() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            let mut drops = Drops::default();
            drops.add(reason);
            assert_eq!(
                drops.iter().filter(|(_, n)| *n == 1).map(|(name, _)| name).collect::<Vec<_>>(),
                [reason.name()]
            );
        }
    }

    #[test]
    fn reserved_addresses_are_the_sixteen_of_the_bridge_standard() {
        assert!(MacAddr([1, 0x80, 0xC2, 0, 0, 0]).is_reserved());
        assert!(MacAddr([1, 0x80, 0xC2, 0, 0, 0x0F]).is_reserved());
        assert!(!MacAddr([1, 0x80, 0xC2, 0, 0, 0x10]).is_reserved());
        assert!(!MacAddr([1, 0, 0x5E, 0, 0, 1]).is_reserved());
    }
}
