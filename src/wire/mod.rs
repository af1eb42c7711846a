//! Our own formats only: the header of one QUIC DATAGRAM and the messages of the control stream.
//! Pure bytes: no time, no logging, no allocation. Read first: docs/protocol.md.

pub mod announce;
pub mod control;
pub mod database;
pub mod list;
pub mod overlay;
pub mod stations;

use crate::types::NodeId;

/// Malformed or unsupported: the one thing a parser says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error;

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("malformed or unsupported")
    }
}

/// Reads fields off the front of a message; every read fails with [`Error`] when the bytes run out.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Error)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.bytes(N)?.try_into().map_err(|_| Error)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn node(&mut self) -> Result<NodeId, Error> {
        NodeId::new(self.u16()?).ok_or(Error)
    }
}
