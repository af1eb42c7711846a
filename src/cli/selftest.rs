//! `quicap selftest`: does this build work on this kind of machine? Certificates, a real timer, a handshake over
//! loopback, frames both ways, and a peer that falls silent: two whole nodes in this process, without root and TAP.
//! For a new build or router; the daemon never does this. Read first: docs/testing.md.

mod site;

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argh::FromArgs;

use self::site::{Ca, NETWORK, Site};
use crate::cli::{Failure, unix_now};
use crate::pki::timekeeper::BUILT;
use crate::sys::process;
use crate::sys::timer::Timer;
use crate::sys::wait::{Bell, Interest, Waiter};
use crate::types::NodeId;

/// test this build on this machine: certificates, timer, handshake, frames and loss of a peer, over loopback
#[derive(FromArgs)]
#[argh(subcommand, name = "selftest")]
pub struct Selftest {}

/// They cross in each direction.
const FRAMES: usize = 200;

/// A step that takes longer has failed. Emulated routers on a busy machine are slow; a lost peer takes 8 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// For one frame, until the batches are blamed for its loss.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(100);

pub fn run(_: &Selftest) -> Result<(), Failure> {
    story().map_err(|problem| Failure::runtime(format!("selftest: {problem}")))
}

fn story() -> Result<(), String> {
    let mut desk = Desk::new()?;
    let began = now();
    print(format_args!("quicap {} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH));
    desk.wait_for_timer()?;
    tell(began, "timer", format_args!("{} ms", PAUSE.as_millis()));

    let began = now();
    let (mut a, mut b) = sites()?;
    tell(began, "certificates", "a CA and two nodes");

    let began = now();
    desk.run(&mut [&mut a, &mut b], "no handshake", |sites| sites.iter().all(|site| site.carrier))?;
    tell(began, "handshake", "mutual, carrier on at both");

    let began = now();
    let crossed = exchange(&mut desk, &mut a, &mut b)?;
    tell(began, "frames", crossed);

    let began = now();
    desk.run(&mut [&mut a], "a silent peer was not noticed", |sites| sites.iter().all(|site| !site.carrier))?;
    tell(began, "silence", format_args!("carrier off: {}", a.last_words()));
    print(format_args!("all is well, with {} KiB of memory", process::rss_kib()));
    Ok(())
}

fn tell(began: Instant, step: &str, what: impl fmt::Display) {
    let elapsed = now().duration_since(began).as_millis();
    print(format_args!("  {step:<13} {elapsed:>6} ms  {what}"));
}

/// The exit code says what matters, to those too who read no further.
fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// `b` dials `a`.
fn sites() -> Result<(Site, Site), String> {
    let port = site::free_port().map_err(|error| format!("no UDP on 127.0.0.1: {error}"))?;
    let unix_s = unix_now().max(BUILT);
    let ca = Ca::new(unix_s).map_err(|fault| format!("the CA: {fault}"))?;
    let site = |name: &str, id, port: u16, peer: &str| {
        let id = NodeId::new(id).ok_or("no node id")?;
        let credentials =
            ca.credentials(name, id).map_err(|fault| format!("certificate of {name}: {fault}"))?;
        let network = format!(
            "config network '{NETWORK}'\n option listen_port '{port}'\n list listen_address '127.0.0.1'\n"
        );
        Site::new(&(network + peer), credentials, unix_s, now()).map_err(|why| format!("node {name}: {why}"))
    };
    let a = site("a", 1, port, "")?;
    let peer = format!(
        "config peer\n option network '{NETWORK}'\n option name 'a'\n list endpoint '127.0.0.1:{port}'\n"
    );
    Ok((a, site("b", 2, 0, &peer)?))
}

/// Frames of all sizes, one pair at a time. Says how many bytes crossed, and whether the kernel took batches.
fn exchange(desk: &mut Desk, a: &mut Site, b: &mut Site) -> Result<String, String> {
    let (mut bytes, mut sends) = (0, "");
    for nth in 0..FRAMES {
        bytes += match cross(desk, a, b, nth, SHORT_PATIENCE) {
            // qemu-user garbles segmentation offload where the byte order differs, and the kernel sends other packets.
            Err(_) if sends.is_empty() => {
                sends = ", but not in batches: segmentation offload fails here";
                [&mut *a, &mut *b].into_iter().for_each(Site::send_singly);
                cross(desk, a, b, nth, PATIENCE)?
            }
            crossed => crossed?,
        };
    }
    Ok(format!("{FRAMES} each way, {bytes} bytes, none changed{sends}"))
}

/// One frame in each direction; their bytes.
fn cross(
    desk: &mut Desk,
    a: &mut Site,
    b: &mut Site,
    nth: usize,
    patience: Duration,
) -> Result<usize, String> {
    let (from_a, from_b) = (frame(nth, b'b', b'a'), frame(nth, b'a', b'b'));
    let (time, length) = (now(), from_a.len());
    a.send(time, &from_a);
    b.send(time, &from_b);
    let lost = format!("frame {nth} of {length} bytes was lost");
    desk.run_for(patience, &mut [a, b], &lost, |sites| sites.iter().all(|site| !site.frames.is_empty()))?;
    for (site, sent) in [(a, &from_b), (b, &from_a)] {
        let came: Vec<_> = site.frames.drain(..).collect();
        if came != [sent.as_slice()] {
            return Err(format!("frame {nth} of {length} bytes was changed"));
        }
    }
    Ok(2 * length)
}

/// Ethernet of 60 to 1514 bytes. The first of each side goes to all, so that the other learns its address.
fn frame(nth: usize, to: u8, from: u8) -> Vec<u8> {
    let length = if nth % 8 == 7 { 1514 } else { 60 + nth * 97 % 1455 };
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x88, 0xb5];
    if nth == 0 {
        frame[..6].fill(0xff);
    }
    frame.extend((frame.len()..length).map(|at| (at * 31 + nth) as u8));
    frame
}

/// What a turn needs, and a bell that ends it when nothing else does: it does not hang upon the timer under test.
struct Desk {
    timer: Timer,
    waiter: Waiter,
    bell: Arc<Bell>,
}

impl Desk {
    fn new() -> Result<Self, String> {
        let timer = Timer::new().map_err(|error| format!("no timer: {error}"))?;
        let bell = Bell::new().map_err(|error| format!("no event descriptor: {error}"))?;
        let waker = bell.waker();
        let watch = move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                waker.wake_by_ref();
            }
        };
        // It ends with the process.
        std::thread::Builder::new().spawn(watch).map_err(|error| format!("no thread: {error}"))?;
        Ok(Self { timer, waiter: Waiter::default(), bell })
    }

    fn wait_for_timer(&mut self) -> Result<(), String> {
        let due = now() + PAUSE;
        self.timer.set(Some(due)).map_err(|error| format!("timer: {error}"))?;
        while !self.timer.clear() {
            if now() > due + PATIENCE {
                return Err("the timer does not fire".to_owned());
            }
            self.sleep(&[])?;
        }
        if now() < due { Err("the timer fired too early".to_owned()) } else { Ok(()) }
    }

    /// Turns these sites, and no other, until `done`.
    fn run(
        &mut self,
        sites: &mut [&mut Site],
        problem: &str,
        done: impl Fn(&[&mut Site]) -> bool,
    ) -> Result<(), String> {
        self.run_for(PATIENCE, sites, problem, done)
    }

    fn run_for(
        &mut self,
        patience: Duration,
        sites: &mut [&mut Site],
        problem: &str,
        done: impl Fn(&[&mut Site]) -> bool,
    ) -> Result<(), String> {
        let deadline = now() + patience;
        loop {
            let time = now();
            sites.iter_mut().for_each(|site| site.turn(time));
            if done(sites) {
                return Ok(());
            }
            if time > deadline {
                let words: Vec<String> = sites.iter().map(|site| site.last_words()).collect();
                return Err(format!("{problem} ({})", words.join("; ")));
            }
            let due = sites.iter_mut().filter_map(|site| site.next_timeout()).min();
            self.timer.set(due).map_err(|error| format!("timer: {error}"))?;
            self.sleep(sites)?;
            self.timer.clear();
        }
    }

    fn sleep(&mut self, sites: &[&mut Site]) -> Result<(), String> {
        self.waiter.clear();
        self.waiter.add(self.timer.as_fd(), Interest::Read);
        self.waiter.add(self.bell.as_fd(), Interest::Read);
        sites.iter().for_each(|site| site.watch(&mut self.waiter));
        self.waiter.wait(true).map_err(|error| format!("waiting: {error}"))?;
        self.bell.clear();
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "real nodes take real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_every_size_that_matters_and_differ() {
        let frames: Vec<Vec<u8>> = (0..FRAMES).map(|nth| frame(nth, b'b', b'a')).collect();
        assert!(frames.iter().all(|frame| (60..=1514).contains(&frame.len())));
        assert!(frames.iter().filter(|frame| frame.len() == 1514).count() >= 10);
        assert!(frames.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(frames[0].starts_with(&[0xff; 6]) && frames[1].starts_with(&[2, 0, 0, 0, 0, b'b']));
    }

    #[test]
    fn a_step_that_never_ends_is_reported_with_the_last_words_of_the_nodes() {
        let mut desk = Desk::new().unwrap();
        let problem = desk.run_for(Duration::ZERO, &mut [], "nothing came", |_| false).unwrap_err();
        assert_eq!(problem, "nothing came ()");
    }
}
