//! Signatures under what a node tells all others: made with the key of its certificate, 64 bytes for either kind.
//! Knows nothing of what is signed. Read first: docs/protocol.md, "NODE"; RFC 8032; FIPS 186-5, section 6.

use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls_pki_types::alg_id;

use crate::pki::certificate::read_spki;
use crate::pki::identity::Identity;
use crate::pki::tls::ALPN;

/// Ed25519, or P-256 as r and s of 32 bytes each.
pub type Signature = [u8; 64];

/// Bytes of r and of s.
const HALF: usize = 32;

/// The public key of a node: ECDSA P-256 or Ed25519.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The point: 4, then x and y.
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo, DER. `None`: a key of another kind or curve, which no node may have.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let (algorithm, key) = read_spki(spki).ok()?;
        let kind = match algorithm {
            id if *id == *alg_id::ECDSA_P256 => Kind::P256(key.try_into().ok().filter(is_point)?),
            id if *id == *alg_id::ED25519 => Kind::Ed25519(key.try_into().ok()?),
            _ => return None,
        };
        Some(Self(kind))
    }

    pub fn is_p256(&self) -> bool {
        matches!(self.0, Kind::P256(_))
    }

    /// As it stands in a SubjectPublicKeyInfo.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::P256(key) => key,
            Kind::Ed25519(key) => key,
        }
    }

    /// Whether the private half of this key signed the message.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let verified = match &self.0 {
            Kind::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

/// Whole, not compressed: the others would need more code than this.
fn is_point(key: &[u8; 65]) -> bool {
    key.first() == Some(&4)
}

impl Identity {
    /// Signs with the key of the certificate. `None`: no node may have a key of that kind.
    pub fn sign(&self, message: &[u8]) -> Option<Signature> {
        let key = self.certified_key();
        if let Some(signer) = key.key.choose_scheme(&[SignatureScheme::ED25519]) {
            return signer.sign(message).ok()?.try_into().ok();
        }
        let signer = key.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])?;
        fixed(&signer.sign(message).ok()?)
    }
}

/// What is signed: which protocol and network it is for, what kind of message it is, and its body. So nothing that
/// was signed for one purpose counts for another, though a node may have one key for several networks.
pub fn message(network: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let network = network.as_bytes();
    let network = network.get(..usize::from(u8::MAX)).unwrap_or(network);
    let mut message = Vec::with_capacity(ALPN.len() + 1 + network.len() + 1 + body.len());
    message.extend(ALPN);
    message.push(network.len() as u8);
    message.extend(network);
    message.push(kind);
    message.extend(body);
    message
}

/// From DER, as TLS has an ECDSA signature, to two numbers of fixed length.
fn fixed(der: &[u8]) -> Option<Signature> {
    let (r, s) = yasna::parse_der(der, |reader| {
        reader.read_sequence(|r| Ok((r.next().read_bigint_bytes()?.0, r.next().read_bigint_bytes()?.0)))
    })
    .ok()?;
    let mut signature = [0; 2 * HALF];
    let (first, second) = signature.split_at_mut_checked(HALF)?;
    place(&r, first)?;
    place(&s, second)?;
    Some(signature)
}

/// Puts a big-endian number at the end of a field of zeros.
fn place(number: &[u8], field: &mut [u8]) -> Option<()> {
    let start = number.iter().position(|byte| *byte != 0)?;
    let digits = number.get(start..)?;
    let at = field.len().checked_sub(digits.len())?;
    field.get_mut(at..)?.copy_from_slice(digits);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Validity, create};
    use crate::pki::certificate::Certificate;
    use crate::pki::csr::generate_key;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// An identity with a key of this kind, and its public half.
    fn identity(algorithm: &'static rcgen::SignatureAlgorithm) -> (Identity, Vec<u8>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let identity =
            Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        (identity, key.subject_public_key_info())
    }

    #[test]
    fn both_kinds_of_keys_sign_64_bytes_that_only_their_public_half_verifies() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let ((own, spki), (_, other)) = (identity(algorithm), identity(algorithm));
            let (key, other) = (PublicKey::from_spki(&spki).unwrap(), PublicKey::from_spki(&other).unwrap());
            // Many, for numbers that begin with zeros.
            for n in 0..600_u32 {
                let signature = own.sign(&n.to_be_bytes()).unwrap();
                assert!(key.verify(&n.to_be_bytes(), &signature), "{n}");
                assert!(!key.verify(&(n + 1).to_be_bytes(), &signature));
                assert!(!other.verify(&n.to_be_bytes(), &signature));
                let mut bent = signature;
                bent[n as usize % 64] ^= 1 << (n % 8);
                assert!(!key.verify(&n.to_be_bytes(), &bent), "{n}");
            }
        }
    }

    #[test]
    fn signatures_of_the_standards_are_verified() {
        // RFC 6979, A.2.5, SHA-256, "sample".
        let point = hex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6 \
                         7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299");
        let signature = hex("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716 \
                             F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
        let spki = [hex("3059301306072a8648ce3d020106082a8648ce3d030107034200 04"), point].concat();
        let key = PublicKey::from_spki(&spki).unwrap();
        assert!(key.is_p256() && key.verify(b"sample", &signature.try_into().unwrap()));
        // RFC 8032, 7.1, test 2.
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da \
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        let key = PublicKey::from_spki(&[hex("302a300506032b6570032100"), public].concat()).unwrap();
        assert!(!key.is_p256() && key.verify(&[0x72], &signature.try_into().unwrap()));
    }

    #[test]
    fn other_keys_neither_sign_nor_verify() {
        let (other, spki) = identity(&PKCS_ECDSA_P384_SHA384);
        assert_eq!((other.sign(b"x"), PublicKey::from_spki(&spki)), (None, None));
        let pem = generate_key().unwrap();
        let ca = create("home", pem.as_bytes(), Validity::days(0, 1)).unwrap();
        let ca = Identity::from_pem(ca.as_bytes(), pem.as_bytes()).unwrap();
        let good = Certificate::from_der(&ca.chain()[0]).unwrap().spki;
        assert!(PublicKey::from_spki(&good).is_some());
        for (at, byte) in [(0, 0x31), (26, 2), (10, 0)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(PublicKey::from_spki(&bad), None, "{at}");
        }
        assert_eq!(PublicKey::from_spki(&good[..good.len() - 1]), None);
    }

    #[test]
    fn what_is_signed_names_protocol_network_and_kind() {
        assert_eq!(message("home", 3, b"body"), b"quicap/1\x04home\x03body");
        assert_ne!(message("home", 3, b""), message("hom", b'e', &[3]));
        assert_eq!(message(&"n".repeat(300), 3, b"").len(), 8 + 1 + 255 + 1);
    }
}
