//! What a node tells all others of itself, signed: NODE, who it is, and LSA, whom it is linked to.
//! Does not check signatures. Read first: docs/protocol.md, "NODE" and "LSA".

use core::net::{IpAddr, SocketAddr};

use super::list::{List, Row};
use super::{Error, Reader};
use crate::types::NodeId;

/// Ed25519, or P-256 as r and s.
pub type Signature = [u8; 64];

/// Longest appendix of an announcement, bytes.
pub const APPENDIX: usize = 128;

/// Fragments that a node's links are announced in, and links in one of them.
pub const FRAGMENTS: u8 = 4;
pub const FRAGMENT_LINKS: u8 = 16;

/// Length of the hash that may stand for a certificate, bytes. No certificate is as short.
pub const HASH: usize = 32;

/// Who a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node<'a> {
    pub id: NodeId,
    pub epoch: u32,
    pub seq: u32,
    /// Where it may be dialed.
    pub endpoints: List<'a, Endpoint>,
    /// What lies behind it.
    pub prefixes: List<'a, Prefix>,
    /// Number of the CRL that it has.
    pub crl: u32,
    /// DER, or the SHA-256 of it.
    pub certificate: &'a [u8],
    /// Of later versions: kept as it is.
    pub appendix: &'a [u8],
    pub signature: Signature,
}

/// Whom a node is linked to: the links whose slots belong to one fragment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lsa<'a> {
    pub id: NodeId,
    pub epoch: u32,
    pub seq: u32,
    /// Slots from 16 times this on; below [`FRAGMENTS`].
    pub fragment: u8,
    pub flags: u8,
    /// Of the LAN that several nodes share; 0: none.
    pub segment: u32,
    /// In the order of their slots.
    pub links: List<'a, Link>,
    /// Of later versions: kept as it is.
    pub appendix: &'a [u8],
    pub signature: Signature,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint(pub SocketAddr);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    pub address: IpAddr,
    /// Bits of the address that count.
    pub length: u8,
    /// Lower ones are preferred.
    pub priority: u8,
    pub weight: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    pub to: NodeId,
    pub slot: u8,
    /// 0.1 ms; 0: what the other end says.
    pub cost: u16,
}

impl<'a> Node<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let node = Self {
            id: reader.node()?,
            epoch: reader.u32()?,
            seq: reader.u32()?,
            endpoints: counted(reader)?,
            prefixes: counted(reader)?,
            crl: reader.u32()?,
            certificate: {
                let length = usize::from(reader.u16()?);
                reader.bytes(length)?
            },
            appendix: appendix(reader)?,
            signature: reader.array()?,
        };
        if node.certificate.len() < HASH || !reader.0.is_empty() { Err(Error) } else { Ok(node) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_signed(self.certificate, out);
        out.extend(self.signature);
    }

    /// What is signed: the body with the hash in place of the certificate, so that either may be passed on.
    pub fn write_signed(&self, certificate: &[u8], out: &mut Vec<u8>) {
        out.extend(self.id.value().to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.push(self.endpoints.len() as u8);
        out.extend(self.endpoints.bytes());
        out.push(self.prefixes.len() as u8);
        out.extend(self.prefixes.bytes());
        out.extend(self.crl.to_be_bytes());
        out.extend((certificate.len() as u16).to_be_bytes());
        out.extend(certificate);
        out.extend((self.appendix.len() as u16).to_be_bytes());
        out.extend(self.appendix);
    }
}

impl<'a> Lsa<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let lsa = Self {
            id: reader.node()?,
            epoch: reader.u32()?,
            seq: reader.u32()?,
            fragment: reader.u8()?,
            flags: reader.u8()?,
            segment: reader.u32()?,
            links: counted(reader)?,
            appendix: appendix(reader)?,
            signature: reader.array()?,
        };
        if lsa.has_slots_in_order() && reader.0.is_empty() { Ok(lsa) } else { Err(Error) }
    }

    /// Each slot once, and of this fragment: so there are at most [`FRAGMENT_LINKS`].
    fn has_slots_in_order(&self) -> bool {
        let slots = || self.links.iter().map(|link| link.slot);
        let ascend = slots().zip(slots().skip(1)).all(|(slot, next)| slot < next);
        self.fragment < FRAGMENTS && ascend && slots().all(|slot| slot / FRAGMENT_LINKS == self.fragment)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_signed(out);
        out.extend(self.signature);
    }

    /// What is signed: the body without the signature.
    pub fn write_signed(&self, out: &mut Vec<u8>) {
        out.extend(self.id.value().to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend([self.fragment, self.flags]);
        out.extend(self.segment.to_be_bytes());
        out.push(self.links.len() as u8);
        out.extend(self.links.bytes());
        out.extend((self.appendix.len() as u16).to_be_bytes());
        out.extend(self.appendix);
    }
}

/// Rows behind a u8 that tells how many there are.
fn counted<'a, T: Row>(reader: &mut Reader<'a>) -> Result<List<'a, T>, Error> {
    let len = usize::from(reader.u8()?);
    List::read(reader, len)
}

fn appendix<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let length = usize::from(reader.u16()?);
    if length > APPENDIX { Err(Error) } else { reader.bytes(length) }
}

/// u8 family, 4 or 6, and the address.
fn read_address(reader: &mut Reader<'_>) -> Result<IpAddr, Error> {
    match reader.u8()? {
        4 => Ok(IpAddr::from(reader.array::<4>()?)),
        6 => Ok(IpAddr::from(reader.array::<16>()?)),
        _ => Err(Error),
    }
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
}

impl Row for Endpoint {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let address = read_address(reader)?;
        Ok(Self(SocketAddr::new(address, reader.u16()?)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_address(self.0.ip(), out);
        out.extend(self.0.port().to_be_bytes());
    }
}

impl Row for Prefix {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let address = read_address(reader)?;
        let [length, priority, weight] = reader.array()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length > bits { Err(Error) } else { Ok(Self { address, length, priority, weight }) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_address(self.address, out);
        out.extend([self.length, self.priority, self.weight]);
    }
}

impl Row for Link {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { to: reader.node()?, slot: reader.u8()?, cost: reader.u16()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to.value().to_be_bytes());
        out.push(self.slot);
        out.extend(self.cost.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Message;
    use super::super::control::tests::{check, refuse};
    use super::*;

    fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    fn lsa<'a>(fragment: u8, links: &[(u16, u8, u16)], buffer: &'a mut Vec<u8>) -> Lsa<'a> {
        let rows = links.iter().map(|(to, slot, cost)| Link { to: node(*to), slot: *slot, cost: *cost });
        let links = List::of(&rows.collect::<Vec<_>>(), buffer);
        let (id, epoch) = (node(2), 0x6920_0000);
        Lsa { id, epoch, seq: 9, fragment, flags: 0, segment: 0, links, appendix: &[], signature: [0x5A; 64] }
    }

    #[test]
    fn an_lsa_has_exactly_these_bytes() {
        let mut buffer = Vec::new();
        let whole = Lsa { appendix: &[7, 1, 0xEE], ..lsa(1, &[(1, 16, 100), (3, 31, 65_535)], &mut buffer) };
        let signed = "0002 69200000 00000009 01 00 00000000 02 0001 10 0064 0003 1f ffff 0003 0701ee";
        check(&Message::Lsa(whole.clone()), &format!("040060 {signed} {}", "5a".repeat(64)));
        let mut out = Vec::new();
        whole.write_signed(&mut out);
        assert_eq!(out.iter().map(|b| format!("{b:02x}")).collect::<String>(), signed.replace(' ', ""));
    }

    #[test]
    fn slots_of_another_fragment_or_out_of_order_are_errors() {
        type Case<'a> = (u8, &'a [(u16, u8, u16)], bool);
        let cases: [Case; 7] = [
            (0, &[], true),
            (3, &[(1, 48, 9), (1, 63, 9)], true),
            (4, &[(1, 64, 9)], false),
            (0, &[(1, 16, 9)], false),
            (1, &[(1, 15, 9)], false),
            (0, &[(1, 5, 9), (3, 5, 9)], false),
            (0, &[(1, 5, 9), (3, 4, 9)], false),
        ];
        for (fragment, links, is_well_formed) in cases {
            let (mut buffer, mut body) = (Vec::new(), Vec::new());
            lsa(fragment, links, &mut buffer).write(&mut body);
            assert_eq!(Lsa::read(&mut Reader(&body)).is_ok(), is_well_formed, "{links:?}");
            body.push(0);
            refuse(4, &body);
        }
    }

    #[test]
    fn a_node_has_exactly_these_bytes_and_is_signed_with_a_hash_for_its_certificate() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let endpoints = ["192.0.2.1:443", "[2001:db8::1]:80"].map(|a| Endpoint(a.parse().expect("one")));
        let address = IpAddr::from([10, 1, 0, 0]);
        let prefixes = [Prefix { address, length: 16, priority: 1, weight: 2 }];
        let certificate = [0xCE; 40];
        let node = Node {
            id: node(2),
            epoch: 0x6920_0000,
            seq: 9,
            endpoints: List::of(&endpoints, &mut first),
            prefixes: List::of(&prefixes, &mut second),
            crl: 5,
            certificate: &certificate,
            appendix: &[],
            signature: [0x5A; 64],
        };
        let head = "0002 69200000 00000009 02 04 c0000201 01bb 06 20010db8000000000000000000000001 0050 \
                    01 04 0a010000 10 01 02 00000005";
        let certificate = format!("0028 {}", "ce".repeat(40));
        check(&Message::Node(node.clone()), &format!("03009e {head} {certificate} 0000 {}", "5a".repeat(64)));
        let hashed = Node { certificate: &[0xAA; HASH], ..node.clone() };
        let (mut signed, mut body) = (Vec::new(), Vec::new());
        node.write_signed(&[0xAA; HASH], &mut signed);
        hashed.write(&mut body);
        assert_eq!(body.strip_prefix(&signed[..]), Some(&[0x5A; 64][..]));
    }

    #[test]
    fn malformed_nodes_are_errors() {
        let mut buffer = Vec::new();
        let list = List::of(&[], &mut buffer);
        let prefixes = List::read(&mut Reader(&[]), 0).expect("none");
        let certificate = &[0xCE; HASH][..];
        let good = Node {
            id: node(2),
            epoch: 1,
            seq: 1,
            endpoints: list,
            prefixes,
            crl: 0,
            certificate,
            appendix: &[0; APPENDIX],
            signature: [0; 64],
        };
        let body = |node: &Node| {
            let mut out = Vec::new();
            node.write(&mut out);
            out
        };
        assert!(Node::read(&mut Reader(&body(&good))).is_ok());
        refuse(3, &body(&Node { certificate: &[0xCE; HASH - 1], ..good.clone() }));
        refuse(3, &body(&Node { appendix: &[0; APPENDIX + 1], ..good.clone() }));
        refuse(3, &[&body(&good)[..], &[0]].concat());
        for (at, byte) in [(10, 1), (11, 1), (0, 0xFF)] {
            let mut bytes = body(&good);
            bytes[at] = byte;
            refuse(3, &bytes);
        }
        for row in [&[5, 1, 2, 3, 4, 8, 1, 1][..], &[4, 10, 0, 0, 0, 33, 0, 0], &[6; 10]] {
            assert_eq!(Prefix::read(&mut Reader(row)), Err(Error));
        }
    }
}
