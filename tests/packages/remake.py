"""Has apk-tools make again what an .apk of ours says: remake.py APK-TOOLS OURS.apk RESULT.apk

The tree is extracted by apk-tools; what the package says of itself and its scripts are read with openwrt/pack.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "openwrt"))

from pack import apk  # noqa: E402

TEXTS = {apk.NAME: "name", apk.VERSION: "version", apk.DESCRIPTION: "description", apk.ARCH: "arch",
         apk.LICENSE: "license", apk.ORIGIN: "origin", apk.MAINTAINER: "maintainer", apk.URL: "url"}
LISTS = {apk.DEPENDS: "depends", apk.PROVIDES: "provides"}
SCRIPTS = {apk.PRE_INSTALL: "pre-install", apk.POST_INSTALL: "post-install", apk.PRE_DEINSTALL: "pre-deinstall",
           apk.POST_DEINSTALL: "post-deinstall", apk.PRE_UPGRADE: "pre-upgrade", apk.POST_UPGRADE: "post-upgrade"}


def main():
    program, ours, result = sys.argv[1:]
    reader, info = apk.read(pathlib.Path(ours).read_bytes())
    options = [("--info", f"{word}:{reader.blob(info[number]).decode()}") for number, word in TEXTS.items()]
    for number, word in LISTS.items():
        names = [dependency(reader, value) for value in reader.items(info.get(number, 0))]
        if names:
            options.append(("--info", f"{word}:{' '.join(names)}"))
    with tempfile.TemporaryDirectory(prefix="quicap-remake-") as scratch:
        tree = pathlib.Path(scratch, "tree")
        tree.mkdir()
        call(program, "extract", "--allow-untrusted", "--destination", tree, ours)
        for number, text in reader.fields(reader.fields(reader.root)[3]).items():
            if text:
                script = pathlib.Path(scratch, SCRIPTS[number])
                script.write_bytes(reader.blob(text))
                options.append(("--script", f"{SCRIPTS[number]}:{script}"))
        words = [word for option in options for word in option]
        call(program, "mkpkg", *words, "--files", tree, "--output", result)


def dependency(reader, value):
    fields = reader.fields(value)
    version = reader.blob(fields.get(2, 0)).decode()
    return reader.blob(fields[1]).decode() + (f"={version}" if version else "")


def call(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=os.environ)
    if done.returncode:
        sys.exit(f"{words[1]}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
