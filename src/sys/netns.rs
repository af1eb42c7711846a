//! Network namespaces: does something on a thread that has moved into one.
//!
//! A socket belongs to the namespace it was made in for as long as it lives, so only making it has to happen there.
//! Makes and deletes no namespaces: `ip netns` does. Read first: setns(2), network_namespaces(7).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::thread;

use super::check;

/// Runs `work` inside the namespace that the file `namespace` stands for (`/run/netns/NAME`), on a thread of its own,
/// and waits for it. The calling thread stays where it is.
///
/// # Errors
/// Those of opening the file and of entering (needs CAP_SYS_ADMIN), and what `work` says.
pub fn within<T: Send>(namespace: &Path, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let file = File::open(namespace)?;
    let inside = || {
        enter(file.as_fd())?;
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the calling thread, and no other.
fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointer; the descriptor is open during the call, and the kernel checks that it is a namespace.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_namespace_and_one_that_is_missing_are_errors() {
        for path in ["/proc/self/status", "/nonexistent"] {
            assert!(within(Path::new(path), || Ok(())).is_err(), "{path}");
        }
    }
}
