//! Wires with faults between two routers, each an impair.c in the namespace `net`, and two sites on two of them.
//!
//! ```text
//!   la --- (a) wan  192.0.2.1    --- net: impair --- 192.0.2.2    wan  (b) --- lb
//!              wan2 198.51.100.1 --- net: impair --- 198.51.100.2 wan2
//! ```

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout};

use quicap::cli::demo::json::Json;

use crate::compiled;
use crate::lab::{Lab, Options};
use crate::machine;

/// Interface at both routers, and the network that its addresses .1 and .2 are in.
const WIRES: [(&str, &str); 2] = [("wan", "192.0.2"), ("wan2", "198.51.100")];

/// Where a wire ends: a router, and the last byte of its address.
pub type End<'a> = (&'a str, usize);

/// One wire that runs.
pub struct Wire {
    impair: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Wire {
    /// Between interfaces of this name, whose addresses are in `network`.0/24; settings as impair.c explains them.
    pub fn lay(lab: &Lab, interface: &str, network: &str, ends: [End<'_>; 2], settings: &str) -> Self {
        for (site, number) in ends {
            let end = format!("{interface}{site}");
            lab.ok(&format!("ip -n @net link add {end} type veth peer name {interface} netns @{site}"));
            lab.ok(&format!("ip -n @{site} addr add {network}.{number}/24 dev {interface}"));
            for (namespace, name) in [("net", end.as_str()), (site, interface)] {
                lab.ok(&format!("ip -n @{namespace} link set {name} up"));
                // Frames as a wire would carry them, checksums and all.
                let off = "tx off tso off gso off gro off tx-udp-segmentation off";
                lab.ok(&format!("ip netns exec @{namespace} ethtool -K {name} {off}"));
            }
        }
        let [a, b] = ends.map(|(site, _)| format!("{interface}{site}"));
        Self::run(lab, &format!("{a} {b} seed={} {settings}", interface.len()))
    }

    fn run(lab: &Lab, arguments: &str) -> Self {
        let program = compiled::program("impair");
        let line = format!("ip netns exec @net {} {arguments}", program.display());
        let mut impair = lab.spawn_with_input(&line);
        let mut answers = BufReader::new(impair.stdout.take().unwrap()).lines();
        assert_eq!(answers.next().unwrap().unwrap(), "ready", "impair starts");
        Self { impair, answers }
    }

    /// Changes settings while it runs: words as impair.c explains them.
    pub fn set(&mut self, settings: &str) {
        let stdin = self.impair.stdin.as_mut().unwrap();
        writeln!(stdin, "{settings}").unwrap();
    }

    /// What crossed the wire so far, both directions together.
    pub fn traffic(&mut self) -> Traffic {
        self.set("stats");
        let answer = Json::parse(&self.answers.next().unwrap().unwrap()).unwrap();
        let sum = |name: &str| ["a", "b"].iter().map(|way| number(answer.at(way).at(name))).sum();
        Traffic { frames: sum("out"), bytes: sum("bytes"), large: sum("large") }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.impair.kill();
        let _ = self.impair.wait();
    }
}

/// What crosses a wire.
#[derive(Clone, Copy)]
pub struct Traffic {
    pub frames: u64,
    pub bytes: u64,
    /// Frames of at least 1000 bytes.
    pub large: u64,
}

impl Traffic {
    pub fn since(self, before: Self) -> Self {
        Self {
            frames: self.frames - before.frames,
            bytes: self.bytes - before.bytes,
            large: self.large - before.large,
        }
    }
}

/// The sites `a` and `b`, not started, over two wires with these settings: a dials b over the first, b dials a over the
/// second. `None`, after saying why: this machine cannot have them.
pub fn two_sites(settings: &str, options: Options<'_>) -> Option<(Lab, [Wire; 2])> {
    if !machine::have(&["cc", "ethtool"]) {
        return None;
    }
    let mut lab = Lab::open()?;
    ["a", "b", "net"].iter().for_each(|name| lab.add_namespace(name));
    let wires =
        WIRES.map(|(interface, network)| Wire::lay(&lab, interface, network, [("a", 1), ("b", 2)], settings));
    lab.ok("quicap ca init --dir ca --network home");
    for (site, number) in [("a", 1), ("b", 2)] {
        lab.build_site(site, number);
        lab.join(site);
    }
    lab.configure_peers("a", options, &[("b", "192.0.2.2:443")]);
    lab.configure_peers("b", options, &[("a", "198.51.100.1:443")]);
    Some((lab, wires))
}

fn number(value: &Json) -> u64 {
    value.number().unwrap() as u64
}
