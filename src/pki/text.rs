//! PEM out: the one spelling that all our files have (RFC 7468, LF lines).

use pem::{EncodeConfig, LineEnding, Pem};

pub const CERTIFICATE: &str = "CERTIFICATE";
pub const CRL: &str = "X509 CRL";
pub const REQUEST: &str = "CERTIFICATE REQUEST";

/// One block, with its end of line.
pub fn pem(kind: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(kind, der), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_openssl_ends_them() {
        assert_eq!(pem("X509 CRL", &[0; 49]).lines().map(str::len).collect::<Vec<_>>(), [24, 64, 4, 22]);
        assert!(pem("X509 CRL", &[0]).ends_with("-----END X509 CRL-----\n"));
    }
}
