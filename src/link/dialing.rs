//! Opens the connections that the dialers ask for, and ends those that lost a race.
//! When and where to dial is decided in `dial.rs`. Read first: docs/protocol.md, "Dialing".

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::crypto::rustls::QuicClientConfig;

use super::connection::{Attempt, Connection, Role, Stage};
use super::peer::{self, Link, Slot, State};
use super::race::Purpose;
use super::select::is_clearly_faster;
use super::{Config, Credentials, Event, Links, Query, dial};
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
            link.dialer.handle_resolved(now, query.race, query.endpoint, addresses, query.port);
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
                        let host = match host {
                            peer::Host::Address(address) => address.to_string(),
                            peer::Host::Name(name) => name,
                        };
                        let generation = link.generation;
                        let query = Query { host, port, link: id, generation, race, endpoint };
                        self.events.push_back(Event::Resolve(query));
                    }
                    dial::Action::Dial { race, endpoint, address } => {
                        self.dial(now, id, Attempt { race, endpoint }, address);
                    }
                    dial::Action::Decide(purpose) => self.decide(now, id, purpose),
                    dial::Action::Failed => {
                        let line = format!("link {}: {}", link.title(), link.reason);
                        // Once: that it goes on, the state of the link shows.
                        let is_news =
                            link.dialer.has_failed_once() && !link.is_up() && !link.reason.is_empty();
                        self.events.push_back(if is_news { Event::Note(line) } else { Event::Detail(line) });
                    }
                }
                self.show_dialing(place);
            }
            self.show_dialing(place);
        }
    }

    fn show_dialing(&mut self, place: usize) {
        if let Some(Some(link)) = self.links.get_mut(place)
            && !link.is_up()
        {
            link.state = if link.dialer.is_dialing() { State::Connecting } else { State::Down };
        }
    }

    fn dial(&mut self, now: Instant, id: LinkId, attempt: Attempt, address: SocketAddr) {
        if let Err(reason) = self.try_dial(now, id, attempt, address)
            && let Some(link) = self.link_mut(id)
        {
            link.reason = reason;
            link.dialer.handle_failed(attempt.race);
        }
    }

    fn try_dial(
        &mut self,
        now: Instant,
        id: LinkId,
        attempt: Attempt,
        address: SocketAddr,
    ) -> Result<(), String> {
        let socket = self
            .config
            .sockets
            .iter()
            .find(|socket| socket.purpose == super::Purpose::Dial && socket.ipv6 == address.is_ipv6())
            .map(|socket| socket.id)
            .ok_or_else(|| format!("{address}: no socket of this address family"))?;
        if self.table.is_full() {
            return Err(format!("all {} connections are taken", limits::CONNECTIONS));
        }
        let link = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut).ok_or("no such link")?;
        let name = link.config.as_ref().and_then(|config| server_name(config, attempt.endpoint));
        let crypto = client_crypto(&self.config, link, name.is_some())?;
        let config = self.transports.client(address, crypto);
        let name = name.unwrap_or_else(|| address.ip().to_string());
        let (handle, quinn) = self
            .dialer
            .connect(now, config, address, &name)
            .map_err(|error| format!("{address}: {error}"))?;
        let mut connection = Connection::new(quinn, handle, Role::Client, socket, now);
        connection.link = Some(id);
        connection.attempt = Some(attempt);
        self.table.insert(connection);
        Ok(())
    }

    /// A race is over: the connection with the least round trip carries from now on, the others close.
    fn decide(&mut self, now: Instant, id: LinkId, purpose: Purpose) {
        let own = self.link(id).and_then(|link| self.table.find(link.with_role(Role::Client)?));
        let Some(present) = own.and_then(Connection::least_rtt) else { return };
        let best = self.fastest_measured(id);
        let faster = best.filter(|(_, rtt)| match purpose {
            Purpose::Reach => *rtt + limits::FASTER_AT_FIRST < present,
            Purpose::Compare => is_clearly_faster(*rtt, present),
            Purpose::Renew => true,
        });
        let address = faster.and_then(|(slot, _)| self.table.find(slot)).map(Connection::remote);
        let moves = match (purpose, self.link_mut(id)) {
            (Purpose::Compare, Some(link)) => link.dialer.judge(now, address),
            _ => true,
        };
        let winner = faster.map(|(slot, _)| slot).filter(|_| moves);
        self.end_race(now, id, winner);
        if let Some(slot) = winner {
            self.greet_measured(now, slot, id);
        }
    }

    /// The connection that carried, or was to, is gone: the best of those that answered takes its place.
    pub(super) fn promote(&mut self, now: Instant, id: LinkId) {
        if !self.has_own(id)
            && let Some((slot, _)) = self.fastest_measured(id)
        {
            self.greet_measured(now, slot, id);
        }
    }

    fn greet_measured(&mut self, now: Instant, slot: Slot, id: LinkId) {
        if let Some(member) = self.table.find(slot).and_then(|own| own.member.clone()) {
            self.greet(now, slot, id, member);
        }
    }

    fn fastest_measured(&self, id: LinkId) -> Option<(Slot, Duration)> {
        let measured =
            self.table.iter().filter(|(_, own)| own.link == Some(id) && own.stage == Stage::Measuring);
        measured.map(|(slot, own)| (slot, own.least_rtt().unwrap_or(own.rtt()))).min_by_key(|(_, rtt)| *rtt)
    }

    /// Ends all other attempts.
    fn end_race(&mut self, now: Instant, id: LinkId, winner: Option<Slot>) {
        for slot in 0..limits::CONNECTIONS {
            let loses = |own: &Connection| {
                own.link == Some(id)
                    && own.role == Role::Client
                    && matches!(own.stage, Stage::Handshaking | Stage::Measuring)
            };
            if Some(slot) != winner && self.table.find(slot).is_some_and(loses) {
                self.retire(now, slot, CloseCode::Replaced, "another address is faster");
            }
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
