//! The form of the shell scripts.

use std::path::PathBuf;
use std::process::Command;

use crate::root::{skip, source_of, text_of};

/// All that a router runs, and the stand-ins.
fn scripts() -> Vec<PathBuf> {
    let mut scripts = vec![source_of("init.d/quicap")];
    for directory in ["openwrt/quicap/files", "tests/openwrt/standin"] {
        let entries = std::fs::read_dir(source_of(directory)).unwrap();
        scripts.extend(entries.map(|entry| entry.unwrap().path()));
    }
    // A list of files, and ucode.
    scripts.retain(|path| path.extension().is_none_or(|kind| kind != "keep" && kind != "uc"));
    assert!(scripts.len() > 10, "{scripts:?}");
    scripts
}

#[test]
fn the_shell_of_a_router_can_read_every_script() {
    for script in scripts() {
        let Ok(output) = Command::new("busybox").args(["sh", "-n"]).arg(&script).output() else {
            return skip("no busybox: install busybox");
        };
        assert!(output.status.success(), "{}: {}", script.display(), text_of(&output));
    }
}

#[test]
fn shellcheck_finds_nothing_in_what_a_router_runs() {
    let installed = scripts().into_iter().filter(|path| !path.to_string_lossy().contains("standin"));
    let mut command = Command::new("shellcheck");
    let Ok(output) = command.arg("--severity=warning").args(installed).output() else {
        return skip("no shellcheck: install shellcheck");
    };
    assert!(output.status.success(), "{}", text_of(&output));
}
