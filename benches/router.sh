#!/bin/bash
# What the mesh costs a 32-bit MIPS router: instructions of each kind of work, and bytes of all tables. benches/router.sh [WORK...]
# The router build of benches/mesh runs under qemu-mipsel with a plugin that counts what it executes (benches/instructions.c); the
# difference of 2 N rounds and N is the work alone. Nothing is timed: milliseconds are instructions by an assumed speed. Needs
# qemu-mipsel and a C compiler, which it installs as root, and what cross/build.sh needs. MESH=FILE measures a program that is built
# already. Read first: docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."

target=mipsel-unknown-linux-musl
mhz=580
per_cycle=0.7   # instructions: an assumption for one that goes in order, docs/performance.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Work, rounds, and what one round is.
works() {
    cat <<'END'
p256-verify   8     check of a P-256 signature
p256-sign     16    P-256 signature
ed25519-verify 8    check of an Ed25519 signature
ed25519-sign  16    Ed25519 signature
node          8     NODE with its chain, P-256: checked and kept
lsa           8     LSA, P-256: checked, kept, handed on
graph-20      100   graph of 20 nodes from all LSAs
graph-100     40    graph of 100 nodes
graph-250     20    graph of 250 nodes
searches-20   100   paths and trees in it: 7 searches, 20 nodes
searches-100  40    7 searches, 100 nodes
searches-250  20    7 searches, 250 nodes
repairs-20    100   ways round a dead link: 2 searches, 20 nodes
repairs-100   40    2 searches, 100 nodes
repairs-250   20    2 searches, 250 nodes
routed        10000 frame of 60 bytes in transit
broadcast     10000 frame of 60 bytes to all
learn         1000  frame of an address that is new
known         10000 frame of an address that is known
turn          10000 turn of the loop in which nothing is due
copy          10000 1400 bytes copied
fill          10000 1400 bytes filled
END
}

main() {
    command -v qemu-mipsel >/dev/null && command -v cc >/dev/null || tests/need qemu-mipsel:qemu-user cc:build-essential || {
        echo "skipped: on a router: no qemu-mipsel or no C compiler"
        exit 0
    }
    local mesh=${MESH-}
    if [[ -z $mesh ]]; then
        cross/build.sh --bench mesh "$target" >&2
        mesh=dist/bench/$target/mesh
    fi
    build_plugin

    printf '%-50s %14s %9s\n' "$target: work" instructions "ms, $mhz MHz"
    local work rounds text
    while read -r work rounds text; do
        (($# == 0)) || [[ " $* " == *" $work "* ]] || continue
        measure "$mesh" "$work" "$rounds" "$text"
    done < <(works)
    (($#)) || { echo && qemu-mipsel "$mesh"; }
}

build_plugin() {
    local version=1
    [[ $(qemu-mipsel --version) =~ version\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 9)) && version=2
    cc -O2 -Wall -Wextra -Werror -shared -fPIC "-DVERSION=$version" -o "$dir/instructions.so" benches/instructions.c
}

measure() {
    local once twice
    once=$(count "$1" "$2" "$3")
    twice=$(count "$1" "$2" $((2 * $3)))
    awk -v n=$(((twice - once) / $3)) -v speed=$mhz -v per_cycle=$per_cycle -v text="$4" \
        'BEGIN { printf "%-50s %14d %9.3f\n", text, n, n / speed / per_cycle / 1000 }'
}

# Instructions of so many rounds, preparations included.
count() {
    rm -f "$dir/count"
    qemu-mipsel -cpu 24Kc -plugin "file=$dir/instructions.so,out=$dir/count" "$@" >&2 || {
        echo "benches/router.sh: mesh ${*:2} failed" >&2
        return 1
    }
    cat "$dir/count"
}

main "$@"
