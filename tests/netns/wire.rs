//! Wires with faults between the routers a and b: impair.c in a namespace of its own, two wires of different networks.
//!
//! ```text
//!   la --- (a) wan  192.0.2.1    --- net: impair --- 192.0.2.2    wan  (b) --- lb
//!              wan2 198.51.100.1 --- net: impair --- 198.51.100.2 wan2
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use crate::lab::{Lab, Options};
use crate::machine;

/// Interface at both routers, and the network that its addresses .1 and .2 are in.
const WIRES: [(&str, &str); 2] = [("wan", "192.0.2"), ("wan2", "198.51.100")];

/// One wire that runs.
pub struct Wire {
    impair: Child,
}

impl Wire {
    /// Changes settings while it runs: words as impair.c explains them.
    pub fn set(&mut self, settings: &str) {
        let stdin = self.impair.stdin.as_mut().unwrap();
        writeln!(stdin, "{settings}").unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.impair.kill();
        let _ = self.impair.wait();
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
    let wires = WIRES.map(|(interface, network)| {
        lay(&lab, interface, network);
        run(&lab, interface, settings)
    });
    lab.ok("quicap ca init --dir ca --network home");
    for (site, number) in [("a", 1), ("b", 2)] {
        lab.build_site(site, number);
        lab.join(site);
    }
    lab.configure_peers("a", options, &[("b", "192.0.2.2:443")]);
    lab.configure_peers("b", options, &[("a", "198.51.100.1:443")]);
    Some((lab, wires))
}

fn lay(lab: &Lab, interface: &str, network: &str) {
    for (site, number) in [("a", 1), ("b", 2)] {
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
}

fn run(lab: &Lab, interface: &str, settings: &str) -> Wire {
    let program = program().display();
    let line =
        format!("ip netns exec @net {program} {interface}a {interface}b seed={} {settings}", interface.len());
    let mut impair = lab.spawn_with_input(&line);
    let mut first = String::new();
    BufReader::new(impair.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "ready\n", "impair starts");
    Wire { impair }
}

/// impair, compiled once for each run of the tests.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/impair.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("impair");
        let new = program.with_extension(std::process::id().to_string());
        let status = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&new)
            .arg(&source)
            .arg("-lm")
            .status();
        assert!(status.unwrap().success(), "impair.c compiles");
        // In one step: another run of the tests may be using it.
        fs::rename(new, &program).unwrap();
        program
    })
}
