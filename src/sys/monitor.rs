//! Hears when addresses, devices, routes and rules change, and tells our own device's changes from those of others.
//! Says only that something changed: what it is like now, others ask. Read first: `netlink.rs`, rtnetlink(7).

use std::io;
use std::ops::BitOrAssign;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::netlink::{self, Message, attributes, i32_at};

/// Reads in one call; the kernel tells about one thing at a time. What is left makes the descriptor readable again.
const READS: usize = 64;
/// One message; those about a device are up to 3 KiB.
const MESSAGE: usize = 8 * 1024;
/// Sizes of `struct ifinfomsg` and `struct rtmsg`, in front of the attributes.
const LINK_INFO: usize = size_of::<libc::ifinfomsg>();
const ROUTE_INFO: usize = 12;

/// What has changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// An address, a device, a route or a rule that has to do with others than our own device.
    pub others: bool,
    /// Our own device, its addresses or the routes over it.
    pub own: bool,
}

impl Changes {
    pub const ALL: Self = Self { others: true, own: true };

    pub fn any(self) -> bool {
        self.others || self.own
    }
}

impl BitOrAssign for Changes {
    fn bitor_assign(&mut self, more: Self) {
        self.others |= more.others;
        self.own |= more.own;
    }
}

/// Readable when something has changed in this network namespace since the last [`Monitor::drain`].
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    pub fn open() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | libc::RTMGRP_IPV4_RULE
            | 1 << (libc::RTNLGRP_IPV6_RULE - 1);
        let socket = netlink::open(groups as u32, libc::SOCK_NONBLOCK)?;
        Ok(Self { socket, buffer: vec![0; MESSAGE] })
    }

    /// Reads what was heard, a bounded number of messages. `own` is the number of our own device.
    pub fn drain(&mut self, own: Option<u32>) -> Changes {
        let mut changes = Changes::default();
        for _ in 0..READS {
            match netlink::receive(&self.socket, &mut self.buffer) {
                Ok(bytes) => {
                    netlink::messages(bytes).for_each(|message| changes |= judge(&message, own));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // There was more than the socket holds, and some of it is lost.
                Err(_) => changes = Changes::ALL,
            }
        }
        changes
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one message is about.
fn judge(message: &Message<'_>, own: Option<u32>) -> Changes {
    let body = message.body;
    let device = match message.kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK if is_no_news(body) => return Changes::default(),
        // `struct ifaddrmsg` has the number in the same place.
        libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR => i32_at(body, 4),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => route_device(body),
        libc::RTM_NEWRULE | libc::RTM_DELRULE => None,
        _ => return Changes::default(),
    };
    let is_own = own.is_some() && device.and_then(|device| u32::try_from(device).ok()) == own;
    Changes { others: !is_own, own: is_own }
}

/// States of a bridge's ports, and what a radio tells about its stations, come as news of a device too.
fn is_no_news(link: &[u8]) -> bool {
    let is_device = link.first() == Some(&(libc::AF_UNSPEC as u8));
    !is_device
        || attributes(link.get(LINK_INFO..).unwrap_or_default()).any(|(kind, _)| kind == libc::IFLA_WIRELESS)
}

fn route_device(route: &[u8]) -> Option<i32> {
    let mut attributes = attributes(route.get(ROUTE_INFO..)?);
    attributes.find(|(kind, _)| *kind == libc::RTA_OIF).and_then(|(_, value)| i32_at(value, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: Changes = Changes { others: true, own: false };
    const OWN: Changes = Changes { others: false, own: true };
    const NOTHING: Changes = Changes { others: false, own: false };

    /// `struct ifinfomsg`, of which `struct ifaddrmsg` is the beginning, about device 7, and one attribute.
    fn device(family: libc::c_int, kind: u16) -> Vec<u8> {
        let mut body = [0; LINK_INFO];
        body[0] = family as u8;
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        [&body[..], &8_u16.to_ne_bytes(), &kind.to_ne_bytes(), &[0; 4]].concat()
    }

    fn route(device: u32) -> Vec<u8> {
        [&[0; ROUTE_INFO][..], &8_u16.to_ne_bytes(), &libc::RTA_OIF.to_ne_bytes(), &device.to_ne_bytes()]
            .concat()
    }

    #[test]
    fn our_own_device_is_told_from_others_and_ports_and_radios_are_no_news() {
        let plain = device(libc::AF_UNSPEC, libc::IFLA_MTU);
        for (kind, body, for_seven, for_eight) in [
            (libc::RTM_NEWLINK, plain.clone(), OWN, OTHERS),
            (libc::RTM_DELLINK, plain, OWN, OTHERS),
            (libc::RTM_NEWLINK, device(libc::AF_BRIDGE, libc::IFLA_MTU), NOTHING, NOTHING),
            (libc::RTM_NEWLINK, device(libc::AF_UNSPEC, libc::IFLA_WIRELESS), NOTHING, NOTHING),
            (libc::RTM_NEWADDR, device(libc::AF_INET, 0), OWN, OTHERS),
            (libc::RTM_DELADDR, device(libc::AF_INET6, 0), OWN, OTHERS),
            (libc::RTM_NEWROUTE, route(7), OWN, OTHERS),
            (libc::RTM_DELROUTE, route(7), OWN, OTHERS),
            (libc::RTM_DELROUTE, vec![0; ROUTE_INFO], OTHERS, OTHERS),
            (libc::RTM_NEWRULE, vec![], OTHERS, OTHERS),
            (libc::RTM_NEWNEIGH, device(libc::AF_INET, 0), NOTHING, NOTHING),
        ] {
            let message = Message { kind, body: &body };
            assert_eq!(judge(&message, Some(7)), for_seven, "{kind}");
            assert_eq!(judge(&message, Some(8)), for_eight, "{kind}");
            assert!(!judge(&message, None).own, "{kind}");
            for end in 0..body.len() {
                judge(&Message { kind, body: &body[..end] }, Some(7));
            }
        }
    }
}
