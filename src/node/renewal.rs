//! Whom we believe has changed: by a reload, by a list of revoked certificates that another node told, or as time passes.
//! Who is no member any more is out everywhere at once. Read first: docs/certificates.md, "Lists that walk".

use std::sync::Arc;
use std::time::Instant;

use super::exchange::transit;
use super::{Node, Output, permit};
use crate::link::Credentials;
use crate::mesh::spf::bit;
use crate::pki::fault::Fault;
use crate::pki::timekeeper::floor;
use crate::types::NodeId;
use crate::wire::control::Message;

impl Node {
    /// Takes new certificates, CA and CRL; links stay, unless their certificate is now refused. Fails, and changes
    /// nothing, when the certificate and key are of no use to TLS.
    pub fn renew(&mut self, now: Instant, credentials: Credentials) -> Result<(), Fault> {
        let credentials = self.with_newest_crls(credentials);
        self.links.renew(now, credentials.clone())?;
        self.handle_renewed(now, credentials, u64::MAX);
        self.settle(now);
        Ok(())
    }

    /// Lists that other nodes told us, and that could not be written, are not forgotten for an older file.
    pub(super) fn with_newest_crls(&self, credentials: Credentials) -> Credentials {
        match credentials.trust.with_newer_crls(self.links.trust()) {
            Some(trust) => Credentials { trust: Arc::new(trust), ..credentials },
            None => credentials,
        }
    }

    /// We show and believe something else, and the links know it. Newer lists are told to the neighbors on these slots.
    pub(super) fn handle_renewed(&mut self, now: Instant, credentials: Credentials, slots: u64) {
        self.keeper.set_floor(floor(credentials.identity.chain(), &credentials.trust));
        let before = self.members.crl();
        let changes = self.members.set_credentials(credentials);
        let me = self.links.me();
        self.switch.set_permit(me.id, permit(me));
        let transit = transit(me);
        if changes.announce || self.fabric.is_transit() != transit {
            self.fabric.handle_renewed(now, transit);
        }
        if changes.sign {
            self.fabric.handle_new_key(now);
        }
        if self.members.crl() > before {
            self.tell_crls(slots);
        }
        self.judge_members(now);
        self.say_dates(now);
    }

    /// Removes who is no member any more.
    pub(super) fn judge_members(&mut self, now: Instant) {
        for id in self.members.judge_again() {
            self.forget(now, id);
        }
    }

    fn forget(&mut self, now: Instant, id: NodeId) {
        self.fabric.expel(now, id, &mut self.members);
        self.switch.forget(id);
    }

    /// A list that a neighbor told.
    pub(super) fn take_crl(&mut self, now: Instant, slot: u8, der: &[u8], bytes: &[u8]) {
        if !self.fabric.may_judge_list(now, slot) {
            return;
        }
        let trust = match self.links.trust().with_crl(der) {
            Ok(Some(trust)) => trust,
            Ok(None) => return self.fabric.handle_vain_list(slot, false),
            Err(fault) => {
                self.fabric.handle_vain_list(slot, true);
                return self.journal.warn(now, format!("a CRL that was told is no good: {fault}"));
            }
        };
        let credentials = Credentials { trust: Arc::new(trust), ..self.links.credentials().clone() };
        if self.links.renew(now, credentials.clone()).is_err() {
            return; // The certificate and key are the same as before.
        }
        let id = self.fabric.neighbors().get(slot).map(|own| own.id);
        let from = id.and_then(|id| self.members.name(id)).unwrap_or("a neighbor").to_owned();
        self.fabric.relay(Some(slot), bytes);
        self.handle_renewed(now, credentials, 0);
        let number = self.links.trust().crl_number().unwrap_or(0);
        self.journal.note(now, format!("CRL {number} taken from {from}"));
        self.outputs.push_back(Output::Crls);
    }

    /// Tells a neighbor our lists if its newest NODE, by whatever way it came, names an older one.
    pub(super) fn tell_news(&mut self, now: Instant, id: NodeId) {
        let Some((slot, _)) = self.fabric.neighbors().find(id) else { return };
        let is_behind = self.members.crl_number(id).is_some_and(|theirs| theirs < self.members.crl());
        if is_behind && self.fabric.neighbors().up() & bit(slot) != 0 && self.fabric.may_tell_lists(now, slot)
        {
            self.tell_crls(bit(slot));
        }
    }

    /// Tells the lists that we have to the neighbors on these slots.
    pub(super) fn tell_crls(&mut self, slots: u64) {
        for crl in self.links.trust().told_crls() {
            let mut message = Vec::new();
            Message::Crl(&crl.der).emit(&mut message);
            self.fabric.tell_up(slots, message);
        }
    }
}
