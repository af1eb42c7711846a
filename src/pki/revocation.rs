//! The lists of revoked certificates that we go by: which CA's work they are, what they revoke, and how one that another
//! node told takes the place of an older one. Does not read or write files. Read first: docs/certificates.md, "Lists that
//! walk"; RFC 5280, section 5.

use crate::limits::{CRL_MAX, CRL_TOLD};
use crate::pki::certificate::{Certificate, Serial};
use crate::pki::crl::Crl;
use crate::pki::fault::Fault;
use crate::pki::verify::Trust;

impl Trust {
    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// The highest number of our CRLs; `None` without a CRL, or when it carries no number.
    pub fn crl_number(&self) -> Option<u64> {
        self.crls.iter().filter_map(|crl| crl.number).max()
    }

    /// As [`Trust::crl_number`], of the lists of our anchors only, as a NODE says it; 0: none.
    pub fn announced_crl(&self) -> u32 {
        clamp(self.of_anchors().filter_map(|crl| crl.number).max())
    }

    /// The lists that can be told to other nodes: of our anchors, and short enough for a message.
    pub fn told_crls(&self) -> impl Iterator<Item = &Crl> {
        self.of_anchors().filter(|crl| crl.der.len() <= CRL_TOLD)
    }

    /// The one of [`Trust::told_crls`] with the highest number: the number, and the DER.
    pub fn newest_crl(&self) -> Option<(u32, &[u8])> {
        let newest = self.told_crls().max_by_key(|crl| crl.number)?;
        Some((clamp(newest.number), &newest.der))
    }

    /// With a list that another node told in the place of the older one of the same CA. `None`: ours is as new. A list
    /// without a number counts as number 0.
    ///
    /// # Errors
    /// No list, a longer one than is kept, or one that no anchor of ours has signed.
    pub fn with_crl(&self, der: &[u8]) -> Result<Option<Self>, Fault> {
        if self.crls.iter().any(|own| own.der == der) {
            return Ok(None); // what most nodes tell costs no look at a signature
        }
        if der.len() > CRL_MAX {
            return Err(Fault::CrlTooLong(CRL_MAX));
        }
        let crl = Crl::from_der(der).ok_or(Fault::Malformed("CRL", 1))?;
        let signer = self.signer(1, &crl)?.ok_or(Fault::CrlStranger)?;
        let (ours, mut others): (Vec<Crl>, Vec<Crl>) =
            self.crls.iter().cloned().partition(|own| own.is_from(signer));
        let number = |crl: &Crl| crl.number.unwrap_or(0);
        if ours.iter().map(number).max().is_some_and(|newest| newest >= number(&crl)) {
            return Ok(None);
        }
        others.push(crl);
        let mut newer = self.clone();
        newer.crls = others;
        Ok(Some(newer))
    }

    /// With the lists of the other one that are newer than ours, as [`Trust::with_crl`] takes them. `None`: there are none.
    pub fn with_newer_crls(&self, other: &Self) -> Option<Self> {
        other.crls.iter().fold(None, |newer, crl| {
            let better = newer.as_ref().unwrap_or(self).with_crl(&crl.der).ok().flatten();
            better.or(newer)
        })
    }

    /// Whether a list has this number on it, whosever it is: if not, nothing with it is revoked. Costs no look at a
    /// signature.
    pub fn may_revoke(&self, serial: Serial) -> bool {
        self.crls.iter().any(|crl| crl.revokes(serial))
    }

    /// A list that names an anchor must be that anchor's work: a damaged one must not be taken for "nobody is
    /// revoked". One that names none is kept for the intermediates that peers send.
    pub(super) fn add_crl(&mut self, nth: usize, crl: Crl) -> Result<(), Fault> {
        self.signer(nth, &crl)?;
        self.crls.push(crl);
        Ok(())
    }

    pub(super) fn is_revoked(&self, serial: Serial, issuer: &Certificate) -> bool {
        may_sign(issuer) && self.crls.iter().any(|crl| crl.revokes(serial) && crl.is_from(issuer))
    }

    /// Whether the list names an issuer that is none of our anchors.
    pub(super) fn is_foreign(&self, crl: &Crl) -> bool {
        !self.anchors.iter().any(|ca| ca.subject == crl.issuer)
    }

    fn of_anchors(&self) -> impl Iterator<Item = &Crl> {
        self.crls.iter().filter(|crl| !self.is_foreign(crl))
    }

    /// The anchor that made the n-th list; `None`: it names none of ours.
    fn signer(&self, nth: usize, crl: &Crl) -> Result<Option<&Certificate>, Fault> {
        if self.is_foreign(crl) {
            return Ok(None);
        }
        let signer = self.anchors.iter().find(|ca| crl.is_from(ca)).ok_or(Fault::CrlSignature(nth))?;
        if may_sign(signer) { Ok(Some(signer)) } else { Err(Fault::CrlNotAllowed(nth)) }
    }
}

fn may_sign(issuer: &Certificate) -> bool {
    issuer.key_usage.is_none_or(|usage| usage.crl_sign())
}

fn clamp(number: Option<u64>) -> u32 {
    u32::try_from(number.unwrap_or(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::bundle::crls_to_pem;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::generate_key;

    const NOW: u32 = 1_800_000_000;

    fn authority() -> (Authority, String) {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, 400)).unwrap();
        (Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap(), ca)
    }

    fn serial(n: u32) -> Serial {
        Serial::from_be_bytes(&n.to_be_bytes()).unwrap()
    }

    fn list(ca: &Authority, number: u64) -> Crl {
        ca.revoke(number, &[(serial(number as u32), NOW)], NOW).unwrap()
    }

    fn numbers(trust: &Trust) -> Vec<Option<u64>> {
        trust.crls().iter().map(|crl| crl.number).collect()
    }

    #[test]
    fn a_newer_list_takes_the_place_of_the_older_one_of_its_ca() {
        let ((a, first), (b, second)) = (authority(), authority());
        let trust = Trust::from_pem("home", [first, second].concat().as_bytes(), None).unwrap();
        assert_eq!((trust.newest_crl(), trust.announced_crl()), (None, 0));
        let take = |trust: &Trust, crl: &Crl| trust.with_crl(&crl.der).unwrap();
        let trust = take(&trust, &list(&a, 3)).unwrap();
        let trust = take(&trust, &list(&b, 7)).unwrap();
        assert_eq!(numbers(&trust), [Some(3), Some(7)]);
        for (older, ca) in [(2, &a), (3, &a), (7, &b), (1, &b)] {
            assert!(take(&trust, &list(ca, older)).is_none(), "{older}");
        }
        let newer = take(&trust, &list(&a, 4)).unwrap();
        assert_eq!((numbers(&newer), numbers(&trust)), (vec![Some(7), Some(4)], vec![Some(3), Some(7)]));
        assert_eq!(newer.newest_crl().unwrap().0, 7);
        assert!(newer.may_revoke(serial(4)) && newer.may_revoke(serial(7)) && !newer.may_revoke(serial(3)));
        let told: Vec<_> = newer.told_crls().map(|crl| crl.number).collect();
        assert_eq!(told, [Some(7), Some(4)]);
        let most = take(&newer, &list(&a, u64::MAX - 1)).unwrap();
        assert_eq!((most.newest_crl().unwrap().0, most.announced_crl()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn lists_of_others_and_damaged_ones_are_refused() {
        let ((a, pem), (other, _)) = (authority(), authority());
        let trust = Trust::from_pem("home", pem.as_bytes(), None).unwrap();
        let refusal = |der: &[u8]| trust.with_crl(der).err();
        assert_eq!(refusal(&list(&other, 1).der), Some(Fault::CrlStranger));
        let good = list(&a, 1).der;
        let mut bent = good.clone();
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(refusal(&bent), Some(Fault::CrlSignature(1)));
        for garbage in [&good[..good.len() - 1], &[], b"hello"] {
            assert_eq!(refusal(garbage), Some(Fault::Malformed("CRL", 1)));
        }
        assert_eq!(refusal(&vec![0; CRL_MAX + 1]), Some(Fault::CrlTooLong(CRL_MAX)));
        assert!(trust.with_crl(&good).unwrap().unwrap().with_crl(&good).unwrap().is_none());
    }

    /// One of several CAs that have the same name.
    fn namesake() -> (Authority, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        (Authority::from_pem(key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap(), pem)
    }

    #[test]
    fn a_namesake_of_the_ca_has_a_list_of_its_own() {
        let ((a, first), (b, second)) = (namesake(), namesake());
        assert_eq!(a.certificate().subject, b.certificate().subject);
        let trust = Trust::from_pem("home", [first, second].concat().as_bytes(), None).unwrap();
        let trust = trust.with_crl(&list(&a, 5).der).unwrap().unwrap();
        let trust = trust.with_crl(&list(&b, 1).der).unwrap().unwrap();
        assert!(trust.with_crl(&list(&a, 4).der).unwrap().is_none());
        let trust = trust.with_crl(&list(&b, 2).der).unwrap().unwrap();
        assert_eq!(numbers(&trust), [Some(5), Some(2)]);
    }

    #[test]
    fn a_list_that_is_too_long_for_a_message_is_kept_but_not_told() {
        let (a, pem) = authority();
        let trust = Trust::from_pem("home", pem.as_bytes(), None).unwrap();
        let revoked: Vec<_> = (1..3200).map(|n| (serial(n), NOW)).collect();
        let long = a.revoke(9, &revoked, NOW).unwrap();
        assert!(long.der.len() > CRL_TOLD && long.der.len() < CRL_MAX, "{}", long.der.len());
        let trust = trust.with_crl(&long.der).unwrap().unwrap();
        assert_eq!((trust.announced_crl(), trust.newest_crl()), (9, None));
        assert!(trust.warnings(NOW)[0].contains("too long"), "{:?}", trust.warnings(NOW));
        let lists: Vec<Crl> = (1..4).map(|n| list(&authority().0, n)).collect();
        let text = crls_to_pem(&lists);
        let foreign = Trust::from_pem("home", pem.as_bytes(), Some(text.as_bytes())).unwrap();
        assert_eq!((foreign.crl_number(), foreign.announced_crl()), (Some(3), 0));
        assert_eq!(foreign.newest_crl(), None, "who would believe the lists of others?");
    }

    #[test]
    fn lists_that_run_survive_older_ones_from_files() {
        let ((a, first), (b, second)) = (authority(), authority());
        let pem = [first, second].concat();
        let with = |lists: &[Crl]| {
            Trust::from_pem("home", pem.as_bytes(), Some(crls_to_pem(lists).as_bytes())).unwrap()
        };
        let running = with(&[list(&a, 5), list(&b, 2)]);
        let from_files = with(&[list(&a, 4), list(&b, 3)]);
        let newer = from_files.with_newer_crls(&running).unwrap();
        assert_eq!(numbers(&newer), [Some(3), Some(5)]);
        assert!(newer.with_newer_crls(&running).is_none());
    }
}
