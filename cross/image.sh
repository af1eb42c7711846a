#!/bin/bash
# Writes the configuration of cargo for the image of `cross`: cross/image.sh TOOLCHAIN
# It is cross/config.toml with the router profile in the place of release, and for each target of cross/targets its compiler,
# linker and emulator. At the top of the image's file system cargo finds it from any directory. Used by the Dockerfile.
set -euo pipefail
cd "$(dirname "$0")"

# There release inherits from nobody, and rustc strips: build.sh, which does it better, is not there.
sed -e '/^inherits = /d' -e 's/^\[profile\.router/[profile.release/' -e 's/^strip = .*/strip = true/' config.toml

environment=
while read -r target _ _ emulator; do
    printf '\n[target.%s]\nlinker = "%s"\n' "$target" "$1/cc/$target"
    [[ $emulator == - ]] || printf 'runner = "%s"\n' "$emulator"
    environment+="CC_${target//-/_} = \"$1/cc/$target\""$'\n'
done < <(sed 's/#.*//;/^ *$/d' targets)
printf '\n[env]\n%s' "$environment"
