//! Reads what the profile needs from an X.509 certificate, and checks signatures made with its key.
//!
//! Judges nothing (see verify.rs) and does not build chains (rustls-webpki does). Read first: RFC 5280, section 4.

use core::fmt;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::SignatureVerificationAlgorithm;
use yasna::models::TaggedDerValue;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_SEQUENCE, TAG_UTCTIME};
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, BERReaderSeq, Tag};

use crate::pki::fault::Fault;
use crate::types::Fingerprint;

/// Signature algorithms that chains, CRLs, requests and handshakes may use. No RSA: it would cost every router
/// its code, and nothing here makes RSA keys.
pub static SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
];

const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_KEY: &[u64] = &[2, 5, 29, 14];
pub(crate) const ALT_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY: &[u64] = &[2, 5, 29, 35];
const EXTENDED_USAGE: &[u64] = &[2, 5, 29, 37];
const SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];

/// The number of a certificate within its CA: positive, at most 20 bytes (RFC 5280, 4.1.2.2). Ordered as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 20]);

impl Serial {
    /// From big-endian bytes; `None` if zero or more than 20 without leading zeros.
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|b| *b != 0)?;
        let digits = bytes.get(start..)?;
        let mut padded = [0; 20];
        padded.get_mut(20usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
        Some(Self(padded))
    }

    /// From hexadecimal digits of either case, as `openssl x509 -serial` and `quicap ca list` print them.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let digits = format!("{text:0>40}");
        let byte = |i: usize| digits.get(2 * i..2 * i + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let bytes: Vec<u8> = (0..20).map_while(byte).collect();
        Self::from_be_bytes(&bytes)
    }

    /// 126 random bits behind a leading one: never zero or negative, always 16 bytes.
    pub fn random() -> Result<Self, Fault> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Fault::Library("no random numbers".into()))?;
        bytes[0] = bytes[0] & 0x3F | 0x40;
        Self::from_be_bytes(&bytes).ok_or(Fault::Library("no random numbers".into()))
    }

    /// Big-endian, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        let start = self.0.iter().position(|b| *b != 0).unwrap_or(19);
        &self.0[start..]
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parts of a certificate that we judge. Times are UNIX seconds, clamped to 1970..2106.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    pub serial: Serial,
    /// Distinguished names, as DER with tag and length.
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, as DER with tag and length.
    pub spki: Vec<u8>,
    pub not_before: u32,
    pub not_after: u32,
    /// basicConstraints: CA:TRUE?
    pub is_ca: bool,
    /// basicConstraints: how many intermediates may follow.
    pub path_length: Option<u32>,
    /// keyUsage; `None`: anything goes (RFC 5280, 4.2.1.3).
    pub key_usage: Option<KeyUsage>,
    /// extendedKeyUsage; `None`: anything goes.
    pub extended_usage: Option<ExtendedUsage>,
    /// subjectAltName: the dNSNames and the URIs, as they stand.
    pub dns_names: Vec<String>,
    pub uris: Vec<String>,
    /// Key identifiers, to tell two CAs of one name apart.
    pub subject_key: Option<Vec<u8>>,
    pub authority_key: Option<Vec<u8>>,
}

/// keyUsage: the first byte of the bit string, bit 0 on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUsage(u8);

impl KeyUsage {
    pub const fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub const fn cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub const fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtendedUsage {
    pub server_auth: bool,
    pub client_auth: bool,
}

impl Certificate {
    /// `None` if this is not the DER of an X.509 v3 certificate with a positive serial.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        yasna::parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let certificate = reader.next().read_sequence(Self::read)?;
                reader.next().read_der()?; // signatureAlgorithm and signature: webpki's duty
                reader.next().read_der()?;
                Ok(certificate)
            })
        })
        .ok()
    }

    /// First 16 bytes of SHA-256 over the key, as HELLO and people name it.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.spki)
    }

    /// Whether the certificate names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    fn read(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Self> {
        if reader.next().read_tagged(Tag::context(0), |r| r.read_u8())? != 2 {
            return Err(invalid());
        }
        let serial = read_serial(reader.next())?;
        reader.next().read_der()?; // signature algorithm again
        let issuer = reader.next().read_der()?;
        let (not_before, not_after) =
            reader.next().read_sequence(|r| Ok((read_time(r.next())?, read_time(r.next())?)))?;
        let mut certificate = Self {
            serial,
            issuer,
            not_before,
            not_after,
            subject: reader.next().read_der()?,
            spki: reader.next().read_der()?,
            is_ca: false,
            path_length: None,
            key_usage: None,
            extended_usage: None,
            dns_names: Vec::new(),
            uris: Vec::new(),
            subject_key: None,
            authority_key: None,
        };
        reader.read_optional(|r| r.read_tagged(Tag::context(3), |r| certificate.read_extensions(r)))?;
        Ok(certificate)
    }

    fn read_extensions(&mut self, reader: BERReader<'_, '_>) -> ASN1Result<()> {
        for extension in read_extensions(reader)? {
            let value = extension.value.as_slice();
            match extension.oid.as_slice() {
                BASIC_CONSTRAINTS => (self.is_ca, self.path_length) = read_basic_constraints(value)?,
                KEY_USAGE => self.key_usage = Some(read_key_usage(value)?),
                EXTENDED_USAGE => self.extended_usage = Some(read_extended_usage(value)?),
                ALT_NAME => (self.dns_names, self.uris) = read_alt_names(value)?,
                SUBJECT_KEY => self.subject_key = Some(yasna::parse_der(value, |r| r.read_bytes())?),
                AUTHORITY_KEY => self.authority_key = read_authority_key(value)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// One extension of a certificate, CRL or request.
pub(crate) struct Extension {
    pub oid: Vec<u64>,
    pub critical: bool,
    pub value: Vec<u8>,
}

/// A signed structure: certificate, CRL or request (RFC 5280, 4.1.1).
pub(crate) struct Signed {
    /// What was signed, as DER.
    pub message: Vec<u8>,
    /// Content of the AlgorithmIdentifier, without tag and length, as rustls-pki-types has it.
    pub algorithm: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Signed {
    pub fn from_der(der: &[u8]) -> ASN1Result<Self> {
        yasna::parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let message = reader.next().read_der()?;
                let algorithm = read_algorithm(reader.next())?;
                Ok(Self { message, algorithm, signature: read_whole_bytes(reader.next())? })
            })
        })
    }

    /// Whether the key of this SubjectPublicKeyInfo made the signature.
    pub fn is_signed_by(&self, spki: &[u8]) -> bool {
        let Ok((key_algorithm, key)) = read_spki(spki) else { return false };
        SIGNATURES.iter().any(|algorithm| {
            *algorithm.signature_alg_id() == *self.algorithm
                && *algorithm.public_key_alg_id() == *key_algorithm
                && algorithm.verify_signature(&key, &self.message, &self.signature).is_ok()
        })
    }
}

/// Content of an AlgorithmIdentifier, without tag and length.
fn read_algorithm(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    let value = reader.read_tagged_der()?;
    if value.tag() == TAG_SEQUENCE { Ok(value.value().to_vec()) } else { Err(invalid()) }
}

/// A BIT STRING of whole bytes, as keys and signatures are.
fn read_whole_bytes(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    let (bytes, bits) = reader.read_bitvec_bytes()?;
    if bits == bytes.len() * 8 { Ok(bytes) } else { Err(invalid()) }
}

/// Content of the AlgorithmIdentifier, and the key itself.
pub(crate) fn read_spki(spki: &[u8]) -> ASN1Result<(Vec<u8>, Vec<u8>)> {
    yasna::parse_der(spki, |reader| {
        reader.read_sequence(|reader| {
            let algorithm = read_algorithm(reader.next())?;
            Ok((algorithm, read_whole_bytes(reader.next())?))
        })
    })
}

pub(crate) fn fingerprint(spki: &[u8]) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, spki);
    Fingerprint(hash.as_ref().first_chunk().copied().unwrap_or_default())
}

/// `Extensions`; one OID twice is an error (RFC 5280, 4.2).
pub(crate) fn read_extensions(reader: BERReader<'_, '_>) -> ASN1Result<Vec<Extension>> {
    let mut extensions: Vec<Extension> = Vec::new();
    reader.read_sequence_of(|reader| {
        let extension = reader.read_sequence(|r| {
            let oid = r.next().read_oid()?.into_components();
            let critical = r.read_optional(|r| r.read_bool())?.unwrap_or(false);
            Ok(Extension { oid, critical, value: r.next().read_bytes()? })
        })?;
        if extensions.iter().any(|other| other.oid == extension.oid) {
            return Err(invalid());
        }
        extensions.push(extension);
        Ok(())
    })?;
    Ok(extensions)
}

pub(crate) fn read_serial(reader: BERReader<'_, '_>) -> ASN1Result<Serial> {
    let (bytes, is_positive) = reader.read_bigint_bytes()?;
    Serial::from_be_bytes(&bytes).filter(|_| is_positive).ok_or_else(invalid)
}

/// `Time`: UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5).
pub(crate) fn read_time(reader: BERReader<'_, '_>) -> ASN1Result<u32> {
    let unix_s = match reader.lookahead_tag()? {
        TAG_UTCTIME => reader.read_utctime()?.datetime().unix_timestamp(),
        TAG_GENERALIZEDTIME => reader.read_generalized_time()?.datetime().unix_timestamp(),
        _ => return Err(invalid()),
    };
    Ok(u32::try_from(unix_s.max(0)).unwrap_or(u32::MAX))
}

/// subjectAltName: the dNSNames and the URIs. What is not ASCII stays visible, to be refused.
pub(crate) fn read_alt_names(value: &[u8]) -> ASN1Result<(Vec<String>, Vec<String>)> {
    let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
    yasna::parse_der(value, |r| {
        r.read_sequence_of(|r| {
            let name = r.read_tagged_der()?;
            let text = || String::from_utf8_lossy(name.value()).into_owned();
            if name.tag() == Tag::context(2) {
                dns_names.push(text());
            } else if name.tag() == Tag::context(6) {
                uris.push(text());
            }
            Ok(())
        })
    })?;
    Ok((dns_names, uris))
}

fn read_basic_constraints(value: &[u8]) -> ASN1Result<(bool, Option<u32>)> {
    yasna::parse_der(value, |r| {
        r.read_sequence(|r| {
            let is_ca = r.read_optional(|r| r.read_bool())?.unwrap_or(false);
            Ok((is_ca, r.read_optional(|r| r.read_u32())?))
        })
    })
}

fn read_key_usage(value: &[u8]) -> ASN1Result<KeyUsage> {
    let (bytes, _) = yasna::parse_der(value, |r| r.read_bitvec_bytes())?;
    Ok(KeyUsage(bytes.first().copied().unwrap_or(0)))
}

fn read_extended_usage(value: &[u8]) -> ASN1Result<ExtendedUsage> {
    let mut usage = ExtendedUsage::default();
    yasna::parse_der(value, |r| {
        r.read_sequence_of(|r| {
            match r.read_oid()?.components().as_slice() {
                SERVER_AUTH => usage.server_auth = true,
                CLIENT_AUTH => usage.client_auth = true,
                _ => {}
            }
            Ok(())
        })
    })?;
    Ok(usage)
}

fn read_authority_key(value: &[u8]) -> ASN1Result<Option<Vec<u8>>> {
    let mut key = None;
    yasna::parse_der(value, |r| {
        r.read_sequence_of(|r| {
            let part: TaggedDerValue = r.read_tagged_der()?;
            if part.tag() == Tag::context(0) {
                key = Some(part.value().to_vec());
            }
            Ok(())
        })
    })?;
    Ok(key)
}

pub(crate) fn invalid() -> ASN1Error {
    ASN1Error::new(ASN1ErrorKind::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_ordered_and_printed_as_numbers() {
        let serial = |hex: &str| Serial::from_hex(hex);
        for (text, shown) in [("1", "01"), ("0a", "0A"), ("00ff", "FF"), (&"f".repeat(40), &"F".repeat(40))] {
            assert_eq!(serial(text).unwrap().to_string(), shown);
        }
        for bad in ["", "0", "00", "g", "-1", "+1", &"1".repeat(41)] {
            assert_eq!(serial(bad), None, "{bad}");
        }
        assert!(serial("0100") > serial("ff"));
        assert_eq!(Serial::from_be_bytes(&[0; 30]), None);
        assert_eq!(Serial::from_be_bytes(&[1; 21]), None);
        assert_eq!(Serial::from_be_bytes(&[&[0; 5][..], &[1; 20]].concat()), serial(&"01".repeat(20)));
    }

    #[test]
    fn random_serials_are_positive_long_and_different() {
        let serials: Vec<Serial> = (0..100).map(|_| Serial::random().unwrap()).collect();
        assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16 && serial.as_bytes()[0] < 0x80));
        let mut sorted = serials.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), serials.len());
    }

    #[test]
    fn one_extension_twice_is_refused() {
        let one = |oid: &[u64]| {
            yasna::construct_der(|w| {
                w.write_sequence(|w| {
                    w.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(oid));
                    w.next().write_bytes(&[5, 0]);
                });
            })
        };
        let all = |oids: &[&[u64]]| {
            yasna::construct_der(|w| {
                w.write_sequence(|w| oids.iter().for_each(|oid| w.next().write_der(&one(oid))))
            })
        };
        let count =
            |der: &[u8]| yasna::parse_der(der, read_extensions).map(|extensions| extensions.len()).ok();
        assert_eq!(count(&all(&[KEY_USAGE, ALT_NAME])), Some(2));
        assert_eq!(count(&all(&[KEY_USAGE, ALT_NAME, KEY_USAGE])), None);
    }
}
