//! What is kept of one node, and the table of all. Judges nothing. Read first: docs/protocol.md, "Members".

use heapless::Vec;

use crate::limits::{MEMBER_BYTES, MEMBER_BYTES_MORE, NODES};
use crate::mesh::signature::Form;
use crate::pki::certificate::Serial;
use crate::pki::chain::{self, Hash};
use crate::pki::clock::Now;
use crate::pki::verify::{Member, Trust};
use crate::types::NodeId;
use crate::wire::announce::Node;
use crate::wire::control::{self, Message, Next};

pub struct Record {
    pub member: Member,
    pub chain: Box<[u8]>,
    /// Of the chain.
    pub hash: Hash,
    /// The number of the CRL in the NODE.
    pub crl: u32,
    /// To be judged anew, when it is its turn.
    pub is_due: bool,
    /// Who else has this id, as far as it was said.
    pub rival: Option<String>,
    /// Of all certificates of the chain.
    serials: Box<[Serial]>,
    /// The NODE with the hash, a whole message, so that it is handed on byte for byte. Empty: none yet.
    node: Box<[u8]>,
}

impl Record {
    /// Of a node whose NODE is not there yet.
    pub fn new(member: Member, chain: &[u8]) -> Self {
        Self {
            member,
            chain: chain.into(),
            hash: chain::hash(chain),
            crl: 0,
            is_due: false,
            rival: None,
            serials: chain::serials(chain).into(),
            node: Box::default(),
        }
    }

    pub fn id(&self) -> NodeId {
        self.member.id
    }

    /// Its certificate was judged anew.
    pub fn renew(&mut self, member: Member) {
        self.member = member;
        self.is_due = false;
    }

    /// Keeps a NODE that names this chain, in whichever form.
    pub fn take(&mut self, node: &Node<'_>) {
        let mut message = std::vec::Vec::new();
        Message::Node(Node { certificate: &self.hash, ..node.clone() }).emit(&mut message);
        self.node = message.into();
        self.crl = node.crl;
    }

    /// Appends the NODE. False: there is none.
    pub fn emit(&self, form: Form, out: &mut std::vec::Vec<u8>) -> bool {
        let Ok(Next::Message(Message::Node(node), _)) = control::next(&self.node) else { return false };
        match form {
            Form::Hash => out.extend(&self.node),
            Form::Whole => Message::Node(Node { certificate: &self.chain, ..node }).emit(out),
        }
        true
    }

    pub fn bytes(&self) -> usize {
        self.chain.len() + self.node.len()
    }

    pub fn is_over(&self, now: Now) -> bool {
        now.unix_s > self.member.valid_until
    }

    /// Whether a list has the number of one of its certificates.
    pub fn may_be_revoked(&self, trust: &Trust) -> bool {
        self.serials.iter().any(|serial| trust.may_revoke(*serial))
    }
}

/// In the order of ids.
pub struct Table(Vec<Box<Record>, NODES>);

impl Table {
    /// The node itself comes first: there is always room for one.
    pub fn new(me: Record) -> Self {
        let mut table = Self(Vec::new());
        table.put(me);
        table
    }

    pub fn find(&self, id: NodeId) -> Option<&Record> {
        let place = self.place(id).ok()?;
        self.0.get(place).map(Box::as_ref)
    }

    pub fn find_mut(&mut self, id: NodeId) -> Option<&mut Record> {
        let place = self.place(id).ok()?;
        self.0.get_mut(place).map(Box::as_mut)
    }

    /// In the place of an older one of the same node. Who asks has looked for room.
    pub fn put(&mut self, record: Record) {
        match self.place(record.id()) {
            Ok(place) => {
                if let Some(own) = self.0.get_mut(place) {
                    **own = record;
                }
            }
            Err(place) => drop(self.0.insert(place, Box::new(record))),
        }
    }

    pub fn remove(&mut self, id: NodeId) {
        if let Ok(place) = self.place(id) {
            self.0.remove(place);
        }
    }

    /// All are to be judged anew.
    pub fn mark(&mut self) {
        self.iter_mut().for_each(|record| record.is_due = true);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.0.iter().map(Box::as_ref)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.0.iter_mut().map(Box::as_mut)
    }

    /// Whether the record of this node may have so many bytes. Each node has its own; beyond them whoever comes first.
    pub fn has_room(&self, id: NodeId, bytes: usize) -> bool {
        let others = self.iter().filter(|record| record.id() != id);
        let more = |bytes: usize| bytes.saturating_sub(MEMBER_BYTES);
        let taken: usize = others.map(|record| more(record.bytes())).sum();
        let is_known = self.place(id).is_ok();
        (is_known || !self.0.is_full()) && taken + more(bytes) <= MEMBER_BYTES_MORE
    }

    fn place(&self, id: NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |record| record.id())
    }
}
