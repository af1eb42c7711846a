//! `quicap install`: on a node, checks a bundle from the CA and puts its files in place, all or nothing.

use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::cli::{Failure, files, next, unix_now};
use crate::pki::bundle::{Bundle, crls_to_pem, merge_crls};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::csr::key_fingerprint;
use crate::pki::date::Day;
use crate::pki::rights::is_network_name;
use crate::pki::timekeeper::BUILT;
use crate::pki::{Fault, Identity, Member, Trust};

/// check a bundle from the CA and put certificate, CA and CRL in place
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "install")]
pub struct Install {
    /// the network's name
    #[argh(positional)]
    pub network: String,
    /// the bundle; '-': standard input
    #[argh(positional)]
    pub bundle: String,
    /// directory of the node's files; default: /etc/quicap/NETWORK
    #[argh(option)]
    pub dir: Option<String>,
}

/// Everything is checked before anything is written.
pub fn run(args: &Install) -> Result<(), Failure> {
    if !is_network_name(&args.network) {
        return Err(Failure::usage(format!("network '{}': expected A-Z, a-z, 0-9 and '_'", args.network)));
    }
    let bytes = files::read(&args.bundle)?; // before the lock: standard input may take its time
    let directory =
        args.dir.as_ref().map_or_else(|| Path::new("/etc/quicap").join(&args.network), PathBuf::from);
    if !directory.is_dir() {
        let path = directory.display();
        return Err(Failure::runtime(format!(
            "{path}: no such directory; make a key in it with 'quicap csr' first"
        )));
    }
    let _lock = files::Lock::take(&directory)?;
    let failed = |e| files::failure(&directory, &e);
    if files::finish_install(&directory).map_err(failed)? {
        say!("{}: finished an interrupted install first", directory.display());
    }
    let mut set = files::Set::new(&directory);
    let member = prepare(args, &bytes, &directory, &mut set)?;
    set.commit().map_err(failed)?;
    say!(
        "{}: {} is node {} of '{}' until {}",
        directory.display(),
        member.name,
        member.id,
        args.network,
        Day(member.not_after)
    );
    // Other directories are none that the router's configuration knows.
    let steps = args.dir.is_none().then(|| next::steps(Path::new("/"), &args.network)).flatten();
    steps.into_iter().for_each(|steps| say!("{steps}"));
    Ok(())
}

/// Checks the bundle against key, CA, dates and network, and collects what has to be written.
fn prepare(
    args: &Install,
    bytes: &[u8],
    directory: &Path,
    set: &mut files::Set<'_>,
) -> Result<Member, Failure> {
    let shown = if args.bundle == files::STANDARD { "standard input" } else { &args.bundle };
    let in_bundle = |fault: Fault| Failure::runtime(format!("{shown}: {fault}"));
    let bundle = Bundle::from_pem(bytes).map_err(in_bundle)?;
    let (chain, anchors) = (bundle.chain_pem(), bundle.anchors_pem());
    let crls = crls_to_pem(&crls(directory, &bundle, in_bundle)?);
    let trust =
        Trust::from_pem(&args.network, anchors.as_bytes(), Some(crls.as_bytes())).map_err(in_bundle)?;
    let now = unix_now();
    let member = trust.judge(&bundle.chain, now, now >= BUILT).map_err(|refusal| {
        Failure::certificate(format!("{shown}: {refusal}; this machine's clock says {}", Day(now)))
    })?;
    for warning in trust.warnings(now) {
        say!("warning: {shown}: {warning}");
    }
    if let Some(fingerprints) = changed_ca(directory, &trust)? {
        say!("warning: {shown}: the CA changes, now {fingerprints}; was that meant?");
    }
    if let Some(next_key) = matching_key(directory, chain.as_bytes(), shown)? {
        set.add(files::KEY, next_key, files::SECRET);
    }
    set.add("node.crt", chain.into_bytes(), files::PUBLIC);
    set.add("ca.crt", anchors.into_bytes(), files::PUBLIC);
    if !crls.is_empty() {
        set.add("crl.pem", crls.into_bytes(), files::PUBLIC);
    }
    Ok(member)
}

/// The bundle's lists, and those installed ones that are newer or of another CA that still counts.
fn crls(
    directory: &Path,
    bundle: &Bundle,
    in_bundle: impl Fn(Fault) -> Failure,
) -> Result<Vec<Crl>, Failure> {
    let pem = bundle.anchors.iter().chain(&bundle.chain);
    let issuers: Vec<Certificate> = pem.filter_map(|der| Certificate::from_der(der)).collect();
    let path = directory.join("crl.pem");
    let installed = files::read_if_there(&path)?.unwrap_or_default();
    let installed = Crl::all_from_pem(&installed).unwrap_or_else(|fault| {
        say!("warning: {}: {fault}; replaced", path.display());
        Vec::new()
    });
    let copies = bundle.crls.iter().map(|crl| Crl::from_der(&crl.der).ok_or(Fault::Malformed("CRL", 1)));
    let new = copies.collect::<Result<Vec<_>, _>>().map_err(in_bundle)?;
    Ok(merge_crls(installed, new, &issuers))
}

/// The new anchors' keys, if not one of them is installed already: a rollover keeps the old one for a while.
fn changed_ca(directory: &Path, trust: &Trust) -> Result<Option<String>, Failure> {
    let Some(installed) = files::read_if_there(&directory.join("ca.crt"))? else { return Ok(None) };
    let installed = Trust::from_pem(trust.network(), &installed, None);
    let is_known =
        |ca: &Certificate| installed.iter().flat_map(Trust::anchors).any(|old| old.spki == ca.spki);
    if trust.anchors().iter().any(is_known) {
        return Ok(None);
    }
    let fingerprints: Vec<String> = trust.anchors().iter().map(|ca| ca.fingerprint().to_string()).collect();
    Ok(Some(fingerprints.join(", ")))
}

/// Finds the private key of the certificate: `None` if `node.key` is it, else the content of `node.key.next`.
fn matching_key(directory: &Path, chain: &[u8], shown: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut fingerprints = Vec::new();
    for name in [files::KEY, files::NEXT_KEY] {
        let path = directory.join(name);
        let Some(key) = files::read_if_there(&path)? else { continue };
        match Identity::from_pem(chain, &key) {
            Ok(_) if name == files::KEY => return Ok(None),
            Ok(_) => return Ok(Some(key)),
            Err(Fault::KeyMismatch) => {
                let fingerprint = key_fingerprint(&key).map(|f| f.to_string()).unwrap_or_default();
                fingerprints.push(format!("{name} {fingerprint}"));
            }
            Err(fault) => return Err(Failure::runtime(format!("{}: {fault}", path.display()))),
        }
    }
    let have = if fingerprints.is_empty() { "there is no key".to_owned() } else { fingerprints.join(", ") };
    Err(Failure::runtime(format!(
        "{shown}: the certificate is for another key; {}: {have}; make a request there with 'quicap csr'",
        directory.display()
    )))
}
