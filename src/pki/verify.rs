//! Judges certificates: is this chain a member of our network, now, and with which rights?
//!
//! rustls-webpki builds and verifies the chain; what it does not check (key usage, path length of anchors, dates
//! of anchors, CRLs of several CAs with one name) and what it knows nothing of (our names and rights) is checked
//! here. The order matters: nothing inside a certificate is believed before its signature is. Read first:
//! docs/certificates.md, RFC 5280 section 6.

use core::cell::{Cell, RefCell};
use core::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

use crate::limits::{CHAIN_CERTIFICATES, CHAIN_WAYS, CRL_TOLD};
use crate::pki::certificate::{Certificate, SIGNATURES, Serial};
use crate::pki::clock::Now;
use crate::pki::crl::Crl;
use crate::pki::date::Day;
use crate::pki::fault::Fault;
pub use crate::pki::refusal::Refusal;
use crate::pki::rights::{Grant, Rights, shown};
use crate::pki::signature::PublicKey;
use crate::types::{Fingerprint, NodeId};

/// Whom we believe: the anchors of `ca.crt`, the lists of `crl.pem`, and the name of our network.
#[derive(Clone)]
pub struct Trust {
    network: String,
    /// One for each of `roots`, in the same order.
    pub(super) anchors: Vec<Certificate>,
    roots: Vec<TrustAnchor<'static>>,
    pub(super) crls: Vec<Crl>,
}

/// A member of the network, as its certificate describes it. Times are UNIX seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub name: String,
    pub id: NodeId,
    pub fingerprint: Fingerprint,
    pub key: PublicKey,
    pub rights: Rights,
    pub not_before: u32,
    pub not_after: u32,
    /// When the first certificate on the way up to our anchor ends, the anchor's own included.
    pub valid_until: u32,
    pub serial: Serial,
}

impl Member {
    /// Whether this certificate was issued after the other: the one to go by where both of a node are at hand.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.not_before, self.serial) > (other.not_before, other.serial)
    }

    /// Whether both certificates are of one node: keys and dates may differ.
    pub fn is_same_node(&self, other: &Self) -> bool {
        self.id == other.id && self.name == other.name
    }
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
            trust.add_crl(nth, crl)?;
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
        if chain.len() > CHAIN_CERTIFICATES {
            return Err(Refusal::TooManyIssuers);
        }
        let leaf = Certificate::from_der(der).ok_or(Refusal::Malformed)?;
        if leaf.is_ca {
            return Err(Refusal::CaAsNode);
        }
        let now = Now { unix_s: now_unix_s, trusted };
        let valid_until = self.verify_chain(der, &leaf, intermediates, now)?;
        check_usage(&leaf)?;
        let key = PublicKey::from_spki(&leaf.spki).ok_or(Refusal::UnsupportedKey)?;
        let name = node_name(&leaf)?;
        let grant = Grant::from_uris(leaf.uris.iter().map(String::as_str))?;
        if grant.network != self.network {
            return Err(Refusal::OtherNetwork { found: grant.network, ours: self.network.clone() });
        }
        Ok(Member {
            name,
            id: grant.id,
            fingerprint: leaf.fingerprint(),
            key,
            rights: grant.rights,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            valid_until,
            serial: leaf.serial,
        })
    }

    pub fn network(&self) -> &str {
        &self.network
    }

    pub fn anchors(&self) -> &[Certificate] {
        &self.anchors
    }

    /// Whether both believe the same CAs; their lists may differ.
    pub fn has_anchors_of(&self, other: &Self) -> bool {
        self.roots == other.roots && self.anchors == other.anchors
    }

    /// What the operator should know though it refuses nobody: overdue or foreign CRLs, anchors that expired.
    pub fn warnings(&self, now_unix_s: u32) -> Vec<String> {
        let overdue = self.crls.iter().filter_map(|crl| crl.next_update).filter(|due| *due < now_unix_s);
        let mut warnings: Vec<String> =
            overdue.map(|due| format!("CRL: a new one was due on {}; still used", Day(due))).collect();
        if self.crls.iter().any(|crl| self.is_foreign(crl)) {
            warnings
                .push("CRL: its issuer is not in ca.crt; it only counts for an intermediate CA".to_owned());
        }
        if self.crls.iter().any(|crl| crl.der.len() > CRL_TOLD) {
            warnings.push("CRL: too long to be told to other nodes; copy it to each of them".to_owned());
        }
        let expired = self.anchors.iter().filter(|ca| ca.not_after < now_unix_s);
        warnings.extend(
            expired.map(|ca| format!("CA: a certificate in ca.crt expired on {}", Day(ca.not_after))),
        );
        warnings
    }

    /// When there will be a further warning, if nobody does anything.
    pub fn next_warning(&self, now_unix_s: u32) -> Option<u32> {
        let lists = self.crls.iter().filter_map(|crl| crl.next_update);
        let ends = lists.chain(self.anchors.iter().map(|ca| ca.not_after));
        ends.filter(|end| *end >= now_unix_s).min().map(|end| end.saturating_add(1))
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

    /// Until when the chain is good.
    fn verify_chain(
        &self,
        der: &CertificateDer<'_>,
        leaf: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: Now,
    ) -> Result<u32, Refusal> {
        let entity = EndEntityCert::try_from(der).map_err(|e| self.refusal(e, leaf))?;
        // Those that cannot be read are of no use to anybody.
        let read = |der: &CertificateDer<'_>| Some((Certificate::from_der(der)?, der.clone().into_owned()));
        let (issuers, intermediates): (Vec<_>, Vec<_>) = intermediates.iter().filter_map(read).unzip();
        if self.ways(&leaf.issuer, &issuers, 0) > CHAIN_WAYS {
            return Err(Refusal::TooManyIssuers);
        }
        let time = time_for(now, leaf, &issuers);
        let (objection, valid_until) = (RefCell::new(None), Cell::new(leaf.not_after));
        let check = |path: &VerifiedPath<'_>| {
            self.check_path(path, leaf, now).map(|until| valid_until.set(until)).map_err(|refusal| {
                objection.replace(Some(refusal));
                webpki::Error::UnknownIssuer
            })
        };
        let verdict = entity.verify_for_usage(
            SIGNATURES,
            &self.roots,
            &intermediates,
            time,
            AnyUsage,
            None,
            Some(&check),
        );
        match (verdict.map(drop), objection.take()) {
            (Ok(()), _) => Ok(valid_until.get()),
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(error), None) => Err(self.refusal(error, leaf)),
        }
    }

    /// How many ways lead on from an issuer of that name, by the names alone: seven certificates that all have one name make
    /// thousands, of which webpki looks at the signatures of a hundred. `used`: those of the way so far, one bit each.
    fn ways(&self, name: &[u8], issuers: &[Certificate], used: u8) -> usize {
        const _: () = assert!(CHAIN_CERTIFICATES - 1 <= u8::BITS as usize);
        let mut ways = self.anchors.iter().filter(|ca| ca.subject == name).count();
        for (nth, issuer) in issuers.iter().enumerate().take(CHAIN_CERTIFICATES - 1) {
            if ways > CHAIN_WAYS {
                break;
            }
            if used & 1 << nth == 0 && issuer.subject == name {
                ways += 1 + self.ways(&issuer.issuer, issuers, used | 1 << nth);
            }
        }
        ways
    }

    /// What webpki leaves to us, on a path whose signatures and intermediates' dates are good. Tells its first end.
    fn check_path(&self, path: &VerifiedPath<'_>, leaf: &Certificate, now: Now) -> Result<u32, Refusal> {
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
        Ok(issuers.iter().map(|issuer| issuer.not_after).fold(leaf.not_after, u32::min))
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

/// The time to judge the chain at. An untrusted clock is a lower bound: the earliest moment from then on at which all
/// certificates have begun.
fn time_for(now: Now, leaf: &Certificate, issuers: &[Certificate]) -> UnixTime {
    let begins = issuers.iter().map(|ca| ca.not_before).fold(leaf.not_before, u32::max);
    let unix_s = if now.trusted { now.unix_s } else { now.unix_s.max(begins) };
    UnixTime::since_unix_epoch(Duration::from_secs(unix_s.into()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::{Request, generate_key, make_request};
    use crate::pki::text;

    const NOW: u32 = 1_800_000_000;

    struct Network {
        ca: String,
        authority: Authority,
    }

    impl Network {
        fn new() -> Self {
            let key = generate_key().unwrap();
            let ca = create("home", key.as_bytes(), Validity::days(NOW, 10)).unwrap();
            let authority = Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap();
            Self { ca, authority }
        }

        fn sign(&self, name: &str, serial: u8) -> CertificateDer<'static> {
            let key = generate_key().unwrap();
            let request = make_request(name, key.as_bytes()).unwrap();
            let grant = Grant {
                network: "home".into(),
                id: NodeId::new(7).unwrap(),
                rights: Rights { gateway: true, ..Rights::default() },
            };
            let serial = Serial::from_be_bytes(&[serial]).unwrap();
            let request = Request::from_pem(request.as_bytes()).unwrap();
            self.authority.issue(&request, &grant, serial, Validity::days(NOW, 5)).unwrap()
        }

        fn trust(&self, crl: Option<&Crl>) -> Trust {
            let crl = crl.map(|crl| text::pem(text::CRL, &crl.der));
            Trust::from_pem("home", self.ca.as_bytes(), crl.as_deref().map(str::as_bytes)).unwrap()
        }
    }

    #[test]
    fn a_member_is_what_its_certificate_says() {
        let network = Network::new();
        let der = network.sign("office", 9);
        let member = network.trust(None).judge(&[der], NOW, true).unwrap();
        assert_eq!(
            (member.name.as_str(), member.id.value(), member.serial.as_bytes()),
            ("office", 7, &[9][..])
        );
        assert!(member.rights.gateway);
        assert_eq!((member.not_before, member.not_after), (NOW - 300, NOW + 5 * 86_400));
        assert_eq!(member.valid_until, member.not_after);
        assert!(member.clone().expect_name(Some("office")).is_ok());
        assert!(member.expect_name(Some("attic")).is_err());
    }

    #[test]
    fn a_member_is_valid_until_the_first_end_on_its_chain() {
        let mut network = Network::new();
        let key = generate_key().unwrap();
        network.ca = create("home", key.as_bytes(), Validity::days(NOW, 3)).unwrap();
        network.authority = Authority::from_pem(key.as_bytes(), network.ca.as_bytes()).unwrap();
        let (trust, der) = (network.trust(None), network.sign("office", 9));
        let member = trust.judge(&[der], NOW, true).unwrap();
        assert_eq!((member.not_after, member.valid_until), (NOW + 5 * 86_400, NOW + 3 * 86_400));
        assert_eq!(trust.next_warning(NOW), Some(NOW + 3 * 86_400 + 1));
        assert_eq!(trust.warnings(NOW + 3 * 86_400), Vec::<String>::new());
        assert_eq!(trust.warnings(NOW + 3 * 86_400 + 1).len(), 1);
        assert_eq!(trust.next_warning(NOW + 3 * 86_400 + 1), None);
        let newer = Member { serial: Serial::from_be_bytes(&[10]).unwrap(), ..member.clone() };
        let newest = Member { not_before: NOW, ..member.clone() };
        assert!(newer.is_newer_than(&member) && newest.is_newer_than(&newer));
        assert!(!member.is_newer_than(&member) && !member.is_newer_than(&newest));
    }

    #[test]
    fn dates_are_inclusive_and_an_untrusted_clock_only_bounds_from_below() {
        let network = Network::new();
        let (trust, der) = (network.trust(None), network.sign("a", 1));
        let (begin, end) = (NOW - 300, NOW + 5 * 86_400);
        for (now, trusted, expected) in [
            (begin, true, None),
            (end, true, None),
            (begin - 1, true, Some(Refusal::NotYetValid(begin))),
            (end + 1, true, Some(Refusal::Expired(end))),
            (0, false, None),
            (end, false, None),
            (end + 1, false, Some(Refusal::Expired(end))),
        ] {
            let refusal = trust.judge(core::slice::from_ref(&der), now, trusted).err();
            assert_eq!(refusal, expected, "{now} {trusted}");
        }
    }

    #[test]
    fn only_listed_serials_are_revoked() {
        let network = Network::new();
        let listed =
            [(Serial::from_be_bytes(&[2]).unwrap(), NOW), (Serial::from_be_bytes(&[4]).unwrap(), NOW)];
        let crl = network.authority.revoke(3, &listed, NOW).unwrap();
        let trust = network.trust(Some(&crl));
        assert_eq!(trust.crl_number(), Some(3));
        for serial in 1..=5 {
            let expected = listed.iter().any(|(s, _)| s.as_bytes() == [serial]).then_some(Refusal::Revoked);
            assert_eq!(trust.judge(&[network.sign("a", serial)], NOW, true).err(), expected, "{serial}");
        }
    }

    #[test]
    fn no_certificate_and_no_der_are_refused() {
        let trust = Network::new().trust(None);
        assert_eq!(trust.judge(&[], NOW, true), Err(Refusal::NoCertificate));
        assert_eq!(trust.judge(&[vec![0x30, 0].into()], NOW, true), Err(Refusal::Malformed));
    }

    /// The chain of somebody who has no certificate: all name the CA, and each other.
    fn crowd(trust: &Trust, number: usize) -> Vec<CertificateDer<'static>> {
        let subject = &trust.anchors()[0].subject;
        let name =
            String::from_utf8_lossy(&subject[subject.len() - "quicap home abcdef".len()..]).into_owned();
        let certificate = |nth| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name.as_str());
            if nth > 0 {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().into()
        };
        (0..number).map(certificate).collect()
    }

    #[test]
    fn a_chain_in_which_every_certificate_could_be_the_issuer_of_every_other_is_not_searched() {
        let network = Network::new();
        let trust = network.trust(None);
        for (number, refusal) in [
            (1, Refusal::BadSignature),
            (3, Refusal::BadSignature),
            (5, Refusal::TooManyIssuers),
            (8, Refusal::TooManyIssuers),
            (9, Refusal::TooManyIssuers),
        ] {
            let chain = crowd(&trust, number);
            assert_eq!(trust.judge(&chain, NOW, true), Err(refusal), "{number}");
        }
        // A good one in bad company is not looked for either.
        let chain: Vec<_> = [network.sign("office", 9)].into_iter().chain(crowd(&trust, 7)).collect();
        assert_eq!(trust.judge(&chain, NOW, true), Err(Refusal::TooManyIssuers));
    }
}
