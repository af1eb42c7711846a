//! Broadcasts among five sites, counted where they arrive and on every wire, and what passes when nobody speaks.
//!
//! ```text
//!   ln1 --- 1 ---- 2 ---- 4 ---- 5 --- ln5        the tree of laptop 1: 4 copies
//!            `---- 3
//! ```

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout};
use std::thread;
use std::time::Duration;

use crate::machine;
use crate::sites::{Sites, laptop};
use crate::wire::Traffic;

/// How many broadcasts are sent.
const SENT: usize = 300;

#[test]
fn each_of_300_broadcasts_reaches_each_laptop_once_by_four_copies_and_never_comes_back() {
    if !machine::have(&["python3"]) {
        return;
    }
    // What is asked more often has its true cost sooner.
    let Some(mut sites) = Sites::five(&[("fast_detect", "1")]) else { return };
    sites.wait_tree(1, &[(1, &[2, 3]), (2, &[4]), (4, &[5])]);
    sites.hush();
    let collectors: Vec<Collector> = (1..=5).map(|number| Collector::start(&sites, number)).collect();
    let copies = |sites: &Sites| -> Vec<u64> {
        (1..=5).map(|number| sites.counter(number, "counters.broadcast_copies")).collect()
    };
    let (wires_before, copies_before) = (sites.traffic(), copies(&sites));
    sites.lab.ok(&sites.lab.python(&laptop(1), &format!("number eth0 {SENT} 4")));
    thread::sleep(Duration::from_secs(1));
    let all: Vec<usize> = (0..SENT).collect();
    for (number, collector) in (1..).zip(collectors) {
        let numbers = collector.finish();
        println!("laptop {number}: {} broadcasts", numbers.len());
        assert_eq!(numbers, if number == 1 { Vec::new() } else { all.clone() }, "laptop {number}");
    }
    let on_wires = since(&mut sites, &wires_before);
    on_wires.iter().for_each(|((a, b), traffic)| println!("wire {a}-{b}: {} copies", traffic.large));
    let used: Vec<_> = on_wires.iter().filter(|(_, traffic)| traffic.large > 0).collect();
    assert_eq!(used.iter().map(|(ends, _)| *ends).collect::<Vec<_>>(), [(1, 2), (1, 3), (2, 4), (4, 5)]);
    assert!(used.iter().all(|(_, traffic)| traffic.large == SENT as u64), "one for each broadcast");
    let by_node: Vec<u64> =
        copies(&sites).iter().zip(copies_before).map(|(after, before)| after - before).collect();
    println!(
        "copies sent by nodes 1 to 5: {by_node:?}, {:.2} for each broadcast",
        by_node.iter().sum::<u64>() as f64 / SENT as f64
    );
    assert_eq!(by_node, [2, 1, 0, 1, 0].map(|copies| copies * SENT as u64));
}

#[test]
fn nothing_goes_round_in_an_idle_mesh_with_all_its_wires_up() {
    const WATCHED: Duration = Duration::from_secs(10);
    let Some(mut sites) = Sites::five(&[]) else { return };
    sites.hush();
    // What was said before it was quiet is still on its way.
    thread::sleep(Duration::from_secs(2));
    let before = sites.traffic();
    thread::sleep(WATCHED);
    let all = since(&mut sites, &before);
    let seconds = WATCHED.as_secs_f64();
    for ((a, b), traffic) in &all {
        println!(
            "wire {a}-{b}: {:.1} frames/s, {:.0} bytes/s",
            traffic.frames as f64 / seconds,
            traffic.bytes as f64 / seconds
        );
    }
    let frames: u64 = all.iter().map(|(_, traffic)| traffic.frames).sum();
    let bytes: u64 = all.iter().map(|(_, traffic)| traffic.bytes).sum();
    println!(
        "all seven wires: {:.1} frames/s, {:.0} bytes/s",
        frames as f64 / seconds,
        bytes as f64 / seconds
    );
    // Keep-alives are 4 PINGs and ACKs every 5 s on each of two connections; one frame that goes round is thousands.
    assert!(frames < 1000, "{frames} frames in {WATCHED:?}");
}

fn since(sites: &mut Sites, before: &[((usize, usize), Traffic)]) -> Vec<((usize, usize), Traffic)> {
    let now = sites.traffic().into_iter();
    now.zip(before).map(|((ends, now), (_, before))| (ends, now.since(*before))).collect()
}

/// What gathers the numbered broadcasts at a laptop.
struct Collector {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Collector {
    fn start(sites: &Sites, number: usize) -> Self {
        let mut program = sites.lab.spawn_with_input(&sites.lab.python(&laptop(number), "collect eth0"));
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Self { program, lines }
    }

    /// Their numbers, in the order in which they came.
    fn finish(mut self) -> Vec<usize> {
        drop(self.program.stdin.take());
        let line = self.lines.next().unwrap().unwrap();
        self.program.wait().unwrap();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }
}
