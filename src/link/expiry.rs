//! Time passes: who is linked is judged again when a certificate ends, and dialed anew a while before.
//! Reads no clock: the node sets it. Read first: docs/certificates.md, "The clock".

use std::time::Instant;

use super::Links;
use super::connection::{Connection, Role, Stage};
use super::peer::Slot;
use crate::limits;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// When [`Links::handle_expiry`] is next worth a call, UNIX seconds by the clock that certificates are judged by.
    pub fn next_expiry(&self) -> Option<u32> {
        let ends = self.connections().filter_map(end).map(|end| end.saturating_add(1));
        let renewals = self.renewals().map(|(_, end)| ahead(end));
        ends.chain(renewals).min()
    }

    /// Ends connections whose certificate has expired, and dials anew where one soon will: the peer may have another.
    pub fn handle_expiry(&mut self, now: Instant) {
        let unix_s = self.config.clock.unix_s();
        self.judge(now, |own| end(own).is_some_and(|end| end < unix_s));
        let due: Vec<(LinkId, u32)> = self.renewals().filter(|(_, end)| ahead(*end) <= unix_s).collect();
        for (id, end) in due {
            if let Some(link) = self.link_mut(id) {
                link.renewed = Some(end);
                link.dialer.renew(now);
            }
        }
        self.poll_dialers(now);
    }

    /// Closes what the present certificates, CRLs and time refuse.
    pub fn judge_again(&mut self, now: Instant) {
        self.judge(now, |_| true);
    }

    fn judge(&mut self, now: Instant, concerns: impl Fn(&Connection) -> bool) {
        let concerned: Vec<Slot> = self
            .table
            .iter()
            .filter(|(_, own)| end(own).is_some() && concerns(own))
            .map(|(slot, _)| slot)
            .collect();
        for slot in concerned {
            let Some(connection) = self.table.find_mut(slot) else { continue };
            let chain = connection.peer_chain().unwrap_or_default();
            let clock = &self.config.clock;
            match self.config.credentials.trust.judge(&chain, clock.unix_s(), clock.is_trusted()) {
                Ok(member) => connection.member = Some(member),
                Err(refusal) => self.give_up(now, slot, CloseCode::Certificate, &refusal.to_string()),
            }
        }
    }

    /// Connections that we dialed, and the ends of the certificates that they showed, once for each end.
    fn renewals(&self) -> impl Iterator<Item = (LinkId, u32)> {
        let dialed = self.connections().filter(|own| own.role == Role::Client && own.stage == Stage::Up);
        let ends = dialed.filter_map(|own| own.link.zip(end(own)));
        ends.filter(|(id, end)| self.link(*id).is_some_and(|link| link.renewed != Some(*end)))
    }
}

/// When the certificates that a connection showed end.
fn end(connection: &Connection) -> Option<u32> {
    let member = connection.member.as_ref().filter(|_| connection.stage != Stage::Closed)?;
    Some(member.valid_until)
}

fn ahead(end: u32) -> u32 {
    end.saturating_sub(limits::RENEW_AHEAD_S)
}
