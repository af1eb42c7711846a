//! The TAP, routes and changes against a real kernel: each test runs itself again as root in a fresh network namespace with its own `/sys`.
#![allow(clippy::disallowed_methods, reason = "reads what the kernel shows under /sys, and waits for it")]

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quicap::sys::Error;
use quicap::sys::interface::{self, Interface};
use quicap::sys::monitor::{Changes, Monitor};
use quicap::sys::route::Route;
use quicap::sys::tun::{self, Removed, Tap, Written};
use quicap::sys::wait::{Interest, Waiter};
use smol::Async;

const INSIDE: &str = "QUICAP_TEST_INSIDE";
const TAP: &str = "qt0";

/// Runs `body` in a namespace of its own, after the shell commands `before` there; `wrapper` starts it.
fn isolated(test: &str, before: &str, wrapper: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if let Some(reason) = obstacle() {
        return println!("skipped: {reason}");
    }
    let script = format!("set -e; mount -t sysfs none /sys; ip link set lo up; {before}\nexec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", &script, "sh"]).args(wrapper);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "--nocapture", test]).env(INSIDE, "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn obstacle() -> Option<&'static str> {
    let works = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !Path::new("/dev/net/tun").exists() {
        Some("no /dev/net/tun")
    } else if !works(Command::new("ip").arg("-V")) {
        Some("no ip command: install iproute2")
    } else if !works(
        Command::new("unshare").args(["--net", "--mount", "mount", "-t", "sysfs", "none", "/sys"]),
    ) {
        Some("no network namespaces here: run as root")
    } else {
        None
    }
}

/// Runs `ip` with these words.
fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn open(mtu: Option<u16>) -> Tap {
    Tap::open(TAP, mtu, 100).unwrap()
}

/// What the kernel shows under `/sys/class/net/DEVICE/`.
fn shown(device: &str, file: &str) -> String {
    std::fs::read_to_string(format!("/sys/class/net/{device}/{file}")).unwrap().trim().to_owned()
}

/// Waits for what the kernel does in its own time.
fn becomes(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn broadcast(payload: usize) -> Vec<u8> {
    let mut frame = vec![0xFF; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 0x88, 0xB5]);
    frame.resize(14 + payload, 0x55);
    frame
}

#[test]
fn a_tap_keeps_name_and_number_when_it_is_opened_again_and_has_no_carrier_after_each_open() {
    let test = "a_tap_keeps_name_and_number_when_it_is_opened_again_and_has_no_carrier_after_each_open";
    isolated(test, "", &[], || {
        let tap = open(None);
        let first = tap.interface().unwrap();
        assert!(!first.up, "nobody but netifd sets it up");
        assert_eq!((first.mac, tap.mac()), (tap.mac(), first.mac));
        assert_eq!(shown(TAP, "tx_queue_len"), "100");
        ip("link set qt0 up");
        drop(tap);
        for _ in 0..3 {
            let raised = shown(TAP, "carrier_up_count");
            let tap = open(None);
            assert_eq!(shown(TAP, "carrier"), "0");
            assert_eq!(shown(TAP, "carrier_up_count"), raised, "not even for a moment");
            assert!(!tap.interface().unwrap().carrier);
            tap.set_carrier(true).unwrap();
            assert_eq!(shown(TAP, "carrier"), "1");
            tap.set_carrier(false).unwrap();
            assert_eq!(shown(TAP, "carrier"), "0");
            tap.set_carrier(true).unwrap();
            let now = tap.interface().unwrap();
            assert_eq!((now.index, now.mac, now.up, now.carrier), (first.index, first.mac, true, true));
            drop(tap);
            assert_eq!(shown(TAP, "carrier"), "0");
        }
    });
}

#[test]
fn only_a_tap_that_nobody_has_open_is_removed() {
    let test = "only_a_tap_that_nobody_has_open_is_removed";
    isolated(test, "ip link add br0 type bridge", &[], || {
        assert_eq!(tun::remove(TAP).unwrap(), Removed::Absent);
        let tap = open(None);
        ip("link set qt0 master br0");
        assert!(matches!(tun::remove(TAP), Err(Error::DeviceBusy { .. })));
        assert!(Path::new("/sys/class/net/br0/brif/qt0").exists());
        drop(tap);
        assert!(Path::new("/sys/class/net/br0/brif/qt0").exists(), "closed, it stays where it is");
        assert_eq!(tun::remove(TAP).unwrap(), Removed::Gone);
        assert!(!Path::new("/sys/class/net/qt0").exists());
        assert!(matches!(tun::remove("br0"), Err(Error::NotTap { .. })));
        assert!(Path::new("/sys/class/net/br0").exists());
    });
}

#[test]
fn the_mtu_is_set_when_given_and_else_left_alone() {
    isolated("the_mtu_is_set_when_given_and_else_left_alone", "", &[], || {
        assert_eq!(open(None).mtu().unwrap(), 1500);
        assert_eq!(open(Some(1400)).mtu().unwrap(), 1400);
        let tap = open(None);
        assert_eq!((tap.mtu().unwrap(), shown(TAP, "mtu").as_str()), (1400, "1400"));
        tap.set_mtu(1422).unwrap();
        assert_eq!((tap.mtu().unwrap(), tap.interface().unwrap().mtu), (1422, 1422));
        let error = tap.set_mtu(20).unwrap_err().to_string();
        assert!(error.contains("qt0") && error.contains("MTU to 20"), "{error}");
    });
}

#[test]
fn frames_go_both_ways_and_behind_what_the_buffer_holds() {
    isolated("frames_go_both_ways_and_behind_what_the_buffer_holds", "", &[], || {
        let tap = Async::new(open(None)).unwrap();
        ip("link set qt0 up");
        ip("addr add 192.0.2.1/24 dev qt0");
        tap.get_ref().set_carrier(true).unwrap();
        becomes("link up", || shown(TAP, "operstate") == "up");
        let received = || shown(TAP, "statistics/rx_packets").parse::<u64>().unwrap();
        let before = received();
        assert_eq!(tap.get_ref().send(&broadcast(1504)).unwrap(), Written::Taken);
        becomes("the frame is counted", || received() > before);
        std::net::UdpSocket::bind("192.0.2.1:0").unwrap().send_to(b"x", "192.0.2.2:9").unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        let arp = smol::block_on(async {
            loop {
                tap.readable().await.unwrap();
                buffer.clear();
                buffer.reserve(2048);
                buffer.extend_from_slice(b"head");
                while let Some(n) = tap.get_ref().recv(&mut buffer).unwrap() {
                    assert_eq!(buffer.len(), 4 + n);
                    if buffer[4..10] == [0xFF; 6] && buffer[16..18] == [8, 6] {
                        return buffer.clone();
                    }
                    buffer.truncate(4);
                }
            }
        });
        assert_eq!((&arp[..4], &arp[42..46]), (&b"head"[..], &[192, 0, 2, 2][..]));
        assert_eq!(Some(&arp[10..16]), tap.get_ref().mac().as_ref().map(|mac| &mac.0[..]));
    });
}

#[test]
fn a_device_that_is_down_loses_the_frame_and_nothing_else() {
    isolated("a_device_that_is_down_loses_the_frame_and_nothing_else", "", &[], || {
        let tap = open(None);
        let mut buffer = BytesMut::with_capacity(2048);
        for _ in 0..2 {
            assert_eq!(tap.send(&broadcast(100)).unwrap(), Written::DeviceDown);
            assert_eq!(tap.recv(&mut buffer).unwrap(), None);
            ip("link set qt0 up");
            assert_eq!(tap.send(&broadcast(100)).unwrap(), Written::Taken);
            assert_eq!(tap.send(&[1, 2, 3]).unwrap(), Written::Refused);
            ip("link set qt0 down");
        }
    });
}

#[test]
fn a_device_deleted_under_us_wakes_the_reader_and_says_so() {
    isolated("a_device_deleted_under_us_wakes_the_reader_and_says_so", "", &[], || {
        let tap = Async::new(open(None)).unwrap();
        ip("link set qt0 up");
        let mut buffer = BytesMut::with_capacity(2048);
        while tap.get_ref().recv(&mut buffer).unwrap().is_some() {
            buffer.clear();
            buffer.reserve(2048);
        }
        let deleter = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            ip("link del qt0");
        });
        let error = smol::block_on(async {
            loop {
                tap.readable().await.unwrap();
                buffer.clear();
                buffer.reserve(2048);
                if let Err(error) = tap.get_ref().recv(&mut buffer) {
                    return error;
                }
            }
        });
        deleter.join().unwrap();
        let tap = tap.get_ref();
        assert_eq!(error.to_string(), "device 'qt0' was deleted");
        let deleted = |error: Option<Error>| matches!(error, Some(Error::DeviceDeleted { .. }));
        assert!(deleted(tap.send(&broadcast(100)).err()));
        assert!(deleted(tap.set_carrier(true).err()));
        assert!(deleted(tap.mtu().err()));
        assert_eq!(tap.interface(), None);
        assert!(open(None).interface().is_some(), "it can be made anew");
    });
}

#[test]
fn a_port_of_a_bridge_stays_one_over_close_and_open_and_the_bridge_keeps_its_mtu() {
    let test = "a_port_of_a_bridge_stays_one_over_close_and_open_and_the_bridge_keeps_its_mtu";
    let bridge = "ip link add br0 type bridge; ip link add d0 type veth peer name d1; ip link set d0 master br0 up; ip link set br0 up";
    isolated(test, bridge, &[], || {
        let tap = open(Some(1500));
        assert_eq!(tap.bridge(), None);
        ip("link set qt0 master br0 up");
        drop(tap);
        for carrier in [false, true] {
            let tap = open(Some(1500));
            tap.set_carrier(carrier).unwrap();
            assert_eq!(tap.bridge().as_deref(), Some("br0"));
            assert_eq!(shown("br0", "mtu"), "1500");
            let expected = if carrier { "3" } else { "0" };
            becomes("the port forwards with carrier only", || shown(TAP, "brport/state") == expected);
        }
        ip("link set qt0 nomaster");
        assert_eq!(open(None).bridge(), None);
    });
}

#[test]
fn names_that_are_taken_are_refused_with_the_reason() {
    let taken = "ip link add d0 type veth peer name d1; ip tuntap add dev tun0 mode tun";
    isolated("names_that_are_taken_are_refused_with_the_reason", taken, &[], || {
        let _tap = open(None);
        for (name, reason) in [(TAP, "in use by another process"), ("d0", "not a TAP"), ("tun0", "not a TAP")]
        {
            let error = Tap::open(name, None, 100).err().unwrap().to_string();
            assert!(error.contains(reason) && error.contains(&format!("'{name}'")), "{error}");
        }
        assert!(Interface::query("tun0").unwrap().is_some());
    });
}

#[test]
fn a_process_without_rights_is_told_which() {
    let wrapper = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    isolated("a_process_without_rights_is_told_which", "", &wrapper, || {
        let error = Tap::open(TAP, None, 100).err().unwrap();
        assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"));
    });
}

#[test]
fn a_kernel_without_the_driver_is_told_what_to_install() {
    let before = "mount -t tmpfs none /dev/net";
    isolated("a_kernel_without_the_driver_is_told_what_to_install", before, &[], || {
        let error = Tap::open(TAP, None, 100).err().unwrap();
        assert!(matches!(error, Error::NoDriver), "{error}");
        assert!(error.to_string().contains("kmod-tun"));
    });
}

/// Number of the device of that name.
fn index(name: &str) -> u32 {
    Interface::query(name).unwrap().unwrap().index
}

#[test]
fn the_way_to_a_destination_follows_routes_marks_and_the_bound_device() {
    let before = "for n in 0 1 2; do ip link add d$n type veth peer name e$n; ip link set e$n up; ip link set d$n up; done; \
        ip addr add 192.0.2.1/24 dev d0; ip addr add 198.51.100.1/24 dev d1; ip addr add 203.0.113.1/24 dev d2; \
        ip -6 addr add 2001:db8::1/64 dev d0 nodad; ip -6 addr add 2001:db8:1::1/64 dev d1 nodad; \
        ip route add default via 192.0.2.9; ip -6 route add default via 2001:db8::9; \
        ip route add default via 198.51.100.9 table 51; ip rule add fwmark 0x51 table 51; \
        ip -6 route add default via 2001:db8:1::9 table 51; ip -6 rule add fwmark 0x51 table 51; \
        ip route add unreachable 10.9.0.0/16";
    isolated("the_way_to_a_destination_follows_routes_marks_and_the_bound_device", before, &[], || {
        let way = |to: &str, mark: u32, device: Option<u32>| {
            let route = Route::query(to.parse().unwrap(), mark, device).ok()?;
            Some((interface::name_of(route.device)?, route.source?.to_string()))
        };
        let expect = |device: &str, source: &str| Some((device.to_owned(), source.to_owned()));
        for (to, mark, device, expected) in [
            ("192.0.2.7", 0, None, expect("d0", "192.0.2.1")),
            ("8.8.8.8", 0, None, expect("d0", "192.0.2.1")),
            ("8.8.8.8", 0x51, None, expect("d1", "198.51.100.1")),
            ("8.8.8.8", 0x52, None, expect("d0", "192.0.2.1")),
            ("8.8.8.8", 0, Some("d2"), expect("d2", "203.0.113.1")),
            ("2001:4860::8888", 0, None, expect("d0", "2001:db8::1")),
            ("2001:4860::8888", 0x51, None, expect("d1", "2001:db8:1::1")),
            ("192.0.2.1", 0, None, expect("lo", "192.0.2.1")),
            ("10.9.1.1", 0, None, None),
        ] {
            assert_eq!(way(to, mark, device.map(index)), expected, "{to} {mark} {device:?}");
        }
    });
}

#[test]
fn what_leads_into_the_tap_is_its_bridge_and_what_stands_on_both_but_no_other_port() {
    let bridges = "for n in br0 br1 br2; do ip link add $n type bridge; done; ip link add d0 type veth peer name d1; \
        ip link set d0 master br0; ip link add br0.7 link br0 type macvlan; \
        ip link add m0 link br0.7 type macvlan; ip link add d1.8 link d1 type macvlan";
    let test = "what_leads_into_the_tap_is_its_bridge_and_what_stands_on_both_but_no_other_port";
    isolated(test, bridges, &[], || {
        let _tap = open(None);
        let inside = || {
            let found = interface::leading_into(&[TAP, "absent"]).unwrap();
            let mut names: Vec<String> = found.into_iter().filter_map(interface::name_of).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(inside(), "qt0");
        ip("link add qt0.10 link qt0 type macvlan");
        assert_eq!(inside(), "qt0 qt0.10");
        ip("link set qt0.10 master br1");
        assert_eq!(inside(), "br1 qt0 qt0.10");
        ip("link del qt0.10");
        assert_eq!(inside(), "qt0");
        ip("link set qt0 master br0");
        assert_eq!(inside(), "br0 br0.7 m0 qt0");
        ip("link set qt0 nomaster");
        assert_eq!(inside(), "qt0");
        assert_eq!(interface::leading_into(&["absent"]).unwrap(), []);
    });
}

/// What was heard, and whether the descriptor said so.
fn heard(monitor: &mut Monitor, own: u32) -> Changes {
    let mut changes = Changes::default();
    let mut waiter = Waiter::default();
    loop {
        waiter.clear();
        waiter.add(monitor.as_fd(), Interest::Read);
        waiter.wait(false).unwrap();
        if !waiter.is_ready(0) {
            return changes;
        }
        changes |= monitor.drain(Some(own));
    }
}

#[test]
fn changes_are_heard_and_those_of_our_own_device_are_told_from_others() {
    let before = "ip link add d0 type veth peer name d1; ip link add br0 type bridge";
    let test = "changes_are_heard_and_those_of_our_own_device_are_told_from_others";
    isolated(test, before, &[], || {
        let tap = open(None);
        let own = tap.interface().unwrap().index;
        let mut monitor = Monitor::open().unwrap();
        // The kernel has told what a command does when the command ends.
        for words in [
            "link set qt0 mtu 1400",
            "link set qt0 up",
            "addr add 203.0.113.1/24 dev qt0",
            "route add 198.51.100.0/24 dev qt0",
            "link set qt0 down",
        ] {
            ip(words);
            assert_eq!(heard(&mut monitor, own), Changes { own: true, others: false }, "{words}");
        }
        for words in [
            "link set qt0 master br0",
            "link set d1 up",
            "link set d0 up",
            "addr add 192.0.2.1/24 dev d0",
            "-6 addr add 2001:db8::1/64 dev d0 nodad",
            "route add 198.51.100.0/24 dev d0",
            "route del 198.51.100.0/24 dev d0",
            "rule add fwmark 0x51 table 51",
            "-6 rule add fwmark 0x51 table 51",
            "addr del 192.0.2.1/24 dev d0",
            "link set d0 down",
            "link del d0",
        ] {
            ip(words);
            assert!(heard(&mut monitor, own).others, "{words}");
        }
        ip("link del qt0");
        assert!(heard(&mut monitor, own).own);
    });
}

#[test]
fn more_changes_than_the_kernel_keeps_for_us_count_as_a_change_of_everything() {
    let test = "more_changes_than_the_kernel_keeps_for_us_count_as_a_change_of_everything";
    isolated(test, "ip link add d0 type veth peer name d1; ip link set d0 up", &[], || {
        let mut monitor = Monitor::open().unwrap();
        let routes = "for n in $(seq 0 3999); do echo route add 10.$((n / 250)).$((n % 250)).0/24 dev d0; done | ip -batch -";
        assert!(Command::new("sh").args(["-c", routes]).status().unwrap().success());
        assert_eq!(heard(&mut monitor, u32::MAX), Changes::ALL, "though nothing was our own");
        assert_eq!(heard(&mut monitor, u32::MAX), Changes::default());
        ip("addr add 192.0.2.1/24 dev d0");
        assert!(heard(&mut monitor, u32::MAX).others, "it goes on hearing");
    });
}
