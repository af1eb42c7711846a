//! Files of cases: `file "..."` with escapes, then `show "..."` or `fail LINE BYTE`, as the real `uci` had it.

use std::fmt;
use std::path::PathBuf;

#[derive(PartialEq, Eq)]
pub struct Case {
    pub file: Vec<u8>,
    pub outcome: Outcome,
}

#[derive(PartialEq, Eq)]
pub enum Outcome {
    Shown(Vec<u8>),
    Refused { line: u32, byte: usize },
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file \"{}\"\n{}", self.file.escape_ascii(), self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(text) => write!(f, "show \"{}\"", text.escape_ascii()),
            Self::Refused { line, byte } => write!(f, "fail {line} {byte}"),
        }
    }
}

pub fn load(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    while let (Some(file), Some(outcome)) = (lines.next(), lines.next()) {
        cases.push(Case { file: quoted(file, "file").unwrap(), outcome: outcome_of(outcome) });
    }
    cases
}

pub fn save(name: &str, cases: &[Case]) {
    let head =
        "# Files and what OpenWrt's `uci show` made of them; tests/uci/cases.rs says how to read this.\n\n";
    let body: Vec<String> = cases.iter().map(Case::to_string).collect();
    std::fs::write(path(name), format!("{head}{}", body.join("\n"))).unwrap();
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/uci/{name}.txt"))
}

fn outcome_of(line: &str) -> Outcome {
    if let Some(text) = quoted(line, "show") {
        return Outcome::Shown(text);
    }
    let numbers = line.strip_prefix("fail ").and_then(|rest| rest.split_once(' ')).unwrap();
    Outcome::Refused { line: numbers.0.parse().unwrap(), byte: numbers.1.parse().unwrap() }
}

fn quoted(line: &str, word: &str) -> Option<Vec<u8>> {
    let text = line.strip_prefix(word)?.strip_prefix(" \"")?.strip_suffix('"')?;
    Some(unescape(text.as_bytes()))
}

/// Undoes `<[u8]>::escape_ascii`.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, rest @ ..] = text {
        let (byte, used) = match (first, rest) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'x', high, low, ..]) => (hex(*high) * 16 + hex(*low), 4),
            (b'\\', [byte, ..]) => (*byte, 2),
            (byte, _) => (*byte, 1),
        };
        out.push(byte);
        text = &text[used..];
    }
    out
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap() as u8
}
