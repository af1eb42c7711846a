//! Clocks that are wrong: a router without a battery, and one whose time server lies. libfaketime plays the clock.
//!
//! ```text
//!   a ===== b        the clock of a is wrong
//! ```

use std::fs;

use crate::lab::{self, Lab, Underlay};
use crate::machine;

/// The daemon of `a` under a clock of its own, which [`set`] sets.
fn start(lab: &mut Lab) {
    let file = lab.dir.join("clock").display().to_string();
    let prefix = format!(
        "env FAKETIME_TIMESTAMP_FILE={file} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 LD_PRELOAD={} ",
        library().unwrap()
    );
    lab.spawn_daemon_by("a", &(prefix + &Lab::run_line("a")));
    lab.wait_tap("a");
}

fn library() -> Option<String> {
    let found = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let library = found.map(|path| path.join("libfaketime.so.1")).find(|path| path.exists())?;
    Some(library.display().to_string())
}

fn set(lab: &Lab, clock: &str) {
    fs::write(lab.dir.join("clock"), clock).unwrap();
}

fn clock(lab: &Lab) -> (String, String) {
    let status = lab.status("a");
    (status.at("clock").text().to_owned(), status.at("clock_reason").text().to_owned())
}

#[test]
fn a_clock_of_1970_links_and_one_that_jumps_cuts_nobody_until_somebody_confirms_it() {
    if library().is_none() {
        return machine::skip("no libfaketime");
    }
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    set(&lab, "@1970-01-02 00:00:00");
    start(&mut lab);
    lab.start("b");
    lab.wait_linked();
    let (name, reason) = clock(&lab);
    assert!(name == "untrusted" && reason.contains("it shows 1970-01-0"), "{name}: {reason}");
    let table = lab.ok("quicap status home --socket a/quicap.sock");
    assert!(table.contains("clock    not trusted: it shows 1970-01-0"), "{table}");

    set(&lab, "+0");
    lab.wait(lab::SOON, "the clock is right", |lab| clock(lab).0 == "trusted");
    set(&lab, "+3650d");
    lab.wait(lab::SOON, "the jump is seen", |lab| clock(lab).1.contains("it jumped"));
    assert_eq!(lab.link("a").0, "up");
    assert_eq!(lab.ping("la", "-c 10 -i 0.01 -W 2 10.77.0.2"), (10, 10));

    lab.signal("a", "HUP");
    for site in ["a", "b"] {
        lab.wait(lab::SOON, "the link is cut", |lab| lab.link(site).1.contains("certificate expired"));
    }
    set(&lab, "+0");
    lab.wait_linked();
    assert!(lab.is_running("a"));
    let log = lab.log("a");
    println!("{}", log.lines().filter(|line| line.contains("clock")).collect::<Vec<_>>().join("\n"));
}
