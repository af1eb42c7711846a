//! The signing half of a CA: its key makes CA certificates, node certificates and CRLs.
//!
//! Decides nothing about names and ids (index.rs) and writes no files (cli). Read first: docs/certificates.md,
//! RFC 5280 sections 4 and 5.

use core::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, alg_id};
use yasna::models::TaggedDerValue;
use yasna::tags::{TAG_IA5STRING, TAG_PRINTABLESTRING, TAG_UTF8STRING};
use yasna::{ASN1Result, BERReader};

use crate::pki::certificate::{Certificate, Serial, read_spki};
use crate::pki::crl::Crl;
use crate::pki::csr::{Request, common_name, key_pair, library};
use crate::pki::fault::Fault;
use crate::pki::rights::Grant;
use crate::pki::text::{self, pem};
use crate::pki::verify::certificates_from_pem;

/// Certificates begin a little in the past, since clocks differ.
const BACKDATE_S: u32 = 300;

/// When the next CRL is announced. Being late is a warning only, and nothing makes lists by itself, so: long.
const CRL_PERIOD_S: u32 = 365 * 86_400;

/// A CA's key and its certificate.
pub struct Authority {
    key: KeyPair,
    certificate: Certificate,
    subject: DistinguishedName,
}

/// From when until when, in UNIX seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    pub not_before: u32,
    pub not_after: u32,
}

impl Validity {
    /// This many days from now, at most until 2106 (32 bits of seconds).
    pub fn days(now_unix_s: u32, days: u32) -> Self {
        let not_after = now_unix_s.saturating_add(days.saturating_mul(86_400));
        Self { not_before: now_unix_s.saturating_sub(BACKDATE_S), not_after }
    }
}

/// Makes the certificate of a new, self-signed CA with this key, as PEM. Its name carries a random part, so that
/// the two CAs of a rollover can be told apart.
pub fn create(network: &str, key_pem: &[u8], validity: Validity) -> Result<String, Fault> {
    let key = supported_key(key_pem)?;
    let serial = Serial::random()?;
    let [.., a, b, c] = *serial.as_bytes() else { return Err(Fault::Library("no random numbers".into())) };
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("quicap {network} {a:02x}{b:02x}{c:02x}"));
    params.subject_alt_names = vec![uri(&format!("quicap:net={network}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, serial, validity);
    let certificate = params.self_signed(&key).map_err(library)?;
    Ok(pem(text::CERTIFICATE, certificate.der()))
}

impl Authority {
    /// Reads `ca.key` and, from `ca.crt`, the certificate that belongs to it; the others are anchors of a rollover.
    ///
    /// # Errors
    /// No certificate for this key, one that may not sign, an unsupported key.
    pub fn from_pem(key_pem: &[u8], ca_pem: &[u8]) -> Result<Self, Fault> {
        let key = supported_key(key_pem)?;
        let spki = key.subject_public_key_info();
        for (nth, der) in (1..).zip(certificates_from_pem(ca_pem)?) {
            let certificate = Certificate::from_der(&der).ok_or(Fault::Malformed(text::CERTIFICATE, nth))?;
            if certificate.spki == spki {
                check_may_sign(&certificate, nth)?;
                let subject =
                    yasna::parse_der(&certificate.subject, read_subject).map_err(|_| Fault::Subject)?;
                return Ok(Self { key, certificate, subject });
            }
        }
        Err(Fault::KeyMismatch)
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The network that the CA's own certificate names, as those of `quicap ca init` do.
    pub fn network(&self) -> Option<&str> {
        self.certificate.uris.iter().find_map(|uri| uri.strip_prefix("quicap:net="))
    }

    /// Signs a node's certificate.
    pub fn issue(
        &self,
        request: &Request,
        grant: &Grant,
        serial: Serial,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, Fault> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&request.name);
        let name = SanType::DnsName(request.name.as_str().try_into().map_err(library)?);
        let uris = grant.to_uris().into_iter().map(|text| uri(&text));
        params.subject_alt_names = core::iter::once(Ok(name)).chain(uris).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = self.certificate.subject_key.is_some();
        set_validity(&mut params, serial, validity);
        let signed = params.signed_by(&request.key, &self.issuer()).map_err(library)?;
        match Certificate::from_der(signed.der()) {
            Some(made) if made.issuer == self.certificate.subject => Ok(signed.into()),
            _ => Err(Fault::Subject),
        }
    }

    /// Makes the list of everything revoked (serial and UNIX seconds). Expired certificates stay on it: a node
    /// whose clock is wrong must refuse them too.
    pub fn revoke(&self, number: u64, revoked: &[(Serial, u32)], now_unix_s: u32) -> Result<Crl, Fault> {
        let next_update =
            now_unix_s.saturating_add(CRL_PERIOD_S).min(self.certificate.not_after).max(now_unix_s);
        let revoked_certs = revoked.iter().map(|(serial, at)| RevokedCertParams {
            serial_number: serial_number(*serial),
            revocation_time: date_time_ymd(1970, 1, 1) + seconds(*at),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + seconds(now_unix_s),
            next_update: date_time_ymd(1970, 1, 1) + seconds(next_update),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: self.key_identifier(),
        };
        let signed = list.signed_by(&self.issuer()).map_err(library)?;
        Crl::from_der(signed.der()).filter(|crl| crl.is_from(&self.certificate)).ok_or(Fault::Subject)
    }

    fn issuer(&self) -> Issuer<'static, &KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name = self.subject.clone();
        params.key_identifier_method = self.key_identifier();
        Issuer::new(params, &self.key)
    }

    fn key_identifier(&self) -> KeyIdMethod {
        self.certificate.subject_key.clone().map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified)
    }
}

fn check_may_sign(certificate: &Certificate, nth: usize) -> Result<(), Fault> {
    if !certificate.is_ca {
        return Err(Fault::NotACa(nth, "CA:TRUE"));
    }
    match certificate.key_usage {
        Some(usage) if !usage.cert_sign() => Err(Fault::NotACa(nth, "keyCertSign")),
        Some(usage) if !usage.crl_sign() => Err(Fault::NotACa(nth, "cRLSign")),
        _ => Ok(()),
    }
}

/// A CA's key: what nodes can verify. ECDSA P-256, P-384 or Ed25519.
fn supported_key(key_pem: &[u8]) -> Result<KeyPair, Fault> {
    let key = key_pair(key_pem)?;
    let (algorithm, _) = read_spki(&key.subject_public_key_info()).map_err(|_| Fault::KeyUnsupported)?;
    let is_supported =
        [alg_id::ECDSA_P256, alg_id::ECDSA_P384, alg_id::ED25519].iter().any(|id| **id == *algorithm);
    if is_supported { Ok(key) } else { Err(Fault::KeyUnsupported) }
}

/// Copies a distinguished name. rcgen keeps one value for each attribute, so some names come out otherwise: what
/// is made with them is compared with the original.
fn read_subject(reader: BERReader<'_, '_>) -> ASN1Result<DistinguishedName> {
    let mut subject = DistinguishedName::new();
    reader.read_sequence_of(|r| {
        r.read_set_of(|r| {
            r.read_sequence(|r| {
                let kind = DnType::from_oid(r.next().read_oid()?.components());
                subject.push(kind, dn_value(&r.next().read_tagged_der()?));
                Ok(())
            })
        })
    })?;
    Ok(subject)
}

fn dn_value(value: &TaggedDerValue) -> DnValue {
    let text = String::from_utf8_lossy(value.value()).into_owned();
    let exact = match value.tag() {
        TAG_PRINTABLESTRING => text.as_str().try_into().ok().map(DnValue::PrintableString),
        TAG_IA5STRING => text.as_str().try_into().ok().map(DnValue::Ia5String),
        TAG_UTF8STRING => Some(DnValue::Utf8String(text.clone())),
        _ => None,
    };
    exact.unwrap_or(DnValue::Utf8String(text))
}

fn set_validity(params: &mut CertificateParams, serial: Serial, validity: Validity) {
    params.serial_number = Some(serial_number(serial));
    params.not_before = date_time_ymd(1970, 1, 1) + seconds(validity.not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + seconds(validity.not_after);
}

fn uri(text: &str) -> Result<SanType, Fault> {
    Ok(SanType::URI(text.try_into().map_err(library)?))
}

fn serial_number(serial: Serial) -> SerialNumber {
    serial.as_bytes().to_vec().into()
}

const fn seconds(count: u32) -> Duration {
    Duration::from_secs(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::csr::generate_key;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn a_new_ca_may_sign_nodes_and_lists_and_nothing_below() {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, 7300)).unwrap();
        let ca = Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap();
        let certificate = ca.certificate();
        assert_eq!((certificate.is_ca, certificate.path_length), (true, Some(0)));
        assert!(certificate.key_usage.is_some_and(|usage| usage.cert_sign() && usage.crl_sign()));
        assert!(certificate.key_usage.is_some_and(|usage| !usage.digital_signature()));
        assert_eq!((certificate.not_before, certificate.not_after), (NOW - 300, NOW + 7300 * 86_400));
        assert_eq!(ca.network(), Some("home"));
    }

    #[test]
    fn two_cas_of_one_network_have_different_subjects() {
        let subject = || {
            let key = generate_key().unwrap();
            let ca = create("home", key.as_bytes(), Validity::days(NOW, 1)).unwrap();
            Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap().certificate.subject
        };
        assert_ne!(subject(), subject());
    }

    #[test]
    fn validity_stops_where_32_bits_do() {
        assert_eq!(Validity::days(NOW, u32::MAX).not_after, u32::MAX);
        assert_eq!(Validity::days(0, 1), Validity { not_before: 0, not_after: 86_400 });
    }
}
