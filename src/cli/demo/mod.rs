//! `quicap demo`: the main job on one machine, from nothing to frames between two laptops, told step by step.
//!
//! Touches nothing outside of network namespaces and a temporary directory of its own, and takes both away again.
//! `story.rs` and `detour.rs` are what happens, `lab.rs` what it happens in. Read first: README, "See it work".

mod detour;
pub mod json;
mod lab;
mod leftovers;
mod narrator;
mod story;
pub mod transfer;

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use argh::FromArgs;

use self::lab::Lab;
use self::narrator::Narrator;
use self::story::Story;

const NODES: std::ops::RangeInclusive<usize> = 2..=8;

/// the main job on one machine, as root: routers and laptops in network namespaces, from nothing to pings
#[derive(FromArgs)]
#[argh(subcommand, name = "demo")]
pub struct Demo {
    /// how many routers, 2 to 8 (default 3); with 2 there is no other way when a link breaks
    #[argh(option, default = "3")]
    nodes: usize,
}

/// Why there was no happy end.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong: the user can mend it.
    Usage(String),
    /// This machine, or this user, cannot run a demo; says what is needed.
    Machine(String),
    /// Ctrl-C, `kill`, or the terminal went away.
    Interrupted,
    /// Nobody reads what we tell.
    Audience(io::Error),
    /// Something did not happen as it should: what, and what was seen instead.
    Story(String),
}

impl Failure {
    fn io(what: &str, error: &io::Error) -> Self {
        Self::Story(format!("{what}: {error}"))
    }

    fn command(line: &str, output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        Self::Story(format!(
            "'{}' failed ({}): {}",
            lab::plain(line),
            output.status,
            said.unwrap_or("no word")
        ))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Audience(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Machine(text) | Self::Story(text) => f.write_str(text),
            Self::Interrupted => f.write_str("interrupted; everything was taken away again"),
            Self::Audience(error) => write!(f, "stdout: {error}"),
        }
    }
}

impl From<Failure> for super::Failure {
    fn from(failure: Failure) -> Self {
        let message = format!("demo: {failure}");
        if matches!(failure, Failure::Usage(_)) { Self::usage(message) } else { Self::runtime(message) }
    }
}

/// Must be called before a second thread starts, because of the signals.
///
/// # Errors
/// Anything but: every ping answered, every byte arrived, everything taken away again.
pub fn run(demo: &Demo) -> Result<(), super::Failure> {
    if !NODES.contains(&demo.nodes) {
        let text = format!("--nodes {}: expected {} to {}", demo.nodes, NODES.start(), NODES.end());
        return Err(Failure::Usage(text).into());
    }
    check_machine()?;
    let mut story = Story::new(Lab::new()?, Narrator::on_stdout(), demo.nodes);
    Ok(story.tell()?)
}

/// Says in one line what is missing, before anything is made.
fn check_machine() -> Result<(), Failure> {
    let needs = |text: &str| Err(Failure::Machine(text.to_owned()));
    if !std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        return needs("needs root, to make network namespaces; start it as root: sudo quicap demo");
    }
    if !Path::new("/dev/net/tun").exists() {
        return needs("no /dev/net/tun on this machine; load the driver: modprobe tun");
    }
    for (program, package) in [("ip", "iproute2"), ("ping", "iputils-ping")] {
        let quiet = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if quiet.is_err() {
            return needs(&format!("the command '{program}' is missing; install the package {package}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_nodes_out_of_range_is_a_usage_error_before_anything_else() {
        for nodes in [0, 1, 9, usize::MAX] {
            let failure = run(&Demo { nodes }).unwrap_err();
            assert_eq!(failure.code, 2);
            assert_eq!(failure.message, format!("demo: --nodes {nodes}: expected 2 to 8"));
        }
    }

    #[test]
    fn a_failed_command_is_told_in_one_line_with_its_own_last_words() {
        let output = Command::new("sh").args(["-c", "printf 'x\\nwhy\\n\\n' >&2; exit 3"]).output().unwrap();
        let failure = Failure::command("ip netns add @router-a", &output);
        assert_eq!(failure.to_string(), "'ip netns add router-a' failed (exit status: 3): why");
    }
}
