//! Parses arguments, starts the logger, runs a command, turns an error into an exit code.

use std::process::ExitCode;

use argh::FromArgs;
use quicap::cli::{Failure, check, uci_show};

/// Many routers, one LAN, over QUIC.
#[derive(FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Check(check::Check),
    UciShow(uci_show::UciShow),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match Arguments::from_args(&["quicap"], &arguments) {
        Ok(arguments) => finish(run(&arguments.command)),
        Err(exit) if exit.status.is_ok() => {
            println!("{}", exit.output);
            ExitCode::SUCCESS
        }
        Err(exit) => finish(Err(Failure { code: 2, message: exit.output })),
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check(arguments) => check::run(arguments),
        Command::UciShow(arguments) => uci_show::run(arguments),
    }
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message.trim_end());
            ExitCode::from(failure.code)
        }
    }
}
