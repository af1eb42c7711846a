//! `quicap run`: the daemon of one network, in the foreground.

use std::path::PathBuf;

use argh::FromArgs;

use super::Failure;
use crate::daemon::{self, Options};

/// run the daemon of one network in the foreground, logging to stderr
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// the network; may be left out when the file has exactly one that is enabled
    #[argh(positional)]
    network: Option<String>,
    /// the UCI file (default: /etc/config/quicap)
    #[argh(option, default = "super::CONFIG.to_owned()")]
    config: String,
    /// the control socket (default: /var/run/quicap/NETWORK.sock)
    #[argh(option)]
    socket: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(args: Run) -> Result<(), Failure> {
    log::set_logger(&Stderr).map_err(|error| Failure::runtime(format!("logger: {error}")))?;
    log::set_max_level(log::LevelFilter::Info);
    daemon::run(&Options { network: args.network, config: args.config, socket: args.socket })
}

/// The log: a line on standard error, without a time stamp. When nobody reads it any more, or its disk is full, the daemon goes on.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say!("{:<5} [{}] {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}
