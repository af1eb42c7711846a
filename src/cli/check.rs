//! `quicap check`: reads all that `run` would read, says everything that is wrong, starts nothing.

use std::io::{self, Write};
use std::path::Path;

use argh::FromArgs;

use crate::cli::{Failure, next};
use crate::config::{self, Network, Reading};
use crate::daemon::CLOCK_ADVICE;
use crate::daemon::finding::{Findings, Outcome};
use crate::daemon::material::{self, Class};
use crate::daemon::notices::read_clock;
use crate::node::dates;
use crate::pki::date::Day;
use crate::pki::timekeeper::{self, BUILT, Standing};

/// read the configuration, certificates and keys, and say what is wrong; start nothing
#[derive(FromArgs, PartialEq, Eq, Debug)]
#[argh(subcommand, name = "check")]
pub struct Check {
    /// the configuration (default: /etc/config/quicap)
    #[argh(option, default = "super::CONFIG.to_owned()")]
    pub config: String,
}

/// What OpenWrt's sysupgrade keeps of us: there when the package is.
const KEPT: &str = "/lib/upgrade/keep.d/quicap";

/// Prints what is in order to stdout and warnings to stderr.
///
/// # Errors
/// All faults, one a line: code 2, or 3 when nothing but our own certificate is no good.
pub fn run(arguments: &Check) -> Result<(), Failure> {
    let text = material::read_config(&arguments.config).map_err(|message| Failure { code: 2, message })?;
    let mut found = Findings::default();
    let wanted = examine(&arguments.config, &text, &mut found);
    let (mut code, mut faults) = (3, Vec::new());
    for finding in found.iter() {
        // A closed pipe is no reason to fail: the exit code says what matters.
        let _ = match finding.outcome {
            Outcome::OK => writeln!(io::stdout(), "{}", finding.text),
            Outcome::WARNING => writeln!(io::stderr(), "warning: {}", finding.text),
            _ => {
                if finding.check != CERTIFICATE {
                    code = 2;
                }
                faults.push(finding.text);
                Ok(())
            }
        };
    }
    if arguments.config == super::CONFIG {
        advise(&wanted, faults.is_empty());
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure { code, message: faults.join("\n") }),
    }
}

/// The next command, and what nobody who runs a router should find out too late; nothing on other machines.
fn advise(networks: &[String], is_good: bool) {
    let mut out = io::stdout();
    let root = Path::new("/");
    let next = |network: &String| match is_good {
        true => next::steps(root, network),
        // What is wrong has been said; only a certificate that is missing has a command that mends it.
        false => next::steps(root, network).filter(|steps| steps.contains("quicap csr")),
    };
    for steps in networks.iter().filter_map(next) {
        let _ = writeln!(out, "{steps}");
    }
    if Path::new(KEPT).exists() {
        let _ = writeln!(
            out,
            "a new firmware keeps keys and configuration, but not the package: name quicap to owut or attended sysupgrade, \
             or install it again"
        );
    }
}

/// The check of everything that is wrong with nothing but our own certificate.
const CERTIFICATE: &str = "certificate";

/// Names the networks that the operator wants: all, while none is enabled.
fn examine(file: &str, text: &[u8], found: &mut Findings) -> Vec<String> {
    let networks = networks(file, text, found);
    let clock = read_clock();
    let none = !networks.iter().any(|network| network.enabled);
    if none && found.count(Outcome::Fault) == 0 {
        let text = format_args!("{file}: no network is enabled: nothing would run (option enabled '1')");
        found.warning("config", text, "");
    }
    networks.iter().filter(|network| network.enabled).for_each(|network| look(network, clock, found));
    let wanted = networks.into_iter().filter(|network| none || network.enabled);
    wanted.map(|network| network.name).collect()
}

/// The networks in the file; what is odd or wrong with it.
pub fn networks(file: &str, text: &[u8], found: &mut Findings) -> Vec<Network> {
    let Reading { config, errors } = config::read(file, text);
    for warning in &config.warnings {
        found.warning("config", format_args!("{warning}"), "");
    }
    for error in &errors {
        found.fault("config", format_args!("{error}"), "");
    }
    config.networks
}

/// Certificates, keys and lists of a network, and the clock that they are judged by.
pub fn look(network: &Network, clock: timekeeper::Reading, found: &mut Findings) {
    let name = &network.name;
    let material = material::load(network, &mut |floor| clock.judge(floor), None);
    let floor = material.as_ref().map_or(BUILT, |material| material.floor);
    let now = clock.judge(floor);
    if !now.trusted {
        let standing = Standing::Unset { shows: now.unix_s, floor };
        found.warning("clock", format_args!("network {name}: {standing}"), CLOCK_ADVICE);
    }
    match material {
        Ok(material) => {
            let member = &material.member;
            for warning in dates::warnings(now.unix_s, member, &material.trust) {
                found.warning(CERTIFICATE, format_args!("network {name}: {warning}"), "");
            }
            let peers = network.others(&member.name).len();
            if peers < network.peers.len() {
                let text = format_args!(
                    "network {name}: peer '{}' is this node itself, and is ignored",
                    member.name
                );
                found.warning("config", text, "");
            }
            let (id, until) = (member.id, Day(member.not_after));
            let text = format_args!(
                "network {name}: node {} (id {id}), certificate until {until}, {peers} peers",
                member.name
            );
            found.ok(CERTIFICATE, text);
        }
        Err(faults) => {
            for fault in faults {
                let of_key =
                    fault.message.strip_prefix(&network.key).is_some_and(|rest| rest.starts_with(':'));
                let check = match fault.class {
                    Class::Certificate => CERTIFICATE,
                    Class::Configuration if of_key => "key",
                    Class::Configuration => "files",
                };
                found.fault(check, format_args!("{fault}"), "");
            }
        }
    }
}
