//! Opens the connections that the dialers ask for, and ends those that lost a race.
//! When and where to dial is decided in `dial.rs`. Read first: docs/protocol.md, "Dialing".

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::crypto::rustls::QuicClientConfig;

use super::connection::{Connection, Role, Stage};
use super::peer::{self, Link, Slot, State};
use super::{Config, Credentials, Event, Links, Purpose, Query, dial};
use crate::limits;
use crate::pki::tls;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// The answer to an [`Event::Resolve`].
    pub fn handle_resolved(&mut self, now: Instant, query: &Query, answer: &Result<Vec<IpAddr>, String>) {
        if let Some(Some(link)) = self.links.get_mut(usize::from(query.link.0))
            && query.generation == link.generation
        {
            let addresses = answer.as_deref().unwrap_or_default();
            if let Err(reason) = answer
                && !link.is_up()
            {
                link.reason = format!("{reason}: {}", query.host);
            }
            link.dialer.handle_resolved(now, query.race, query.endpoint, addresses);
            self.poll_dialers(now);
        }
    }

    pub(super) fn poll_dialers(&mut self, now: Instant) {
        for place in 0..self.links.len() {
            while let Some(Some(link)) = self.links.get_mut(place) {
                let Some(action) = link.dialer.poll(now) else { break };
                let id = link.id;
                match action {
                    dial::Action::Resolve { race, endpoint, host, port } => {
                        let generation = link.generation;
                        let query = Query { host, port, link: id, generation, race, endpoint };
                        self.events.push_back(Event::Resolve(query));
                    }
                    dial::Action::Dial { endpoint, address } => self.dial(now, id, endpoint, address),
                    dial::Action::Failed => {
                        let line = format!("link {}: {}", link.title(), link.reason);
                        self.events.push_back(Event::Detail(line));
                    }
                }
                self.show_dialing(place);
            }
            self.show_dialing(place);
        }
    }

    pub(super) fn show_dialing(&mut self, place: usize) {
        if let Some(Some(link)) = self.links.get_mut(place)
            && !link.is_up()
        {
            link.state = if link.dialer.is_dialing() { State::Connecting } else { State::Down };
        }
    }

    pub(super) fn dial(&mut self, now: Instant, id: LinkId, endpoint: usize, address: SocketAddr) {
        if let Err(reason) = self.try_dial(now, id, endpoint, address)
            && let Some(link) = self.link_mut(id)
        {
            link.reason = reason;
            link.dialer.handle_failed();
        }
    }

    pub(super) fn try_dial(
        &mut self,
        now: Instant,
        id: LinkId,
        endpoint: usize,
        address: SocketAddr,
    ) -> Result<(), String> {
        let socket = self
            .config
            .sockets
            .iter()
            .find(|socket| socket.purpose == Purpose::Dial && socket.ipv6 == address.is_ipv6())
            .map(|socket| socket.id)
            .ok_or_else(|| format!("{address}: no socket of this address family"))?;
        if self.table.is_full() {
            return Err(format!("all {} connections are taken", limits::CONNECTIONS));
        }
        let link = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut).ok_or("no such link")?;
        let name = link.config.as_ref().and_then(|config| server_name(config, endpoint));
        let crypto = client_crypto(&self.config, link, name.is_some())?;
        let config = self.transports.client(address, crypto);
        let name = name.unwrap_or_else(|| address.ip().to_string());
        let (handle, quinn) = self
            .dialer
            .connect(now, config, address, &name)
            .map_err(|error| format!("{address}: {error}"))?;
        let mut connection = Connection::new(quinn, handle, Role::Client, socket, now);
        connection.link = Some(id);
        self.table.insert(connection);
        Ok(())
    }

    /// The other attempts of a race are over.
    pub(super) fn end_race(&mut self, now: Instant, link: LinkId, winner: Slot) {
        let losers: Vec<Slot> = self
            .table
            .iter()
            .filter(|(slot, connection)| {
                *slot != winner
                    && connection.link == Some(link)
                    && connection.role == Role::Client
                    && matches!(connection.stage, Stage::Handshaking | Stage::Greeting)
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in losers {
            self.retire(now, slot, CloseCode::Replaced, "another address answered first");
        }
    }
}

/// The TLS settings for dialing this peer, made once.
fn client_crypto(config: &Config, link: &mut Link, sni: bool) -> Result<Arc<QuicClientConfig>, String> {
    let Some(place) = link.crypto.get_mut(usize::from(sni)) else { return Err("no TLS settings".to_owned()) };
    if let Some(crypto) = place {
        return Ok(crypto.clone());
    }
    let Credentials { identity, trust, .. } = &config.credentials;
    let expected = link.config.as_ref().and_then(|config| config.name.clone());
    let crypto =
        tls::client_config(identity, trust.clone(), config.clock.clone(), config.suites, expected, sni)
            .map_err(|fault| fault.to_string())?;
    Ok(place.insert(crypto).clone())
}

/// The name to send in TLS, if any.
fn server_name(config: &peer::Config, endpoint: usize) -> Option<String> {
    let host = match config.endpoints.get(endpoint).map(|endpoint| &endpoint.host) {
        Some(peer::Host::Name(host)) => Some(host.clone()),
        _ => None,
    };
    config.sni.clone().or(host)
}
