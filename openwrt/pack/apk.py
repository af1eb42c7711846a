"""apk's packages, and the list of a feed of them. For OpenWrt from 25.12.

What `apk mkpkg` and `apk mkndx` write of the same input, written here without them: tests/packages holds the two against
each other. The same input gives the same bytes; only the signature of a list differs each time, as ECDSA's do. The numbers
below are those of apk-tools' objects. Read first: adb.py, docs/packaging.md.
"""

import hashlib
import stat
import struct

from . import adb, recipe
from .recipe import Entry, Refusal

PACKAGE, INDEX = b"pckg", b"indx"
INDEPENDENT = "noarch"
# Fields of a package's description.
NAME, VERSION, HASHES, DESCRIPTION, ARCH, LICENSE, ORIGIN, MAINTAINER, URL = range(1, 10)
INSTALLED_SIZE, FILE_SIZE, DEPENDS, PROVIDES = 0x0C, 0x0D, 0x0F, 0x10
# Scripts.
POST_INSTALL, PRE_DEINSTALL, POST_DEINSTALL, PRE_UPGRADE, POST_UPGRADE = 3, 4, 5, 6, 7
PRE_INSTALL = 2

HEAD = "#!/bin/sh\n"
FUNCTIONS = """[ -s "$IPKG_INSTROOT/lib/functions.sh" ] || exit 0
. "$IPKG_INSTROOT/lib/functions.sh"
export root="$IPKG_INSTROOT"
export pkgname="{name}"
"""
INSTALL = """[ "$IPKG_NO_SCRIPT" = 1 ] && exit 0
""" + FUNCTIONS + """add_group_and_user
default_postinst
"""
UPGRADE = "export PKG_UPGRADE=1\n"
REMOVE = FUNCTIONS + """default_prerm
"""


def file_name(package):
    """In dist/, where all architectures lie side by side."""
    return f"{package.name}-{package.version}_{architecture(package)}.apk"


def architecture(package):
    return INDEPENDENT if package.architecture == recipe.INDEPENDENT else package.architecture


def feed_name(content):
    """In a feed, where apk makes the name up from what the list says."""
    reader, info = read(content)
    return f"{reader.blob(info[NAME]).decode()}-{reader.blob(info[VERSION]).decode()}.apk"


def read(content):
    """A reader of an .apk, and the fields of its description."""
    _, parts = adb.blocks(content)
    reader = adb.Reader(parts[0][1])
    return reader, reader.fields(reader.fields(reader.root)[1])


def build(package):
    """The bytes of the .apk. It is not signed: the list of a feed is, and names its digest."""
    files = with_lists(package)
    content, data = description(package, files)
    return adb.file(PACKAGE, content, data=data)


def with_lists(package):
    """The entries, and with them what OpenWrt's functions read of an installed package in /lib/apk/packages."""
    at = f"lib/apk/packages/{package.name}"
    paths = [f"/{entry.path}\n" for entry in package.entries if not entry.is_directory]
    texts = {".list": "".join(sorted(paths))}
    if package.conffiles:
        contents = {f"/{entry.path}": entry.data for entry in package.entries}
        texts[".conffiles"] = "".join(f"{path}\n" for path in package.conffiles)
        texts[".conffiles_static"] = "".join(
            f"{path} {hashlib.sha256(contents[path]).hexdigest()}\n" for path in package.conffiles if path in contents)
    known = {entry.path: entry for entry in package.entries}
    for directory in ("lib", "lib/apk", "lib/apk/packages"):
        known.setdefault(directory, Entry(directory, 0o755))
    for suffix, text in texts.items():
        known[at + suffix] = Entry(at + suffix, 0o644, data=text.encode())
    return list(known.values())


def scripts(package):
    """The whole scripts: OpenWrt's part, then the package's own."""
    def own(kind):
        return "".join(line for line in package.scripts.get(kind, "").splitlines(True) if not line.startswith("#!"))

    install = INSTALL.format(name=package.name) + own("postinst")
    found = {
        POST_INSTALL: HEAD + install,
        PRE_DEINSTALL: HEAD + REMOVE.format(name=package.name) + own("prerm"),
        POST_UPGRADE: HEAD + UPGRADE + install,
    }
    if "preinst" in package.scripts:
        found[PRE_INSTALL] = HEAD + own("preinst")
        found[PRE_UPGRADE] = HEAD + UPGRADE + own("preinst")
    if "postrm" in package.scripts:
        found[POST_DEINSTALL] = HEAD + own("postrm")
    return dict(sorted(found.items()))


def description(package, files):
    """The ADB block of a package, and the contents of its files as blocks of data."""
    writer = adb.Writer()
    info = information(package, writer)
    paths, data = tree(files, package.epoch, writer)
    size = sum(len(entry.data) for entry in files if entry.data is not None)
    info[INSTALLED_SIZE] = writer.int(max(size, 1))
    info[HASHES] = writer.blob(bytes(20), fresh=True)
    unique = (info[HASHES] & 0x0FFFFFFF) + 1
    package_fields = {1: writer.object(info), 2: writer.array(paths)}
    texts = {kind: writer.blob(text) for kind, text in scripts(package).items()}
    package_fields[3] = writer.object(texts)
    content = writer.finish(writer.object(package_fields))
    # Its name among installed packages: the digest of everything else.
    content[unique:unique + 20] = hashlib.sha256(content).digest()[:20]
    return content, data


def information(package, writer):
    meta = package.meta
    texts = {
        NAME: package.name,
        VERSION: package.version,
        DESCRIPTION: package.description,
        ARCH: architecture(package),
        LICENSE: meta["PKG_LICENSE"],
        ORIGIN: package.name,
        MAINTAINER: meta["PKG_MAINTAINER"],
        URL: meta["URL"],
    }
    info = {number: writer.blob(text) for number, text in texts.items()}
    info[DEPENDS] = dependencies(package.depends, writer)
    provides = [f"{name}={package.version}" for name in meta["PROVIDES"].split()]
    info[PROVIDES] = dependencies(provides, writer)
    return info


def dependencies(names, writer):
    """Names, with an exact version behind `=` or with none."""
    found = []
    for name in sorted(set(names)):
        name, _, version = name.partition("=")
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise Refusal(f"{name}: not the name of a package")
        fields = {1: writer.blob(name)}
        if version:
            fields[2] = writer.blob(version)
        found.append(writer.object(fields))
    return writer.array(found)


def tree(files, epoch, writer):
    """Directories with their files, and the contents in the same order, each behind its place in both."""
    directories = sorted((entry for entry in files if entry.is_directory), key=lambda entry: entry.path.encode())
    found, data = [], []
    for number, directory in enumerate(directories, start=1):
        inside = sorted((entry for entry in files if not entry.is_directory and parent(entry) == directory.path),
                        key=lambda entry: entry.path.encode())
        values = [file(entry, epoch, writer) for entry in inside]
        name = writer.blob(directory.path)
        rights = access(directory, writer)
        found.append(writer.object({1: name, 2: rights, 3: writer.array(values)}))
        data += [struct.pack("<II", number, place) + entry.data
                 for place, entry in enumerate(inside, start=1) if entry.data]
    return found, data


def parent(entry):
    return entry.path.rpartition("/")[0]


def file(entry, epoch, writer):
    fields = {1: writer.blob(entry.path.rpartition("/")[2])}
    if entry.target is None:
        fields[5] = writer.blob(hashlib.sha256(entry.data).digest())
        size = len(entry.data)
    else:
        fields[6] = writer.blob(struct.pack("<H", stat.S_IFLNK) + entry.target.encode())
        size = len(entry.target)
    fields[4] = writer.int(epoch)
    fields[3] = writer.int(size)
    fields[2] = access(entry, writer)
    return writer.object(fields)


def access(entry, writer):
    return writer.object({1: writer.int(entry.mode), 2: writer.blob("root"), 3: writer.blob("root")})


def index(contents, description_text, keys=()):
    """The bytes of `packages.adb` for .apk files of these contents."""
    writer = adb.Writer()
    found = []
    for content in contents:
        reader, fields = read(content)
        order = (reader.blob(fields[NAME]), reader.blob(fields[VERSION]))
        info = {number: writer.copy(reader, value) for number, value in fields.items()}
        info[FILE_SIZE] = writer.int(len(content))
        info[HASHES] = writer.blob(hashlib.sha256(reader.bytes).digest())
        found.append((order, writer.object(info)))
    text = writer.blob(description_text)
    packages = writer.array([value for _, value in sorted(found)])
    return adb.file(INDEX, writer.finish(writer.object({1: text, 2: packages})), keys=keys)
