//! daemon

pub mod material;
