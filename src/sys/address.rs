//! Addresses of a device: one question over rtnetlink. Changes none. Read first: `netlink.rs`, rtnetlink(7).

use std::net::IpAddr;

use super::netlink::{Request, attributes, i32_at};

/// `struct ifaddrmsg`: family, prefix length, flags, scope (1 byte each), number of the device (4 bytes).
const INFO: usize = 8;

/// Addresses of the device with this number that count beyond its link, and their prefix lengths.
pub fn of(device: u32) -> Vec<(IpAddr, u8)> {
    let mut found = Vec::new();
    // Who may not ask has none.
    let _ = Request::new(libc::RTM_GETADDR, &[0; INFO])
        .ask_all(&mut |answer| found.extend(parse(answer, device)));
    found
}

fn parse(answer: &[u8], device: u32) -> Option<(IpAddr, u8)> {
    let &[_, prefix, _, scope, ..] = answer else { return None };
    if scope != libc::RT_SCOPE_UNIVERSE || i32_at(answer, 4)? != device as i32 {
        return None;
    }
    let (mut local, mut other) = (None, None);
    for (kind, value) in attributes(answer.get(INFO..)?) {
        match kind {
            libc::IFA_LOCAL => local = super::route::address(value),
            libc::IFA_ADDRESS => other = super::route::address(value),
            _ => {}
        }
    }
    // Of a device with an other end, that is IFA_ADDRESS; IPv6 has no IFA_LOCAL else.
    Some((local.or(other)?, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cut_anywhere_is_no_panic_and_counts_only_for_its_device() {
        // 192.0.2.1/24 with scope universe on device 7; IFA_LOCAL.
        let answer = [&[2, 24, 0, 0][..], &7u32.to_ne_bytes(), &8u16.to_ne_bytes(), &2u16.to_ne_bytes()];
        let answer = [answer.concat(), vec![192, 0, 2, 1]].concat();
        assert_eq!(parse(&answer, 7), Some((IpAddr::from([192, 0, 2, 1]), 24)));
        assert_eq!(parse(&answer, 8), None);
        for end in 0..answer.len() {
            assert_eq!(parse(&answer[..end], 7), None);
        }
    }
}
