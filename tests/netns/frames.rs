//! What one Ethernet is expected to carry, from laptop to laptop.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ===== QUIC ===== quicap0(b)br-lan --- lb
//! ```

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;

use quicap::cli::demo::json::Json;
use quicap::cli::demo::transfer;

use crate::lab::{self, Lab, Underlay};
use crate::machine;

#[test]
fn full_size_pings_all_cross_over_ipv4_and_ipv6_and_the_bridges_keep_their_mtu() {
    for underlay in [Underlay::V4, Underlay::V6] {
        let Some(lab) = Lab::two_linked_sites(underlay, &[]) else { return };
        assert_eq!(lab.ping("la", "-s 1472 -M do -c 100 -i 0.01 -W 2 10.77.0.2"), (100, 100), "{underlay:?}");
        for site in ["a", "b"] {
            for device in ["br-lan", "quicap0"] {
                let link = lab.ok(&format!("ip -n @{site} -o link show dev {device}"));
                assert!(link.contains(" mtu 1500 "), "{link}");
            }
        }
        let neighbors = lab.ok("ip -n @la neigh show 10.77.0.2 dev eth0");
        assert!(neighbors.contains(&mac_of(&lab, "lb")), "ARP: {neighbors}");
    }
}

#[test]
fn ipv6_neighbors_find_each_other_by_global_and_by_link_local_address() {
    let Some(lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    assert_eq!(lab.ping("la", "-c 10 -i 0.01 -W 2 fd77::2"), (10, 10));
    let neighbors = lab.ok("ip -n @la -6 neigh show fd77::2 dev eth0");
    assert!(neighbors.contains(&mac_of(&lab, "lb")), "ND: {neighbors}");
    let addresses = lab.ok("ip -n @lb -6 -o addr show dev eth0 scope link");
    let local = addresses.split("inet6 ").nth(1).and_then(|rest| rest.split('/').next()).expect(&addresses);
    assert_eq!(lab.ping("la", &format!("-c 10 -i 0.01 -W 2 {local}%eth0")), (10, 10));
    // All nodes of the link answer: a multicast frame crosses.
    assert_eq!(lab.ping("la", "-c 1 -W 2 ff02::1%eth0").1, 1);
}

#[test]
fn a_laptop_gets_its_address_by_dhcp_from_the_other_site() {
    if !machine::have(&["busybox"]) {
        return;
    }
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    lab.ok("ip -n @lb addr flush dev eth0");
    let leases = lab.dir.join("leases");
    std::fs::write(&leases, "").unwrap();
    let config = format!(
        "start 10.77.0.100\nend 10.77.0.120\ninterface eth0\nlease_file {0}\npidfile {0}.pid\n\
         option subnet 255.255.255.0\noption router 10.77.0.1\n",
        leases.display()
    );
    std::fs::write(lab.dir.join("udhcpd.conf"), config).unwrap();
    let server = lab.spawn("ip netns exec @la busybox udhcpd -f udhcpd.conf");
    lab.keep(server);
    let script = "#!/bin/sh\n[ \"$1\" = bound ] && ip addr add \"$ip/24\" dev \"$interface\"\nexit 0\n";
    std::fs::write(lab.dir.join("lease.sh"), script).unwrap();
    lab.ok("chmod +x lease.sh");
    let script = lab.dir.join("lease.sh");
    lab.ok(&format!("ip netns exec @lb busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -s {}", script.display()));
    let addresses = lab.ok("ip -n @lb -4 -o addr show dev eth0");
    let leased = addresses.split("inet ").nth(1).and_then(|rest| rest.split('/').next()).expect("a lease");
    assert!(leased.starts_with("10.77.0.1"), "{addresses}");
    assert_eq!(lab.ping("la", &format!("-c 5 -i 0.01 -W 2 {leased}")), (5, 5));
}

#[test]
fn a_tagged_frame_of_1518_bytes_crosses_byte_for_byte_in_both_directions() {
    if !machine::have(&["python3"]) {
        return;
    }
    let Some(lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    for (from, to, source) in [("la", "lb", "02:00:00:00:0a:01"), ("lb", "la", "02:00:00:00:0b:01")] {
        let frame = tagged_frame(&mac_of(&lab, to), source);
        assert_eq!(frame.len(), 2 * 1518);
        let mut receiver = lab.spawn(&lab.python(to, &format!("receive eth0 {source} 10")));
        let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        lab.ok(&lab.python(from, &format!("send eth0 {frame}")));
        let received = lines.next().expect("a frame within 10 s").unwrap();
        receiver.wait().unwrap();
        assert_eq!(received, frame);
    }
}

#[test]
fn tcp_arrives_byte_for_byte_in_both_directions() {
    let Some(lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    for (from, to, address) in
        [("la", "lb", "10.77.0.2:0"), ("lb", "la", "10.77.0.1:0"), ("la", "lb", "[fd77::2]:0")]
    {
        let (from, to) = (lab.namespace_file(from), lab.namespace_file(to));
        let address: SocketAddr = address.parse().unwrap();
        let report = transfer::run(&from, &to, address, 100_000_000, &mut || false).unwrap();
        println!("TCP to {address}: {report}");
    }
}

#[test]
fn iperf3_at_full_rate_runs_to_its_end_and_pings_survive_beside_it() {
    if !machine::have(&["iperf3"]) {
        return;
    }
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let mut server = lab.spawn("ip netns exec @lb iperf3 -s -1");
    let listens = "ip netns exec @lb ss -Hltn sport = :5201";
    lab.wait(lab::SOON, "iperf3 listens", |lab| !lab.ok(listens).is_empty());
    let mut client = lab.spawn("ip netns exec @la iperf3 -c 10.77.0.2 -t 5 -J");
    let (sent, received) = lab.ping("la", "-c 40 -i 0.1 -W 2 10.77.0.2");
    let mut text = String::new();
    client.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(client.wait().unwrap().success(), "{text}");
    server.wait().unwrap();
    let result = Json::parse(&text).expect("iperf3 -J prints JSON");
    let rate = result.at("end.sum_received.bits_per_second").number().unwrap();
    println!("iperf3: {:.0} Mbit/s, {received} of {sent} pings beside it", rate / 1e6);
    // A tunnel that stalls comes nowhere near; what it should reach is for `make bench`.
    assert!(rate > 10e6, "{rate}");
    assert!(received * 10 >= sent * 9, "{received} of {sent} pings");
    assert_eq!(lab.ping("la", "-c 20 -i 0.01 -W 2 10.77.0.2"), (20, 20), "and nothing is wrong afterwards");
}

fn mac_of(lab: &Lab, laptop: &str) -> String {
    let link = lab.ok(&format!("ip -n @{laptop} -o link show dev eth0"));
    link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

/// 1518 bytes as hex: addresses, VLAN 7 with priority 5, an EtherType for experiments, 1500 bytes that differ.
fn tagged_frame(to: &str, from: &str) -> String {
    let header = format!("{}{}8100a00788b5", to.replace(':', ""), from.replace(':', ""));
    (0..1500u32).fold(header, |frame, at| frame + &format!("{:02x}", (at * 167 + at / 256) % 256))
}
