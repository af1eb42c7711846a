//! Parses arguments, starts the logger, runs a command, turns an error into an exit code.

fn main() {}
