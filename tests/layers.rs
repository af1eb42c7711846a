//! Who may import whom: the table of docs/architecture.md, checked against every path in `src/`.
//! It reads tokens, not meaning: a path counts where it is written, and what `#[cfg(test)]` guards does not count.
//! Read first: docs/architecture.md ("Rooms").

#![allow(clippy::disallowed_methods, reason = "a test of the sources has to read them")]

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What one room may name: other rooms of ours, and crates of others.
struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    crates: &'static [&'static str],
}

const BYTES: [&str; 3] = ["types", "limits", "wire"];
const BELOW_NODE: [&str; 7] = ["types", "limits", "wire", "mesh", "link", "lan", "pki"];
const BELOW_CONFIG: [&str; 8] = ["types", "limits", "wire", "mesh", "link", "lan", "pki", "node"];

/// The rooms with a restriction. A room that is missing here is a violation too.
const ROOMS: [Room; 10] = [
    Room { name: "types", rooms: &[], crates: &["core"] },
    Room { name: "limits", rooms: &["types"], crates: &["core"] },
    Room { name: "wire", rooms: &["types", "limits"], crates: &["core", "heapless"] },
    Room { name: "mesh", rooms: &BYTES, crates: &["core", "std", "heapless", "log", "smoltcp"] },
    Room {
        name: "link",
        rooms: &["types", "limits", "wire", "pki"],
        crates: &["core", "std", "bytes", "heapless", "log", "quinn_proto", "ring", "rustls"],
    },
    Room { name: "lan", rooms: &["types", "limits"], crates: &["core", "std", "heapless", "log", "smoltcp"] },
    Room {
        name: "pki",
        rooms: &["types", "limits"],
        crates: &[
            "core",
            "std",
            "pem",
            "quinn_proto",
            "rcgen",
            "ring",
            "rustls",
            "rustls_pki_types",
            "webpki",
            "yasna",
        ],
    },
    Room { name: "node", rooms: &BELOW_NODE, crates: &["core", "std", "bytes", "heapless", "log"] },
    Room { name: "config", rooms: &BELOW_CONFIG, crates: &["core", "std", "log"] },
    Room {
        name: "sys",
        rooms: &["types"],
        crates: &["core", "std", "bytes", "libc", "quinn_udp", "smol", "tun"],
    },
];

/// Programs: they may name everything. `lib` is the map and names every room.
const PROGRAMS: [&str; 4] = ["daemon", "cli", "main", "lib"];

/// The only rooms that touch the operating system, hence may lift clippy's ban on clocks, files and sockets.
const OUTSIDE: [&str; 4] = ["sys", "daemon", "cli", "main"];

/// Doors to the operating system. clippy.toml closes the clock, which only its call betrays.
const CLOSED_TO_THE_CORE: [&str; 9] = [
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
];

#[derive(PartialEq, Debug)]
struct Violation {
    file: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = dependencies(&read(&root.join("Cargo.toml")));
    let files = rust_files(&root.join("src"));
    assert!(files.len() > 10, "the sources were not found: {files:?}");
    let violations: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let inside = file.strip_prefix(root.join("src")).expect("found under src");
            check(inside, &read(file), &crates)
        })
        .map(|v| format!("src/{v}"))
        .collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// All that is wrong with one file; `file` is relative to `src/`.
fn check(file: &Path, source: &str, crates: &BTreeSet<String>) -> Vec<Violation> {
    let (room, depth) = place(file);
    let tokens = without_tests(tokens(source));
    let mut found = Vec::new();
    let mut complain = |line, what| found.push(Violation { file: file.to_owned(), line, what });
    for (line, what) in lifted_bans(&tokens, &room) {
        complain(line, what);
    }
    if PROGRAMS.contains(&room.as_str()) {
        return found;
    }
    let Some(rules) = ROOMS.iter().find(|r| r.name == room) else {
        complain(1, format!("room `{room}` is not in the table of tests/layers.rs"));
        return found;
    };
    for (line, path) in paths(&tokens) {
        if let Some(what) = refuse(rules, depth, &path, crates) {
            complain(line, what);
        }
    }
    found.dedup();
    found
}

/// Room of a file and how many `super` lead from its module to the crate's root.
fn place(file: &Path) -> (String, usize) {
    let names: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let depth = if names.last().is_some_and(|n| n == "mod") { names.len() - 1 } else { names.len() };
    (names[0].clone(), depth)
}

/// Why `path` may not stand in this room; `None` if it may.
fn refuse(room: &Room, depth: usize, path: &[String], crates: &BTreeSet<String>) -> Option<String> {
    let first = path.first()?;
    let supers = path.iter().take_while(|part| *part == "super").count();
    let ours = match first.as_str() {
        "crate" | "quicap" => path.get(1),
        "super" if supers >= depth => path.get(supers),
        _ => None,
    };
    if let Some(target) = ours {
        let allowed = target == room.name || room.rooms.contains(&target.as_str());
        return (!allowed).then(|| format!("room `{}` may not import `crate::{target}`", room.name));
    }
    if crates.contains(first) && !room.crates.contains(&first.as_str()) {
        return Some(format!("room `{}` may not use the crate `{first}`", room.name));
    }
    let closed = CLOSED_TO_THE_CORE.iter().find(|door| path.join("::").starts_with(*door))?;
    (!OUTSIDE.contains(&room.name)).then(|| format!("room `{}` may not use `{closed}`", room.name))
}

/// `allow` or `expect` of a lint that guards the walls, where nobody may lift it.
fn lifted_bans(tokens: &[Token], room: &str) -> Vec<(usize, String)> {
    let lifted = |token: &Token| match token.text.as_str() {
        "disallowed_types" => true,
        "disallowed_methods" => !OUTSIDE.contains(&room),
        "unsafe" => room != "sys",
        _ => false,
    };
    let complaint = |t: &Token| (t.line, format!("room `{room}` may not lift the ban `{}`", t.text));
    tokens.iter().filter(|t| lifted(t)).map(complaint).collect()
}

/// Crates that a path may begin with: the dependencies (rustls-webpki calls itself webpki) and Rust's own.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("[dependencies]").nth(1).expect("Cargo.toml has dependencies");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_"));
    names.chain(["core", "alloc", "std", "webpki"].map(String::from)).collect()
}

#[derive(Clone, PartialEq, Debug)]
struct Token {
    line: usize,
    text: String,
}

/// Identifiers, `::` and single marks; comments, strings, characters and lifetimes are left out.
fn tokens(source: &str) -> Vec<Token> {
    let mut rest = source;
    let mut line = 1;
    let mut found = Vec::new();
    while let Some(length) = next_length(rest) {
        let (text, after) = rest.split_at(length);
        if is_word(text)
            || text == "::"
            || (length == 1 && text.starts_with(|c: char| c.is_ascii_punctuation()))
        {
            found.push(Token { line, text: text.to_owned() });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// Bytes of the token, comment, literal or white space that `rest` begins with; `None` at the end.
fn next_length(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    Some(match first {
        _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        _ if rest.starts_with("/*") => until("*/"),
        _ if rest.starts_with("::") => 2,
        _ if raw_string(rest).is_some() => raw_string(rest)?,
        '"' => quoted(rest, '"'),
        '\'' => character_or_lifetime(rest),
        c if is_word_character(c) => rest.find(|c| !is_word_character(c)).unwrap_or(rest.len()),
        c => c.len_utf8(),
    })
}

/// Length of a raw string: r"...", r#"..."#, br#"..."#.
fn raw_string(rest: &str) -> Option<usize> {
    let after_prefix = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let body = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + length)
}

fn quoted(rest: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest.chars().skip(1);
    let is_character = characters.next() == Some('\\') || characters.next() == Some('\'');
    if is_character { quoted(rest, '\'') } else { 1 }
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word(text: &str) -> bool {
    text.starts_with(is_word_character)
}

/// Drops every item that `#[cfg(test)]` guards.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const GUARD: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let guarded = GUARD.iter().enumerate().all(|(i, g)| tokens.get(at + i).is_some_and(|t| t.text == *g));
        if guarded {
            at = end_of_item(&tokens, at + GUARD.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Index after the item that begins at `at`: after its `;`, or after the bracket that closes its body.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" if depth == 1 => return at,
            "}" => depth -= 1,
            ";" if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

/// Every path in the file, those of nested `use {}` groups written out.
fn paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        let next = tokens.get(at + 1).map_or("", |t| t.text.as_str());
        if text == "use" && next != "<" {
            at = use_tree(tokens, at + 1, &[], &mut found);
        } else if is_word(text) && next == "::" && !after_dot(tokens, at) {
            at = plain_path(tokens, at, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Fields and methods are no paths: `x.bytes::<u8>()`.
fn after_dot(tokens: &[Token], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| tokens[before].text == ".")
}

/// One path outside of `use`: `a::b::c`.
fn plain_path(tokens: &[Token], mut at: usize, found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let line = tokens[at].line;
    let mut path = vec![tokens[at].text.clone()];
    while tokens.get(at + 1).is_some_and(|t| t.text == "::")
        && tokens.get(at + 2).is_some_and(|t| is_word(&t.text))
    {
        path.push(tokens[at + 2].text.clone());
        at += 2;
    }
    found.push((line, path));
    at + 1
}

/// One tree of a `use`, which ends before `,`, `}` or `;`; returns the index of that mark.
fn use_tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |t| t.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => return use_group(tokens, at + 1, &path, found),
            "," | "}" | ";" => break,
            "as" => at += 1,
            "self" if !path.is_empty() => {}
            word if is_word(word) => path.push(token.text.clone()),
            _ => {}
        }
        at += 1;
    }
    found.push((line, path));
    at
}

/// The trees between braces; returns the index after the closing one.
fn use_group(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "}" | ";" => return at + 1,
            "," => at += 1,
            _ => at = use_tree(tokens, at, prefix, found),
        }
    }
    at
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What `check` says of a sample, as `line: what`.
fn judge(file: &str, source: &str) -> Vec<String> {
    let crates = dependencies(&read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")));
    check(Path::new(file), source, &crates).into_iter().map(|v| format!("{}: {}", v.line, v.what)).collect()
}

#[test]
fn forbidden_imports_are_found_wherever_they_are_written() {
    let bad = [
        ("mesh/spf.rs", "\nuse crate::link::peer;", "2: room `mesh` may not import `crate::link`"),
        ("link/dial.rs", "use crate::{types, mesh::switch};", "1: room `link` may not import `crate::mesh`"),
        (
            "mesh/spf.rs",
            "use {\n  crate::{\n  link::{a, b}}};",
            "3: room `mesh` may not import `crate::link`",
        ),
        ("mesh/spf.rs", "fn f() { super::super::pki::ca() }", "1: room `mesh` may not import `crate::pki`"),
        ("mesh/mod.rs", "use super::config::Config;", "1: room `mesh` may not import `crate::config`"),
        (
            "node/mod.rs",
            "fn f(c: &crate::config::Config) {}",
            "1: room `node` may not import `crate::config`",
        ),
        ("types.rs", "use std::fmt;", "1: room `types` may not use the crate `std`"),
        ("wire/control.rs", "fn f() { log::debug!(\"\") }", "1: room `wire` may not use the crate `log`"),
        ("link/dial.rs", "pub(crate) use smol::net;", "1: room `link` may not use the crate `smol`"),
        ("node/mod.rs", "fn f() -> quinn_udp::X {}", "1: room `node` may not use the crate `quinn_udp`"),
        ("pki/ca.rs", "use std::{io, fs::File};", "1: room `pki` may not use `std::fs`"),
        (
            "link/dial.rs",
            "use std::net::{IpAddr, UdpSocket};",
            "1: room `link` may not use `std::net::UdpSocket`",
        ),
        ("config/uci.rs", "fn f() { std::env::var(\"A\"); }", "1: room `config` may not use `std::env`"),
        ("sys/udp.rs", "use crate::node;", "1: room `sys` may not import `crate::node`"),
        ("shed/mod.rs", "", "1: room `shed` is not in the table of tests/layers.rs"),
        (
            "mesh/spf.rs",
            "#[cfg(test)] mod t { use crate::link; } use crate::pki;",
            "1: room `mesh` may not import `crate::pki`",
        ),
        (
            "mesh/spf.rs",
            "#[allow(clippy::disallowed_methods)] fn f() {}",
            "1: room `mesh` may not lift the ban `disallowed_methods`",
        ),
        (
            "daemon/mod.rs",
            "#[allow(clippy::disallowed_types)] fn f() {}",
            "1: room `daemon` may not lift the ban `disallowed_types`",
        ),
        ("daemon/mod.rs", "fn f() { unsafe { } }", "1: room `daemon` may not lift the ban `unsafe`"),
    ];
    for (file, source, expected) in bad {
        let found = judge(file, source);
        assert!(
            !found.is_empty() && found.iter().all(|what| what == expected),
            "{file}: {source}: {found:?}"
        );
    }
}

#[test]
fn allowed_imports_comments_strings_and_tests_pass() {
    let good = [
        ("mesh/spf.rs", "use crate::{types::NodeId, wire};\nuse super::switch; use std::time::Duration;"),
        (
            "mesh/spf.rs",
            "// use crate::link;\n/* crate::link::x */ /// crate::link::Peer\nfn f() { \"crate::link::x\"; r#\"\" crate::pki::x\"#; }",
        ),
        (
            "mesh/spf.rs",
            "#[cfg(test)]\nmod tests { use crate::link; fn f() { std::fs::read(\"}\"); } }\n#[cfg(test)]\nuse crate::pki;",
        ),
        (
            "mesh/spf.rs",
            "fn f<'a>(bytes: &'a str) { bytes.len(); x.bytes::<u8>(); let _: impl Fn() + use<'a> = { a; b }; ':'; '\\''; }",
        ),
        ("link/a/b.rs", "use super::super::peer; use rustls::pki_types;"),
        (
            "daemon/mod.rs",
            "use crate::config; use smol::Async; #[allow(clippy::disallowed_methods)] fn f() { std::fs::read(\"\"); }",
        ),
        ("sys/tun.rs", "use crate::types; unsafe fn f() { libc::ioctl(std::os::fd::x) }"),
    ];
    for (file, source) in good {
        assert_eq!(judge(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}
