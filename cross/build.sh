#!/bin/bash
# Builds static router binaries without Docker: cross/build.sh [--bench NAME] TARGET...|all
# TARGET is a triple of cross/targets. The results are dist/bin/TARGET/quicap, stripped; with --bench a benchmark is built in the
# same way instead, dist/bench/TARGET/NAME, for one target at a time. What is missing of the C compiler
# (toolchain.sh) and of std's sources (a rustup component) is installed. zig keeps what it built of its libc in ~/.cache/zig.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.tools/cross
export CARGO_TARGET_DIR=$PWD/target/router  # its own: RUSTC_BOOTSTRAP would make a shared one rebuild again and again
export RUSTC_BOOTSTRAP=1                    # build-std on the pinned stable toolchain

main() {
    local known targets target bench=
    if [[ ${1-} == --bench ]]; then
        bench=${2:?name of a benchmark}
        shift 2
    fi
    mapfile -t known < <(sed 's/#.*//' cross/targets | awk 'NF { print $1 }')
    case ${1-} in
        '') die "usage: cross/build.sh [--bench NAME] TARGET...|all; targets: ${known[*]}" ;;
        all) targets=("${known[@]}") ;;
        *) targets=("$@") ;;
    esac
    for target in "${targets[@]}"; do
        [[ " ${known[*]} " == *" $target "* ]] || die "$target: not a target of cross/targets: ${known[*]}"
        name_compiler "$target"
    done

    cross/toolchain.sh "$tools"
    install_std_sources
    if [[ $bench ]]; then
        build_bench "$bench" "${targets[@]}"
        return
    fi
    local lane lanes=()
    for lane in 0 1; do
        build_lane "$lane" &
        lanes+=($!)
    done
    for lane in "${lanes[@]}"; do
        wait "$lane"
    done
}

# Every other target of cross/targets, one after the other. A run of cargo for each: in a common one cargo gives a crate the
# features that it has for any of the targets, and the bytes would depend on what else is built. Two lanes keep two cores busy, since
# the last step of a run is the work of one; each has a directory of its own, which a run of cargo keeps for itself.
build_lane() {
    local place target
    CARGO_TARGET_DIR+=/$1
    for place in "${!known[@]}"; do
        target=${known[place]}
        [[ $((place % 2)) == "$1" && " ${targets[*]} " == *" $target "* ]] || continue
        build --bin quicap --target "$target"
        strip_into "dist/bin/$target" "$CARGO_TARGET_DIR/$target/router/quicap"
    done
}

build() {
    cargo build --config cross/config.toml --profile router --locked --no-default-features "$@"
}

# cargo alone knows which name it gives the program.
build_bench() {
    (($# == 2)) || die "--bench wants one target"
    local built
    built=$(build --bench "$1" --target "$2" --message-format json-render-diagnostics |
        sed -n '/"kind":\["bench"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
    mkdir -p "dist/bench/$2"
    cp "$built" "dist/bench/$2/$1"
}

name_compiler() {
    local name=${1//-/_}
    export "CC_$name=$tools/cc/$1" "CARGO_TARGET_${name^^}_LINKER=$tools/cc/$1"
}

install_std_sources() {
    [[ -f $(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]] && return
    rustup component add rust-src || die "the sources of Rust's std are missing: rustup component add rust-src"
}

# Rust's own strip leaves .pdr, 178 kB that no MIPS kernel reads, and the compilers' names.
strip_into() {
    local sysroot host
    sysroot=$(rustc --print sysroot)
    host=$(rustc -vV | sed -n 's/^host: //p')
    mkdir -p "$1"
    LD_LIBRARY_PATH=$sysroot/lib "$sysroot/lib/rustlib/$host/bin/rust-objcopy" --strip-all -R .pdr -R .comment "$2" "$1/quicap"
}

die() {
    echo "cross/build.sh: $*" >&2
    exit 2
}

main "$@"
