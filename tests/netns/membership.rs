//! Who is a member: joining by a pipe, and staying out after a revocation.
//!
//! ```text
//!   ca (directory)        a ===== b
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::lab::{self, Lab, Underlay};

#[test]
fn a_site_joins_by_one_pipe_and_its_key_never_leaves_it() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    // The lab joined both sites by the pipe. Make the second one new, and join it while the first one runs.
    fs::rename(lab.dir.join("b/quicap"), lab.dir.join("quicap.b")).unwrap();
    fs::remove_dir_all(lab.dir.join("b")).unwrap();
    lab.ok("quicap ca revoke --dir ca b");
    lab.start("a");
    lab.join("b");
    fs::rename(lab.dir.join("quicap.b"), lab.dir.join("b/quicap")).unwrap();
    let mut holders = files_with(&lab.dir, "PRIVATE KEY");
    holders.sort();
    assert_eq!(holders, ["a/node.key", "b/node.key", "ca/ca.key"].map(|name| lab.dir.join(name)));
    for key in &holders {
        assert_eq!(lab.ok(&format!("stat -c %a {}", key.display())), "600\n");
    }
    lab.start("b");
    lab.wait_linked();
    assert_eq!(lab.ping("la", "-c 10 -i 0.01 -W 2 10.77.0.2"), (10, 10));
}

#[test]
fn a_revoked_node_is_cut_off_on_reload_and_stays_out_though_it_redials() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    revoke_b(&lab);
    lab.signal("a", "HUP");
    lab.wait(lab::SOON, "the link is down", |lab| lab.link("a").0 != "up");
    stays_out(&mut lab);
    // One that begins anew stays out as well.
    lab.kill9("b");
    lab.start("b");
    stays_out(&mut lab);
}

#[test]
fn a_revoked_node_stays_out_of_a_daemon_that_starts() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    revoke_b(&lab);
    lab.start("a");
    lab.start("b");
    stays_out(&mut lab);
}

/// By the CA; the new CRL has reached `a` only.
fn revoke_b(lab: &Lab) {
    lab.ok("quicap ca revoke --dir ca b");
    fs::copy(lab.dir.join("ca/crl.pem"), lab.dir.join("a/crl.pem")).unwrap();
}

/// For a while, with the reason in words on both ends, and without carrier in the end.
fn stays_out(lab: &mut Lab) {
    for site in ["a", "b"] {
        lab.wait(lab::SOON, "the reason is known", |lab| lab.link(site).1.contains("revoked"));
    }
    for _ in 0..20 {
        assert_ne!(lab.link("a").0, "up");
        assert_ne!(lab.link("b").0, "up");
        thread::sleep(Duration::from_millis(100));
    }
    println!("a says: {}\nb says: {}", lab.link("a").1, lab.link("b").1);
    lab.wait(lab::SOON, "carrier goes", |lab| lab.carrier("a") == Some(false));
    assert_eq!(lab.ping("la", "-c 2 -i 0.2 -W 1 10.77.0.2").1, 0);
    assert!(lab.is_running("a") && lab.is_running("b"), "a refusal ends nobody");
}

fn files_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if path.is_file() && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
    found
}
