//! `/etc/config/quicap`: text to sections (`uci`), sections to `Config` (`schema`). Never: files, sockets, the clock.

mod fault;
mod line;
mod network;
mod peer;
mod reader;
pub mod schema;
mod show;
mod suggest;
pub mod uci;
mod value;

pub use fault::{Error, Fault, Warning};
pub use peer::{MAX_ENDPOINTS, MAX_PEERS};
pub use schema::{Config, Mtu, Network, Reading, parse, read};
