//! Parses arguments, starts the logger, runs a command, turns an error into an exit code.

use std::process::ExitCode;

use argh::FromArgs;
use quicap::cli::{self, Failure};

/// many routers, one LAN, over QUIC
#[derive(FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Ca(cli::ca::Ca),
    Check(cli::check::Check),
    Csr(cli::csr::Csr),
    #[cfg(feature = "demo")]
    Demo(cli::demo::Demo),
    Doctor(cli::doctor::Doctor),
    Install(cli::install::Install),
    Run(cli::run::Run),
    Selftest(cli::selftest::Selftest),
    Status(cli::status::Status),
    TapDel(cli::tap_del::TapDel),
    UciShow(cli::uci_show::UciShow),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.message.trim_end().lines().for_each(|line| cli::say(format_args!("quicap: {line}")));
            ExitCode::from(failure.code)
        }
    }
}

fn run() -> Result<(), Failure> {
    let arguments = cli::arguments()?;
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if words == ["--version"] {
        return cli::status::print(concat!("quicap ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    match Arguments::from_args(&["quicap"], &words) {
        Ok(arguments) => match arguments.command {
            Command::Ca(args) => cli::ca::run(&args),
            Command::Check(args) => cli::check::run(&args),
            Command::Csr(args) => cli::csr::run(&args),
            #[cfg(feature = "demo")]
            Command::Demo(args) => cli::demo::run(&args),
            Command::Doctor(args) => cli::doctor::run(&args),
            Command::Install(args) => cli::install::run(&args),
            Command::Run(args) => cli::run::run(args),
            Command::Selftest(args) => cli::selftest::run(&args),
            Command::Status(args) => cli::status::run(&args),
            Command::TapDel(args) => cli::tap_del::run(&args),
            Command::UciShow(args) => cli::uci_show::run(&args),
        },
        Err(early) if early.status.is_ok() => cli::status::print(&(early.output + "\n")),
        Err(early) => {
            let line = early.output.replace('\0', "").split_whitespace().collect::<Vec<_>>().join(" ");
            Err(Failure::usage(line))
        }
    }
}
