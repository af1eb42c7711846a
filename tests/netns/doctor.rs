//! `quicap doctor`: a healthy mesh has nothing but ok, and each fault that it knows is made and found, one test for each.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ... a wan --- wan b ... quicap0(b)br-lan --- lb
//!          10.77.0.101     192.0.2.1   192.0.2.2     10.77.0.102
//! ```

use std::fs;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use quicap::cli::demo::json::Json;

use crate::cgroup::Group;
use crate::lab::{self, Lab, Underlay};
use crate::machine;

const PAGE: &str = include_str!("../../docs/doctor.md");
/// What a run may take, with room for a busy machine; doctor itself promises 10 seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// One run: its findings, and whether it said by its exit code that there is no fault.
struct Report {
    findings: Vec<(String, String, String)>,
    is_well: bool,
}

fn line(site: &str) -> String {
    format!("ip netns exec @{site} quicap doctor --config {site}/quicap --socket {site}/quicap.sock --json")
}

fn doctor(lab: &Lab, site: &str) -> Report {
    doctor_by(lab, &line(site))
}

fn doctor_by(lab: &Lab, line: &str) -> Report {
    let began = Instant::now();
    let output = lab.run(line);
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    let text = String::from_utf8(output.stdout).unwrap();
    let json = Json::parse(&text).unwrap_or_else(|| panic!("no JSON: {text}"));
    let word = |finding: &Json, name: &str| finding.at(name).text().to_owned();
    let finding = |own: &Json| (word(own, "check"), word(own, "result"), word(own, "text"));
    let findings: Vec<_> = json.at("findings").items().iter().map(finding).collect();
    for (check, ..) in &findings {
        assert!(PAGE.contains(&format!("\n| `{check}` |")), "docs/doctor.md has no row for {check}");
    }
    let faults = findings.iter().filter(|(_, result, _)| result == "fault").count();
    assert_eq!(json.at("faults").number(), Some(faults as f64));
    let code = output.status.code();
    assert_eq!(code, Some(i32::from(faults > 0)), "{text}");
    assert!(!text.contains("PRIVATE KEY"));
    Report { findings, is_well: code == Some(0) }
}

impl Report {
    /// That there is a line of this check with this result and these words.
    fn has(&self, check: &str, result: &str, words: &str) {
        let fits =
            |(a, b, text): &(String, String, String)| a == check && b == result && text.contains(words);
        assert!(self.findings.iter().any(fits), "no {check} {result} {words}: {:#?}", self.findings);
        assert_eq!(self.is_well, !self.findings.iter().any(|(_, result, _)| result == "fault"));
    }

    /// That nothing but these checks has anything else than ok.
    fn only(&self, checks: &[&str]) {
        let odd = |(check, result, _): &&(String, String, String)| {
            result != "ok" && !checks.contains(&check.as_str())
        };
        assert_eq!(self.findings.iter().find(odd), None);
    }
}

/// Two linked sites, whose routers have addresses in the LAN.
fn linked() -> Option<Lab> {
    let mut lab = Lab::two_linked_sites(Underlay::V4, &[])?;
    address(&lab);
    lab.wait_ping(lab::SOON);
    reached(&mut lab);
    Some(lab)
}

fn address(lab: &Lab) {
    for (site, number) in [("a", 101), ("b", 102)] {
        lab.ok(&format!("ip -n @{site} addr add 10.77.0.{number}/24 dev br-lan"));
        lab.ok(&format!("ip -n @{site} addr add fd77::{number}/64 dev br-lan nodad"));
    }
}

/// Waits until both connections are up: each side has then reached the other's port.
fn reached(lab: &mut Lab) {
    for site in ["a", "b"] {
        lab.wait(lab::SOON, "two connections", |lab| {
            lab.status(site).at("links.0.connections").items().len() == 2
        });
    }
}

/// Drops what comes to UDP port 443 of a site, as a firewall does.
fn block(lab: &Lab, site: &str) {
    for rule in [
        "add pref 10 lookup local",
        "add pref 5 iif wan ipproto udp dport 443 blackhole",
        "del pref 0 lookup local",
    ] {
        lab.ok(&format!("ip -n @{site} rule {rule}"));
    }
}

fn serve_dhcp(lab: &mut Lab, namespace: &str, device: &str, range: &str) {
    let options =
        "--keep-in-foreground --conf-file=/dev/null --port=0 --user=root --pid-file= --bind-interfaces";
    let leases = lab.dir.join(format!("leases-{namespace}"));
    let line = format!(
        "ip netns exec @{namespace} dnsmasq {options} --interface={device} --dhcp-range={range},1h --dhcp-leasefile={}",
        leases.display()
    );
    let child = lab.spawn(&line);
    lab.keep(child);
    let listens = format!("ip netns exec @{namespace} grep -q :0043 /proc/net/udp");
    lab.wait(lab::SOON, "dnsmasq listens", |lab| lab.run(&listens).status.success());
}

#[test]
fn a_healthy_mesh_is_ok_in_every_line_and_is_not_disturbed() {
    let Some(lab) = linked() else { return };
    let mut pings = lab.spawn(&lab::ping_line("la", "-q -c 300 -i 0.02 -W 2 10.77.0.2"));
    for site in ["a", "b"] {
        let report = doctor(&lab, site);
        report.only(&[]);
        for check in [
            "config",
            "files",
            "daemon",
            "clock",
            "port",
            "memory",
            "peer",
            "mtu",
            "certificate",
            "key",
            "cpu",
            "bridge",
            "loop",
            "address",
            "subnet",
            "dhcp",
            "router",
        ] {
            report.has(check, "ok", "");
        }
    }
    pings.wait().unwrap();
    let mut text = String::new();
    pings.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(lab::parse_ping(&text), Some((300, 300)), "{text}");
    let drops = lab.status("b");
    assert_eq!(drops.at("drops.no_route").number(), Some(0.0));
    assert_eq!(drops.at("counters.macs_frozen").number(), Some(0.0));
    let table = lab.ok(&line("a").replace(" --json", ""));
    assert!(table.lines().count() >= 17 && table.lines().all(|line| line.starts_with("ok ")), "{table}");
    print!("{table}");
}

#[test]
fn without_a_daemon_it_says_so_and_looks_at_the_files() {
    let Some(lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    let report = doctor(&lab, "a");
    report.has("daemon", "fault", "no daemon for network 'home'");
    report.has("bridge", "warning", "there is no device quicap0");
    report.has("probe", "warning", "no carrier");
    for check in ["config", "clock", "memory", "certificate", "key", "port", "cpu"] {
        report.has(check, "ok", "");
    }
    report.only(&["daemon", "bridge", "probe"]);
}

#[test]
fn a_configuration_that_is_wrong_and_one_that_was_refused_are_found() {
    let Some(lab) = linked() else { return };
    lab.configure("a", &[("listen_port", "99999")]);
    doctor(&lab, "a").has("config", "fault", "'99999' is not a UDP port");
    let mut lab = lab;
    lab.configure("a", &[]);
    lab.shell("mv a/ca.crt a/gone");
    lab.signal("a", "HUP");
    lab.wait(lab::SOON, "the reload is refused", |lab| !lab.status("a").at("config.error").text().is_empty());
    doctor(&lab, "a").has("config", "fault", "the last reload was refused");
}

/// With another clock, `faketime`'s way.
fn at(site: &str, time: &str) -> String {
    line(site).replace(" quicap ", &format!(" faketime -f {time} quicap "))
}

#[test]
fn a_clock_that_cannot_be_right_is_found() {
    if !machine::have(&["faketime"]) {
        return;
    }
    let Some(lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    let report = doctor_by(&lab, &at("a", "-20000d"));
    report.has("clock", "warning", "NTP has not answered yet");
    report.has("certificate", "ok", "");
}

#[test]
fn certificates_that_end_or_have_ended_are_found_own_and_ca() {
    if !machine::have(&["faketime", "openssl"]) {
        return;
    }
    let Some(lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    doctor_by(&lab, &at("a", "+1080d")).has("certificate", "warning", "our certificate expires in 15 days");
    let report = doctor_by(&lab, &at("a", "+1100d"));
    report.has("certificate", "fault", "certificate expired");
    report.has("key", "ok", "");
    // The same CA for a shorter time than it has signed for.
    lab.shell("openssl x509 -in ca/ca.crt -signkey ca/ca.key -days 20 -out b/ca.crt 2>/dev/null");
    doctor(&lab, "b").has("certificate", "warning", "our certificate's CA expires in 20 days");
    let report = doctor_by(&lab, &at("b", "+30d"));
    assert!(report.findings.iter().any(|(check, result, _)| check == "certificate" && result == "fault"));
}

#[test]
fn a_key_that_others_may_read_is_found() {
    let Some(lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    lab.ok("chmod 644 a/node.key");
    let report = doctor(&lab, "a");
    report.has("key", "fault", "others may read the key (mode 0644)");
    report.only(&["daemon", "bridge", "probe", "key"]);
}

#[test]
fn a_port_that_another_program_has_is_found() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    lab.start("a");
    let report = doctor_by(&lab, &line("a").replace("a/quicap.sock", "a/other.sock"));
    report.has("port", "fault", "UDP 443 is in use by another program");
    report.has("daemon", "fault", "no socket at a/other.sock");
}

#[test]
fn a_firewall_before_the_port_is_found() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    block(&lab, "a");
    lab.start("a");
    lab.start("b");
    lab.wait_linked();
    address(&lab);
    let report = doctor(&lab, "a");
    report.has("port", "warning", "nobody has reached this node's port");
    report.only(&["port"]);
    doctor(&lab, "b").has("port", "ok", "a has reached it");
}

#[test]
fn udp_that_is_blocked_to_a_peer_is_found() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    block(&lab, "a");
    block(&lab, "b");
    lab.start("a");
    lab.start("b");
    lab.wait(lab::SOON, "the reason is known", |lab| lab.link("a").1.contains("UDP blocked"));
    let report = doctor(&lab, "a");
    report.has("peer", "fault", "b: no answer from 192.0.2.2:443 (UDP blocked?)");
    report.has("probe", "warning", "no carrier");
}

#[test]
fn a_path_that_carries_little_either_way_is_found() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    for site in ["a", "b"] {
        lab.ok(&format!("ip -n @{site} link set wan mtu 1300"));
        lab.start(site);
    }
    lab.wait_linked();
    address(&lab);
    // 1300 less IP and UDP (docs/mtu.md), and what QUIC keeps for itself.
    let expected = Some(f64::from(1300 - 28 - 32));
    for field in ["links.0.mtu", "links.0.rx_mtu"] {
        lab.wait(lab::SOON, field, |lab| lab.status("a").at(field).number() == expected);
    }
    doctor(&lab, "a").has("mtu", "ok", "being measured");
    lab.wait(Duration::from_secs(60), "it is measured", |lab| {
        lab.status("a").at("uptime_s").number() > Some(40.0)
    });
    let report = doctor(&lab, "a");
    report.has("mtu", "warning", "b: 1240 bytes there, 1240 back");
    report.only(&["mtu"]);
}

#[test]
fn a_tap_that_is_not_where_it_should_be_is_found() {
    let Some(lab) = linked() else { return };
    lab.ok("ip -n @a link set quicap0 nomaster");
    doctor(&lab, "a").has("bridge", "fault", "quicap0 is in no bridge and has no address");
    lab.ok("ip -n @a link set quicap0 down");
    doctor(&lab, "a").has("bridge", "fault", "quicap0 is down: nobody has set it up");
    lab.ok("ip -n @a link set quicap0 mtu 1400 up");
    lab.ok("ip -n @a link set quicap0 master br-lan");
    doctor(&lab, "a").has("bridge", "warning", "MTU 1400, STP off: the TAP lowers it");
}

#[test]
fn spanning_tree_that_keeps_the_tap_from_forwarding_is_found() {
    let Some(lab) = linked() else { return };
    lab.ok("ip -n @a link set br-lan type bridge stp_state 1 forward_delay 1500");
    lab.ok("ip -n @a link set quicap0 nomaster");
    lab.ok("ip -n @a link set quicap0 master br-lan");
    let report = doctor(&lab, "a");
    report.has("bridge", "warning", "STP on: waits before it forwards");
}

#[test]
fn spanning_tree_that_blocks_the_tap_since_there_is_a_cable_is_found() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[("stp_pass", "1")]) else { return };
    hush(&lab);
    for (site, priority) in [("a", 60000), ("b", 100)] {
        let stp = format!("stp_state 1 priority {priority} forward_delay 200 hello_time 100");
        lab.ok(&format!("ip -n @{site} link set br-lan type bridge {stp}"));
    }
    lab.ok("ip -n @a link add lan2 type veth peer name lan2 netns @b");
    for site in ["a", "b"] {
        lab.ok(&format!("ip -n @{site} link set lan2 master br-lan up"));
        lab.ok(&format!("bridge -n @{site} link set dev quicap0 cost 2000"));
    }
    let look = "bridge -n @a link show dev quicap0";
    lab.wait(Duration::from_secs(30), "the TAP is blocked", |lab| lab.ok(look).contains("state blocking"));
    doctor(&lab, "a").has("bridge", "warning", "STP on: spanning tree blocks the TAP");
}

#[test]
fn an_address_that_two_routers_have_is_found() {
    let Some(lab) = linked() else { return };
    lab.ok("ip -n @b addr add 10.77.0.101/24 dev br-lan");
    let report = doctor(&lab, "a");
    report.has("address", "fault", "10.77.0.101 is ours, and is used at b (");
    report.only(&["address"]);
    lab.ok("ip -n @b addr del 10.77.0.101/24 dev br-lan");
    lab.ok("ip -n @b addr add fd77::101/64 dev br-lan nodad");
    doctor(&lab, "a").has("address", "fault", "fd77::101 is ours, and is used at b (");
}

#[test]
fn a_second_dhcp_server_is_found_and_a_single_one_is_not() {
    if !machine::have(&["dnsmasq"]) {
        return;
    }
    let Some(mut lab) = linked() else { return };
    serve_dhcp(&mut lab, "b", "br-lan", "10.77.0.120,10.77.0.130");
    let report = doctor(&lab, "a");
    report.has("dhcp", "ok", "one server for all sites: b (");
    report.only(&[]);
    serve_dhcp(&mut lab, "a", "br-lan", "10.77.0.140,10.77.0.150");
    let report = doctor(&lab, "a");
    report.has("dhcp", "fault", "several servers in one LAN: b (");
    report.only(&["dhcp"]);
    let leases = fs::read_to_string(lab.dir.join("leases-b")).unwrap_or_default();
    assert_eq!(
        leases.lines().filter(|line| line.contains("10.77.0.1")).count(),
        0,
        "nothing was leased: {leases}"
    );
}

#[test]
fn a_dhcp_server_in_the_lan_here_counts_as_one_too() {
    if !machine::have(&["dnsmasq"]) {
        return;
    }
    let Some(mut lab) = linked() else { return };
    serve_dhcp(&mut lab, "la", "eth0", "10.77.0.120,10.77.0.130");
    doctor(&lab, "a").has("dhcp", "ok", "nothing odd was heard");
    serve_dhcp(&mut lab, "lb", "eth0", "10.77.0.140,10.77.0.150");
    doctor(&lab, "a").has("dhcp", "fault", "another machine here");
}

#[test]
fn another_subnet_at_another_site_is_found_by_its_dhcp_server_and_by_who_speaks() {
    if !machine::have(&["dnsmasq"]) {
        return;
    }
    let Some(mut lab) = linked() else { return };
    lab.ok("ip -n @lb addr add 10.88.0.2/24 dev eth0");
    let speaks = lab.spawn("ip netns exec @lb ping -q -i 0.5 -I 10.88.0.2 10.88.0.77");
    lab.keep(speaks);
    let report = doctor(&lab, "a");
    report.has("subnet", "warning", "uses 10.88.0.2, in no subnet of ours");
    report.only(&["subnet"]);
    lab.ok("ip -n @b addr add 10.88.0.1/24 dev br-lan");
    lab.ok("ip -n @b addr del 10.77.0.102/24 dev br-lan");
    serve_dhcp(&mut lab, "b", "br-lan", "10.88.0.100,10.88.0.120");
    let report = doctor(&lab, "a");
    report.has("subnet", "fault", "hands out 10.88.0.1");
    report.has("subnet", "fault", "/24, in no subnet of ours");
}

#[test]
fn a_router_that_announces_itself_from_another_site_is_found() {
    if !machine::have(&["radvd"]) {
        return;
    }
    let Some(mut lab) = linked() else { return };
    lab.ok("ip netns exec @b sysctl -qw net.ipv6.conf.all.forwarding=1");
    let config = "interface br-lan { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;\n\
                  \tprefix fd88::/64 { AdvOnLink on; AdvAutonomous on; }; };\n";
    fs::write(lab.dir.join("radvd.conf"), config).unwrap();
    let pid = lab.dir.join("radvd.pid");
    let child = lab.spawn(&format!("ip netns exec @b radvd -n -m stderr -C radvd.conf -p {}", pid.display()));
    lab.keep(child);
    lab.wait(lab::SOON, "radvd runs", |_| pid.exists());
    let report = doctor(&lab, "a");
    report.has("router", "warning", "b (");
    report.only(&["router"]);
}

/// Nothing that would go round in a circle for ever but what the test sends.
fn hush(lab: &Lab) {
    for namespace in ["a", "b", "la", "lb"] {
        lab.ok(&format!("ip netns exec @{namespace} sysctl -qw net.ipv6.conf.all.disable_ipv6=1"));
        lab.ok(&format!("ip netns exec @{namespace} sysctl -qw net.ipv6.conf.default.disable_ipv6=1"));
    }
}

#[test]
fn a_second_cable_between_the_sites_is_found_and_nothing_is_sent_to_all() {
    let Some(lab) = linked() else { return };
    hush(&lab);
    lab.ok("ip -n @a link add lan2 type veth peer name lan2 netns @b");
    for site in ["a", "b"] {
        lab.ok(&format!("ip -n @{site} link set lan2 master br-lan up"));
    }
    let mut lab = lab;
    for site in ["a", "b"] {
        let look = format!("bridge -n @{site} link show dev lan2");
        lab.wait(lab::SOON, "the cable is plugged in", |lab| lab.ok(&look).contains("state forwarding"));
    }
    let before = lab.status("a").at("counters.tap_rx_frames").number().unwrap();
    let report = doctor(&lab, "a");
    report.has("loop", "fault", "came back by lan2: the sites are joined by a second way");
    report.has("probe", "warning", "there is a loop");
    let after = lab.status("a").at("counters.tap_rx_frames").number().unwrap();
    assert!(after - before < 20.0, "the probe ends by itself: {} frames", after - before);
    lab.ok("ip -n @a link set lan2 down");
    doctor(&lab, "a").has("loop", "ok", "none found");
}

#[test]
fn the_bridge_of_one_site_behind_another_is_found() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    hush(&lab);
    let mac = lab.ok("ip netns exec @a cat /sys/class/net/br-lan/address");
    lab.ok("ip -n @lb link set eth0 down");
    lab.ok(&format!("ip -n @lb link set eth0 address {} up", mac.trim()));
    // The router is silent but for what doctor asks, so the other one is heard last.
    let speaks = lab.spawn(&lab.python("lb", "number eth0 900 50"));
    lab.keep(speaks);
    // An address that moves 6 times in 20 seconds is made to stay; what it did before must not count.
    thread::sleep(Duration::from_secs(21));
    doctor(&lab, "a").has("loop", "fault", "seems to be behind b");
    // Both speak.
    lab.ok("ip -n @a addr add 10.77.0.101/24 dev br-lan");
    let speaks = lab.spawn("ip netns exec @a ping -q -i 0.2 10.77.0.78");
    lab.keep(speaks);
    lab.wait(lab::SOON, "it flaps", |lab| lab.log("a").contains("mac_flap"));
    let report = doctor(&lab, "a");
    let odd = report.findings.iter().find(|(check, ..)| check == "loop").unwrap();
    assert!(odd.2.contains("mac_flap") || odd.2.contains("seems to be behind b"), "{odd:?}");
}

#[test]
fn memory_that_is_not_enough_is_found() {
    const LITTLE: u64 = 10 << 20;
    if !machine::have(&["nsenter"]) {
        return;
    }
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    let group = match Group::with_memory(LITTLE) {
        Ok(group) => group,
        Err(reason) => return machine::skip(&reason),
    };
    // `ip netns exec` would hide the limit: it mounts a /sys of its own.
    let enter = format!("nsenter --net={} ", lab.namespace_file("a").display());
    let run = Lab::run_line("a").replace("ip netns exec @a ", &enter);
    lab.spawn_daemon_by("a", &group.wrap(&run));
    lab.wait_tap("a");
    lab.start("b");
    lab.wait_linked();
    doctor(&lab, "a").has("memory", "fault", "of 10240 KiB");
    doctor(&lab, "b").has("memory", "ok", "KiB");
    lab.kill9("a");
}
