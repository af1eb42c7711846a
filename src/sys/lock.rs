//! One daemon for each network: a lock on a file that dies with its holder.
//!
//! The file stays behind, with the pid of its last holder in it; only the lock counts, so a file left by
//! `kill -9` is in nobody's way. Read first: flock(2).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Error;

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// [`Error::Locked`] names the process that holds it.
    pub fn acquire(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::system(format!("lock {}", path.display()), source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: path.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only for people: without room for the pid the lock holds all the same.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// The pid in the file, if there is one.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_gets_it_after_him() {
        let path = std::env::temp_dir().join(format!("quicap-lock-{}", std::process::id()));
        let first = Lock::acquire(&path).unwrap();
        for _ in 0..2 {
            match Lock::acquire(&path) {
                Err(Error::Locked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
                other => panic!("{other:?}"),
            }
        }
        drop(first);
        let stale_file_is_no_obstacle = Lock::acquire(&path);
        assert!(stale_file_is_no_obstacle.is_ok());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_directory_that_is_missing_is_an_error_with_the_path() {
        let error = Lock::acquire(Path::new("/nonexistent/x.lock")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.lock"), "{error}");
    }
}
