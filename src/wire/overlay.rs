//! The header of one QUIC DATAGRAM: the first byte decides what follows.
//! Does not look into the Ethernet frame. Read first: docs/protocol.md, "Data frames".

use super::{Error, Reader};
use crate::limits::PIECES;

/// A whole Ethernet frame of the neighbor's own.
pub const ETH: u8 = 0x00;
/// A piece of a datagram that was too large for the path.
pub const FRAG: u8 = 0x02;

/// Bytes in front of an Ethernet frame.
pub const ETH_HEADER: usize = 1;
/// Bytes in front of a piece.
pub const FRAG_HEADER: usize = 4;

/// What one DATAGRAM carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagram<'a> {
    /// An Ethernet frame: its origin is the neighbor, it is delivered here.
    Eth(&'a [u8]),
    Frag(Frag, &'a [u8]),
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
}

impl<'a> Datagram<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            ETH => Ok(Self::Eth(reader.0)),
            FRAG => {
                let id = reader.u16()?;
                let place = reader.u8()?;
                let frag = Frag { id, index: place >> 4, last: place & 0x08 != 0 };
                if usize::from(frag.index) >= PIECES || place & 0x07 != 0 || reader.0.is_empty() {
                    return Err(Error);
                }
                Ok(Self::Frag(frag, reader.0))
            }
            _ => Err(Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides() {
        let frag = |id, index, last| Frag { id, index, last };
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
            (&[0xC0, 0, 1, 0, 0, 0], Err(Error)),
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
}
