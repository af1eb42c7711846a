//! What the kernel knows about a network device: one question over rtnetlink.
//!
//! Not sysfs: `/sys` shows the network namespace of whoever mounted it, and a jail may lack it. Asks only; nothing is
//! changed here. Read first: rtnetlink(7), netlink(7).

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;
use crate::types::MacAddr;

/// A device as it was when asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interface {
    /// Number of the device in its namespace; a device that is made anew gets another one.
    pub index: u32,
    /// Set up by somebody (`ip link set up`, netifd).
    pub up: bool,
    pub carrier: bool,
    pub mtu: u32,
    pub mac: Option<MacAddr>,
    /// Name of the bridge that it is a port of.
    pub bridge: Option<String>,
}

const HEADER: usize = size_of::<libc::nlmsghdr>();
/// `struct ifinfomsg`: family, padding, type (2 bytes), index, flags, change (4 bytes each).
const INFO: usize = size_of::<libc::ifinfomsg>();
/// `struct rtattr`: length and type, 2 bytes each; values are padded to 4 bytes.
const ATTRIBUTE: usize = 4;
/// Kernels answer with 1 to 3 KiB.
const ANSWER_MAX: usize = 16 * 1024;

impl Interface {
    /// `None` when there is no device of that name in this network namespace.
    pub fn query(name: &str) -> io::Result<Option<Self>> {
        match exchange(&question(name)) {
            Ok(answer) => Ok(parse(&answer)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// RTM_GETLINK with the name as its only attribute.
fn question(name: &str) -> Vec<u8> {
    let length = HEADER + INFO + ATTRIBUTE + (name.len() + 1).next_multiple_of(4);
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&(length as u32).to_ne_bytes());
    message.extend_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    message.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.resize(HEADER + INFO, 0);
    message.extend_from_slice(&((ATTRIBUTE + name.len() + 1) as u16).to_ne_bytes());
    message.extend_from_slice(&libc::IFLA_IFNAME.to_ne_bytes());
    message.extend_from_slice(name.as_bytes());
    message.resize(length, 0);
    message
}

/// Sends the question to the kernel and returns its answer, or the error it answers with.
fn exchange(question: &[u8]) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; ANSWER_MAX];
    // SAFETY: the descriptor is new and ours alone; both buffers live through the calls and have the lengths given.
    let n = unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?);
        let fd = socket.as_raw_fd();
        if libc::send(fd, question.as_ptr().cast(), question.len(), 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    let Ok(n) = usize::try_from(n) else { return Err(io::Error::last_os_error()) };
    answer.truncate(n);
    match (u16_at(&answer, 4), i32_at(&answer, HEADER)) {
        (Some(kind), Some(code)) if i32::from(kind) == libc::NLMSG_ERROR => {
            Err(io::Error::from_raw_os_error(-code))
        }
        _ => Ok(answer),
    }
}

/// `None` for an answer that is too short to be one.
fn parse(answer: &[u8]) -> Option<Interface> {
    let flags = i32_at(answer, HEADER + 8)?;
    let mut interface = Interface {
        index: u32::try_from(i32_at(answer, HEADER + 4)?).ok()?,
        up: flags & libc::IFF_UP != 0,
        ..Interface::default()
    };
    let (mut master, mut bridge_port) = (None, false);
    for (kind, value) in attributes(answer.get(HEADER + INFO..)?) {
        match kind {
            libc::IFLA_MTU => interface.mtu = i32_at(value, 0)? as u32,
            libc::IFLA_CARRIER => interface.carrier = value.first() == Some(&1),
            libc::IFLA_ADDRESS => interface.mac = value.try_into().ok().map(MacAddr),
            libc::IFLA_MASTER => master = i32_at(value, 0),
            libc::IFLA_LINKINFO => bridge_port = is_bridge_port(value),
            _ => {}
        }
    }
    interface.bridge = master.filter(|_| bridge_port).and_then(name_of);
    Some(interface)
}

fn is_bridge_port(link_info: &[u8]) -> bool {
    attributes(link_info).any(|(kind, value)| {
        kind == libc::IFLA_INFO_SLAVE_KIND && value.strip_suffix(&[0]) == Some(b"bridge")
    })
}

/// Type and value of each attribute; ends at the first that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & libc::NLA_TYPE_MASK as u16;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Name of the device with this number.
fn name_of(index: i32) -> Option<String> {
    let mut name = [0 as c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may write, and is terminated when it succeeds.
    unsafe {
        let found = libc::if_indextoname(u32::try_from(index).ok()?, name.as_mut_ptr());
        (!found.is_null()).then(|| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_found_and_a_missing_one_is_not() {
        let lo = Interface::query("lo").unwrap().unwrap();
        assert!(lo.index > 0 && lo.mtu >= 1500, "{lo:?}");
        assert_eq!((lo.mac, lo.bridge), (Some(MacAddr([0; 6])), None));
        assert_eq!(Interface::query("no-such-dev").unwrap(), None);
    }

    #[test]
    fn an_answer_cut_anywhere_is_no_panic() {
        let answer = exchange(&question("lo")).unwrap();
        let whole = parse(&answer);
        assert!(whole.is_some());
        for end in 0..answer.len() {
            let cut = parse(&answer[..end]);
            assert!(end >= HEADER + INFO || cut.is_none());
        }
    }
}
