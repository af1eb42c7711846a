//! The switch: where a frame goes. Never: sockets, QUIC, the clock.

mod announcer;
mod asked;
mod cost;
pub mod fabric;
pub mod flood;
pub mod forward;
mod fragments;
pub mod graph;
mod held;
pub mod neighbors;
pub mod owners;
mod queue;
pub mod repair;
pub mod signature;
pub mod spf;
mod summary;
pub mod switch;
mod sync;
pub mod topology;
pub mod trees;

#[cfg(test)]
mod world;
