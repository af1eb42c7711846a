//! The switch: where a frame goes. Never: sockets, QUIC, the clock.

pub mod flood;
mod fragments;
pub mod graph;
pub mod owners;
mod queue;
pub mod repair;
pub mod signature;
pub mod spf;
mod summary;
pub mod switch;
pub mod topology;
pub mod trees;
