//! Floods of UDP datagrams from many addresses: garbage, and valid first packets of QUIC connections that nobody
//! finishes. They run on threads of the test with sockets made in the attacker's namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{array, fs};

use quicap::limits;
use quicap::link::transport::{self, Transports};
use quicap::pki::clock::WallClock;
use quicap::pki::identity::Identity;
use quicap::pki::tls::{self, Suites};
use quicap::pki::verify::Trust;
use quicap::sys::netns;
use quinn_proto::Endpoint;
use quinn_udp::{Transmit, UdpSocketState};

use crate::lab::Lab;

/// Addresses that the attacker sends from: 198.18.0.0/16.
pub const NETWORK: &str = "198.18.0.0/16";

/// A flood that runs until it is stopped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

/// What a flood came to.
pub struct Sent {
    pub datagrams: u64,
    pub per_second: u64,
}

impl Flood {
    /// Sends these datagrams in turn, at most so many a second, each from another address.
    pub fn start(lab: &Lab, from: &str, to: SocketAddr, datagrams: Vec<Vec<u8>>, rate: u32) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
        let socket = netns::within(&lab.namespace_file(from), bind).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || flood(&socket, to, &datagrams, rate, &told));
        Self { stop, thread }
    }

    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn flood(socket: &UdpSocket, to: SocketAddr, datagrams: &[Vec<u8>], rate: u32, stop: &AtomicBool) -> Sent {
    /// Datagrams between looks at the clock.
    const BURST: u32 = 20;
    let state = UdpSocketState::new(socket.into()).unwrap();
    let start = Instant::now();
    let mut sent = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            let source = Ipv4Addr::from(0xC612_0001 + sent.wrapping_mul(40_503) % 0xFFFE);
            let contents = &datagrams[sent as usize % datagrams.len()];
            let src_ip = Some(IpAddr::V4(source));
            let transmit = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip };
            state.try_send(socket.into(), &transmit).unwrap();
            sent += 1;
        }
        let due = start + Duration::from_secs(1) * sent / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let datagrams = u64::from(sent);
    Sent { datagrams, per_second: datagrams * 1000 / start.elapsed().as_millis() as u64 }
}

/// What no connection can be made of: noise, and beginnings of QUIC packets of all kinds.
pub fn garbage() -> Vec<Vec<u8>> {
    const STARTS: [&[u8]; 7] = [
        b"",
        b"\x40",
        b"\x7f\0\x01",
        b"\xc3\0\0\0\x01\x08",
        b"\xc3\0\0\0\x01\x02",
        b"\xe0\0\0\0\x01\x02",
        b"\xc0\xfa\xce\xb0\x0c\x08",
    ];
    const SIZES: [usize; 6] = [1, 21, 100, 600, 1200, 1400];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut byte = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as u8
    };
    let mut one = |n: usize| {
        let mut bytes = STARTS[n % STARTS.len()].to_vec();
        bytes.extend((0..SIZES[n % SIZES.len()]).map(|_| byte()));
        bytes
    };
    (0..5000).map(&mut one).collect()
}

/// First datagrams of as many connections, as `site` would open them.
pub fn initials(lab: &Lab, site: &str, to: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    let [cert, key, ca] =
        ["node.crt", "node.key", "ca.crt"].map(|name| fs::read(lab.dir.join(site).join(name)).unwrap());
    let identity = Identity::from_pem(&cert, &key).unwrap();
    let trust = Arc::new(Trust::from_pem("home", &ca, None).unwrap());
    let clock = WallClock::new(0, false);
    let crypto = tls::client_config(&identity, trust, clock, Suites::AesFirst, None, false).unwrap();
    let config = Transports::new(&limits::SERVER).client(to, crypto);
    let mut endpoint = Endpoint::new(transport::endpoint(array::from_fn(|n| n as u8)), None, true, None);
    let now = Instant::now();
    let mut dial = || {
        let (_, mut quinn) = endpoint.connect(now, config.clone(), to, "x").unwrap();
        let mut bytes = Vec::new();
        let size = quinn.poll_transmit(now, 1, &mut bytes).unwrap().size;
        bytes.truncate(size);
        bytes
    };
    (0..count).map(|_| dial()).collect()
}
