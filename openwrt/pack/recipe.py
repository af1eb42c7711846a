"""What is in a package: its Makefile is asked, with openwrt/sdk in place of the SDK.

Does not build the program, and knows no archive. Read first: openwrt/sdk/rules.mk, docs/packaging.md.
"""

import os
import pathlib
import stat
import subprocess
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEED = ROOT / "openwrt"
INDEPENDENT = "all"                # OpenWrt's word for a package without anything of an architecture; apk has another


class Refusal(Exception):
    """Why there is no package, in one line for the one who called."""


@dataclass
class Entry:
    """A file, a symbolic link or a directory. `path` is relative, without a leading dot; the root's is empty."""

    path: str
    mode: int
    data: bytes | None = None      # of a file
    target: str | None = None      # of a symbolic link

    @property
    def is_directory(self):
        return self.data is None and self.target is None


@dataclass
class Package:
    name: str
    version: str                   # X.Y.Z-rN
    architecture: str
    depends: list[str]
    meta: dict[str, str]           # TITLE, URL, PKG_LICENSE, ... and description, as the Makefile has them
    conffiles: list[str]
    scripts: dict[str, str]        # own parts of preinst, postinst, prerm, postrm
    entries: list[Entry] = field(default_factory=list)
    epoch: int = 0                 # seconds: the time of every file

    @property
    def installed_size(self):
        return sum(len(entry.data) for entry in self.entries if entry.data is not None)

    @property
    def description(self):
        """As one paragraph."""
        return " ".join(self.meta["description"].split())


@dataclass
class Architecture:
    name: str
    target: str                    # of cross/targets
    limit: int                     # bytes of one package
    devices: list[str]


def architectures():
    """The table openwrt/architectures."""
    rows = (line.split("#")[0].split() for line in (FEED / "architectures").read_text().splitlines())
    return {row[0]: Architecture(row[0], row[1], int(row[2]), row[3:]) for row in rows if row}


@dataclass
class Made:
    """What a Makefile makes."""

    name: str
    directory: pathlib.Path        # of the Makefile
    independent: bool              # the same for all architectures


def directories(feed):
    """Those with a Makefile."""
    return sorted(makefile.parent for makefile in feed.glob("*/Makefile"))


def packages(feed):
    return [package for directory in directories(feed) for package in packages_of(directory)]


def packages_of(directory):
    """A Makefile can make several: LuCI's makes one of each translation."""
    rows = (line.split() for line in ask(directory, "packages").splitlines())
    return [Made(name, directory, kind == INDEPENDENT) for name, kind in rows]


def source_date_epoch():
    """The environment's, or the time of the last commit, or that which `git archive` gave the files of a release."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if (ROOT / ".git").exists():
        log = ["git", "-C", ROOT, "log", "-1", "--format=%ct"]
        return int(subprocess.run(log, check=True, capture_output=True, text=True).stdout)
    return int((ROOT / "Cargo.toml").stat().st_mtime)


def ask(directory, goal, *variables):
    """What `make` prints."""
    make = ["make", "--silent", "--no-print-directory", "-C", directory, goal, f"TOPDIR={FEED / 'sdk'}", *variables]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(make, capture_output=True, text=True, env=environment, umask=0o022)
    if done.returncode:
        raise Refusal(f"{directory}/Makefile: {done.stderr.strip()}")
    return done.stdout


def read(made, architecture, binary, scratch, source=ROOT):
    """The package `made` for one architecture, around `binary`. `scratch` is an empty directory to work in."""
    variables = [f"SOURCE={source}", f"OUT={scratch}"]
    if not made.independent:
        if not pathlib.Path(binary).is_file():
            raise Refusal(f"{binary} does not exist: cross/build.sh makes it")
        variables.append(f"BINARY={pathlib.Path(binary).resolve()}")
    (scratch / "meta").mkdir()
    ask(made.directory, f"package-{made.name}", *variables)
    meta = {file.name: file.read_text().rstrip("\n") for file in sorted((scratch / "meta").iterdir())}
    return Package(
        name=made.name,
        version=f"{meta['PKG_VERSION']}-r{meta['PKG_RELEASE']}",
        architecture=INDEPENDENT if made.independent else architecture,
        depends=dependencies(meta["DEPENDS"]),
        meta=meta,
        conffiles=meta.get("conffiles", "").split(),
        scripts={kind: meta[kind] + "\n" for kind in ("preinst", "postinst", "prerm", "postrm") if kind in meta},
        entries=entries(scratch / "root"),
        epoch=source_date_epoch(),
    )


def dependencies(words):
    """`@x` is a condition of the SDK's menu, `+kmod-tun` selects what it depends on."""
    return [word.lstrip("+") for word in words.split() if not word.startswith("@")]


def entries(root):
    """All below `root`, by path, the root itself first."""
    found = [entry(root, root)]
    for directory, names, files in os.walk(root):
        found += [entry(root, pathlib.Path(directory, name)) for name in names + files]
    return sorted(found, key=lambda item: item.path.encode())


def entry(root, path):
    relative = "" if path == root else path.relative_to(root).as_posix()
    state = path.lstat()
    mode = stat.S_IMODE(state.st_mode)
    if stat.S_ISLNK(state.st_mode):
        return Entry(relative, 0o777, target=os.readlink(path))
    if stat.S_ISDIR(state.st_mode):
        return Entry(relative, mode)
    if not stat.S_ISREG(state.st_mode):
        raise Refusal(f"/{relative}: neither a file, nor a directory, nor a symbolic link")
    return Entry(relative, mode, data=path.read_bytes())
