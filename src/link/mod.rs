//! Links: QUIC connections to one peer, which of them carries, and whether the peer is alive.
//! Never: sockets, files, the mesh. Read first: RFC 9000, RFC 9221, docs/protocol.md.

pub mod peer;
