//! Which way the kernel would send a packet: one question over rtnetlink, answered by its routes and rules.
//! Sends nothing. Read first: `netlink.rs`, rtnetlink(7), ip-rule(8).

use std::io;
use std::net::IpAddr;

use super::netlink::{Request, attributes, i32_at};

/// What the kernel would do with a packet for one destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Number of the device that the packet would leave by.
    pub device: u32,
    /// The address it would be sent from.
    pub source: Option<IpAddr>,
}

/// `struct rtmsg`: family, lengths of both prefixes, TOS, table, protocol, scope, type (1 byte each), flags (4 bytes).
const INFO: usize = 12;

impl Route {
    /// For a packet with this mark (0: none), from a socket that is bound to this device. Fails when there is no route.
    pub fn query(destination: IpAddr, mark: u32, device: Option<u32>) -> io::Result<Self> {
        let answer = question(destination, mark, device).ask()?;
        parse(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn question(destination: IpAddr, mark: u32, device: Option<u32>) -> Request {
    let mut info = [0; INFO];
    let (family, address) = match destination {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    info[0] = family as u8;
    info[1] = 8 * address.len() as u8;
    let mut request = Request::new(libc::RTM_GETROUTE, &info).with(libc::RTA_DST, &address);
    if mark != 0 {
        request = request.with(libc::RTA_MARK, &mark.to_ne_bytes());
    }
    match device {
        Some(device) => request.with(libc::RTA_OIF, &device.to_ne_bytes()),
        None => request,
    }
}

/// `None` for an answer without a device.
fn parse(answer: &[u8]) -> Option<Route> {
    let (mut device, mut source) = (None, None);
    for (kind, value) in attributes(answer.get(INFO..)?) {
        match kind {
            libc::RTA_OIF => device = i32_at(value, 0),
            libc::RTA_PREFSRC => source = address(value),
            _ => {}
        }
    }
    Some(Route { device: u32::try_from(device?).ok()?, source })
}

pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::interface::Interface;

    #[test]
    fn the_way_to_ourselves_is_the_loopback_device() {
        let lo = Interface::query("lo").unwrap().unwrap().index;
        let here = IpAddr::from([127, 0, 0, 1]);
        for device in [None, Some(lo)] {
            let route = Route::query(here, 0x51, device).unwrap();
            assert_eq!(route, Route { device: lo, source: Some(here) });
        }
    }

    #[test]
    fn an_answer_cut_anywhere_is_no_panic() {
        let answer = question(IpAddr::from([127, 0, 0, 1]), 0, None).ask().unwrap();
        assert!(parse(&answer).is_some());
        for end in 0..answer.len() {
            let cut = parse(&answer[..end]);
            assert!(end > INFO || cut.is_none());
        }
    }
}
