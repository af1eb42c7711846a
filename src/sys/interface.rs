//! What the kernel knows about network devices: questions over rtnetlink.
//!
//! Not sysfs: `/sys` shows the network namespace of whoever mounted it, and a jail may lack it. Asks only; nothing is
//! changed here. Read first: `netlink.rs`, rtnetlink(7).

use std::ffi::{CStr, c_char};
use std::io;

use super::netlink::{Request, attributes, i32_at};
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
    /// Of a port of a bridge: what spanning tree lets it do, as `BR_STATE_...` of linux/if_bridge.h.
    pub port: Option<u8>,
    /// It is a bridge that speaks spanning tree.
    pub stp: bool,
}

/// The port forwards; the states below it are on the way there, the one above it is blocked.
pub const FORWARDING: u8 = 3;
pub const BLOCKING: u8 = 4;

/// `IFLA_BRPORT_STATE` and `IFLA_BR_STP_STATE` of linux/if_link.h, the same everywhere; libc has neither.
const PORT_STATE: u16 = 1;
const STP_STATE: u16 = 5;

/// `struct ifinfomsg`: family, padding, type (2 bytes), index, flags, change (4 bytes each).
const INFO: usize = size_of::<libc::ifinfomsg>();

impl Interface {
    /// `None` when there is no device of that name in this network namespace.
    pub fn query(name: &str) -> io::Result<Option<Self>> {
        match question(name).ask() {
            Ok(answer) => Ok(parse(&answer)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Numbers of the devices with these names, and of all that what is sent on them may leave by one of those: the bridge
/// that one is a port of, VLANs on top of it, VLANs on top of that bridge, and so on.
pub fn leading_into(names: &[&str]) -> io::Result<Vec<u32>> {
    let mut rest = Vec::new();
    Request::new(libc::RTM_GETLINK, &[0; INFO]).ask_all(&mut |answer| rest.extend(Place::parse(answer)))?;
    let mut inside: Vec<u32> = rest
        .iter()
        .filter(|device| names.contains(&device.name.as_str()))
        .map(|device| device.index)
        .collect();
    loop {
        let masters = rest.iter().filter(|port| inside.contains(&port.index)).filter_map(|port| port.master);
        let above = rest.iter().filter(|device| device.below.is_some_and(|below| inside.contains(&below)));
        let mut found: Vec<u32> = masters.chain(above.map(|device| device.index)).collect();
        found.retain(|index| !inside.contains(index));
        if found.is_empty() {
            return Ok(inside);
        }
        inside.extend(found);
        inside.sort_unstable();
        inside.dedup();
    }
}

/// Where a device stands among the others.
struct Place {
    index: u32,
    name: String,
    master: Option<u32>,
    /// The device that this one is on top of.
    below: Option<u32>,
}

impl Place {
    fn parse(answer: &[u8]) -> Option<Self> {
        let index = number(answer, 4)?;
        let mut place = Self { index, name: String::new(), master: None, below: None };
        let mut elsewhere = false;
        for (kind, value) in attributes(answer.get(INFO..)?) {
            match kind {
                libc::IFLA_IFNAME => {
                    place.name =
                        String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
                }
                libc::IFLA_MASTER => place.master = number(value, 0),
                libc::IFLA_LINK => place.below = number(value, 0),
                // The number is one of another namespace.
                libc::IFLA_LINK_NETNSID => elsewhere = true,
                _ => {}
            }
        }
        place.below = place.below.filter(|_| !elsewhere);
        Some(place)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    u32::try_from(i32_at(bytes, at)?).ok()
}

fn question(name: &str) -> Request {
    let name = [name.as_bytes(), &[0]].concat();
    Request::new(libc::RTM_GETLINK, &[0; INFO]).with(libc::IFLA_IFNAME, &name)
}

/// `None` for an answer that is too short to be one.
fn parse(answer: &[u8]) -> Option<Interface> {
    let flags = i32_at(answer, 8)?;
    let mut interface =
        Interface { index: number(answer, 4)?, up: flags & libc::IFF_UP != 0, ..Interface::default() };
    let mut master = None;
    for (kind, value) in attributes(answer.get(INFO..)?) {
        match kind {
            libc::IFLA_MTU => interface.mtu = i32_at(value, 0)? as u32,
            libc::IFLA_CARRIER => interface.carrier = value.first() == Some(&1),
            libc::IFLA_ADDRESS => interface.mac = value.try_into().ok().map(MacAddr),
            libc::IFLA_MASTER => master = number(value, 0),
            libc::IFLA_LINKINFO => parse_kind(value, &mut interface),
            _ => {}
        }
    }
    interface.bridge = master.filter(|_| interface.port.is_some()).and_then(name_of);
    Some(interface)
}

/// What kind of device it is, and what kind of port: kinds come before what belongs to them.
fn parse_kind(link_info: &[u8], interface: &mut Interface) {
    let (mut bridge, mut port) = (false, false);
    let is_bridge = |value: &[u8]| value.strip_suffix(&[0]) == Some(b"bridge");
    let byte = |data, wanted| {
        let found = attributes(data).find(|(kind, _)| *kind == wanted);
        found.and_then(|(_, value)| value.first().copied())
    };
    for (kind, value) in attributes(link_info) {
        match kind {
            libc::IFLA_INFO_KIND => bridge = is_bridge(value),
            libc::IFLA_INFO_SLAVE_KIND => {
                port = is_bridge(value);
                interface.port = port.then_some(0);
            }
            libc::IFLA_INFO_DATA if bridge => {
                interface.stp = byte(value, STP_STATE).is_some_and(|on| on != 0)
            }
            libc::IFLA_INFO_SLAVE_DATA if port => interface.port = byte(value, PORT_STATE).or(Some(0)),
            _ => {}
        }
    }
}

/// Name of the device with this number.
pub fn name_of(index: u32) -> Option<String> {
    let mut name = [0 as c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may write, and is terminated when it succeeds.
    unsafe {
        let found = libc::if_indextoname(index, name.as_mut_ptr());
        (!found.is_null()).then(|| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
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
        let answer = question("lo").ask().unwrap();
        let whole = parse(&answer);
        assert!(whole.is_some());
        for end in 0..answer.len() {
            let cut = parse(&answer[..end]);
            assert!(end >= INFO || cut.is_none());
        }
    }
}
