//! Who may become a link: incoming connections, the certificates shown, HELLO.
//! Does not choose which connection carries. Read first: docs/protocol.md, "Connections".

use std::time::Instant;

use quinn_proto::Incoming;

use super::connection::{Connection, Role, Stage};
use super::control::OwnedHello;
use super::gate::Entry;
use super::peer::{Link, Slot};
use super::{Links, SocketId};
use crate::limits;
use crate::pki::verify::Member;
use crate::types::LinkId;
use crate::wire::control::{self, CloseCode};

impl Links {
    pub(super) fn handle_incoming(&mut self, now: Instant, socket: SocketId, incoming: Incoming) {
        let mut half_open = self.table.half_open().count();
        if half_open >= limits::HALF_OPEN_STRANGERS && self.end_stale_handshake(now) {
            half_open -= 1;
        }
        let (remote, proved, room) =
            (incoming.remote_address().ip(), !incoming.may_retry(), !self.table.is_full());
        self.scratch.clear();
        match self.gate.judge(now, remote, proved, half_open, room) {
            Entry::Accept => self.accept(now, socket, incoming),
            Entry::Retry => {
                if let Ok(transmit) = self.listener.retry(incoming, &mut self.scratch) {
                    self.respond(socket, &transmit);
                }
            }
            Entry::Ignore => self.listener.ignore(incoming),
        }
    }

    fn accept(&mut self, now: Instant, socket: SocketId, incoming: Incoming) {
        let config = self.transports.server(incoming.remote_address(), &self.server);
        match self.listener.accept(incoming, now, &mut self.scratch, Some(config)) {
            Ok((handle, quinn)) => {
                self.table.insert(Connection::new(quinn, handle, Role::Server, socket, now));
            }
            Err(error) => {
                if let Some(transmit) = error.response.filter(|_| self.gate.answers(now)) {
                    self.respond(socket, &transmit);
                }
            }
        }
    }

    /// Makes room for a handshake by ending the oldest one, a stranger's if there is one. False: none is old enough.
    pub(super) fn end_stale_handshake(&mut self, now: Instant) -> bool {
        let gate = &mut self.gate;
        let oldest =
            self.table.half_open().min_by_key(|(_, own)| (gate.knows(now, own.remote().ip()), own.began));
        let stale =
            oldest.filter(|(_, own)| now.saturating_duration_since(own.began) >= limits::HALF_OPEN_STALE);
        let Some(slot) = stale.map(|(slot, _)| slot) else { return false };
        self.retire(now, slot, CloseCode::Busy, "the handshake took too long, and others wait");
        true
    }

    /// The peer has shown its certificate: finds its link and says HELLO.
    pub(super) fn handle_connected(&mut self, now: Instant, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let chain = connection.peer_chain().unwrap_or_default();
        let clock = &self.config.clock;
        let judged = self.config.credentials.trust.judge(&chain, clock.unix_s(), clock.is_trusted());
        let (code, reason) = match judged {
            Err(refusal) => (CloseCode::Certificate, refusal.to_string()),
            Ok(member) if self.is_beaten(slot, &member) => {
                self.retire(now, slot, CloseCode::Replaced, "another address answered first");
                return self.handle_lost(now, slot, String::new(), Some(CloseCode::Replaced as u64));
            }
            Ok(member) => match self.admit(now, slot, &member) {
                Ok(link) if self.is_second(slot, link) => return self.measure(now, slot, link, member),
                Ok(link) => return self.greet(now, slot, link, member),
                Err(refused) => refused,
            },
        };
        self.give_up(now, slot, code, &reason);
    }

    /// Whether the same node is being greeted as another peer. Only one of them says HELLO: the peer takes the newest
    /// that does, and over a long path both ends would close what the other has chosen.
    fn is_beaten(&self, slot: Slot, member: &Member) -> bool {
        let Some(own) = self.table.find(slot).filter(|own| own.role == Role::Client) else { return false };
        self.table.iter().any(|(_, other)| {
            let same = other.member.as_ref().is_some_and(|it| it.is_same_node(member));
            same && other.link != own.link && other.role == Role::Client && other.stage == Stage::Greeting
        })
    }

    /// Whether we dialed, and another address of this peer has answered before: it is only measured.
    fn is_second(&self, slot: Slot, link: LinkId) -> bool {
        self.table.find(slot).is_some_and(|own| own.role == Role::Client) && self.has_own(link)
    }

    /// Whether one of our own connections to this peer is up or about to be.
    pub(super) fn has_own(&self, link: LinkId) -> bool {
        self.connections().any(|own| {
            own.link == Some(link)
                && own.role == Role::Client
                && matches!(own.stage, Stage::Greeting | Stage::Up)
        })
    }

    fn measure(&mut self, now: Instant, slot: Slot, link: LinkId, member: Member) {
        if let Some(connection) = self.table.find_mut(slot) {
            connection.link = Some(link);
            connection.member = Some(member);
            connection.measure(now);
        }
        self.table.touch(slot);
    }

    /// The link for a member that has connected, or why there is none.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        slot: Slot,
        member: &Member,
    ) -> Result<LinkId, (CloseCode, String)> {
        let me = self.me();
        if member.id == me.id {
            let reason = if member.fingerprint == me.fingerprint {
                "this is the node itself".to_owned()
            } else {
                format!("node id {} is mine ({}), and {} has it too", me.id, me.name, member.name)
            };
            return Err((CloseCode::Duplicate, reason));
        }
        if let Some(conflict) = self.conflict(slot, member) {
            return Err(conflict);
        }
        if let Some(link) = self.table.find(slot).and_then(|connection| connection.link) {
            return Ok(link);
        }
        let greeting = |own: &&Connection| {
            let same = own.member.as_ref().is_some_and(|other| other.is_same_node(member));
            same && own.stage == Stage::Greeting
        };
        if self.connections().filter(greeting).count() > limits::CANDIDATES {
            return Err((CloseCode::Busy, format!("too many connections of {} say nothing", member.name)));
        }
        let fits = |link: &&Link| link.expects(&member.name) || link.is_of(member);
        let known = self.iter().filter(fits).min_by_key(|link| !link.is_up()).map(|link| link.id);
        known
            .or_else(|| self.connections().find(greeting).and_then(|own| own.link))
            .or_else(|| self.add_link(now, None))
            .ok_or_else(|| (CloseCode::Busy, format!("all {} links are taken", limits::LINKS)))
    }

    /// Why a member cannot be linked by this connection: another node has its id or its link, or it is linked by
    /// another peer section. So a node has one link at a time, and a link one node.
    pub(super) fn conflict(&self, slot: Slot, member: &Member) -> Option<(CloseCode, String)> {
        let link = self.table.find(slot)?.link;
        let is_configured = |link: &Link| link.config.is_some();
        let reason = self.iter().filter(|other| other.is_up()).find_map(|other| {
            let theirs = other.member.as_ref()?;
            let own = link == Some(other.id);
            if theirs.id == member.id && theirs.name != member.name {
                Some(format!(
                    "node id {} belongs to {}, and {} has it too",
                    member.id, theirs.name, member.name
                ))
            } else if own && theirs.id != member.id {
                Some(format!("this is {}, and the peer is {} already", member.name, theirs.name))
            } else if !own && theirs.id == member.id && is_configured(other) {
                let mine = self.iter().find(|mine| Some(mine.id) == link);
                mine.is_some_and(is_configured).then(|| {
                    format!(
                        "{} is linked by another peer section already: remove one of the two",
                        member.name
                    )
                })
            } else {
                None
            }
        });
        reason.map(|reason| (CloseCode::Duplicate, reason))
    }

    pub(super) fn greet(&mut self, now: Instant, slot: Slot, link: LinkId, member: Member) {
        let me = &self.config.credentials.me;
        let hello = control::Hello {
            version: control::VERSION,
            id: me.id.value(),
            fingerprint: me.fingerprint,
            epoch: self.run(),
            mode: control::MODE_L2,
            flags: 0,
            max_datagram: limits::DATAGRAM_MAX as u16,
            capabilities: 0,
            network: &self.config.network,
        };
        if let Some(connection) = self.table.find_mut(slot) {
            connection.link = Some(link);
            connection.member = Some(member);
            connection.greet(now, &hello);
        }
        self.table.touch(slot);
    }

    /// Another number in each run, those that begin in the same second included.
    fn run(&self) -> u32 {
        let [.., a, b, c, d] = self.config.seed;
        self.config.epoch.wrapping_add(u32::from_be_bytes([a, b, c, d]))
    }

    pub(super) fn handle_hello(&mut self, now: Instant, slot: Slot, hello: &OwnedHello) {
        let Some(connection) = self.table.find(slot) else { return };
        let (Some(member), Some(link)) = (&connection.member, connection.link) else { return };
        let refused = check_hello(hello, member, &self.config.network).err();
        match refused.or_else(|| self.conflict(slot, member)) {
            None => {
                self.table.find_mut(slot).into_iter().for_each(|own| own.epoch = Some(hello.epoch));
                self.bring_up(now, slot, link);
            }
            Some((code, reason)) => self.give_up(now, slot, code, &reason),
        }
    }
}

/// What HELLO says must be what the certificate says.
fn check_hello(hello: &OwnedHello, member: &Member, network: &str) -> Result<(), (CloseCode, String)> {
    if hello.version != control::VERSION {
        let reason = format!("speaks version {} of the protocol, not {}", hello.version, control::VERSION);
        return Err((CloseCode::Version, reason));
    }
    if hello.network != network {
        return Err((CloseCode::Network, format!("is in network '{}', not '{network}'", hello.network)));
    }
    if hello.id != member.id.value() {
        let reason = format!("HELLO says node {}, the certificate {}", hello.id, member.id);
        return Err((CloseCode::Protocol, reason));
    }
    if hello.fingerprint != member.fingerprint {
        return Err((CloseCode::Protocol, "HELLO names another key than the certificate".to_owned()));
    }
    Ok(())
}
