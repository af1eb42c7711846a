//! What is in an .ipk, as `tar` sees it.

use std::path::Path;
use std::process::Command;

use super::scratch::{EPOCH, Scratch, bytes, python, root, run, version};

fn name() -> String {
    format!("quicap_{}_mipsel_24kc.ipk", version())
}

/// Everything that is installed but directories above our own, with its rights. Written by hand: a right must not change unnoticed.
const INSTALLED: &[&str] = &[
    "-rw------- ./etc/config/quicap",
    "-rw-r--r-- ./etc/hotplug.d/ntp/25-quicap",
    "-rwxr-xr-x ./etc/init.d/quicap",
    "-rwxr-xr-x ./etc/uci-defaults/60-quicap",
    "-rw-r--r-- ./lib/upgrade/keep.d/quicap",
    "-rwxr-xr-x ./usr/sbin/quicap",
    "-rw-r--r-- ./usr/share/ucode/node-exporter/lib/quicap.uc",
];

/// Unpacks the three members and what two of them hold: `control/` and `data/`.
fn unpacked(scratch: &Scratch, package: &Path) {
    for part in ["control", "data"] {
        let inner =
            bytes("tar", &["-xzOf".as_ref(), package.as_os_str(), format!("./{part}.tar.gz").as_ref()]);
        let archive = scratch.write(&format!("{part}.tar.gz"), inner);
        let directory = scratch.path(part);
        run(Command::new("tar").arg("-xzpf").arg(archive).arg("-C").arg(super::scratch::made(&directory)));
    }
}

fn package() -> Scratch {
    let scratch = Scratch::new();
    scratch.packages("openwrt", "mipsel_24kc", "out");
    unpacked(&scratch, &scratch.path("out").join(name()));
    scratch
}

/// Rights and names of `tar -tv`, and whether all is root's and of the one time.
fn listed(archive: &Path) -> (Vec<String>, bool) {
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--full-time", "--utc", "-tvzf"]).arg(archive).env("TZ", "UTC");
    let text = run(&mut tar);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let uniform = rows.iter().all(|row| row[1] == "0/0" && row[3..5] == ["2023-11-14", "22:13:20"]);
    (rows.iter().map(|row| format!("{} {}", row[0], row[5])).collect(), uniform)
}

#[test]
fn the_container_is_what_opkg_reads_and_all_is_roots() {
    let scratch = package();
    let (members, uniform) = listed(&scratch.path("out").join(name()));
    let expected = ["-rw-r--r-- ./debian-binary", "-rw-r--r-- ./data.tar.gz", "-rw-r--r-- ./control.tar.gz"];
    assert_eq!(members, expected);
    assert!(uniform);
    assert_eq!(
        bytes(
            "tar",
            &["-xzOf".as_ref(), scratch.path("out").join(name()).as_os_str(), "./debian-binary".as_ref()]
        ),
        b"2.0\n"
    );
}

#[test]
fn what_is_installed_has_its_place_and_its_rights() {
    let scratch = package();
    let (entries, uniform) = listed(&scratch.path("data.tar.gz"));
    assert!(uniform);
    let (directories, files): (Vec<String>, Vec<String>) =
        entries.into_iter().partition(|entry| entry.starts_with('d'));
    assert_eq!(files, INSTALLED);
    assert!(directories.iter().all(|entry| entry.starts_with("drwxr-xr-x ") && entry.ends_with('/')));
    let shipped = std::fs::read(root().join("uci/quicap")).unwrap();
    assert_eq!(scratch.read("data/etc/config/quicap"), shipped);
    let keep = scratch.text("data/lib/upgrade/keep.d/quicap");
    assert!(
        keep.lines().any(|line| line == "/etc/quicap/") && keep.lines().any(|line| line == "/etc/quicap-ca/")
    );
}

#[test]
fn the_control_paragraph_says_what_opkg_asks_for() {
    let scratch = package();
    let control = scratch.text("control/control");
    let size: u64 = INSTALLED
        .iter()
        .map(|entry| scratch.path("data").join(entry.split("./").last().unwrap()).metadata().unwrap().len())
        .sum();
    for line in [
        "Package: quicap",
        &format!("Version: {}", version()),
        "Depends: kmod-tun",
        "License: Apache-2.0 MIT",
        "Section: net",
        &format!("SourceDateEpoch: {EPOCH}"),
        "Architecture: mipsel_24kc",
        &format!("Installed-Size: {size}"),
    ] {
        assert!(control.lines().any(|other| other == line), "{line} is not in\n{control}");
    }
    assert!(control.lines().all(|line| line.contains(": ")) && control.ends_with(".\n"), "{control}");
    assert_eq!(scratch.text("control/conffiles"), "/etc/config/quicap\n");
}

#[test]
fn every_script_of_the_package_is_one_for_busybox() {
    let scratch = package();
    let (control, _) = listed(&scratch.path("control.tar.gz"));
    for script in ["postinst", "postinst-pkg", "prerm", "prerm-pkg"] {
        assert!(control.contains(&format!("-rwxr-xr-x ./{script}")), "{control:?}");
    }
    let scripts = [
        "control/postinst",
        "control/postinst-pkg",
        "control/prerm",
        "control/prerm-pkg",
        "data/etc/init.d/quicap",
        "data/etc/uci-defaults/60-quicap",
        "data/etc/hotplug.d/ntp/25-quicap",
    ];
    for script in scripts {
        run(Command::new("busybox").args(["ash", "-n"]).arg(scratch.path(script)));
    }
}

/// OpenWrt's functions do the work, with the words that they expect; without them nothing is done.
#[test]
fn the_scripts_call_openwrts_functions() {
    let scratch = package();
    scratch.write(
        "root/lib/functions.sh",
        "default_postinst() { echo \"postinst $*\"; }\ndefault_prerm() { echo \"prerm $*\"; }\n",
    );
    let call = |script: &str, root: &str, environment: &str| {
        let mut shell = Command::new("busybox");
        shell.arg("ash").arg(scratch.path(script)).arg("configure").env("IPKG_INSTROOT", scratch.path(root));
        run(shell.env("IPKG_NO_SCRIPT", environment)).replace(&*scratch.path("").to_string_lossy(), "")
    };
    assert_eq!(call("control/postinst", "root", ""), "postinst control/postinst configure\n");
    assert_eq!(call("control/prerm", "root", ""), "prerm control/prerm configure\n");
    assert_eq!(call("control/postinst", "root", "1"), "");
    assert_eq!(call("control/postinst", "nowhere", "") + &call("control/prerm", "nowhere", ""), "");
}

#[test]
fn the_same_input_gives_the_same_bytes_on_another_day_with_another_umask() {
    let (one, two) = (Scratch::new(), Scratch::new());
    one.packages("openwrt", "all", "out");
    // Another day is another time of every file on the way, which are all made again; hence a second later.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let script = format!(
        "umask 077; cp -R {}/programs {}/programs; export TMPDIR={}; exec \"$@\"",
        one.path("").display(),
        two.path("").display(),
        two.path("").display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh", "python3", "-B"]).arg(root().join("openwrt/mkpkg"));
    shell.arg("--binaries").arg(two.path("programs")).arg("--out").arg(two.path("out")).arg("all");
    run(shell.env("SOURCE_DATE_EPOCH", EPOCH));
    let names: Vec<_> =
        std::fs::read_dir(one.path("out")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(names.len() >= 2 * 10, "{names:?}");
    for name in names {
        let same = std::fs::read(one.path("out").join(&name)).unwrap()
            == std::fs::read(two.path("out").join(&name)).unwrap();
        assert!(same, "{name:?}");
    }
}

#[test]
fn what_cannot_be_packed_is_refused_in_one_line() {
    let scratch = Scratch::new();
    let refuse = |arguments: &[&str], words: &str| {
        let (status, output) = super::scratch::try_run(
            python("openwrt/mkpkg").args(arguments).arg("--out").arg(scratch.path("out")),
        )
        .unwrap();
        assert!(!status && output.contains(words) && output.lines().count() == 1, "{output}");
    };
    refuse(&["--binaries", "/nowhere", "pdp11"], "pdp11: not an architecture of openwrt/architectures: ");
    refuse(
        &["--binaries", "/nowhere", "mipsel_24kc"],
        "/nowhere/mipsel-unknown-linux-musl/quicap does not exist",
    );
}
