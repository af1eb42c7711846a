//! What the package puts on a router: init script, hotplug and so on, run by busybox's shell with stand-ins for OpenWrt.
//!
//! `QUICAP_OPENWRT_ROOT=/path` names a directory with OpenWrt's real userland; then `real.sh` goes through all of it there.
//! Read first: docs/openwrt.md.
#![allow(clippy::disallowed_methods, reason = "tests make the files that the scripts read")]

mod files;
mod first;
mod real;
mod root;
mod service;
mod shell;
