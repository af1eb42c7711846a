//! What `quicap doctor` found: one line for each finding, which is also how they travel from the daemon to the command.
//! Finds nothing itself. Read first: docs/doctor.md.

use std::fmt::Arguments;

/// What a line means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    Ok,
    /// It works, but the operator should know or act.
    Warning,
    /// Something does not work.
    Fault,
}

/// Lines: check, outcome, what it means and what to do, separated by tabs.
#[derive(Default)]
pub struct Findings(pub String);

/// One of them. The check is a row of docs/doctor.md; the advice may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finding<'a> {
    pub check: &'a str,
    pub outcome: &'a str,
    pub text: &'a str,
    pub advice: &'a str,
}

impl Outcome {
    /// Names, as they stand in lines and in JSON.
    pub const OK: &str = "ok";
    pub const WARNING: &str = "warning";
    pub const FAULT: &str = "fault";

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => Self::OK,
            Self::Warning => Self::WARNING,
            Self::Fault => Self::FAULT,
        }
    }
}

impl Findings {
    pub fn ok(&mut self, check: &str, text: Arguments<'_>) {
        self.add(Outcome::Ok, check, text, "");
    }

    pub fn warning(&mut self, check: &str, text: Arguments<'_>, advice: &str) {
        self.add(Outcome::Warning, check, text, advice);
    }

    pub fn fault(&mut self, check: &str, text: Arguments<'_>, advice: &str) {
        self.add(Outcome::Fault, check, text, advice);
    }

    /// What others sent us may stand in the text: no control character gets through, for it could end the line.
    #[inline(never)]
    pub fn add(&mut self, outcome: Outcome, check: &str, text: Arguments<'_>, advice: &str) {
        let text = text.to_string().replace(char::is_control, "?");
        for (field, end) in [(check, '\t'), (outcome.name(), '\t'), (&text, '\t'), (advice, '\n')] {
            self.0.push_str(field);
            self.0.push(end);
        }
    }

    /// Those that can be read as such.
    pub fn iter(&self) -> impl Iterator<Item = Finding<'_>> {
        self.0.lines().filter_map(Finding::read)
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.iter().filter(|finding| finding.outcome == outcome.name()).count()
    }

    pub fn has(&self, check: &str) -> bool {
        self.iter().any(|finding| finding.check == check)
    }
}

impl<'a> Finding<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut field = || fields.next();
        Some(Self { check: field()?, outcome: field()?, text: field()?, advice: field()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_back_and_nothing_breaks_out_of_a_line() {
        let mut found = Findings::default();
        found.fault("peer", format_args!("b: {}", "down"), "look");
        found.ok("peer", format_args!("a\tb\nclock\tfault\x1b[1m"));
        found.0.push_str("mac\t02:00:00:00:00:01\tb\n");
        let read: Vec<Finding<'_>> = found.iter().collect();
        let odd = Finding { check: "peer", outcome: "ok", text: "a?b?clock?fault?[1m", advice: "" };
        assert_eq!(read, [Finding { check: "peer", outcome: "fault", text: "b: down", advice: "look" }, odd]);
        assert_eq!((found.count(Outcome::Fault), found.has("peer"), found.has("mac")), (1, true, false));
    }
}
