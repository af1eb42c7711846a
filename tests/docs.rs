//! The documents against the sources: every message, code, field and drop reason is described, and every file, command
//! and `make` target that is named exists. Whether what they say is right, it cannot tell. Read first: docs/testing.md.

#![allow(clippy::disallowed_methods, reason = "a test of the documents has to read them and ask the program")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use quicap::types::DropReason;
use serde_json::Value;

const CONTROL: &str = include_str!("../src/wire/control.rs");
const OVERLAY: &str = include_str!("../src/wire/overlay.rs");
const REPORT: &str = include_str!("../src/daemon/report.rs");
const PROTOCOL: &str = include_str!("../docs/protocol.md");
const STATUS: &str = include_str!("../docs/status.md");
const GOLDEN: &str = include_str!("golden/status.json");
const METRICS: &str = include_str!("golden/metrics.prom");
const MAKEFILE: &str = include_str!("../Makefile");

#[test]
fn the_protocol_describes_every_message_code_and_data_frame() {
    assert_eq!(missing_messages(CONTROL, PROTOCOL), NONE);
    assert_eq!(missing_codes(CONTROL, PROTOCOL), NONE);
    assert_eq!(missing_frames(OVERLAY, PROTOCOL), NONE);
}

#[test]
fn the_status_page_describes_every_field_counter_and_drop_reason() {
    assert_eq!(missing_fields(GOLDEN, STATUS), NONE);
    assert_eq!(missing_rows(&counters(REPORT), STATUS), NONE);
    assert_eq!(missing_rows(&families(METRICS), STATUS), NONE);
    assert_eq!(missing_rows(&DropReason::ALL.map(|reason| reason.name().to_owned()), STATUS), NONE);
}

#[test]
fn files_that_the_documents_name_exist() {
    for (name, text) in documents() {
        assert_eq!(dead_paths(&name, &text), NONE, "{name}");
    }
}

#[test]
fn commands_and_targets_that_the_documents_name_exist() {
    for (name, text) in documents() {
        assert_eq!(unknown_commands(&text), NONE, "{name}");
        assert_eq!(unknown_targets(&text, MAKEFILE), NONE, "{name}");
    }
}

#[test]
fn the_tests_that_the_page_of_faults_names_exist() {
    let page = include_str!("../docs/faults.md");
    let sources = ["netns", "sim"].map(|suite| (suite, source_of(suite)));
    assert!(page.matches("| netns `").count() > 5 && page.matches("| sim `").count() > 5);
    assert_eq!(missing_tests(page, &sources), NONE);
    let [(_, netns), sim] = &sources;
    let without = ("netns", netns.replace("fn both_ends_started_at_once", "fn gone"));
    assert_eq!(missing_tests(page, &[without, sim.clone()]), ["netns both_ends_started_at_once"]);
}

/// Everything in `tests/SUITE`.
fn source_of(suite: &str) -> String {
    source_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(suite))
}

fn source_in(directory: &Path) -> String {
    let files = std::fs::read_dir(directory).expect("a suite is a directory");
    let paths = files.map(|file| file.expect("a file").path());
    let read = |path: std::path::PathBuf| match path.extension().is_some_and(|extension| extension == "rs") {
        true => std::fs::read_to_string(path).expect("source is text"),
        false if path.is_dir() => source_in(&path),
        false => String::new(),
    };
    paths.map(read).collect()
}

/// Parts of names in the rows, ``netns `part` ``, that no function of the suite has.
fn missing_tests(page: &str, sources: &[(&str, String)]) -> Vec<String> {
    let mut missing = Vec::new();
    for (suite, source) in sources {
        let opening = format!("{suite} `");
        for part in page.split(&opening).skip(1).filter_map(|rest| rest.split('`').next()) {
            let is_it = |line: &str| line.starts_with("fn ") && line.contains(part);
            if !source.lines().any(is_it) {
                missing.push(format!("{suite} {part}"));
            }
        }
    }
    missing
}

const NONE: [&str; 0] = [];

/// Each control message has a heading: `### HELLO (1)`.
fn missing_messages(source: &str, page: &str) -> Vec<String> {
    let numbers = constants(source, "const ");
    let names: BTreeSet<String> = variants(source, "enum Message<'a> {")
        .map(|line| upper(line.split('(').next().unwrap_or_default()))
        .filter(|name| name != "UNKNOWN" && name != "FOREIGN")
        .collect();
    assert_eq!(
        numbers.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(),
        names,
        "types of messages"
    );
    let headings = numbers.iter().map(|(name, number)| format!("### {name} ({number})"));
    headings.filter(|heading| !page.lines().any(|line| line == heading)).collect()
}

/// Each code of a close has a row: `| 0 | BYE |`.
fn missing_codes(source: &str, page: &str) -> Vec<String> {
    let codes = variants(source, "enum CloseCode {").filter_map(|line| {
        let (name, number) = line.trim_end_matches(',').split_once(" = ")?;
        Some(format!("| {number} | {} |", upper(name)))
    });
    absent(codes, page)
}

/// Each first byte of a data frame has a row: `| 0x00 | ETH |`.
fn missing_frames(source: &str, page: &str) -> Vec<String> {
    absent(constants(source, "pub const ").iter().map(|(name, byte)| format!("| {byte} | {name} |")), page)
}

/// Each member of the JSON has a row: ``| `links[].name` |``. The names of counters and drops are no fields.
fn missing_fields(json: &str, page: &str) -> Vec<String> {
    let mut fields = BTreeSet::new();
    walk("", &serde_json::from_str(json).expect("the golden file is JSON"), &mut fields);
    fields.retain(|field| !field.starts_with("drops.") && !field.starts_with("counters."));
    missing_rows(&Vec::from_iter(fields), page)
}

fn walk(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields.insert(path.clone());
                walk(&path, value, fields);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(&format!("{path}[]"), item, fields)),
        _ => {}
    }
}

/// What stands in quotes at the beginning of the lines of `fn counters`.
fn counters(source: &str) -> Vec<String> {
    let (_, body) = source.split_once("\nfn counters(").expect("the counters are reported");
    let body = body.split("\n}").next().unwrap_or_default();
    body.lines()
        .filter_map(|line| Some(line.trim().strip_prefix("(\"")?.split('"').next()?.to_owned()))
        .collect()
}

/// The families of the metrics that are no counters of `fn counters`: those have one row for all.
fn families(text: &str) -> Vec<String> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    let others = heads.filter(|head| !head.ends_with(" as in quicap status"));
    others.filter_map(|head| Some(head.split(' ').next()?.to_owned())).collect()
}

fn missing_rows(names: &[String], page: &str) -> Vec<String> {
    absent(names.iter().map(|name| format!("| `{name}` |")), page)
}

/// The rows of which no line of the page is the beginning. There must be some to look for.
fn absent(rows: impl Iterator<Item = String>, page: &str) -> Vec<String> {
    let rows: Vec<String> = rows.collect();
    assert!(!rows.is_empty(), "nothing was found in the source");
    rows.into_iter().filter(|row| !page.lines().any(|line| line.starts_with(row))).collect()
}

/// Name and value of the constants of type u8 that are written with exactly these words in front.
fn constants(source: &str, words: &str) -> Vec<(String, String)> {
    let constant = |line: &str| {
        let (name, value) = line.strip_prefix(words)?.strip_suffix(';')?.split_once(": u8 = ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    source.lines().filter_map(constant).collect()
}

/// The lines of an enum that are no comments.
fn variants<'a>(source: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let (_, body) = source.split_once(head).unwrap_or_else(|| panic!("no {head}"));
    let lines = body.split("\n}").next().unwrap_or_default().lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//"))
}

/// `LinkState` as `LINK_STATE`.
fn upper(name: &str) -> String {
    let mut upper = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_uppercase() {
            upper.push('_');
        }
        upper.push(c.to_ascii_uppercase());
    }
    upper
}

/// README.md and the pages of docs/, each with its path from the root.
fn documents() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs/ can be read");
    let names =
        entries.map(|entry| entry.expect("docs/ can be read").file_name().to_string_lossy().into_owned());
    let pages = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let read = |name: String| {
        (name.clone(), std::fs::read_to_string(root().join(name)).expect("a page can be read"))
    };
    let documents: Vec<_> = pages.chain(["README.md".to_owned()]).map(read).collect();
    assert!(documents.len() > 5, "the pages were not found");
    documents
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders whose files are meant wherever a path begins with them; what builds leave (`dist/`) is none.
const FOLDERS: [&str; 10] =
    ["benches", "cross", "docs", "examples", "fuzz", "init.d", "openwrt", "src", "tests", "uci"];

/// Targets of Markdown links, relative to the page, and plain paths from the root, that do not exist.
fn dead_paths(page: &str, text: &str) -> Vec<String> {
    let folder = root().join(page).parent().map(Path::to_owned).unwrap_or_default();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.map(|link| link.split('#').next().unwrap_or_default());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://")).map(|link| folder.join(link));
    let plain = paths(text).map(|path| root().join(path));
    let dead = links.chain(plain).filter(|path| !path.exists());
    dead.map(|path| {
        path.strip_prefix(root()).map_or_else(|_| path.clone(), PathBuf::from).display().to_string()
    })
    .collect()
}

/// Words such as `docs/mtu.md`. Capitals stand for something else (`tests/NAME.rs`), and so do `*` and `...`; `src/gz` is a
/// word of opkg.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "`'\"()[],;:|".contains(c));
    words.map(|word| word.trim_end_matches('.')).filter(|word| {
        let Some((folder, rest)) = word.split_once('/') else { return false };
        FOLDERS.contains(&folder)
            && *word != "src/gz"
            && !rest.contains("..")
            && !rest.contains(|c: char| c.is_uppercase() || c == '*')
    })
}

/// Commands of `quicap`, as they are written in code, that the program does not know.
fn unknown_commands(text: &str) -> Vec<String> {
    let known = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_quicap")).args(words).arg("--help").output();
        output.expect("the program can be run").status.success()
    };
    let commands: BTreeSet<Vec<&str>> = calls(text, "quicap").flat_map(commands).collect();
    commands.into_iter().filter(|words| !known(words)).map(|words| words.join(" ")).collect()
}

/// `ca init|sign` are two commands.
fn commands(words: Vec<&str>) -> Vec<Vec<&str>> {
    match words[..] {
        ["ca", which, ..] if is_word(which.split(['|', '\\']).next().unwrap_or_default()) => {
            which.split(['|', '\\']).filter(|word| !word.is_empty()).map(|word| vec!["ca", word]).collect()
        }
        [command, ..] => vec![vec![command]],
        [] => vec![],
    }
}

fn unknown_targets(text: &str, makefile: &str) -> Vec<String> {
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let called: BTreeSet<&str> = calls(text, "make").filter_map(|words| words.first().copied()).collect();
    called.difference(&targets).map(|target| (*target).to_owned()).collect()
}

/// For each place in code where `program` is followed by a word in lower case: the words behind it.
fn calls<'a>(text: &'a str, program: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    code(text).into_iter().flat_map(move |code| {
        let words: Vec<&str> =
            code.split_whitespace().map(|word| word.trim_matches(['`', ',', '.'])).collect();
        // `service quicap reload` is no command of ours.
        let is_call = |at: &usize| words[*at] == program && (*at == 0 || words[*at - 1] != "service");
        let starts = (0..words.len()).filter(is_call);
        let behind: Vec<Vec<&str>> = starts.map(|at| words[at + 1..].to_vec()).collect();
        behind.into_iter().filter(|words| words.first().is_some_and(|word| is_word(word)))
    })
}

fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// Lines that are code (indented or fenced), and what stands between backticks in the others.
fn code(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line);
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The page without the lines that begin so; there must be one.
fn without(page: &str, beginning: &str) -> String {
    assert!(page.lines().any(|line| line.starts_with(beginning)), "no line {beginning}");
    page.lines().filter(|line| !line.starts_with(beginning)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_missing_on_a_page_is_found() {
    type Check = fn(&str) -> Vec<String>;
    let cases: [(Check, &str, &str); 9] = [
        (|page| missing_messages(CONTROL, page), PROTOCOL, "### HELLO (1)"),
        (|page| missing_codes(CONTROL, page), PROTOCOL, "| 0 | BYE |"),
        (|page| missing_codes(CONTROL, page), PROTOCOL, "| 20 | DUPLICATE |"),
        (|page| missing_frames(OVERLAY, page), PROTOCOL, "| 0x02 | FRAG |"),
        (|page| missing_fields(GOLDEN, page), STATUS, "| `links[].connections[].rtt_us` |"),
        (|page| missing_fields(GOLDEN, page), STATUS, "| `tun` |"),
        (|page| missing_rows(&counters(REPORT), page), STATUS, "| `macs_not_learned` |"),
        (|page| missing_rows(&families(METRICS), page), STATUS, "| `quicap_link_rtt_seconds` |"),
        (|page| missing_rows(&[DropReason::TapDown.name().to_owned()], page), STATUS, "| `tap_down` |"),
    ];
    for (check, page, row) in cases {
        assert_eq!(check(page), NONE, "{row}");
        assert_eq!(check(&without(page, row)), [row]);
    }
    // A number that is not the source's is a row that is missing, and so is what the source has more.
    assert_eq!(missing_codes(CONTROL, &PROTOCOL.replace("| 3 | DEAD", "| 5 | DEAD")), ["| 3 | DEAD |"]);
    let more = CONTROL.replace("    Hello(Hello<'a>),", "    Hello(Hello<'a>),\n    LinkState(u8),");
    let more = more.replace("const HELLO: u8 = 1;", "const HELLO: u8 = 1;\nconst LINK_STATE: u8 = 2;");
    assert_eq!(missing_messages(&more, PROTOCOL), ["### LINK_STATE (2)"]);
}

#[test]
fn dead_paths_are_found_and_placeholders_are_left_alone() {
    let cases: [(&str, &[&str]); 9] = [
        ("see docs/mtu.md, `src/link/mod.rs` and (tests/run).", &[]),
        ("see docs/gone.md.", &["docs/gone.md"]),
        ("| `tests/gone.rs` |", &["tests/gone.rs"]),
        (
            "[here](mtu.md) and [there](../README.md#commands), [below](#x), [far](https://example.org/docs/gone.md)",
            &[],
        ),
        ("[here](gone.md#x)", &["docs/gone.md"]),
        ("[here](README.md)", &["docs/README.md"]),
        ("tests/NAME.rs, docs/*.md, dist/bin/quicap, src/...", &[]),
        ("src/pki/", &[]),
        ("src/gone/", &["src/gone"]),
    ];
    for (text, expected) in cases {
        let found: Vec<String> = dead_paths("docs/page.md", text).into_iter().collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn unknown_commands_and_targets_are_found_in_code_only() {
    let cases: [(&str, &[&str]); 8] = [
        ("`quicap fly [NETWORK]`", &["fly"]),
        ("    ssh office quicap fly --now", &["fly"]),
        ("```sh\nquicap fly |\n```", &["fly"]),
        ("`quicap ca init\\|bless\\|list`", &["ca bless"]),
        ("`quicap ca bless --dir DIR`", &["ca bless"]),
        ("`quicap run home`, `quicap status`, `quicap ca`, `quicap uci-show FILE`", &[]),
        ("quicap flies, `/etc/config/quicap` too, `quicap --version`", &[]),
        ("    quicap === QUIC\n`service quicap reload`", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(unknown_commands(text), expected, "{text}");
    }
    assert_eq!(unknown_targets("    make demo\n`make coffee`; make tea", MAKEFILE), ["coffee"]);
}
