//! `quicap ca init|sign|revoke|list`: a certificate authority in a directory.
//!
//! Arguments and printing; the directory with its order of writes is in ca/directory.rs, signing in pki. Read
//! first: docs/certificates.md.

mod directory;
mod list;

use std::path::Path;

use argh::FromArgs;

use crate::cli::ca::directory::Directory;
use crate::cli::{Failure, files, unix_now};
use crate::pki::Trust;
use crate::pki::bundle::{certificates_to_pem, crls_to_pem};
use crate::pki::ca::{Validity, create};
use crate::pki::certificate::{Certificate, Serial};
use crate::pki::csr::{Request, generate_key};
use crate::pki::date::Day;
use crate::pki::index::Entry;
use crate::pki::rights::{Grant, Prefix, Rights, is_network_name, read_mac};
use crate::pki::timekeeper::BUILT;
use crate::types::{MacAddr, NodeId};

/// the network's certificate authority
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "ca")]
pub struct Ca {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub enum Command {
    Init(Init),
    Sign(Sign),
    Revoke(Revoke),
    List(List),
}

/// make a new CA: ca.key, ca.crt and crl.pem
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "init")]
pub struct Init {
    /// directory of the CA, made if missing (0700)
    #[argh(option)]
    pub dir: String,
    /// name of the network: A-Z, a-z, 0-9 and '_'; the UCI section's name on every node
    #[argh(option)]
    pub network: String,
    /// days until the CA's certificate expires; default 7300
    #[argh(option, default = "7300")]
    pub days: u32,
}

/// sign a node's request
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "sign")]
pub struct Sign {
    /// directory of the CA
    #[argh(option)]
    pub dir: String,
    /// the request; '-': standard input
    #[argh(positional)]
    pub csr: String,
    /// file for the certificate; default: standard output, unless there is a bundle
    #[argh(option)]
    pub out: Option<String>,
    /// file for certificate, CA and CRL together, for 'quicap install'; '-': standard output
    #[argh(option)]
    pub bundle: Option<String>,
    /// sign although the name has a live certificate with another key
    #[argh(switch)]
    pub replace: bool,
    /// days until the certificate expires; default 1095
    #[argh(option, default = "1095")]
    pub days: u32,
    /// node id, 1 to 65279; default: the name's, or the next free one
    #[argh(option)]
    pub id: Option<u16>,
    /// prefix that the node may own (repeatable)
    #[argh(option)]
    pub prefix: Vec<String>,
    /// the node may own ::/0 and 0.0.0.0/0
    #[argh(switch)]
    pub gateway: bool,
    /// MAC address reserved for the node, and the only ones behind it (repeatable)
    #[argh(option)]
    pub mac: Vec<String>,
    /// how many MAC addresses may live behind the node
    #[argh(option)]
    pub macs: Option<u16>,
    /// the node carries nobody else's frames
    #[argh(switch)]
    pub no_transit: bool,
    /// the node takes no part in the Ethernet
    #[argh(switch)]
    pub no_l2: bool,
    /// name of the network, for a CA made elsewhere that does not say it
    #[argh(option)]
    pub network: Option<String>,
}

/// revoke a node's live certificates, or one by its serial, and renew crl.pem
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "revoke")]
pub struct Revoke {
    /// directory of the CA
    #[argh(option)]
    pub dir: String,
    /// the node's name, or one certificate's serial
    #[argh(positional)]
    pub name: String,
}

/// show who was signed, until when, and what is revoked
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "list")]
pub struct List {
    /// directory of the CA
    #[argh(option)]
    pub dir: String,
    /// as JSON
    #[argh(switch)]
    pub json: bool,
}

pub fn run(args: &Ca) -> Result<(), Failure> {
    match &args.command {
        Command::Init(args) => init(args),
        Command::Sign(args) => sign(args),
        Command::Revoke(args) => revoke(args),
        Command::List(args) => list::run(args),
    }
}

/// `ca.crt` is written last and makes it a CA; what an interrupted run left before it is taken up again.
fn init(args: &Init) -> Result<(), Failure> {
    let network = network_name("--network", &args.network)?;
    let now = plausible_now()?;
    let validity = validity(now, args.days)?;
    let path = Path::new(&args.dir);
    files::create_directory(path)?;
    let _lock = files::Lock::take(path)?;
    directory::refuse_overwriting(path)?;
    let key_path = path.join("ca.key");
    let (key, is_new) = match files::read_if_there(&key_path)? {
        Some(key) => (key, false),
        None => (generate_key().map_err(Failure::runtime)?.into_bytes(), true),
    };
    let in_key = |fault| Failure::runtime(format!("{}: {fault}", key_path.display()));
    let certificate = create(&network, &key, validity).map_err(in_key)?;
    let failed = |e: std::io::Error| files::failure(path, &e);
    let make_key = || if is_new { files::create(&key_path, &key, files::SECRET) } else { Ok(()) };
    make_key()
        .and_then(|()| files::create(&path.join("ca.crt"), certificate.as_bytes(), files::PUBLIC))
        .map_err(failed)
        .and_then(|()| Directory::open_locked(path, Some(&network), now).map(drop))
        .inspect_err(|_| directory::undo_init(path, is_new))?;
    say!("{}: CA of network '{network}' until {}", path.display(), Day(validity.not_after));
    say!(
        "next: quicap csr --name NAME --key /etc/quicap/{network}/node.key | \
         quicap ca sign --dir {} - --bundle - | quicap install {network} -\n\
         (NAME: what to call this machine; for another one put 'ssh MACHINE' before quicap csr and before quicap install)",
        path.display()
    );
    Ok(())
}

/// The index is on the disk before anybody can have the certificate: one that is not in it could not be revoked.
fn sign(args: &Sign) -> Result<(), Failure> {
    let wanted = wanted(args)?;
    let now = plausible_now()?;
    let validity = validity(now, args.days)?;
    let shown = if args.csr == files::STANDARD { "standard input" } else { &args.csr };
    let request = Request::from_pem(&files::read(&args.csr)?)
        .map_err(|fault| Failure::runtime(format!("{shown}: {fault}")))?;
    let mut ca = Directory::open(Path::new(&args.dir), wanted.network.as_deref(), now)?;
    let (entry, certificate) = issue(args, &ca, &request, wanted, validity, now)
        .map_err(|e| Failure::runtime(format!("{}: {e}", args.dir)))?;
    let Entry { serial, id, fingerprint, not_after, .. } = entry;
    ca.add(entry)?;
    deliver(args, &mut ca, &certificate)?;
    say!("{}: key {fingerprint}, node {id} until {}, serial {serial}", request.name, Day(not_after));
    if let Some(bundle) = args.bundle.as_ref().filter(|bundle| *bundle != files::STANDARD) {
        say!("next, on {}: quicap install {} {bundle}", request.name, ca.index.network);
    }
    Ok(())
}

/// What the options of `sign` ask for.
struct Wanted {
    id: Option<NodeId>,
    network: Option<String>,
    rights: Rights,
}

fn wanted(args: &Sign) -> Result<Wanted, Failure> {
    let out_of_range = |id: u16| Failure::usage(format!("--id {id}: expected 1 to {}", NodeId::MAX));
    Ok(Wanted {
        id: args.id.map(|id| NodeId::new(id).ok_or_else(|| out_of_range(id))).transpose()?,
        network: args.network.as_deref().map(|name| network_name("--network", name)).transpose()?,
        rights: rights(args)?,
    })
}

/// Makes the certificate (PEM) and its line in the index; writes nothing.
fn issue(
    args: &Sign,
    ca: &Directory,
    request: &Request,
    wanted: Wanted,
    validity: Validity,
    now: u32,
) -> Result<(Entry, String), Box<dyn core::error::Error>> {
    let fingerprint = request.key.fingerprint();
    if !args.replace {
        ca.index.check_key(&request.name, fingerprint, now)?;
    }
    let id = ca.index.choose_id(&request.name, wanted.id)?;
    let validity = within_ca(validity, ca.authority.certificate());
    let grant = Grant { network: ca.index.network.clone(), id, rights: wanted.rights };
    let serial = Serial::random()?;
    let der = ca.authority.issue(request, &grant, serial, validity)?;
    // What we sign, our own nodes must accept.
    let trust = Trust::from_pem(&ca.index.network, &ca.anchors, None)?;
    trust.judge(core::slice::from_ref(&der), now, true)?;
    let entry = Entry {
        serial,
        id,
        name: request.name.clone(),
        fingerprint,
        not_before: validity.not_before,
        not_after: validity.not_after,
        revoked: None,
        rights: grant.to_uris().split_off(2),
    };
    Ok((entry, certificates_to_pem(&[der])))
}

fn revoke(args: &Revoke) -> Result<(), Failure> {
    let now = plausible_now()?;
    let mut ca = Directory::open(Path::new(&args.dir), None, now)?;
    let serials = ca.index.revoke(&args.name, now);
    if serials.is_empty() {
        return Err(Failure::runtime(format!(
            "{}: '{}' is neither a name with a live certificate nor the serial of one that is not revoked; see \
             'quicap ca list'",
            args.dir, args.name
        )));
    }
    ca.publish_revocations(now)?;
    for serial in serials {
        say!("{}: revoked {serial}", args.name);
    }
    say!(
        "{}: CRL {}; copy it to one node, which tells the others",
        ca.path("crl.pem").display(),
        ca.index.crl_number
    );
    Ok(())
}

/// Writes certificate and bundle to where they were asked for. If the first write fails, nobody has the
/// certificate (files are written whole), so it is forgotten; part of what went to standard output may have arrived.
fn deliver(args: &Sign, ca: &mut Directory, certificate: &str) -> Result<(), Failure> {
    let out = match (&args.out, &args.bundle) {
        (None, None) => Some(files::STANDARD),
        (out, _) => out.as_deref(),
    };
    let anchors = String::from_utf8_lossy(&ca.anchors);
    let bundle = format!("{certificate}{}\n{}", anchors.trim_end(), crls_to_pem(&ca.crls));
    let outputs = [(out, certificate), (args.bundle.as_deref(), bundle.as_str())];
    let mut is_first = true;
    for (path, text) in outputs.iter().filter_map(|(path, text)| Some(((*path)?, text))) {
        if let Err(failure) = files::write(path, text.as_bytes(), files::PUBLIC) {
            if is_first && path != files::STANDARD {
                ca.forget_last();
            }
            return Err(failure);
        }
        is_first = false;
    }
    Ok(())
}

fn rights(args: &Sign) -> Result<Rights, Failure> {
    let mut prefixes: Vec<Prefix> = Vec::new();
    for text in &args.prefix {
        let prefix = text.parse().map_err(|()| {
            Failure::usage(format!(
                "--prefix {text}: expected ADDRESS/LENGTH without host bits, as 10.1.0.0/16"
            ))
        })?;
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    let mut mac: Vec<MacAddr> = Vec::new();
    for text in &args.mac {
        let address = read_mac(&text.to_ascii_lowercase()).ok_or_else(|| {
            Failure::usage(format!("--mac {text}: expected a unicast address as 02:00:00:00:00:01"))
        })?;
        if !mac.contains(&address) {
            mac.push(address);
        }
    }
    Ok(Rights {
        prefixes,
        gateway: args.gateway,
        macs: args.macs,
        mac,
        transit: !args.no_transit,
        l2: !args.no_l2,
        ..Rights::default()
    })
}

fn validity(now: u32, days: u32) -> Result<Validity, Failure> {
    let validity = Validity::days(now, days);
    if days == 0 || validity.not_after == u32::MAX {
        return Err(Failure::usage(format!("--days {days}: expected 1 or more, ending before 2106")));
    }
    Ok(validity)
}

/// A certificate cannot outlive its CA.
fn within_ca(validity: Validity, ca: &Certificate) -> Validity {
    let not_after = validity.not_after.min(ca.not_after);
    if not_after < validity.not_after {
        say!("warning: valid until {} only: then the CA expires", Day(not_after));
    }
    Validity { not_before: validity.not_before.max(ca.not_before), not_after }
}

fn network_name(option: &str, name: &str) -> Result<String, Failure> {
    if is_network_name(name) {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!("{option} '{name}': expected A-Z, a-z, 0-9 and '_', at most 64")))
}

/// A certificate signed in 1970 would be no good to anybody.
fn plausible_now() -> Result<u32, Failure> {
    match unix_now() {
        now if now >= BUILT => Ok(now),
        now => {
            Err(Failure::runtime(format!("this machine's clock says {}; set it before signing", Day(now))))
        }
    }
}
