//! What the tunnel looks like from outside: valid QUIC, no IP fragments, and no more bytes than docs/mtu.md says.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ... a wan ---o--- wan b ... quicap0(b)br-lan --- lb      o: capture, MTU 1500 or 1492
//! ```

use std::collections::BTreeMap;

use crate::capture::Capture;
use crate::lab::{self, Lab, Underlay};
use crate::machine;

#[test]
fn full_frames_cross_an_underlay_of_1492_bytes_without_ip_fragments() {
    if !machine::have(&["tcpdump"]) {
        return;
    }
    for underlay in [Underlay::V4, Underlay::V6] {
        let Some(mut lab) = Lab::two_sites(underlay, &[]) else { return };
        for site in ["a", "b"] {
            lab.ok(&format!("ip -n @{site} link set wan mtu 1492"));
        }
        let mut capture = Capture::start(&lab, "1492.pcap");
        lab.start("a");
        lab.start("b");
        lab.wait_linked();
        assert_eq!(lab.ping("la", "-s 1472 -M do -c 100 -i 0.01 -W 2 10.77.0.2"), (100, 100), "{underlay:?}");
        // From docs/mtu.md: the path MTU is found to the last byte.
        let expected = if underlay == Underlay::V4 { 1432.0 } else { 1412.0 };
        lab.wait(lab::SOON, "path MTU is found", |lab| {
            lab.status("a").at("links.0.mtu").number() == Some(expected)
        });
        capture.stop(&lab);
        assert!(capture.count(&lab, "udp port 443") > 400, "two datagrams for each frame, both ways");
        assert_eq!(capture.count_fragments(&lab), 0);
    }
}

#[test]
fn the_underlay_carries_valid_quic_and_each_frame_costs_what_docs_mtu_says() {
    if !machine::have(&["tcpdump", "tshark"]) {
        return;
    }
    for underlay in [Underlay::V4, Underlay::V6] {
        let Some(mut lab) = Lab::two_sites(underlay, &[]) else { return };
        let mut capture = Capture::start(&lab, "quic.pcap");
        lab.start("a");
        lab.start("b");
        lab.wait_linked();
        assert_eq!(lab.ping("la", "-s 1472 -M do -c 20 -i 0.01 -W 2 10.77.0.2"), (20, 20));
        capture.stop(&lab);
        check_quic(&lab, &capture);

        // An IP packet of 1000 bytes makes a frame of 1014.
        let mut capture = Capture::start(&lab, "cost.pcap");
        assert_eq!(lab.ping("la", "-s 972 -M do -c 50 -i 0.02 -W 2 10.77.0.2"), (50, 50));
        capture.stop(&lab);
        check_cost(&capture.fields(&lab, "udp.length > 1000", &["udp.length"]), 1014, underlay);
    }
}

/// Everything on port 443 is QUIC version 1 without a fault, from the first packet on.
fn check_quic(lab: &Lab, capture: &Capture) {
    let packets = capture.count(lab, "udp");
    assert!(packets > 60, "{packets} packets");
    // Before b listens, its kernel answers by ICMP, which quotes datagrams.
    let numbers = |filter: &str| {
        capture.fields(lab, &format!("{filter} and not icmp and not icmpv6"), &["frame.number"])
    };
    assert_eq!(numbers("udp and not quic"), Vec::<Vec<String>>::new());
    assert_eq!(numbers("quic").len(), packets);
    // Warnings say that tshark has no keys, as they must; errors say that a packet is not as it should be.
    assert_eq!(numbers("(_ws.malformed or _ws.expert.severity == error)"), Vec::<Vec<String>>::new());
    let versions = capture.fields(lab, "quic.header_form == 1", &["quic.version"]);
    assert!(versions.len() >= 4, "handshakes of two connections");
    for version in versions.iter().flatten().flat_map(|versions| versions.split(',')) {
        assert_eq!(version, "0x00000001");
    }
    assert_eq!(capture.count_fragments(lab), 0);
}

/// UDP payload = frame + 23 + packet number of 1 to 4 bytes, and more only where an ACK rides along.
fn check_cost(lengths: &[Vec<String>], frame: u32, underlay: Underlay) {
    const UDP_HEADER: u32 = 8;
    let mut costs = BTreeMap::<u32, usize>::new();
    for length in lengths {
        let payload = length[0].parse::<u32>().unwrap() - UDP_HEADER;
        *costs
            .entry(payload.checked_sub(frame).expect("a datagram is larger than its frame"))
            .or_default() += 1;
    }
    println!("{underlay:?}: bytes of UDP payload beyond a frame of {frame}: how often {costs:?}");
    let carried: usize = costs.values().sum();
    assert_eq!(carried, 100, "one datagram for each of 50 pings and answers");
    // The LAN is not silent: now and then a small frame of its own (neighbor discovery, 70 bytes and more) shares the packet.
    let shared: usize = costs.split_off(&(27 + 70)).into_values().sum();
    assert!(shared <= 5, "{shared} packets carry a second frame");
    let (least, most) = (*costs.keys().next().unwrap(), *costs.keys().next_back().unwrap());
    assert!((24..=27).contains(&least), "least {least}");
    let (&usual, _) = costs.iter().max_by_key(|(_, times)| **times).unwrap();
    println!("{underlay:?}: least {least}, usual {usual}, most {most}");
    // An ACK in the same packet is 5 bytes or a few more (docs/mtu.md).
    assert!(most <= 27 + 16, "most {most}");
}
