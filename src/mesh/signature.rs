//! What the mesh asks of certificates: the two traits that node fills. Read first: docs/protocol.md, "NODE".

use crate::types::NodeId;
use crate::wire::announce::Signature;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    Good,
    Forged,
    /// The key of that node is not known yet.
    Stranger,
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
