//! UDP sockets that send and receive many datagrams in one system call (GSO, GRO, recvmmsg), never fragmented.
//!
//! quinn-udp does the control messages; here are big buffers, the separation of IPv4 and IPv6, and what happens when a
//! driver refuses segmentation offload. ECN is never set: the tunnel does not answer its marks (docs/protocol.md).
//! Read first: docs of quinn-udp, udp(7), ip(7), ipv6(7).

use std::array;
use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::Error;
pub use super::bind::Egress;
use super::bind::{self, set_option};

/// Sizes to ask the kernel for, bytes; it may give less to a process without CAP_NET_ADMIN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    pub send: usize,
    pub receive: usize,
}

/// Bytes for one destination: one datagram, or several of `segment_size` bytes of which the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub destination: SocketAddr,
    /// Our address to send from; `None`: the kernel's choice.
    pub source: Option<IpAddr>,
    pub contents: &'a [u8],
    pub segment_size: Option<usize>,
}

/// A non-blocking UDP socket of one family: an IPv6 one never carries IPv4, so both can have the same port.
pub struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Datagrams that one call may send; 1 once the path has shown that it cannot do more.
    segments: Cell<usize>,
}

impl Socket {
    /// Port 0: any free one.
    pub fn bind(address: SocketAddr, buffers: Buffers, egress: Egress<'_>) -> Result<Self, Error> {
        let fd = bind::open(address, egress)?;
        Self::new(fd, buffers).map_err(|source| bind::refused(address, source))
    }

    fn new(fd: OwnedFd, buffers: Buffers) -> io::Result<Self> {
        let socket = UdpSocket::from(fd);
        ask_for(&socket, [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF], buffers.send);
        ask_for(&socket, [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF], buffers.receive);
        let state = UdpSocketState::new((&socket).into())?;
        let segments = Cell::new(state.max_gso_segments());
        Ok(Self { local: socket.local_addr()?, socket, state, segments })
    }

    /// From now on datagrams leave and arrive by this device only, which must exist. A device that is made anew under
    /// the same name is another one.
    pub fn set_device(&self, name: &str) -> Result<(), Error> {
        bind::set_device(&self.socket, name)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Datagrams that one [`Socket::send`] may take; falls to 1 when the driver turns out to be unable.
    pub fn max_gso_segments(&self) -> usize {
        self.segments.get()
    }

    /// Datagrams that the kernel may join into one receive buffer; 1: it joins none.
    pub fn gro_segments(&self) -> usize {
        self.state.gro_segments()
    }

    /// Whether the kernel could not be kept from fragmenting: then the path MTU must not be searched.
    pub fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    /// Bytes that the kernel really gives to the send and the receive buffer.
    pub fn buffers(&self) -> io::Result<Buffers> {
        let send = self.state.send_buffer_size((&self.socket).into())?;
        Ok(Buffers { send, receive: self.state.recv_buffer_size((&self.socket).into())? })
    }

    /// Sends a batch. `WouldBlock`: nothing was sent, come back when the socket is writable. Any other error: the
    /// datagrams are lost as if on the way, and later ones may well go through (no route, interface down, address
    /// gone). A datagram too big for the interface is lost without an error: that is how the path MTU is found.
    pub fn send(&self, batch: &Batch<'_>) -> io::Result<()> {
        let split = batch.segment_size.filter(|size| (1..batch.contents.len()).contains(size));
        let sent = match split {
            None => self.send_whole(batch, None),
            Some(size) if self.segments.get() == 1 => self.send_singly(batch, size),
            Some(size) => match self.send_whole(batch, split) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
                    // Either offload is refused, or the datagrams are: the former if they go through one by one.
                    self.send_singly(batch, size).inspect(|()| self.segments.set(1))
                }
                sent => sent,
            },
        };
        match sent {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Ok(()),
            sent => sent,
        }
    }

    /// One datagram for each segment. Fails with the first; what is lost after that is lost as if on the way.
    fn send_singly(&self, batch: &Batch<'_>, size: usize) -> io::Result<()> {
        for (n, segment) in batch.contents.chunks(size).enumerate() {
            match self.send_whole(&Batch { contents: segment, ..*batch }, None) {
                Err(error) if n == 0 => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn send_whole(&self, batch: &Batch<'_>, segment_size: Option<usize>) -> io::Result<()> {
        let transmit = Transmit {
            destination: batch.destination,
            ecn: None,
            contents: batch.contents,
            segment_size,
            src_ip: batch.source,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// Receives what waits, as much as fits, and says how many buffers it filled; `WouldBlock` when nothing waits.
    /// Take the datagrams out with [`RecvBuffers::drain`] before the next call: what is left in them is lost.
    pub fn recv(&self, buffers: &mut RecvBuffers) -> io::Result<usize> {
        let RecvBuffers { buffers: rooms, metas, .. } = buffers;
        let count = rooms.len();
        let mut rooms = rooms.iter_mut().map(whole);
        let mut slices: [IoSliceMut<'_>; RecvBuffers::MAX] =
            array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        let received = self.state.recv((&self.socket).into(), &mut slices[..count], metas);
        buffers.keep(*received.as_ref().unwrap_or(&0));
        received
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A datagram that came in.
#[derive(Debug)]
pub struct Received {
    pub remote: SocketAddr,
    /// Our address that it was sent to.
    pub local: Option<IpAddr>,
    /// Shares the memory of its buffer, which is used again once all datagrams in it are dropped.
    pub bytes: BytesMut,
}

/// Memory for [`Socket::recv`]; can serve several sockets in turn.
pub struct RecvBuffers {
    /// Each owns, or has lent to its datagrams, [`BUFFER`] bytes that were initialized when they were allocated.
    buffers: Vec<BytesMut>,
    metas: [RecvMeta; RecvBuffers::MAX],
    /// The buffer that [`RecvBuffers::drain`] is at.
    current: usize,
}

/// Bytes of one receive buffer: the most that the kernel joins.
const BUFFER: usize = 1 << 16;

impl RecvBuffers {
    pub const MAX: usize = 4;

    /// `count` buffers of 64 KiB, at least one and at most [`RecvBuffers::MAX`]; so many system calls are saved.
    pub fn new(count: usize) -> Self {
        let count = count.clamp(1, Self::MAX);
        Self { buffers: vec![BytesMut::new(); count], metas: Default::default(), current: count }
    }

    /// Takes the datagrams of the last [`Socket::recv`] out, in the order of their coming.
    pub fn drain(&mut self) -> impl Iterator<Item = Received> {
        std::iter::from_fn(move || {
            loop {
                let buffer = self.buffers.get_mut(self.current)?;
                let meta = self.metas.get(self.current)?;
                if !buffer.is_empty() {
                    let size = meta.stride.clamp(1, buffer.len());
                    return Some(Received {
                        remote: meta.addr,
                        local: meta.dst_ip,
                        bytes: buffer.split_to(size),
                    });
                }
                self.current += 1;
            }
        })
    }

    /// Cuts the first `filled` buffers to what came in, the others to nothing.
    fn keep(&mut self, filled: usize) {
        self.current = 0;
        for (n, (buffer, meta)) in self.buffers.iter_mut().zip(&self.metas).enumerate() {
            buffer.truncate(if n < filled { meta.len } else { 0 });
        }
    }
}

/// All of a receive buffer to write into: its old memory if nobody uses that any more, else new.
fn whole(buffer: &mut BytesMut) -> &mut [u8] {
    buffer.clear();
    if buffer.try_reclaim(BUFFER) {
        // SAFETY: there is room for `BUFFER` bytes, all of the allocation, which `zeroed` below has initialized.
        unsafe { buffer.set_len(BUFFER) };
    } else {
        *buffer = BytesMut::zeroed(BUFFER);
    }
    buffer
}

/// Whether a failed [`Socket::send`] says nothing about the way, so that the next may well do better: no memory or room in a
/// queue, or news of an earlier datagram.
pub fn is_chance(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM | libc::ECONNREFUSED))
}

/// Asks by each option in turn until one is granted; a smaller buffer than asked for is no error.
fn ask_for(socket: &UdpSocket, options: [libc::c_int; 2], bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let _granted = options.iter().any(|option| set_option(socket, libc::SOL_SOCKET, *option, bytes).is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const SMALL: Buffers = Buffers { send: 256 << 10, receive: 1 << 20 };

    fn socket(ip: impl Into<IpAddr>) -> Socket {
        Socket::bind(SocketAddr::new(ip.into(), 0), SMALL, Egress::default()).unwrap()
    }

    /// Receives until `count` datagrams have come; loopback delivers within the call that sends.
    fn receive(socket: &Socket, buffers: &mut RecvBuffers, count: usize) -> Vec<Received> {
        let mut all = Vec::new();
        while all.len() < count {
            socket.recv(buffers).unwrap();
            all.extend(buffers.drain());
        }
        assert_eq!(socket.recv(buffers).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(buffers.drain().count(), 0);
        all
    }

    /// `count` segments of `size` bytes, the last 7 bytes shorter, each beginning with its number.
    fn numbered(count: usize, size: usize) -> Vec<u8> {
        let mut contents: Vec<u8> = (0..count)
            .flat_map(|n| {
                (n as u16).to_be_bytes().into_iter().chain((2..size).map(move |i| (n * 31 + i) as u8))
            })
            .collect();
        contents.truncate(count * size - 7);
        contents
    }

    fn sends_and_receives(ip: IpAddr, count: usize, size: usize) {
        let (a, b) = (socket(ip), socket(ip));
        let contents = numbered(count, size);
        let mut buffers = RecvBuffers::new(2);
        let batch = Batch {
            destination: b.local_addr(),
            source: Some(ip),
            contents: &contents,
            segment_size: Some(size),
        };
        for _ in 0..3 {
            a.send(&batch).unwrap();
            let received = receive(&b, &mut buffers, count);
            assert_eq!(received.len(), count);
            for (got, sent) in received.iter().zip(contents.chunks(size)) {
                assert_eq!((got.remote, got.local), (a.local_addr(), Some(ip)));
                assert!(got.bytes == sent);
            }
        }
    }

    #[test]
    fn batches_of_segments_arrive_whole_and_in_order_over_both_families() {
        for (count, size) in [(1, 1200), (44, 1200), (40, 1452), (3, 8)] {
            sends_and_receives(Ipv4Addr::LOCALHOST.into(), count, size);
            sends_and_receives(Ipv6Addr::LOCALHOST.into(), count, size);
        }
    }

    #[test]
    fn a_batch_that_offload_refuses_is_sent_again_one_by_one_and_offload_is_off_from_then_on() {
        let (a, b) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
        if a.max_gso_segments() == 1 {
            return println!("skipped: no segmentation offload here");
        }
        // More segments than any kernel takes at once.
        let contents = numbered(300, 64);
        let batch =
            Batch { destination: b.local_addr(), source: None, contents: &contents, segment_size: Some(64) };
        for _ in 0..2 {
            a.send(&batch).unwrap();
            assert_eq!(a.max_gso_segments(), 1);
            let received = receive(&b, &mut RecvBuffers::new(1), 300);
            assert!(received.iter().map(|r| &r.bytes[..]).eq(contents.chunks(64)));
        }
    }

    #[test]
    fn an_address_that_is_gone_fails_softly_and_leaves_offload_on() {
        let (a, b) = (socket(Ipv4Addr::UNSPECIFIED), socket(Ipv4Addr::LOCALHOST));
        let before = a.max_gso_segments();
        let contents = numbered(4, 1200);
        let good = Batch {
            destination: b.local_addr(),
            source: None,
            contents: &contents,
            segment_size: Some(1200),
        };
        let gone = Batch { source: Some(Ipv4Addr::new(192, 0, 2, 77).into()), ..good };
        assert_ne!(a.send(&gone).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(a.max_gso_segments(), before);
        a.send(&good).unwrap();
        assert_eq!(receive(&b, &mut RecvBuffers::new(4), 4).len(), 4);
    }

    #[test]
    fn a_datagram_too_big_for_the_interface_is_lost_without_an_error() {
        let (a, b) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
        let contents = vec![0; 65_508];
        let batch =
            Batch { destination: b.local_addr(), source: None, contents: &contents, segment_size: None };
        a.send(&batch).unwrap();
        assert_eq!(b.recv(&mut RecvBuffers::new(1)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(!a.may_fragment());
    }

    #[test]
    fn memory_is_used_again_unless_a_datagram_is_kept() {
        let (a, b) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
        let mut buffers = RecvBuffers::new(1);
        let mut address_of_next = || {
            let batch =
                Batch { destination: b.local_addr(), source: None, contents: b"hello", segment_size: None };
            a.send(&batch).unwrap();
            assert_eq!(b.recv(&mut buffers).unwrap(), 1);
            let one = buffers.drain().next().unwrap().bytes;
            (one.as_ptr() as usize, one)
        };
        let (first, kept) = address_of_next();
        let (second, dropped) = address_of_next();
        drop(dropped);
        let (third, _) = address_of_next();
        assert_ne!(first, second, "kept bytes are not overwritten");
        assert_eq!(second, third, "free memory is not allocated anew");
        assert_eq!(&kept[..], b"hello");
    }

    #[test]
    fn an_empty_datagram_is_no_datagram() {
        let (a, b) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
        for contents in [&b""[..], b"x"] {
            let batch = Batch { destination: b.local_addr(), source: None, contents, segment_size: None };
            a.send(&batch).unwrap();
        }
        assert_eq!(receive(&b, &mut RecvBuffers::new(4), 1).len(), 1);
    }

    #[test]
    fn both_families_can_have_one_port_and_a_busy_one_is_named() {
        let four = socket(Ipv4Addr::UNSPECIFIED);
        let port = four.local_addr().port();
        let six = Socket::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), SMALL, Egress::default())
            .unwrap();
        for taken in [four.local_addr(), six.local_addr()] {
            match Socket::bind(taken, SMALL, Egress::default()) {
                Err(Error::PortBusy { address }) => assert_eq!(address, taken),
                other => panic!("{:?}", other.err()),
            }
        }
        let foreign = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 0);
        assert!(matches!(Socket::bind(foreign, SMALL, Egress::default()), Err(Error::NotOurs { .. })));
    }

    #[test]
    fn buffers_are_as_big_as_the_kernel_allows_us() {
        let small = socket(Ipv4Addr::LOCALHOST).buffers().unwrap();
        let wanted = Buffers { send: 4 << 20, receive: 8 << 20 };
        let big = Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), wanted, Egress::default())
            .unwrap()
            .buffers()
            .unwrap();
        assert!(big.send >= small.send && big.receive >= small.receive, "{big:?}");
        // SAFETY: takes no pointer.
        if unsafe { libc::geteuid() } == 0 {
            assert!(big.send >= wanted.send && big.receive >= wanted.receive, "{big:?}");
        }
    }
}
