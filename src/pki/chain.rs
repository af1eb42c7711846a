//! A node's certificate and its intermediates in one piece, as a NODE carries them: one DER behind the other, since each
//! tells its own length. Judges nothing. Read first: docs/protocol.md, "NODE".

use ring::digest;
use rustls_pki_types::CertificateDer;

use crate::limits::{CHAIN_CERTIFICATES, CHAIN_MAX};
use crate::pki::certificate::{Certificate, Serial};
use crate::pki::clock::Now;
use crate::pki::refusal::Refusal;
use crate::pki::verify::{Member, Trust};

/// SHA-256 over a whole chain: stands for it where it is known.
pub type Hash = [u8; 32];

const SEQUENCE: u8 = 0x30;

/// One behind the other. `None`: too long to be told to others.
pub fn join(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let joined: Vec<u8> = chain.iter().flat_map(|der| der.iter().copied()).collect();
    // What cannot be split again is no good either.
    let is_whole = split(&joined).is_some_and(|parts| parts == chain);
    is_whole.then_some(joined)
}

/// The node's certificate first. `None`: too long, empty, or no DER.
pub fn split(joined: &[u8]) -> Option<Vec<CertificateDer<'_>>> {
    if joined.len() > CHAIN_MAX {
        return None;
    }
    let (mut rest, mut chain) = (joined, Vec::new());
    while !rest.is_empty() {
        let (der, behind) = rest.split_at_checked(length(rest)?)?;
        chain.push(CertificateDer::from(der));
        rest = behind;
    }
    (1..=CHAIN_CERTIFICATES).contains(&chain.len()).then_some(chain)
}

pub fn hash(joined: &[u8]) -> Hash {
    let hash = digest::digest(&digest::SHA256, joined);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The serial numbers of all certificates that can be read.
pub fn serials(joined: &[u8]) -> Vec<Serial> {
    let chain = split(joined).unwrap_or_default();
    chain.iter().filter_map(|der| Certificate::from_der(der)).map(|read| read.serial).collect()
}

/// Bytes of the first DER, its own tag and length included.
fn length(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [SEQUENCE, short @ 0..=0x7F, ..] => Some(2 + usize::from(short)),
        [SEQUENCE, 0x81, low, ..] => Some(3 + usize::from(low)),
        [SEQUENCE, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

impl Trust {
    /// As [`Trust::judge`], for a chain in one piece.
    pub fn judge_joined(&self, joined: &[u8], now: Now) -> Result<Member, Refusal> {
        let chain = split(joined).ok_or(Refusal::Malformed)?;
        self.judge(&chain, now.unix_s, now.trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DER of this many bytes in all.
    fn der(length: usize) -> CertificateDer<'static> {
        let mut bytes = match length {
            0..0x82 => vec![SEQUENCE, length as u8 - 2],
            0x82..0x103 => vec![SEQUENCE, 0x81, (length - 3) as u8],
            _ => vec![SEQUENCE, 0x82, ((length - 4) >> 8) as u8, (length - 4) as u8],
        };
        bytes.resize(length, 0x30);
        bytes.into()
    }

    #[test]
    fn what_was_joined_is_split_as_it_was() {
        for lengths in [&[500][..], &[2], &[0x81, 0x82, 0x102, 0x103], &[600, 600, 600], &[4096], &[512; 8]] {
            let chain: Vec<_> = lengths.iter().map(|length| der(*length)).collect();
            let joined = join(&chain).unwrap();
            assert_eq!(split(&joined), Some(chain), "{lengths:?}");
            for cut in 1..joined.len() {
                let parts = split(&joined[..cut]);
                assert!(parts.is_none_or(|parts| parts.len() < lengths.len()), "{lengths:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_too_long_or_no_der_is_refused() {
        for lengths in [&[4097][..], &[4000, 97], &[400; 9], &[]] {
            let chain: Vec<_> = lengths.iter().map(|length| der(*length)).collect();
            assert_eq!(join(&chain), None, "{lengths:?}");
        }
        assert_eq!(join(&[vec![0x30, 1, 0, 0].into()]), None, "bytes behind the DER");
        let bad: [&[u8]; 6] =
            [&[], &[0x31, 0], &[0x30], &[0x30, 0x80, 0, 0], &[0x30, 0x83, 0, 0, 1, 0], &[0x30, 5]];
        for bad in bad {
            assert_eq!(split(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn one_bit_makes_another_hash() {
        assert_eq!(hash(b"abc")[..4], [0xBA, 0x78, 0x16, 0xBF]);
        assert_ne!(hash(&der(500)), hash(&der(501)));
    }
}
