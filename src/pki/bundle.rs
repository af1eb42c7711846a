//! A bundle: certificate, CA and CRL in one PEM file, as `ca sign --bundle` makes it and `install` takes it.
//!
//! Sorts and merges; judging is verify.rs's duty. No secrets are in it.

use rustls_pki_types::CertificateDer;

use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::fault::Fault;
use crate::pki::text::{self, pem};
use crate::pki::verify::certificates_from_pem;

/// A bundle, sorted into the files of a node.
pub struct Bundle {
    /// `node.crt`: the node's certificate, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// `ca.crt`.
    pub anchors: Vec<CertificateDer<'static>>,
    /// `crl.pem`.
    pub crls: Vec<Crl>,
}

impl Bundle {
    /// Reads a bundle: the node's certificate first, the others in any order. A CA certificate whose issuer is
    /// also in the bundle is an intermediate, every other is an anchor.
    pub fn from_pem(bundle: &[u8]) -> Result<Self, Fault> {
        let mut certificates = Vec::new();
        for (nth, der) in (1..).zip(certificates_from_pem(bundle)?) {
            let read = Certificate::from_der(&der).ok_or(Fault::Malformed(text::CERTIFICATE, nth))?;
            certificates.push((der, read));
        }
        if certificates.first().is_some_and(|(_, read)| read.is_ca) {
            return Err(Fault::BundleOrder);
        }
        let has_crl = bundle.windows(text::CRL.len()).any(|window| window == text::CRL.as_bytes());
        let crls = if has_crl { Crl::all_from_pem(bundle)? } else { Vec::new() };
        let (chain, anchors) = sort(certificates);
        if anchors.is_empty() { Err(Fault::BundleCa) } else { Ok(Self { chain, anchors, crls }) }
    }

    pub fn chain_pem(&self) -> String {
        certificates_to_pem(&self.chain)
    }

    pub fn anchors_pem(&self) -> String {
        certificates_to_pem(&self.anchors)
    }
}

/// The lists that a node should keep: of each CA the newest, whether new or installed. So an old bundle brings
/// back nobody, and during a rollover the other CA's list stays; lists of CAs that are gone are dropped.
pub fn merge_crls(installed: Vec<Crl>, new: Vec<Crl>, issuers: &[Certificate]) -> Vec<Crl> {
    let mut merged: Vec<Crl> = new;
    for crl in installed {
        // By key too: a CA and its successor may have one name.
        let Some(ca) = issuers.iter().find(|ca| crl.is_from(ca)) else { continue };
        match merged.iter_mut().find(|other| other.is_from(ca)) {
            Some(other) if is_newer(&crl, other) => *other = crl,
            Some(_) => {}
            None => merged.push(crl),
        }
    }
    merged
}

pub fn crls_to_pem(crls: &[Crl]) -> String {
    crls.iter().map(|crl| pem(text::CRL, &crl.der)).collect()
}

pub fn certificates_to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| pem(text::CERTIFICATE, der)).collect()
}

fn is_newer(a: &Crl, b: &Crl) -> bool {
    (a.number, a.this_update) > (b.number, b.this_update)
}

type Ders = Vec<CertificateDer<'static>>;

fn sort(certificates: Vec<(CertificateDer<'static>, Certificate)>) -> (Ders, Ders) {
    let subjects: Vec<Vec<u8>> = certificates.iter().map(|(_, read)| read.subject.clone()).collect();
    let (mut chain, mut anchors) = (Vec::new(), Vec::new());
    for (nth, (der, read)) in certificates.into_iter().enumerate() {
        let is_intermediate = !read.is_self_issued() && subjects.contains(&read.issuer);
        if nth == 0 || is_intermediate {
            chain.push(der);
        } else {
            anchors.push(der);
        }
    }
    (chain, anchors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::certificate::Serial;
    use crate::pki::csr::generate_key;

    const NOW: u32 = 1_800_000_000;

    fn authority() -> (Authority, String) {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, 10)).unwrap();
        (Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap(), ca)
    }

    fn list(ca: &Authority, number: u64) -> Crl {
        ca.revoke(number, &[(Serial::from_be_bytes(&[1]).unwrap(), NOW)], NOW).unwrap()
    }

    #[test]
    fn of_each_ca_the_newest_list_stays_and_gone_cas_are_dropped() {
        let ((a, _), (b, _), (gone, _)) = (authority(), authority(), authority());
        let issuers = [a.certificate().clone(), b.certificate().clone()];
        for (installed, new, expected) in [(3, 4, 4), (4, 3, 4), (4, 4, 4)] {
            let installed = vec![list(&a, installed), list(&b, 9), list(&gone, 7)];
            let merged = merge_crls(installed, vec![list(&a, new)], &issuers);
            let numbers: Vec<_> = merged.iter().map(|crl| crl.number).collect();
            assert_eq!(numbers, [Some(expected), Some(9)]);
        }
    }

    #[test]
    fn namesakes_keep_their_own_lists() {
        let named = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
            let pem = params.self_signed(&key).unwrap().pem();
            Authority::from_pem(key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap()
        };
        let (a, b) = (named(), named());
        let issuers = [a.certificate().clone(), b.certificate().clone()];
        let merged = merge_crls(vec![list(&a, 5), list(&b, 9)], vec![list(&a, 6), list(&b, 2)], &issuers);
        assert_eq!(merged.iter().map(|crl| crl.number).collect::<Vec<_>>(), [Some(6), Some(9)]);
    }

    #[test]
    fn a_bundle_must_begin_with_the_node_and_hold_its_ca() {
        let (_, ca) = authority();
        assert_eq!(Bundle::from_pem(ca.as_bytes()).err(), Some(Fault::BundleOrder));
        assert_eq!(Bundle::from_pem(b"").err(), Some(Fault::Missing("CERTIFICATE")));
    }
}
