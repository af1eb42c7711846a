//! The way of who comes for the first time: from the installed package to a bridged LAN, each command printed by the one before.

use std::fs;

use crate::root::{Root, source_of};

const NETWORK: &str = "
config device
	option name 'br-lan'
	option type 'bridge'
	list ports 'lan1'
config interface 'lan'
	option device 'br-lan'
";

/// The command that was printed last.
fn next(said: &str) -> String {
    let found = said.lines().filter_map(|line| line.strip_prefix("next: ")).next_back();
    found.unwrap_or_else(|| panic!("no next command: {said}")).replace("NAME", "office")
}

#[test]
fn five_commands_from_the_package_to_a_bridged_lan_each_printed_by_the_one_before() {
    let Some(root) = Root::new() else { return };
    root.put_real_program();
    fs::write(root.path("etc/config/network"), NETWORK).unwrap();
    let reload = "#!/bin/sh\necho network $1 >>/tmp/calls\n";
    root.put_script("etc/init.d/network", reload);
    fs::copy(source_of("openwrt/quicap/files/quicap.postinst"), root.path("tmp/postinst")).unwrap();

    // 1: opkg install, or apk add.
    let installed = root.ok("( . /tmp/postinst ); /etc/init.d/quicap enable; /etc/init.d/quicap start");
    let second = next(&installed[..installed.find("For a network that is there").unwrap()]);
    assert!(second.starts_with("quicap ca init "), "{second}");
    let third = next(&root.ok(&second));
    assert!(third.starts_with("quicap csr --name office "), "{third}");
    let fourth = next(&root.ok(&third));
    root.calls();
    root.ok(&fourth);
    let calls = root.calls();
    let changes: Vec<&str> =
        calls.iter().map(String::as_str).filter(|call| !call.starts_with("ubus")).collect();
    let expected = [
        "uci set quicap.home.enabled=1",
        "uci add_list network.@device[0].ports=quicap0",
        "uci commit",
        "network reload",
    ];
    assert_eq!(changes, expected);
    assert!(calls.last().is_some_and(|call| call.starts_with("ubus set")), "{calls:?}");

    // What the stand-in for uci only wrote down.
    root.ok("sed -i \"s/enabled '0'/enabled '1'/\" /etc/config/quicap");
    root.ok("sed -i \"s/list ports 'lan1'/list ports 'lan1 quicap0'/\" /etc/config/network");
    let check = root.ok("quicap check");
    assert_eq!(next(&check), "/etc/init.d/quicap start", "{check}");
    assert!(check.contains("a new firmware keeps keys and configuration, but not the package"), "{check}");
    fs::write(root.path("tmp/run/quicap/home.sock"), "").unwrap();
    assert_eq!(next(&root.ok("quicap check")), "quicap status home");
}

#[test]
fn who_was_given_no_certificate_yet_is_told_how_to_get_one() {
    let Some(root) = Root::new() else { return };
    root.put_real_program();
    fs::write(root.path("etc/config/network"), NETWORK).unwrap();
    let asks = |line: &str| {
        let output = root.run(line);
        let said = crate::root::text_of(&output);
        assert!(next(&said).contains("| ssh ROUTER-WITH-THE-CA quicap ca sign "), "{said}");
        output.status.code()
    };
    assert_eq!(asks("quicap check"), Some(0), "disabled");
    root.ok("sed -i \"s/enabled '0'/enabled '1'/\" /etc/config/quicap");
    assert_eq!(asks("quicap check"), Some(2), "no certificate");
    // Elsewhere than on a router nothing is said of routers.
    let output = root.run("quicap check --config /etc/config/../config/quicap");
    assert!(!crate::root::text_of(&output).contains("next:"));
}
