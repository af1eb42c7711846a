//! Certificates: who is a member of the network, with which rights, and the TLS settings that hold every
//! connection to it.
//!
//! Never: sockets, files, the clock (the caller hands over bytes and the time). Read first: docs/certificates.md,
//! RFC 5280 (certificates and CRLs), RFC 2986 (requests), RFC 9001 (TLS in QUIC).

pub mod bundle;
pub mod ca;
pub mod certificate;
pub mod chain;
pub mod clock;
pub mod crl;
pub mod csr;
pub mod date;
pub mod fault;
pub mod identity;
pub mod index;
pub mod refusal;
pub mod revocation;
pub mod rights;
pub mod signature;
pub mod text;
pub mod timekeeper;
pub mod tls;
pub mod verify;

pub use certificate::Serial;
pub use clock::WallClock;
pub use fault::Fault;
pub use identity::Identity;
pub use refusal::Refusal;
pub use rights::Rights;
pub use verify::{Member, Trust};
