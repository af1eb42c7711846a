//! Commands: one file for each family. They read arguments, files and the clock, and print; what they decide,
//! the rooms below decide.

use std::fmt;
use std::io::{self, Write};

/// A line for people, on standard error.
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::say(format_args!($($line)*)) };
}

pub mod ca;
pub mod check;
pub mod csr;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod files;
pub mod install;
mod next;
pub mod run;
pub mod selftest;
pub mod status;
pub mod tap_del;
pub mod uci_show;

/// Why a command ends the program, and with which exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// 1 run-time failure, 2 wrong usage or configuration, 3 our own certificate is no good.
    pub code: u8,
    /// One line for each fault: which file, option or node, what was expected, what to do.
    pub message: String,
}

impl Failure {
    pub fn runtime(message: impl fmt::Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    pub fn certificate(message: impl fmt::Display) -> Self {
        Self { code: 3, message: message.to_string() }
    }
}

/// Prints a line on standard error. That nobody reads it, or that a disk is full, is no reason to end half-way.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Where the configuration is unless `--config` says otherwise.
const CONFIG: &str = "/etc/config/quicap";

/// The program's arguments, fit for argh: it takes a lone `-` for an option, so standard input and output travel
/// as [`files::STANDARD`].
pub fn arguments() -> Result<Vec<String>, Failure> {
    let standard = |text: String| if text == "-" { files::STANDARD.to_owned() } else { text };
    std::env::args_os()
        .map(|text| text.into_string().map(standard))
        .collect::<Result<_, _>>()
        .map_err(|text| Failure::usage(format!("argument {text:?} is not UTF-8 text")))
}

/// UNIX seconds for signing and checking certificates.
#[allow(clippy::disallowed_methods, reason = "commands may read the clock; the core is told")]
fn unix_now() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
