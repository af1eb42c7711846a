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
#[cfg(test)]
mod malice;
pub mod neighbors;
pub mod owners;
mod queue;
mod rates;
pub mod repair;
mod rights;
pub mod signature;
pub mod spf;
mod standing;
#[cfg(test)]
mod storm;
mod summary;
pub mod switch;
mod sync;
pub mod topology;
pub mod trees;
mod unknown;
#[cfg(test)]
mod unrest;
pub mod view;

#[cfg(test)]
mod world;
