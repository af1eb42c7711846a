//! The feed: lists that are right, and signatures that hold for them and for nothing else.

use std::path::Path;
use std::process::Command;

use super::scratch::{Scratch, made, python, run, try_run};

/// A feed of quicap and of what it depends on, in `feed/`; the private keys are in `keys/`.
pub fn feed(scratch: &Scratch, architecture: &str) {
    scratch.packages("openwrt", architecture, "out");
    scratch.packages("tests/packages/stand-in", architecture, "out");
    make(scratch, "out", "feed");
}

pub fn make(scratch: &Scratch, packages: &str, out: &str) {
    let mut mkfeed = python("openwrt/mkfeed");
    mkfeed.arg("--keys").arg(scratch.path("keys")).arg("--packages").arg(scratch.path(packages));
    run(mkfeed.arg("--out").arg(scratch.path(out)));
}

/// The public half of a key, for openssl.
fn public(scratch: &Scratch, key: &str) -> std::path::PathBuf {
    let path = scratch.path(&format!("{key}.public"));
    run(Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(scratch.path("keys").join(key))
        .arg("-out")
        .arg(&path));
    path
}

/// The bytes behind the comment of a file of usign.
fn usign(scratch: &Scratch, file: &str) -> Vec<u8> {
    let text = scratch.text(file);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("untrusted comment: "), "{text}");
    let encoded = scratch.write("base64", lines[1]);
    super::scratch::bytes("base64", &["-d".as_ref(), encoded.as_os_str()])
}

#[test]
fn the_list_of_opkg_tells_where_each_package_is_and_its_digest() {
    let scratch = Scratch::new();
    feed(&scratch, "x86_64");
    let list = scratch.text("feed/x86_64/Packages");
    let paragraphs: Vec<&str> = list.split("\n\n").collect();
    let names = ["kmod-tun", "luci-app-quicap", "luci-i18n-quicap-zh-cn", "quicap"];
    assert_eq!(paragraphs.len(), names.len(), "{list}");
    for (paragraph, name) in paragraphs.iter().zip(names) {
        let field = |field: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(&format!("{field}: ")));
            line.unwrap_or_else(|| panic!("no {field} in {paragraph}"))
        };
        assert_eq!(field("Package"), name);
        let file = scratch.path("feed/x86_64").join(field("Filename"));
        assert_eq!(field("Size"), file.metadata().unwrap().len().to_string());
        let sum = run(Command::new("sha256sum").arg(&file));
        assert_eq!(field("SHA256sum"), sum.split(' ').next().unwrap());
    }
    let unpacked =
        super::scratch::bytes("gzip", &["-dc".as_ref(), scratch.path("feed/x86_64/Packages.gz").as_os_str()]);
    assert_eq!(unpacked, list.as_bytes());
}

#[test]
fn the_signature_for_opkg_is_usigns_and_covers_the_list() {
    let scratch = Scratch::new();
    feed(&scratch, "x86_64");
    let (signature, key) =
        (usign(&scratch, "feed/x86_64/Packages.sig"), usign(&scratch, "feed/keys/quicap-feed.pub"));
    assert!(signature.len() == 74 && key.len() == 42, "{} {}", signature.len(), key.len());
    assert_eq!((&signature[..2], &key[..2]), (&b"Ed"[..], &b"Ed"[..]));
    assert_eq!(signature[2..10], key[2..10], "the key's name");
    let der = scratch.path("der");
    let mut pkey = Command::new("openssl");
    pkey.args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(public(&scratch, "usign.pem"));
    run(pkey.arg("-out").arg(&der));
    assert!(scratch.read("der").ends_with(&key[10..]));

    let raw = scratch.write("raw", &signature[10..]);
    let verify = |message: &Path| {
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(public(&scratch, "usign.pem"));
        try_run(command.arg("-sigfile").arg(&raw).arg("-in").arg(message)).unwrap().0
    };
    assert!(verify(&scratch.path("feed/x86_64/Packages")));
    let changed = scratch.text("feed/x86_64/Packages").replace("kmod-tun", "kmod-tap");
    assert!(!verify(&scratch.write("changed", changed)));
}

/// The block of a signature behind the list: 22 bytes about it, then it. Signed is what apk-tools' adb_trust signs.
#[test]
fn the_signature_for_apk_covers_the_list() {
    let scratch = Scratch::new();
    feed(&scratch, "x86_64");
    let script = scratch.write("parts.py", PARTS);
    run(Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(scratch.path("feed/x86_64/packages.adb"))
        .arg(scratch.path("")));
    let verify = |message: &str| {
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha512", "-verify"]).arg(public(&scratch, "apk.pem"));
        try_run(command.arg("-signature").arg(scratch.path("signature")).arg(scratch.path(message)))
            .unwrap()
            .0
    };
    assert!(verify("message"));
    let mut changed = scratch.read("message");
    *changed.last_mut().unwrap() ^= 1;
    scratch.write("changed", changed);
    assert!(!verify("changed"));
    assert_eq!(
        scratch.read("feed/keys/quicap-feed.pem"),
        std::fs::read(public(&scratch, "apk.pem")).unwrap()
    );
}

const PARTS: &str = "import hashlib, pathlib, struct, sys, zlib
content = zlib.decompress(pathlib.Path(sys.argv[1]).read_bytes()[4:], -15)
size = struct.unpack_from('<I', content, 8)[0]
assert size >> 30 == 0
block = content[12:8 + size]
at = 8 + size + -size % 8
size = struct.unpack_from('<I', content, at)[0]
assert size >> 30 == 1
signature = content[at + 4:at + (size & 0x3fffffff)]
assert signature[:2] == bytes([0, 4])
out = pathlib.Path(sys.argv[2])
(out / 'message').write_bytes(content[4:8] + signature[:18] + hashlib.sha512(block).digest())
(out / 'signature').write_bytes(signature[18:])
";

#[test]
fn keys_are_made_once_and_are_roots_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    feed(&scratch, "x86_64");
    let keys = ["usign.pem", "apk.pem"].map(|key| scratch.read(&format!("keys/{key}")));
    for key in ["keys/usign.pem", "keys/apk.pem"] {
        assert_eq!(scratch.path(key).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
    let first = scratch.read("feed/x86_64/Packages.sig");
    make(&scratch, "out", "feed");
    assert_eq!(keys, ["usign.pem", "apk.pem"].map(|key| scratch.read(&format!("keys/{key}"))));
    assert_eq!(first, scratch.read("feed/x86_64/Packages.sig"));
}

#[test]
fn a_feed_of_nothing_is_refused() {
    let scratch = Scratch::new();
    let mut mkfeed = python("openwrt/mkfeed");
    mkfeed.arg("--keys").arg(scratch.path("keys")).arg("--packages").arg(made(&scratch.path("empty")));
    let (status, output) = try_run(mkfeed.arg("--out").arg(scratch.path("feed"))).unwrap();
    assert!(!status && output.contains("no packages there") && output.lines().count() == 1, "{output}");
    assert!(!scratch.path("keys").exists());
}
