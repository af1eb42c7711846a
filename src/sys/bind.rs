//! How UDP sockets are made: family, mark, device, address. What is done with them is in `udp.rs`.
//! Read first: socket(7), ip(7), ipv6(7).

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{Error, check};

/// What decides, beside the routes, which way datagrams leave.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Egress<'a> {
    /// SO_MARK, for the rules of routing and of the firewall; 0: none.
    pub mark: u32,
    /// SO_BINDTODEVICE: datagrams leave and arrive by this device only.
    pub device: Option<&'a str>,
}

/// A socket with this address. Mark and device are set first: not one datagram takes another way.
pub(super) fn open(address: SocketAddr, egress: Egress<'_>) -> Result<OwnedFd, Error> {
    let fd = unbound(address).map_err(|source| refused(address, source))?;
    if egress.mark != 0 {
        set_option(&fd, libc::SOL_SOCKET, libc::SO_MARK, egress.mark as libc::c_int)
            .map_err(|source| Error::system(format!("mark 0x{:x} for UDP", egress.mark), source))?;
    }
    if let Some(device) = egress.device {
        set_device(&fd, device)?;
    }
    bind(&fd, address).map_err(|source| refused(address, source))?;
    Ok(fd)
}

/// A new socket of the address's family. std would bind it at once, and make IPv6 serve IPv4 as well: then the IPv4
/// socket finds its port taken.
fn unbound(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer; the descriptor is new and ours alone.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?) };
    if address.is_ipv6() {
        set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    Ok(fd)
}

fn bind(fd: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: a structure of integers, for which zeros are valid.
            let mut name: libc::sockaddr_in = unsafe { mem::zeroed() };
            name.sin_family = libc::AF_INET as _;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            bind_name(fd, &name)
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let mut name: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            name.sin6_family = libc::AF_INET6 as _;
            name.sin6_port = address.port().to_be();
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_scope_id = address.scope_id();
            bind_name(fd, &name)
        }
    }
}

/// `name` is a socket address of the kernel's.
fn bind_name<T>(fd: &OwnedFd, name: &T) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes of `name` as it has, and checks what they are.
    let result =
        unsafe { libc::bind(fd.as_raw_fd(), ptr::from_ref(name).cast(), mem::size_of_val(name) as _) };
    check(result).map(drop)
}

/// What the kernel's refusal to give us this port means.
pub(super) fn refused(address: SocketAddr, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => Error::PortBusy { address },
        Some(libc::EADDRNOTAVAIL) => Error::NotOurs { address },
        Some(libc::EAFNOSUPPORT) => Error::NoFamily { address },
        _ => Error::system(format!("UDP port {} on {}", address.port(), address.ip()), source),
    }
}

pub(super) fn set_device(socket: &impl AsFd, name: &str) -> Result<(), Error> {
    let fd = socket.as_fd().as_raw_fd();
    let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    // SAFETY: the kernel reads the bytes of the name, and ends it itself.
    let result = unsafe { libc::setsockopt(fd, level, option, name.as_ptr().cast(), name.len() as _) };
    check(result).map(drop).map_err(|source| match source.raw_os_error() {
        Some(libc::ENODEV) => Error::NoDevice { name: name.to_owned() },
        _ => Error::system(format!("bind UDP to device '{name}'"), source),
    })
}

pub(super) fn set_option(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = mem::size_of_val(&value) as _;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one int, which lives through the call.
    check(unsafe { libc::setsockopt(fd, level, option, ptr::from_ref(&value).cast(), size) }).map(drop)
}
