//! Netlink messages: how they are built, exchanged with the kernel and taken apart.
//!
//! Knows nothing of what they mean; asks only, changes nothing. Read first: netlink(7), rtnetlink(7).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::check;

const HEADER: usize = size_of::<libc::nlmsghdr>();
/// `struct rtattr`: length and type, 2 bytes each; values are padded to 4 bytes.
const ATTRIBUTE: usize = 4;
/// Kernels answer with 1 to 3 KiB about one thing, and with at most 32 KiB at a time about all of them.
const ANSWER_MAX: usize = 32 * 1024;

/// A question to the kernel.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// `fixed` is what stands between header and attributes, a multiple of 4 bytes.
    pub(super) fn new(kind: u16, fixed: &[u8]) -> Self {
        let mut message = vec![0; HEADER];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(fixed);
        Self(message)
    }

    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Asks about one thing: what stands behind the header of the answer, or the error the kernel answers with.
    pub(super) fn ask(self) -> io::Result<Vec<u8>> {
        let socket = self.send(libc::NLM_F_REQUEST)?;
        let mut buffer = vec![0; ANSWER_MAX];
        let received = receive(&socket, &mut buffer)?;
        let message = messages(received).next().ok_or(io::ErrorKind::UnexpectedEof)?;
        message.fail()?;
        Ok(message.body.to_vec())
    }

    /// Asks about all things of a kind, and calls `each` with what stands behind the header of every answer.
    pub(super) fn ask_all(self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let socket = self.send(libc::NLM_F_REQUEST | libc::NLM_F_DUMP)?;
        let mut buffer = vec![0; ANSWER_MAX];
        loop {
            let received = receive(&socket, &mut buffer)?;
            if received.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for message in messages(received) {
                message.fail()?;
                if i32::from(message.kind) == libc::NLMSG_DONE {
                    return Ok(());
                }
                each(message.body);
            }
        }
    }

    fn send(mut self, flags: libc::c_int) -> io::Result<OwnedFd> {
        let length = (self.0.len() as u32).to_ne_bytes();
        self.0[..4].copy_from_slice(&length);
        self.0[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        let socket = open(0, 0)?;
        // SAFETY: reads as many bytes of the message as it has.
        let sent = unsafe { libc::send(socket.as_raw_fd(), self.0.as_ptr().cast(), self.0.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }
}

/// One message of several that came at once.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    /// What stands behind the header.
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    /// The error that the kernel answers with.
    fn fail(&self) -> io::Result<()> {
        match i32_at(self.body, 0) {
            Some(code) if i32::from(self.kind) == libc::NLMSG_ERROR => {
                Err(io::Error::from_raw_os_error(code.saturating_neg()))
            }
            _ => Ok(()),
        }
    }
}

/// A socket that hears the multicast groups of the mask `groups`; 0: none.
pub(super) fn open(groups: u32, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a structure of integers, for which zeros are valid.
    let mut name: libc::sockaddr_nl = unsafe { mem::zeroed() };
    name.nl_family = libc::AF_NETLINK as _;
    name.nl_groups = groups;
    // SAFETY: the descriptor is new and ours alone; `name` lives through the call and has the size given.
    unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags;
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?);
        check(libc::bind(socket.as_raw_fd(), ptr::from_ref(&name).cast(), mem::size_of_val(&name) as _))?;
        Ok(socket)
    }
}

/// The messages that come next; those that are cut off by the end of `buffer` are lost.
pub(super) fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    // SAFETY: writes at most `buffer.len()` bytes into the buffer.
    let n = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// Takes what came at once apart; ends at the first that is not whole.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(i32_at(bytes, 0)?).ok()?;
        let message = Message { kind: u16_at(bytes, 4)?, body: bytes.get(HEADER..length)? };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Type and value of each attribute; ends at the first that does not fit.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & libc::NLA_TYPE_MASK as u16;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_taken_apart_the_same_and_what_is_cut_ends_before_the_cut() {
        let mut bytes = Request::new(7, &[1, 2, 3, 4]).with(3, b"lo\0").with(9, &[]).0;
        let length = bytes.len();
        bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        let twice = [&bytes[..], &bytes[..]].concat();
        let kinds: Vec<u16> = messages(&twice).map(|message| message.kind).collect();
        assert_eq!(kinds, [7, 7]);
        let body = messages(&twice).next().unwrap().body;
        let found: Vec<(u16, &[u8])> = attributes(&body[4..]).collect();
        assert_eq!(found, [(3, &b"lo\0"[..]), (9, &[])]);
        for end in 0..twice.len() {
            assert_eq!(messages(&twice[..end]).count(), end / length, "{end}");
            attributes(&twice[..end]).for_each(drop);
        }
        // A length that is no length.
        for length in [0, 3, 15, u32::MAX, 1 << 31] {
            let mut bad = bytes.clone();
            bad[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&bad).count(), 0, "{length}");
        }
    }

    #[test]
    fn the_kernel_answers_about_one_device_or_all_and_says_what_it_does_not_know() {
        let info = [0; size_of::<libc::ifinfomsg>()];
        let named = |name: &[u8]| Request::new(libc::RTM_GETLINK, &info).with(libc::IFLA_IFNAME, name).ask();
        let one = named(b"lo\0").unwrap();
        let mut all = Vec::new();
        Request::new(libc::RTM_GETLINK, &info).ask_all(&mut |link| all.push(i32_at(link, 4))).unwrap();
        assert!(all.contains(&i32_at(&one, 4)), "{all:?}");
        assert_eq!(named(b"no-such-dev\0").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
