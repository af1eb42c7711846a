//! What an emulated router boots: Debian's kernel and busybox, and beside them the files of the package, as opkg would unpack
//! them. Kept below .tools, made anew for each run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::emulator::Board;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Kernel and busybox of a board, fetched if they are not there yet.
pub fn debian(board: &Board) -> PathBuf {
    let dir = Path::new(ROOT).join(".tools/routers").join(board.debian);
    let mut fetch = Command::new(Path::new(ROOT).join("tests/routers/fetch"));
    let status = fetch.arg(board.debian).arg(&dir).status().unwrap();
    assert!(status.success(), "Debian's kernel for {} could not be fetched", board.debian);
    dir
}

/// The newest package for this architecture that `make package` has left.
pub fn package(architecture: &str) -> Option<PathBuf> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("quicap_") && name.ends_with(&format!("_{architecture}.ipk"))
    };
    let entries = fs::read_dir(Path::new(ROOT).join("dist")).ok()?;
    entries.flatten().map(|entry| entry.path()).find(is_ours)
}

/// An initramfs with the package in it.
pub fn make(board: &Board, debian: &Path, package: &Path) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("router-{}", board.debian));
    let _ = fs::remove_dir_all(&dir);
    let root = dir.join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(debian.join("busybox"), root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    copy_modules(board, debian, &root);
    copy_guest(&root);
    shell(&format!("tar -xzOf '{}' ./data.tar.gz | tar -xzf - -C '{}'", package.display(), root.display()));
    let image = dir.join("initramfs.gz");
    shell(&format!(
        "cd '{}' && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > '{}'",
        root.display(),
        image.display()
    ));
    image
}

fn copy_modules(board: &Board, debian: &Path, root: &Path) {
    let modules = root.join("modules");
    fs::create_dir_all(&modules).unwrap();
    for module in board.modules {
        let file = format!("{module}.ko");
        // What is built into the kernel has no file.
        if debian.join("modules").join(&file).exists() {
            fs::copy(debian.join("modules").join(&file), modules.join(&file)).unwrap();
        }
    }
    let there: Vec<&str> = board
        .modules
        .iter()
        .copied()
        .filter(|module| modules.join(format!("{module}.ko")).exists())
        .collect();
    fs::write(modules.join("order"), there.join("\n") + "\n").unwrap();
}

/// `guest/init` becomes /init, the rest keeps its place. OpenWrt's functions for UCI have one stand-in for all tests.
fn copy_guest(root: &Path) {
    let tests = Path::new(ROOT).join("tests");
    shell(&format!("cp -R '{}/.' '{}'", tests.join("routers/guest").display(), root.display()));
    fs::create_dir_all(root.join("lib")).unwrap();
    fs::copy(tests.join("openwrt/standin/functions.sh"), root.join("lib/functions.sh")).unwrap();
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).unwrap();
}

fn shell(script: &str) {
    let status = Command::new("bash").args(["-euo", "pipefail", "-c", script]).stdin(Stdio::null()).status();
    assert!(status.unwrap().success(), "{script}");
}
