//! The network under us changes: addresses come and go, routes lead elsewhere.
//! Watches nothing itself: the daemon tells. Read first: RFC 9000, 9; docs/protocol.md, "Moving".

use std::net::SocketAddr;
use std::time::Instant;

use super::{Links, Transmit};
use crate::limits;

impl Links {
    /// Our addresses or routes have changed: who is up is asked, who waits is dialed now.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.hurry(now);
        self.settle(now);
    }

    /// The kernel refused to send this, and would refuse it again: there is no route, or the address is gone.
    pub fn handle_unsent(&mut self, _now: Instant, transmit: &Transmit, reason: &str) {
        log::debug!("to {}: {reason}", transmit.destination);
    }

    /// Addresses of all connections, and of those that are being opened.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.connections().map(super::connection::Connection::remote)
    }

    /// The way to this address leads into our own tunnel now.
    pub fn handle_inside(&mut self, now: Instant, remote: SocketAddr, reason: &str) {
        for slot in 0..limits::CONNECTIONS {
            if self.table.find(slot).is_some_and(|own| own.remote() == remote) {
                self.give_up(now, slot, crate::wire::control::CloseCode::Bye, reason);
            }
        }
    }
}
