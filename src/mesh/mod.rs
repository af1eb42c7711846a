//! The switch: where a frame goes. Never: sockets, QUIC, the clock.

pub mod owners;
pub mod switch;
