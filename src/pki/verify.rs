//! Judges certificates: is this chain a member of our network, now, and with which rights?
//!
//! rustls-webpki builds and verifies the chain; what it does not check (key usage, path length of anchors, dates
//! of anchors, CRLs of several CAs with one name) and what it knows nothing of (our names and rights) is checked
//! here. The order matters: nothing inside a certificate is believed before its signature is. Read first:
//! docs/certificates.md, RFC 5280 section 6.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

use crate::pki::certificate::{Certificate, SIGNATURES, Serial};
use crate::pki::crl::Crl;
use crate::pki::date::Day;
use crate::pki::fault::Fault;
use crate::pki::rights::{Grant, Rights, shown};
use crate::types::{Fingerprint, NodeId};

/// Whom we believe: the anchors of `ca.crt`, the lists of `crl.pem`, and the name of our network.
pub struct Trust {
    network: String,
    /// One for each of `roots`, in the same order.
    anchors: Vec<Certificate>,
    roots: Vec<TrustAnchor<'static>>,
    crls: Vec<Crl>,
}

/// A member of the network, as its certificate describes it. Times are UNIX seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub name: String,
    pub id: NodeId,
    pub fingerprint: Fingerprint,
    pub rights: Rights,
    pub not_before: u32,
    pub not_after: u32,
    pub serial: Serial,
}

/// Why a certificate is refused. The words are for the operator at either end: they also travel to the other
/// side as the reason of the CONNECTION_CLOSE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No certificate at all.
    NoCertificate,
    /// Not the DER of an X.509 v3 certificate.
    Malformed,
    /// The CA's certificate where a node's is expected.
    CaAsNode,
    SelfSigned,
    UnknownIssuer,
    /// The issuer is one of ours, the signature is not its work.
    BadSignature,
    /// An issuer on the way uses an algorithm other than ECDSA P-256, P-384 or Ed25519.
    UnsupportedAlgorithm,
    /// A critical extension that we do not know: we must refuse (RFC 5280, 4.2).
    CriticalExtension,
    /// Name constraints of a CA on the way exclude it.
    Excluded,
    /// Expired at these UNIX seconds.
    Expired(u32),
    NotYetValid(u32),
    Revoked,
    IssuerExpired(u32),
    IssuerNotYetValid(u32),
    IssuerRevoked,
    /// An issuer on the way without CA:TRUE.
    IssuerNotCa,
    IssuerLacksCertSign,
    /// An issuer on the way is limited to other purposes (extendedKeyUsage).
    IssuerPurpose,
    PathTooLong,
    LacksDigitalSignature,
    LacksServerAuth,
    LacksClientAuth,
    NoName,
    TwoNames,
    WildcardName(String),
    BadName(String),
    NoNetwork,
    TwoNetworks,
    OtherNetwork {
        found: String,
        ours: String,
    },
    NoId,
    BadId(String),
    TwoIds,
    UnknownRight(String),
    RepeatedRight(String),
    MalformedRight(String),
    /// A member, but not the one that was dialed.
    UnexpectedName {
        found: String,
        expected: String,
    },
}

impl Trust {
    /// Reads `ca.crt` and, if there is one, `crl.pem`; every certificate in `ca.crt` becomes an anchor.
    ///
    /// # Errors
    /// No or unreadable certificates, an anchor that may not sign, a CRL that its CA did not sign.
    pub fn from_pem(network: &str, ca_pem: &[u8], crl_pem: Option<&[u8]>) -> Result<Self, Fault> {
        let mut trust =
            Self { network: network.to_owned(), anchors: Vec::new(), roots: Vec::new(), crls: Vec::new() };
        for (nth, der) in (1..).zip(certificates_from_pem(ca_pem)?) {
            trust.add_anchor(nth, &der)?;
        }
        for (nth, crl) in (1..).zip(Crl::all_from_pem(crl_pem.unwrap_or_default())?) {
            trust.check_crl(nth, &crl)?;
            trust.crls.push(crl);
        }
        Ok(trust)
    }

    /// Judges a chain as it came from TLS, the node's certificate first. With `trusted` false, `now_unix_s` is a
    /// lower bound: nothing is refused for not being valid yet.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        now_unix_s: u32,
        trusted: bool,
    ) -> Result<Member, Refusal> {
        let (der, intermediates) = chain.split_first().ok_or(Refusal::NoCertificate)?;
        let leaf = Certificate::from_der(der).ok_or(Refusal::Malformed)?;
        if leaf.is_ca {
            return Err(Refusal::CaAsNode);
        }
        let now = Now { unix_s: now_unix_s, trusted };
        self.verify_chain(der, &leaf, intermediates, now)?;
        check_usage(&leaf)?;
        let name = node_name(&leaf)?;
        let grant = Grant::from_uris(leaf.uris.iter().map(String::as_str))?;
        if grant.network != self.network {
            return Err(Refusal::OtherNetwork { found: grant.network, ours: self.network.clone() });
        }
        Ok(Member {
            name,
            id: grant.id,
            fingerprint: leaf.fingerprint(),
            rights: grant.rights,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            serial: leaf.serial,
        })
    }

    pub fn network(&self) -> &str {
        &self.network
    }

    pub fn anchors(&self) -> &[Certificate] {
        &self.anchors
    }

    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// The highest number of our CRLs; `None` without a CRL, or when it carries no number.
    pub fn crl_number(&self) -> Option<u64> {
        self.crls.iter().filter_map(|crl| crl.number).max()
    }

    /// What the operator should know though it refuses nobody: overdue or foreign CRLs, anchors that expired.
    pub fn warnings(&self, now_unix_s: u32) -> Vec<String> {
        let overdue = self.crls.iter().filter_map(|crl| crl.next_update).filter(|due| *due < now_unix_s);
        let mut warnings: Vec<String> =
            overdue.map(|due| format!("CRL: a new one was due on {}; still used", Day(due))).collect();
        let is_foreign = |crl: &&Crl| !self.anchors.iter().any(|ca| ca.subject == crl.issuer);
        if self.crls.iter().any(|crl| is_foreign(&crl)) {
            warnings
                .push("CRL: its issuer is not in ca.crt; it only counts for an intermediate CA".to_owned());
        }
        let expired = self.anchors.iter().filter(|ca| ca.not_after < now_unix_s);
        warnings.extend(
            expired.map(|ca| format!("CA: a certificate in ca.crt expired on {}", Day(ca.not_after))),
        );
        warnings
    }

    fn add_anchor(&mut self, nth: usize, der: &CertificateDer<'_>) -> Result<(), Fault> {
        let anchor = Certificate::from_der(der).ok_or(Fault::Malformed("CERTIFICATE", nth))?;
        if !anchor.is_ca {
            return Err(Fault::NotACa(nth, "CA:TRUE"));
        }
        if anchor.key_usage.is_some_and(|usage| !usage.cert_sign()) {
            return Err(Fault::NotACa(nth, "keyCertSign"));
        }
        let root = webpki::anchor_from_trusted_cert(der).map_err(|_| Fault::Malformed("CERTIFICATE", nth))?;
        self.roots.push(root.to_owned());
        self.anchors.push(anchor);
        Ok(())
    }

    /// A list that names an anchor must be that anchor's work: a damaged one must not be taken for "nobody is
    /// revoked". One that names none is kept for the intermediates that peers send.
    fn check_crl(&self, nth: usize, crl: &Crl) -> Result<(), Fault> {
        let mut named = self.anchors.iter().filter(|ca| ca.subject == crl.issuer).peekable();
        if named.peek().is_none() {
            return Ok(());
        }
        let signer = named.find(|ca| crl.is_from(ca)).ok_or(Fault::CrlSignature(nth))?;
        if signer.key_usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(Fault::CrlNotAllowed(nth));
        }
        Ok(())
    }

    fn verify_chain(
        &self,
        der: &CertificateDer<'_>,
        leaf: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: Now,
    ) -> Result<(), Refusal> {
        let entity = EndEntityCert::try_from(der).map_err(|e| self.refusal(e, leaf))?;
        let issuers: Vec<Certificate> =
            intermediates.iter().filter_map(|der| Certificate::from_der(der)).collect();
        let time = now.for_chain(leaf, &issuers);
        let objection = RefCell::new(None);
        let check = |path: &VerifiedPath<'_>| {
            self.check_path(path, leaf, now).map_err(|refusal| {
                objection.replace(Some(refusal));
                webpki::Error::UnknownIssuer
            })
        };
        let verdict = entity.verify_for_usage(
            SIGNATURES,
            &self.roots,
            intermediates,
            time,
            AnyUsage,
            None,
            Some(&check),
        );
        match (verdict.map(drop), objection.take()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(error), None) => Err(self.refusal(error, leaf)),
        }
    }

    /// What webpki leaves to us, on a path whose signatures and intermediates' dates are good.
    fn check_path(&self, path: &VerifiedPath<'_>, leaf: &Certificate, now: Now) -> Result<(), Refusal> {
        let is_root = |root: &TrustAnchor<'_>| core::ptr::eq(root, path.anchor());
        let nth = self.roots.iter().position(is_root).ok_or(Refusal::UnknownIssuer)?;
        let anchor = self.anchors.get(nth).ok_or(Refusal::UnknownIssuer)?;
        let read = |cert: &webpki::Cert<'_>| Certificate::from_der(&cert.der()).ok_or(Refusal::Malformed);
        // From the leaf's issuer up to the anchor.
        let mut issuers = path.intermediate_certificates().map(read).collect::<Result<Vec<_>, _>>()?;
        issuers.push(anchor.clone());
        for (below, issuer) in issuers.iter().enumerate() {
            check_issuer(issuer, below, now)?;
            match below.checked_sub(1).and_then(|i| issuers.get(i)) {
                Some(ca) if self.is_revoked(ca.serial, issuer) => return Err(Refusal::IssuerRevoked),
                None if self.is_revoked(leaf.serial, issuer) => return Err(Refusal::Revoked),
                _ => {}
            }
        }
        Ok(())
    }

    fn is_revoked(&self, serial: Serial, issuer: &Certificate) -> bool {
        let may_sign = issuer.key_usage.is_none_or(|usage| usage.crl_sign());
        may_sign && self.crls.iter().any(|crl| crl.revokes(serial) && crl.is_from(issuer))
    }

    fn refusal(&self, error: webpki::Error, leaf: &Certificate) -> Refusal {
        use webpki::Error as E;
        match error {
            E::CertExpired { not_after, .. } => match clamp(not_after) {
                date if date == leaf.not_after => Refusal::Expired(date),
                date => Refusal::IssuerExpired(date),
            },
            E::CertNotValidYet { not_before, .. } => match clamp(not_before) {
                date if date == leaf.not_before => Refusal::NotYetValid(date),
                date => Refusal::IssuerNotYetValid(date),
            },
            E::InvalidSignatureForPublicKey if self.is_other_key(leaf) => Refusal::UnknownIssuer,
            E::InvalidSignatureForPublicKey => Refusal::BadSignature,
            E::UnknownIssuer if leaf.is_self_issued() => Refusal::SelfSigned,
            E::UnknownIssuer => Refusal::UnknownIssuer,
            E::CaUsedAsEndEntity => Refusal::CaAsNode,
            E::EndEntityUsedAsCa => Refusal::IssuerNotCa,
            E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => Refusal::PathTooLong,
            E::NameConstraintViolation => Refusal::Excluded,
            E::UnsupportedCriticalExtension => Refusal::CriticalExtension,
            E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | E::SignatureAlgorithmMismatch => Refusal::UnsupportedAlgorithm,
            E::InvalidCertValidity => Refusal::Expired(leaf.not_after),
            _ => Refusal::Malformed,
        }
    }

    /// Whether the leaf says that its issuer's key is none of our anchors' of that name.
    fn is_other_key(&self, leaf: &Certificate) -> bool {
        let mut anchors = self.anchors.iter().filter(|ca| ca.subject == leaf.issuer);
        leaf.authority_key.is_some() && !anchors.any(|ca| ca.subject_key == leaf.authority_key)
    }
}

impl Member {
    /// Refuses everybody but the named node.
    pub fn expect_name(self, expected: Option<&str>) -> Result<Self, Refusal> {
        match expected {
            Some(expected) if expected != self.name => {
                Err(Refusal::UnexpectedName { found: self.name, expected: expected.to_owned() })
            }
            _ => Ok(self),
        }
    }
}

/// All certificates of a PEM file, at least one.
pub(crate) fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| Fault::Pem)?;
    if certificates.is_empty() { Err(Fault::Missing("CERTIFICATE")) } else { Ok(certificates) }
}

/// 1 to 63 of `a-z0-9-`, beginning with a letter.
pub fn is_node_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_plain)
}

#[derive(Clone, Copy)]
struct Now {
    unix_s: u32,
    trusted: bool,
}

impl Now {
    fn is_before(self, date: u32) -> bool {
        self.trusted && self.unix_s < date
    }

    fn is_after(self, date: u32) -> bool {
        self.unix_s > date
    }

    /// The time to judge the chain at. An untrusted clock is a lower bound: the earliest moment from then on at
    /// which all certificates have begun.
    fn for_chain(self, leaf: &Certificate, issuers: &[Certificate]) -> UnixTime {
        let begins = issuers.iter().map(|ca| ca.not_before).fold(leaf.not_before, u32::max);
        let unix_s = if self.trusted { self.unix_s } else { self.unix_s.max(begins) };
        UnixTime::since_unix_epoch(Duration::from_secs(unix_s.into()))
    }
}

/// Purposes are checked by us, with a reason for each; webpki knows one purpose at a time.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn check_issuer(issuer: &Certificate, below: usize, now: Now) -> Result<(), Refusal> {
    if now.is_after(issuer.not_after) {
        return Err(Refusal::IssuerExpired(issuer.not_after));
    }
    if now.is_before(issuer.not_before) {
        return Err(Refusal::IssuerNotYetValid(issuer.not_before));
    }
    if !issuer.is_ca {
        return Err(Refusal::IssuerNotCa);
    }
    if issuer.key_usage.is_some_and(|usage| !usage.cert_sign()) {
        return Err(Refusal::IssuerLacksCertSign);
    }
    if issuer.path_length.is_some_and(|most| usize::try_from(most).is_ok_and(|most| below > most)) {
        return Err(Refusal::PathTooLong);
    }
    if issuer.extended_usage.is_some_and(|usage| !usage.server_auth || !usage.client_auth) {
        return Err(Refusal::IssuerPurpose);
    }
    Ok(())
}

fn check_usage(leaf: &Certificate) -> Result<(), Refusal> {
    let extended = leaf.extended_usage.unwrap_or_default();
    if !leaf.key_usage.is_some_and(|usage| usage.digital_signature()) {
        Err(Refusal::LacksDigitalSignature)
    } else if !extended.server_auth {
        Err(Refusal::LacksServerAuth)
    } else if !extended.client_auth {
        Err(Refusal::LacksClientAuth)
    } else {
        Ok(())
    }
}

fn node_name(leaf: &Certificate) -> Result<String, Refusal> {
    match leaf.dns_names.as_slice() {
        [] => Err(Refusal::NoName),
        [name] if name.contains('*') => Err(Refusal::WildcardName(shown(name))),
        [name] if is_node_name(name) => Ok(name.clone()),
        [name] => Err(Refusal::BadName(shown(name))),
        _ => Err(Refusal::TwoNames),
    }
}

fn clamp(time: UnixTime) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(date) => write!(f, "certificate expired on {}", Day(*date)),
            Self::NotYetValid(date) => write!(f, "certificate is not valid before {}", Day(*date)),
            Self::IssuerExpired(date) => write!(f, "certificate of the CA expired on {}", Day(*date)),
            Self::IssuerNotYetValid(date) => {
                write!(f, "certificate of the CA is not valid before {}", Day(*date))
            }
            Self::WildcardName(name) => write!(f, "certificate has the wildcard name '{name}'"),
            Self::BadName(name) => write!(
                f,
                "certificate has the name '{name}', expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter"
            ),
            Self::OtherNetwork { found, ours } => {
                write!(f, "certificate is for network '{found}', not '{ours}'")
            }
            Self::BadId(id) => write!(f, "certificate has quicap:id={id}, expected 1 to {}", NodeId::MAX),
            Self::UnknownRight(uri) => write!(f, "certificate has the unknown right {uri}"),
            Self::RepeatedRight(uri) => write!(f, "certificate repeats the right {uri}"),
            Self::MalformedRight(uri) => write!(f, "certificate has the malformed right {uri}"),
            Self::UnexpectedName { found, expected } => write!(f, "name is '{found}', expected '{expected}'"),
            fixed => f.write_str(fixed.words()),
        }
    }
}

impl core::error::Error for Refusal {}

impl Refusal {
    /// The words of the reasons without details.
    fn words(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no certificate was presented",
            Self::Malformed => "certificate cannot be read",
            Self::CaAsNode => "a CA certificate is no node certificate",
            Self::SelfSigned => "certificate is self-signed, not issued by the network's CA",
            Self::UnknownIssuer => "certificate was issued by another CA",
            Self::BadSignature => "certificate has a wrong signature",
            Self::UnsupportedAlgorithm => {
                "certificate is signed with an unsupported algorithm, expected ECDSA P-256, P-384 or Ed25519"
            }
            Self::CriticalExtension => "certificate has an unknown critical extension",
            Self::Excluded => "certificate is excluded by the name constraints of its CA",
            Self::Revoked => "certificate was revoked",
            Self::IssuerRevoked => "certificate of the intermediate CA was revoked",
            Self::IssuerNotCa => "certificate was issued by a certificate that is no CA",
            Self::IssuerLacksCertSign => "certificate was issued by a CA that lacks keyCertSign",
            Self::IssuerPurpose => "certificate was issued by a CA limited to other purposes",
            Self::PathTooLong => "certificate has more intermediate CAs than its CA allows (pathlen)",
            Self::LacksDigitalSignature => "certificate lacks the key usage digitalSignature",
            Self::LacksServerAuth => "certificate lacks the extended key usage serverAuth",
            Self::LacksClientAuth => "certificate lacks the extended key usage clientAuth",
            Self::NoName => "certificate has no name (SAN dNSName)",
            Self::TwoNames => "certificate has two names, expected one SAN dNSName",
            Self::NoNetwork => "certificate has no quicap:net",
            Self::TwoNetworks => "certificate has two quicap:net",
            Self::NoId => "certificate has no quicap:id",
            Self::TwoIds => "certificate has two quicap:id",
            _ => "certificate refused",
        }
    }
}
