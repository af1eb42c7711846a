//! One whole node, QUIC and TLS included, without any I/O.

pub mod carrier;
