//! `quicap demo` itself, to its end and interrupted.
//!
//! ```text
//!   whatever the demo builds
//! ```

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{Lab, QUICAP};
use crate::machine;

/// Holds our turn; a demo needs no lab otherwise.
fn turn() -> Option<Lab> {
    Lab::open()
}

#[test]
fn the_demo_ends_well_with_two_and_three_routers_and_leaves_nothing() {
    let Some(_turn) = turn() else { return };
    for nodes in ["2", "3"] {
        let demo = spawn(&["--nodes", nodes], Stdio::piped());
        let id = demo.id();
        let output = demo.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}{errors}");
        assert_eq!(errors, "");
        assert!(text.contains("Done: "), "{text}");
        for line in ["pings were lost", "take another way now", "know of it again"] {
            assert_eq!(text.contains(line), nodes == "3", "{line}: {text}");
        }
        assert!(!text.contains('\x1b'), "no colors where there is no terminal");
        assert_nothing_left(id);
    }
}

#[test]
fn a_demo_that_is_interrupted_at_any_point_cleans_up() {
    let Some(lab) = turn() else { return };
    // Lines at which it gets the signal: in the middle of building, with daemons running, while pings go.
    for (line, signal) in [
        ("ip netns add router-a", "INT"),
        ("quicap csr", "TERM"),
        ("quicap run", "INT"),
        ("icmp_seq=3", "INT"),
        ("TCP", "HUP"),
    ] {
        let mut demo = spawn(&[], Stdio::piped());
        let mut reader = BufReader::new(demo.stdout.take().unwrap());
        assert!(reader.by_ref().lines().any(|text| text.unwrap().contains(line)), "it comes to '{line}'");
        lab.shell(&format!("kill -{signal} {}", demo.id()));
        let rest = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        assert_eq!(wait(&mut demo).code(), Some(1), "at '{line}'");
        rest.join().unwrap().unwrap();
        assert_nothing_left(demo.id());
    }
}

#[test]
fn a_demo_whose_reader_goes_away_cleans_up() {
    let Some(_turn) = turn() else { return };
    let mut demo = spawn(&[], Stdio::piped());
    let mut reader = BufReader::new(demo.stdout.take().unwrap());
    assert!(reader.by_ref().lines().any(|text| text.unwrap().contains("ip netns add router-a")));
    drop(reader);
    assert_eq!(wait(&mut demo).code(), Some(1));
    assert_nothing_left(demo.id());
}

#[test]
fn what_a_killed_demo_left_does_not_disturb_the_next_one_and_is_gone_after_it() {
    let Some(_turn) = turn() else { return };
    let mut killed = spawn(&[], Stdio::piped());
    let mut reader = BufReader::new(killed.stdout.take().unwrap());
    assert!(reader.by_ref().lines().any(|text| text.unwrap().contains("icmp_seq=2")));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!left_by(killed.id()).is_empty());
    let next = spawn(&[], Stdio::piped());
    let id = next.id();
    assert_eq!(next.wait_with_output().unwrap().status.code(), Some(0));
    assert_nothing_left(id);
    assert_nothing_left(killed.id());
}

#[test]
fn what_the_demo_cannot_do_it_says_in_one_line() {
    let Some(lab) = turn() else { return };
    let mut cases = vec![("quicap demo --nodes 1", 2, "2 to 8"), ("quicap demo --nodes x", 2, "nodes")];
    cases.push(("env PATH=/nonexistent DEMO", 1, "iproute2"));
    if machine::exists("setpriv") {
        cases.push(("setpriv --reuid 65534 --clear-groups DEMO", 1, "root"));
    }
    if machine::exists("unshare") {
        cases.push(("unshare -m sh -c 'mount -t tmpfs none /dev/net && exec DEMO'", 1, "/dev/net/tun"));
    }
    // A copy that every user may run, wherever the build is.
    lab.ok("chmod 711 .");
    lab.ok(&format!("cp {QUICAP} copy"));
    let binary = lab.dir.join("copy");
    for (line, code, needle) in cases {
        let line = line.replace("DEMO", &format!("{} demo", binary.display()));
        let output = lab.run_in_shell(&line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {errors}");
        assert!(errors.lines().count() == 1 && errors.contains(needle), "{line}: {errors}");
    }
}

fn spawn(arguments: &[&str], stdout: Stdio) -> Child {
    let mut command = Command::new(QUICAP);
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn wait(demo: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = demo.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "the demo does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn left_by(id: u32) -> Vec<String> {
    machine::namespaces().into_iter().filter(|name| name.starts_with(&format!("quicap-demo-{id}-"))).collect()
}

/// No namespace, no directory, no process.
fn assert_nothing_left(id: u32) {
    assert_eq!(left_by(id), Vec::<String>::new());
    let dir: PathBuf = std::env::temp_dir().join(format!("quicap-demo-{id}"));
    assert!(!dir.exists());
    let marker = dir.display().to_string();
    let cwd_in_it = |pid: &std::fs::DirEntry| {
        std::fs::read_link(pid.path().join("cwd")).is_ok_and(|cwd| cwd.to_string_lossy().starts_with(&marker))
    };
    let processes: Vec<_> = std::fs::read_dir("/proc").unwrap().flatten().filter(cwd_in_it).collect();
    assert!(processes.is_empty(), "{processes:?}");
}
