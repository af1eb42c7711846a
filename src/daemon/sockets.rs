//! The node's UDP sockets: listening ones as configured, and one of each family to dial from.
//! Read first: docs/protocol.md, "Connections".

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::config::Network;
use crate::limits::{self, Profile};
use crate::link::{self, Purpose, SocketId, Transmit};
use crate::node::Node;
use crate::sys;
use crate::sys::udp::{Batch, Buffers, RecvBuffers};

pub struct Socket {
    pub id: SocketId,
    purpose: Purpose,
    udp: sys::udp::Socket,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

/// Whether a socket may have more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    Nothing,
    Batch,
}

pub struct Sockets {
    sockets: Vec<Socket>,
    buffers: RecvBuffers,
}

impl Sockets {
    /// Opens all of them. Without `listen_address` a family that the kernel lacks is left out.
    pub fn open(network: &Network, profile: &Profile) -> Result<Self, String> {
        let mut sockets = Self { sockets: Vec::new(), buffers: RecvBuffers::new(profile.receive_batch) };
        let buffers = Buffers { send: profile.socket_send, receive: profile.socket_receive };
        if network.listen_port != 0 {
            for address in &network.listen_addresses {
                let address = SocketAddr::new(*address, network.listen_port);
                sockets.add(Purpose::Listen, address, buffers).map_err(|error| error.to_string())?;
            }
            if network.listen_addresses.is_empty() {
                sockets.add_any(Purpose::Listen, network.listen_port, buffers)?;
            }
        }
        sockets.add_any(Purpose::Dial, 0, buffers)?;
        Ok(sockets)
    }

    fn add_any(&mut self, purpose: Purpose, port: u16, buffers: Buffers) -> Result<(), String> {
        let families = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let mut missing = Vec::new();
        for family in families {
            match self.add(purpose, SocketAddr::new(family, port), buffers) {
                Ok(()) => {}
                Err(error @ sys::Error::NoFamily { .. }) => missing.push(error.to_string()),
                Err(error) => return Err(error.to_string()),
            }
        }
        if missing.len() == families.len() { Err(missing.join(", ")) } else { Ok(()) }
    }

    fn add(&mut self, purpose: Purpose, address: SocketAddr, buffers: Buffers) -> Result<(), sys::Error> {
        let udp = sys::udp::Socket::bind(address, buffers)?;
        let id = SocketId(self.sockets.len() as u8);
        self.sockets.push(Socket { id, purpose, udp });
        Ok(())
    }

    pub fn describe(&self) -> Vec<link::Socket> {
        let describe = |socket: &Socket| link::Socket {
            id: socket.id,
            purpose: socket.purpose,
            ipv6: socket.udp.local_addr().is_ipv6(),
            segments: socket.udp.max_gso_segments().min(limits::SEGMENTS),
        };
        self.sockets.iter().map(describe).collect()
    }

    /// For the log: where we listen.
    pub fn describe_listeners(&self) -> String {
        let listeners = self.sockets.iter().filter(|socket| socket.purpose == Purpose::Listen);
        let addresses: Vec<String> = listeners.map(|socket| socket.udp.local_addr().to_string()).collect();
        if addresses.is_empty() {
            "only dials".to_owned()
        } else {
            format!("listens on {}", addresses.join(" and "))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter()
    }

    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// The address that a socket is bound to.
    pub fn local(&self, id: SocketId) -> Option<SocketAddr> {
        self.sockets.iter().find(|socket| socket.id == id).map(|socket| socket.udp.local_addr())
    }

    /// Sends packets. False: the socket takes none now; come back when it is writable.
    pub fn send(&self, node: &mut Node, transmit: &Transmit, contents: &[u8]) -> bool {
        let Some(socket) = self.sockets.iter().find(|socket| socket.id == transmit.socket) else {
            return true;
        };
        let before = socket.udp.max_gso_segments();
        let batch = Batch {
            destination: transmit.destination,
            source: transmit.source,
            contents,
            segment_size: transmit.segment_size,
        };
        match socket.udp.send(&batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => log::debug!("to {}: {error}", transmit.destination),
            Ok(()) => {}
        }
        let after = socket.udp.max_gso_segments();
        if after < before {
            node.set_segments(socket.id, after);
        }
        true
    }

    /// Hands what waits on one socket to the node.
    pub fn receive(&mut self, place: usize, now: Instant, node: &mut Node) -> Received {
        let Some(socket) = self.sockets.get(place) else { return Received::Nothing };
        match socket.udp.recv(&mut self.buffers) {
            Ok(_) => {}
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    log::debug!("receive on {}: {error}", socket.udp.local_addr());
                }
                return Received::Nothing;
            }
        }
        let id = socket.id;
        for datagram in self.buffers.drain() {
            node.handle_datagram(now, id, datagram.remote, datagram.local, datagram.bytes);
        }
        Received::Batch
    }
}
