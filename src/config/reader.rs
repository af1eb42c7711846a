//! Takes the known options out of one section, and says what is wrong with them.
//!
//! A value of the wrong kind is taken where that is harmless, as OpenWrt's own scripts do: a `list` of one value is an
//! option, and an `option` is a list of its words.

use super::schema::{Known, Report};
use super::suggest;
use super::uci::{Entry, Section, Value};
use super::value::Parsed;

pub(super) struct Reader<'a, 'r> {
    pub(super) section: &'a Section,
    pub(super) report: &'a mut Report<'r>,
}

impl<'a, 'r> Reader<'a, 'r> {
    /// Begins with a warning for every option that is not known.
    pub(super) fn new(section: &'a Section, known: &[Known], report: &'a mut Report<'r>) -> Self {
        for entry in &section.entries {
            if !known.iter().any(|option| option.name == entry.name) {
                let hint = suggest::hint(&entry.name, known.iter().map(|option| option.name));
                let complaint = format!("is not known in {} and is ignored{hint}", title(section));
                report.warning(first_line(entry, section), &place(entry), None, complaint);
            }
        }
        Self { section, report }
    }

    /// The option's value; `None` when it is absent or wrong, and then that is reported.
    pub(super) fn option<T>(&mut self, name: &str, parse: fn(&str) -> Parsed<T>) -> Option<T> {
        let entry = self.section.entry(name)?;
        match entry.values.as_slice() {
            [] => None,
            [value] => self.value(entry, value, parse),
            [_, second, ..] => {
                let complaint = format!("is one of {} values (expected a single one)", entry.values.len());
                self.error(entry, second, complaint);
                None
            }
        }
    }

    /// The list's values, without the wrong ones, which are reported.
    pub(super) fn list<T>(&mut self, name: &str, parse: fn(&str) -> Parsed<T>) -> Vec<T> {
        let Some(entry) = self.section.entry(name) else { return Vec::new() };
        if entry.list {
            return entry.values.iter().filter_map(|value| self.value(entry, value, parse)).collect();
        }
        let words: Vec<Value> = entry.values.iter().flat_map(words).collect();
        words.iter().filter_map(|value| self.value(entry, value, parse)).collect()
    }

    /// The line of an option, or of the section without it.
    pub(super) fn line(&self, name: &str) -> u32 {
        self.section.entry(name).map_or(self.section.line, |entry| first_line(entry, self.section))
    }

    /// Reports something about a valid value, or about its absence.
    pub(super) fn complain(&mut self, name: &str, found: Option<&str>, complaint: impl Into<String>) {
        let (line, place) = self.place(name);
        self.report.error(line, &place, found.map(str::to_owned), complaint.into());
    }

    pub(super) fn warn(&mut self, name: &str, found: Option<&str>, complaint: impl Into<String>) {
        let (line, place) = self.place(name);
        self.report.warning(line, &place, found.map(str::to_owned), complaint.into());
    }

    fn place(&self, name: &str) -> (u32, String) {
        (self.line(name), self.section.entry(name).map_or_else(|| title(self.section), place))
    }

    fn value<T>(&mut self, entry: &Entry, value: &Value, parse: fn(&str) -> Parsed<T>) -> Option<T> {
        let parsed = match str::from_utf8(&value.bytes) {
            Ok(text) => parse(text),
            Err(_) => Err("is not UTF-8 text".to_owned()),
        };
        parsed.map_err(|complaint| self.error(entry, value, complaint)).ok()
    }

    fn error(&mut self, entry: &Entry, value: &Value, complaint: String) {
        let found = String::from_utf8_lossy(&value.bytes).into_owned();
        self.report.error(value.line, &place(entry), Some(found), complaint);
    }
}

/// `config peer 'office'`, as a message names a section.
pub(super) fn title(section: &Section) -> String {
    match section.anonymous {
        true => format!("config {}", section.kind),
        false => format!("config {} '{}'", section.kind, section.name),
    }
}

fn place(entry: &Entry) -> String {
    format!("{} {}", if entry.list { "list" } else { "option" }, entry.name)
}

fn first_line(entry: &Entry, section: &Section) -> u32 {
    entry.values.first().map_or(section.line, |value| value.line)
}

fn words(value: &Value) -> impl Iterator<Item = Value> + '_ {
    let words = value.bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.map(|word| Value { bytes: word.to_vec(), line: value.line })
}
