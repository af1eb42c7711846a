//! The TLS settings of every connection: TLS 1.3 only, both sides with certificates, judged by [`Trust`] each
//! time (no resumption, no tickets, no 0-RTT), in the suites that this CPU is good at.
//!
//! Read first: RFC 9001, docs/certificates.md.

use core::any::Any;
use core::fmt;
use std::sync::Arc;

use quinn_proto::crypto::Session;
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
use rustls::crypto::ring::kx_group;
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{SigningKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use crate::pki::certificate::SIGNATURES;
use crate::pki::clock::WallClock;
use crate::pki::fault::Fault;
use crate::pki::identity::Identity;
use crate::pki::refusal::Refusal;
use crate::pki::verify::Trust;

/// The protocol and its version (docs/protocol.md).
pub const ALPN: &[u8] = b"quicap/1";

/// Which of the two suites this machine prefers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suites {
    /// The CPU has AES instructions.
    AesFirst,
    /// It has none: AES would be several times slower than ChaCha20.
    ChachaFirst,
}

/// Settings for the side that is dialed.
///
/// # Errors
/// Only if the libraries refuse the provider, which should not occur.
pub fn server_config(
    id: &Identity,
    trust: Arc<Trust>,
    clock: Arc<WallClock>,
    suites: Suites,
) -> Result<Arc<QuicServerConfig>, Fault> {
    let verifier = Verifier { trust, clock: clock.clone(), expected_name: None };
    let mut config = ServerConfig::builder_with_details(provider(suites), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(library)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(id.certified_key())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // Whichever side lacks AES decides: we insist on ChaCha20 if that is us, else the dialing side's order counts.
    config.ignore_client_order = suites == Suites::ChachaFirst;
    QuicServerConfig::try_from(config).map(Arc::new).map_err(library)
}

/// Settings for the side that dials. `expected_name`: refuse every other node; `send_sni`: show the server name
/// that the connection is opened with.
///
/// # Errors
/// Only if the libraries refuse the provider, which should not occur.
pub fn client_config(
    id: &Identity,
    trust: Arc<Trust>,
    clock: Arc<WallClock>,
    suites: Suites,
    expected_name: Option<String>,
    send_sni: bool,
) -> Result<Arc<QuicClientConfig>, Fault> {
    let verifier = Verifier { trust, clock: clock.clone(), expected_name };
    let mut config = ClientConfig::builder_with_details(provider(suites), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(library)?
        .dangerous() // our verifier is stricter than the standard one, which knows only server names
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(id.certified_key())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = send_sni;
    QuicClientConfig::try_from(config).map(Arc::new).map_err(library)
}

/// The chain that the peer presented; verified once the handshake is complete.
pub fn peer_chain(session: &dyn Session) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Box<dyn Any> = session.peer_identity()?;
    chain.downcast().ok().map(|chain| *chain)
}

/// The refusal's own words within the reason of a failed connection, ours or the peer's: rustls wraps them in
/// its own. Other reasons come back as they are. A peer's reason is untrusted text.
pub fn refusal_words(reason: &str) -> &str {
    let Some((_, words)) = reason.split_once(WRAPPER) else {
        return if reason == NO_CERTIFICATE { "no certificate was presented" } else { reason };
    };
    words.strip_suffix("))").unwrap_or(words)
}

/// How rustls 0.23 prints our error; a test holds it to that.
const WRAPPER: &str = "invalid peer certificate: Other(OtherError(";
const NO_CERTIFICATE: &str = "peer sent no certificates";

/// Judges the other side, whichever it is.
struct Verifier {
    trust: Arc<Trust>,
    clock: Arc<WallClock>,
    expected_name: Option<String>,
}

impl Verifier {
    fn judge(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
        let chain: Vec<_> = core::iter::once(leaf).chain(intermediates).cloned().collect();
        self.trust
            .judge(&chain, self.clock.unix_s(), self.clock.is_trusted())
            .and_then(|member| member.expect_name(self.expected_name.as_deref()))
            .map(drop)
            .map_err(|refusal| CertificateError::Other(OtherError(Arc::new(Words(refusal)))).into())
    }
}

/// A refusal whose `Debug` is its words: that is what rustls prints, and quinn sends, for errors of others.
struct Words(Refusal);

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::error::Error for Words {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// Signatures are judged alike at both ends; the two traits of rustls ask for them under the same names.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls12NotOffered.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, signature, &ALGORITHMS)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ALGORITHMS.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}

static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: SIGNATURES,
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::ring::ECDSA_P256_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[webpki::ring::ECDSA_P384_SHA384]),
        (SignatureScheme::ED25519, &[webpki::ring::ED25519]),
    ],
};

/// Only what we use, so that the linker drops the rest (RSA, AES-256, further curves). AES-128-GCM is always
/// there: QUIC's Initial packets need it (RFC 9001, 5.2).
fn provider(suites: Suites) -> Arc<CryptoProvider> {
    let mut cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    if suites == Suites::ChachaFirst {
        cipher_suites.reverse();
    }
    Arc::new(CryptoProvider {
        cipher_suites,
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: ALGORITHMS,
        secure_random: &Ring,
        key_provider: &Ring,
    })
}

#[derive(Debug)]
struct Ring;

impl SecureRandom for Ring {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    /// Never called: [`Identity`] has read the key already.
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("keys are read by the identity".into()))
    }
}

fn library(error: impl fmt::Display) -> Fault {
    Fault::Library(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_survive_the_libraries() {
        let error = Error::from(CertificateError::Other(OtherError(Arc::new(Words(Refusal::Revoked)))));
        let reason = error.to_string();
        for (reason, words) in [
            (reason.as_str(), "certificate was revoked"),
            (reason.trim_end_matches(')'), "certificate was revoked"),
            ("TLS error: invalid peer certificate: Other(OtherError(a (b)))", "a (b)"),
            (&Error::NoCertificatesPresented.to_string(), "no certificate was presented"),
            ("peer doesn't support any known protocol", "peer doesn't support any known protocol"),
            ("", ""),
        ] {
            assert_eq!(refusal_words(reason), words, "{reason}");
        }
    }

    #[test]
    fn a_refused_certificate_is_told_by_its_own_alert() {
        let error = CertificateError::Other(OtherError(Arc::new(Words(Refusal::Revoked))));
        assert_eq!(rustls::AlertDescription::from(error), rustls::AlertDescription::CertificateUnknown);
    }

    #[test]
    fn only_two_suites_are_offered_the_better_one_first() {
        for suites in [Suites::AesFirst, Suites::ChachaFirst] {
            let provider = provider(suites);
            let names: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
            let first = rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
            assert_eq!((names.len(), names[0] == first), (2, suites == Suites::AesFirst));
        }
    }
}
