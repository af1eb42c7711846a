"""What reviewers and checks of OpenWrt's packages feed look for, as far as a program can see it, and some habits of ours.

Each finding is a line `FILE:LINE: what is wrong`. It reads text, and the package as openwrt/sdk stages it. Whether the
package builds in the SDK it cannot tell. Read first: docs/packaging.md.
"""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile

from . import recipe

LICENSES = {"MIT", "Apache-2.0"}
NEEDED = ("PKG_NAME", "PKG_VERSION", "PKG_RELEASE", "PKG_MAINTAINER", "PKG_LICENSE", "PKG_LICENSE_FILES")
# LuCI's own feed finds packages by that line, since it is luci.mk that calls BuildPackage.
LUCI_SIGNATURE = "# call BuildPackage - OpenWrt buildroot signature"
LUCI_NEEDED = ("LUCI_TITLE", "LUCI_DEPENDS", "LUCI_URL", "LUCI_MAINTAINER")
TEXTS = ("conffiles", "preinst", "postinst", "prerm", "postrm")
# Endings of files/NAME.* that a shell reads, with or without a line that says so.
SCRIPTS = (".defaults", ".hotplug-iface", ".hotplug-ntp", ".init", ".postinst", ".prerm", ".sh")
PROGRAMS = ("/etc/init.d/", "/usr/sbin/", "/etc/uci-defaults/")
VERSION = re.compile(r"\d+(\.\d+)*(_(alpha|beta|pre|rc)\d*)?")
MAINTAINER = re.compile(r"[^<>@]+ <[^<>@\s]+@[^<>@\s]+\.[^<>@\s]+>")

# In scripts of a package. Each is a thing that a package on a router far away must not do, or that procd does better.
SCRIPT_RULES = [
    (r"(?:^|[^&|>])&\s*$", "runs something in the background; procd does that"),
    (r"\b(?:killall|pkill|pgrep)\b", "looks for processes by name; procd knows them"),
    (r"\b(?:wget|curl|uclient-fetch)\b", "downloads something"),
    (r"\buci\b.*\b(?:set|add|add_list|delete|del_list)\b.*\b(?:network|firewall|dhcp|wireless)[.\[ ]",
     "changes the configuration of another package"),
    (r"/etc/init\.d/network\s+(?:restart|stop)|\bservice\s+network\s+(?:restart|stop)", "restarts the network"),
    (r"\bchmod\s+(?:0?777|0?666|a\+)", "gives everybody rights"),
    (r"ucitrack", "uses ucitrack; procd's triggers do that"),
    (r"\becho\b.*>\s*\S*\.pid\b", "writes a pid file; procd has no need of it"),
]
SHELLCHECK_IGNORED = ("SC2034",    # START and the like are read by rc.common
                      "SC3043",    # busybox and dash know `local`
                      "SC1091",    # OpenWrt's libraries are not here
                      "SC2154")    # and set variables


def review(root):
    """All findings on the feed `root`/openwrt of the source tree `root`."""
    findings = []
    for directory in recipe.directories(root / "openwrt"):
        findings += review_package(root, directory)
    for script in [*sorted((root / "init.d").glob("*")), *sorted((root / "openwrt").glob("*/files/*"))]:
        findings += [f"{script.relative_to(root)}{finding}" for finding in review_file(script)]
    return findings


def review_package(root, directory):
    makefile = directory / "Makefile"
    text = text_of(makefile)
    where = makefile.relative_to(root)
    findings = [f"{where}{finding}" for finding in review_makefile(text, directory.name, root)]
    for test in (directory / "test.sh", directory / "test-version.sh"):
        if test.exists():
            findings += [f"{test.relative_to(root)}{finding}" for finding in review_test(test)]
    if not is_luci(directory.name) and not (directory / "test.sh").exists():
        findings.append(f"{where}:1: there is no test.sh beside it")
    if not findings:
        findings += [f"{where}:1: {finding}" for finding in review_stage(root, directory)]
    return findings


def review_makefile(text, name, root):
    lines = text.splitlines()
    yield from form(text)
    if not any("SPDX-License-Identifier:" in line for line in lines[:1]):
        yield ":1: does not begin with the licence, # SPDX-License-Identifier: ..."
    if re.search(r"Copyright.*OpenWrt\.org", text):
        yield ":1: the copyright is the authors', not OpenWrt.org's"
    yield from review_variables(lines, root)
    yield from review_blocks(lines)
    for number, line in enumerate(lines, start=1):
        if re.match(r"\s*(?:define\b|\$\((?:eval|call)\b)", line) and "$(PKG_NAME)" in line:
            yield f":{number}: $(PKG_NAME) where the name belongs: {name}"
        if re.search(r"\b(?:wget|curl)\b", line):
            yield f":{number}: downloads outside of PKG_SOURCE, which has a hash"
    last = LUCI_SIGNATURE if is_luci(name) else f"$(eval $(call BuildPackage,{name}))"
    if not lines or lines[-1] != last:
        yield f":{len(lines)}: does not end with {last}"
    if is_luci(name):
        yield from review_luci(lines)


def is_luci(name):
    """luci.mk does the work for it: LuCI has other rules in some points."""
    return name.startswith("luci-")


def review_luci(lines):
    for needed in LUCI_NEEDED:
        if not any(re.match(rf"{needed}:=\S", line) for line in lines):
            yield f":1: {needed} is missing"
    if not any(re.fullmatch(r"include (?:\$\(TOPDIR\)/feeds/luci|\.\./\.\.)/luci\.mk", line) for line in lines):
        yield ":1: does not include LuCI's luci.mk"
    for number, line in enumerate(lines, start=1):
        if re.match(r"LUCI_\w+\s*[?+]?=", line):
            yield f":{number}: write NAME:=VALUE"


def review_variables(lines, root):
    values = {}
    for number, line in enumerate(lines, start=1):
        if found := re.fullmatch(r"(PKG_\w+):=(.*)", line):
            values[found[1]] = (number, found[2].strip())
        elif re.match(r"PKG_\w+\s*[?+:]?=", line):
            yield f":{number}: write NAME:=VALUE"
    for name in NEEDED:
        if name not in values:
            yield f":1: {name} is missing"
    checks = {
        "PKG_VERSION": (lambda value: VERSION.fullmatch(value) and value.replace("_", "-") == cargo_version(root),
                        "not the version of Cargo.toml, or not one that apk takes"),
        "PKG_RELEASE": (lambda value: value.isdigit() and int(value) > 0, "not a number from 1"),
        "PKG_MAINTAINER": (MAINTAINER.fullmatch, "not of the form Name <mail>"),
        "PKG_LICENSE": (lambda value: set(value.split()) <= LICENSES, "not names of SPDX that Cargo.toml has"),
        "PKG_LICENSE_FILES": (lambda value: all((root / file).is_file() for file in value.split()),
                              "names a file that does not exist"),
        "PKG_SOURCE_URL": (lambda value: value.startswith(("https://", "@")), "not https"),
        "PKG_HASH": (re.compile("[0-9a-f]{64}").fullmatch, "not a SHA-256"),
    }
    for name, (check, complaint) in checks.items():
        if name in values and not check(values[name][1]):
            yield f":{values[name][0]}: {name}: {complaint}"
    if "PKG_SOURCE" in values and "PKG_HASH" not in values:
        yield f":{values['PKG_SOURCE'][0]}: PKG_SOURCE without PKG_HASH"


def review_blocks(lines):
    """Two spaces in `define Package/x`, tabs in recipes, nothing before what becomes a file."""
    block = None
    for number, line in enumerate(lines, start=1):
        if found := re.match(r"define (.+)", line):
            block = found[1]
            continue
        if line == "endef":
            block = None
        if block is None or not line:
            continue
        kind = block.rpartition("/")[2]
        if re.fullmatch(r"Package/[^/]+", block) or kind == "description":
            if not re.match(r"  \S", line):
                yield f":{number}: two spaces belong in front in define {block}"
        elif kind in TEXTS:
            if kind == "conffiles" and not re.fullmatch(r"/\S*", line):
                yield f":{number}: conffiles are absolute paths without anything in front"
        elif not line.startswith("\t"):
            yield f":{number}: a tab belongs in front in define {block}"


def review_file(path):
    """A script or another file that the package installs."""
    text = text_of(path)
    yield from form(text)
    is_init = path.parent.name == "init.d" or text.startswith("#!/bin/sh /etc/rc.common")
    if is_init:
        yield from review_init(text)
    if is_script(path, text):
        for number, line in enumerate(text.splitlines(), start=1):
            for pattern, complaint in SCRIPT_RULES:
                if not line.lstrip().startswith("#") and re.search(pattern, line):
                    yield f":{number}: {complaint}"
        yield from shell(path, text)
    if path.suffix == ".keep":
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.startswith("/"):
                yield f":{number}: not an absolute path"


def is_script(path, text):
    return text.startswith("#!") or path.suffix in SCRIPTS


def review_init(text):
    if text.splitlines()[:1] != ["#!/bin/sh /etc/rc.common"]:
        yield ":1: an init script begins with #!/bin/sh /etc/rc.common"
    for needed in (r"^USE_PROCD=1\b", r"^START=\d\d\b", r"^start_service\(\)"):
        if not re.search(needed, text, re.MULTILINE):
            yield f":1: no line {needed}"
    for unwanted in ("start", "stop"):
        if re.search(rf"^{unwanted}\(\)", text, re.MULTILINE):
            yield f":1: {unwanted}() is rc.common's; procd wants {unwanted}_service()"


def review_test(path):
    text = text_of(path)
    yield from form(text)
    yield from shell(path, text)
    if not path.stat().st_mode & 0o100:
        yield ":1: cannot be executed"
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(r"\bgrep\b.*\s(?:-\w*q|--quiet)", line):
            yield f":{number}: grep hides what it found; the log is to show it"


def text_of(path):
    """As it is, line ends too."""
    return path.read_bytes().decode()


def form(text):
    if "\r" in text:
        yield ":1: line ends of another system"
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield ":1: does not end with one line end"
    for number, line in enumerate(text.splitlines(), start=1):
        if line != line.rstrip():
            yield f":{number}: blanks at the end"


def shell(path, text):
    """busybox's shell reads it without a complaint, and so does shellcheck where it is installed."""
    checks = [("sh", "-n"), ("busybox", "ash", "-n")]
    for check in checks:
        if shutil.which(check[0]):
            done = subprocess.run([*check, path], capture_output=True, text=True)
            if done.returncode:
                yield f":1: {' '.join(check)}: {done.stderr.strip()}"
    if shutil.which("shellcheck"):
        check = ["shellcheck", "--shell=dash", "--format=gcc", f"--exclude={','.join(SHELLCHECK_IGNORED)}", "-"]
        # rc.common's line would be taken for another shell's.
        plain = "#!/bin/sh\n" + text.split("\n", 1)[1] if text.startswith("#!") else text
        done = subprocess.run(check, input=plain, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            yield ":" + line.split(":", 1)[1]


def review_stage(root, directory):
    """What the packages of a Makefile install."""
    try:
        for made in recipe.packages_of(directory):
            with tempfile.TemporaryDirectory(prefix="quicap-lint-") as scratch:
                package = recipe.read(made, "x86_64", pathlib.Path("/bin/true"), pathlib.Path(scratch), root)
            yield from review_files(package)
    except recipe.Refusal as refusal:
        yield str(refusal)


def review_files(package):
    files = {f"/{entry.path}": entry for entry in package.entries if not entry.is_directory}
    for path, entry in files.items():
        if path.startswith("/etc/config/") and path not in package.conffiles:
            yield f"{path} is not among the conffiles: an upgrade would replace it"
        if path.startswith("/etc/config/") and entry.mode != 0o600:
            yield f"{path} has mode {entry.mode:o}; use INSTALL_CONF"
        # Those of translations are luci.mk's; OpenWrt only reads them.
        if path.startswith(PROGRAMS) and not entry.mode & 0o100 and not package.name.startswith("luci-i18n-"):
            yield f"{path} cannot be executed; use INSTALL_BIN"
        if entry.mode & 0o022:
            yield f"{path} can be written by others"
        if path.endswith(".json"):
            yield from review_json(path, entry.data)
        if path.startswith("/usr/share/rpcd/") and "/ucode/" in path and "rpcd-mod-ucode" not in package.depends:
            yield f"{path} without +rpcd-mod-ucode in LUCI_DEPENDS"
    for path in package.conffiles:
        if path not in files and not path.endswith("/"):
            yield f"the conffile {path} is not installed"
    kept = files.get(f"/lib/upgrade/keep.d/{package.name}")
    if any(path.startswith("/usr/sbin/") for path in files):
        if "kmod-tun" not in package.depends:
            yield "DEPENDS lacks +kmod-tun: the driver is a package"
        if not kept or b"/etc/quicap/" not in kept.data.split():
            yield "keep.d does not keep /etc/quicap/: keys would be lost in a sysupgrade"


def review_json(path, content):
    """LuCI's menu and rpcd's rights are lost as a whole by one comma."""
    try:
        json.loads(content)
    except ValueError as error:
        yield f"{path}: {error}"


def cargo_version(root):
    return re.search(r'^version = "(.*)"$', (root / "Cargo.toml").read_text(), re.MULTILINE)[1]
