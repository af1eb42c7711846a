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
/// A transfer that brings nothing for this often in a row has failed: after 15 s. Not measured by the clock, which
/// goes on while a virtual machine is paused.
const STALLED: u32 = 75;
const BLOCK: usize = 64 * 1024;
/// The bytes sent repeat after this many: a prime, so that no block boundary falls on the same byte twice.
const PERIOD: usize = 1_048_573;

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
    let pattern = pattern();
    let mut done = 0;
    while done < bytes {
        let block = next_block(&pattern, done, bytes);
        stream.write_all(block)?;
        done += block.len() as u64;
    }
    Ok(())
}

/// Says how long it took until the last byte was checked.
#[allow(clippy::disallowed_methods, reason = "a real transfer takes real time")]
fn receive(stream: &mut TcpStream, bytes: u64, stop: &mut dyn FnMut() -> bool) -> io::Result<Duration> {
    let pattern = pattern();
    let start = Instant::now();
    let mut got = vec![0; BLOCK];
    let (mut done, mut silent) = (0, 0);
    while done < bytes {
        let wanted = next_block(&pattern, done, bytes);
        match stream.read(&mut got[..wanted.len()]) {
            Ok(0) => {
                return Err(io::Error::other(format!("the connection ended after {done} of {bytes} bytes")));
            }
            Ok(n) => {
                compare(&got[..n], &wanted[..n], done)?;
                done += n as u64;
                silent = 0;
            }
            Err(error) if is_timeout(&error) && silent < STALLED => silent += 1,
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

/// What follows the first `done` of `bytes` bytes, at most a block of it.
fn next_block(pattern: &[u8], done: u64, bytes: u64) -> &[u8] {
    let left = usize::try_from(bytes - done).unwrap_or(BLOCK).min(BLOCK);
    let rest = &pattern[(done % PERIOD as u64) as usize..];
    &rest[..left.min(rest.len())]
}

fn compare(got: &[u8], wanted: &[u8], offset: u64) -> io::Result<()> {
    if got == wanted {
        return Ok(());
    }
    let at = got.iter().zip(wanted).position(|(got, wanted)| got != wanted).unwrap_or(0);
    Err(io::Error::other(format!("byte {} is not the one that was sent", offset + at as u64)))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Bytes that look random and are the same each time (xorshift64*; Vigna 2016).
fn pattern() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    });
    words.flatten().take(PERIOD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_one_another_through_the_pattern_and_to_the_last_byte() {
        let pattern = pattern();
        assert_eq!(pattern.len(), PERIOD);
        assert!(
            pattern.chunks_exact(8).skip(1).all(|word| word != &pattern[..8]),
            "it does not repeat inside"
        );
        let bytes = 2 * PERIOD as u64 + 5;
        let mut sent = Vec::new();
        while (sent.len() as u64) < bytes {
            let block = next_block(&pattern, sent.len() as u64, bytes);
            assert!(!block.is_empty() && block.len() <= BLOCK);
            sent.extend_from_slice(block);
        }
        assert!(sent == [&pattern[..], &pattern[..], &pattern[..5]].concat());
    }

    #[test]
    fn a_transfer_over_loopback_arrives_and_one_that_is_stopped_does_not() {
        let here = Path::new("/proc/self/ns/net");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        match run(here, here, address, 3_000_000, &mut || false) {
            Ok(report) => assert_eq!(report.bytes, 3_000_000),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            Err(error) => panic!("{error}"),
        }
        let error = run(here, here, address, 3_000_000, &mut || true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
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
