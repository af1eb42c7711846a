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
use crate::sys::interface::Interface;
use crate::sys::udp::{Batch, Buffers, Egress, RecvBuffers};

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

/// What became of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// On their way, as far as we know.
    Taken,
    /// There is no way: the node was told.
    Refused,
    /// The socket takes none now: come back with the same when it is writable.
    Blocked,
}

pub struct Sockets {
    sockets: Vec<Socket>,
    buffers: RecvBuffers,
    mark: u32,
    tunlink: Option<Tunlink>,
}

/// `option tunlink`: the only device that UDP leaves and arrives by.
struct Tunlink {
    name: String,
    /// Its number when the sockets were bound to it; `None`: it does not exist.
    index: Option<u32>,
}

/// The device to be bound to while there is none by the name of `option tunlink`: nothing from elsewhere comes in.
const NOWHERE: &str = "lo";

impl Sockets {
    /// Opens all of them. Without `listen_address` a family that the kernel lacks is left out.
    pub fn open(network: &Network, profile: &Profile) -> Result<Self, String> {
        let mut sockets = Self {
            sockets: Vec::new(),
            buffers: RecvBuffers::new(profile.receive_batch),
            mark: network.fwmark,
            tunlink: network.tunlink.clone().map(|name| Tunlink { name, index: None }),
        };
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
        sockets.follow_tunlink().map_err(|error| error.to_string())?;
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
        let egress = Egress { mark: self.mark, device: self.tunlink.as_ref().map(|_| NOWHERE) };
        let udp = sys::udp::Socket::bind(address, buffers, egress)?;
        let id = SocketId(self.sockets.len() as u8);
        self.sockets.push(Socket { id, purpose, udp });
        Ok(())
    }

    /// Binds the sockets to the device of `option tunlink` as it is now: it may come later than we do, go, and come
    /// back as another device of the same name. True: that has changed.
    pub fn follow_tunlink(&mut self) -> Result<bool, sys::Error> {
        let Some(tunlink) = &mut self.tunlink else { return Ok(false) };
        let bind = |name: &str| self.sockets.iter().try_for_each(|socket| socket.udp.set_device(name));
        let index = Interface::query(&tunlink.name).ok().flatten().map(|device| device.index);
        if index == tunlink.index {
            return Ok(false);
        }
        tunlink.index = None;
        match index.map(|_| bind(&tunlink.name)) {
            Some(Ok(())) => tunlink.index = index,
            // It has gone since we asked.
            None | Some(Err(sys::Error::NoDevice { .. })) => bind(NOWHERE)?,
            Some(Err(error)) => return Err(error),
        }
        Ok(true)
    }

    /// For the log: what `option tunlink` means now; `None`: it is not set.
    pub fn describe_tunlink(&self) -> Option<String> {
        let tunlink = self.tunlink.as_ref()?;
        Some(match tunlink.index {
            Some(_) => format!("UDP goes by device {} only (option tunlink)", tunlink.name),
            None => format!("{}: nothing is sent until it is there", tunlink.complaint()),
        })
    }

    /// Number of the device that the sockets are bound to.
    pub fn device(&self) -> Option<u32> {
        self.tunlink.as_ref()?.index
    }

    /// Why nothing can be sent at all.
    pub fn obstacle(&self) -> Option<String> {
        self.tunlink.as_ref().filter(|tunlink| tunlink.index.is_none()).map(Tunlink::complaint)
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

    /// Sends packets; the node learns what the kernel refuses.
    pub fn send(&self, now: Instant, node: &mut Node, transmit: &Transmit, contents: &[u8]) -> Sent {
        if let Some(obstacle) = self.obstacle() {
            node.handle_unsent(now, transmit, &obstacle);
            return Sent::Refused;
        }
        let Some(socket) = self.sockets.iter().find(|socket| socket.id == transmit.socket) else {
            return Sent::Taken;
        };
        let before = socket.udp.max_gso_segments();
        let batch = Batch {
            destination: transmit.destination,
            source: transmit.source,
            contents,
            segment_size: transmit.segment_size,
        };
        match socket.udp.send(&batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Blocked,
            Err(error) if sys::udp::is_chance(&error) => log::debug!("to {}: {error}", transmit.destination),
            Err(error) => {
                node.handle_unsent(now, transmit, &in_words(&error));
                return Sent::Refused;
            }
            Ok(()) => {}
        }
        let after = socket.udp.max_gso_segments();
        if after < before {
            node.set_segments(socket.id, after);
        }
        Sent::Taken
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

impl Tunlink {
    fn complaint(&self) -> String {
        format!("there is no device '{}' (option tunlink)", self.name)
    }
}

/// The kernel's words, without their number.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_in_the_words_of_the_kernel_alone() {
        assert_eq!(in_words(&io::Error::other("no way")), "no way");
        let missing = io::Error::from_raw_os_error(2).to_string();
        assert!(missing.starts_with("No such file or directory (os error 2"), "{missing}");
        assert_eq!(in_words(&io::Error::from_raw_os_error(2)), "No such file or directory");
    }
}
