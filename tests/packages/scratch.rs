//! A directory of its own for each test, gone afterwards, and programs run with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

/// When all files of packages here were made: a number that apk has to write out in full.
pub const EPOCH: &str = "1700000000";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Of the package, as its Makefile has it: X.Y.Z-rN.
pub fn version() -> String {
    let makefile = include_str!("../../openwrt/quicap/Makefile");
    let value = |name: &str| makefile.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    format!("{}-r{}", value("PKG_VERSION:="), value("PKG_RELEASE:="))
}

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("packages-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The packages of a feed for one architecture, into `out`. The program in them is a script of a few bytes.
    pub fn packages(&self, feed: &str, architecture: &str, out: &str) {
        let programs = self.path("programs");
        for target in super::table::targets() {
            self.write(&format!("programs/{target}/quicap"), "#!/bin/sh\necho quicap 0.1.0\n");
        }
        let mut mkpkg = python("openwrt/mkpkg");
        mkpkg.arg("--feed").arg(root().join(feed)).arg("--binaries").arg(programs);
        run(mkpkg.arg("--out").arg(self.path(out)).arg(architecture).env("SOURCE_DATE_EPOCH", EPOCH));
    }

    /// A copy of the real feed in which the release of the package is higher and a file differs.
    pub fn next_release(&self) -> PathBuf {
        let feed = self.path("next");
        run(Command::new("cp").arg("-R").arg(root().join("openwrt/quicap")).arg(made(&feed)));
        let makefile = self.text("next/quicap/Makefile");
        let next = makefile.replace("\nPKG_RELEASE:=", "\nPKG_RELEASE:=9");
        assert_ne!(makefile, next);
        self.write("next/quicap/Makefile", next);
        let kept = self.text("next/quicap/files/quicap.keep");
        self.write("next/quicap/files/quicap.keep", format!("{kept}/etc/quicap-more/\n"));
        feed
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn made(directory: &Path) -> &Path {
    fs::create_dir_all(directory).unwrap();
    directory
}

/// One of our Python programs; it leaves no compiled files behind.
pub fn python(program: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(root().join(program));
    command
}

/// Its output, of both kinds. It must end well.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let (status, output) = try_run(command).unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status, "{command:?}\n{output}");
    output
}

/// Whether it ended well, and its output.
pub fn try_run(command: &mut Command) -> io::Result<(bool, String)> {
    let output = command.output()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// The bytes that a program writes.
#[track_caller]
pub fn bytes(program: &str, arguments: &[impl AsRef<OsStr>]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
