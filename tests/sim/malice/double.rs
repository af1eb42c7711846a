//! A member of the mesh without a node: its links are real, and what it says and sends is what a test wants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quicap::link::{Credentials, Event, Links};
use quicap::pki::chain;
use quicap::pki::signature;
use quicap::types::{LinkId, MacAddr, NodeId};
use quicap::wire::announce::{Link, Lsa, Node, Signature};
use quicap::wire::control::{Foreign, Message};
use quicap::wire::list::List;
use quicap::wire::stations::{Station, Stations};

use crate::members::{NETWORK, NOW, config, peer};
use crate::world::{DIAL, LISTEN, PORT, World};

const DIAL_PORT: u16 = 7066;

pub struct Double {
    pub links: Links,
    pub credentials: Credentials,
    address: IpAddr,
    /// Messages, when they came and over which link.
    pub heard: Vec<(Instant, LinkId, Vec<u8>)>,
    pub frames: Vec<(LinkId, Bytes)>,
    /// Of its last announcement.
    seq: u32,
}

/// What it signs with: its own key, or somebody else's that it has found.
pub type Sign<'a> = &'a dyn Fn(u8, &[u8]) -> Signature;

/// Signs as that member does.
pub fn signer(credentials: &Credentials) -> impl Fn(u8, &[u8]) -> Signature + use<> {
    signer_in(NETWORK, credentials)
}

/// As a member of another network does that has the same key.
pub fn signer_in(
    network: &'static str,
    credentials: &Credentials,
) -> impl Fn(u8, &[u8]) -> Signature + use<> {
    let identity = credentials.identity.clone();
    move |kind, body| identity.sign(&signature::message(network, kind, body)).expect("a signature")
}

impl Double {
    /// Dials these sites.
    pub fn new(world: &World, credentials: Credentials, sites: &[usize], seed: u64) -> Self {
        let peers = sites.iter().map(|site| peer(None, &[World::ip(*site)])).collect();
        let links = Links::new(config(credentials.clone(), peers, seed).links, world.now).expect("links");
        let address = Ipv4Addr::new(198, 51, 100, credentials.me.id.value() as u8).into();
        Self { links, credentials, address, heard: Vec::new(), frames: Vec::new(), seq: 0 }
    }

    pub fn id(&self) -> NodeId {
        self.credentials.me.id
    }

    /// Lets the world go on for this long.
    pub fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.turn(world);
            world.run_for(Duration::from_millis(1).min(end - world.now));
        }
        self.turn(world);
    }

    pub fn turn(&mut self, world: &mut World) {
        let now = world.now;
        for (from, to, bytes) in std::mem::take(&mut world.stray) {
            if to.ip() == self.address {
                let socket = if to.port() == PORT { LISTEN } else { DIAL };
                self.links.handle_datagram(now, socket, from, Some(to.ip()), BytesMut::from(&bytes[..]));
            }
        }
        if self.links.next_timeout().is_some_and(|due| due <= now) {
            self.links.handle_timeout(now);
        }
        self.links.settle(now);
        while let Some((link, message)) = self.links.poll_message(now) {
            self.heard.push((now, link, message));
        }
        self.frames.extend(std::iter::from_fn(|| self.links.poll_datagram()));
        while let Some(event) = self.links.poll_event() {
            if let Event::Resolve(query) = event {
                let answer = Ok(vec![query.host.parse().expect("an address")]);
                self.links.handle_resolved(now, &query, &answer);
            }
        }
        let mut buffer = Vec::new();
        while let Some(transmit) = self.links.poll_transmit(now, &mut buffer) {
            let port = if transmit.socket == LISTEN { PORT } else { DIAL_PORT };
            let from = SocketAddr::new(self.address, port);
            for bytes in buffer[..transmit.size].chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
                world.inject(from, transmit.destination, bytes);
            }
            buffer.clear();
        }
    }

    pub fn links_up(&self) -> usize {
        self.links.iter().filter(|link| link.is_up()).count()
    }

    /// Over both links.
    pub fn say(&mut self, world: &mut World, message: &[u8]) {
        for link in [LinkId(0), LinkId(1)] {
            self.say_to(world, link, message);
        }
    }

    pub fn say_to(&mut self, world: &mut World, link: LinkId, message: &[u8]) -> bool {
        let said = self.links.say(world.now, link, message);
        self.turn(world);
        said
    }

    /// A raw datagram, over both links.
    pub fn send(&mut self, world: &mut World, datagram: &[u8]) {
        for link in [LinkId(0), LinkId(1)] {
            let _ = self.links.send(world.now, link, &Bytes::copy_from_slice(datagram));
        }
        self.turn(world);
    }

    /// Says who it is and whom it is linked to, as an honest node does.
    pub fn announce(&mut self, world: &mut World, links: &[(u16, u8, u16)]) {
        self.seq += 1;
        let (own, seq) = (self.credentials.clone(), self.seq);
        let sign = signer(&own);
        self.say(world, &node(self.id(), (NOW, seq), own.identity.joined_chain(), &sign));
        self.say(world, &lsa(self.id(), (NOW, seq), 0, links, &sign));
    }

    pub fn next_seq(&mut self) -> u32 {
        self.seq += 1;
        self.seq
    }
}

pub fn emit(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    bytes
}

pub fn id(value: u16) -> NodeId {
    NodeId::new(value).expect("a valid id")
}

pub fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// NODE with that chain.
pub fn node(id: NodeId, (epoch, seq): (u32, u32), certificate: &[u8], sign: Sign<'_>) -> Vec<u8> {
    let (mut first, mut second, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let (endpoints, prefixes) = (List::of(&[], &mut first), List::of(&[], &mut second));
    let mut node =
        Node { id, epoch, seq, endpoints, prefixes, crl: 0, certificate, appendix: &[], signature: [0; 64] };
    node.write_signed(&chain::hash(certificate), &mut body);
    node.signature = sign(Node::KIND, &body);
    emit(&Message::Node(node))
}

/// LSA with these links: to whom, slot, cost.
pub fn lsa(
    id: NodeId,
    (epoch, seq): (u32, u32),
    fragment: u8,
    links: &[(u16, u8, u16)],
    sign: Sign<'_>,
) -> Vec<u8> {
    let (mut rows, mut body) = (Vec::new(), Vec::new());
    let link = |(to, slot, cost): &(u16, u8, u16)| Link { to: self::id(*to), slot: *slot, cost: *cost };
    let links: Vec<Link> = links.iter().map(link).collect();
    let links = List::of(&links, &mut rows);
    let mut lsa =
        Lsa { id, epoch, seq, fragment, flags: 0, segment: 0, links, appendix: &[], signature: [0; 64] };
    lsa.write_signed(&mut body);
    lsa.signature = sign(Lsa::KIND, &body);
    emit(&Message::Lsa(lsa))
}

/// MAC_MOVE or MAC_GONE of these stations, with that count of moves.
pub fn stations(
    kind: u8,
    (owner, epoch): (NodeId, u32),
    macs: &[MacAddr],
    moves: u16,
    sign: Sign<'_>,
) -> Vec<u8> {
    let (mut rows, mut body) = (Vec::new(), Vec::new());
    let stations: Vec<Station> = macs.iter().map(|mac| Station { mac: *mac, moves }).collect();
    let mut told = Stations { owner, epoch, stations: List::of(&stations, &mut rows), signature: [0; 64] };
    told.write_signed(&mut body);
    told.signature = sign(kind, &body);
    emit(&if kind == Stations::GONE { Message::MacGone(told) } else { Message::MacMove(told) })
}

/// An announcement of a later version, of that length.
pub fn foreign(kind: u8, id: NodeId, (epoch, seq): (u32, u32), length: usize, sign: Sign<'_>) -> Vec<u8> {
    let mut body = [&id.value().to_be_bytes()[..], &epoch.to_be_bytes(), &seq.to_be_bytes()].concat();
    body.resize(length.max(body.len()), 7);
    let signature = sign(kind, &body);
    body.extend(signature);
    emit(&Message::Foreign(Foreign { kind, id, epoch, seq, body: &body, signature }))
}
