# make, or make help: what there is.
.PHONY: help build demo test soak bench lint fmt sizes package packages feed release clean cargo

help:
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile | expand -t 14

build: cargo ## target/release/quicap, for this machine
	cargo build --release --locked

demo: cargo ## the main job on one machine, as root: routers and laptops in network namespaces
	tests/need ip:iproute2 ping:iputils-ping cc:build-essential
	cargo build --release --locked
	target/release/quicap demo

test: cargo ## every test (docs/testing.md); installs what is missing
	tests/run

soak: cargo ## the same with 500 seeds for each simulation and ten minutes for each fuzz target
	tests/run --soak

bench: cargo ## nanoseconds per frame through a whole node; as root: beside OpenVPN; benches/router.sh is for MIPS (docs/performance.md)
	cargo bench --locked
	cargo build --release --locked
	@if command -v python3 >/dev/null; then python3 benches/side_by_side.py; \
		else echo "skipped: side by side: no program python3"; fi

lint: cargo ## what the tests demand of form
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	openwrt/lint

fmt: cargo ## formats the sources
	cargo fmt --all

sizes: cargo ## builds for all routers and prints the sizes
	cross/build.sh all
	cross/size.sh

package: cargo ## the .ipk and .apk for one of openwrt/architectures: ARCH=mipsel_24kc
	@[ "$(ARCH)" ] || { echo "make package ARCH=...: one of openwrt/architectures" >&2; exit 2; }
	tests/need make:make zopfli:zopfli
	openwrt/mkpkg $(ARCH)

packages: cargo ## the .ipk and .apk for all architectures
	tests/need make:make zopfli:zopfli
	openwrt/mkpkg all

feed: cargo ## all packages as a signed feed in dist/feed; private keys are in KEYS=DIR, made there the first time
	@[ "$(KEYS)" ] || { echo "make feed KEYS=DIR: where the private keys are, or are to be made" >&2; exit 2; }
	tests/need make:make zopfli:zopfli
	openwrt/mkpkg all
	openwrt/mkfeed --keys "$(KEYS)"

release: ## the archive of the sources, and the package for OpenWrt's own feed
	openwrt/release

clean: ## removes what was built; the tools in .tools stay
	rm -rf target dist fuzz/target

cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup (https://rustup.rs)," \
		"which then takes the version that rust-toolchain.toml names" >&2; exit 1; }
