//! Real daemons on real TAPs, bridges and UDP sockets, in network namespaces that each test makes and takes away.
//!
//! Needs root, `ip` and /dev/net/tun; without them each test says `skipped: REASON` and passes, and so do
//! tests that need a further program. Tests take turns (`lab.rs`), whatever `--test-threads` says: they measure times,
//! and the machine is shared. Each file draws its topology on top. Read first: docs/testing.md.
#![allow(clippy::disallowed_methods, reason = "tests of real processes use files and the clock")]

mod abuse;
mod attack;
mod bad_input;
mod broadcasts;
mod capture;
mod carrier;
mod cgroup;
mod clock;
mod compiled;
mod demo;
mod doctor;
mod faults;
mod frames;
mod hub;
mod idle;
mod joining;
mod lab;
mod machine;
mod membership;
mod metrics;
mod moving;
mod mtu;
mod paths;
mod pings;
mod programs;
mod reload;
mod revocation;
mod sites;
mod stations;
mod stop;
mod transfer;
mod underlay;
mod wire;
