//! QUICAP: many routers, one LAN, over QUIC.
//!
//! A node bridges a TAP device into the LAN of its site and carries Ethernet frames to the other sites in QUIC
//! DATAGRAMs, between peers that show each other certificates of one CA.
//!
//! # Layers
//!
//! The rooms, from the bottom. Each may use those above it in this list, with exceptions that `tests/layers.rs` names.
//!
//! * [`types`], [`limits`]: names and numbers.
//! * [`wire`]: bytes of our own formats.
//! * [`mesh`]: where a frame goes. [`link`]: QUIC connections to peers. [`pki`]: certificates.
//! * [`node`]: one whole node. So far nothing touches the operating system: all are told the time and given bytes.
//! * [`config`]: the UCI file, as text.
//! * [`sys`]: TAP, sockets, timer, signals; the only unsafe code.
//! * [`daemon`], [`cli`]: the programs.
//!
//! # The path of a frame
//!
//! ```text
//! out  sys/tun --> node --> mesh/switch (verdict) --> link (DATAGRAM) --> sys/udp
//! in   sys/udp --> node --> link (QUIC: decrypt)  --> mesh/switch     --> sys/tun
//! ```
//!
//! One buffer for each frame: the TAP is read into it behind room for a header, flooding clones a reference to it.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod limits;
pub mod link;
pub mod mesh;
pub mod node;
pub mod pki;
pub mod sys;
pub mod types;
pub mod wire;
