//! A CA and nodes for the tests of this room.

use std::sync::Arc;

use super::Members;
use crate::link::Credentials;
use crate::mesh::signature::{Form, Registry};
use crate::pki::ca::{Authority, Validity, create};
use crate::pki::clock::WallClock;
use crate::pki::csr::{Request, generate_key, make_request};
use crate::pki::rights::{Grant, Rights};
use crate::pki::signature;
use crate::pki::{Identity, Serial, Trust, text};
use crate::types::NodeId;
use crate::wire::announce::Node;
use crate::wire::control::{self, Message, Next};

pub const NOW: u32 = 1_800_000_000;
pub const DAY: u32 = 86_400;

pub struct Ca {
    authority: Authority,
    pem: String,
}

/// What is to be signed.
#[derive(Clone)]
pub struct Terms {
    pub name: &'static str,
    pub id: u16,
    pub serial: u32,
    pub network: &'static str,
    /// When it begins, and for how many days it lasts.
    pub from: u32,
    pub days: u32,
    pub rights: Rights,
}

/// The node "a", with id 1 and serial number 1.
pub fn terms(name: &'static str, id: u16) -> Terms {
    let rights = Rights::default();
    Terms { name, id, serial: id.into(), network: "home", from: NOW, days: 10, rights }
}

pub fn id(n: u16) -> NodeId {
    NodeId::new(n).unwrap()
}

impl Ca {
    pub fn new() -> Self {
        let key = generate_key().unwrap();
        let pem = create("home", key.as_bytes(), Validity::days(NOW - 100 * DAY, 7300)).unwrap();
        Self { authority: Authority::from_pem(key.as_bytes(), pem.as_bytes()).unwrap(), pem }
    }

    pub fn trust(&self, network: &str) -> Trust {
        Trust::from_pem(network, self.pem.as_bytes(), None).unwrap()
    }

    /// Believes both.
    pub fn trust_with(&self, other: &Self) -> Trust {
        Trust::from_pem("home", [&*self.pem, &*other.pem].concat().as_bytes(), None).unwrap()
    }

    pub fn credentials(&self, terms: &Terms) -> Credentials {
        self.credentials_of(terms, &generate_key().unwrap())
    }

    /// With this key.
    pub fn credentials_of(&self, terms: &Terms, key: &str) -> Credentials {
        let request = make_request(terms.name, key.as_bytes()).unwrap();
        let grant = Grant { network: terms.network.into(), id: id(terms.id), rights: terms.rights.clone() };
        let serial = Serial::from_be_bytes(&terms.serial.to_be_bytes()).unwrap();
        let request = Request::from_pem(request.as_bytes()).unwrap();
        let der =
            self.authority.issue(&request, &grant, serial, Validity::days(terms.from, terms.days)).unwrap();
        let pem = text::pem(text::CERTIFICATE, &der);
        let identity = Identity::from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
        let trust = Arc::new(self.trust(terms.network));
        let me = trust.judge(identity.chain(), terms.from, true).unwrap();
        Credentials { identity: Arc::new(identity), trust, me }
    }

    /// A list with these serial numbers, DER.
    pub fn revoke(&self, number: u64, serials: &[u32]) -> Vec<u8> {
        let serial = |n: &u32| (Serial::from_be_bytes(&n.to_be_bytes()).unwrap(), NOW);
        self.authority.revoke(number, &serials.iter().map(serial).collect::<Vec<_>>(), NOW).unwrap().der
    }
}

/// What a node with these knows, at first of itself only; it has announced itself.
pub fn members(credentials: Credentials) -> Members {
    let mut members = Members::new(credentials, WallClock::new(NOW, true));
    members.announce(1, 1);
    members
}

/// The NODE that it keeps of this node, a whole message.
pub fn told(members: &Members, of: u16, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(members.emit(id(of), form, &mut out), "nothing is known of node {of}");
    out
}

/// What stands in the message.
pub fn read(message: &[u8]) -> Node<'_> {
    match control::next(message) {
        Ok(Next::Message(Message::Node(node), length)) if length == message.len() => node,
        other => panic!("no NODE: {other:?}"),
    }
}

/// The same with the signature of this node for that network.
pub fn signed<'a>(node: Node<'a>, by: &Credentials, network: &str) -> Node<'a> {
    let hash = crate::pki::chain::hash(node.certificate);
    let mut body = Vec::new();
    node.write_signed(&hash, &mut body);
    let signature = by.identity.sign(&signature::message(network, Node::KIND, &body)).unwrap();
    Node { signature, ..node }
}
