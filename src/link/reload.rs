//! A changed configuration: only what changed is touched. Reads no files: it is given what was read.
//! Read first: docs/configuration.md, "Reloading".

use std::sync::Arc;
use std::time::Instant;

use super::connection::Role;
use super::peer::{self, Link, Slot};
use super::{Config, Credentials, Links, Purpose, server_crypto};
use crate::limits;
use crate::pki::fault::Fault;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// Takes new certificates, CRLs and peers. Fails, and changes nothing, when the certificate and key are of no
    /// use to TLS. Links to peers whose entry did not change go on, unless their certificate is now refused.
    pub fn reload(
        &mut self,
        now: Instant,
        credentials: Credentials,
        peers: Vec<peer::Config>,
    ) -> Result<(), Fault> {
        self.take_credentials(now, credentials)?;
        self.config.peers = peers;
        self.apply_peers(now);
        self.judge_again(now);
        self.hurry(now);
        self.settle(now);
        Ok(())
    }

    /// `option fast_detect`: takes effect on live connections as well.
    pub fn set_fast_detect(&mut self, fast_detect: bool) {
        self.config.fast_detect = fast_detect;
        let keep_alive = self.keep_alive();
        for slot in 0..limits::CONNECTIONS {
            self.table.find_mut(slot).into_iter().for_each(|own| own.set_keep_alive(keep_alive));
        }
    }

    /// As [`Links::reload`], for certificates and CRLs only: nobody is looked up or probed.
    pub fn renew(&mut self, now: Instant, credentials: Credentials) -> Result<(), Fault> {
        self.take_credentials(now, credentials)?;
        self.judge_again(now);
        self.poll_dialers(now);
        self.settle(now);
        Ok(())
    }

    /// Shows and believes these from now on. Connections show what they were opened with: where our certificate is
    /// another one, a new connection takes the place of each that we dialed.
    fn take_credentials(&mut self, now: Instant, credentials: Credentials) -> Result<(), Fault> {
        let config = Config { credentials, ..self.config.clone() };
        self.server.crypto = server_crypto(&config)?;
        if self.listens() {
            self.listener.set_server_config(Some(Arc::new(self.server.clone())));
        }
        let is_other = config.credentials.me != self.config.credentials.me;
        self.config = config;
        for link in self.links.iter_mut().flatten() {
            link.crypto = [None, None];
            if is_other {
                link.dialer.renew(now);
            }
        }
        Ok(())
    }

    /// The network may have changed: who waits is dialed now, names are looked up anew, and who is up is asked.
    pub(super) fn hurry(&mut self, now: Instant) {
        for slot in 0..limits::CONNECTIONS {
            if let Some(connection) = self.table.find_mut(slot) {
                connection.probe(now);
                self.table.touch(slot);
            }
        }
        self.links.iter_mut().flatten().for_each(|link| link.dialer.hurry(now));
        self.poll_dialers(now);
    }

    fn apply_peers(&mut self, now: Instant) {
        let mut added = self.config.peers.clone();
        for place in 0..self.links.len() {
            let Some(Some(link)) = self.links.get_mut(place) else { continue };
            let Some(old) = &link.config else { continue };
            let same = |new: &peer::Config| match (&new.name, &old.name) {
                (Some(new), Some(old)) => new == old,
                _ => new == old,
            };
            match added.iter().position(same).map(|position| added.remove(position)) {
                Some(new) if new == *old => {}
                Some(new) => link.reconfigure(now, new),
                None => self.drop_peer(now, LinkId(place as u8)),
            }
        }
        for peer in added {
            let title = peer.name.clone().unwrap_or_else(|| "any".to_owned());
            match self.add_link(now, Some(peer)) {
                Some(_) => self.note(format!("peer {title}: added")),
                None => self.note(format!("peer {title}: left out, all links are taken")),
            }
        }
    }

    /// A peer is no longer in the configuration.
    fn drop_peer(&mut self, now: Instant, id: LinkId) {
        let reason = "no longer a peer in the configuration there";
        let slots: Vec<Slot> =
            self.table.iter().filter(|(_, own)| own.link == Some(id)).map(|(slot, _)| slot).collect();
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        // Without its configuration, who was never linked has no name.
        let title = link.title();
        let gone = match link.is_up() {
            true => "no longer configured".to_owned(),
            false => format!("peer {title}: no longer configured"),
        };
        link.config = None;
        link.dialer.set_endpoints(now, Vec::new(), false);
        self.note(format!("peer {title}: removed"));
        for slot in slots {
            self.retire(now, slot, CloseCode::Bye, reason);
            self.handle_lost(now, slot, gone.clone(), None);
        }
        self.remove_if_unused(id);
    }

    fn listens(&self) -> bool {
        self.config.sockets.iter().any(|socket| socket.purpose == Purpose::Listen)
    }
}

impl Link {
    /// Other endpoints or another SNI for the same peer: what is up stays up.
    fn reconfigure(&mut self, now: Instant, config: peer::Config) {
        let dialed = self.with_role(Role::Client).is_some();
        self.dialer.set_endpoints(now, config.endpoints.clone(), dialed);
        self.config = Some(config);
    }
}
