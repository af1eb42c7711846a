//! Keys and signing requests (PKCS #10): a node makes both, the CA reads the request.
//!
//! From a request only the key and the name are taken; what else it asks for is ignored. Read first: RFC 2986.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData, SanType, SignatureAlgorithm,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use yasna::{ASN1Result, BERReaderSeq, Tag};

use crate::pki::certificate::{ALT_NAME, Signed, fingerprint, invalid, read_alt_names, read_extensions};
use crate::pki::fault::Fault;
use crate::pki::identity::private_key_from_pem;
use crate::pki::rights::shown;
use crate::pki::signature::PublicKey;
use crate::pki::text::{self, pem};
use crate::pki::verify::is_node_name;
use crate::types::Fingerprint;

const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113549, 1, 9, 14];
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// A new ECDSA P-256 key, as PKCS#8 PEM: a secret.
pub fn generate_key() -> Result<String, Fault> {
    KeyPair::generate().map(|key| key.serialize_pem()).map_err(library)
}

/// Reads a private key that can sign requests or certificates: PKCS#8, ECDSA or Ed25519.
pub(crate) fn key_pair(key_pem: &[u8]) -> Result<KeyPair, Fault> {
    let key = private_key_from_pem(key_pem)?;
    KeyPair::try_from(&key).map_err(|_| Fault::KeyUnsupported)
}

/// Fingerprint of the public half of a private key.
pub fn key_fingerprint(key_pem: &[u8]) -> Result<Fingerprint, Fault> {
    Ok(fingerprint(&key_pair(key_pem)?.subject_public_key_info()))
}

/// A signing request for this node, as PEM.
pub fn make_request(name: &str, key_pem: &[u8]) -> Result<String, Fault> {
    let key = key_pair(key_pem)?;
    PublicKey::from_spki(&key.subject_public_key_info()).ok_or(Fault::KeyUnsupported)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().map_err(library)?)];
    let request = params.serialize_request(&key).map_err(library)?;
    Ok(pem(text::REQUEST, request.der()))
}

/// What the CA takes from a request.
#[derive(Debug)]
pub struct Request {
    pub name: String,
    pub key: PublicKey,
}

impl Request {
    /// Reads a request and checks that its maker has the key.
    pub fn from_pem(request_pem: &[u8]) -> Result<Self, Fault> {
        let der = match CertificateSigningRequestDer::from_pem_slice(request_pem) {
            Ok(der) => der,
            Err(rustls_pki_types::pem::Error::NoItemsFound) => return Err(Fault::Missing(text::REQUEST)),
            Err(_) => return Err(Fault::Pem),
        };
        let malformed = |_| Fault::Malformed(text::REQUEST, 1);
        let signed = Signed::from_der(&der).map_err(malformed)?;
        let (name, spki) =
            yasna::parse_der(&signed.message, |r| r.read_sequence(read_request)).map_err(malformed)?;
        let key = PublicKey::from_spki(&spki).ok_or(Fault::KeyUnsupported)?;
        if !signed.is_signed_by(&spki) {
            return Err(Fault::RequestSignature);
        }
        if is_node_name(&name) { Ok(Self { name, key }) } else { Err(Fault::RequestName(shown(&name))) }
    }
}

impl PublicKey {
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.subject_public_key_info())
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        if self.is_p256() { &PKCS_ECDSA_P256_SHA256 } else { &PKCS_ED25519 }
    }
}

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

pub(crate) fn library(error: rcgen::Error) -> Fault {
    Fault::Library(error.to_string())
}

/// `CertificationRequestInfo`: the name - the one dNSName, else the common name - and the key.
fn read_request(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<(String, Vec<u8>)> {
    reader.next().read_u8()?; // version
    let common_name = reader.next().read_sequence(|r| {
        let mut name = None;
        while let Some(part) = r.read_optional(|r| r.read_der())? {
            name = read_common_name(&part)?.or(name);
        }
        Ok(name)
    })?;
    let spki = reader.next().read_der()?;
    let mut dns_names = Vec::new();
    reader.read_optional(|r| {
        r.read_tagged_implicit(Tag::context(0), |r| {
            r.read_sequence_of(|r| r.read_sequence(|r| read_attribute(r, &mut dns_names)))
        })
    })?;
    let name = match dns_names.len() {
        0 => common_name,
        1 => dns_names.pop(),
        _ => Some(dns_names.join(" ")), // no node name, so refused with all of them shown
    };
    Ok((name.unwrap_or_default(), spki))
}

fn read_common_name(relative_name: &[u8]) -> ASN1Result<Option<String>> {
    let mut name = None;
    yasna::parse_der(relative_name, |r| {
        r.read_set_of(|r| {
            r.read_sequence(|r| {
                let is_common_name = r.next().read_oid()?.components().as_slice() == COMMON_NAME;
                let value = r.next().read_tagged_der()?;
                if is_common_name {
                    name = Some(String::from_utf8_lossy(value.value()).into_owned());
                }
                Ok(())
            })
        })
    })?;
    Ok(name)
}

fn read_attribute(reader: &mut BERReaderSeq<'_, '_>, dns_names: &mut Vec<String>) -> ASN1Result<()> {
    let is_extensions = reader.next().read_oid()?.components().as_slice() == EXTENSION_REQUEST;
    let values = reader.next().read_der()?;
    if !is_extensions {
        return Ok(());
    }
    yasna::parse_der(&values, |r| {
        r.read_set_of(|r| {
            for extension in read_extensions(r)?.iter().filter(|extension| extension.oid == ALT_NAME) {
                let (names, _) = read_alt_names(&extension.value)?;
                if !dns_names.is_empty() {
                    return Err(invalid());
                }
                *dns_names = names;
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gives_back_name_and_key() {
        let key = generate_key().unwrap();
        let request = make_request("office", key.as_bytes()).unwrap();
        let read = Request::from_pem(request.as_bytes()).unwrap();
        assert_eq!(read.name, "office");
        assert_eq!(read.key.fingerprint(), key_fingerprint(key.as_bytes()).unwrap());
    }

    #[test]
    fn a_request_with_any_byte_changed_is_refused() {
        let key = generate_key().unwrap();
        let request = make_request("office", key.as_bytes()).unwrap();
        let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap().to_vec();
        for position in 0..der.len() {
            let mut damaged = der.clone();
            damaged[position] ^= 1;
            assert!(Request::from_pem(pem(text::REQUEST, &damaged).as_bytes()).is_err(), "byte {position}");
        }
    }

    #[test]
    fn names_that_are_no_node_names_are_refused() {
        let key = generate_key().unwrap();
        for name in ["Office", "9x", "a.b", "x_y", "-a", "", &"a".repeat(64)] {
            let request = make_request(name, key.as_bytes()).unwrap();
            assert_eq!(Request::from_pem(request.as_bytes()).unwrap_err(), Fault::RequestName(name.into()));
        }
    }

    #[test]
    fn what_is_no_request_is_named() {
        assert_eq!(Request::from_pem(b"x").unwrap_err(), Fault::Missing("CERTIFICATE REQUEST"));
        let empty = pem(text::REQUEST, &[0x30, 0]);
        assert_eq!(
            Request::from_pem(empty.as_bytes()).unwrap_err(),
            Fault::Malformed("CERTIFICATE REQUEST", 1)
        );
        assert_eq!(key_fingerprint(b"").unwrap_err(), Fault::Missing("PRIVATE KEY"));
    }
}
