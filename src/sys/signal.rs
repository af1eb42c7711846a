//! Signals as something the event loop reads: a signalfd for SIGTERM, SIGINT, SIGHUP and SIGUSR1.
//!
//! Read first: signalfd(2).

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::check;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT: end.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: look whether peers answer and where they are; read nothing.
    Probe,
}

/// Takes SIGTERM, SIGINT, SIGHUP and SIGUSR1 from now on, for the life of the process; SIGPIPE is ignored.
pub struct Signals(OwnedFd);

impl Signals {
    /// Must be called before a second thread starts: only threads that start later inherit the blocked signals.
    pub fn new() -> io::Result<Self> {
        let set = set_of(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1]);
        // SAFETY: `set` is a valid signal set; SIG_IGN runs no code of ours; the descriptor returned is new.
        unsafe {
            let code = libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            if code != 0 {
                return Err(io::Error::from_raw_os_error(code));
            }
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            let fd = check(libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// The next signal that has come, if any; never waits.
    pub fn next(&self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: reads at most `size` bytes into `info`, which is that big.
        let n = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(n) != Ok(size) {
            return None;
        }
        // SAFETY: the kernel has filled all of it.
        match unsafe { info.assume_init() }.ssi_signo as libc::c_int {
            libc::SIGHUP => Some(Signal::Reload),
            libc::SIGUSR1 => Some(Signal::Probe),
            _ => Some(Signal::Stop),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset makes the set valid before anything else touches it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_and_do_not_kill() {
        let signals = Signals::new().unwrap();
        for (sent, read) in [
            (libc::SIGHUP, Signal::Reload),
            (libc::SIGUSR1, Signal::Probe),
            (libc::SIGTERM, Signal::Stop),
            (libc::SIGINT, Signal::Stop),
        ] {
            assert_eq!(signals.next(), None);
            // SAFETY: sends a signal to this thread, which has it blocked.
            assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), sent) }, 0);
            assert_eq!(signals.next(), Some(read));
        }
    }
}
