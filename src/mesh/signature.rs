//! What the mesh asks of certificates: traits that node fills. Read first: docs/protocol.md, "NODE".

use super::graph::Transit;
use crate::types::NodeId;
use crate::wire::announce::{Node, Signature};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    Good,
    Forged,
    /// The key of that node is not known yet.
    Stranger,
}

/// What became of a NODE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// It is kept from now on, in the place of an older one.
    Good(Transit),
    /// The signature is not that of the certificate's key, or the certificate is no good or is another node's.
    Forged,
    /// It has only the hash of a certificate that is not known: the whole one is to be asked for.
    Stranger,
    /// No room: what was known stays.
    Full,
}

/// How a NODE names the certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Whole,
    Hash,
}

/// Checks what others signed.
pub trait Verify {
    /// `kind` is the type of the message, `body` its body without the signature.
    fn verify(&self, signer: NodeId, kind: u8, body: &[u8], signature: &Signature) -> Signed;
}

/// Signs what this node announces.
pub trait Sign {
    fn sign(&self, kind: u8, body: &[u8]) -> Signature;
}

/// Keeps who each node is: its NODE, its certificate and its key.
pub trait Registry: Verify + Sign {
    /// Judges a NODE that is newer than what is kept.
    fn accept(&mut self, node: &Node<'_>) -> Accepted;

    /// Makes and keeps the NODE of this node itself, with that epoch and number.
    fn announce(&mut self, epoch: u32, seq: u32);

    /// Appends the NODE that is kept of a node as a whole message. False: none is kept.
    fn emit(&self, id: NodeId, form: Form, out: &mut Vec<u8>) -> bool;

    /// The node is gone from the database.
    fn forget(&mut self, id: NodeId);
}
