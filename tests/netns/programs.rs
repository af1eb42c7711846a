//! What people run in a LAN, Debian's programs and nobody's stand-ins, between the laptops of the first and the fifth site.
//!
//! ```text
//!   ln1 --- 1 - 2 - 4 - 5 --- ln5
//!            `- 3 -/---'
//! ```
//!
//! Each has its files, sockets and ports in the lab: directories that a program insists on are covered by empty ones, which
//! only it sees (`ip netns exec` gives it a mount namespace of its own).

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Ipv6Addr, TcpStream};
use std::process::{Child, ChildStdout};
use std::time::Duration;

use quicap::cli::demo::json::Json;
use quicap::sys::netns;

use crate::lab;
use crate::machine;
use crate::sites::{FIVE, Sites, address, laptop, site};

/// Programs have their own timers, of seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where Debian keeps the daemons of FRR.
const FRR: &str = "/usr/lib/frr";

#[test]
fn dnsmasq_behind_the_first_site_gives_an_address_to_udhcpc_behind_the_fifth() {
    let Some(mut sites) = sites(&["dnsmasq", "busybox"]) else { return };
    sites.lab.ok(&format!("ip -n @{} addr flush dev eth0", laptop(5)));
    let options = "--keep-in-foreground --conf-file=/dev/null --port=0 --user=root --pid-file= --no-ping \
                   --dhcp-range=10.77.0.100,10.77.0.120,1h --interface=eth0 --bind-interfaces";
    let leases = path(&sites, "leases");
    run(&mut sites, 1, &[], &format!("dnsmasq {options} --dhcp-leasefile={leases}"));
    let script = "#!/bin/sh\n[ \"$1\" = bound ] && ip addr add \"$ip/24\" dev \"$interface\"\nexit 0\n";
    write(&sites, "lease.sh", script);
    sites.lab.ok("chmod +x lease.sh");
    let client = format!("busybox udhcpc -i eth0 -n -q -f -t 20 -T 1 -s {}", path(&sites, "lease.sh"));
    sites.lab.ok(&format!("ip netns exec @{} {client}", laptop(5)));
    let addresses = sites.lab.ok(&format!("ip -n @{} -4 -o addr show dev eth0", laptop(5)));
    let leased = addresses.split("inet ").nth(1).and_then(|rest| rest.split('/').next()).expect("a lease");
    println!("laptop 5 has {leased}; dnsmasq noted: {}", read(&sites, "leases").trim());
    assert!(leased.starts_with("10.77.0.1") && read(&sites, "leases").contains(leased), "{addresses}");
    assert_eq!(sites.lab.ping(&laptop(1), &format!("-c 5 -i 0.01 -W 2 {leased}")), (5, 5));
}

#[test]
fn router_advertisements_of_radvd_give_an_ipv6_address_behind_the_fifth_site() {
    let Some(mut sites) = sites(&["radvd"]) else { return };
    sites.lab.ok(&format!("ip netns exec @{} sysctl -qw net.ipv6.conf.all.forwarding=1", laptop(1)));
    let config = "interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;\n\
                  \tprefix fd88::/64 { AdvOnLink on; AdvAutonomous on; }; };\n";
    write(&sites, "radvd.conf", config);
    let pid = path(&sites, "radvd.pid");
    run(&mut sites, 1, &[], &format!("radvd -n -m stderr -C radvd.conf -p {pid}"));
    let look = format!("ip -n @{} -6 -o addr show dev eth0 scope global -tentative", laptop(5));
    let mut found = String::new();
    let took = lab::until(PATIENCE, "an address by SLAAC", || {
        let addresses = sites.lab.ok(&look);
        let address = addresses.split_whitespace().find(|word| word.starts_with("fd88::"));
        found = address.unwrap_or_default().trim_end_matches("/64").to_owned();
        !found.is_empty()
    });
    println!("laptop 5 has {found} after {took:?}");
    sites.lab.ok(&format!("ip -n @{} addr add fd88::1/64 dev eth0 nodad", laptop(1)));
    assert_eq!(sites.lab.ping(&laptop(1), &format!("-c 5 -i 0.01 -W 2 {found}")), (5, 5));
    let route = sites.lab.ok(&format!("ip -n @{} -6 route show default", laptop(5)));
    assert!(route.contains("proto ra"), "{route}");
}

#[test]
fn avahi_finds_the_name_and_the_service_of_a_laptop_behind_another_site() {
    let programs = ["avahi-daemon", "avahi-resolve", "avahi-publish", "avahi-browse", "dbus-daemon"];
    let Some(mut sites) = sites(&programs) else { return };
    [1, 5].into_iter().for_each(|number| start_avahi(&mut sites, number));
    let asks = |number: usize, line: &str| {
        let bus = path(&sites, &format!("bus{number}"));
        format!(
            "ip netns exec @{} env DBUS_SYSTEM_BUS_ADDRESS=unix:path={bus} timeout 5 {line}",
            laptop(number)
        )
    };
    let says = |line: &str| String::from_utf8_lossy(&sites.lab.run(line).stdout).into_owned();
    let resolve = asks(1, "avahi-resolve -4 -n laptop5.local");
    let took = lab::until(PATIENCE, "the name is found", || says(&resolve).contains(&address(5)));
    println!("laptop5.local is {} after {took:?}", address(5));
    let publish = asks(5, "avahi-publish -s shop _http._tcp 8080").replace("timeout 5", "timeout 60");
    let browse = asks(1, "avahi-browse -rtp _http._tcp");
    let publisher = sites.lab.spawn(&publish);
    let mut services = String::new();
    let took = lab::until(PATIENCE, "the service is found", || {
        services = says(&browse);
        services.lines().any(|line| line.starts_with('=') && line.contains(";laptop5.local;"))
    });
    println!("its service after {took:?}: {}", services.lines().last().unwrap_or_default());
    sites.lab.keep(publisher);
}

/// With a bus of its own.
fn start_avahi(sites: &mut Sites, number: usize) {
    let bus = path(sites, &format!("bus{number}"));
    let allow = "<allow user='*'/><allow own='*'/><allow send_destination='*'/><allow receive_sender='*'/>";
    write(
        sites,
        &format!("bus{number}.conf"),
        &format!(
            "<busconfig><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>\
             <policy context='default'>{allow}</policy></busconfig>\n"
        ),
    );
    let options = "--nofork --nopidfile --nosyslog";
    run(sites, number, &[], &format!("dbus-daemon --config-file=bus{number}.conf {options}"));
    lab::until(lab::SOON, "the bus is there", || fs::exists(&bus).unwrap());
    write(
        sites,
        &format!("avahi{number}.conf"),
        &format!(
            "[server]\nhost-name=laptop{number}\nallow-interfaces=eth0\n[publish]\npublish-workstation=no\n"
        ),
    );
    let config = path(sites, &format!("avahi{number}.conf"));
    let daemon = "avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f";
    let bus = format!("DBUS_SYSTEM_BUS_ADDRESS=unix:path={bus}");
    run(sites, number, &["/run/avahi-daemon"], &format!("env {bus} {daemon} {config}"));
}

#[test]
fn ospf_of_frr_behind_two_sites_becomes_full() {
    let Some(mut sites) = sites(&["vtysh", "zebra", "ospfd"]) else { return };
    // It gives up being root, and has to come to its directory.
    sites.lab.ok("chmod 711 .");
    for number in [1, 5] {
        let dir = path(&sites, &format!("frr{number}"));
        sites.lab.ok(&format!("install -d -o frr -g frr {dir}"));
        let config = format!(
            "interface eth0\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n ip ospf area 0\n\
             router ospf\n ospf router-id {}\n",
            address(number)
        );
        write(&sites, &format!("frr{number}/ospfd.conf"), &config);
        write(&sites, &format!("frr{number}/zebra.conf"), "");
        for daemon in ["zebra", "ospfd"] {
            let files =
                format!("-f {dir}/{daemon}.conf -i {dir}/{daemon}.pid -z {dir}/zserv --vty_socket {dir}");
            let line = format!("{FRR}/{daemon} {files} -P 0 --log stdout");
            run(&mut sites, number, &["/var/tmp/frr", "/run/frr"], &line);
            lab::until(lab::SOON, "it runs", || fs::exists(format!("{dir}/{daemon}.vty")).unwrap());
        }
    }
    for (number, other) in [(1, 5), (5, 1)] {
        let look = format!("vtysh --vty_socket frr{number} -c 'show ip ospf neighbor json'");
        let state = || {
            let text = String::from_utf8(sites.lab.run_in_shell(&look).stdout).unwrap();
            let json = Json::parse(&text).unwrap_or(Json::Null);
            // The names are addresses, with dots in them.
            let Json::Object(members) = json.at("neighbors") else { return String::new() };
            let found = members.iter().find(|(name, _)| *name == address(other));
            found.map(|(_, one)| one.at("0.nbrState").text().to_owned()).unwrap_or_default()
        };
        let took = lab::until(PATIENCE, "the neighbor is full", || state().starts_with("Full"));
        println!("laptop {number}: neighbor {} is {} after {took:?}", address(other), state());
    }
}

#[test]
fn babeld_behind_two_sites_sees_its_neighbor_both_ways() {
    let Some(mut sites) = sites(&["babeld"]) else { return };
    const PORT: u16 = 33123;
    for number in [1, 5] {
        let settings = "-C 'skip-kernel-setup true' -C 'interface eth0 hello-interval 1' \
                        -C 'redistribute local deny' -C 'install deny'";
        let [state, pid] = ["state", "pid"].map(|name| path(&sites, &format!("babel{number}.{name}")));
        let line = format!("babeld {settings} -S {state} -I {pid} -g {PORT}");
        run(&mut sites, number, &[], &line);
    }
    for number in [1, 5] {
        let namespace = sites.lab.namespace_file(&laptop(number));
        let mut neighbor = String::new();
        let took = lab::until(PATIENCE, "the neighbor is heard and hears", || {
            let dump = netns::within(&namespace, || ask_babel(PORT)).unwrap_or_default();
            neighbor =
                dump.lines().find(|line| line.starts_with("add neighbour")).unwrap_or_default().to_owned();
            neighbor.contains(" rxcost 96 txcost 96 ")
        });
        println!("laptop {number}, after {took:?}: {neighbor}");
    }
}

/// What it knows.
fn ask_babel(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port))?;
    stream.write_all(b"dump\nquit\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn spanning_tree_stays_in_its_lan_and_other_groups_do_not() {
    let Some(sites) = sites(&["python3"]) else { return };
    // A configuration BPDU, and the same to a group that is not reserved.
    let bpdu = "0026424203000000000080000200000000010000000080000200000000018001000014000200 0f00";
    let source = "02:00:00:00:00:01";
    let frame = |to: &str| format!("{to}{}{:0<120}", source.replace(':', ""), bpdu.replace(' ', ""));
    let mut receivers: Vec<Child> = (2..=5)
        .map(|number| {
            sites.lab.spawn(&sites.lab.python(&laptop(number), &format!("receive eth0 {source} 10")))
        })
        .collect();
    let mut lines: Vec<_> = receivers.iter_mut().map(lines_of).collect();
    lines.iter_mut().for_each(|lines| assert_eq!(lines.next().unwrap().unwrap(), "ready"));
    let reserved = sites.counter(1, "drops.reserved");
    let send = |to: &str| sites.lab.ok(&sites.lab.python(&laptop(1), &format!("send eth0 {}", frame(to))));
    send("0180c2000000");
    lab::until(lab::SOON, "the node has seen it", || sites.counter(1, "drops.reserved") > reserved);
    send("0180c2000010");
    for (number, lines) in (2..).zip(&mut lines) {
        let received = lines.next().expect("a frame within 10 s").unwrap();
        assert_eq!(received, frame("0180c2000010"), "the first that came to laptop {number}");
    }
    receivers.iter_mut().for_each(|child| drop(child.wait()));
    println!("{}: {} frames to reserved groups kept in the LAN", site(1), sites.counter(1, "drops.reserved"));
}

fn lines_of(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

/// The five, if the machine has these programs.
fn sites(programs: &[&str]) -> Option<Sites> {
    if !machine::have(programs) {
        return None;
    }
    let mut sites = Sites::build(5, &FIVE, &[])?;
    (1..=5).for_each(|number| sites.start(number));
    sites.wait_whole(&[1, 2, 3, 4, 5], lab::SOON);
    Some(sites)
}

/// A program behind a site, as long as the lab lasts, with empty directories in place of those beside `covered`.
fn run(sites: &mut Sites, number: usize, covered: &[&str], line: &str) {
    let cover = |dir: &&str| {
        format!("mount -t tmpfs -o mode=1777 none {} && mkdir -m 1777 -p {dir} && ", parent(dir))
    };
    let covers: String = covered.iter().map(cover).collect();
    let program = line.split(' ').find(|word| !word.contains('=') && *word != "env").unwrap();
    let script = format!("{}{number}.sh", program.rsplit('/').next().unwrap());
    write(sites, &script, &format!("{covers}exec {line} >>programs.log 2>&1\n"));
    let child = sites.lab.spawn(&format!("ip netns exec @{} sh {script}", laptop(number)));
    sites.lab.keep(child);
}

fn parent(dir: &str) -> &str {
    dir.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

fn path(sites: &Sites, name: &str) -> String {
    sites.lab.dir.join(name).display().to_string()
}

fn write(sites: &Sites, name: &str, text: &str) {
    fs::write(sites.lab.dir.join(name), text).unwrap();
}

fn read(sites: &Sites, name: &str) -> String {
    fs::read_to_string(sites.lab.dir.join(name)).unwrap_or_default()
}
