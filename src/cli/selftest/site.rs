//! One site of the self-test: a whole node on real loopback sockets; what its TAP would carry is kept in memory.
//! Decides nothing about when to stop. Read first: docs/architecture.md, "The loop".

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use crate::config::{self, Network};
use crate::daemon::sockets::{Received, Sockets};
use crate::limits;
use crate::link::{self, Credentials};
use crate::node::{self, Node, Output, carrier};
use crate::pki::ca::{Authority, Validity};
use crate::pki::certificate::Serial;
use crate::pki::clock::WallClock;
use crate::pki::csr::{self, Request};
use crate::pki::fault::Fault;
use crate::pki::identity::Identity;
use crate::pki::rights::{Grant, Rights};
use crate::pki::tls::Suites;
use crate::pki::verify::Trust;
use crate::pki::{bundle, ca};
use crate::sys::process;
use crate::sys::wait::{Interest, Waiter};
use crate::types::NodeId;

pub const NETWORK: &str = "selftest";
const DAYS: u32 = 1;

/// A CA that lives as long as the test.
pub struct Ca {
    authority: Authority,
    certificate: String,
    now_unix_s: u32,
}

impl Ca {
    pub fn new(now_unix_s: u32) -> Result<Self, Fault> {
        let key = csr::generate_key()?;
        let certificate = ca::create(NETWORK, key.as_bytes(), Validity::days(now_unix_s, DAYS))?;
        let authority = Authority::from_pem(key.as_bytes(), certificate.as_bytes())?;
        Ok(Self { authority, certificate, now_unix_s })
    }

    /// Key, request and certificate of a node, and our own judgement of it, all in memory.
    pub fn credentials(&self, name: &str, id: NodeId) -> Result<Credentials, Fault> {
        let key = csr::generate_key()?;
        let request = Request::from_pem(csr::make_request(name, key.as_bytes())?.as_bytes())?;
        let grant = Grant { network: NETWORK.to_owned(), id, rights: Rights::default() };
        let validity = Validity::days(self.now_unix_s, DAYS);
        let certificate = self.authority.issue(&request, &grant, Serial::random()?, validity)?;
        let certificate = bundle::certificates_to_pem(&[certificate]);
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
        let trust = Trust::from_pem(NETWORK, self.certificate.as_bytes(), None)?;
        let me = trust
            .judge(identity.chain(), self.now_unix_s, true)
            .map_err(|refusal| Fault::Library(refusal.to_string()))?;
        Ok(Credentials { identity: Arc::new(identity), trust: Arc::new(trust), me })
    }
}

pub struct Site {
    node: Node,
    sockets: Sockets,
    packets: Vec<u8>,
    /// Frames for the TAP, oldest first.
    pub frames: Vec<Bytes>,
    /// What netifd would be told.
    pub carrier: bool,
}

impl Site {
    /// `uci`: the configuration of this node; only its ports and peers count.
    pub fn new(uci: &str, credentials: Credentials, now_unix_s: u32, now: Instant) -> Result<Self, String> {
        let network = read(uci)?;
        let profile = &limits::ROUTER;
        let sockets = Sockets::open(&network, profile)?;
        let seed = ring::rand::generate(&ring::rand::SystemRandom::new());
        let config = node::Config {
            links: link::Config {
                network: network.name,
                credentials,
                clock: WallClock::new(now_unix_s, true),
                suites: if process::has_aes() { Suites::AesFirst } else { Suites::ChachaFirst },
                peers: network.peers,
                sockets: sockets.describe(),
                fast_detect: false,
                epoch: now_unix_s,
                profile: *profile,
                seed: seed.map_err(|_| "the kernel gives no random numbers")?.expose(),
            },
            switch: network.switch,
            carrier: carrier::Config { down_delay: Duration::ZERO, ..carrier::Config::default() },
        };
        let node = Node::new(config, now).map_err(|fault| fault.to_string())?;
        Ok(Self { node, sockets, packets: Vec::new(), frames: Vec::new(), carrier: false })
    }

    /// As if the TAP had given this frame.
    pub fn send(&mut self, now: Instant, frame: &[u8]) {
        let mut buffer = BytesMut::with_capacity(limits::HEADROOM + frame.len());
        buffer.put_bytes(0, limits::HEADROOM);
        buffer.put_slice(frame);
        self.node.handle_frame(now, buffer);
    }

    /// From now on each packet is a system call, and what has come so far is forgotten.
    pub fn send_singly(&mut self) {
        self.sockets.iter().for_each(|socket| self.node.set_segments(socket.id, 1));
        self.frames.clear();
    }

    /// One turn of the loop without its sleep: reads all that came in, sends all that is to go out.
    pub fn turn(&mut self, now: Instant) {
        for place in 0..self.sockets.count() {
            while self.sockets.receive(place, now, &mut self.node) == Received::Batch {}
        }
        if self.node.next_timeout().is_some_and(|due| due <= now) {
            self.node.handle_timeout(now);
        }
        self.node.settle(now);
        self.flush(now);
    }

    /// A full socket loses packets here, as a bad wire would.
    fn flush(&mut self, now: Instant) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Carrier(on) => self.carrier = on,
                Output::Crls => {}
                // All endpoints here are addresses.
                Output::Resolve(query) => {
                    let answer = query.host.parse().map(|address| vec![address]);
                    self.node.handle_resolved(now, &query, &answer.map_err(|_| "no address".to_owned()));
                }
            }
        }
        self.packets.clear();
        while let Some(transmit) = self.node.poll_transmit(now, &mut self.packets) {
            let packets = self.packets.get(..transmit.size).unwrap_or_default();
            self.sockets.send(now, &mut self.node, &transmit, packets);
            self.packets.clear();
        }
        while let Some(frame) = self.node.poll_frame() {
            self.frames.push(frame);
        }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.node.next_timeout()
    }

    pub fn watch(&self, waiter: &mut Waiter) {
        self.sockets.iter().for_each(|socket| waiter.add(socket.as_fd(), Interest::Read));
    }

    /// Why there is no link, or what became of it: the last that the node said about anything but the carrier.
    pub fn last_words(&self) -> String {
        let spoken = self.node.events().filter(|event| !event.text.starts_with("carrier"));
        spoken.last().map_or_else(|| "nothing happened".to_owned(), |event| event.text.clone())
    }
}

fn read(uci: &str) -> Result<Network, String> {
    let config = config::parse(NETWORK, uci.as_bytes())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    config.networks.into_iter().next().ok_or_else(|| "no network in the configuration".to_owned())
}

/// A UDP port of loopback that is free now.
pub fn free_port() -> io::Result<u16> {
    std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr().map(|address| address.port())
}
