//! Files, written whole or not at all: a temporary file beside the target, fsync, rename, fsync of the directory.
//! So a crash or a full disk leaves the old file or the new one, never half of one.
//!
//! Also sets of files that belong together ([`Set`]): staged in a directory beside them, put in place by renames
//! that can be repeated. Read first: docs/certificates.md, "What a crash leaves behind".

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Stands for standard input or output in arguments, where the user wrote `-`. Not a path: it holds a NUL.
pub const STANDARD: &str = "\0-";

/// Keys, and what else only root should read.
pub const SECRET: u32 = 0o600;
/// Certificates, CRLs, requests.
pub const PUBLIC: u32 = 0o644;

/// More than any file of ours can need; a wrong path must not eat a router's memory.
const LARGEST: u64 = 4 << 20;

/// Reads a file, or standard input for [`STANDARD`]: without a byte, the command in front of the pipe has failed.
pub fn read(path: &str) -> Result<Vec<u8>, Failure> {
    if path == STANDARD {
        let failed = |e: &dyn core::fmt::Display| Failure::runtime(format!("standard input: {e}"));
        return match read_all(io::stdin().lock()) {
            Ok(bytes) if bytes.is_empty() => Err(failed(&"nothing came; see what the command before says")),
            read => read.map_err(|e| failed(&e)),
        };
    }
    let open = || read_all(File::open(path)?);
    open().map_err(|e| Failure::runtime(format!("{path}: {}", words(&e))))
}

/// Like [`read`], but `None` if there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match File::open(path).and_then(read_all) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failure(path, &e)),
    }
}

/// Writes a file, or to standard output for [`STANDARD`]; an older file of this kind is replaced, no other.
pub fn write(path: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    if path == STANDARD {
        return write_standard(bytes);
    }
    let path = Path::new(path);
    refuse_other_kind(path, bytes).and_then(|()| put_out(path, bytes, mode)).map_err(|e| failure(path, &e))
}

/// A key, a request or an index in the place of a certificate is a slip of the hand: who has lost it cannot make it again.
fn refuse_other_kind(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !fs::metadata(path).is_ok_and(|there| there.is_file()) {
        return Ok(());
    }
    let mut head = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut head)?;
    let line = |text: &[u8]| text.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    match head.is_empty() || line(&head) == line(bytes) {
        true => Ok(()),
        false => Err(io::Error::other("holds something else, which is not overwritten; name another file")),
    }
}

/// A device, a pipe or a link, such as `/dev/stdout`, is written to; a file in its place would be found by all others.
fn put_out(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(mode).open(path)?.write_all(bytes)
        }
        _ => replace(path, bytes, mode),
    }
}

pub fn write_standard(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|e| Failure::runtime(format!("standard output: {e}")))
}

/// Puts these bytes under this name, whole, in place of what was there.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, |temporary| write_synced(temporary, bytes, mode))
}

/// As [`replace`], with exactly this mode: the one that the file had, whatever the umask.
pub fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, |temporary| {
        write_synced(temporary, bytes, mode)?;
        fs::set_permissions(temporary, Permissions::from_mode(mode))
    })
}

fn put(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    write(&temporary)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_parent(path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Puts these bytes under this name, whole, unless there is one already (`AlreadyExists`).
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    let linked = write_synced(&temporary, bytes, mode).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    linked.and(removed).and_then(|()| sync_parent(path))
}

/// Makes a directory that only its owner enters, and what is missing above it.
pub fn create_directory(path: &Path) -> Result<(), Failure> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failure(path, &e))
}

/// Whether others than the owner may read this file.
pub fn is_exposed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// Keeps other `quicap` commands out of a directory until it is dropped; waits for them first.
pub struct Lock(#[allow(dead_code, reason = "held for its lock")] File);

impl Lock {
    pub fn take(directory: &Path) -> Result<Self, Failure> {
        let open = || {
            let file = File::open(directory)?;
            file.lock()?;
            Ok(file)
        };
        open().map(Self).map_err(|e: io::Error| failure(directory, &e))
    }
}

/// One file error as one line.
pub fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::runtime(format!("{}: {}", path.display(), words(error)))
}

/// Files that change together. [`Set::commit`] writes all of them into `.staged.new`, renames that to `.staged` -
/// the one moment that counts - and moves the files to their places. [`finish_install`] repeats the last step
/// after a crash.
pub struct Set<'a> {
    directory: &'a Path,
    files: Vec<(&'a str, Vec<u8>, u32)>,
}

const STAGED: &str = ".staged";
const STAGING: &str = ".staged.new";

/// The key of a node, and the one that a rotation made; a staged key replaces both.
pub const KEY: &str = "node.key";
pub const NEXT_KEY: &str = "node.key.next";

impl<'a> Set<'a> {
    pub fn new(directory: &'a Path) -> Self {
        Self { directory, files: Vec::new() }
    }

    pub fn add(&mut self, name: &'a str, bytes: Vec<u8>, mode: u32) {
        self.files.push((name, bytes, mode));
    }

    /// All files or none, even if the machine stops in the middle.
    pub fn commit(self) -> io::Result<()> {
        let staging = self.directory.join(STAGING);
        self.stage(&staging).inspect_err(|_| drop(fs::remove_dir_all(&staging)))?;
        finish_install(self.directory).map(drop)
    }

    fn stage(&self, staging: &Path) -> io::Result<()> {
        remove_if_there(staging)?;
        DirBuilder::new().mode(0o700).create(staging)?;
        for (name, bytes, mode) in &self.files {
            write_synced(&staging.join(name), bytes, *mode)?;
        }
        File::open(staging)?.sync_all()?;
        fs::rename(staging, self.directory.join(STAGED))?;
        File::open(self.directory)?.sync_all()
    }
}

/// Finishes an `install` that was interrupted after its files were complete, and forgets one that was not. To be
/// called before the files of a node are read, by the daemon too. Says whether there was something to finish.
pub fn finish_install(directory: &Path) -> io::Result<bool> {
    remove_if_there(&directory.join(STAGING))?;
    let staged = directory.join(STAGED);
    let entries = match fs::read_dir(&staged) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    if entries.iter().any(|entry| entry.file_name() == KEY) {
        ignore_missing(fs::remove_file(directory.join(NEXT_KEY)))?;
    }
    for entry in entries {
        ignore_missing(fs::rename(entry.path(), directory.join(entry.file_name())))?;
    }
    File::open(directory)?.sync_all()?;
    ignore_missing(fs::remove_dir(&staged))?;
    Ok(true)
}

fn read_all(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = from.by_ref().take(LARGEST + 1).read_to_end(&mut bytes)?;
    if length as u64 > LARGEST {
        return Err(io::Error::other(format!("larger than {} MiB; is this the right file?", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// A new file with these bytes, on the disk when this returns. One that an earlier crash left is replaced.
fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    ignore_missing(fs::remove_file(path))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?;
    Ok(path.with_file_name(format!(".{}.tmp", name.to_string_lossy())))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_dir_all(directory))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The system's words, without "(os error 2)" and the capital.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let (first, rest) = text.split_at_checked(1).unwrap_or((text, ""));
    first.to_lowercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quicap-files-{}-{name}", std::process::id()));
            DirBuilder::new().create(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }

        fn content(&self, name: &str) -> Vec<u8> {
            read_if_there(&self.0.join(name)).unwrap().unwrap_or_default()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn create_never_replaces_and_replace_always_does() {
        let scratch = Scratch::new("create");
        let path = scratch.0.join("a");
        create(&path, b"one", SECRET).unwrap();
        assert_eq!(create(&path, b"two", SECRET).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(scratch.content("a"), b"one");
        assert!(!is_exposed(&path));
        replace(&path, b"three", PUBLIC).unwrap();
        assert!(is_exposed(&path));
        assert_eq!((scratch.content("a"), scratch.names()), (b"three".to_vec(), vec!["a".to_owned()]));
    }

    #[test]
    fn only_a_file_of_the_same_kind_is_replaced_by_what_a_user_asks_for() {
        const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nmine\n";
        const REQUEST: &[u8] = b"-----BEGIN CERTIFICATE REQUEST-----\nnew\n";
        let scratch = Scratch::new("kind");
        let file = |name: &str| scratch.0.join(name).display().to_string();
        create(&scratch.0.join("key"), KEY, SECRET).unwrap();
        create(&scratch.0.join("old"), &REQUEST[..40], PUBLIC).unwrap();
        create(&scratch.0.join("empty"), b"", PUBLIC).unwrap();
        std::os::unix::fs::symlink("key", file("link")).unwrap();
        for name in ["key", "link"] {
            let failure = write(&file(name), REQUEST, PUBLIC).unwrap_err();
            assert!(failure.message.contains("name another file"), "{}", failure.message);
        }
        assert_eq!(scratch.content("key"), KEY);
        for name in ["old", "empty", "new"] {
            write(&file(name), REQUEST, PUBLIC).unwrap();
            assert_eq!(scratch.content(name), REQUEST, "{name}");
        }
        assert!(write(&file("."), REQUEST, PUBLIC).is_err(), "a directory");
    }

    #[test]
    fn a_link_or_a_pipe_stays_what_it_is() {
        let scratch = Scratch::new("link");
        let (link, pipe) = (scratch.0.join("link"), scratch.0.join("pipe"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        for text in [b"one".as_slice(), b"one\n2"] {
            write(&link.display().to_string(), text, PUBLIC).unwrap();
            assert_eq!(scratch.content("file"), text);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || read_if_there(&pipe).unwrap())
        };
        write(&pipe.display().to_string(), b"frames", PUBLIC).unwrap();
        assert!(!fs::metadata(&pipe).unwrap().is_file(), "nobody would write to the reader any more");
        assert_eq!(reader.join().unwrap().unwrap(), b"frames");
    }

    #[test]
    fn what_a_crash_left_is_no_obstacle() {
        let scratch = Scratch::new("crash");
        write_synced(&scratch.0.join(".a.tmp"), b"half", SECRET).unwrap();
        DirBuilder::new().create(scratch.0.join(STAGING)).unwrap();
        write_synced(&scratch.0.join(STAGING).join("b"), b"half", SECRET).unwrap();
        replace(&scratch.0.join("a"), b"whole", PUBLIC).unwrap();
        let mut set = Set::new(&scratch.0);
        set.add("b", b"new".to_vec(), PUBLIC);
        set.commit().unwrap();
        assert_eq!(scratch.names(), ["a", "b"]);
        assert_eq!((scratch.content("a"), scratch.content("b")), (b"whole".to_vec(), b"new".to_vec()));
    }

    #[test]
    fn a_staged_key_takes_the_place_of_both() {
        let scratch = Scratch::new("key");
        for name in [KEY, NEXT_KEY] {
            create(&scratch.0.join(name), name.as_bytes(), SECRET).unwrap();
        }
        let mut set = Set::new(&scratch.0);
        set.add("node.crt", b"crt".to_vec(), PUBLIC);
        set.stage(&scratch.0.join(STAGING)).unwrap();
        assert!(finish_install(&scratch.0).unwrap());
        assert_eq!(scratch.names(), ["node.crt", KEY, NEXT_KEY], "no key was staged: both stay");
        let mut set = Set::new(&scratch.0);
        set.add(KEY, b"new".to_vec(), SECRET);
        set.commit().unwrap();
        assert_eq!(
            (scratch.names(), scratch.content(KEY)),
            (vec!["node.crt".into(), KEY.into()], b"new".to_vec())
        );
        assert!(!finish_install(&scratch.0).unwrap());
    }
}
