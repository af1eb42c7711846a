# make, or make help: what there is.
.PHONY: help build demo test soak bench lint fmt sizes clean cargo

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

fmt: cargo ## formats the sources
	cargo fmt --all

sizes: cargo ## builds for all routers and prints the sizes
	cross/build.sh all
	cross/size.sh

clean: ## removes what was built; the tools in .tools stay
	rm -rf target dist fuzz/target

cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup (https://rustup.rs)," \
		"which then takes the version that rust-toolchain.toml names" >&2; exit 1; }
