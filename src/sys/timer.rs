//! What the event loop waits on for the sake of time: one timer, and the steps of the wall clock. Timerfds of our own.
//!
//! `smol::Timer` never fires on 32-bit MIPS with musl, because two crates below it disagree about the size of
//! `time_t` (docs/architecture.md); libc's own `itimerspec` is right everywhere. Read first: timerfd_create(2).

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant, SystemTime};

use super::check;

/// Longer waits end early, and the loop looks at its deadlines and waits again: fits `time_t` everywhere.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A timer for one deadline on the monotonic clock. Readable once the deadline has passed, until [`Timer::clear`].
/// It may fire early; whoever waits looks at the clock.
pub struct Timer {
    fd: OwnedFd,
    armed: Cell<Option<Instant>>,
}

impl Timer {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer; the descriptor it returns is new and ours alone.
        let fd = unsafe {
            let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
            OwnedFd::from_raw_fd(check(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?)
        };
        Ok(Self { fd, armed: Cell::new(None) })
    }

    /// Sets the deadline, or none. A deadline in the past fires at once. Costs a system call only for a change.
    #[allow(clippy::disallowed_methods, reason = "the kernel wants the time from now on")]
    pub fn set(&self, at: Option<Instant>) -> io::Result<()> {
        if at != self.armed.get() {
            self.arm(at.map(|at| at.saturating_duration_since(Instant::now())))?;
            self.armed.set(at);
        }
        Ok(())
    }

    /// After it has become readable: makes it quiet again. Says whether the deadline had passed.
    pub fn clear(&self) -> bool {
        let mut expirations = 0u64;
        let size = mem::size_of_val(&expirations);
        // SAFETY: reads at most `size` bytes into `expirations`, which is that big and takes any bytes.
        let n = unsafe { libc::read(self.fd.as_raw_fd(), ptr::from_mut(&mut expirations).cast(), size) };
        if n > 0 {
            self.armed.set(None);
        }
        n > 0
    }

    fn arm(&self, wait: Option<Duration>) -> io::Result<()> {
        // SAFETY: a structure of integers, for which zeros are valid; some targets have private padding in it.
        let mut spec: libc::itimerspec = unsafe { mem::zeroed() };
        if let Some(wait) = wait {
            // All zeros would mean "never".
            let wait = wait.clamp(Duration::from_nanos(1), LONGEST);
            spec.it_value.tv_sec = wait.as_secs() as _;
            spec.it_value.tv_nsec = wait.subsec_nanos() as _;
        }
        // SAFETY: `spec` lives through the call; the old value is not asked for.
        check(unsafe { libc::timerfd_settime(self.fd.as_raw_fd(), 0, &spec, ptr::null_mut()) })?;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Readable when the wall clock was set, until [`Steps::clear`], and now and then for no reason.
pub struct Steps(OwnedFd);

impl Steps {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer; the descriptor it returns is new and ours alone.
        let fd = unsafe {
            let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
            OwnedFd::from_raw_fd(check(libc::timerfd_create(libc::CLOCK_REALTIME, flags))?)
        };
        let steps = Self(fd);
        steps.arm()?;
        Ok(steps)
    }

    /// After it has become readable: waits for the next step.
    pub fn clear(&self) -> io::Result<()> {
        let mut expirations = 0u64;
        let size = mem::size_of_val(&expirations);
        // SAFETY: reads at most `size` bytes into `expirations`, which is that big and takes any bytes. It fails with
        // ECANCELED after a step.
        unsafe { libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut expirations).cast(), size) };
        self.arm()
    }

    /// The kernel cancels a timer on the wall clock when that is set; what it is set for does not matter.
    #[allow(clippy::disallowed_methods, reason = "the kernel wants a time that is not past")]
    fn arm(&self) -> io::Result<()> {
        let later = SystemTime::now() + LONGEST;
        let since = later.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(LONGEST);
        // SAFETY: a structure of integers, for which zeros are valid; some targets have private padding in it.
        let mut spec: libc::itimerspec = unsafe { mem::zeroed() };
        // Where 32 bits are too few there is no timer, rather than one in the past that fires again and again.
        spec.it_value.tv_sec = since.as_secs().try_into().unwrap_or_default();
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        // SAFETY: `spec` lives through the call; the old value is not asked for.
        check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), flags, &spec, ptr::null_mut()) })?;
        Ok(())
    }
}

impl AsFd for Steps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a timer is measured against the clock")]
mod tests {
    use super::*;
    use crate::sys::wait::{Interest, Waiter};
    use smol::Async;

    #[test]
    fn deadlines_fire_through_the_event_loop_and_not_before_they_are_due() {
        smol::block_on(async {
            let timer = Async::new(Timer::new().unwrap()).unwrap();
            for wait in [Duration::ZERO, Duration::from_millis(30)] {
                let start = Instant::now();
                timer.get_ref().set(Some(start + wait)).unwrap();
                timer.readable().await.unwrap();
                assert!(start.elapsed() >= wait && start.elapsed() < Duration::from_secs(10));
                assert!(timer.get_ref().clear());
                assert!(!timer.get_ref().clear(), "it is quiet after clear");
            }
        });
    }

    #[test]
    fn a_clock_that_nobody_sets_takes_no_steps() {
        // Setting the clock of the machine is nothing for a test: that the wait ends then is the kernel's promise.
        let steps = Steps::new().unwrap();
        let timer = Timer::new().unwrap();
        timer.set(Some(Instant::now() + Duration::from_millis(20))).unwrap();
        for _ in 0..2 {
            let mut waiter = Waiter::default();
            waiter.add(timer.as_fd(), Interest::Read);
            waiter.add(steps.as_fd(), Interest::Read);
            waiter.wait(true).unwrap();
            assert!(waiter.is_ready(0) && !waiter.is_ready(1));
            steps.clear().unwrap();
        }
    }

    #[test]
    fn a_deadline_that_was_taken_back_or_put_off_does_not_fire() {
        let timer = Timer::new().unwrap();
        let start = Instant::now();
        timer.set(Some(start + Duration::from_millis(20))).unwrap();
        timer.set(None).unwrap();
        std::thread::sleep(Duration::from_millis(40));
        assert!(!timer.clear());
        timer.set(Some(start)).unwrap();
        timer.set(Some(Instant::now() + 100 * LONGEST)).unwrap();
        assert!(!timer.clear());
        timer.set(Some(start)).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(timer.clear());
    }
}
