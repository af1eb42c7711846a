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
    fn reserved_addresses_are_the_sixteen_of_the_bridge_standard() {
        assert!(MacAddr([1, 0x80, 0xC2, 0, 0, 0]).is_reserved());
        assert!(MacAddr([1, 0x80, 0xC2, 0, 0, 0x0F]).is_reserved());
        assert!(!MacAddr([1, 0x80, 0xC2, 0, 0, 0x10]).is_reserved());
        assert!(!MacAddr([1, 0, 0x5E, 0, 0, 1]).is_reserved());
    }
}
