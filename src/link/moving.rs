//! The network under us changes: addresses come and go, routes lead elsewhere.
//! Watches nothing itself: the daemon tells. Read first: RFC 9000, 9; docs/protocol.md, "Moving".

use std::net::SocketAddr;
use std::time::Instant;

use super::connection::{Connection, Role, Stage};
use super::peer::Slot;
use super::{Links, Transmit};
use crate::limits;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// Our addresses or routes have changed: who is up is asked, who waits is dialed now.
    pub fn handle_network_change(&mut self, now: Instant) {
        for slot in 0..limits::CONNECTIONS {
            if let Some(connection) = self.table.find_mut(slot).filter(|own| own.role == Role::Client) {
                connection.migrate();
            }
        }
        self.hurry(now);
        self.settle(now);
    }

    /// The kernel refused to send this, and would refuse it again: there is no route, or the address is gone.
    pub fn handle_unsent(&mut self, now: Instant, transmit: &Transmit, reason: &str) {
        let is_it = |own: &Connection| own.socket == transmit.socket && own.remote() == transmit.destination;
        for slot in 0..limits::CONNECTIONS {
            let Some(connection) = self.table.find_mut(slot).filter(|own| is_it(own)) else { continue };
            match connection.stage {
                Stage::Up => connection.doubt(now),
                Stage::Handshaking if connection.role == Role::Client => {
                    let reason = format!("no way to {}: {reason}", transmit.destination);
                    connection.close(now, CloseCode::Replaced, "");
                    self.handle_lost(now, slot, reason, None);
                }
                _ => {}
            }
        }
    }

    /// The peer's packets come from another address now: what we dialed may lead nowhere. It is asked at once, and the
    /// other connection takes over if there is no answer.
    pub(super) fn handle_peer_moved(&mut self, now: Instant, moved: Slot, id: LinkId) {
        let Some(link) = self.link(id) else { return };
        if let Some(remote) = self.table.find(moved).map(Connection::remote) {
            self.note(format!("link {}: the peer is at {remote} now", link.title()));
        }
        self.probe_others(now, moved, id);
    }

    /// Asks the connections of a link but this one whether they answer, so that it is known when they are needed.
    pub(super) fn probe_others(&mut self, now: Instant, but: Slot, id: LinkId) {
        let Some(link) = self.links.get(usize::from(id.0)).and_then(Option::as_ref) else { return };
        for slot in link.connections.iter().map(|(slot, _)| *slot).filter(|slot| *slot != but) {
            self.table.find_mut(slot).into_iter().for_each(|own| own.probe(now));
            self.table.touch(slot);
        }
    }

    /// Addresses of all connections, and of those that are being opened.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.connections().map(Connection::remote)
    }

    /// The way to this address leads into our own tunnel now.
    pub fn handle_inside(&mut self, now: Instant, remote: SocketAddr, reason: &str) {
        for slot in 0..limits::CONNECTIONS {
            let leads_there = |own: &Connection| own.stage != Stage::Closed && own.remote() == remote;
            if self.table.find(slot).is_some_and(leads_there) {
                self.give_up(now, slot, CloseCode::Bye, reason);
            }
        }
    }
}
