//! The switch: where a frame goes. Never: sockets, QUIC, the clock.

pub mod flood;
pub mod graph;
pub mod owners;
mod queue;
pub mod repair;
pub mod spf;
pub mod switch;
pub mod trees;
