//! Certificates, end to end: openssl's and ours, through real TLS handshakes and through the commands.
//!
//! Needs the `openssl` program. Nothing here touches the network: QUIC endpoints exchange datagrams in memory.

#![allow(clippy::disallowed_methods, reason = "tests make files and read the clock")]

mod commands;
mod crash;
mod handshake;
mod matrix;
mod openssl;
mod scratch;
