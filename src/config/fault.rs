//! One thing wrong in the configuration, as the user reads it: file, line, option, what stood there, what was expected.

use std::fmt;

/// Most characters of a value that are repeated in a message.
const SHOWN: usize = 60;

/// Nothing starts, or is reloaded, while there is one.
pub type Error = Fault;

/// Does not keep anything from running.
pub type Warning = Fault;

/// Whether it is an error or a warning is said by the list it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// `option mtu`, `list endpoint`, `config peer 'a'`; empty: the line itself.
    pub place: String,
    /// What stood there, as it stood; `None` where nothing did.
    pub found: Option<String>,
    /// What is wrong with it and what was expected, to be read behind place and value.
    pub complaint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if let Some(found) = &self.found {
            write!(f, "'{}' ", shown(found))?;
        }
        f.write_str(&self.complaint)
    }
}

impl std::error::Error for Fault {}

/// Safe to print on one line: control characters escaped, long values cut.
fn shown(value: &str) -> String {
    let cut: String = value.chars().take(SHOWN).flat_map(printable).collect();
    if value.chars().nth(SHOWN).is_some() { format!("{cut}...") } else { cut }
}

fn printable(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_whatever_stood_there() {
        let table = [
            ("99999", "f:7: option x: '99999' is wrong"),
            ("a\nb\u{1b}[2J", "f:7: option x: 'a\\nb\\u{1b}[2J' is wrong"),
            ("", "f:7: option x: '' is wrong"),
        ];
        for (found, expected) in table {
            let fault = Fault {
                file: "f".to_owned(),
                line: 7,
                place: "option x".to_owned(),
                found: Some(found.to_owned()),
                complaint: "is wrong".to_owned(),
            };
            assert_eq!(fault.to_string(), expected);
        }
        assert_eq!(shown(&"é".repeat(61)), "é".repeat(60) + "...");
    }
}
