//! The package on emulated routers: two of a kind boot Debian's kernel with the package unpacked into OpenWrt's places, get their
//! keys as a new user's would, and bridge two LANs. Needs the packages: `make packages`.
//!
//! ```text
//!   laptop --- br-lan(1)quicap0    eth0 192.0.2.1 --- 192.0.2.2 eth0    quicap0(2)br-lan --- laptop
//!   10.9.0.101                                                                          10.9.0.102
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "real routers take real time, and their files are made anew each time"
)]

mod emulator;
mod image;

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use emulator::{ARM, Board, MIPS, Router};

fn have(board: &Board) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|dir| Path::new(dir).join(board.qemu).exists())
}

/// Two routers of this kind, whose LANs are one in the end.
fn bridge_two_lans(board: &Board) {
    if !have(board) {
        return println!("skipped: no program '{}'", board.qemu);
    }
    let Some(package) = image::package(board.architecture) else {
        return println!("skipped: no package for {}: make packages", board.architecture);
    };
    let debian = image::debian(board);
    let image = image::make(board, &debian, &package);
    let (kernel, ports) = (debian.join("vmlinuz"), free_ports());
    let boot = |number| Router::boot(board, number, (&kernel, &image), ports);
    let [mut a, mut b] = std::thread::scope(|scope| {
        let other = scope.spawn(move || boot(2));
        [boot(1), other.join().unwrap()]
    });
    let office = Office::new(board);
    for router in [&mut a, &mut b] {
        office.admit(router);
        router.write("/etc/config/quicap", &config(router.number));
        router.ok("quicap check");
        router.ok("/etc/init.d/quicap enable");
        router.ok("/etc/init.d/quicap start");
        // netifd's part, as `list ports 'quicap0'` of br-lan asks for it.
        router.wait("ip link set quicap0 master br-lan");
        router.ok("ip link set quicap0 up");
    }
    for router in [&mut a, &mut b] {
        let took = router.wait("[ $(cat /sys/class/net/quicap0/carrier) = 1 ]");
        println!("router {}: carrier after {took:?}", router.number);
    }
    let ping = laptop("ping -c 5 -W 5 10.9.0.102");
    a.wait(&laptop("ping -c 1 -W 2 10.9.0.102"));
    println!("{}", a.ok(&ping));
    let idle = Memory::of(&mut a);
    load(&mut a, &mut b);
    let loaded = Memory::of(&mut a);
    println!("router 1: idle {idle:?}, after {FILE} bytes each way and pings of 1472 bytes {loaded:?}");
    assert!(idle.now_kib <= IDLE_KIB && loaded.most_kib <= MOST_KIB, "{idle:?}, {loaded:?}");

    // A crash: the other sees it, procd starts the daemon anew, and the TAP has kept its place in the bridge.
    b.ok("kill -STOP $(cat /var/run/procd-quicap/home/supervisor)");
    b.ok("kill -KILL $(cat /var/run/procd-quicap/home/pid)");
    let took = a.wait("[ $(cat /sys/class/net/quicap0/carrier) = 0 ]");
    println!("router 1: carrier off {took:?} after the other's kill -9");
    b.ok("[ -d /sys/class/net/br-lan/brif/quicap0 ]");
    b.ok("kill -CONT $(cat /var/run/procd-quicap/home/supervisor)");
    let took = a.wait("[ $(cat /sys/class/net/quicap0/carrier) = 1 ]");
    println!("router 1: carrier on {took:?} later");
    println!("{}", a.ok(&ping));

    // A change of the configuration reaches the same process; one that is no good changes nothing.
    let pid = a.ok("cat /var/run/procd-quicap/home/pid");
    a.ok("sed -i '/log_level/s/info/debug/' /etc/config/quicap");
    a.ok("/etc/init.d/quicap reload");
    a.wait("quicap status home | grep -q 'loaded [0-3] s ago'");
    a.ok("sed -i '/log_level/s/debug/loud/' /etc/config/quicap");
    a.ok("/etc/init.d/quicap reload");
    a.wait("quicap status home | grep -q \"log_level\"");
    assert_eq!(a.ok("cat /var/run/procd-quicap/home/pid"), pid);
    println!("{}", a.ok(&ping));

    // Stopped, the TAP stays; disabled, it goes.
    a.ok("/etc/init.d/quicap stop");
    a.wait("[ $(cat /sys/class/net/quicap0/carrier) = 0 ]");
    a.ok("/etc/init.d/quicap disable");
    a.wait("[ ! -e /sys/class/net/quicap0 ]");
    println!("-- console of router 1:\n{}\n-- its log:\n{}", a.log(), a.ok("cat /var/log/messages"));
}

/// UDP ports of loopback that nobody has.
fn free_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// The most that the daemon may take.
const IDLE_KIB: usize = 5 << 10;
const MOST_KIB: usize = 8 << 10;

/// What the daemon of a router takes, as its kernel counts it.
#[derive(Debug)]
struct Memory {
    now_kib: usize,
    most_kib: usize,
}

impl Memory {
    fn of(router: &mut Router) -> Self {
        let status = router.ok("cat /proc/$(cat /var/run/procd-quicap/home/pid)/status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of proc(5)");
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        Self { now_kib: field("VmRSS"), most_kib: field("VmHWM") }
    }
}

fn laptop(command: &str) -> String {
    format!("nsenter -t $(cat /var/run/laptop) -n {command}")
}

fn config(number: usize) -> String {
    let other = 3 - number;
    format!(
        "config network 'home'\n\toption enabled '1'\n\toption tap 'quicap0'\n\toption log_level 'info'\n\
         \toption carrier_down_delay '1'\n\
         config peer\n\toption network 'home'\n\toption name 'r{other}'\n\tlist endpoint '192.0.2.{other}'\n"
    )
    .replace('\'', "\"")
}

/// Frames as large as they come, both ways at once: each laptop fetches a file from the other, byte for byte.
fn load(a: &mut Router, b: &mut Router) {
    let sums = [&mut *a, &mut *b].map(|router| {
        router.ok(&format!("mkdir -p /tmp/www; head -c {FILE} /dev/urandom > /tmp/www/file"));
        router.ok(&laptop("httpd -p 8000 -h /tmp/www"));
        router.ok("md5sum < /tmp/www/file")
    });
    for (router, from) in [(&mut *a, 102), (&mut *b, 101)] {
        let fetch = format!("wget -q -O /tmp/got http://10.9.0.{from}:8000/file > /dev/null 2>&1 &");
        router.ok(&laptop(&fetch));
    }
    for (router, sum) in [&mut *a, &mut *b].into_iter().zip(sums.iter().rev()) {
        let took = router.wait(&format!("[ $(wc -c < /tmp/got) = {FILE} ]"));
        println!("router {}: {FILE} bytes fetched within {took:?}", router.number);
        assert_eq!(&router.ok("md5sum < /tmp/got"), sum);
        router.ok("rm -r /tmp/got /tmp/www/file");
    }
    println!("{}", a.ok(&laptop("ping -q -c 200 -i 0.05 -s 1472 10.9.0.102")));
}

/// Bytes; the files are in the routers' memory.
const FILE: usize = 4_000_000;

/// Where the CA is: not on a router. Requests and bundles travel over the consoles, keys do not.
struct Office {
    dir: PathBuf,
}

impl Office {
    fn new(board: &Board) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("office-{}", board.debian));
        let _ = fs::remove_dir_all(&dir);
        quicap(&["ca", "init", "--network", "home", "--dir", dir.to_str().unwrap()], "");
        Self { dir }
    }

    fn admit(&self, router: &mut Router) {
        let name = format!("r{}", router.number);
        let request =
            router.ok(&format!("quicap csr --name {name} --key /etc/quicap/home/node.key 2> /dev/null"));
        let bundle =
            quicap(&["ca", "sign", "--dir", self.dir.to_str().unwrap(), "-", "--bundle", "-"], &request);
        router.write("/tmp/bundle", &bundle);
        println!("{}", router.ok("quicap install home /tmp/bundle"));
    }
}

/// This machine's own.
fn quicap(arguments: &[&str], input: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_quicap"));
    let program = program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut program = program.unwrap();
    program.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "quicap {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_mips_routers_bridge_two_lans() {
    bridge_two_lans(&MIPS);
}

#[test]
fn two_arm_routers_bridge_two_lans() {
    bridge_two_lans(&ARM);
}
