//! One peer: what is configured about it, which connections to it are up and which of them carries.
//! Opens and closes nothing itself. Read first: docs/protocol.md, "Links".

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use heapless::Vec;
use quinn_proto::crypto::rustls::QuicClientConfig;

use super::connection::Role;
use super::dial::Dialer;
use super::select::Selector;
use crate::pki::verify::Member;
use crate::types::{LinkId, NodeId};

/// What the configuration says about one peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Node name that the peer's certificate must carry; `None`: any member of the network.
    pub name: Option<String>,
    /// Where it listens, in order of preference; empty: it dials us.
    pub endpoints: std::vec::Vec<Endpoint>,
    /// Server name to send in TLS; `None`: the host name for names, nothing for addresses.
    pub sni: Option<String>,
}

/// A host and a UDP port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    pub host: Host,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    Address(IpAddr),
    /// A DNS name, resolved off the loop.
    Name(String),
}

/// What status calls the state of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A connection is up and answers.
    Up,
    /// All connections owe an ACK for too long.
    Suspect,
    /// None is up, and the peer is being dialed.
    Connecting,
    /// None is up; the reason says why.
    Down,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Connecting => "connecting",
            Self::Down => "down",
        }
    }
}

/// A slot in the table of connections.
pub type Slot = usize;

/// One of each role at most: each side dials the other.
const CONNECTIONS: usize = 2;

/// Our adjacency to one peer.
pub struct Link {
    pub id: LinkId,
    /// Tells it from earlier links with the same id.
    pub generation: u32,
    /// `None`: the peer dialed us and is not in the configuration; the link goes when its last connection does.
    pub config: Option<Config>,
    /// Who is at the other end, once that was shown; kept while the link is down.
    pub member: Option<Member>,
    pub dialer: Dialer,
    /// TLS settings for this peer, with and without a server name, made when first needed.
    pub crypto: [Option<Arc<QuicClientConfig>>; 2],
    /// Connections that are up.
    pub connections: Vec<(Slot, Role), CONNECTIONS>,
    pub selector: Selector,
    /// The one that carries.
    pub active: Option<Slot>,
    /// The one that carries control messages, as last seen.
    pub talks: Option<Slot>,
    pub state: State,
    /// Why it is not up.
    pub reason: String,
    pub since: Instant,
    /// How often a connection turned suspect.
    pub suspicions: u64,
    /// The end of a certificate, UNIX seconds, before which we dialed anew to be shown a later one.
    pub renewed: Option<u32>,
    /// Bytes of overlay datagrams.
    pub tx_bytes: u64,
    pub rx_bytes: u64,
}

impl Link {
    pub fn new(id: LinkId, generation: u32, config: Option<Config>, now: Instant, seed: u64) -> Self {
        let endpoints = config.as_ref().map(|config| config.endpoints.clone()).unwrap_or_default();
        let waits = endpoints.is_empty();
        Self {
            id,
            generation,
            config,
            member: None,
            dialer: Dialer::new(endpoints, now, seed.wrapping_add(u64::from(id.0) << 32)),
            crypto: [None, None],
            connections: Vec::new(),
            selector: Selector::new(),
            active: None,
            talks: None,
            state: State::Down,
            reason: if waits { "waits for the peer to dial".to_owned() } else { String::new() },
            since: now,
            suspicions: 0,
            renewed: None,
            tx_bytes: 0,
            rx_bytes: 0,
        }
    }

    /// The name for people: the certificate's, the configured one, or nothing yet.
    pub fn name(&self) -> &str {
        let configured = self.config.as_ref().and_then(|config| config.name.as_deref());
        self.member.as_ref().map(|member| member.name.as_str()).or(configured).unwrap_or_default()
    }

    /// The name, or where the peer was expected.
    pub fn title(&self) -> String {
        let first = self.config.as_ref().and_then(|config| config.endpoints.first());
        match (self.name(), first) {
            ("", Some(Endpoint { host: Host::Name(host), port })) => format!("{host}:{port}"),
            ("", Some(Endpoint { host: Host::Address(host), port })) => format!("{host} port {port}"),
            ("", None) => format!("number {}", self.id.0),
            (name, _) => name.to_owned(),
        }
    }

    pub fn is_up(&self) -> bool {
        !self.connections.is_empty()
    }

    pub fn is_of(&self, member: &Member) -> bool {
        self.member.as_ref().is_some_and(|own| own.is_same_node(member))
    }

    /// Whether a member that dialed us belongs to this peer of the configuration.
    pub fn expects(&self, name: &str) -> bool {
        self.config.as_ref().is_some_and(|config| config.name.as_deref() == Some(name))
    }

    /// Takes what a new connection showed: while another is up, only a newer certificate. True: it is newer.
    pub fn meet(&mut self, shown: Option<Member>) -> bool {
        let newer = match (&self.member, &shown) {
            (Some(known), Some(shown)) => self.is_up() && shown.is_newer_than(known),
            _ => false,
        };
        if newer || !self.is_up() {
            self.member = shown;
        }
        newer
    }

    pub fn with_role(&self, role: Role) -> Option<Slot> {
        self.connections.iter().find(|(_, own)| *own == role).map(|(slot, _)| *slot)
    }

    /// Takes a connection that came up; the caller has closed the one of the same role.
    pub fn attach(&mut self, slot: Slot, role: Role) {
        self.connections.retain(|(_, own)| *own != role);
        // There are two roles and two places.
        let _ = self.connections.push((slot, role));
    }

    pub fn detach(&mut self, slot: Slot) -> bool {
        let before = self.connections.len();
        self.connections.retain(|(own, _)| *own != slot);
        self.connections.len() < before
    }

    /// The connection whose stream carries control messages: the one that the node with the lower id opened, if it
    /// is there. Both ends choose alike.
    pub fn control(&self, me: NodeId) -> Option<Slot> {
        let lower = self.member.as_ref().is_some_and(|member| me < member.id);
        let role = if lower { Role::Client } else { Role::Server };
        self.with_role(role).or_else(|| self.connections.first().map(|(slot, _)| *slot))
    }

    /// Chooses which connection carries: one that answers before one that does not, then the preferred one.
    /// Returns whether all are suspect.
    pub fn choose(&mut self, is_suspect: impl Fn(Slot) -> bool) -> bool {
        let preferred = self.selector.preferred();
        let rank = |(slot, role): &(Slot, Role)| (is_suspect(*slot), *role != preferred);
        let best = self.connections.iter().min_by_key(|connection| rank(connection));
        self.active = best.map(|(slot, _)| *slot);
        best.is_some_and(|(slot, _)| is_suspect(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn our_own_connection_carries_unless_only_the_other_answers() {
        let mut link = Link::new(LinkId(0), 1, None, Instant::now(), 1);
        assert!(!link.choose(|_| false));
        assert_eq!(link.active, None);
        link.attach(7, Role::Server);
        assert!(!link.choose(|_| false));
        assert_eq!(link.active, Some(7));
        link.attach(8, Role::Client);
        assert!(!link.choose(|_| false));
        assert_eq!(link.active, Some(8));
        assert!(!link.choose(|slot| slot == 8));
        assert_eq!(link.active, Some(7));
        assert!(link.choose(|_| true));
        assert_eq!(link.active, Some(8));
        link.attach(9, Role::Client);
        assert_eq!(link.with_role(Role::Client), Some(9));
        assert!(link.detach(9) && !link.detach(9));
        assert!(!link.choose(|_| false));
        assert_eq!(link.active, Some(7));
    }
}
