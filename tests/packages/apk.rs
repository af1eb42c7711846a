//! Our .apk and packages.adb against what apk-tools made of the same.

use std::path::Path;
use std::process::Command;

use super::real;
use super::scratch::{Scratch, bytes, python, root, run};

const NAME: &str = "sample-1.2_rc3-r4_mipsel_24kc.apk";
const GOLDEN: &str = "tests/golden/packages";

/// What is inside the compression; how well that packs depends on the library's version.
fn inflated(path: &Path) -> Vec<u8> {
    let script = "import sys, zlib; b = open(sys.argv[1], 'rb').read(); assert b[:4] == b'ADBd'; \
                  sys.stdout.buffer.write(zlib.decompress(b[4:], -15))";
    bytes("python3", &["-c".as_ref(), script.as_ref(), path.as_os_str()])
}

fn sample() -> Scratch {
    let scratch = Scratch::new();
    scratch.packages("tests/packages/sample", "mipsel_24kc", "out");
    scratch
}

fn golden(name: &str) -> Vec<u8> {
    let path = root().join(GOLDEN).join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn a_package_is_byte_for_byte_what_apk_tools_made() {
    let scratch = sample();
    let ours = scratch.path("out").join(NAME);
    if let Some(program) = real::apk() {
        let theirs = scratch.path("theirs.apk");
        let mut remake = python("tests/packages/remake.py");
        remake.arg(program).arg(&ours).arg(&theirs).env("SOURCE_DATE_EPOCH", super::scratch::EPOCH);
        run(&mut remake);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(root().join(GOLDEN).join("sample.adb"), inflated(&theirs)).unwrap();
        }
        assert!(inflated(&theirs) == inflated(&ours), "it differs from that of the program here");
    }
    assert!(inflated(&ours) == golden("sample.adb"), "it differs from tests/golden/packages/sample.adb");
}

/// The list is made of the golden package, which is an .apk without compression.
#[test]
fn a_list_is_byte_for_byte_what_apk_tools_made() {
    let scratch = Scratch::new();
    let package = root().join(GOLDEN).join("sample.adb");
    if let (Some(program), Some(_)) = (real::apk(), std::env::var_os("BLESS")) {
        let mut mkndx = Command::new(program);
        mkndx.args([
            "mkndx",
            "--allow-untrusted",
            "--compression",
            "none",
            "--description",
            "QUICAP",
            "--output",
        ]);
        run(mkndx.arg(root().join(GOLDEN).join("list.adb")).arg(&package));
    }
    let ours = scratch.path("ours.adb");
    run(Command::new("python3").args(["-B", "-c", LIST]).arg(root().join("openwrt")).arg(package).arg(&ours));
    assert!(inflated(&ours) == golden("list.adb"), "it differs from tests/golden/packages/list.adb");
}

const LIST: &str = "import sys, pathlib
sys.path.insert(0, sys.argv[1])
from pack import apk
pathlib.Path(sys.argv[3]).write_bytes(apk.index([pathlib.Path(sys.argv[2]).read_bytes()], 'QUICAP'))
";
