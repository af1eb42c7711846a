//! A raw socket that hears a few kinds of frames on all devices, and sends frames on one: for `quicap doctor`.
//!
//! A filter in the kernel keeps out what is not asked for, so listening costs a busy router next to nothing. Read first:
//! packet(7), Documentation/networking/filter.rst of Linux.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use super::check;

/// Frames of this EtherType are for experiments in one place (IEEE 802, local experimental 1): our own probes.
pub const PROBE: u16 = 0x88B5;

/// Longest frame that is received whole; the rest of longer ones is cut.
const FRAME_MAX: usize = 2048;

pub struct Packets(OwnedFd);

/// A frame that came in, or that somebody here sent.
pub struct Heard {
    /// Number of the device.
    pub device: u32,
    /// It leaves by this device.
    pub outgoing: bool,
    pub frame: Vec<u8>,
}

impl Packets {
    /// Hears our own probes, ARP, answers of DHCP servers (IPv4, UDP from port 67), router and neighbor advertisements.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the descriptor is new and ours alone. With protocol 0 it hears nothing before it is bound.
        let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, kind, 0))?) };
        let mut program = FILTER;
        let filter = libc::sock_fprog { len: program.len() as _, filter: program.as_mut_ptr() };
        let mut name = address(0);
        name.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: both read structures that live through the call and have the sizes given.
        unsafe {
            let (pointer, size) = (ptr::from_ref(&filter).cast(), mem::size_of_val(&filter) as _);
            check(libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                pointer,
                size,
            ))?;
            check(libc::bind(socket.as_raw_fd(), ptr::from_ref(&name).cast(), mem::size_of_val(&name) as _))?;
        }
        Ok(Self(socket))
    }

    pub fn send(&self, device: u32, frame: &[u8]) -> io::Result<()> {
        let name = address(device);
        // SAFETY: reads `frame.len()` bytes of `frame`, and `name`, which has the size given.
        let sent = unsafe {
            let (name, size) = (ptr::from_ref(&name).cast(), mem::size_of_val(&name) as _);
            libc::sendto(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, name, size)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next frame, or `None` when none came within `limit`.
    pub fn receive(&self, limit: Duration) -> Option<Heard> {
        let mut entry = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut name = address(0);
        let mut size = mem::size_of_val(&name) as libc::socklen_t;
        let mut frame = vec![0; FRAME_MAX];
        // SAFETY: writes `revents`, at most `frame.len()` bytes of the frame, and of `name` at most the size given.
        let n = unsafe {
            libc::poll(&raw mut entry, 1, limit.as_millis().min(i32::MAX as u128) as i32);
            let name = (&raw mut name).cast();
            libc::recvfrom(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0, name, &raw mut size)
        };
        frame.truncate(usize::try_from(n).ok()?);
        let outgoing = name.sll_pkttype == libc::PACKET_OUTGOING;
        Some(Heard { device: u32::try_from(name.sll_ifindex).ok()?, outgoing, frame })
    }
}

fn address(device: u32) -> libc::sockaddr_ll {
    // SAFETY: a structure of integers, for which zeros are valid.
    let mut name: libc::sockaddr_ll = unsafe { mem::zeroed() };
    name.sll_family = libc::AF_PACKET as _;
    name.sll_ifindex = device as _;
    name
}

/// What is heard: loads of 2 bytes and of 1, jumps so many steps further if the value is that or is not, and two ends.
const FILTER: [libc::sock_filter; 16] = [
    word(12),
    is(PROBE as u32, 13, 0),
    is(0x0806, 12, 0),
    is(0x0800, 0, 4),
    byte(23),
    is(17, 0, 8),
    word(34),
    is(67, 7, 6),
    is(0x86DD, 0, 5),
    byte(20),
    is(58, 0, 3),
    byte(54),
    is(134, 2, 0),
    is(136, 1, 0),
    end(0),
    end(FRAME_MAX as u32),
];

const fn word(at: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at, 0, 0)
}

const fn byte(at: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at, 0, 0)
}

const fn is(value: u32, yes: u8, no: u8) -> libc::sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no)
}

const fn end(length: u32) -> libc::sock_filter {
    step(libc::BPF_RET | libc::BPF_K, length, 0, 0)
}

const fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}
