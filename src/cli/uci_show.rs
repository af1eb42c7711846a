//! `quicap uci-show FILE`: the file as OpenWrt's `uci show` prints it.

use std::io::{self, Write};

use argh::FromArgs;

use crate::cli::Failure;
use crate::config::uci;
use crate::daemon::material::read_config;

/// print FILE as OpenWrt's `uci show` would, as package quicap
#[derive(FromArgs, PartialEq, Eq, Debug)]
#[argh(subcommand, name = "uci-show")]
pub struct UciShow {
    /// the file to read
    #[argh(positional, arg_name = "FILE")]
    pub file: String,
}

/// # Errors
/// Code 2 when the file cannot be read or parsed, 1 when the output cannot be written.
pub fn run(arguments: &UciShow) -> Result<(), Failure> {
    let text = read_config(&arguments.file).map_err(|message| Failure { code: 2, message })?;
    let shown = show(&arguments.file, &text).map_err(|message| Failure { code: 2, message })?;
    let mut out = io::stdout().lock();
    let written = out.write_all(&shown).and_then(|()| out.flush());
    written.map_err(|error| Failure { code: 1, message: format!("cannot write: {error}") })
}

/// The output, or the parse error in one line: where the statement begins, why, and where `uci` would put it.
fn show(file: &str, text: &[u8]) -> Result<Vec<u8>, String> {
    let package = uci::parse(text).map_err(|error| {
        let (line, byte) = error.uci_position;
        format!("{file}:{}: {} (in uci's count: line {line}, byte {byte})", error.line, error.reason)
    })?;
    Ok(package.show("quicap"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shown_or_its_fault_is_named_with_its_line() {
        let shown = show("f", b"config a\n\tlist b 'it'\\''s'\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&shown), "quicap.@a[0]=a\nquicap.@a[0].b='it'\\''s'\n");
        let error = show("f", b"config a\noption b-c d\n").unwrap_err();
        assert_eq!(error, "f:2: a name may only have A-Z, a-z, 0-9 and _ (in uci's count: line 2, byte 11)");
    }
}
