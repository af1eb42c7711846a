//! Waiting for several descriptors at once, and being woken by other threads meanwhile.
//! Knows no timeouts: a [`Timer`](super::timer::Timer) is one of the descriptors. Read first: poll(2), eventfd(2).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::check;

/// What a descriptor is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    Read,
    Write,
    Both,
    /// Listed, but not looked at: an error of the descriptor does not make it ready either.
    Nothing,
}

/// Descriptors to wait for, in the order in which they were added.
#[derive(Default)]
pub struct Waiter {
    entries: Vec<libc::pollfd>,
}

impl Waiter {
    /// Begins a new list.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a descriptor, which must stay open until [`Waiter::wait`] has returned.
    pub fn add(&mut self, fd: BorrowedFd<'_>, interest: Interest) {
        let events = match interest {
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
            Interest::Both => libc::POLLIN | libc::POLLOUT,
            Interest::Nothing => 0,
        };
        // poll(2) reports errors whether asked to or not, and passes over negative numbers.
        let fd = if interest == Interest::Nothing { -1 } else { fd.as_raw_fd() };
        self.entries.push(libc::pollfd { fd, events, revents: 0 });
    }

    /// Adds a descriptor to be read, or keeps its place in the list.
    pub fn add_if_open(&mut self, fd: Option<BorrowedFd<'_>>) {
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        self.entries.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }

    /// Finds out which are ready. With `sleep`, waits until at least one is; a signal may end it early.
    pub fn wait(&mut self, sleep: bool) -> io::Result<()> {
        let timeout = if sleep { -1 } else { 0 };
        // SAFETY: the pointer and the length are those of the vector; the kernel writes only `revents`.
        let result =
            unsafe { libc::poll(self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t, timeout) };
        match check(result) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the descriptor that was added as number `index` is ready, or has an error to be read.
    pub fn is_ready(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.revents != 0)
    }
}

/// Becomes readable when the [`Waker`] made of it is woken, from any thread.
pub struct Bell(OwnedFd);

impl Bell {
    pub fn new() -> io::Result<Arc<Self>> {
        // SAFETY: the call takes no pointer; the descriptor it returns is new and ours alone.
        let fd =
            unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?) };
        Ok(Arc::new(Self(fd)))
    }

    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }

    /// Makes it quiet again.
    pub fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: reads at most 8 bytes into `count`, which takes any bytes.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), mem::size_of_val(&count)) };
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let one = 1_u64;
        // SAFETY: reads 8 bytes of `one`. A full counter is as readable as one that was just raised.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), mem::size_of_val(&one)) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_on_another_thread_ends_the_wait_once() {
        let bell = Bell::new().expect("an eventfd");
        let quiet = Bell::new().expect("an eventfd");
        let waker = bell.waker();
        let thread = std::thread::spawn(move || waker.wake());
        let mut waiter = Waiter::default();
        waiter.add(quiet.as_fd(), Interest::Read);
        waiter.add(bell.as_fd(), Interest::Read);
        waiter.wait(true).expect("waits");
        thread.join().expect("the thread ends");
        assert!(!waiter.is_ready(0) && waiter.is_ready(1));
        bell.clear();
        quiet.waker().wake_by_ref();
        waiter.clear();
        waiter.add(quiet.as_fd(), Interest::Read);
        waiter.add(bell.as_fd(), Interest::Read);
        waiter.add(bell.as_fd(), Interest::Nothing);
        waiter.add(bell.as_fd(), Interest::Both);
        waiter.add_if_open(None);
        waiter.add_if_open(Some(quiet.as_fd()));
        waiter.wait(true).expect("waits");
        assert!(waiter.is_ready(0) && !waiter.is_ready(1) && !waiter.is_ready(2));
        assert!(waiter.is_ready(3), "an eventfd can always be written to");
        assert!(!waiter.is_ready(4) && waiter.is_ready(5));
    }

    #[test]
    fn a_descriptor_with_an_error_is_ready_unless_it_is_not_looked_at() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let bell = Bell::new().expect("an eventfd");
        bell.waker().wake();
        let ready = |interest| {
            let mut waiter = Waiter::default();
            waiter.add(writer.as_fd(), interest);
            waiter.add(bell.as_fd(), Interest::Read);
            waiter.wait(true).expect("waits");
            assert!(waiter.is_ready(1));
            waiter.is_ready(0)
        };
        assert!(ready(Interest::Read));
        assert!(!ready(Interest::Nothing));
    }
}
