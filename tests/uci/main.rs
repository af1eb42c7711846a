//! Our reading of UCI files against what OpenWrt's own `uci show` printed for them.
//!
//! `tests/golden/uci/*.txt` hold files and recorded outcomes. With `QUICAP_REAL_UCI=/path/of/uci` freshly generated files
//! are compared with that program too; with `BLESS=1` besides, the outcomes are recorded anew from it.
#![allow(clippy::disallowed_methods, reason = "tests read golden files and write scratch ones")]

mod cases;
mod generate;
mod real;
mod schema;

use std::io::Write;

use cases::{Case, Outcome};
use quicap::config::uci;

/// Files of the generator that are recorded, from seed 1 on.
const RECORDED: u64 = 700;

/// Fresh files for each comparison with a real `uci`.
const FRESH: u64 = 1000;

fn ours(file: &[u8]) -> Outcome {
    match uci::parse(file) {
        Ok(package) => Outcome::Shown(package.show("quicap")),
        Err(error) => Outcome::Refused { line: error.uci_position.0, byte: error.uci_position.1 },
    }
}

fn mismatches(cases: &[Case]) -> Vec<String> {
    let differing = cases.iter().filter(|case| ours(&case.file) != case.outcome);
    differing.map(|case| format!("{case}we:\n{}", ours(&case.file))).collect()
}

#[test]
fn recorded_files_read_as_openwrt_reads_them() {
    if let (Some(real), Some(_)) = (real::program(), std::env::var_os("BLESS")) {
        record(&real);
    }
    let cases: Vec<Case> = ["hand", "generated"].iter().flat_map(|name| cases::load(name)).collect();
    assert!(cases.len() >= 600, "only {} cases", cases.len());
    let refused = cases.iter().filter(|case| matches!(case.outcome, Outcome::Refused { .. })).count();
    assert!(refused > 100 && cases.len() - refused > 100, "{refused} of {} are refused", cases.len());
    let bad = mismatches(&cases);
    assert!(bad.is_empty(), "{} of {} differ; the first:\n{}", bad.len(), cases.len(), bad[0]);
    say(&format!("{} files, {refused} of them refused, all as OpenWrt's uci", cases.len()));
}

#[test]
fn fresh_files_read_as_the_real_program_reads_them() {
    let Some(real) = real::program() else {
        say("skipped: no real uci to compare with (QUICAP_REAL_UCI names none)");
        return;
    };
    let first = std::env::var("QUICAP_SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = first.unwrap_or_else(|| u64::from(std::process::id()) * FRESH + RECORDED + 1);
    let cases: Vec<Case> = (first..first + FRESH).map(|seed| real.judge(generate::file(seed))).collect();
    let bad = mismatches(&cases);
    assert!(bad.is_empty(), "QUICAP_SEED={first}: {} differ; the first:\n{}", bad.len(), bad[0]);
}

#[test]
fn what_is_exported_reads_back_the_same() {
    for case in ["hand", "generated"].iter().flat_map(|name| cases::load(name)) {
        let Ok(package) = uci::parse(&case.file) else { continue };
        let again = uci::parse(&package.export()).unwrap_or_else(|error| panic!("{case}{}", error.reason));
        assert_eq!(again.show("quicap"), package.show("quicap"), "{case}");
    }
}

/// Prints past the test harness, which swallows what passing tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn record(real: &real::Program) {
    let hand: Vec<Case> = cases::load("hand").into_iter().map(|case| real.judge(case.file)).collect();
    cases::save("hand", &hand);
    let generated: Vec<Case> = (1..=RECORDED).map(|seed| real.judge(generate::file(seed))).collect();
    cases::save("generated", &generated);
}
