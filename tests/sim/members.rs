//! Certificates for simulated nodes, and the nodes themselves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use quicap::limits;
use quicap::link::peer::{self, Endpoint, Host};
use quicap::link::{self, Credentials, Purpose, Socket};
use quicap::mesh::switch;
use quicap::node::{self, Node, carrier};
use quicap::pki::clock::WallClock;
use quicap::pki::identity::Identity;
use quicap::pki::tls::Suites;
use quicap::pki::verify::Trust;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

use crate::world::{DIAL, LISTEN, PORT, World};

/// 2026-07-01: within every certificate made here.
pub const NOW: u32 = 1_782_864_000;
pub const NETWORK: &str = "home";

/// A CA that lives in memory.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// Of nodes that are the same in every test, by name and id.
    standing: Mutex<HashMap<(String, u16), Credentials>>,
}

impl Ca {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "sim");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let pem = params.self_signed(&key).expect("a CA certificate").pem();
        Self { issuer: Issuer::new(params, key), pem, standing: Mutex::default() }
    }

    /// One for all tests that need many nodes: with [`Ca::standing_credentials`] each key is made once only.
    pub fn standing() -> &'static Self {
        static CA: OnceLock<Ca> = OnceLock::new();
        CA.get_or_init(Self::new)
    }

    /// Key and certificate of a node, the same each time.
    pub fn standing_credentials(&self, name: &str, id: u16) -> Credentials {
        let mut standing = self.standing.lock().expect("no test fails while it holds the lock");
        standing.entry((name.to_owned(), id)).or_insert_with(|| self.credentials(name, id)).clone()
    }

    /// Certificate and key of a node, PEM.
    fn issue(&self, name: &str, id: u16, terms: &Terms<'_>) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let uri = |text: String| SanType::URI(text.try_into().expect("an URI"));
        params.subject_alt_names = vec![
            SanType::DnsName(name.try_into().expect("a name")),
            uri(format!("quicap:net={NETWORK}")),
            uri(format!("quicap:id={id}")),
        ];
        params.subject_alt_names.extend(terms.rights.iter().map(|right| uri((*right).to_owned())));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let (year, month, day) = terms.from;
        params.not_before = date_time_ymd(year, month, day);
        let (year, month, day) = terms.to;
        params.not_after = date_time_ymd(year, month, day);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// A CRL that revokes these serial numbers, PEM.
    pub fn revoke(&self, serials: &[&[u8]]) -> String {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2026, 6, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 6, 1),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: SerialNumber::from(2),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a CRL").pem().expect("PEM")
    }

    pub fn credentials(&self, name: &str, id: u16) -> Credentials {
        self.credentials_with_crl(name, id, None)
    }

    pub fn credentials_with_crl(&self, name: &str, id: u16, crl: Option<&str>) -> Credentials {
        self.credentials_for(name, id, crl, &Terms::default())
    }

    pub fn credentials_for(&self, name: &str, id: u16, crl: Option<&str>, terms: &Terms<'_>) -> Credentials {
        let (certificate, key) = self.issue(name, id, terms);
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("an identity");
        let trust =
            Trust::from_pem(NETWORK, self.pem.as_bytes(), crl.map(str::as_bytes)).expect("a trust anchor");
        let me = trust.judge(identity.chain(), 0, false).expect("a good certificate");
        Credentials { identity: Arc::new(identity), trust: Arc::new(trust), me }
    }
}

/// From when to when a certificate is valid (year, month, day), and further rights in it.
pub struct Terms<'a> {
    pub from: (i32, u8, u8),
    pub to: (i32, u8, u8),
    pub rights: &'a [&'a str],
}

impl Default for Terms<'_> {
    fn default() -> Self {
        Self { from: (2026, 1, 1), to: (2030, 1, 1), rights: &[] }
    }
}

/// A peer by address.
pub fn peer(name: Option<&str>, addresses: &[IpAddr]) -> peer::Config {
    let endpoints = addresses.iter().map(|ip| Endpoint { host: Host::Address(*ip), port: PORT }).collect();
    peer::Config { name: name.map(str::to_owned), endpoints, sni: None }
}

/// A peer by DNS name.
pub fn named_peer(name: &str, host: &str) -> peer::Config {
    let endpoints = vec![Endpoint { host: Host::Name(host.to_owned()), port: PORT }];
    peer::Config { name: Some(name.to_owned()), endpoints, sni: None }
}

pub fn config(credentials: Credentials, peers: Vec<peer::Config>, seed: u64) -> node::Config {
    let socket = |id, purpose| Socket { id, purpose, ipv6: false, segments: limits::SEGMENTS };
    let mut bytes = [0x42; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = credentials.me.id.value() as u8;
    node::Config {
        links: link::Config {
            network: NETWORK.to_owned(),
            credentials,
            clock: WallClock::new(NOW, true),
            suites: Suites::AesFirst,
            peers,
            sockets: vec![socket(LISTEN, Purpose::Listen), socket(DIAL, Purpose::Dial)],
            fast_detect: false,
            epoch: NOW,
            profile: limits::ROUTER,
            seed: bytes,
        },
        switch: switch::Config::default(),
        carrier: carrier::Config::default(),
    }
}

pub fn node(config: node::Config) -> impl FnOnce(Instant) -> Node {
    move |now| Node::new(config, now).expect("a node")
}

/// Name of the site with this number.
pub fn name(site: usize) -> String {
    format!("site-{site}")
}

/// `sites` nodes of which each knows the address of every other.
pub fn mesh(seed: u64, sites: usize) -> (World, Ca) {
    let mut world = World::new(seed);
    let ca = Ca::new();
    world.add_many(sites);
    for site in 0..sites {
        let others = (0..sites).filter(|other| *other != site);
        let peers = others.map(|other| peer(Some(&name(other)), &[World::ip(other)])).collect();
        let credentials = ca.credentials(&name(site), site as u16 + 1);
        world.start(site, node(config(credentials, peers, seed)));
    }
    (world, ca)
}

/// An Ethernet frame of this length; bytes behind the addresses are a pattern.
pub fn frame(to: u8, from: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x08, 0x00];
    frame.extend((frame.len()..length).map(|n| (n * 31 % 253) as u8));
    frame
}

pub fn broadcast(from: u8, length: usize) -> Vec<u8> {
    let mut bytes = frame(0, from, length);
    bytes[..6].fill(0xFF);
    bytes
}
