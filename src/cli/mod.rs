//! Commands: one file for each family, an argument struct and a `run` each.

pub mod check;
pub mod uci_show;

/// How a command ends when it does not succeed; only `main.rs` exits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// 1: run-time failure, 2: wrong usage or configuration, 3: our own certificate is no good.
    pub code: u8,
    /// One or more lines for stderr.
    pub message: String,
}
