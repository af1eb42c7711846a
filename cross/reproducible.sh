#!/bin/bash
# Shows that a router build is the same bytes from anywhere: cross/reproducible.sh TARGET...
# Each target is built twice from nothing, in two copies of the tree with names of different lengths, and compared; no
# directory of this machine may be named inside. The tools of .tools are used for both: installing them twice proves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

(($#)) || { echo "usage: cross/reproducible.sh TARGET..." >&2; exit 2; }
mkdir -p target
work=$(mktemp -d "$root/target/reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT
places=("$work/a" "$work/a-much-longer-name/of-another-depth")

cross/toolchain.sh .tools/cross
for place in "${places[@]}"; do
    mkdir -p "$place"
    # What is in work counts, not only what is committed; what git ignores does not.
    git ls-files --cached --others --exclude-standard -z | xargs -0 tar -c --ignore-failed-read 2>/dev/null | tar -x -C "$place"
    ln -s "$root/.tools" "$place/.tools"
    (cd "$place" && cross/build.sh "$@")
    rm -rf "$place/target"
done

status=0
for target in "$@"; do
    one=${places[0]}/dist/bin/$target/quicap two=${places[1]}/dist/bin/$target/quicap
    if cmp "$one" "$two"; then
        echo "$target: the same $(stat -c %s "$one") bytes, sha256 $(sha256sum "$one" | cut -d ' ' -f 1)"
    else
        status=1
    fi
    cross/paths.sh "$one" || status=1
done
exit "$status"
