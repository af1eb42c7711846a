//! `quicap check`: reads all that `run` would read, says everything that is wrong, starts nothing.

use std::io::{self, Write};
use std::path::Path;

use argh::FromArgs;

use crate::cli::{Failure, next};
use crate::config::{self, Network, Reading};
use crate::daemon::material::{self, Class, Material};
use crate::daemon::notices::read_clock;
use crate::node::dates;
use crate::pki::clock::Now;
use crate::pki::date::Day;
use crate::pki::timekeeper::{self, Standing};

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

/// What a check found, each a line without its end.
#[derive(Default)]
struct Findings {
    /// What is in order, for stdout.
    good: Vec<String>,
    /// Names of the networks that the operator wants; of all, while none is enabled.
    wanted: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
    /// The highest class of the errors decides.
    code: u8,
}

/// Prints what is in order to stdout and warnings to stderr.
///
/// # Errors
/// All faults, one a line: code 2, or 3 when nothing but our own certificate is no good.
pub fn run(arguments: &Check) -> Result<(), Failure> {
    let text = material::read_config(&arguments.config).map_err(|message| Failure { code: 2, message })?;
    let findings = examine(&arguments.config, &text, read_clock());
    // A closed pipe is no reason to fail: the exit code says what matters.
    for line in &findings.warnings {
        let _ = writeln!(io::stderr(), "warning: {line}");
    }
    for line in &findings.good {
        let _ = writeln!(io::stdout(), "{line}");
    }
    if arguments.config == super::CONFIG {
        advise(&findings.wanted, findings.errors.is_empty());
    }
    match findings.errors.is_empty() {
        true => Ok(()),
        false => Err(Failure { code: findings.code, message: findings.errors.join("\n") }),
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

fn examine(file: &str, text: &[u8], clock: timekeeper::Reading) -> Findings {
    let Reading { config, errors } = config::read(file, text);
    let mut findings = Findings::default();
    findings.warnings.extend(config.warnings.iter().map(ToString::to_string));
    for error in &errors {
        findings.error(2, error.to_string());
    }
    let enabled = || config.networks.iter().filter(|network| network.enabled);
    if errors.is_empty() && enabled().next().is_none() {
        findings
            .warnings
            .push(format!("{file}: no network is enabled: nothing would run (option enabled '1')"));
    }
    let none = enabled().next().is_none();
    let wanted = config.networks.iter().filter(|network| none || network.enabled);
    findings.wanted = wanted.map(|network| network.name.clone()).collect();
    for network in enabled() {
        match material::load(network, |floor| clock.judge(floor), None) {
            Ok(material) => findings.accept(network, &material),
            Err(faults) => {
                faults.iter().for_each(|fault| findings.error(code(fault.class), fault.to_string()))
            }
        }
    }
    findings
}

const fn code(class: Class) -> u8 {
    match class {
        Class::Configuration => 2,
        Class::Certificate => 3,
    }
}

impl Findings {
    fn error(&mut self, code: u8, line: String) {
        self.code = if self.errors.is_empty() { code } else { self.code.min(code) };
        self.errors.push(line);
    }

    fn accept(&mut self, network: &Network, material: &Material) {
        let member = &material.member;
        self.good.push(format!(
            "network {}: node {} (id {}), certificate until {}, {} peers",
            network.name,
            member.name,
            member.id,
            Day(member.not_after),
            network.peers.len(),
        ));
        let Now { unix_s, trusted } = material.judged;
        let standing = Standing::Unset { shows: unix_s, floor: material.floor };
        let clock = (!trusted).then(|| standing.to_string());
        for warning in clock.into_iter().chain(dates::warnings(unix_s, member, &material.trust)) {
            self.warnings.push(format!("network {}: {warning}", network.name));
        }
    }
}
