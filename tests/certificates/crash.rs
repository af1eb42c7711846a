//! What is left when the machine stops, or the disk is full, in the middle.

use std::fs;
use std::path::Path;

use quicap::cli::files::{NEXT_KEY, finish_install};
use quicap::pki::{Identity, Trust};

use crate::scratch::{Run, Scratch};

/// Runs `quicap` with a limit on file sizes (512-byte blocks): writes fail as on a full disk, at any point.
fn limited(scratch: &Scratch, blocks: u32, words: &str, input: &[u8]) -> Run {
    let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec {} {words}", env!("CARGO_BIN_EXE_quicap"));
    scratch.run("sh", &["-c", &script], &[], input)
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let scratch = Scratch::new();
    limited(&scratch, 0, "ca init --dir ca --network home", b"").fails(1, "ca: file too large");
    assert_eq!(scratch.snapshot(), []);
    limited(&scratch, 1, "ca init --dir ca --network home", b"").fails(1, "ca: file too large");
    assert_eq!(scratch.snapshot(), [], "the key was written, the certificate was not");
    scratch.quicap("ca init --dir ca --network home").ok();
    let csr = scratch.quicap("csr --name a --key a/node.key").ok();
    let before = scratch.snapshot();
    limited(&scratch, 0, "ca sign --dir ca - --out a.crt", csr.bytes()).fails(1, "ca/index: file too large");
    assert_eq!(scratch.snapshot(), before);
    limited(&scratch, 1, "ca sign --dir ca - --out a.crt", csr.bytes()).fails(1, "a.crt: file too large");
    assert_eq!(scratch.snapshot(), before, "nobody has the certificate, so it is forgotten");
    let bundle = scratch.quicap_fed("ca sign --dir ca - --bundle -", csr.bytes()).ok();
    let before = scratch.snapshot();
    limited(&scratch, 1, "install home - --dir a", bundle.bytes()).fails(1, "a: file too large");
    assert_eq!(scratch.snapshot(), before);
    limited(&scratch, 0, "csr --name b --key b/node.key", b"").fails(1, "b/node.key: file too large");
    limited(&scratch, 0, "ca revoke --dir ca a", b"").fails(1, "ca/index: file too large");
    assert_eq!(scratch.snapshot(), before);
}

#[test]
fn a_full_file_system_leaves_everything_as_it_was() {
    let scratch = Scratch::new();
    scratch.write("disk/.keep", "");
    // A tmpfs of two pages in a mount namespace of our own: gone with the shell.
    let script = format!(
        "mount -t tmpfs -o size=28k none disk || exit 77
         Q='{}'
         $Q ca init --dir disk/ca --network home && $Q csr --name a --key key --out csr || exit 1
         $Q ca sign --dir disk/ca csr --out before.crt || exit 1
         head -c 100000 /dev/zero > disk/fill
         cp -r disk/ca before
         $Q ca sign --dir disk/ca csr --out disk/a.crt; echo code $?
         $Q ca revoke --dir disk/ca a; echo code $?
         diff -r before disk/ca && ls -A disk/ca
         rm disk/fill
         $Q ca sign --dir disk/ca csr --out disk/a.crt; echo code $?",
        env!("CARGO_BIN_EXE_quicap")
    );
    let run = scratch.run("unshare", &["-rm", "sh", "-c", &script], &[], b"");
    assert_ne!(run.code(), Some(77), "cannot mount a tmpfs here: {}", run.err());
    assert_eq!(run.out(), "code 1\ncode 1\nca.crt\nca.key\ncrl.pem\nindex\ncode 0\n", "{}", run.err());
    assert!(run.err().contains("no space left on device"), "{}", run.err());
}

/// A CA and a node whose first certificate is installed and whose rotated one is in `bundle`.
fn rotating() -> Scratch {
    let scratch = Scratch::new();
    scratch.quicap("ca init --dir ca --network home").ok();
    for (csr, sign) in [("", ""), (" --new-key", " --replace")] {
        let csr = scratch.quicap(&format!("csr --name a --key a/node.key{csr}")).ok();
        scratch.quicap_fed(&format!("ca sign --dir ca{sign} - --bundle bundle"), csr.bytes()).ok();
        if sign.is_empty() {
            scratch.quicap("install home bundle --dir a").ok();
        }
    }
    scratch
}

fn is_consistent(node: &Path) -> bool {
    let read = |name: &str| fs::read(node.join(name)).unwrap();
    let trust = Trust::from_pem("home", &read("ca.crt"), Some(&read("crl.pem")));
    trust.is_ok() && Identity::from_pem(&read("node.crt"), &read("node.key")).is_ok()
}

/// `install` is stopped before each of its system calls that change something; the next start must find either
/// all of the old files or all of the new ones.
#[test]
fn an_install_that_is_killed_anywhere_is_finished_or_forgotten() {
    let scratch = rotating();
    let new = {
        scratch.run("cp", &["-r", "a", "whole"], &[], b"").ok();
        scratch.quicap("install home bundle --dir whole").ok();
        scratch.read("whole/node.crt")
    };
    let old = scratch.read("a/node.crt");
    let (mut finished, mut forgotten) = (0, 0);
    let node = scratch.file("try");
    let prepare = || {
        let _ = fs::remove_dir_all(&node);
        scratch.run("cp", &["-r", "a", "try"], &[], b"").ok();
    };
    stop_everywhere(&scratch, "install home bundle --dir try", prepare, |place| {
        finish_install(&node).unwrap();
        assert!(is_consistent(&node), "{place}");
        let now = fs::read(node.join("node.crt")).unwrap();
        assert!(now == new || now == old, "{place}");
        assert_eq!(node.join(NEXT_KEY).exists(), now == old, "{place}");
        let files = fs::read_dir(&node).unwrap().count();
        assert_eq!(files, if now == old { 5 } else { 4 }, "nothing is left over: {place}");
        *(if now == new { &mut finished } else { &mut forgotten }) += 1;
    });
    assert!(finished > 5 && forgotten > 5, "{finished} finished, {forgotten} forgotten");
}

/// The same for the CA: whatever was signed and delivered is in the index, whatever is revoked is on the list.
#[test]
fn a_ca_that_is_killed_anywhere_forgets_nothing() {
    let scratch = Scratch::new();
    scratch.quicap("ca init --dir start --network home").ok();
    scratch.quicap("csr --name a --key a.key --out a.csr").ok();
    scratch.quicap("csr --name b --key b.key --out b.csr").ok();
    scratch.quicap("ca sign --dir start a.csr --out a.crt").ok();
    let prepare = || {
        let _ = fs::remove_dir_all(scratch.file("ca"));
        let _ = fs::remove_file(scratch.file("b.crt"));
        scratch.run("cp", &["-r", "start", "ca"], &[], b"").ok();
    };
    for command in ["ca sign --dir ca b.csr --out b.crt", "ca revoke --dir ca a"] {
        stop_everywhere(&scratch, command, prepare, |place| {
            let index = scratch.text("ca/index");
            if scratch.file("b.crt").exists() {
                assert!(index.contains(" b "), "a certificate that is not in the index: {place}");
            }
            scratch.quicap("ca sign --dir ca a.csr --replace --out again.crt").ok();
            let index = scratch.text("ca/index");
            let revoked = index.lines().skip(3).filter(|line| !line.ends_with('-')).count();
            let list = Trust::from_pem("home", &scratch.read("ca/ca.crt"), Some(&scratch.read("ca/crl.pem")));
            assert_eq!(list.unwrap().crls()[0].revoked().len(), revoked, "{command}: {place}");
        });
    }
}

#[test]
fn an_interrupted_init_is_taken_up_again() {
    let scratch = Scratch::new();
    let prepare = || drop(fs::remove_dir_all(scratch.file("ca")));
    stop_everywhere(&scratch, "ca init --dir ca --network home", prepare, |_| {
        if !scratch.file("ca/ca.crt").exists() {
            scratch.quicap("ca init --dir ca --network home").ok();
        }
        let csr = scratch.quicap("csr --name a --key a/node.key").ok();
        scratch.quicap_fed("ca sign --dir ca - --bundle bundle", csr.bytes()).ok();
        scratch.quicap("install home bundle --dir a").ok();
    });
}

/// Kills the command before each of its system calls that write, every time from the beginning.
fn stop_everywhere(scratch: &Scratch, words: &str, prepare: impl Fn(), mut check: impl FnMut(&str)) {
    for call in ["mkdir", "write", "fsync", "link", "unlink", "rename", "rmdir"] {
        for nth in 1.. {
            prepare();
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let mut traced =
                vec!["-f", "-qq", "-o", "/dev/null", "-e", &inject, env!("CARGO_BIN_EXE_quicap")];
            traced.extend(words.split(' '));
            let run = scratch.run("strace", &traced, &[], b"");
            check(&format!("{call} {nth}"));
            match run.code() {
                None => {}
                Some(0) => break,
                Some(code) => panic!("{words}: code {code} at {call} {nth}: {}", run.err()),
            }
        }
    }
}
