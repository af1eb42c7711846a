//! A CA's directory, locked: `ca.key`, `ca.crt`, `index`, `crl.pem`.
//!
//! `index` is written first and is the truth; `crl.pem` follows from it and is made again on opening if it lags
//! behind. So a crash between two writes loses nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, files};
use crate::pki::ca::Authority;
use crate::pki::crl::Crl;
use crate::pki::date::Day;
use crate::pki::index::{Entry, Index};
use crate::pki::rights::is_network_name;
use crate::pki::{Fault, bundle};

/// A list that is due within this time is renewed on opening.
const RENEW_CRL_S: u32 = 60 * 86_400;

pub struct Directory {
    path: PathBuf,
    pub authority: Authority,
    /// `ca.crt` as it stands.
    pub anchors: Vec<u8>,
    pub index: Index,
    /// Our own list, then those of other CAs that somebody put into `crl.pem` for a rollover.
    pub crls: Vec<Crl>,
    _lock: Option<files::Lock>,
}

impl Directory {
    /// Locks and reads the directory and mends what a crash left. `network`: for a CA made elsewhere.
    pub fn open(path: &Path, network: Option<&str>, now_unix_s: u32) -> Result<Self, Failure> {
        let key = std::fs::metadata(path.join("ca.key"));
        if key.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let path = path.display();
            return Err(Failure::runtime(format!("{path}: there is no CA; make one with 'quicap ca init'")));
        }
        let lock = files::Lock::take(path)?;
        let mut directory = Self::open_locked(path, network, now_unix_s)?;
        directory._lock = Some(lock);
        Ok(directory)
    }

    /// Like [`Directory::open`], with the lock in the caller's hands.
    pub fn open_locked(path: &Path, network: Option<&str>, now_unix_s: u32) -> Result<Self, Failure> {
        let read = |name: &str| files::read(&path.join(name).to_string_lossy());
        let (key, anchors) = (read("ca.key")?, read("ca.crt")?);
        let authority = Authority::from_pem(&key, &anchors).map_err(|fault| match fault {
            Fault::KeyMismatch => Failure::runtime(format!(
                "{}: no certificate in ca.crt belongs to ca.key; put the CA's own certificate there",
                path.display()
            )),
            fault => Failure::runtime(format!("{}: {fault}", path.display())),
        })?;
        let ca = authority.certificate();
        if now_unix_s > ca.not_after {
            let (path, date) = (path.display(), Day(ca.not_after));
            return Err(Failure::runtime(format!(
                "{path}: the CA expired on {date}; make a new one (rollover)"
            )));
        }
        let index = read_index(path, &authority, network)?;
        let crls = read_crls(path)?;
        let mut directory = Self { path: path.to_owned(), authority, anchors, index, crls, _lock: None };
        directory.mend(now_unix_s)?;
        Ok(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Enters a certificate, before anybody gets it.
    pub fn add(&mut self, entry: Entry) -> Result<(), Failure> {
        self.index.entries.push(entry);
        self.write_index()
    }

    /// Forgets the certificate that was entered last, since it could not be delivered.
    pub fn forget_last(&mut self) {
        let forgotten = self.index.entries.pop();
        if let (Some(entry), Err(_)) = (forgotten, self.write_index()) {
            say!("warning: {}: {} stays listed, though nobody has it", self.path.display(), entry.serial);
        }
    }

    /// Writes the index with what is newly revoked, then the list that says so.
    pub fn publish_revocations(&mut self, now_unix_s: u32) -> Result<(), Failure> {
        self.index.crl_number = self.index.crl_number.saturating_add(1);
        self.write_index()?;
        self.write_crl(now_unix_s)
    }

    /// Makes what follows from key and index: the index of a CA made elsewhere, a list that is missing, lags
    /// behind a crash or is due soon.
    fn mend(&mut self, now_unix_s: u32) -> Result<(), Failure> {
        let ours = self.crls.iter().find(|crl| crl.is_from(self.authority.certificate()));
        let listed = ours.map(|crl| (crl.number.unwrap_or(0), crl.revoked().to_vec(), crl.this_update));
        let is_due =
            |crl: &Crl| crl.next_update.is_some_and(|due| due < now_unix_s.saturating_add(RENEW_CRL_S));
        let outlives_ca = self.authority.certificate().not_after < now_unix_s.saturating_add(RENEW_CRL_S);
        let is_old = ours.is_none_or(|crl| is_due(crl) && !outlives_ca);
        let before = self.index.clone();
        if let Some((number, revoked, at)) = &listed {
            self.index.adopt(revoked, *at);
            self.index.crl_number = self.index.crl_number.max(*number);
        }
        let known = self.index.revoked();
        let lags = listed.is_none_or(|(number, revoked, _)| {
            number < self.index.crl_number || known.iter().any(|(serial, _)| !revoked.contains(serial))
        });
        if is_old || lags {
            return self.publish_revocations(now_unix_s);
        }
        if self.index != before || !self.path("index").exists() { self.write_index() } else { Ok(()) }
    }

    fn write_index(&self) -> Result<(), Failure> {
        self.write("index", self.index.to_text().as_bytes(), files::SECRET)
    }

    fn write_crl(&mut self, now_unix_s: u32) -> Result<(), Failure> {
        let in_dir = |fault: Fault| Failure::runtime(format!("{}: {fault}", self.path.display()));
        let revoked = self.index.revoked();
        let list = self.authority.revoke(self.index.crl_number, &revoked, now_unix_s).map_err(in_dir)?;
        self.crls.retain(|crl| !crl.is_from(self.authority.certificate()));
        self.crls.insert(0, list);
        self.write("crl.pem", bundle::crls_to_pem(&self.crls).as_bytes(), files::PUBLIC)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let path = self.path(name);
        files::replace(&path, bytes, mode).map_err(|e| files::failure(&path, &e))
    }
}

/// Reads the index alone, as `list` does: it is always whole.
pub fn read_index_file(path: &Path) -> Result<Option<Index>, Failure> {
    let path = path.join("index");
    let Some(bytes) = files::read_if_there(&path)? else { return Ok(None) };
    let in_line = |line| {
        let path = path.display();
        Failure::runtime(format!("{path}:{line}: not a line of an index; restore the file from a copy"))
    };
    Index::from_text(&String::from_utf8_lossy(&bytes)).map(Some).map_err(in_line)
}

pub fn read_crls(path: &Path) -> Result<Vec<Crl>, Failure> {
    let path = path.join("crl.pem");
    let pem = files::read_if_there(&path)?.unwrap_or_default();
    Crl::all_from_pem(&pem).map_err(|fault| Failure::runtime(format!("{}: {fault}", path.display())))
}

/// `ca init` never touches an existing CA, nor the rest of one.
pub fn refuse_overwriting(path: &Path) -> Result<(), Failure> {
    match ["ca.crt", "crl.pem", "index"].iter().find(|name| path.join(name).exists()) {
        Some(name) => Err(Failure::runtime(format!(
            "{} exists; a CA is never overwritten: choose another --dir",
            path.join(name).display()
        ))),
        None => Ok(()),
    }
}

/// Leaves the directory as `ca init` found it.
pub fn undo_init(path: &Path, with_key: bool) {
    let key = with_key.then_some("ca.key");
    for name in ["crl.pem", "index", "ca.crt"].into_iter().chain(key) {
        let _ = std::fs::remove_file(path.join(name));
    }
}

fn read_index(path: &Path, authority: &Authority, network: Option<&str>) -> Result<Index, Failure> {
    let index = match read_index_file(path)? {
        Some(index) => index,
        None => Index::new(&choose_network(path, authority, network)?),
    };
    match network {
        Some(network) if network != index.network => Err(Failure::usage(format!(
            "{}: this is the CA of network '{}', not of '{network}'",
            path.display(),
            index.network
        ))),
        _ => Ok(index),
    }
}

/// The network of a CA without an index: as its certificate says, as the user says, as the directory is called.
fn choose_network(path: &Path, authority: &Authority, network: Option<&str>) -> Result<String, Failure> {
    if let Some(network) = authority.network().or(network) {
        return Ok(network.to_owned());
    }
    let absolute = path.canonicalize().unwrap_or_default();
    match absolute.file_name().and_then(|name| name.to_str()).filter(|name| is_network_name(name)) {
        Some(name) => {
            say!(
                "warning: {}: taking '{name}' for the network's name; --network says another",
                path.display()
            );
            Ok(name.to_owned())
        }
        None => Err(Failure::usage(format!("{}: say the network's name with --network", path.display()))),
    }
}
