//! A root directory for the init script: busybox, the stand-ins of `standin/`, and what the package installs.
//!
//! Commands run in it by chroot(8), in a user namespace of their own when the tests do not run as root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

const QUICAP: &str = env!("CARGO_BIN_EXE_quicap");
static ROOTS: AtomicU32 = AtomicU32::new(0);

/// Of this directory, and where they go.
const STANDINS: [(&str, &str); 8] = [
    ("rc.common", "etc/rc.common"),
    ("functions.sh", "lib/functions.sh"),
    ("procd.sh", "lib/procd.sh"),
    ("ubus", "bin/ubus"),
    ("jsonfilter", "bin/jsonfilter"),
    ("uci", "bin/uci"),
    ("logger", "bin/logger"),
    ("quicap", "usr/sbin/quicap"),
];

/// What the package installs, and where.
pub const INSTALLED: [(&str, &str); 5] = [
    ("init.d/quicap", "etc/init.d/quicap"),
    ("uci/quicap", "etc/config/quicap"),
    ("openwrt/quicap/files/quicap.hotplug-ntp", "etc/hotplug.d/ntp/25-quicap"),
    ("openwrt/quicap/files/quicap.defaults", "etc/uci-defaults/60-quicap"),
    ("openwrt/quicap/files/quicap.keep", "lib/upgrade/keep.d/quicap"),
];

/// Goes when it is dropped.
pub struct Root {
    pub dir: PathBuf,
    wrapper: &'static [&'static str],
}

impl Root {
    /// `None`, after saying why: this machine cannot have one.
    pub fn new() -> Option<Self> {
        let wrapper = match wrapper() {
            Ok(wrapper) => wrapper,
            Err(reason) => {
                skip(reason);
                return None;
            }
        };
        let number = ROOTS.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quicap-openwrt-{}-{number}", std::process::id()));
        let root = Self { dir, wrapper };
        for directory in ["bin", "tmp/run/quicap", "etc/rc.d", "usr/libexec", "etc/quicap-ca", "dev", "lib64"]
        {
            fs::create_dir_all(root.path(directory)).unwrap();
        }
        symlink("tmp", root.path("var")).unwrap();
        fs::write(root.path("dev/null"), "").unwrap();
        root.place(&program("busybox"), "bin/busybox");
        root.place(Path::new(QUICAP), "usr/libexec/quicap");
        root.place_standins();
        for (source, target) in INSTALLED {
            root.copy(&source_of(source), target);
        }
        Some(root)
    }

    /// The program itself in place of its stand-in.
    pub fn put_real_program(&self) {
        self.copy(Path::new(QUICAP), "usr/sbin/quicap");
    }

    pub fn put_script(&self, target: &str, text: &str) {
        fs::write(self.path(target), text).unwrap();
        fs::set_permissions(self.path(target), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside.trim_start_matches('/'))
    }

    fn place_standins(&self) {
        for (source, target) in STANDINS {
            self.copy(&source_of(&format!("tests/openwrt/standin/{source}")), target);
        }
        let listed = Command::new("busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8_lossy(&listed.stdout).lines() {
            // The stand-ins stay.
            let _ = symlink("busybox", self.path("bin").join(applet));
        }
    }

    fn copy(&self, source: &Path, target: &str) {
        let target = self.path(target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(source, target).unwrap();
    }

    /// A program and the libraries that it is linked with.
    fn place(&self, source: &Path, target: &str) {
        self.copy(source, target);
        let linked = Command::new("ldd").arg(source).output().unwrap();
        for word in String::from_utf8_lossy(&linked.stdout).split_whitespace() {
            if word.starts_with('/') && !self.path(word).exists() {
                self.copy(&fs::canonicalize(word).unwrap(), word);
            }
        }
    }

    /// A command line inside.
    pub fn run(&self, line: &str) -> Output {
        let (program, rest) = self.wrapper.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(rest).arg(&self.dir).args(["/bin/sh", "-c", line]).env_clear();
        command.env("PATH", "/usr/sbin:/bin").output().unwrap()
    }

    /// Standard output and error of a line that succeeds.
    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let text = text_of(&output);
        assert!(output.status.success(), "{line}: {text}");
        text
    }

    pub fn init(&self, words: &str) -> Output {
        self.run(&format!("/etc/init.d/quicap {words}"))
    }

    pub fn init_ok(&self, words: &str) -> String {
        self.ok(&format!("/etc/init.d/quicap {words}"))
    }

    pub fn configure(&self, text: &str) {
        fs::write(self.path("etc/config/quicap"), text).unwrap();
    }

    /// What procd and the program were told since this was asked last, a line each.
    pub fn calls(&self) -> Vec<String> {
        let path = self.path("tmp/calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    /// The service as procd was told last; `Null`: it is not known.
    pub fn service(&self) -> Value {
        let text = fs::read_to_string(self.path("tmp/service")).unwrap_or("null".to_owned());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn mode(&self, inside: &str) -> u32 {
        fs::metadata(self.path(inside)).unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub fn text_of(output: &Output) -> String {
    (String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)).into_owned()
}

pub fn source_of(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Past the test harness, which swallows what passing tests print.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

fn program(name: &str) -> PathBuf {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
}

/// How to change the root here.
fn wrapper() -> Result<&'static [&'static str], &'static str> {
    if program("busybox").as_os_str().is_empty() {
        return Err("no busybox: install busybox");
    }
    let works = |words: &[&str]| {
        let (program, rest) = words.split_first().unwrap();
        let status = Command::new(program).args(rest).args(["/", "true"]).output();
        status.is_ok_and(|output| output.status.success())
    };
    const WAYS: [&[&str]; 2] = [&["chroot"], &["unshare", "--user", "--map-root-user", "chroot"]];
    WAYS.into_iter().find(|way| works(way)).ok_or("chroot is not permitted here")
}
