//! `/etc/config/quicap`: text to sections (`uci`), sections to `Config` (`schema`). Never: files, sockets, the clock.

mod line;
mod show;
pub mod uci;
