//! The header of one QUIC DATAGRAM: the first byte decides what follows.
//! Does not look into the Ethernet frame. Read first: docs/protocol.md, "Data frames".

use super::{Error, Reader};
use crate::limits::{HEADER_MAX, PIECES, ROUTE, ROUTE_REPAIRS, SLOTS};
use crate::types::NodeId;

/// A whole Ethernet frame of the neighbor's own.
pub const ETH: u8 = 0x00;
/// A piece of a datagram that was too large for the path.
pub const FRAG: u8 = 0x02;
/// A frame with the rest of its route: two bits of repairs and four of slots follow in this byte.
pub const ROUTED: u8 = 0x40;
/// A frame for all nodes.
pub const BCAST: u8 = 0xC0;
/// The same, from a node that did not get it from its parent in the tree of the origin.
pub const ASTRAY: u8 = 0xC2;
/// A BCAST with a route round a dead link: four bits of slots follow in this byte.
pub const TUNNEL: u8 = 0xD0;

/// Bytes in front of an Ethernet frame.
pub const ETH_HEADER: usize = 1;
/// Bytes in front of a piece.
pub const FRAG_HEADER: usize = 4;
/// Bytes in front of a frame for all.
pub const BCAST_HEADER: usize = 6;

/// As many slots or more: their number stands in a byte of its own.
const MANY: u8 = 15;

/// What goes in front of a frame.
pub type Header = heapless::Vec<u8, HEADER_MAX>;

/// What one DATAGRAM carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagram<'a> {
    /// An Ethernet frame: its origin is the neighbor, it is delivered here.
    Eth(&'a [u8]),
    Frag(Frag, &'a [u8]),
    Routed(Routed<'a>),
    Broadcast(Broadcast, &'a [u8]),
    /// The slots that are left, none at their end, and the whole datagram, a [`Datagram::Broadcast`], that is received there.
    Tunnel(&'a [u8], &'a [u8]),
}

/// Which piece of which datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frag {
    /// Counts the split datagrams of one link, wraps.
    pub id: u16,
    /// 0 to [`PIECES`] - 1.
    pub index: u8,
    pub last: bool,
}

/// A frame on its way to one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routed<'a> {
    /// How often its route may still be changed, at most [`ROUTE_REPAIRS`].
    pub repairs: u8,
    pub origin: NodeId,
    /// The links that are left to cross, one slot each; none: this node is the end.
    pub slots: &'a [u8],
    pub frame: &'a [u8],
}

/// Which broadcast of which node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broadcast {
    pub origin: NodeId,
    /// Low byte of the origin's epoch.
    pub epoch: u8,
    pub seq: u16,
    /// Somewhere on its way it did not come from a parent.
    pub is_astray: bool,
}

impl Frag {
    /// ```text
    ///  0               1               2               3
    /// +---------------+-------------------------------+-------+-+-----+
    /// | 0x02          | id                            | index |L| 0   |
    /// +---------------+-------------------------------+-------+-+-----+
    /// ```
    pub fn emit(self) -> [u8; FRAG_HEADER] {
        let [high, low] = self.id.to_be_bytes();
        [FRAG, high, low, self.index << 4 | u8::from(self.last) << 3]
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let id = reader.u16()?;
        let place = reader.u8()?;
        let frag = Self { id, index: place >> 4, last: place & 0x08 != 0 };
        if usize::from(frag.index) >= PIECES || place & 0x07 != 0 || reader.0.is_empty() {
            return Err(Error);
        }
        Ok(frag)
    }
}

impl<'a> Routed<'a> {
    /// ```text
    ///  0               1               2               3
    /// +---+---+-------+-------------------------------+---- - -
    /// |0 1|R R|n      | origin                        | n slots
    /// +---+---+-------+-------------------------------+---- - -
    /// |0 1|R R|1 1 1 1| n             | origin                        | n slots
    /// +---+---+-------+---------------+-------------------------------+---- - -
    /// ```
    /// `None`: too many slots, or one that no link can have.
    pub fn header(repairs: u8, origin: NodeId, slots: &[u8]) -> Option<Header> {
        let mut header = begin(ROUTED | repairs.min(ROUTE_REPAIRS) << 4, slots)?;
        header.extend_from_slice(&origin.value().to_be_bytes()).ok()?;
        header.extend_from_slice(slots).ok()?;
        Some(header)
    }

    fn read(first: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = count(first, reader)?;
        let origin = reader.node()?;
        Ok(Self {
            repairs: first >> 4 & ROUTE_REPAIRS,
            origin,
            slots: slots(count, reader)?,
            frame: reader.0,
        })
    }
}

impl Broadcast {
    /// ```text
    ///  0               1               2               3               4               5
    /// +---------------+-------------------------------+---------------+-------------------------------+
    /// | 0xC0 or 0xC2  | origin                        | epoch         | seq                           |
    /// +---------------+-------------------------------+---------------+-------------------------------+
    /// ```
    pub fn header(self) -> [u8; BCAST_HEADER] {
        let ([a, b], [c, d]) = (self.origin.value().to_be_bytes(), self.seq.to_be_bytes());
        [if self.is_astray { ASTRAY } else { BCAST }, a, b, self.epoch, c, d]
    }

    fn read(first: u8, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let is_astray = first == ASTRAY;
        Ok(Self { origin: reader.node()?, epoch: reader.u8()?, seq: reader.u16()?, is_astray })
    }
}

/// In front of a whole [`Datagram::Broadcast`]:
///
/// ```text
///  0               1
/// +-------+-------+---- - -
/// |1 1 0 1|n      | n slots
/// +-------+-------+---- - -
/// |1 1 0 1|1 1 1 1| n             | n slots
/// +-------+-------+---------------+---- - -
/// ```
/// `None`: no slots, too many, or one that no link can have.
pub fn tunnel_header(slots: &[u8]) -> Option<Header> {
    let mut header = begin(TUNNEL, slots)?;
    header.extend_from_slice(slots).ok()?;
    Some(header)
}

/// The first byte, and the number of slots that has no room in it.
fn begin(kind: u8, slots: &[u8]) -> Option<Header> {
    if slots.len() >= ROUTE || !slots.iter().all(is_slot) {
        return None;
    }
    let count = slots.len() as u8;
    let mut header = Header::new();
    header.push(kind | count.min(MANY)).ok()?;
    if count >= MANY {
        header.push(count).ok()?;
    }
    Some(header)
}

/// How many slots follow.
fn count(first: u8, reader: &mut Reader<'_>) -> Result<usize, Error> {
    let short = first & 0x0F;
    let count = if short == MANY { reader.u8()? } else { short };
    if (short == MANY && count < MANY) || usize::from(count) >= ROUTE {
        return Err(Error);
    }
    Ok(count.into())
}

fn slots<'a>(count: usize, reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let slots = reader.bytes(count)?;
    if slots.iter().all(is_slot) { Ok(slots) } else { Err(Error) }
}

fn is_slot(slot: &u8) -> bool {
    usize::from(*slot) < SLOTS
}

impl<'a> Datagram<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            ETH => Ok(Self::Eth(reader.0)),
            FRAG => Ok(Self::Frag(Frag::read(&mut reader)?, reader.0)),
            first @ 0x40..=0x7F => Ok(Self::Routed(Routed::read(first, &mut reader)?)),
            first @ (BCAST | ASTRAY) => Ok(Self::Broadcast(Broadcast::read(first, &mut reader)?, reader.0)),
            first @ 0xD0..=0xDF => Self::parse_tunnel(first, &mut reader),
            _ => Err(Error),
        }
    }

    fn parse_tunnel(first: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = count(first, reader)?;
        let (slots, inner) = (slots(count, reader)?, reader.0);
        let first @ (BCAST | ASTRAY) = reader.u8()? else { return Err(Error) };
        Broadcast::read(first, reader)?;
        Ok(Self::Tunnel(slots, inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    #[test]
    fn the_first_byte_decides() {
        let frag = |id, index, last| Frag { id, index, last };
        let cast = |origin, epoch, seq, is_astray| Broadcast { origin: node(origin), epoch, seq, is_astray };
        let cases: &[(&[u8], Result<Datagram, Error>)] = &[
            (&[], Err(Error)),
            (&[0], Ok(Datagram::Eth(&[]))),
            (&[0, 1, 2], Ok(Datagram::Eth(&[1, 2]))),
            (&[1, 0x45], Err(Error)),
            (&[2, 0x12, 0x34, 0x00, 9], Ok(Datagram::Frag(frag(0x1234, 0, false), &[9]))),
            (&[2, 0x12, 0x34, 0x38, 9], Ok(Datagram::Frag(frag(0x1234, 3, true), &[9]))),
            (&[2, 0x12, 0x34, 0x00], Err(Error)),
            (&[2, 0x12, 0x34, 0x40, 9], Err(Error)),
            (&[2, 0x12, 0x34, 0x01, 9], Err(Error)),
            (&[2, 0x12], Err(Error)),
            (&[3, 0], Err(Error)),
            (&[4, 0], Err(Error)),
            (&[0x82, 0, 1, 2, 2, 0x45], Err(Error)),
            (&[0xC0, 0, 1, 0xEE, 0x12, 0x34, 9], Ok(Datagram::Broadcast(cast(1, 0xEE, 0x1234, false), &[9]))),
            (&[0xC2, 0, 1, 0xEE, 0x12, 0x34, 9], Ok(Datagram::Broadcast(cast(1, 0xEE, 0x1234, true), &[9]))),
            (&[0xC0, 0, 1, 0xEE, 0x12], Err(Error)),
            (&[0xC0, 0, 0, 0xEE, 0x12, 0x34, 9], Err(Error)),
            (&[0xC1, 0, 1, 0, 0, 0], Err(Error)),
            (&[0xC3, 0, 1, 0, 0, 0], Err(Error)),
            (&[0xE0, 0], Err(Error)),
            (&[0xFF], Err(Error)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Datagram::parse(bytes), *expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_piece_reads_back_as_it_was_written() {
        for index in 0..PIECES as u8 {
            for last in [false, true] {
                let frag = Frag { id: 0xFFFE, index, last };
                let mut bytes = frag.emit().to_vec();
                bytes.push(7);
                assert_eq!(Datagram::parse(&bytes), Ok(Datagram::Frag(frag, &[7])));
            }
        }
    }

    #[test]
    fn routes_have_exactly_these_bytes() {
        let cases: [(u8, u16, &[u8], &[u8]); 6] = [
            (3, 1, &[2, 2], &[0x72, 0, 1, 2, 2]),
            (3, 1, &[2], &[0x71, 0, 1, 2]),
            (3, 1, &[], &[0x70, 0, 1]),
            (2, 1, &[3], &[0x61, 0, 1, 3]),
            (0, 0xFEFF, &[63, 0], &[0x42, 0xFE, 0xFF, 63, 0]),
            (9, 1, &[], &[0x70, 0, 1]),
        ];
        for (repairs, origin, slots, expected) in cases {
            assert_eq!(Routed::header(repairs, node(origin), slots).as_deref(), Some(expected));
        }
        let tunnel = tunnel_header(&[2]).expect("a header");
        let cast = Broadcast { origin: node(1), epoch: 0xEE, seq: 0x1234, is_astray: false };
        assert_eq!(Broadcast { is_astray: true, ..cast }.header(), [0xC2, 0, 1, 0xEE, 0x12, 0x34]);
        let cast = cast.header();
        assert_eq!([&tunnel[..], &cast].concat(), [0xD1, 2, 0xC0, 0, 1, 0xEE, 0x12, 0x34]);
        let end = [&tunnel_header(&[]).expect("no slots")[..], &cast].concat();
        assert_eq!(end, [0xD0, 0xC0, 0, 1, 0xEE, 0x12, 0x34]);
        assert_eq!(Datagram::parse(&end), Ok(Datagram::Tunnel(&[], &cast)));
    }

    #[test]
    fn every_number_of_slots_reads_back_as_it_was_written() {
        let all: Vec<u8> = (0..SLOTS as u8).rev().collect();
        let cast = [0xC0, 0, 1, 0xEE, 0x12, 0x34, 9];
        for length in 0..ROUTE {
            let slots = &all[..length];
            let header = Routed::header(1, node(7), slots).expect("a header");
            assert_eq!(header.len(), 3 + length + usize::from(length >= 15));
            let bytes = [&header[..], b"frame"].concat();
            let routed = Routed { repairs: 1, origin: node(7), slots, frame: b"frame" };
            assert_eq!(Datagram::parse(&bytes), Ok(Datagram::Routed(routed)));
            for cut in 0..header.len() {
                assert_eq!(Datagram::parse(&bytes[..cut]), Err(Error), "{length} cut at {cut}");
            }
            let bytes = [&tunnel_header(slots).expect("a header")[..], &cast].concat();
            assert!(bytes.len() <= HEADER_MAX + 1);
            assert_eq!(Datagram::parse(&bytes), Ok(Datagram::Tunnel(slots, &cast)));
        }
        assert_eq!(Routed::header(1, node(7), &all), None, "64 and the link to the first node");
        assert_eq!(tunnel_header(&all), None);
    }

    #[test]
    fn what_is_no_route_is_an_error() {
        assert_eq!(Routed::header(1, node(7), &[64]), None);
        assert_eq!(tunnel_header(&[64]), None);
        let cast = [0xC0, 0, 1, 0xEE, 0x12, 0x34];
        let refused: [&[u8]; 10] = [
            &[&[0xD1, 2, 0xC1], &cast[1..]].concat(),
            &[0x71, 0, 1, 64, 9],
            &[0x71, 0, 0, 2, 9],
            &[0x71, 0xFF, 0, 2, 9],
            &[&[0x7F, 14, 0, 1], &[2; 20][..]].concat(),
            &[&[0x7F, 64, 0, 1], &[2; 80][..]].concat(),
            &[&[0xD1, 64], &cast[..]].concat(),
            &[0xD1, 2, 0x00, 1, 2, 3, 4, 5, 6],
            &[&[0xD1, 2, 0xD1, 2], &cast[..]].concat(),
            &[&[0xD1, 2], &cast[..5]].concat(),
        ];
        for bytes in refused {
            assert_eq!(Datagram::parse(bytes), Err(Error), "{bytes:02x?}");
        }
    }
}
