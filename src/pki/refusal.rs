//! Why a certificate is refused, in words for the operator at either end.
//!
//! Only the reasons and their words; verify.rs finds them, docs/certificates.md says what to do about each.

use core::fmt;

use crate::pki::date::Day;
use crate::types::NodeId;

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
    /// More certificates than a chain may have, or so many of one name that looking for the way up would take long.
    TooManyIssuers,
    /// The node's own key is neither ECDSA P-256 nor Ed25519: it cannot sign what it announces.
    UnsupportedKey,
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
            Self::UnsupportedKey => "certificate has an unsupported key, expected ECDSA P-256 or Ed25519",
            Self::CriticalExtension => "certificate has an unknown critical extension",
            Self::Excluded => "certificate is excluded by the name constraints of its CA",
            Self::Revoked => "certificate was revoked",
            Self::IssuerRevoked => "certificate of the intermediate CA was revoked",
            Self::IssuerNotCa => "certificate was issued by a certificate that is no CA",
            Self::IssuerLacksCertSign => "certificate was issued by a CA that lacks keyCertSign",
            Self::IssuerPurpose => "certificate was issued by a CA limited to other purposes",
            Self::PathTooLong => "certificate has more intermediate CAs than its CA allows (pathlen)",
            Self::TooManyIssuers => {
                "certificate comes with too many others: the chain above it and no more is expected"
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_without_details_has_words_of_its_own() {
        use Refusal as R;
        let all = [
            R::NoCertificate,
            R::Malformed,
            R::CaAsNode,
            R::SelfSigned,
            R::UnknownIssuer,
            R::BadSignature,
            R::UnsupportedAlgorithm,
            R::UnsupportedKey,
            R::CriticalExtension,
            R::Excluded,
            R::Revoked,
            R::IssuerRevoked,
            R::IssuerNotCa,
            R::IssuerLacksCertSign,
            R::IssuerPurpose,
            R::PathTooLong,
            R::TooManyIssuers,
            R::LacksDigitalSignature,
            R::LacksServerAuth,
            R::LacksClientAuth,
            R::NoName,
            R::TwoNames,
            R::NoNetwork,
            R::TwoNetworks,
            R::NoId,
            R::TwoIds,
        ];
        let mut words: Vec<String> = all.iter().map(Refusal::to_string).collect();
        assert!(!words.iter().any(|text| text == "certificate refused"));
        words.sort();
        words.dedup();
        assert_eq!(words.len(), all.len());
    }
}
