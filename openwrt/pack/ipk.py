"""opkg's packages, and the list of a feed of them. For OpenWrt up to 24.10.

An .ipk is a tar in gzip of three members: debian-binary, data.tar.gz and control.tar.gz. The same input gives the same
bytes: names are sorted, times are the package's own, and all belongs to root. Read first: docs/packaging.md.
"""

import gzip
import hashlib
import io
import struct
import tarfile
import zlib

from .deflate import deflate
from .recipe import INDEPENDENT, Entry

HEAD = "#!/bin/sh\n"
# OpenWrt's functions enable and start what the package brings into /etc/init.d, and stop and disable it.
POSTINST = HEAD + """[ "$IPKG_NO_SCRIPT" = 1 ] && exit 0
[ -s "$IPKG_INSTROOT/lib/functions.sh" ] || exit 0
. "$IPKG_INSTROOT/lib/functions.sh"
default_postinst "$0" "$@"
"""
PRERM = HEAD + """[ -s "$IPKG_INSTROOT/lib/functions.sh" ] || exit 0
. "$IPKG_INSTROOT/lib/functions.sh"
default_prerm "$0" "$@"
"""
# Under these names OpenWrt's functions look for a package's own part.
OWN = {"preinst": "preinst", "postinst": "postinst-pkg", "prerm": "prerm-pkg", "postrm": "postrm"}


def file_name(package):
    return f"{package.name}_{package.version}_{package.architecture}.ipk"


def build(package):
    """The bytes of the .ipk."""
    data = zip_small(tar(package, package.entries, "./"))
    members = [("debian-binary", 0o644, b"2.0\n"), ("data.tar.gz", 0o644, data),
               ("control.tar.gz", 0o644, zip_up(tar(package, control_entries(package), "./")))]
    return zip_up(tar(package, [simple(*member) for member in members], "./"))


def control(package):
    """The paragraph that opkg reads."""
    meta = package.meta
    fields = [
        ("Package", package.name),
        ("Version", package.version),
        ("Depends", ", ".join(package.depends)),
        ("Conflicts", meta["CONFLICTS"]),
        ("Provides", meta["PROVIDES"]),
        ("SourceName", package.name),
        ("License", meta["PKG_LICENSE"]),
        ("Section", meta["SECTION"]),
        ("SourceDateEpoch", str(package.epoch)),
        ("URL", meta["URL"]),
        ("Maintainer", meta["PKG_MAINTAINER"]),
        ("Architecture", package.architecture),
        ("Installed-Size", str(package.installed_size)),
        ("Description", package.description),
    ]
    return "".join(f"{name}: {value}\n" for name, value in fields if value)


def index(packages):
    """The text of `Packages`, of pairs: the paragraph of an .ipk with its name, and its bytes."""
    paragraphs = []
    for paragraph, name, content in sorted(packages, key=lambda item: item[1]):
        place = f"Filename: {name}\nSize: {len(content)}\nSHA256sum: {hashlib.sha256(content).hexdigest()}\n"
        head, description = paragraph.split("Description: ", 1)
        paragraphs.append(f"{head}{place}Description: {description}")
    return "\n".join(paragraphs)


def read_control(content):
    """The paragraph inside an .ipk."""
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = outer.extractfile("./control.tar.gz").read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar_of_control:
        return tar_of_control.extractfile("./control").read().decode()


def control_entries(package):
    members = [simple("", 0o755, None), simple("control", 0o644, control(package).encode())]
    if package.conffiles:
        members.append(simple("conffiles", 0o644, "".join(f"{path}\n" for path in package.conffiles).encode()))
    scripts = {"postinst": POSTINST, "prerm": PRERM}
    scripts.update({OWN[kind]: script for kind, script in package.scripts.items()})
    members += [simple(name, 0o755, text.encode()) for name, text in scripts.items()]
    return sorted(members, key=lambda member: member.path)


def simple(path, mode, data):
    return Entry(path, mode, data=data)


def tar(package, entries, prefix):
    """A tar of the GNU format, as OpenWrt's own tools make it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(prefix + entry.path)
            info.mode, info.mtime = entry.mode, package.epoch
            info.uname = info.gname = "root"
            if entry.is_directory:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif entry.target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                archive.addfile(info)
            else:
                info.size = len(entry.data)
                archive.addfile(info, io.BytesIO(entry.data))
    return packed.getvalue()


def zip_small(content):
    """The same as zip_up, but smaller: RFC 1952 has a head and a tail around raw deflate."""
    head = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff"
    return head + deflate(content) + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def zip_up(content):
    """gzip without a name and a time."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()
