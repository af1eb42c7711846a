//! UCI text to sections with line numbers, exactly as OpenWrt's libuci reads a file, and without any meaning.
//!
//! Not here: what an option means (`schema.rs`), quoting (`line.rs`), printing (`show.rs`). Read first: "The UCI
//! system" in the OpenWrt user guide; docs/configuration.md says what is odd about the syntax.

use std::fmt;

use super::line::Line;

/// Longest file that is read: 256 KiB, a hundred times what a big network needs.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most sections of one file; about 200 bytes each.
pub const MAX_SECTIONS: usize = 1024;
/// Most options of one section, and most values of one list; about 100 bytes each.
pub const MAX_VALUES: usize = 1024;

/// A configuration file, in the order in which `uci` would show it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Package {
    pub sections: Vec<Section>,
}

/// `config KIND 'name'` and what follows it. A name that comes again goes on with its first section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Printable ASCII, never empty.
    pub kind: String,
    /// As given, or as libuci makes one up (`cfg` and hexadecimal digits). `[A-Za-z0-9_]+`.
    pub name: String,
    /// Nobody gave it a name.
    pub anonymous: bool,
    /// Of its first `config`, from 1.
    pub line: u32,
    pub entries: Vec<Entry>,
}

/// All that one section says about one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// `[A-Za-z0-9_]+`.
    pub name: String,
    /// Said with `list`, not with `option`.
    pub list: bool,
    /// Exactly one, never empty, for an option; one or more, possibly empty ones, for a list.
    pub values: Vec<Value>,
}

/// Any bytes but NUL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    pub bytes: Vec<u8>,
    /// Where its statement began, from 1.
    pub line: u32,
}

/// Why a file cannot be read. Nothing of it is used then, as with `uci`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// Where the statement began, from 1.
    pub line: u32,
    pub reason: Reason,
    /// The line and byte that the `uci` command names for the same fault; its lines are counted when they end.
    pub uci_position: (u32, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Something else than package, config, option or list (or their first letters).
    UnknownStatement,
    /// The file ends right behind the command word.
    NothingFollows,
    /// No section type, or no option or package name.
    MissingArgument,
    /// More than a statement takes; often a missing quote.
    ExtraArgument,
    /// Not `[A-Za-z0-9_]+` (a package may have `-` too).
    BadName,
    /// A section type with white space, control characters or bytes beyond ASCII.
    BadType,
    /// An option before any section.
    NoSection,
    /// The name is taken by a section of another type.
    OtherType,
    /// A quote is opened and the file ends.
    OpenQuote,
    /// Our own limits, which `uci` does not have.
    TooLong,
    TooManySections,
    TooManyValues,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownStatement => "unknown statement (expected config, option, list or package)",
            Self::NothingFollows => "nothing follows the statement's first word",
            Self::MissingArgument => "a type or name is missing",
            Self::ExtraArgument => "more arguments than the statement takes (is a quote missing?)",
            Self::BadName => "a name may only have A-Z, a-z, 0-9 and _",
            Self::BadType => "a section type may only have printable ASCII characters",
            Self::NoSection => "option or list before the first config",
            Self::OtherType => "this name is already that of a section of another type",
            Self::OpenQuote => "a quote is opened here and never closed",
            Self::TooLong => "the file is longer than 256 KiB",
            Self::TooManySections => "more than 1024 sections",
            Self::TooManyValues => "more than 1024 options in a section or values in a list",
        })
    }
}

/// Reads a whole file. Whatever `uci` accepts is accepted, up to the limits above.
pub fn parse(text: &[u8]) -> Result<Package, SyntaxError> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxError { line: 1, reason: Reason::TooLong, uci_position: (0, 0) });
    }
    let mut parser = Parser { line: Line::new(text), package: Package::default(), open: None };
    while parser.line.advance() {
        loop {
            let line = parser.line.number();
            match parser.statement(line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(reason) => {
                    return Err(SyntaxError { line, reason, uci_position: parser.line.position() });
                }
            }
        }
    }
    Ok(parser.package)
}

struct Parser<'a> {
    line: Line<'a>,
    package: Package,
    /// Index of the section that options go to.
    open: Option<usize>,
}

impl Parser<'_> {
    /// One statement; `false` when the line holds no more.
    fn statement(&mut self, line: u32) -> Result<bool, Reason> {
        match self.line.word() {
            None | Some([b'#', ..]) => return Ok(false),
            Some(b"config" | b"c") => self.config(line)?,
            Some(b"option" | b"o") => self.entry(line, false)?,
            Some(b"list" | b"l") => self.entry(line, true)?,
            Some(b"package" | b"p") => self.package_name()?,
            Some(_) => return Err(Reason::UnknownStatement),
        }
        Ok(true)
    }

    /// `package NAME` is judged and then ignored: the package is called as its file.
    fn package_name(&mut self) -> Result<(), Reason> {
        self.begin_arguments()?;
        let name = self.required()?;
        check(name.iter().all(|&b| is_name_byte(b) || b == b'-'), Reason::BadName)?;
        self.end()
    }

    fn config(&mut self, line: u32) -> Result<(), Reason> {
        self.begin_arguments()?;
        let kind = self.required()?;
        check(kind.iter().all(u8::is_ascii_graphic), Reason::BadType)?;
        let kind = ascii(kind);
        let name = self.line.argument()?;
        check(name.iter().copied().all(is_name_byte), Reason::BadName)?;
        self.end()?;
        self.open = Some(self.package.open_section(kind, ascii(name), line)?);
        Ok(())
    }

    fn entry(&mut self, line: u32, list: bool) -> Result<(), Reason> {
        let open = self.open.ok_or(Reason::NoSection)?;
        self.begin_arguments()?;
        let name = self.required()?;
        check(name.iter().copied().all(is_name_byte), Reason::BadName)?;
        let value = Value { bytes: self.line.argument()?, line };
        self.end()?;
        let section = self.package.sections.get_mut(open).ok_or(Reason::NoSection)?;
        if list { section.append(ascii(name), value) } else { section.set(ascii(name), value) }
    }

    fn begin_arguments(&mut self) -> Result<(), Reason> {
        check(self.line.skip_word(), Reason::NothingFollows)
    }

    fn required(&mut self) -> Result<Vec<u8>, Reason> {
        let argument = self.line.argument()?;
        check(!argument.is_empty(), Reason::MissingArgument)?;
        Ok(argument)
    }

    /// The statement must end here: with `;`, a comment, the line, or an empty argument.
    fn end(&mut self) -> Result<(), Reason> {
        let extra = self.line.argument()?;
        check(extra.is_empty(), Reason::ExtraArgument)
    }
}

impl Package {
    /// Finds or makes the section and says at which index it is. An empty name makes an anonymous one.
    fn open_section(&mut self, kind: String, name: String, line: u32) -> Result<usize, Reason> {
        let known = self.sections.iter().position(|section| !name.is_empty() && section.name == name);
        if let Some(index) = known {
            check(self.sections.get(index).is_some_and(|section| section.kind == kind), Reason::OtherType)?;
            return Ok(index);
        }
        check(self.sections.len() < MAX_SECTIONS, Reason::TooManySections)?;
        let anonymous = name.is_empty();
        let name = if anonymous { made_up_name(self.sections.len() + 1, &kind) } else { name };
        self.sections.push(Section { kind, name, anonymous, line, entries: Vec::new() });
        Ok(self.sections.len() - 1)
    }
}

impl Section {
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Replaces whatever the name had, list or not, in its old place. An empty value changes nothing.
    fn set(&mut self, name: String, value: Value) -> Result<(), Reason> {
        if value.bytes.is_empty() {
            return Ok(());
        }
        let entry = self.entry_or_new(name)?;
        entry.list = false;
        entry.values = vec![value];
        Ok(())
    }

    /// Adds to the name's values; an option of that name becomes a list.
    fn append(&mut self, name: String, value: Value) -> Result<(), Reason> {
        let entry = self.entry_or_new(name)?;
        check(entry.values.len() < MAX_VALUES, Reason::TooManyValues)?;
        entry.list = true;
        entry.values.push(value);
        Ok(())
    }

    fn entry_or_new(&mut self, name: String) -> Result<&mut Entry, Reason> {
        let index = match self.entries.iter().position(|entry| entry.name == name) {
            Some(index) => index,
            None => {
                check(self.entries.len() < MAX_VALUES, Reason::TooManyValues)?;
                self.entries.push(Entry { name, list: false, values: Vec::new() });
                self.entries.len() - 1
            }
        };
        self.entries.get_mut(index).ok_or(Reason::TooManyValues)
    }
}

/// What libuci calls the nth section (from 1) when nobody named it: `cfg`, n, and 16 bits of a hash (D. J. Bernstein's)
/// over its type. It matters because a later `config` may use that very name.
fn made_up_name(n: usize, kind: &str) -> String {
    let hash = kind.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    format!("cfg{n:02x}{:04x}", hash & 0xFFFF)
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn check(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Ok(()) } else { Err(reason) }
}

/// Names and types, after they were found to be ASCII.
fn ascii(bytes: Vec<u8>) -> String {
    bytes.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(entry: &Entry) -> Vec<u32> {
        entry.values.iter().map(|value| value.line).collect()
    }

    #[test]
    fn sections_and_values_know_where_their_statements_began() {
        let text =
            b"\n# x\nconfig a n\nlist b 'x\ny'\nlist b z\n\nconfig c \\\nd\noption e f\nconfig a n\nlist b w";
        let package = parse(text).unwrap();
        let [first, second] = &package.sections[..] else { panic!("{package:?}") };
        assert_eq!((first.line, second.line), (3, 8));
        assert_eq!(lines_of(first.entry("b").unwrap()), [4, 6, 12]);
        assert_eq!(lines_of(second.entry("e").unwrap()), [10]);
    }

    #[test]
    fn an_option_set_again_keeps_its_place_and_takes_the_new_line() {
        let package =
            parse(b"config a\noption x 1\noption y 2\nlist x 3\noption y ''\noption x 1\n").unwrap();
        let entries = &package.sections[0].entries;
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
        assert_eq!((entries[0].list, lines_of(&entries[0])), (false, vec![6]));
        assert_eq!(lines_of(&entries[1]), [3]);
    }

    #[test]
    fn a_made_up_name_can_be_used_to_go_on_with_its_section() {
        let first = parse(b"config peer\noption x 1").unwrap();
        let name = &first.sections[0].name;
        let text = format!("config peer\noption x 1\nconfig peer '{name}'\noption y 2\nconfig peer");
        let package = parse(text.as_bytes()).unwrap();
        assert_eq!(package.sections.len(), 2);
        assert_eq!(package.sections[0].entries.len(), 2);
        assert!(package.sections[0].anonymous && name.starts_with("cfg01"), "{name}");
    }

    #[test]
    fn each_reason_is_given_at_the_line_where_the_statement_begins() {
        use Reason::*;
        let table: [(&[u8], u32, Reason); 10] = [
            (b"\nfoo", 2, UnknownStatement),
            (b"config", 1, NothingFollows),
            (b"config ''", 1, MissingArgument),
            (b"config a\noption b c d", 2, ExtraArgument),
            (b"config a b-c", 1, BadName),
            (b"config 'a b'", 1, BadType),
            (b"option a b", 1, NoSection),
            (b"config a n\nconfig b n", 2, OtherType),
            (b"config a\noption b 'c\n\n\n", 2, OpenQuote),
            (b"package a.b", 1, BadName),
        ];
        for (text, line, reason) in table {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.reason), (line, reason), "{:?}", String::from_utf8_lossy(text));
        }
    }
}
