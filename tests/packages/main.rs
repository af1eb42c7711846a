//! The OpenWrt packages that openwrt/mkpkg and openwrt/mkfeed make, around a stand-in for the program.
//!
//! Archives are read with `tar` and `gzip`, signatures with `openssl`, and what apk-tools made of the same input is in
//! `tests/golden/packages`. Where `QUICAP_OPKG` and `QUICAP_APK` name the real programs, they install, upgrade and remove the
//! packages in a root of their own; with `BLESS=1` the golden files are made anew by that apk. Read first: docs/packaging.md.
#![allow(clippy::disallowed_methods, reason = "tests make packages and read them")]

mod apk;
mod feed;
mod ipk;
mod luci;
mod real;
mod review;
mod scratch;
mod table;
