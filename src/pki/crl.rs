//! Certificate revocation lists: reads them. Making one is ca.rs's duty.
//!
//! Only whole lists (no delta, no indirect ones): an unknown critical extension refuses the list, as RFC 5280
//! section 5.2 demands. Read first: RFC 5280, section 5.

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_SEQUENCE, TAG_UTCTIME};
use yasna::{ASN1Result, BERReader, BERReaderSeq, Tag};

use crate::pki::certificate::{
    Certificate, Serial, Signed, invalid, read_extensions, read_serial, read_time,
};
use crate::pki::fault::Fault;

const CRL_NUMBER: &[u64] = &[2, 5, 29, 20];

/// One list of one CA.
#[derive(Clone, PartialEq, Eq)]
pub struct Crl {
    /// Distinguished name, as DER with tag and length.
    pub issuer: Vec<u8>,
    /// Grows with every list of a CA.
    pub number: Option<u64>,
    /// UNIX seconds.
    pub this_update: u32,
    /// When the next list is due; being late is only worth a warning.
    pub next_update: Option<u32>,
    /// The whole list.
    pub der: Vec<u8>,
    /// Sorted.
    revoked: Vec<Serial>,
}

impl Crl {
    /// All lists of a PEM file; an empty file holds none.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut lists = Vec::new();
        for der in CertificateRevocationListDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| Fault::Pem)?;
            let malformed = Fault::Malformed("CRL", lists.len() + 1);
            lists.push(Self::from_der(&der).ok_or(malformed)?);
        }
        if lists.is_empty() && !pem.trim_ascii().is_empty() {
            return Err(Fault::Missing("X509 CRL"));
        }
        Ok(lists)
    }

    pub fn from_der(der: &[u8]) -> Option<Self> {
        let signed = Signed::from_der(der).ok()?;
        let mut list = yasna::parse_der(&signed.message, |r| r.read_sequence(read_list)).ok()?;
        list.der = der.to_vec();
        Some(list)
    }

    /// Whether this CA, by name and key, made the list.
    pub fn is_from(&self, ca: &Certificate) -> bool {
        self.issuer == ca.subject
            && Signed::from_der(&self.der).is_ok_and(|signed| signed.is_signed_by(&ca.spki))
    }

    pub fn revokes(&self, serial: Serial) -> bool {
        self.revoked.binary_search(&serial).is_ok()
    }

    pub fn revoked(&self) -> &[Serial] {
        &self.revoked
    }
}

fn read_list(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Crl> {
    if reader.next().read_u8()? != 1 {
        return Err(invalid()); // version 2 only (RFC 5280, 5.1.2.1)
    }
    reader.next().read_der()?; // signature algorithm again
    let issuer = reader.next().read_der()?;
    let this_update = read_time(reader.next())?;
    let next_update = reader.read_optional(|r| match r.lookahead_tag()? {
        TAG_UTCTIME | TAG_GENERALIZEDTIME => read_time(r),
        _ => Err(invalid()),
    })?;
    let revoked = reader.read_optional(|r| match r.lookahead_tag()? {
        TAG_SEQUENCE => read_revoked(r),
        _ => Err(invalid()),
    })?;
    let mut number = None;
    reader.read_optional(|r| r.read_tagged(Tag::context(0), |r| read_number(r).map(|n| number = n)))?;
    let mut revoked = revoked.unwrap_or_default();
    revoked.sort_unstable();
    Ok(Crl { issuer, number, this_update, next_update, der: Vec::new(), revoked })
}

fn read_revoked(reader: BERReader<'_, '_>) -> ASN1Result<Vec<Serial>> {
    let mut revoked = Vec::new();
    reader.read_sequence_of(|reader| {
        reader.read_sequence(|r| {
            revoked.push(read_serial(r.next())?);
            read_time(r.next())?;
            let extensions = r.read_optional(read_extensions)?.unwrap_or_default();
            if extensions.iter().any(|extension| extension.critical) {
                return Err(invalid());
            }
            Ok(())
        })
    })?;
    Ok(revoked)
}

fn read_number(reader: BERReader<'_, '_>) -> ASN1Result<Option<u64>> {
    let mut number = None;
    for extension in read_extensions(reader)? {
        if extension.oid == CRL_NUMBER {
            number = Some(yasna::parse_der(&extension.value, |r| r.read_u64())?);
        } else if extension.critical {
            return Err(invalid());
        }
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::generate_key;
    use crate::pki::text;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn a_list_is_read_as_it_was_made() {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, 400)).unwrap();
        let ca = Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap();
        let serials: Vec<_> = [9, 3, 200].map(|n| Serial::from_be_bytes(&[n, n]).unwrap()).into();
        let revoked: Vec<_> = serials.iter().map(|serial| (*serial, NOW)).collect();
        for revoked in [&revoked[..], &[]] {
            let crl = ca.revoke(u64::MAX, revoked, NOW).unwrap();
            assert_eq!((crl.number, crl.this_update), (Some(u64::MAX), NOW));
            assert_eq!(crl.next_update, Some(NOW + 365 * 86_400));
            assert!(crl.is_from(ca.certificate()));
            assert_eq!(serials.iter().filter(|serial| crl.revokes(**serial)).count(), revoked.len());
            assert!(!crl.revokes(Serial::from_be_bytes(&[9]).unwrap()));
        }
    }

    #[test]
    fn a_file_may_be_empty_but_not_something_else() {
        assert!(Crl::all_from_pem(b" \n").is_ok_and(|lists| lists.is_empty()));
        assert_eq!(Crl::all_from_pem(b"hello").err(), Some(Fault::Missing("X509 CRL")));
        let bad = text::pem(text::CRL, &[0x30, 0]);
        assert_eq!(Crl::all_from_pem(bad.as_bytes()).err(), Some(Fault::Malformed("CRL", 1)));
    }
}
