//! A TCP transfer from laptop to laptop that goes on while a test changes the network under it.
//!
//! Each byte is compared on arrival, and the longest time without any is remembered: how long the user saw nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quicap::sys::netns;

use crate::lab::{Lab, SOON};

/// Sent every 10 ms: 6.4 MB/s, so that a transfer lasts long enough to change something under it.
const CHUNK: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(10);
/// The bytes repeat after this many: a prime, so that no chunk is like another.
const PERIOD: usize = 65_521;
/// TCP doubles its pauses while nothing gets through.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Transfer {
    total: u64,
    progress: Arc<Progress>,
    sender: JoinHandle<io::Result<()>>,
    receiver: JoinHandle<io::Result<()>>,
}

#[derive(Default)]
struct Progress {
    /// Bytes that arrived as they were sent.
    arrived: AtomicU64,
    /// The longest time without any since somebody asked, ms.
    silence: AtomicU64,
}

impl Transfer {
    /// From `la` to `lb`.
    pub fn start(lab: &Lab, bytes: u64) -> Self {
        let (from, to) = (lab.namespace_file("la"), lab.namespace_file("lb"));
        let address = SocketAddr::from(([10, 77, 0, 2], 0));
        let listener = netns::within(&to, || TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = netns::within(&from, || TcpStream::connect_timeout(&address, SOON)).unwrap();
        let (mut incoming, _) = listener.accept().unwrap();
        let progress = Arc::new(Progress::default());
        let watched = progress.clone();
        Self {
            total: bytes,
            progress,
            sender: thread::spawn(move || send(&mut stream, bytes)),
            receiver: thread::spawn(move || receive(&mut incoming, bytes, &watched)),
        }
    }

    fn arrived(&self) -> u64 {
        self.progress.arrived.load(Ordering::Relaxed)
    }

    /// For how long nothing arrived, at the longest, since this was asked the last time.
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.progress.silence.swap(0, Ordering::Relaxed))
    }

    /// Waits until so many bytes more have arrived.
    pub fn wait_more(&self, lab: &mut Lab, bytes: u64) -> Duration {
        let wanted = (self.arrived() + bytes).min(self.total);
        lab.wait(PATIENCE, "the transfer goes on", |_| {
            assert!(!self.receiver.is_finished() || self.arrived() >= wanted, "the transfer has ended early");
            self.arrived() >= wanted
        })
    }

    /// Waits for the last byte; says what [`Transfer::silence`] would.
    pub fn finish(self) -> Duration {
        self.receiver.join().unwrap().expect("all bytes arrive as they were sent");
        self.sender.join().unwrap().expect("all bytes are taken");
        Duration::from_millis(self.progress.silence.load(Ordering::Relaxed))
    }
}

fn pattern() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(PERIOD).collect()
}

/// The bytes at `offset` and after it.
fn expected(pattern: &[u8], offset: u64, length: usize) -> impl Iterator<Item = &u8> {
    pattern.iter().cycle().skip((offset % PERIOD as u64) as usize).take(length)
}

fn send(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let pattern = pattern();
    let mut done = 0;
    while done < bytes {
        let length = CHUNK.min((bytes - done) as usize);
        let chunk: Vec<u8> = expected(&pattern, done, length).copied().collect();
        stream.write_all(&chunk)?;
        done += length as u64;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, bytes: u64, progress: &Progress) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let pattern = pattern();
    let mut buffer = vec![0; CHUNK];
    let (mut done, mut last) = (0, Instant::now());
    while done < bytes {
        let n = stream.read(&mut buffer)?;
        progress.silence.fetch_max(last.elapsed().as_millis() as u64, Ordering::Relaxed);
        last = Instant::now();
        if n == 0 || !buffer[..n].iter().eq(expected(&pattern, done, n)) {
            return Err(io::Error::other(format!("wrong byte or end after byte {done}")));
        }
        done += n as u64;
        progress.arrived.store(done, Ordering::Relaxed);
    }
    Ok(())
}
