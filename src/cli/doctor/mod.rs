//! `quicap doctor`: looks at everything that is known to go wrong, and says what it means and what to do.
//!
//! Works without a daemon as far as that goes. What it sends into the LAN is in `frames.rs`; it changes nothing, and it
//! ends within 12 seconds even if the daemon hangs. Read first: docs/doctor.md.

mod device;
mod files;
mod frames;
mod lan;

use std::path::PathBuf;

use argh::FromArgs;

use crate::cli::{Failure, status};
use crate::config::Network;
use crate::daemon::default_socket;
use crate::daemon::finding::{Finding, Findings, Outcome};
use crate::node::json;

/// look for all that is known to go wrong: a line each, ok, warning or fault, with what to do
#[derive(FromArgs, PartialEq, Eq, Debug)]
#[argh(subcommand, name = "doctor")]
pub struct Doctor {
    /// the network; may be left out when the file has exactly one that is enabled
    #[argh(positional, arg_name = "NETWORK")]
    pub network: Option<String>,
    /// the configuration (default: /etc/config/quicap)
    #[argh(option, default = "super::CONFIG.to_owned()")]
    pub config: String,
    /// the daemon's control socket (default: /var/run/quicap/NETWORK.sock)
    #[argh(option)]
    pub socket: Option<PathBuf>,
    /// print JSON
    #[argh(switch)]
    pub json: bool,
}

/// # Errors
/// Code 1 when there is a fault.
pub fn run(arguments: &Doctor) -> Result<(), Failure> {
    let mut found = Findings::default();
    let network = files::network(arguments, &mut found);
    let name = network.as_ref().map_or(arguments.network.as_deref(), |network| Some(&network.name));
    let mut answer = ask(arguments, name, &mut found);
    if let Some(network) = &network {
        take(&answer, network, &mut found);
    }
    let heard = network.as_ref().map(lan::listen).unwrap_or_default();
    if !answer.is_empty() {
        // Now the daemon knows of who answered, too. What it knew before comes first: our questions move our own address.
        let later = ask(arguments, name, &mut found);
        take_loop(&later, &mut found);
        answer += &later;
    }
    if let Some(network) = &network {
        let runs = !answer.is_empty();
        files::look(network, runs, &mut found);
        device::look(network, runs, &mut found);
        lan::judge(network, &heard, &answer, &mut found);
    }
    status::print(&if arguments.json { to_json(&found, name) } else { found.iter().map(row).collect() })?;
    match found.count(Outcome::Fault) {
        0 => Ok(()),
        count => Err(Failure::runtime(format_args!("faults: {count}"))),
    }
}

/// What the daemon says; empty: nothing.
fn ask(arguments: &Doctor, name: Option<&str>, found: &mut Findings) -> String {
    let Some(socket) = arguments.socket.clone().or_else(|| name.map(default_socket)) else {
        return String::new();
    };
    status::answer(&socket, name, "doctor\n").unwrap_or_else(|failure| {
        found.fault("daemon", format_args!("{}", failure.message), "");
        String::new()
    })
}

/// The findings of the daemon. That nobody reaches a port that there is not is none.
fn take(answer: &str, network: &Network, found: &mut Findings) {
    for line in answer.lines().filter(|line| network.listen_port != 0 || !line.starts_with("port\t")) {
        found.0.push_str(line);
        found.0.push('\n');
    }
}

/// In a storm our probe is lost among the frames of the circle. Stations that have moved to and fro by now tell of it.
fn take_loop(later: &str, found: &mut Findings) {
    let line = later.lines().find(|line| line.starts_with("loop\t"));
    if let Some(line) = line.filter(|_| !found.has("loop")) {
        found.0.push_str(line);
        found.0.push('\n');
    }
}

fn row(finding: Finding<'_>) -> String {
    let Finding { check, outcome, text, advice } = finding;
    let mark = if advice.is_empty() { "" } else { ": " };
    format!("{outcome:<8} {check:<11} {text}{mark}{advice}\n")
}

fn to_json(found: &Findings, network: Option<&str>) -> String {
    let all: Vec<Finding<'_>> = found.iter().collect();
    let text = json::object(|o| {
        o.string("version", env!("CARGO_PKG_VERSION"));
        o.string("network", network.unwrap_or_default());
        for (name, outcome) in [("warnings", Outcome::Warning), ("faults", Outcome::Fault)] {
            o.number(name, found.count(outcome) as u64);
        }
        o.array("findings", &all, |o, finding| {
            o.string("check", finding.check);
            o.string("result", finding.outcome);
            o.string("text", finding.text);
            o.string("advice", finding.advice);
        });
    });
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_shows_while_the_doctor_looks_is_found_once() {
        let [mut earlier, mut later] = [Findings::default(), Findings::default()];
        later.ok("daemon", format_args!("runs for 9 s"));
        later.warning("loop", format_args!("mac_flap: ..."), "look for a cable");
        for _ in 0..2 {
            take_loop(&later.0, &mut earlier);
            assert_eq!(earlier.0, "loop\twarning\tmac_flap: ...\tlook for a cable\n");
        }
    }
}
