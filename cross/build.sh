#!/bin/bash
# Builds static router binaries without Docker: cross/build.sh TARGET...|all
# TARGET is a triple of cross/targets. The results are dist/bin/TARGET/quicap, stripped. What is missing of the C compiler
# (toolchain.sh) and of std's sources (a rustup component) is installed. zig keeps what it built of its libc in ~/.cache/zig.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.tools/cross
export CARGO_TARGET_DIR=$PWD/target/router  # its own: RUSTC_BOOTSTRAP would make a shared one rebuild again and again
export RUSTC_BOOTSTRAP=1                    # build-std on the pinned stable toolchain

main() {
    local known targets target
    mapfile -t known < <(sed 's/#.*//' cross/targets | awk 'NF { print $1 }')
    case ${1-} in
        '') die "usage: cross/build.sh TARGET...|all; targets: ${known[*]}" ;;
        all) targets=("${known[@]}") ;;
        *) targets=("$@") ;;
    esac
    for target in "${targets[@]}"; do
        [[ " ${known[*]} " == *" $target "* ]] || die "$target: not a target of cross/targets: ${known[*]}"
        name_compiler "$target"
    done

    cross/toolchain.sh "$tools"
    install_std_sources
    # A run for each: in a common one cargo gives a crate the features that it has for any of the targets, and the bytes would
    # depend on what else is built. Build scripts and macros are shared all the same.
    for target in "${targets[@]}"; do
        cargo build --config cross/config.toml --profile router --locked --no-default-features --bin quicap --target="$target"
        strip_into "dist/bin/$target" "$CARGO_TARGET_DIR/$target/router/quicap"
    done
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
