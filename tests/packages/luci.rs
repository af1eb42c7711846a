//! The packages of LuCI's pages: the same for all architectures, with translations as po2lmo makes them.

use super::scratch::{Scratch, bytes, root, run, version};

/// `sample.lmo` was made by LuCI's own po2lmo of `sample.po`.
#[test]
fn a_translation_is_byte_for_byte_what_po2lmo_made() {
    let scratch = Scratch::new();
    let golden = root().join("tests/golden/packages");
    let ours = scratch.path("ours.lmo");
    let mut lmo = std::process::Command::new("python3");
    lmo.args(["-B", "-m", "pack.lmo"]).arg(golden.join("sample.po")).arg(&ours);
    run(lmo.current_dir(root().join("openwrt")));
    assert!(std::fs::read(golden.join("sample.lmo")).unwrap() == scratch.read("ours.lmo"));
}

#[test]
fn one_architecture_brings_the_packages_of_all() {
    let scratch = Scratch::new();
    scratch.packages("openwrt", "mipsel_24kc", "out");
    for (name, file) in [
        ("luci-app-quicap", "./usr/share/rpcd/ucode/luci.quicap"),
        ("luci-app-quicap", "./www/luci-static/resources/view/quicap/status.js"),
        ("luci-i18n-quicap-zh-cn", "./usr/lib/lua/luci/i18n/quicap.zh-cn.lmo"),
        ("luci-i18n-quicap-zh-cn", "./etc/uci-defaults/luci-i18n-quicap-zh-cn"),
    ] {
        assert!(scratch.path(&format!("out/{name}-{}_noarch.apk", version())).exists(), "{name}");
        let package = scratch.path(&format!("out/{name}_{}_all.ipk", version()));
        let data =
            bytes("tar", &["-xzOf".as_ref(), package.as_os_str(), std::ffi::OsStr::new("./data.tar.gz")]);
        let data = scratch.write("data.tar.gz", data);
        let content = bytes("tar", &["-xzOf".as_ref(), data.as_os_str(), file.as_ref()]);
        assert!(!content.is_empty(), "{file}");
    }
}
