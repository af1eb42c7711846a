//! Signatures alone, and announcements that are judged, kept and handed on.

use std::hint::black_box;
use std::time::Duration;

use quicap::mesh::graph::Transit;
use quicap::mesh::signature::{Accepted, Registry};
use quicap::pki::signature::{self, PublicKey};
use quicap::wire::announce::Signature;
use quicap::wire::control::{self, Message, Next};
use ring::signature::Ed25519KeyPair;

use crate::hub::{Hub, Speaker, credentials, id, links};
use crate::members::{Ca, NETWORK};
use crate::topology::Topology;

/// As long as an LSA with some ten links.
fn body() -> Vec<u8> {
    signature::message(NETWORK, 4, &[7; 100])
}

pub fn p256_verify(rounds: usize) {
    let credentials = credentials(&Ca::new(), 0);
    let signature = credentials.identity.sign(&body()).expect("a signature");
    verify(&credentials.me.key, &signature, rounds);
}

pub fn p256_sign(rounds: usize) {
    let credentials = credentials(&Ca::new(), 0);
    let body = body();
    (0..rounds).for_each(|_| assert!(black_box(credentials.identity.sign(&body)).is_some()));
}

pub fn ed25519_verify(rounds: usize) {
    let (pair, key) = ed25519();
    let signature: Signature = pair.sign(&body()).as_ref().try_into().expect("64 bytes");
    verify(&key, &signature, rounds);
}

pub fn ed25519_sign(rounds: usize) {
    let (pair, _) = ed25519();
    let body = body();
    for _ in 0..rounds {
        black_box(pair.sign(&body));
    }
}

fn verify(key: &PublicKey, signature: &Signature, rounds: usize) {
    let body = body();
    (0..rounds).for_each(|_| assert!(key.verify(&body, black_box(signature))));
}

fn ed25519() -> (Ed25519KeyPair, PublicKey) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der()).expect("a key");
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    (pair, PublicKey::from_spki(&spki).expect("a key"))
}

/// A NODE with its whole chain, of a node that is not known yet: two signatures.
pub fn node(rounds: usize) {
    let ca = Ca::new();
    let mut hub = Hub::new(&ca, 0);
    let message = Speaker::new(&ca, 1).node();
    let Ok(Next::Message(Message::Node(node), _)) = control::next(&message) else { panic!("no NODE") };
    for _ in 0..rounds {
        assert_eq!(hub.members.accept(&node), Accepted::Good(Transit::Yes));
        hub.members.forget(id(1));
    }
}

/// LSAs that are made beforehand, so that any number of rounds has the same preparations.
const LSAS: u32 = 32;

/// A newer LSA of a known node, from its bytes to what is handed on.
pub fn lsa(rounds: usize) {
    let (ca, topology) = (Ca::new(), Topology::five());
    let mut hub = Hub::of(&ca, &topology, 0);
    let speaker = Speaker::new(&ca, 1);
    let made: Vec<_> = (2..2 + LSAS).flat_map(|seq| speaker.lsas(seq, &links(&topology, 1))).collect();
    let before = hub.fabric.counters().verified;
    for lsa in &made[..rounds] {
        // One node may say so much in a second.
        hub.now += Duration::from_secs(1);
        hub.tell(0, lsa);
    }
    assert_eq!(hub.fabric.counters().verified - before, rounds as u64);
}
