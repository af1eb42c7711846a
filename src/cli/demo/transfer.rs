//! Bytes through a TCP connection between two network namespaces, each of them checked on arrival: what the demo
//! shows in place of iperf3, and what tests rely on to notice a single wrong byte.
//!
//! Judges no speed. Read first: `sys/netns.rs`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys::netns;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the receiver looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(200);
/// A transfer that brings nothing for this long has failed.
const STALLED: Duration = Duration::from_secs(15);
const BLOCK: usize = 64 * 1024;

/// A transfer that arrived whole.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub bytes: u64,
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(1e-9);
        let megabytes = self.bytes as f64 / 1e6;
        let rate = megabytes / seconds;
        write!(f, "{megabytes:.0} MB in {seconds:.2} s, {rate:.0} MB/s ({:.0} Mbit/s)", rate * 8.0)
    }
}

/// Sends `bytes` bytes from the namespace of `from` to `address` in the namespace of `to`; both are files in
/// `/run/netns`. `stop` is asked now and then, and true ends the transfer.
///
/// # Errors
/// No connection, a byte that is not the one sent, an end before the last byte, nothing for 15 s, or `stop`.
pub fn run(
    from: &Path,
    to: &Path,
    address: SocketAddr,
    bytes: u64,
    stop: &mut dyn FnMut() -> bool,
) -> io::Result<Report> {
    let listener = netns::within(to, || TcpListener::bind(address))?;
    let address = listener.local_addr()?;
    let mut sender = netns::within(from, || TcpStream::connect_timeout(&address, CONNECT_TIMEOUT))?;
    let (mut receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let wake = sender.try_clone()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(&mut sender, bytes));
        let received = receive(&mut receiver, bytes, stop);
        // The sender may be waiting for room that nobody will make any more.
        let _ = wake.shutdown(Shutdown::Both);
        let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let took = received?;
        sent.map(|()| Report { bytes, took })
    })
}

fn send(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let mut pattern = Pattern::new();
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        pattern.fill(&mut block[..n]);
        stream.write_all(&block[..n])?;
        left -= n as u64;
    }
    Ok(())
}

/// Says how long it took from the first byte wanted to the last byte checked.
#[allow(clippy::disallowed_methods, reason = "a real transfer takes real time")]
fn receive(stream: &mut TcpStream, bytes: u64, stop: &mut dyn FnMut() -> bool) -> io::Result<Duration> {
    let start = Instant::now();
    let mut pattern = Pattern::new();
    let (mut got, mut wanted) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut done = 0;
    let mut last = start;
    while done < bytes {
        let room = usize::try_from(bytes - done).unwrap_or(BLOCK).min(BLOCK);
        match stream.read(&mut got[..room]) {
            Ok(0) => {
                return Err(io::Error::other(format!("the connection ended after {done} of {bytes} bytes")));
            }
            Ok(n) => {
                pattern.fill(&mut wanted[..n]);
                compare(&got[..n], &wanted[..n], done)?;
                done += n as u64;
                last = Instant::now();
            }
            Err(error) if is_timeout(&error) && last.elapsed() < STALLED => {}
            Err(error) if is_timeout(&error) => {
                return Err(io::Error::other(format!("nothing came any more after {done} of {bytes} bytes")));
            }
            Err(error) => return Err(error),
        }
        if stop() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(start.elapsed())
}

fn compare(got: &[u8], wanted: &[u8], offset: u64) -> io::Result<()> {
    match got.iter().zip(wanted).position(|(got, wanted)| got != wanted) {
        None => Ok(()),
        Some(at) => {
            Err(io::Error::other(format!("byte {} is not the one that was sent", offset + at as u64)))
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Bytes that look random and are the same each time (xorshift64*; Vigna 2016), in portions of any size.
struct Pattern {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Pattern {
    fn new() -> Self {
        Self { state: 0x9E37_79B9_7F4A_7C15, word: [0; 8], used: 8 }
    }

    fn fill(&mut self, block: &mut [u8]) {
        for byte in block {
            if self.used == self.word.len() {
                self.step();
            }
            *byte = self.word[self.used];
            self.used += 1;
        }
    }

    fn step(&mut self) {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.word = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_same_in_portions_of_any_size_and_does_not_repeat() {
        let mut whole = vec![0; 4096];
        Pattern::new().fill(&mut whole);
        let mut portions = Pattern::new();
        for portion in whole.chunks(7) {
            let mut block = vec![0; portion.len()];
            portions.fill(&mut block);
            assert_eq!(block, portion);
        }
        assert!(whole.chunks_exact(8).skip(1).all(|word| word != &whole[..8]));
    }

    #[test]
    fn a_wrong_byte_is_named_by_its_place() {
        assert!(compare(b"abc", b"abc", 10).is_ok());
        let error = compare(b"abc", b"abd", 10).unwrap_err();
        assert_eq!(error.to_string(), "byte 12 is not the one that was sent");
    }

    #[test]
    fn reports_give_size_time_and_rate() {
        let report = Report { bytes: 64_000_000, took: Duration::from_millis(500) };
        assert_eq!(report.to_string(), "64 MB in 0.50 s, 128 MB/s (1024 Mbit/s)");
    }
}
