//! QUICAP: many routers, one LAN, over QUIC.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod link;
pub mod mesh;
pub mod node;
pub mod pki;
pub mod sys;
pub mod types;
pub mod wire;
