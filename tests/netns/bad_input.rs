//! What is wrong on purpose: configuration, files, the machine, what arrives on the port, what others do to the TAP.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ===== b --- lb        b's side sends the hostile datagrams
//! ```

use std::fs;
use std::io::Read;

use crate::lab::{self, Lab, Underlay};
use crate::machine;

/// How `quicap run` has to end: exit code and what its one line has to name.
struct Expected {
    code: i32,
    needles: &'static [&'static str],
}

fn ends_with(code: i32, needles: &'static [&'static str]) -> Expected {
    Expected { code, needles }
}

#[test]
fn a_daemon_that_cannot_start_says_why_in_one_line_and_by_its_exit_code() {
    let Some(lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    let quiet: lab::Options<'_> = &[("log_level", "warn")];
    let file = |name: &str| fs::read_to_string(lab.dir.join("a").join(name)).unwrap();
    let put = |name: &str, text: &str| fs::write(lab.dir.join("a").join(name), text).unwrap();
    let (crt, ca, key) = (file("node.crt"), file("ca.crt"), file("node.key"));
    lab.configure("a", quiet);
    let good = file("quicap");
    let restore = || {
        let _ = fs::remove_dir(lab.dir.join("a/node.crt"));
        put("quicap", &good);
        put("node.crt", &crt);
        put("ca.crt", &ca);
        put("node.key", &key);
    };

    put("quicap", &good.replace("'quicap0'", "'quicap0123456789'"));
    check(&lab, "a name of 16 characters", &ends_with(2, &["a/quicap:2", "tap", "quicap0123456789", "15"]));
    put("quicap", &good.replace("'quicap0'", "'quicap0"));
    check(&lab, "an open quote", &ends_with(2, &["a/quicap:"]));
    fs::remove_file(lab.dir.join("a/quicap")).unwrap();
    check(&lab, "no configuration", &ends_with(2, &["a/quicap"]));
    restore();

    fs::remove_file(lab.dir.join("a/node.crt")).unwrap();
    check(&lab, "no certificate", &ends_with(2, &["a/node.crt"]));
    fs::create_dir(lab.dir.join("a/node.crt")).unwrap();
    check(&lab, "a certificate that cannot be read", &ends_with(2, &["a/node.crt"]));
    restore();
    put("node.crt", &crt[..crt.len() / 2]);
    check(&lab, "half a certificate", &ends_with(2, &["a/node.crt"]));
    put("node.crt", "");
    check(&lab, "an empty certificate", &ends_with(2, &["a/node.crt"]));
    put("node.crt", &"x".repeat(50_000_000));
    check(&lab, "a huge certificate", &ends_with(2, &["a/node.crt"]));
    restore();
    put("node.key", &fs::read_to_string(lab.dir.join("b/node.key")).unwrap());
    check(&lab, "the key of another node", &ends_with(2, &["a/node."]));
    restore();

    lab.ok("quicap ca init --dir other --network home");
    put("ca.crt", &fs::read_to_string(lab.dir.join("other/ca.crt")).unwrap());
    check(&lab, "another CA", &ends_with(3, &["a/node.crt"]));
    restore();
    let old = file("crl.pem");
    lab.ok("quicap ca revoke --dir ca a");
    put("crl.pem", &fs::read_to_string(lab.dir.join("ca/crl.pem")).unwrap());
    check(&lab, "revoked", &ends_with(3, &["revoked"]));
    put("crl.pem", &old);
    check_starts(&lab);
}

#[test]
fn a_machine_that_lacks_something_is_named_in_one_line() {
    if !machine::have(&["python3", "setpriv", "unshare"]) {
        return;
    }
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[("log_level", "warn")]) else { return };
    let run = Lab::run_line("a");
    let daemon = run.split_once(" quicap ").unwrap().1;

    let hidden = format!(
        "ip netns exec @a unshare -m sh -c 'mount -t tmpfs none /dev/net && exec timeout -k 1 10 quicap {daemon}'"
    );
    check_line(&lab, "no /dev/net/tun", &hidden, &ends_with(1, &["/dev/net/tun"]));

    // All rights but the one that it needs.
    let unprivileged = format!(
        "ip netns exec @a setpriv --bounding-set -net_admin --inh-caps -net_admin timeout -k 1 10 quicap {daemon}"
    );
    check_line(&lab, "not root", &unprivileged, &ends_with(1, &["root"]));

    let busy = "import socket, time\nfor f, a in ((socket.AF_INET, ''), (socket.AF_INET6, '::')):\n s = socket.socket(f, \
                socket.SOCK_DGRAM)\n f == socket.AF_INET6 and s.setsockopt(41, 26, 1)\n s.bind((a, 443))\n \
                globals()[str(f)] = s\nprint('bound', flush=True)\ntime.sleep(1000)\n";
    fs::write(lab.dir.join("busy.py"), busy).unwrap();
    let holder = lab.spawn("ip netns exec @a python3 busy.py");
    lab.keep(holder);
    let bound = "ip netns exec @a ss -Hlun sport = :443";
    lab.wait(lab::SOON, "the port is taken", |lab| lab.ok(bound).lines().count() == 2);
    check(&lab, "a busy port", &ends_with(1, &["443"]));
}

#[test]
fn a_second_daemon_for_the_same_network_does_not_start_and_does_no_harm() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    check(&lab, "a second daemon", &ends_with(1, &["already running"]));
    assert!(lab.is_running("a"));
    assert_eq!(lab.link("a").0, "up");
    assert_eq!(lab.ping("la", "-c 10 -i 0.01 -W 2 10.77.0.2"), (10, 10));
}

#[test]
fn garbage_and_replayed_datagrams_on_the_port_cost_no_ping() {
    if !machine::have(&["python3"]) {
        return;
    }
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let mut attacks =
        [lab.spawn(&lab.python("b", "garbage 192.0.2.1 443 4")), lab.spawn(&lab.python("b", "replay wan 4"))];
    assert_eq!(lab.ping("la", "-c 200 -i 0.02 -W 2 10.77.0.2"), (200, 200));
    for attack in &mut attacks {
        let mut sent = String::new();
        attack.stdout.take().unwrap().read_to_string(&mut sent).unwrap();
        assert!(attack.wait().unwrap().success());
        println!("hostile datagrams sent: {}", sent.trim());
        assert!(sent.trim().parse::<u32>().unwrap() > 300, "{sent}");
    }
    assert!(lab.is_running("a") && lab.is_running("b"));
    let duplicates =
        String::from_utf8(lab.run(&lab::ping_line("la", "-c 20 -i 0.02 10.77.0.2")).stdout).unwrap();
    assert!(!duplicates.contains("DUP!"), "{duplicates}");
    assert!(!lab.log("a").contains("panicked") && !lab.log("b").contains("panicked"));
}

#[test]
fn a_tap_that_is_deleted_under_the_daemon_comes_back_or_ends_it_with_a_clear_line() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    lab.ok("ip -n @a link delete quicap0");
    let status = lab.wait_end("a", lab::SOON);
    assert_eq!(status.code(), Some(1));
    let log = lab.log("a");
    let last = log.lines().next_back().unwrap();
    assert!(last.contains("quicap0") && last.contains("deleted"), "{last}");
    lab.start("a");
    lab.wait_linked();
    lab.wait_ping(lab::SOON);
}

/// The daemon of `a` ends by itself, as expected.
fn check(lab: &Lab, case: &str, expected: &Expected) {
    let line = Lab::run_line("a").replace(" quicap ", " timeout -k 1 10 quicap ");
    check_line(lab, case, &line, expected);
}

fn check_line(lab: &Lab, case: &str, line: &str, expected: &Expected) {
    let output = lab.run_in_shell(line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(expected.code), "{case}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{case}: one line, not {errors}");
    for needle in expected.needles {
        assert!(errors.contains(needle), "{case}: no '{needle}' in {errors}");
    }
}

/// After all is put right again: what failed before was not broken for another reason.
fn check_starts(lab: &Lab) {
    let line = Lab::run_line("a").replace(" quicap ", " timeout -s INT 2 quicap ");
    let output = lab.run_in_shell(&line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "it ran until it was told to end: {errors}");
}
