//! What the mesh costs a node, one kind of work at a time and as often as is asked for: `mesh WORK ROUNDS`. Measures nothing
//! itself: `benches/router.sh` counts its instructions on an emulated router, where the difference of N rounds and 2 N is the work
//! alone. Without arguments it prints what the tables take on this machine. Read first: docs/performance.md.

#[path = "../../tests/sim/members.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod members;
#[path = "../../tests/sim/topology.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod topology;
#[path = "../../tests/sim/world.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod world;

mod frames;
mod hub;
mod memory;
mod paths;
mod signatures;

use std::process::ExitCode;

/// Prepares, then does the work so many times. What is prepared is the same for any number of rounds.
type Work = fn(rounds: usize);

const WORKS: [(&str, Work); 22] = [
    ("p256-verify", signatures::p256_verify),
    ("p256-sign", signatures::p256_sign),
    ("ed25519-verify", signatures::ed25519_verify),
    ("ed25519-sign", signatures::ed25519_sign),
    ("node", signatures::node),
    ("lsa", signatures::lsa),
    ("graph-20", |rounds| paths::graph(20, rounds)),
    ("graph-100", |rounds| paths::graph(100, rounds)),
    ("graph-250", |rounds| paths::graph(250, rounds)),
    ("searches-20", |rounds| paths::searches(20, rounds)),
    ("searches-100", |rounds| paths::searches(100, rounds)),
    ("searches-250", |rounds| paths::searches(250, rounds)),
    ("repairs-20", |rounds| paths::repairs(20, rounds)),
    ("repairs-100", |rounds| paths::repairs(100, rounds)),
    ("repairs-250", |rounds| paths::repairs(250, rounds)),
    ("routed", frames::routed),
    ("broadcast", frames::broadcast),
    ("learn", frames::learn),
    ("known", frames::known),
    ("turn", frames::turn),
    ("copy", frames::copy),
    ("fill", frames::fill),
];

fn main() -> ExitCode {
    // cargo itself adds this one.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, rounds] = &arguments[..] else {
        memory::print();
        return ExitCode::SUCCESS;
    };
    let work = WORKS.iter().find(|(known, _)| known == name).map(|(_, work)| work);
    match (work, rounds.parse()) {
        (Some(work), Ok(rounds)) => {
            work(rounds);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: mesh WORK ROUNDS, WORK one of {}", WORKS.map(|(name, _)| name).join(", "));
            ExitCode::FAILURE
        }
    }
}
