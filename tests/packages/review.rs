//! openwrt/lint finds nothing in the tree, and each fault in a copy of it that has it.

use std::path::Path;
use std::process::Command;

use super::scratch::{Scratch, made, python, root, run, try_run};

const MAKEFILE: &str = "openwrt/quicap/Makefile";
const LUCI: &str = "openwrt/luci-app-quicap/Makefile";
const MENU: &str = "openwrt/luci-app-quicap/root/usr/share/luci/menu.d/luci-app-quicap.json";
const INIT: &str = "init.d/quicap";
const DEFAULTS: &str = "openwrt/quicap/files/quicap.defaults";
const KEEP: &str = "openwrt/quicap/files/quicap.keep";
const TEST: &str = "openwrt/quicap/test.sh";

/// File, what stands there, what is put in its place, and a part of the finding.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (MAKEFILE, "# SPDX-License-Identifier: MIT OR Apache-2.0\n", "", "does not begin with the licence"),
    (MAKEFILE, "The QUICAP developers\n", "OpenWrt.org\n", "not OpenWrt.org's"),
    (MAKEFILE, "PKG_VERSION:=", "PKG_VERSION:=v", "PKG_VERSION: "),
    (MAKEFILE, "PKG_VERSION:=", "PKG_VERSION:=99.", "PKG_VERSION: "),
    (MAKEFILE, "PKG_RELEASE:=", "PKG_RELEASE:=r", "PKG_RELEASE: "),
    (MAKEFILE, "PKG_RELEASE:=", "RELEASE:=", "PKG_RELEASE is missing"),
    (MAKEFILE, "PKG_RELEASE:=", "PKG_RELEASE = ", "NAME:=VALUE"),
    (MAKEFILE, "PKG_MAINTAINER:=The QUICAP developers <", "PKG_MAINTAINER:=<", "PKG_MAINTAINER: "),
    (MAKEFILE, "PKG_LICENSE:=Apache-2.0 MIT", "PKG_LICENSE:=Apache", "PKG_LICENSE: "),
    (MAKEFILE, "LICENSE-MIT\n", "LICENSE-GONE\n", "PKG_LICENSE_FILES: "),
    (
        MAKEFILE,
        "PKG_BUILD_PARALLEL:=1\n",
        "PKG_BUILD_PARALLEL:=1\nPKG_SOURCE:=x.tar.xz\n",
        "PKG_SOURCE without PKG_HASH",
    ),
    (
        MAKEFILE,
        "PKG_BUILD_PARALLEL:=1\n",
        "PKG_BUILD_PARALLEL:=1\nPKG_HASH:=skip\n",
        "PKG_HASH: not a SHA-256",
    ),
    (
        MAKEFILE,
        "PKG_BUILD_PARALLEL:=1\n",
        "PKG_BUILD_PARALLEL:=1\nPKG_SOURCE_URL:=http://example.org\n",
        "PKG_SOURCE_URL: not https",
    ),
    (MAKEFILE, "  SECTION:=net", "\tSECTION:=net", "two spaces belong in front in define Package/quicap"),
    (MAKEFILE, "\n/etc/config/quicap\n", "\n  /etc/config/quicap\n", "conffiles are absolute paths"),
    (MAKEFILE, "\n/etc/config/quicap\n", "\n", "/etc/config/quicap is not among the conffiles"),
    (
        MAKEFILE,
        "\n/etc/config/quicap\n",
        "\n/etc/config/quicap\n/etc/gone\n",
        "the conffile /etc/gone is not installed",
    ),
    (
        MAKEFILE,
        "\t$(INSTALL_DIR) $(1)/usr/sbin\n",
        "    $(INSTALL_DIR) $(1)/usr/sbin\n",
        "a tab belongs in front",
    ),
    (
        MAKEFILE,
        "define Package/quicap/install",
        "define Package/$(PKG_NAME)/install",
        "$(PKG_NAME) where the name belongs",
    ),
    (
        MAKEFILE,
        "\t$(INSTALL_DIR) $(1)/usr/sbin\n",
        "\twget example.org\n\t$(INSTALL_DIR) $(1)/usr/sbin\n",
        "downloads outside of PKG_SOURCE",
    ),
    (
        MAKEFILE,
        "$(eval $(call BuildPackage,quicap))",
        "",
        "does not end with $(eval $(call BuildPackage,quicap))",
    ),
    (MAKEFILE, " +kmod-tun", "", "DEPENDS lacks +kmod-tun"),
    (MAKEFILE, "$(INSTALL_CONF)", "$(INSTALL_DATA)", "/etc/config/quicap has mode 644; use INSTALL_CONF"),
    (
        MAKEFILE,
        "$(INSTALL_BIN) $(PKG_BUILD_DIR)/init.d",
        "$(INSTALL_DATA) $(PKG_BUILD_DIR)/init.d",
        "/etc/init.d/quicap cannot be executed",
    ),
    (MAKEFILE, "$(PKG_BUILD_DIR)/init.d/quicap", "$(PKG_BUILD_DIR)/init.d/gone", "init.d/gone"),
    (MAKEFILE, "PKG_NAME:=quicap\n", "PKG_NAME:=quicap \n", "blanks at the end"),
    (LUCI, "# call BuildPackage - OpenWrt buildroot signature\n", "# done\n", "does not end with # call"),
    (LUCI, "LUCI_TITLE:=", "TITLE:=", "LUCI_TITLE is missing"),
    (LUCI, "LUCI_URL:=", "LUCI_URL?=", "write NAME:=VALUE"),
    (LUCI, "feeds/luci/luci.mk", "feeds/other/luci.mk", "does not include LuCI's luci.mk"),
    (LUCI, " +rpcd-mod-ucode", "", "without +rpcd-mod-ucode"),
    (LUCI, "PKG_LICENSE:=Apache-2.0 MIT", "PKG_LICENSE:=Apache", "PKG_LICENSE: "),
    (MENU, "{", "{,", "luci-app-quicap.json: "),
    (INIT, "#!/bin/sh /etc/rc.common", "#!/bin/sh", "an init script begins with"),
    (INIT, "USE_PROCD=1\n", "", "USE_PROCD"),
    (INIT, "start_service()", "start()", "start() is rc.common's"),
    (INIT, "start_service() {\n", "start_service() {\n\tquicap run &\n", "runs something in the background"),
    (INIT, "start_service() {\n", "start_service() {\n\tkillall quicap\n", "looks for processes by name"),
    (INIT, "start_service() {\n", "start_service() {\n\techo $$ >/var/run/quicap.pid\n", "writes a pid file"),
    (INIT, "start_service() {\n", "start_service() {\n\tif true\n", "sh -n"),
    (INIT, "start_service() {\n", "start_service() {\r\n", "line ends of another system"),
    (
        DEFAULTS,
        "exit 0",
        "uci set network.lan.mtu=1400\nexit 0",
        "changes the configuration of another package",
    ),
    (DEFAULTS, "exit 0", "/etc/init.d/network restart\nexit 0", "restarts the network"),
    (DEFAULTS, "exit 0", "chmod 777 /etc/quicap\nexit 0", "gives everybody rights"),
    (DEFAULTS, "exit 0", "wget example.org\nexit 0", "downloads something"),
    (DEFAULTS, "exit 0", "uci add ucitrack quicap\nexit 0", "uses ucitrack"),
    (KEEP, "/etc/quicap/\n", "etc/quicap/\n", "not an absolute path"),
    (KEEP, "/etc/quicap/\n", "", "keep.d does not keep /etc/quicap/"),
    (TEST, "| grep ", "| grep -q ", "grep hides what it found"),
];

fn lint(source: &Path) -> (bool, String) {
    try_run(python("openwrt/lint").arg(source)).unwrap()
}

/// What the linter reads of the tree.
fn copy(scratch: &Scratch) -> std::path::PathBuf {
    let copy = scratch.path("copy");
    let mut cp = Command::new("cp");
    cp.arg("-R");
    for name in ["openwrt", "init.d", "uci", "Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT"] {
        cp.arg(root().join(name));
    }
    run(cp.arg(made(&copy)));
    copy
}

#[test]
fn reviewers_find_nothing_here() {
    assert_eq!(lint(root()), (true, String::new()));
    let scratch = Scratch::new();
    assert_eq!(
        lint(&copy(&scratch)),
        (true, String::new()),
        "a copy must be as good, or the next test proves nothing"
    );
}

#[test]
fn each_fault_is_found_in_a_copy_that_has_it() {
    let scratch = Scratch::new();
    let copy = copy(&scratch);
    for (file, there, instead, finding) in FAULTS {
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(there), "{file} has no {there:?}: this case tests nothing");
        std::fs::write(&path, text.replacen(there, instead, 1)).unwrap();
        let (good, output) = lint(&copy);
        assert!(!good && output.contains(finding), "{file}: {instead:?} gives\n{output}");
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(lint(&copy), (true, String::new()));
}

/// What openwrt/release makes for OpenWrt's own feed names an archive and its hash, and is as good.
#[test]
fn the_package_for_openwrts_feed_has_a_source_with_its_hash() {
    let scratch = Scratch::new();
    let copy = copy(&scratch);
    scratch.write("copy/.gitignore", "/dist\n__pycache__/\n");
    let git = "git init -q . && git add . && git -c user.name=x -c user.email=x@example.org commit -q -m x";
    run(Command::new("sh").args(["-c", git]).current_dir(&copy));
    run(Command::new("openwrt/release").current_dir(&copy));
    let released = scratch.text("copy/dist/release/net/quicap/Makefile");
    let sum = run(Command::new("sha256sum")
        .arg(copy.join(format!("dist/release/quicap-{}.tar.xz", env!("CARGO_PKG_VERSION")))));
    assert!(released.contains(&format!("\nPKG_HASH:={}\n", &sum[..64])), "{released}");
    assert!(!released.contains("Build/Prepare") && !released.contains("OWN FEED"), "{released}");
    assert!(released.contains("\ninclude ../../lang/rust/rust-package.mk\n"), "{released}");
    let stand_in = released.replace("../../lang", "$(TOPDIR)/feeds/packages/lang");
    scratch.write("copy/openwrt/quicap/Makefile", stand_in);
    assert_eq!(lint(&copy), (true, String::new()));
}

/// The feed's test of the installed package: the program here in its place, with the shipped configuration.
#[test]
fn the_test_for_openwrts_feed_passes_with_this_program_and_fails_with_another_version() {
    let scratch = Scratch::new();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = check ] && set -- check --config {}/uci/quicap\nexec {} \"$@\"\n",
        root().display(),
        env!("CARGO_BIN_EXE_quicap")
    );
    run(Command::new("chmod").arg("755").arg(scratch.write("bin/quicap", script)));
    let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
    let test = |version: &str| {
        let mut sh = Command::new("sh");
        try_run(sh.arg(root().join(TEST)).args(["quicap", version]).env("PATH", &path)).unwrap()
    };
    let (good, output) = test(env!("CARGO_PKG_VERSION"));
    assert!(good && output.contains("all is well"), "{output}");
    assert!(!test("9.9.9").0);
}
