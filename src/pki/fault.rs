//! What can be wrong with our own files: the operator of this node or of the CA can mend it.
//!
//! Says nothing about which file: the caller knows and puts its name in front. What is wrong with a peer's
//! certificate is a [`Refusal`](super::verify::Refusal).

use core::fmt;

use crate::limits::CHAIN_CERTIFICATES;

/// A fault in a certificate, key, CRL, request or bundle of our own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The PEM file has no block of the wanted kind. Holds that kind: `CERTIFICATE`.
    Missing(&'static str),
    /// A PEM block is damaged (base64, end line).
    Pem,
    /// The n-th block (from 1) of this kind is not the DER it should be.
    Malformed(&'static str, usize),
    /// The n-th anchor may not sign certificates; holds what it lacks.
    NotACa(usize, &'static str),
    /// The private key is encrypted: a daemon has nobody to ask for the passphrase.
    KeyEncrypted,
    /// The private key is of a kind or curve that is not supported.
    KeyUnsupported,
    /// Certificate and private key do not belong together.
    KeyMismatch,
    /// The n-th CRL names an anchor as its issuer, but the anchor's key did not sign it.
    CrlSignature(usize),
    /// The n-th CRL's issuer is in `ca.crt` but may not sign CRLs (no cRLSign).
    CrlNotAllowed(usize),
    /// A list that was told by another node names a CA that is not in `ca.crt`.
    CrlStranger,
    /// A list that was told by another node has more than this many bytes.
    CrlTooLong(usize),
    /// The node's certificate and its intermediates are more than others keep: holds how many bytes that is.
    ChainTooLong(usize),
    /// A bundle that does not begin with a node's certificate.
    BundleOrder,
    /// A bundle without the CA's certificate.
    BundleCa,
    /// The request's own signature is wrong: it was damaged, or made without the key.
    RequestSignature,
    /// The request carries no name, or one that is no node name.
    RequestName(String),
    /// The subject of the CA cannot be repeated exactly as issuer.
    Subject,
    /// The TLS or certificate library refused, for a reason that should not occur.
    Library(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(kind) => write!(f, "holds no '-----BEGIN {kind}-----' block; expected PEM"),
            Self::Pem => f.write_str("damaged PEM block; copy the file again"),
            Self::Malformed(kind, n) => write!(f, "{kind} {n} cannot be read: not valid DER"),
            Self::NotACa(n, lacks) => {
                write!(f, "certificate {n} cannot be a trust anchor: it lacks {lacks}; put the CA's certificate here")
            }
            Self::KeyEncrypted => {
                f.write_str("the key is encrypted; expected one without a passphrase (openssl pkcs8 -topk8 -nocrypt)")
            }
            Self::KeyUnsupported => f.write_str("unsupported key; expected ECDSA P-256 or Ed25519 as PKCS#8"),
            Self::KeyMismatch => f.write_str("the key does not belong to the certificate"),
            Self::CrlSignature(n) => write!(f, "CRL {n} was not signed by the CA it names"),
            Self::CrlNotAllowed(n) => write!(f, "CRL {n} was signed by a CA without cRLSign"),
            Self::CrlStranger => f.write_str("the CRL is of a CA that is not in ca.crt"),
            Self::CrlTooLong(most) => write!(f, "the CRL is longer than {most} bytes"),
            Self::ChainTooLong(most) => write!(
                f,
                "more than {CHAIN_CERTIFICATES} certificates or {most} bytes of them; expected the node's and its intermediates"
            ),
            Self::BundleOrder => f.write_str("begins with a CA's certificate; expected the node's first"),
            Self::BundleCa => f.write_str("holds no certificate of the CA; expected it behind the node's"),
            Self::RequestSignature => f.write_str("the request's signature is wrong; make the request again"),
            Self::RequestName(name) => write!(
                f,
                "the request is for '{name}'; expected a name of 1 to 63 of a-z, 0-9 and '-', beginning with a letter"
            ),
            Self::Subject => f.write_str(
                "the CA's subject repeats an attribute and cannot be copied exactly; make a CA with a simple subject",
            ),
            Self::Library(reason) => f.write_str(reason),
        }
    }
}

impl core::error::Error for Fault {}
