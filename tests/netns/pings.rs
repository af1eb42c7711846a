//! A ping that runs beside the test, and when it was answered.

use std::collections::BTreeSet;
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

    /// How many pings from the first one answered since `start` to the last were not answered.
    pub fn lost_since(&self, start: Duration) -> u32 {
        let answers = self.answers.lock().unwrap();
        let numbers = || answers.iter().filter(|answer| answer.at >= start).map(|answer| answer.number);
        let (first, last) = (numbers().min().unwrap_or(1), numbers().max().unwrap_or(0));
        (last + 1 - first).saturating_sub(numbers().count() as u32)
    }

    /// Answers beyond the first to the same ping.
    pub fn duplicates(&self) -> usize {
        let answers = self.answers.lock().unwrap();
        let numbers: BTreeSet<u32> = answers.iter().map(|answer| answer.number).collect();
        answers.len() - numbers.len()
    }

    /// The middle one of those answered since `start`.
    pub fn round_trip_since(&self, start: Duration) -> Option<Duration> {
        let answers = self.answers.lock().unwrap();
        let since = answers.iter().filter(|answer| answer.at >= start);
        let mut took: Vec<Duration> = since.map(|answer| answer.took).collect();
        took.sort();
        took.get(took.len() / 2).copied()
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
    took: Duration,
}

/// `[1764009564.123456] 64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=0.5 ms`
fn parse(line: &str) -> Option<Answer> {
    let (at, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (_, rest) = rest.split_once(" icmp_seq=")?;
    let (number, rest) = rest.split_once(' ')?;
    let at = Duration::from_secs_f64(at.parse().ok()?);
    let (_, took) = rest.split_once("time=")?;
    let took = Duration::from_secs_f64(took.split(' ').next()?.parse::<f64>().ok()? / 1000.0);
    Some(Answer { at, number: number.parse().ok()?, took })
}

/// The clock that ping prints.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}
