//! The messages of the control stream: u8 type, u16 length, body; and the codes with which connections close.
//! Does not judge what it reads. Read first: docs/protocol.md, "Control stream".

use super::announce::{Lsa, Node, Signature};
use super::database::{Known, Wanted};
use super::list::List;
use super::stations::{self, Owned, Stations};
use super::{Error, Reader};
use crate::limits::CONTROL_MESSAGE;
use crate::types::{Fingerprint, NodeId};

/// ALPN of every connection: carries the protocol's version.
pub const ALPN: &[u8] = b"quicap/1";

/// Bytes in front of a message's body.
pub const HEADER: usize = 3;

const HELLO: u8 = 1;
const NODE: u8 = 3;
const LSA: u8 = 4;
const SUMMARY: u8 = 5;
const REQUEST: u8 = 6;
const DIGEST: u8 = 7;
const MAC_MOVE: u8 = 8;
const MAC_GONE: u8 = 9;
const MAC_SNAPSHOT: u8 = 10;
const COST: u8 = 14;
const CRL: u8 = 15;

/// Version of the messages in HELLO.
pub const VERSION: u16 = 1;

/// Longest network name, bytes.
pub const NETWORK_NAME: usize = 63;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    Hello(Hello<'a>),
    Node(Node<'a>),
    Lsa(Lsa<'a>),
    Summary(List<'a, Known>),
    Request(List<'a, Wanted>),
    /// Hash of all that the sender knows.
    Digest(u64),
    MacMove(Stations<'a>),
    MacGone(Stations<'a>),
    /// Empty: asks for one.
    MacSnapshot(List<'a, Owned>),
    /// What the sender measures for this link, 0.1 ms.
    Cost(u16),
    /// DER.
    Crl(&'a [u8]),
    /// An announcement of a later version: handed on as it is.
    Foreign(Foreign<'a>),
    /// Another type of a later version: skipped.
    Unknown(u8),
}

/// What a node announces in a later version, types 0x80 to 0xFF: of the body only beginning and end are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreign<'a> {
    pub kind: u8,
    pub id: NodeId,
    pub epoch: u32,
    pub seq: u32,
    /// The whole body, all of the above and the signature included.
    pub body: &'a [u8],
    pub signature: Signature,
}

/// The first message of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello<'a> {
    pub version: u16,
    /// Must be the certificate's.
    pub id: u16,
    /// Of the certificate's key.
    pub fingerprint: Fingerprint,
    /// Start of this run of the node, UNIX seconds.
    pub epoch: u32,
    pub mode: u8,
    pub flags: u8,
    /// Largest overlay datagram the sender takes, bytes.
    pub max_datagram: u16,
    /// Abilities, one bit each; none is defined yet.
    pub capabilities: u32,
    pub network: &'a str,
}

/// `Hello::mode`: carries Ethernet.
pub const MODE_L2: u8 = 1;

/// Application error codes of QUIC's CONNECTION_CLOSE; the reason phrase is for people. What a message before the
/// close would say could be lost with the stream, so the close itself says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CloseCode {
    /// BYE: the node stops, or this link is no longer configured.
    Bye = 0,
    /// Another connection between the same two nodes took its place, or won the race.
    Replaced = 1,
    /// The control stream was not understood, or HELLO was missing or wrong.
    Protocol = 2,
    /// No ACK came for too long.
    Dead = 3,
    /// The certificate is no good.
    Certificate = 4,
    /// HELLO names another network.
    Network = 16,
    /// HELLO has another version.
    Version = 17,
    /// The database of nodes is full.
    Full = 18,
    /// All links are taken.
    Busy = 19,
    /// Another node has this id, or the peer is the node itself.
    Duplicate = 20,
}

/// Splits a control stream into messages.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole message and the bytes it took.
    Message(Message<'a>, usize),
    /// A message too long to be stored, of an unknown type: these bytes of the stream are to be skipped.
    Skip(usize),
    /// More bytes are needed.
    Incomplete,
}

/// The next message at the front of `bytes`. An error ends the connection.
pub fn next(bytes: &[u8]) -> Result<Next<'_>, Error> {
    let Some((&[kind, high, low], rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(Next::Incomplete);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if HEADER + length > CONTROL_MESSAGE && kind != CRL {
        return if is_known(kind) { Err(Error) } else { Ok(Next::Skip(HEADER + length)) };
    }
    match rest.get(..length) {
        Some(body) => Ok(Next::Message(parse(kind, body)?, HEADER + length)),
        None => Ok(Next::Incomplete),
    }
}

fn is_known(kind: u8) -> bool {
    matches!(kind, HELLO | NODE..=MAC_SNAPSHOT | COST | CRL)
}

fn parse(kind: u8, body: &[u8]) -> Result<Message<'_>, Error> {
    let mut reader = Reader(body);
    match kind {
        HELLO => Ok(Message::Hello(parse_hello(&mut reader)?)),
        NODE => Ok(Message::Node(Node::read(&mut reader)?)),
        LSA => Ok(Message::Lsa(Lsa::read(&mut reader)?)),
        SUMMARY => {
            let len = usize::from(reader.u16()?);
            Ok(Message::Summary(List::read(&mut reader, len)?))
        }
        REQUEST => {
            let len = usize::from(reader.u16()?);
            Ok(Message::Request(List::read(&mut reader, len)?))
        }
        DIGEST => Ok(Message::Digest(u64::from_be_bytes(reader.array()?))),
        MAC_MOVE => Ok(Message::MacMove(Stations::read(&mut reader)?)),
        MAC_GONE => Ok(Message::MacGone(Stations::read(&mut reader)?)),
        MAC_SNAPSHOT => Ok(Message::MacSnapshot(stations::read_snapshot(body)?)),
        COST => Ok(Message::Cost(reader.u16()?)),
        CRL => Ok(Message::Crl(body)),
        // Whatever else begins with these bits is not for us to judge.
        0x80.. => Ok(Foreign::read(kind, body).map_or(Message::Unknown(kind), Message::Foreign)),
        other => Ok(Message::Unknown(other)),
    }
}

/// Bytes behind the network's name belong to later versions and are left alone.
fn parse_hello<'a>(reader: &mut Reader<'a>) -> Result<Hello<'a>, Error> {
    Ok(Hello {
        version: reader.u16()?,
        id: reader.u16()?,
        fingerprint: Fingerprint(reader.array()?),
        epoch: reader.u32()?,
        mode: reader.u8()?,
        flags: reader.u8()?,
        max_datagram: {
            let _reserved = reader.u8()?;
            reader.u16()?
        },
        capabilities: reader.u32()?,
        network: {
            let length = usize::from(reader.u8()?);
            core::str::from_utf8(reader.bytes(length)?).map_err(|_| Error)?
        },
    })
}

impl Message<'_> {
    /// Appends the message, header included. Texts that do not fit are cut.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEADER]);
        self.emit_body(out);
        let length = u16::try_from(out.len() - start - HEADER).unwrap_or(0);
        let [high, low] = length.to_be_bytes();
        if let Some(header) = out.get_mut(start..start + HEADER) {
            header.copy_from_slice(&[self.kind(), high, low]);
        }
    }
}

impl Message<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Node(_) => NODE,
            Self::Lsa(_) => LSA,
            Self::Summary(_) => SUMMARY,
            Self::Request(_) => REQUEST,
            Self::Digest(_) => DIGEST,
            Self::MacMove(_) => MAC_MOVE,
            Self::MacGone(_) => MAC_GONE,
            Self::MacSnapshot(_) => MAC_SNAPSHOT,
            Self::Cost(_) => COST,
            Self::Crl(_) => CRL,
            Self::Foreign(foreign) => foreign.kind,
            Self::Unknown(kind) => *kind,
        }
    }

    fn emit_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.emit(out),
            Self::Node(node) => node.write(out),
            Self::Lsa(lsa) => lsa.write(out),
            Self::Summary(list) => emit_list(list.len(), list.bytes(), out),
            Self::Request(list) => emit_list(list.len(), list.bytes(), out),
            Self::Digest(digest) => out.extend(digest.to_be_bytes()),
            Self::MacMove(stations) | Self::MacGone(stations) => stations.write(out),
            Self::MacSnapshot(list) => out.extend(list.bytes()),
            Self::Cost(cost) => out.extend(cost.to_be_bytes()),
            Self::Crl(der) => out.extend(*der),
            Self::Foreign(foreign) => out.extend(foreign.body),
            Self::Unknown(_) => {}
        }
    }
}

fn emit_list(len: usize, rows: &[u8], out: &mut Vec<u8>) {
    out.extend((len as u16).to_be_bytes());
    out.extend(rows);
}

impl Node<'_> {
    /// Type of the message: a part of what is signed.
    pub const KIND: u8 = NODE;
}

impl Stations<'_> {
    /// Types of the messages: a part of what is signed.
    pub const MOVE: u8 = MAC_MOVE;
    pub const GONE: u8 = MAC_GONE;
}

impl Lsa<'_> {
    /// Type of the message: a part of what is signed.
    pub const KIND: u8 = LSA;
}

impl<'a> Foreign<'a> {
    fn read(kind: u8, body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(body);
        let (id, epoch, seq) = (reader.node()?, reader.u32()?, reader.u32()?);
        let signature = *reader.0.last_chunk().ok_or(Error)?;
        Ok(Self { kind, id, epoch, seq, body, signature })
    }

    /// What is signed: the body without the signature.
    pub fn signed(&self) -> &'a [u8] {
        let end = self.body.len().saturating_sub(self.signature.len());
        self.body.get(..end).unwrap_or_default()
    }
}

impl Hello<'_> {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.version.to_be_bytes());
        out.extend(self.id.to_be_bytes());
        out.extend(self.fingerprint.0);
        out.extend(self.epoch.to_be_bytes());
        out.extend([self.mode, self.flags, 0]);
        out.extend(self.max_datagram.to_be_bytes());
        out.extend(self.capabilities.to_be_bytes());
        let name: &[u8] = self.network.as_bytes();
        let name = name.get(..NETWORK_NAME).unwrap_or(name);
        out.push(name.len() as u8);
        out.extend(name);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn hello() -> Hello<'static> {
        Hello {
            version: 1,
            id: 0x0203,
            fingerprint: Fingerprint([0xAB; 16]),
            epoch: 0x6920_0000,
            mode: MODE_L2,
            flags: 0,
            max_datagram: 1440,
            capabilities: 0,
            network: "home",
        }
    }

    fn emitted(message: &Message) -> Vec<u8> {
        let mut out = vec![0xEE];
        message.emit(&mut out);
        out.split_off(1)
    }

    /// The message is written as these bytes and read from them, and from no part of them.
    pub fn check(message: &Message, expected: &str) {
        let bytes = emitted(message);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""));
        assert_eq!(next(&bytes), Ok(Next::Message(message.clone(), bytes.len())));
        for cut in 0..bytes.len() {
            assert_eq!(next(&bytes[..cut]), Ok(Next::Incomplete), "cut at {cut}");
        }
    }

    /// The body is none of that kind.
    pub fn refuse(kind: u8, body: &[u8]) {
        let length = (body.len() as u16).to_be_bytes();
        assert_eq!(next(&[&[kind], &length[..], body].concat()), Err(Error), "{kind} {body:02x?}");
    }

    #[test]
    fn messages_have_exactly_these_bytes() {
        let hello = Message::Hello(hello());
        check(
            &hello,
            "010026 0001 0203 abababababababababababababababab 69200000 01 00 00 05a0 00000000 04 686f6d65",
        );
        check(&Message::Digest(0x0102_0304_0506_0708), "070008 0102030405060708");
        check(&Message::Cost(320), "0e0002 0140");
        check(&Message::Crl(&[0x30, 0]), "0f0002 3000");
        check(&Message::Unknown(0x77), "770000");
    }

    #[test]
    fn an_announcement_of_a_later_version_is_kept_whole() {
        let body = |middle: &[u8]| [&[0, 3, 0x69, 0x20, 0, 0, 0, 0, 0, 7], middle, &[0x5A; 64]].concat();
        for (kind, middle) in [(0x80, &b""[..]), (0xFF, b"later")] {
            let body = body(middle);
            let id = NodeId::new(3).expect("a valid id");
            let (epoch, seq, signature) = (0x6920_0000, 7, [0x5A; 64]);
            let foreign = Foreign { kind, id, epoch, seq, body: &body, signature };
            assert_eq!(foreign.signed(), &body[..10 + middle.len()]);
            let hex: String = middle.iter().map(|byte| format!("{byte:02x}")).collect();
            let length = 74 + middle.len();
            let expected = format!("{kind:02x}{length:04x} 0003 69200000 00000007 {hex} {}", "5a".repeat(64));
            check(&Message::Foreign(foreign), &expected);
        }
        for body in [&body(b"")[..73], &[0; 74]] {
            let bytes = [&[0x80, 0, body.len() as u8], body].concat();
            assert_eq!(next(&bytes), Ok(Next::Message(Message::Unknown(0x80), bytes.len())), "skipped");
        }
    }

    #[test]
    fn a_crl_is_as_long_as_its_length_allows() {
        let der = vec![0x30; 0xFFFF];
        let bytes = emitted(&Message::Crl(&der));
        assert_eq!(bytes[..HEADER], [15, 0xFF, 0xFF]);
        assert_eq!(next(&bytes), Ok(Next::Message(Message::Crl(&der), HEADER + 0xFFFF)));
        assert_eq!(next(&bytes[..bytes.len() - 1]), Ok(Next::Incomplete));
    }

    #[test]
    fn bytes_behind_a_hello_belong_to_later_versions() {
        let mut bytes = emitted(&Message::Hello(hello()));
        bytes.extend([1, 2, 3]);
        bytes[2] += 3;
        assert_eq!(next(&bytes), Ok(Next::Message(Message::Hello(hello()), bytes.len())));
    }

    #[test]
    fn malformed_messages_are_errors_and_unknown_types_are_not() {
        let cases: &[(&[u8], Result<Next, Error>)] = &[
            (&[1, 0, 0], Err(Error)),
            (&[1, 0, 1, 9], Err(Error)),
            (&[99, 0, 0], Ok(Next::Message(Message::Unknown(99), 3))),
            (&[99, 0xFF, 0xFF], Ok(Next::Skip(HEADER + 0xFFFF))),
            (&[1, 0xFF, 0xFF], Err(Error)),
            (&[15, 0xFF, 0xFF], Ok(Next::Incomplete)),
            (&[0x80, 0xFF, 0xFF], Ok(Next::Skip(HEADER + 0xFFFF))),
            (&[7, 0, 7, 1, 2, 3, 4, 5, 6, 7], Err(Error)),
            (&[14, 0, 1, 1], Err(Error)),
            (&[2, 0, 0], Ok(Next::Message(Message::Unknown(2), 3))),
            (&[13, 0, 0], Ok(Next::Message(Message::Unknown(13), 3))),
        ];
        for (bytes, expected) in cases {
            assert_eq!(next(bytes), *expected, "{bytes:02x?}");
        }
    }
}
