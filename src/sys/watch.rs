//! Hears when files are written or replaced: an inotify descriptor on their directories, since `quicap install` and most
//! tools put a new file in the place of the old one. Reads none of them. Read first: inotify(7).

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::check;

/// Written, replaced, or of another mode; not read, and not removed: what is gone cannot be taken over.
const CHANGES: u32 = libc::IN_CLOSE_WRITE | libc::IN_MOVED_TO | libc::IN_ATTRIB | libc::IN_MOVE_SELF;
/// The directory itself was moved or removed: another of this name is not watched.
const GONE: u32 = libc::IN_MOVE_SELF | libc::IN_IGNORED;
/// Bytes of `struct inotify_event` in front of the name.
const HEADER: usize = size_of::<libc::inotify_event>();
/// A few dozen events; more are read in further calls.
const BUFFER: usize = 4096;
const READS: usize = 64;

/// Readable when one of its files may have changed since the last [`Watch::drain`].
pub struct Watch {
    fd: OwnedFd,
    /// Number of the directory's watch, and the path of the file in it.
    files: Vec<(i32, PathBuf)>,
}

impl Watch {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer; the descriptor it returns is new and ours alone.
        let fd = unsafe {
            let flags = libc::IN_NONBLOCK | libc::IN_CLOEXEC;
            OwnedFd::from_raw_fd(check(libc::inotify_init1(flags))?)
        };
        Ok(Self { fd, files: Vec::new() })
    }

    /// Watches a file, which need not exist; its directory must.
    pub fn add(&mut self, file: &Path) -> io::Result<()> {
        let directory = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(io::ErrorKind::IsADirectory.into()),
        };
        let name = CString::new(directory.as_os_str().as_bytes())?;
        // SAFETY: `name` is a string with a zero at its end that lives through the call.
        let number = check(unsafe { libc::inotify_add_watch(self.fd.as_raw_fd(), name.as_ptr(), CHANGES) })?;
        self.files.push((number, file.to_owned()));
        Ok(())
    }

    /// Reads what was heard, and calls `changed` for each of our files that it is about, perhaps more than once.
    pub fn drain(&self, mut changed: impl FnMut(&Path)) {
        let mut buffer = [0; BUFFER];
        for _ in 0..READS {
            // SAFETY: reads at most the buffer's size into it.
            let n = unsafe { libc::read(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), BUFFER) };
            let bytes = usize::try_from(n).ok().and_then(|n| buffer.get(..n)).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            events(bytes).for_each(|event| self.tell(&event, &mut changed));
        }
    }

    fn tell(&self, event: &Event, changed: &mut impl FnMut(&Path)) {
        let lost = event.mask & libc::IN_Q_OVERFLOW != 0;
        let gone = event.mask & GONE != 0;
        let is_it = |(number, path): &&(i32, PathBuf)| {
            lost || *number == event.number && (gone || path.file_name() == Some(&event.name))
        };
        self.files.iter().filter(is_it).for_each(|(_, path)| changed(path));
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Event {
    number: i32,
    mask: u32,
    name: OsString,
}

fn events(mut bytes: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let word = |n: usize| header.get(4 * n..)?.first_chunk::<4>().copied();
        let length = u32::from_ne_bytes(word(3)?) as usize;
        let (name, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(length);
        Some(Event {
            number: i32::from_ne_bytes(word(0)?),
            mask: u32::from_ne_bytes(word(1)?),
            name: OsString::from_vec(name.get(..end)?.to_owned()),
        })
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files are written to be watched")]
mod tests {
    use super::*;
    use std::fs;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quicap-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn heard(watch: &Watch) -> Vec<String> {
        let mut names = Vec::new();
        watch.drain(|path| names.push(path.file_name().unwrap().to_str().unwrap().to_owned()));
        names.dedup();
        names
    }

    #[test]
    fn what_is_written_replaced_or_touched_is_heard_and_other_files_are_not() {
        let directory = Directory::new("changes");
        let file = |name: &str| directory.0.join(name);
        let mut watch = Watch::new().unwrap();
        for name in ["node.crt", "crl.pem"] {
            watch.add(&file(name)).unwrap();
        }
        assert_eq!(heard(&watch), Vec::<String>::new());
        fs::write(file("other"), "x").unwrap();
        assert_eq!(heard(&watch), Vec::<String>::new());
        fs::write(file("crl.pem"), "x").unwrap();
        assert_eq!(heard(&watch), ["crl.pem"]);
        fs::rename(file("other"), file("node.crt")).unwrap();
        assert_eq!(heard(&watch), ["node.crt"]);
        fs::read(file("node.crt")).unwrap();
        assert_eq!(heard(&watch), Vec::<String>::new());
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        let touched = fs::FileTimes::new().set_modified(epoch).set_accessed(epoch);
        fs::File::open(file("node.crt")).unwrap().set_times(touched).unwrap();
        assert_eq!(heard(&watch), ["node.crt"]);
        fs::remove_file(file("node.crt")).unwrap();
        assert_eq!(heard(&watch), Vec::<String>::new());
    }

    #[test]
    fn that_the_directory_is_moved_or_removed_is_heard_of_each_of_its_files() {
        let directory = Directory::new("gone");
        let (old, new) = (directory.0.join("old"), directory.0.join("new"));
        fs::create_dir(&old).unwrap();
        let mut watch = Watch::new().unwrap();
        for name in ["node.crt", "crl.pem"] {
            watch.add(&old.join(name)).unwrap();
        }
        fs::rename(&old, &new).unwrap();
        assert_eq!(heard(&watch), ["node.crt", "crl.pem"]);
        fs::remove_dir(&new).unwrap();
        assert_eq!(heard(&watch), ["node.crt", "crl.pem"]);
    }

    #[test]
    fn a_directory_that_is_missing_is_an_error() {
        let mut watch = Watch::new().unwrap();
        assert!(watch.add(Path::new("/nowhere/at/all/node.crt")).is_err());
        assert!(watch.add(Path::new("/")).is_err());
        assert!(watch.add(Path::new("node.crt")).is_ok());
    }

    #[test]
    fn cut_and_odd_events_end_the_reading_and_lost_ones_mean_everything() {
        assert_eq!(events(&[1; HEADER - 1]).count(), 0);
        assert_eq!(events(&[0xFF; HEADER + 4]).count(), 0);
        let mut watch = Watch::new().unwrap();
        watch.files = vec![(1, "/a/b".into()), (2, "/c/d".into())];
        let mut names = Vec::new();
        let lost = Event { number: -1, mask: libc::IN_Q_OVERFLOW, name: OsString::new() };
        watch.tell(&lost, &mut |path: &Path| names.push(path.to_owned()));
        assert_eq!(names, [Path::new("/a/b"), Path::new("/c/d")]);
    }
}
