//! What a node shows and believes: its key and certificate, the CA, the CRL, read from files and judged.
//!
//! `quicap run` and `quicap check` both get it here, so that they agree. All faults are found at once.

#![allow(
    clippy::disallowed_methods,
    reason = "the daemon and the commands read the files that the configuration names"
)]

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::config::Network;
use crate::pki::certificate::Certificate;
use crate::pki::clock::Now;
use crate::pki::identity::Identity;
use crate::pki::timekeeper;
use crate::pki::verify::{Member, Refusal, Trust};

/// Longest file that is read: a CRL of thousands of entries fits.
pub const MAX_BYTES: u64 = 256 * 1024;

/// Everything TLS needs, and who we are in the network.
pub struct Material {
    pub identity: Identity,
    pub trust: Arc<Trust>,
    pub member: Member,
    /// The earliest time that the files allow, and when they were judged.
    pub floor: u32,
    pub judged: Now,
    /// Why others refuse the certificate with which we run; see [`load`].
    pub refused: Option<Fault>,
}

/// One thing wrong with one file, in one line that begins with its path and says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub class: Class,
    pub message: String,
}

/// Decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A file is missing, unreadable or not what it should be: exit code 2.
    Configuration,
    /// Our own certificate is no good: wrong CA, dates, revoked, wrong network. Exit code 3.
    Certificate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads and judges the four files of a network. `time` is told the earliest time that they allow, and tells the time.
/// `running`: whose certificate is in use; if only time or a list has turned against that one, CA and CRL are taken
/// nonetheless, since they say whom else not to trust.
///
/// # Errors
/// Every fault of every file.
pub fn load(
    network: &Network,
    time: &mut dyn FnMut(u32) -> Now,
    running: Option<&Member>,
) -> Result<Material, Vec<Fault>> {
    let mut faults = Vec::new();
    let identity = identity(network, &mut faults);
    let trust = trust(network, &mut faults);
    let (Some(identity), Some(trust)) = (identity, trust) else { return Err(faults) };
    let floor = timekeeper::floor(identity.chain(), &trust);
    let judged = time(floor);
    let verdict = trust.judge(identity.chain(), judged.unix_s, judged.trusted);
    let refused = verdict.as_ref().err().map(|refusal| {
        let message = format!("{}: {refusal}; {}", network.cert, remedy(refusal, network));
        Fault { class: Class::Certificate, message }
    });
    let member = match verdict {
        Ok(member) => Some(member),
        Err(refusal) => running.filter(|own| has_aged(&refusal) && is_of(&identity, own)).cloned(),
    };
    match member {
        Some(member) if faults.is_empty() => {
            Ok(Material { identity, trust: Arc::new(trust), member, floor, judged, refused })
        }
        _ => {
            faults.extend(refused);
            Err(faults)
        }
    }
}

/// Whether a certificate that was good before may be refused so.
fn has_aged(refusal: &Refusal) -> bool {
    use Refusal::{Expired, IssuerExpired, IssuerRevoked, Revoked};
    matches!(refusal, Expired(_) | IssuerExpired(_) | Revoked | IssuerRevoked)
}

fn is_of(identity: &Identity, member: &Member) -> bool {
    let leaf = identity.chain().first().and_then(|der| Certificate::from_der(der));
    leaf.is_some_and(|leaf| leaf.serial == member.serial && leaf.fingerprint() == member.fingerprint)
}

fn identity(network: &Network, faults: &mut Vec<Fault>) -> Option<Identity> {
    let cert = required(&network.cert, faults);
    let key = required(&network.key, faults);
    if let Some(key) = &key
        && key.mode & 0o077 != 0
    {
        let mode = key.mode & 0o7777;
        note(
            faults,
            &network.key,
            format!("others may read the key (mode {mode:04o}): chmod 600 {}", network.key),
        );
    }
    match Identity::from_pem(&cert?.bytes, &key?.bytes) {
        Ok(identity) => Some(identity),
        Err(fault) => {
            note(faults, &format!("{} and {}", network.cert, network.key), fault.to_string());
            None
        }
    }
}

fn trust(network: &Network, faults: &mut Vec<Fault>) -> Option<Trust> {
    let ca = required(&network.ca, faults)?;
    let crl = match read_pem(&network.crl) {
        Ok(crl) => Some(crl),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            note(faults, &network.crl, error.to_string());
            return None;
        }
    };
    // The CA by itself first: a fault then is that file's.
    let by_itself = Trust::from_pem(&network.name, &ca.bytes, None).map_err(|fault| (&network.ca, fault));
    let both = by_itself.and_then(|trust| match &crl {
        None => Ok(trust),
        Some(crl) => {
            Trust::from_pem(&network.name, &ca.bytes, Some(&crl.bytes)).map_err(|fault| (&network.crl, fault))
        }
    });
    both.map_err(|(path, fault)| note(faults, path, fault.to_string())).ok()
}

fn note(faults: &mut Vec<Fault>, path: &str, complaint: String) {
    faults.push(Fault { class: Class::Configuration, message: format!("{path}: {complaint}") });
}

/// What to do about a refused certificate of our own.
fn remedy(refusal: &Refusal, network: &Network) -> String {
    match refusal {
        Refusal::NotYetValid(_) | Refusal::IssuerNotYetValid(_) => "is this node's clock right?".to_owned(),
        Refusal::Revoked | Refusal::IssuerRevoked | Refusal::UnsupportedKey => {
            "make a new key (quicap csr --new-key) and have it signed".to_owned()
        }
        Refusal::UnknownIssuer | Refusal::SelfSigned | Refusal::BadSignature => {
            format!("expected one that a CA in {} signed (quicap ca sign)", network.ca)
        }
        Refusal::OtherNetwork { .. } => {
            format!("expected quicap:net={}, as the section is called", network.name)
        }
        _ => "have a new one signed (quicap csr, quicap ca sign)".to_owned(),
    }
}

pub struct Content {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

fn required(path: &str, faults: &mut Vec<Fault>) -> Option<Content> {
    match read_pem(path) {
        Ok(content) => Some(content),
        Err(error) => {
            let complaint = match error.kind() {
                io::ErrorKind::NotFound => "no such file (quicap install puts it there)".to_owned(),
                io::ErrorKind::PermissionDenied => "may not be read (expected to run as root)".to_owned(),
                _ => error.to_string(),
            };
            note(faults, path, complaint);
            None
        }
    }
}

/// An empty file is refused: an empty CRL would mean that nobody is revoked.
fn read_pem(path: &str) -> io::Result<Content> {
    match read(path)? {
        content if content.bytes.is_empty() => Err(io::Error::other("is empty (expected PEM)")),
        content => Ok(content),
    }
}

/// Reads a whole regular file of at most [`MAX_BYTES`]. Pipes and devices are refused before they can block.
pub fn read(path: &str) -> io::Result<Content> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        0..=MAX_BYTES => Ok(Content { bytes, mode }),
        _ => Err(io::Error::other("is longer than 256 KiB")),
    }
}

/// What stands in a file: the same for the same bytes and mode.
pub type Digest = [u8; 32];

/// Of the four files, the CRL's last.
pub fn digest(network: &Network) -> Vec<Digest> {
    [&network.ca, &network.cert, &network.key, &network.crl].map(|path| file_digest(path)).into()
}

pub fn file_digest(path: &str) -> Digest {
    match read(path) {
        Ok(content) => content_digest(content.mode, &content.bytes),
        Err(error) => content_digest(0, error.to_string().as_bytes()),
    }
}

pub fn content_digest(mode: u32, bytes: &[u8]) -> Digest {
    let mut all = ring::digest::Context::new(&ring::digest::SHA256);
    all.update(&(mode & 0o7777).to_ne_bytes());
    all.update(bytes);
    all.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// The text of a configuration file, with the same care.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn read_config(path: &str) -> Result<Vec<u8>, String> {
    let complain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{path}: no such file (expected the configuration, see --config)"),
        _ => format!("{path}: {error}"),
    };
    read(path).map(|content| content.bytes).map_err(complain)
}
