//! The real opkg and apk, where the environment names them: install, upgrade with a changed configuration, remove.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::feed;
use super::scratch::{Scratch, made, root, run, try_run, version};

/// `None` unless the environment names one.
pub fn apk() -> Option<OsString> {
    std::env::var_os("QUICAP_APK")
}

fn opkg() -> Option<OsString> {
    std::env::var_os("QUICAP_OPKG")
}

/// The feed, a second one with the next release, and a root to install into.
fn prepared() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    feed::feed(&scratch, "x86_64");
    let next = scratch.next_release();
    scratch.packages(next.to_str().unwrap(), "x86_64", "out2");
    scratch.packages("tests/packages/stand-in", "x86_64", "out2");
    feed::make(&scratch, "out2", "feed2");
    let system = scratch.path("system");
    for directory in ["tmp", "var/lock", "etc/opkg"] {
        made(&system.join(directory));
    }
    (scratch, system)
}

/// Puts a line of the user's own into the configuration.
fn change(system: &Path) -> String {
    let path = system.join("etc/config/quicap");
    let text = fs::read_to_string(&path).unwrap() + "# mine\n";
    fs::write(&path, &text).unwrap();
    text
}

/// The release is there, as its files tell, and so is what it depends on.
#[track_caller]
fn installed(system: &Path, release: u32) {
    for file in ["usr/sbin/quicap", "etc/init.d/quicap", "etc/modules.d/30-tun"] {
        assert!(system.join(file).exists(), "{file}");
    }
    let keep = fs::read_to_string(system.join("lib/upgrade/keep.d/quicap")).unwrap();
    assert_eq!(keep.contains("quicap-more"), release == 2, "{keep}");
}

#[track_caller]
fn removed(system: &Path, configuration: &str) {
    for file in
        ["usr/sbin/quicap", "etc/init.d/quicap", "lib/upgrade/keep.d/quicap", "etc/hotplug.d/ntp/25-quicap"]
    {
        assert!(!system.join(file).exists(), "{file} is still there");
    }
    assert_eq!(fs::read_to_string(system.join("etc/config/quicap")).unwrap(), configuration);
}

/// opkg with a root of its own, which verifies lists with openssl as OpenWrt's opkg-key does with usign.
fn opkg_in(
    scratch: &Scratch,
    program: &OsString,
    system: &Path,
    feed: &str,
    words: &[&str],
) -> (bool, String) {
    let public = scratch.path("usign.public");
    let key = scratch.path("keys/usign.pem");
    run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(key).arg("-out").arg(&public));
    let script = format!(
        "#!/bin/sh\nset -e\ntail -n 1 \"$2\" | base64 -d | tail -c 64 >\"$2.raw\"\nzcat \"$3\" >\"$3.text\"\n\
         exec openssl pkeyutl -verify -rawin -pubin -inkey {} -sigfile \"$2.raw\" -in \"$3.text\"\n",
        public.display()
    );
    let verify = scratch.write("verify", script);
    run(Command::new("chmod").arg("755").arg(&verify));
    let configuration = format!(
        "dest root /\nlists_dir ext /lists\narch all 1\narch x86_64 10\noption check_signature\n\
         option verify_program {}\nsrc/gz quicap file://{}/x86_64\n",
        verify.display(),
        scratch.path(feed).display()
    );
    let file = scratch.write("opkg.conf", configuration);
    let mut command = Command::new(program);
    command.arg("--force-postinstall").arg("--offline-root").arg(system).arg("-f").arg(file);
    try_run(command.args(words).env("IPKG_INSTROOT", system)).unwrap()
}

#[test]
fn opkg_installs_upgrades_and_removes_from_the_signed_feed() {
    let Some(program) = opkg() else {
        return println!("skipped: no real opkg to install with (QUICAP_OPKG names none)");
    };
    let (scratch, system) = prepared();
    let calls = "echo \"$(basename \"$1\") $2\" >>\"$IPKG_INSTROOT/calls\"";
    let functions = format!("default_postinst() {{ {calls}; }}\ndefault_prerm() {{ {calls}; }}\n");
    scratch.write("system/lib/functions.sh", functions);
    let opkg = |feed: &str, words: &[&str]| {
        let (status, output) = opkg_in(&scratch, &program, &system, feed, words);
        assert!(status, "opkg {words:?}\n{output}");
        output
    };
    assert!(opkg("feed", &["update"]).contains("Signature check passed"));
    opkg("feed", &["install", "quicap"]);
    installed(&system, 1);
    assert_eq!(scratch.text("system/calls"), "kmod-tun.postinst configure\nquicap.postinst configure\n");
    let mine = change(&system);
    opkg("feed2", &["update"]);
    opkg("feed2", &["upgrade", "quicap"]);
    installed(&system, 2);
    assert_eq!(scratch.text("system/etc/config/quicap"), mine);
    let shipped = fs::read(root().join("uci/quicap")).unwrap();
    assert_eq!(scratch.read("system/etc/config/quicap-opkg"), shipped);
    opkg("feed2", &["remove", "quicap"]);
    removed(&system, &mine);
    assert!(scratch.text("system/calls").ends_with("quicap.prerm remove\n"));
}

#[test]
fn opkg_takes_no_list_that_was_changed() {
    let Some(program) = opkg() else {
        return println!("skipped: no real opkg to install with (QUICAP_OPKG names none)");
    };
    let (scratch, system) = prepared();
    fs::copy(scratch.path("feed2/x86_64/Packages.gz"), scratch.path("feed/x86_64/Packages.gz")).unwrap();
    let (_, output) = opkg_in(&scratch, &program, &system, "feed", &["update"]);
    assert!(output.contains("Signature check failed"), "{output}");
    assert!(!opkg_in(&scratch, &program, &system, "feed", &["install", "quicap"]).0);
}

#[test]
fn opkg_takes_no_package_of_another_architecture() {
    let Some(program) = opkg() else {
        return println!("skipped: no real opkg to install with (QUICAP_OPKG names none)");
    };
    let (scratch, system) = prepared();
    scratch.packages("openwrt", "mips_24kc", "other");
    let file = scratch.path("other").join(format!("quicap_{}_mips_24kc.ipk", version()));
    let (status, output) = opkg_in(&scratch, &program, &system, "feed", &["install", file.to_str().unwrap()]);
    assert!(!status && output.contains("incompatible with the architectures"), "{output}");
}

fn apk_in(
    scratch: &Scratch,
    program: &OsString,
    system: &Path,
    feed: &str,
    words: &[&str],
) -> (bool, String) {
    let list = format!("{}/x86_64/packages.adb\n", scratch.path(feed).display());
    scratch.write("system/etc/apk/repositories", list);
    let mut command = Command::new(program);
    command.args(["--arch", "x86_64", "--root"]).arg(system).args(words);
    if !words.contains(&"update") {
        // They would run in the system, where there is no shell.
        command.arg("--no-scripts");
    }
    try_run(&mut command).unwrap()
}

#[test]
fn apk_installs_upgrades_and_removes_from_the_signed_feed() {
    let Some(program) = apk() else {
        return println!("skipped: no real apk to install with (QUICAP_APK names none)");
    };
    let (scratch, system) = prepared();
    let apk = |feed: &str, words: &[&str]| {
        let (status, output) = apk_in(&scratch, &program, &system, feed, words);
        assert!(status, "apk {words:?}\n{output}");
        output
    };
    scratch.write("system/etc/apk/keys/quicap-feed.pem", scratch.read("feed/keys/quicap-feed.pem"));
    apk("feed", &["add", "--initdb"]);
    apk("feed", &["update"]);
    apk("feed", &["add", "quicap"]);
    installed(&system, 1);
    let mine = change(&system);
    apk("feed2", &["update"]);
    apk("feed2", &["upgrade"]);
    installed(&system, 2);
    assert_eq!(scratch.text("system/etc/config/quicap"), mine);
    let shipped = fs::read(root().join("uci/quicap")).unwrap();
    assert_eq!(scratch.read("system/etc/config/quicap.apk-new"), shipped);
    apk("feed2", &["del", "quicap"]);
    removed(&system, &mine);
}

#[test]
fn apk_trusts_no_feed_whose_key_it_does_not_have() {
    let Some(program) = apk() else {
        return println!("skipped: no real apk to install with (QUICAP_APK names none)");
    };
    let (scratch, system) = prepared();
    made(&system.join("etc/apk/keys"));
    apk_in(&scratch, &program, &system, "feed", &["add", "--initdb"]);
    let (_, output) = apk_in(&scratch, &program, &system, "feed", &["update"]);
    assert!(output.contains("UNTRUSTED"), "{output}");
    assert!(!apk_in(&scratch, &program, &system, "feed", &["add", "quicap"]).0);
}
