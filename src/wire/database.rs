//! How two nodes compare and complete what they know of all nodes: rows of SUMMARY and REQUEST.
//! Read first: docs/protocol.md, "SUMMARY".

use super::list::Row;
use super::{Error, Reader};
use crate::types::NodeId;

/// What the sender of a SUMMARY knows of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub id: NodeId,
    pub epoch: u32,
    /// Hash of the numbers of its LSAs; 0: none is known.
    pub links: u32,
    /// Number of its NODE; 0: none is known.
    pub node: u32,
}

/// What the sender of a REQUEST wants of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub id: NodeId,
    /// [`WANTS_NODE`], [`WANTS_LINKS`]; other bits belong to later versions.
    pub what: u8,
}

pub const WANTS_NODE: u8 = 1;
pub const WANTS_LINKS: u8 = 2;

impl Row for Known {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { id: reader.node()?, epoch: reader.u32()?, links: reader.u32()?, node: reader.u32()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.id.value().to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.links.to_be_bytes());
        out.extend(self.node.to_be_bytes());
    }
}

impl Row for Wanted {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { id: reader.node()?, what: reader.u8()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.id.value().to_be_bytes());
        out.push(self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Message;
    use super::super::control::tests::{check, refuse};
    use super::super::list::List;
    use super::*;

    fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    #[test]
    fn messages_have_exactly_these_bytes() {
        let mut buffer = Vec::new();
        let known = [
            Known { id: node(2), epoch: 0x6920_0000, links: 0xAABB_CCDD, node: 7 },
            Known { id: node(0xFEFF), epoch: 1, links: 0, node: 0 },
        ];
        let list = List::of(&known, &mut buffer);
        assert_eq!(list.iter().collect::<Vec<_>>(), known);
        check(
            &Message::Summary(list),
            "05001e 0002 0002 69200000 aabbccdd 00000007 feff 00000001 00000000 00000000",
        );
        let wanted = [Wanted { id: node(2), what: WANTS_NODE | WANTS_LINKS }];
        check(&Message::Request(List::of(&wanted, &mut buffer)), "060005 0001 0002 03");
        check(&Message::Request(List::of(&[], &mut buffer)), "060002 0000");
    }

    #[test]
    fn rows_that_are_missing_or_name_no_node_are_errors() {
        refuse(5, &[0]);
        refuse(5, &[0, 1, 0, 2]);
        refuse(5, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        refuse(6, &[0, 2, 0, 2, 3]);
        refuse(6, &[0, 1, 0xFF, 0, 3]);
    }
}
