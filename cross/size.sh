#!/bin/bash
# Prints the sizes of the router binaries in dist/bin, and fails when the one for mipsel outgrows small routers.
set -euo pipefail
cd "$(dirname "$0")/.."
limit_target=mipsel-unknown-linux-musl
limit=910000    # bytes of gzip -9: the package packs it smaller, and is to stay below 900 kB with room left (openwrt/sizes)

printf '%-32s %10s %10s\n' target bytes gzip
status=0
for target in $(sed 's/#.*//' cross/targets | awk 'NF { print $1 }'); do
    binary=dist/bin/$target/quicap
    if [[ ! -f $binary ]]; then
        echo "cross/size.sh: $binary does not exist: run cross/build.sh $target" >&2
        status=2
        continue
    fi
    packed=$(gzip -9 -n -c "$binary" | wc -c)
    printf '%-32s %10d %10d\n' "$target" "$(stat -c %s "$binary")" "$packed"
    if [[ $target == "$limit_target" ]] && ((packed > limit)); then
        echo "cross/size.sh: $target has $packed bytes after gzip -9, the limit is $limit" >&2
        status=1
    fi
done
exit "$status"
