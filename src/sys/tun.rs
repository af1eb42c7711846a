//! The TAP: opened without carrier, persistent, without offloads; frames are read and written as they are.
//!
//! The `tun` crate cannot pass IFF_NO_CARRIER, and each open without it makes netifd see a link that is not there. So
//! the device is opened here and lent to `tun` for what it does well: the MTU. It closes nothing, opens nothing and
//! sets no address. Never sets the device up and never touches a bridge: that is netifd's.
//! Read first: Documentation/networking/tuntap.rst of Linux.

use std::cell::RefCell;
use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bytes::{BufMut, BytesMut};
use tun::AbstractDevice;

use super::interface::Interface;
use super::{Error, check};
use crate::types::MacAddr;

const DRIVER: &CStr = c"/dev/net/tun";

/// What became of a frame given to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    Taken,
    /// The device is down: nobody has set it up, which is normal. The frame is lost.
    DeviceDown,
    /// The kernel had no room for it, or it is no Ethernet frame. The frame is lost.
    Refused,
}

/// An open TAP. Dropping it closes it; the device stays, without carrier, and keeps its place in a bridge.
pub struct Tap {
    name: String,
    /// Borrows `fd` by number: it must not outlive it, and does not close it.
    device: RefCell<tun::Device>,
    fd: OwnedFd,
}

impl Tap {
    /// Opens the TAP of that name, made if it does not exist: no carrier, persistent, MTU as it is when `None`. At
    /// most `queue` frames wait in the device to be read; when it is full, the kernel drops the newest.
    pub fn open(name: &str, mtu: Option<u16>, queue: u16) -> Result<Self, Error> {
        check_name(name)?;
        let fd = open_driver()?;
        attach(&fd, name)?;
        let doing = |what: &str| format!("device '{name}': {what}");
        // SAFETY: both take a number, no pointer.
        unsafe {
            check(libc::ioctl(fd.as_raw_fd(), libc::TUNSETPERSIST as _, 1))
                .map_err(|source| Error::system(doing("make it persistent"), source))?;
            check(libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, 0))
                .map_err(|source| Error::system(doing("switch offloads off"), source))?;
        }
        set_queue_length(name, queue)
            .map_err(|source| Error::system(doing("set its queue length"), source))?;
        let device = adopt(&fd, name).map_err(|source| Error::system(doing("open it"), source))?;
        let tap = Self { name: name.to_owned(), device: RefCell::new(device), fd };
        // Kernels before 6.3 do not know IFF_NO_CARRIER.
        tap.set_carrier(false)?;
        if let Some(mtu) = mtu {
            tap.set_mtu(mtu)?;
        }
        Ok(tap)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn mtu(&self) -> Result<u16, Error> {
        self.device.borrow().mtu().map_err(|error| self.failed("read its MTU", error.into()))
    }

    pub fn set_mtu(&self, mtu: u16) -> Result<(), Error> {
        let set = self.device.borrow_mut().set_mtu(mtu);
        set.map_err(|error| self.failed(&format!("set its MTU to {mtu}"), error.into()))
    }

    /// What netifd and the bridge see: whether there is anybody at the other end.
    pub fn set_carrier(&self, on: bool) -> Result<(), Error> {
        let on = libc::c_int::from(on);
        // SAFETY: the kernel reads one int, which lives through the call.
        let result = check(unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TUNSETCARRIER as _, &on) });
        result.map(drop).map_err(|source| self.failed("set its carrier", source))
    }

    /// What the kernel says about the device now; `None` when it was deleted, or cannot be asked.
    pub fn interface(&self) -> Option<Interface> {
        Interface::query(&self.name).ok().flatten()
    }

    /// Name of the bridge that it is a port of.
    pub fn bridge(&self) -> Option<String> {
        self.interface()?.bridge
    }

    pub fn mac(&self) -> Option<MacAddr> {
        self.interface()?.mac
    }

    /// Appends the next frame to `buffer`, into the room behind its end, and says how long it is; `None` when none
    /// waits. The room must fit a frame of the device's MTU with header and tag: what is longer is cut.
    pub fn recv(&self, buffer: &mut BytesMut) -> Result<Option<usize>, Error> {
        let room = buffer.spare_capacity_mut();
        // SAFETY: writes at most `room.len()` bytes into the room, which is ours; nothing is read from it.
        let n = unsafe { libc::read(self.fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
        let Ok(n) = usize::try_from(n) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(self.failed("read", error)),
            };
        };
        // SAFETY: the kernel has just written these `n` bytes.
        unsafe { buffer.advance_mut(n) };
        Ok(Some(n))
    }

    /// Gives a frame to the kernel as if it came in on the device. Never waits. Fails only when no later frame
    /// could do better.
    pub fn send(&self, frame: &[u8]) -> Result<Written, Error> {
        // SAFETY: reads `frame.len()` bytes of `frame`.
        if unsafe { libc::write(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len()) } >= 0 {
            return Ok(Written::Taken);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EIO) => Ok(Written::DeviceDown),
            Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM | libc::EINVAL) => {
                Ok(Written::Refused)
            }
            _ => Err(self.failed("write", error)),
        }
    }

    fn failed(&self, what: &str, source: io::Error) -> Error {
        match source.raw_os_error() {
            // The descriptor lost its device; by name it is gone too.
            Some(libc::EBADFD | libc::ENODEV) => Error::DeviceDeleted { name: self.name.clone() },
            _ => Error::system(format!("device '{}': {what}", self.name), source),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What became of a TAP that is not wanted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removed {
    Gone,
    /// There was none.
    Absent,
}

/// Deletes a persistent TAP that no process has open.
///
/// # Errors
/// [`Error::DeviceBusy`] while a process has it open; [`Error::NotTap`] for a device of another kind, which stays.
pub fn remove(name: &str) -> Result<Removed, Error> {
    check_name(name)?;
    let doing = || format!("device '{name}': remove it");
    let there = Interface::query(name).map_err(|source| Error::system(doing(), source))?;
    if there.is_none() {
        return Ok(Removed::Absent);
    }
    let fd = open_driver()?;
    attach(&fd, name)?;
    // SAFETY: takes a number, no pointer.
    let result = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETPERSIST as _, 0) });
    // What is not persistent goes with its last descriptor, ours.
    result.map(|_| Removed::Gone).map_err(|source| Error::system(doing(), source))
}

/// As the kernel's `dev_valid_name`, and without `%`, which TUNSETIFF takes for a pattern.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..libc::IFNAMSIZ).contains(&name.len()) && name != "." && name != "..";
    if fits && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte)) {
        Ok(())
    } else {
        Err(Error::DeviceName { name: name.to_owned() })
    }
}

/// A new descriptor of the driver, non-blocking, not attached to any device yet.
fn open_driver() -> Result<OwnedFd, Error> {
    // SAFETY: the path is terminated; the descriptor is new and ours alone.
    let opened = unsafe {
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
        check(libc::open(DRIVER.as_ptr(), flags)).map(|fd| OwnedFd::from_raw_fd(fd))
    };
    opened.map_err(|source| match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Error::NoDriver,
        _ => Error::system("open /dev/net/tun", source),
    })
}

/// TUNSETIFF: joins the descriptor to the device of that name.
fn attach(fd: &OwnedFd, name: &str) -> Result<(), Error> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_NO_CARRIER) as _;
    // SAFETY: the kernel reads and writes one `ifreq`, which lives through the call.
    let result = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &mut request) });
    result.map(drop).map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => Error::DeviceBusy { name: name.to_owned() },
        Some(libc::EINVAL) => Error::NotTap { name: name.to_owned() },
        _ => Error::system(format!("device '{name}'"), source),
    })
}

/// Lends the open device to the `tun` crate: with a descriptor given it configures nothing, and closes nothing.
fn adopt(fd: &OwnedFd, name: &str) -> io::Result<tun::Device> {
    let mut configuration = tun::Configuration::default();
    configuration.raw_fd(fd.as_raw_fd()).close_fd_on_drop(false).tun_name(name).layer(tun::Layer::L2);
    Ok(tun::create(&configuration)?)
}

fn set_queue_length(name: &str, queue: u16) -> io::Result<()> {
    let mut request = request(name);
    // `ifr_qlen` is the same int of the union, without a name of its own in libc.
    request.ifr_ifru.ifru_mtu = queue.into();
    // SAFETY: the descriptor is new and ours alone; the kernel reads one `ifreq`, which lives through the call.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, kind, 0))?);
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFTXQLEN as _, &request))?;
    }
    Ok(())
}

/// A request about the device of that name, which [`check_name`] has seen.
fn request(name: &str) -> libc::ifreq {
    // SAFETY: a structure of integers and a union of such, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as _;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_linux_refuses_or_takes_for_a_pattern_are_refused() {
        for name in ["quicap0", "a", "123456789012345", "br-lan.2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "1234567890123456", ".", "..", "a b", "a/b", "a:1", "tap%d", "a\n", "tüp"] {
            assert!(matches!(check_name(name), Err(Error::DeviceName { .. })), "{name:?}");
        }
    }
}
