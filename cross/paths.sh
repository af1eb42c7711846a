#!/bin/bash
# Fails when a program names a directory of the machine that built it: cross/paths.sh PROGRAM...
set -euo pipefail
cd "$(dirname "$0")/.."

(($#)) || { echo "usage: cross/paths.sh PROGRAM..." >&2; exit 2; }
status=0
for program in "$@"; do
    for directory in "$PWD" "$HOME" "${CARGO_HOME:-$HOME/.cargo}" "$(rustc --print sysroot)"; do
        if [[ $directory != / ]] && strings -n 4 "$program" | grep -F -- "$directory/" >&2; then
            echo "cross/paths.sh: $program names $directory" >&2
            status=1
        fi
    done
done
exit "$status"
