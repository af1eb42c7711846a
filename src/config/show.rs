//! A package printed: as `uci show` prints it, and as a file that reads back the same.

use std::collections::BTreeMap;

use super::uci::{Entry, Package, Section};

impl Package {
    /// What `uci show NAME` prints: anonymous sections by type and number, every value in single quotes.
    /// Bytes, because values are.
    pub fn show(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for section in &self.sections {
            let index = seen.entry(&section.kind).or_default();
            let reference = match section.anonymous {
                true => format!("{name}.@{}[{index}]", section.kind),
                false => format!("{name}.{}", section.name),
            };
            *index += 1;
            show_section(&mut out, section, &reference);
        }
        out
    }

    /// A file that `uci` and we read as this package again.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for section in &self.sections {
            out.extend_from_slice(b"\nconfig ");
            quote(&mut out, section.kind.as_bytes());
            if !section.anonymous {
                out.extend_from_slice(format!(" '{}'", section.name).as_bytes());
            }
            out.push(b'\n');
            section.entries.iter().for_each(|entry| export_entry(&mut out, entry));
        }
        out
    }
}

fn show_section(out: &mut Vec<u8>, section: &Section, reference: &str) {
    out.extend_from_slice(format!("{reference}={}\n", section.kind).as_bytes());
    for entry in &section.entries {
        out.extend_from_slice(format!("{reference}.{}=", entry.name).as_bytes());
        for (index, value) in entry.values.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            quote(out, &value.bytes);
        }
        out.push(b'\n');
    }
}

fn export_entry(out: &mut Vec<u8>, entry: &Entry) {
    let word = if entry.list { "list" } else { "option" };
    for value in &entry.values {
        out.extend_from_slice(format!("\t{word} {} ", entry.name).as_bytes());
        quote(out, &value.bytes);
        out.push(b'\n');
    }
}

/// In single quotes nothing is special but the quote itself, which is written outside of them.
fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}
