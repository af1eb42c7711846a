//! Our own certificate chain and its private key, as TLS uses them.
//!
//! Does not judge the certificate: hand [`Identity::chain`] to [`Trust::judge`](super::verify::Trust::judge).

use std::sync::Arc;

use rustls::crypto::ring::sign::{any_ecdsa_type, any_eddsa_type};
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::limits::CHAIN_MAX;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::fault::Fault;
use crate::pki::verify::certificates_from_pem;

/// Who we are. Not `Debug`: it holds the key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    joined: Arc<[u8]>,
}

impl Identity {
    /// Reads `node.crt` (the node's certificate first, then intermediates) and `node.key`.
    ///
    /// # Errors
    /// Unreadable PEM, an encrypted or unsupported key, a key that does not belong to the certificate, more intermediates
    /// than can be told to others.
    pub fn from_pem(cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, Fault> {
        let chain = certificates_from_pem(cert_pem)?;
        let key = signing_key(key_pem)?;
        let malformed = Fault::Malformed("CERTIFICATE", 1);
        let leaf = chain.first().and_then(|der| Certificate::from_der(der)).ok_or(malformed)?;
        // Not CertifiedKey::keys_match: it refuses certificates for other faults, which are the judge's to name.
        match key.public_key() {
            Some(spki) if spki.as_ref() == leaf.spki => {
                let joined = chain::join(&chain).ok_or(Fault::ChainTooLong(CHAIN_MAX))?;
                Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), joined: joined.into() })
            }
            _ => Err(Fault::KeyMismatch),
        }
    }

    /// The node's certificate, then the intermediates.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// The same in one piece, as others are told it.
    pub fn joined_chain(&self) -> &[u8] {
        &self.joined
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

/// Reads a private key in PKCS#8 or SEC1, as openssl writes them.
fn signing_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, Fault> {
    let key = private_key_from_pem(pem)?;
    if let Ok(key) = any_ecdsa_type(&key) {
        return Ok(key);
    }
    match &key {
        PrivateKeyDer::Pkcs8(pkcs8) => any_eddsa_type(pkcs8).map_err(|_| Fault::KeyUnsupported),
        _ => Err(Fault::KeyUnsupported),
    }
}

pub(crate) fn private_key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(_) if contains(pem, b"ENCRYPTED") => Err(Fault::KeyEncrypted),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(Fault::Missing("PRIVATE KEY")),
        Err(_) => Err(Fault::Pem),
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Validity, create};
    use crate::pki::csr::generate_key;

    #[test]
    fn a_certificate_goes_with_its_own_key_only() {
        let (key, other) = (generate_key().unwrap(), generate_key().unwrap());
        let certificate = create("home", key.as_bytes(), Validity::days(1_800_000_000, 1)).unwrap();
        let read =
            |key: &str| Identity::from_pem(certificate.as_bytes(), key.as_bytes()).map(|id| id.chain().len());
        assert_eq!(read(&key), Ok(1));
        assert_eq!(read(&other), Err(Fault::KeyMismatch));
        assert_eq!(read(&certificate), Err(Fault::Missing("PRIVATE KEY")));
        assert_eq!(read(&key.replace("PRIVATE", "ENCRYPTED PRIVATE")), Err(Fault::KeyEncrypted));
    }
}
