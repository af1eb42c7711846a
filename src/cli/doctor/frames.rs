//! The frames that `quicap doctor` asks other sites with, and what it reads from those that come.
//!
//! Sends and judges nothing. None of them changes anything where it arrives: an ARP probe (RFC 5227), a neighbor
//! solicitation as of duplicate address detection (RFC 4862, 5.4.2), a router solicitation (RFC 4861, 4.1), a
//! DHCPDISCOVER that no request follows (RFC 2131), and one of our own, to an address that nobody has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::packet::PROBE;
use crate::types::MacAddr;

/// In front of the number of a probe of ours.
const MARK: &[u8; 8] = b"quicap\0d";
const DHCP_MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Where the sender's address is in an Ethernet header.
const SENDER: usize = 6;
/// Frames up to what differs from one to the next; zeros follow.
const PROBE_FRAME: &[u8] = b"\x06\x51\0\0\0\0\0\0\0\0\0\0\x88\xB5quicap\0d";
const ARP_FRAME: &[u8] = b"\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0\0\0\x08\x06\0\x01\x08\0\x06\x04\0\x01";
/// From the unspecified address to the group of all with the same last 3 bytes.
const SOLICITATION_FRAME: &[u8] = b"\x33\x33\xFF\0\0\0\0\0\0\0\0\0\x86\xDD\x60\0\0\0\0\x18\x3A\xFF\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\x02\0\0\0\0\0\0\0\0\0\x01\xFF\0\0\0\x87";
/// From the unspecified address to all routers.
const ROUTER_FRAME: &[u8] = b"\x33\x33\0\0\0\x02\0\0\0\0\0\0\x86\xDD\x60\0\0\0\0\x08\x3A\xFF\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x85\0\x7B\xB8";
/// To all, with the broadcast flag, since who asks cannot take frames for an address that it does not have; the IPv4 packet
/// has the 328 bytes of a message of 300, the shortest that old servers take (RFC 1542, 2.1). UDP over IPv4 needs no
/// checksum.
const DISCOVER_FRAME: &[u8] =
    b"\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0\0\0\x08\0\x45\0\x01\x48\0\0\0\0\x40\x11\x79\xA6\
    \0\0\0\0\xFF\xFF\xFF\xFF\0\x44\0\x43\x01\x34\0\0\x01\x01\x06\0\0\0\0\0\0\0\x80";
/// Magic, DHCPDISCOVER, what is wished for (mask, router), the end.
const DISCOVER: &[u8] = b"\x63\x82\x53\x63\x35\x01\x01\x37\x02\x01\x03\xFF";

/// What a frame says, if it is one that matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// A probe of ours, with its number.
    Probe(u32),
    /// Somebody has this address, or uses it as its own.
    Address(IpAddr),
    /// A DHCP server offers this address of a network with this prefix length to who asked with this number.
    Offer { number: u32, address: Ipv4Addr, prefix: u8 },
    /// A router offers to be one, rather than only naming prefixes.
    Router,
}

/// To an address that nobody has, so that it is flooded, but only a few times (docs/protocol.md, "Owners").
pub fn probe(source: MacAddr, number: u32) -> Vec<u8> {
    let number = number.to_be_bytes();
    frame(PROBE_FRAME, 60, &[(2, &number), (SENDER, &source.0), (22, &number)])
}

/// Asks who has the address, by ARP or as its owner would before it takes it.
pub fn who_has(source: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            frame(ARP_FRAME, 60, &[(SENDER, &source.0), (22, &source.0), (38, &address.octets())])
        }
        IpAddr::V6(address) => {
            let target = address.octets();
            let [.., a, b, c] = target;
            let end = [a, b, c];
            let parts: [(usize, &[u8]); 4] = [(3, &end), (SENDER, &source.0), (51, &end), (62, &target)];
            let mut all = frame(SOLICITATION_FRAME, 78, &parts);
            // The group, the message, and of the pseudo-header what is not zero: length and protocol.
            let sum = checksum(24 + 58, all.get(38..).unwrap_or_default());
            put(&mut all, 56, &sum);
            all
        }
    }
}

pub fn router_solicitation(source: MacAddr) -> Vec<u8> {
    frame(ROUTER_FRAME, 62, &[(SENDER, &source.0)])
}

pub fn discover(source: MacAddr, number: u32) -> Vec<u8> {
    let number = number.to_be_bytes();
    frame(DISCOVER_FRAME, 342, &[(SENDER, &source.0), (46, &number), (70, &source.0), (278, DISCOVER)])
}

/// So long, beginning so, with these parts at these places.
fn frame(start: &[u8], length: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut frame = vec![0; length];
    put(&mut frame, 0, start);
    parts.iter().for_each(|(at, part)| put(&mut frame, *at, part));
    frame
}

fn put(frame: &mut [u8], at: usize, part: &[u8]) {
    for (to, from) in frame.iter_mut().skip(at).zip(part) {
        *to = *from;
    }
}

/// Of the Internet (RFC 1071), over an even number of bytes and a sum of others.
fn checksum(others: u32, bytes: &[u8]) -> [u8; 2] {
    let pairs = bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk());
    let mut sum = others + pairs.map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Who sent a frame, and what it says. Frames come from others: whatever is in them, this is no panic.
pub fn read(frame: &[u8]) -> Option<(MacAddr, Said)> {
    let source = MacAddr(array(frame, 6)?);
    let body = frame.get(14..)?;
    let said = match u16::from_be_bytes(array(frame, 12)?) {
        PROBE => {
            body.strip_prefix(MARK).and_then(|rest| array(rest, 0)).map(u32::from_be_bytes).map(Said::Probe)
        }
        // The sender's address, in requests as in answers; a probe has none.
        0x0806 => array::<4>(body, 14)
            .map(Ipv4Addr::from)
            .filter(|ip| !ip.is_unspecified())
            .map(|ip| Said::Address(ip.into())),
        0x0800 => offer(body.get(28..)?),
        0x86DD => advertisement(body.get(40..)?),
        _ => None,
    };
    Some((source, said?))
}

fn advertisement(message: &[u8]) -> Option<Said> {
    match message.first()? {
        // The lifetime of a router that offers to be one is not 0.
        134 => (array(message, 6)? != [0, 0]).then_some(Said::Router),
        136 => Some(Said::Address(Ipv6Addr::from(array::<16>(message, 8)?).into())),
        _ => None,
    }
}

fn offer(message: &[u8]) -> Option<Said> {
    let mut options = message.get(236..)?.strip_prefix(&DHCP_MAGIC)?;
    let (mut is_offer, mut prefix) = (false, 0);
    while let [kind, length, rest @ ..] = options {
        let value = rest.get(..usize::from(*length)).unwrap_or_default();
        match kind {
            255 => break,
            53 => is_offer = value == [2],
            1 => prefix = array(value, 0).map_or(0, u32::from_be_bytes).leading_ones() as u8,
            _ => {}
        }
        options = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    let (number, address) =
        (u32::from_be_bytes(array(message, 4)?), Ipv4Addr::from(array::<4>(message, 16)?));
    is_offer.then_some(Said::Offer { number, address, prefix })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

    #[test]
    fn a_probe_is_read_back_and_questions_are_no_claims() {
        assert_eq!(read(&probe(ME, 0x0102_0304)), Some((ME, Said::Probe(0x0102_0304))));
        assert_eq!(read(&who_has(ME, "10.0.0.1".parse().unwrap())), None);
        assert_eq!(read(&who_has(ME, "fd77::1".parse().unwrap())), None);
        assert_eq!(read(&router_solicitation(ME)), None);
        assert_eq!(read(&discover(ME, 9)), None);
    }

    #[test]
    fn checksums_are_right_where_they_are() {
        let discover = discover(ME, 9);
        assert_eq!(checksum(0, &discover[14..34]), [0, 0]);
        assert_eq!((discover.len(), &discover[42..46]), (14 + 328, &[1, 1, 6, 0][..]));
        assert_eq!((discover[16..18].to_vec(), discover[38..40].to_vec()), (vec![1, 72], vec![1, 52]));
        for frame in [who_has(ME, "fd77::12:3456".parse().unwrap()), router_solicitation(ME)] {
            let length = usize::from(frame[19]);
            assert_eq!(frame.len(), 54 + length);
            assert_eq!(checksum(length as u32 + 58, &frame[38..]), [0, 0]);
        }
        assert_eq!(who_has(ME, "fd77::12:3456".parse().unwrap())[..6], [0x33, 0x33, 0xFF, 0x12, 0x34, 0x56]);
    }

    /// An answer to [`discover`], as a server makes it.
    fn offered() -> Vec<u8> {
        let mut frame = discover(ME, 9)[..14 + 28 + 240].to_vec();
        frame[14 + 28 + 16..][..4].copy_from_slice(&[192, 168, 1, 50]);
        frame.extend([53, 1, 2, 1, 4, 255, 255, 255, 0, 54, 4, 192, 168, 1, 1, 255]);
        frame
    }

    #[test]
    fn answers_are_read_and_cut_anywhere_are_no_panic() {
        let arp = [&who_has(ME, "10.0.0.1".parse().unwrap())[..28], &[10, 0, 0, 2], &[0; 10]].concat();
        let neighbor =
            [&[0; 12][..], &[0x86, 0xDD], &[0; 40], &[136, 0, 0, 0, 0, 0, 0, 0], &[0xFD; 16]].concat();
        let router = [&[0; 12][..], &[0x86, 0xDD], &[0; 40], &[134, 0, 0, 0, 64, 0, 7, 8]].concat();
        let cases = [
            (arp, Said::Address("10.0.0.2".parse().unwrap())),
            (neighbor, Said::Address(Ipv6Addr::from([0xFD; 16]).into())),
            (router, Said::Router),
            (offered(), Said::Offer { number: 9, address: Ipv4Addr::new(192, 168, 1, 50), prefix: 24 }),
        ];
        for (frame, said) in cases {
            assert_eq!(read(&frame).map(|(_, said)| said), Some(said));
            for end in 0..frame.len() {
                let _ = read(&frame[..end]);
            }
        }
        let mut silent = offered();
        let at = silent.len() - 14;
        silent[at] = 5;
        assert_eq!(read(&silent), None, "an ACK is no offer");
    }
}
