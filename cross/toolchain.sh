#!/bin/bash
# Installs the C compiler and linker of the router builds: cross/toolchain.sh DIR
# zig and cargo-zigbuild come from PyPI into DIR; for each target of cross/targets there is then DIR/cc/TARGET, which both
# Rust's linker and C's compiler can be, and which links libc.c into each program. Used by build.sh and by the Dockerfile. Does
# nothing where all is in place.
set -euo pipefail
from=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
wanted=(ziglang==0.17.1 cargo-zigbuild==0.24.0)

if [[ $(cat "$dir/versions" 2>/dev/null) != "${wanted[*]}" ]]; then
    python3 -c 'import venv, ensurepip' 2>/dev/null || {
        echo "cross/toolchain.sh: python3 with its venv is missing: apt-get install python3-venv" >&2
        exit 2
    }
    rm -rf "${dir:?}"/*
    python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check "${wanted[@]}"
    echo "${wanted[*]}" >"$dir/versions"
fi

plain="-fno-sanitize=all -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pic -fomit-frame-pointer"

# Not by the compiler below: cargo-zigbuild asks for Rust, which the image of `cross` does not have yet.
compile_libc() {
    # shellcheck disable=SC2086 # words of options
    "$dir/bin/python3" -m ziglang cc -target "$1"$2 $plain -O2 -fno-builtin -c "$from/libc.c" -o "$3" </dev/null
}

mkdir -p "$dir/cc"
sed 's/#.*//' "$from/targets" | while read -r target zig cpu _; do
    [[ $target ]] || continue
    [[ $cpu == - ]] && cpu= || cpu=" -mcpu=$cpu"
    # Crates ask a compiler for its kind with `-?`. zig would build a whole second libc before it answers.
    # The ciphers and copies are to be fast, everything else small, zig's own libc too. With -g symbols stay, which tell whose code
    # is big: build.sh takes them off.
    cat >"$dir/cc/$target.new" <<END
#!/bin/sh
case " \$* " in
*' -? '*) exit 1 ;;
*chacha.c\ * | *poly1305.c\ * | *aes_nohw.c\ * | *gcm_nohw.c\ *) speed=-O3 ;;
*) speed=-Oz ;;
esac
case " \$* " in
*' -c '* | *' -E '* | *' -S '*) ;;
*) set -- "\$@" "$dir/cc/$target.libc.o" -g ;;
esac
export PATH="$dir/bin:\$PATH"
exec cargo-zigbuild zig cc -- -target $zig$cpu "\$@" $plain \$speed
END
    chmod +x "$dir/cc/$target.new"
    mv "$dir/cc/$target.new" "$dir/cc/$target"
    [[ $dir/cc/$target.libc.o -nt $from/libc.c && $dir/cc/$target.libc.o -nt $from/toolchain.sh ]] ||
        compile_libc "$zig" "$cpu" "$dir/cc/$target.libc.o"
done
