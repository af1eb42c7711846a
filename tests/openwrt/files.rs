//! What else the package brings: NTP's hotplug, defaults, what an upgrade of the firmware keeps, what installing and removing do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::root::{Root, source_of};

const TRUSTED: &str = "tmp/run/quicap/clock-trusted";

/// Runs NTP's script as hotplug-call does: sourced, in a subshell.
fn ntp(root: &Root, environment: &str) -> bool {
    let _ = fs::remove_file(root.path(TRUSTED));
    root.ok(&format!("export {environment}; ( . /etc/hotplug.d/ntp/25-quicap )"));
    root.path(TRUSTED).exists()
}

#[test]
fn an_answer_of_ntp_makes_the_clock_trusted_and_the_lack_of_one_does_not() {
    let Some(root) = Root::new() else { return };
    for (environment, trusted) in [
        ("ACTION=stratum stratum=3", true),
        ("ACTION=periodic stratum=2", true),
        ("ACTION=step stratum=16", true),
        ("ACTION=step", true),
        ("ACTION=stratum stratum=16", false),
        ("ACTION=periodic stratum=16", false),
        ("ACTION=periodic", false),
        ("ACTION=unsync stratum=16", false),
        ("ACTION=unsync stratum=3", false),
        ("ACTION=", false),
    ] {
        assert_eq!(ntp(&root, environment), trusted, "{environment}");
    }
    fs::remove_dir_all(root.path("tmp/run/quicap")).unwrap();
    assert!(ntp(&root, "ACTION=stratum stratum=1"), "it makes the directory");
}

#[test]
fn each_answer_writes_the_file_anew() {
    let Some(root) = Root::new() else { return };
    assert!(ntp(&root, "ACTION=step"));
    root.ok(&format!("touch -d '2020-01-01 00:00' /{TRUSTED}"));
    let before = fs::metadata(root.path(TRUSTED)).unwrap().modified().unwrap();
    root.ok("export ACTION=periodic stratum=2; ( . /etc/hotplug.d/ntp/25-quicap )");
    assert!(fs::metadata(root.path(TRUSTED)).unwrap().modified().unwrap() > before);
}

/// Runs the defaults as the package manager does; true: they may be deleted.
fn defaults(root: &Root) -> bool {
    root.run("( cd /etc/uci-defaults && . ./60-quicap )").status.success()
}

#[test]
fn the_defaults_make_keys_private_and_change_nothing_when_they_run_again() {
    let Some(root) = Root::new() else { return };
    let set_mode = |path: &str, mode| {
        fs::set_permissions(root.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("etc/config/quicap", 0o644);
    let list = |root: &Root| root.ok("find /etc -exec ls -ld {} + ; cat /etc/config/quicap");
    assert!(defaults(&root));
    assert_eq!((root.mode("etc/quicap"), root.mode("etc/config/quicap")), (0o700, 0o600));
    let once = list(&root);
    assert!(defaults(&root));
    assert_eq!(list(&root), once);
    // What the operator has made stays as it is.
    set_mode("etc/quicap", 0o750);
    fs::remove_file(root.path("etc/config/quicap")).unwrap();
    assert!(defaults(&root));
    assert_eq!((root.mode("etc/quicap"), root.path("etc/config/quicap").exists()), (0o750, false));
}

#[test]
fn a_new_firmware_keeps_keys_and_the_ca() {
    let list = fs::read_to_string(source_of("openwrt/quicap/files/quicap.keep")).unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), ["/etc/quicap/", "/etc/quicap-ca/"]);
}

/// Runs one of the package's own scripts as it does.
fn script(root: &Root, name: &str, environment: &str) -> String {
    let text = fs::read_to_string(source_of(&format!("openwrt/quicap/files/quicap.{name}"))).unwrap();
    fs::write(root.path("tmp/script"), text).unwrap();
    root.ok(&format!("export OF_THE_TEST=1 {environment}; ( . /tmp/script )"))
}

#[test]
fn who_installs_it_first_is_told_the_next_command_and_who_upgrades_is_not() {
    let Some(root) = Root::new() else { return };
    let said = script(&root, "postinst", "");
    assert!(said.contains("\nnext: quicap ca init --dir /etc/quicap-ca/home --network home\n"), "{said}");
    assert_eq!(script(&root, "postinst", "PKG_UPGRADE=1"), "");
    assert_eq!(script(&root, "postinst", "IPKG_INSTROOT=/image"), "");
    fs::create_dir_all(root.path("etc/quicap/home")).unwrap();
    fs::write(root.path("etc/quicap/home/node.key"), "").unwrap();
    assert_eq!(script(&root, "postinst", ""), "next: quicap check\n");
}

/// What a package manager does when a package goes; opkg runs the package's own script first, apk last.
fn remove(root: &Root, order: [&str; 2], environment: &str) -> String {
    let mut said = String::new();
    for part in order {
        match part {
            "own" => said += &script(root, "prerm", environment),
            // An upgrade leaves the links alone.
            _ if environment.contains("UPGRADE") => said += &root.init_ok("stop"),
            _ => said += &(root.init_ok("disable") + &root.init_ok("stop")),
        }
    }
    said
}

#[test]
fn what_is_removed_leaves_the_keys_and_nothing_else() {
    for order in [["own", "manager"], ["manager", "own"]] {
        let Some(root) = Root::new() else { return };
        assert!(defaults(&root));
        root.ok("sed -i \"s/enabled '0'/enabled '1'/\" /etc/config/quicap");
        fs::create_dir_all(root.path("etc/quicap/home")).unwrap();
        fs::write(root.path("etc/quicap/home/node.key"), "").unwrap();
        root.ok("rmdir /etc/quicap-ca");
        root.init_ok("enable");
        root.init_ok("start");
        assert!(ntp(&root, "ACTION=step"));
        root.ok("touch /var/run/quicap/home.sock.lock");
        root.calls();
        assert_eq!(remove(&root, order, ""), "kept: /etc/quicap, keys and certificates\n");
        let calls = root.calls();
        assert!(calls.iter().any(|call| call == "quicap tap-del home"), "{calls:?}");
        assert!(root.service().is_null() && !root.path("tmp/run/quicap").exists(), "{order:?}");
        assert_eq!(root.ok("ls /etc/rc.d"), "");
        assert!(root.path("etc/quicap/home/node.key").exists());
    }
}

#[test]
fn a_directory_without_keys_goes_and_an_upgrade_takes_nothing_away() {
    let Some(root) = Root::new() else { return };
    assert!(defaults(&root) && ntp(&root, "ACTION=step"));
    root.init_ok("enable");
    root.init_ok("start");
    root.calls();
    assert_eq!(remove(&root, ["own", "manager"], "PKG_UPGRADE=1"), "");
    assert_eq!(root.calls(), ["ubus delete {\"name\":\"quicap\"}"]);
    assert!(root.path(TRUSTED).exists() && root.path("etc/quicap").exists());
    root.init_ok("start");
    assert_eq!(remove(&root, ["own", "manager"], ""), "");
    assert!(!root.path("etc/quicap").exists());
}
