//! The operating system: TAP, UDP sockets, timer, signals, locks. The only room with `unsafe`.
//!
//! Decides nothing: what is sent, when, and what follows from an error is for `daemon`. Every constant of the kernel
//! comes from `libc`, which computes it for each architecture (MIPS encodes ioctls differently).
#![allow(unsafe_code, reason = "system calls that no dependency wraps; each block says why it is sound")]

pub mod address;
mod bind;
pub mod interface;
pub mod lock;
pub mod monitor;
mod netlink;
pub mod netns;
pub mod packet;
pub mod process;
pub mod route;
pub mod signal;
pub mod timer;
pub mod tun;
pub mod udp;
pub mod unix;
pub mod wait;
pub mod watch;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the system did not do what it was asked; each says who can mend it.
#[derive(Debug)]
pub enum Error {
    /// The kernel has no TUN driver: install or load it.
    NoDriver,
    /// Not root and without the capability that this needs: start it as root.
    NotPermitted { doing: String },
    /// Not a name that Linux takes for a device: change the configuration.
    DeviceName { name: String },
    /// Another process holds the device: stop that one.
    DeviceBusy { name: String },
    /// A device of that name exists and is no TAP with one queue: rename or remove it.
    NotTap { name: String },
    /// The device was deleted while we had it open: open it again.
    DeviceDeleted { name: String },
    /// There is no device of that name (yet).
    NoDevice { name: String },
    /// Another process holds the UDP port: change the port or stop that one.
    PortBusy { address: SocketAddr },
    /// No interface of ours has this address (yet).
    NotOurs { address: SocketAddr },
    /// The kernel has no IPv6, or no IPv4.
    NoFamily { address: SocketAddr },
    /// Another process holds the lock; `holder` is its pid, as far as known.
    Locked { path: PathBuf, holder: Option<u32> },
    /// Anything else, as the kernel puts it.
    System { doing: String, source: io::Error },
}

impl Error {
    /// What an [`io::Error`] means for `doing`, when nothing more is known about it.
    fn system(doing: impl Into<String>, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { doing: doing.into() },
            _ => Self::System { doing: doing.into(), source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver => {
                f.write_str("no /dev/net/tun: install the package kmod-tun, or load the module: modprobe tun")
            }
            Self::NotPermitted { doing } => {
                write!(f, "{doing}: not permitted: must run as root or with CAP_NET_ADMIN")
            }
            Self::DeviceName { name } => write!(
                f,
                "device name '{name}': expected 1 to 15 characters without white space, '/', ':' or '%'"
            ),
            Self::DeviceBusy { name } => write!(f, "device '{name}' is in use by another process"),
            Self::NotTap { name } => {
                write!(
                    f,
                    "device '{name}' exists and is not a TAP with one queue: remove it or use another name"
                )
            }
            Self::DeviceDeleted { name } => write!(f, "device '{name}' was deleted"),
            Self::NoDevice { name } => write!(f, "there is no device '{name}'"),
            Self::PortBusy { address } => {
                write!(f, "UDP port {} on {} is in use by another process", address.port(), address.ip())
            }
            Self::NotOurs { address } => write!(f, "no interface has the address {}", address.ip()),
            Self::NoFamily { address } => {
                let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
                write!(f, "this kernel has no {family}")
            }
            Self::Locked { path, holder: Some(pid) } => {
                write!(f, "already running as process {pid}, which holds {}", path.display())
            }
            Self::Locked { path, holder: None } => {
                write!(f, "already running: another process holds {}", path.display())
            }
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {}

/// The result of a system call that says -1 and sets `errno` when it fails.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line_that_says_what_to_do_or_who_is_in_the_way() {
        let address: SocketAddr = "[::]:443".parse().unwrap();
        let eperm = io::Error::from_raw_os_error(libc::EPERM);
        for (error, needle) in [
            (Error::NoDriver, "modprobe tun"),
            (Error::system("device 'quicap0'", eperm), "CAP_NET_ADMIN"),
            (Error::DeviceBusy { name: "quicap0".into() }, "device 'quicap0' is in use"),
            (Error::NotTap { name: "eth0".into() }, "not a TAP"),
            (Error::DeviceDeleted { name: "quicap0".into() }, "was deleted"),
            (Error::NoDevice { name: "wan".into() }, "no device 'wan'"),
            (Error::PortBusy { address }, "UDP port 443 on ::"),
            (Error::NoFamily { address }, "IPv6"),
            (Error::Locked { path: "/run/x.lock".into(), holder: Some(7) }, "process 7"),
        ] {
            let text = error.to_string();
            assert!(text.contains(needle) && !text.contains('\n'), "{text}");
        }
    }
}
