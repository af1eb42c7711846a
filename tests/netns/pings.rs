//! A ping that runs beside the test, and when it was answered.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::lab::{self, Lab};

/// One ping every 10 ms until it is dropped.
pub struct Pings {
    ping: Child,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Pings {
    pub fn start(lab: &Lab, from: &str, to: &str) -> Self {
        let mut ping = lab.spawn(&lab::ping_line(from, &format!("-n -D -i 0.01 {to}")));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (stdout, list) = (ping.stdout.take().unwrap(), answers.clone());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(answer) = parse(&line) {
                    list.lock().unwrap().push(answer);
                }
            }
        });
        Self { ping, answers }
    }

    /// When the first answer after `start` came, both as [`unix_time`].
    pub fn first_since(&self, start: Duration) -> Option<Duration> {
        self.answers.lock().unwrap().iter().map(|answer| answer.at).find(|at| *at >= start)
    }

    /// Share of the pings up to the last answered one that were not answered.
    pub fn loss(&self) -> f64 {
        let answers = self.answers.lock().unwrap();
        let sent = answers.iter().map(|answer| answer.number).max().unwrap_or(0);
        1.0 - answers.len() as f64 / f64::from(sent.max(1))
    }

    /// The longest time without an answer that ends after `start`.
    pub fn longest_silence(&self, start: Duration) -> Duration {
        let answers: Vec<Duration> = self.answers.lock().unwrap().iter().map(|answer| answer.at).collect();
        let gaps = answers.windows(2).filter(|pair| pair[1] >= start).map(|pair| pair[1] - pair[0]);
        gaps.chain(answers.last().map(|last| unix_time() - *last)).max().unwrap()
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        let _ = self.ping.kill();
        let _ = self.ping.wait();
    }
}

struct Answer {
    at: Duration,
    /// Of the ping, from 1.
    number: u32,
}

/// `[1764009564.123456] 64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=0.5 ms`
fn parse(line: &str) -> Option<Answer> {
    let (at, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (_, rest) = rest.split_once(" icmp_seq=")?;
    let (number, rest) = rest.split_once(' ')?;
    let at = Duration::from_secs_f64(at.parse().ok()?);
    rest.contains("time=").then_some(Answer { at, number: number.parse().ok()? })
}

/// The clock that ping prints.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}
