//! Where Ethernet stations are: MAC_MOVE and MAC_GONE, which their node signs, and MAC_SNAPSHOT for one that is new.
//! Does not check signatures. Read first: docs/protocol.md, "MAC_MOVE".

use super::announce::Signature;
use super::list::{List, Row};
use super::{Error, Reader};
use crate::types::{MacAddr, NodeId};

/// Bytes of a station in MAC_MOVE and MAC_GONE, and in MAC_SNAPSHOT.
const STATION: usize = 8;
const OWNED: usize = 10;

/// Stations in one MAC_SNAPSHOT at most.
pub const SNAPSHOT: usize = 512;

/// Stations that came to a node, or left it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stations<'a> {
    pub owner: NodeId,
    pub epoch: u32,
    pub stations: List<'a, Station>,
    pub signature: Signature,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Station {
    pub mac: MacAddr,
    /// Counts the moves of this address.
    pub moves: u16,
}

/// A station and the node it lives behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    pub mac: MacAddr,
    pub owner: NodeId,
    pub moves: u16,
}

impl<'a> Stations<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let (owner, epoch) = (reader.node()?, reader.u32()?);
        let (rows, signature) = reader.0.split_last_chunk().ok_or(Error)?;
        Ok(Self { owner, epoch, stations: List::read_rest(rows, STATION)?, signature: *signature })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_signed(out);
        out.extend(self.signature);
    }

    /// What is signed: the body without the signature.
    pub fn write_signed(&self, out: &mut Vec<u8>) {
        out.extend(self.owner.value().to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.stations.bytes());
    }
}

/// An empty one asks for what the other knows.
pub(super) fn read_snapshot<'a>(body: &'a [u8]) -> Result<List<'a, Owned>, Error> {
    List::read_rest(body, OWNED).and_then(|list| if list.len() > SNAPSHOT { Err(Error) } else { Ok(list) })
}

impl Row for Station {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { mac: MacAddr(reader.array()?), moves: reader.u16()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.mac.0);
        out.extend(self.moves.to_be_bytes());
    }
}

impl Row for Owned {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { mac: MacAddr(reader.array()?), owner: reader.node()?, moves: reader.u16()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.mac.0);
        out.extend(self.owner.value().to_be_bytes());
        out.extend(self.moves.to_be_bytes());
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

    #[test]
    fn messages_have_exactly_these_bytes() {
        let mut buffer = Vec::new();
        let (first, second) = (MacAddr([2, 0, 0, 0, 0, 0xA]), MacAddr([2, 0, 0, 0, 0, 0xB]));
        let rows = [Station { mac: first, moves: 1 }, Station { mac: second, moves: 0xFFFE }];
        let stations = List::of(&rows, &mut buffer);
        let moved = Stations { owner: node(3), epoch: 0x6920_0000, stations, signature: [0x5A; 64] };
        let body = format!("0056 0003 69200000 02000000000a 0001 02000000000b fffe {}", "5a".repeat(64));
        check(&Message::MacMove(moved.clone()), &format!("08 {body}"));
        check(&Message::MacGone(moved), &format!("09 {body}"));
        let rows = [Owned { mac: first, owner: node(3), moves: 1 }];
        let snapshot = Message::MacSnapshot(List::of(&rows, &mut buffer));
        check(&snapshot, "0a000a 02000000000a 0003 0001");
        check(&Message::MacSnapshot(List::of(&[], &mut buffer)), "0a0000");
    }

    #[test]
    fn what_is_no_whole_number_of_stations_is_an_error() {
        refuse(8, &[0; 69]);
        refuse(8, &[&[0, 3][..], &[0; 69]].concat());
        refuse(8, &[&[0, 0][..], &[0; 68]].concat());
        refuse(10, &[1; 9]);
        refuse(10, &[0; 10]);
        refuse(10, &[1; OWNED * (SNAPSHOT + 1)]);
    }
}
