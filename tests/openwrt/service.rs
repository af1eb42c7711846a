//! The init script: what it tells procd, and when a TAP goes.

use serde_json::{Value, json};

use crate::root::{Root, text_of};

const TWO: &str = "
config network 'home'
	option tap 'quicap0'
config network 'lab'
	option enabled '0'
	option tap 'quicap1'
config network 'far'
	option tap 'quicap2'
	option listen_port '4433'
	option open_firewall '0'
config network 'dials'
	option listen_port '0'
config peer
	option network 'home'
	list endpoint '192.0.2.1'
";

fn router(config: &str) -> Option<Root> {
    let root = Root::new()?;
    root.configure(config);
    Some(root)
}

fn instances(root: &Root) -> Vec<String> {
    root.service()["instances"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

/// Networks whose TAP was to be removed since this was asked last.
fn removed(root: &Root) -> Vec<String> {
    let calls = root.calls();
    calls.iter().filter_map(|call| call.strip_prefix("quicap tap-del ")).map(str::to_owned).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn each_enabled_network_has_an_instance_with_a_constant_command_line() {
    let Some(root) = router(TWO) else { return };
    root.init_ok("start");
    assert_eq!(instances(&root), ["dials", "far", "home"]);
    let rule =
        json!([{ "type": "rule", "src": "wan", "proto": "udp", "dest_port": "443", "target": "ACCEPT" }]);
    let expected = json!({
        "command": ["/usr/sbin/quicap", "run", "home"],
        "file": ["/etc/config/quicap"],
        "reload_signal": 1,
        "respawn": ["3600", "5", "0"],
        "limits": { "core": "0", "nofile": "1024 1024", "data": "33554432 33554432" },
        "stdout": true,
        "stderr": true,
        "data": { "firewall": rule },
    });
    assert_eq!(root.service()["instances"]["home"], expected);
    // Other options change nothing that procd compares but the file.
    let before = root.service();
    root.configure(&TWO.replace("option tap 'quicap0'", "option tap 'quicap0'\n\toption log_level 'debug'"));
    root.init_ok("reload");
    assert_eq!(root.service(), before);
}

#[test]
fn the_port_is_opened_unless_nobody_listens_or_the_operator_says_no() {
    let Some(root) = router(TWO) else { return };
    root.init_ok("start");
    let data = |network: &str| root.service()["instances"][network]["data"].clone();
    assert_eq!(data("home")["firewall"][0]["dest_port"], "443");
    assert_eq!((data("far"), data("dials")), (Value::Null, Value::Null));
    root.configure(&TWO.replace("'0'\nconfig network 'dials'", "'1'\nconfig network 'dials'"));
    root.init_ok("reload");
    assert_eq!(data("far")["firewall"][0]["dest_port"], "4433");
    // What is no port opens none, and is left for the daemon to refuse.
    root.configure("config network home\n\toption listen_port '443 accept'\n");
    root.init_ok("reload");
    assert_eq!((instances(&root), data("home")), (vec!["home".to_owned()], Value::Null));
}

#[test]
fn a_changed_file_is_a_reload_and_a_changed_interface_a_look_around() {
    let Some(root) = router(TWO) else { return };
    root.init_ok("start");
    let script = "/etc/init.d/quicap";
    let expected = json!([
        ["config.change", ["if", ["eq", "package", "quicap"], ["run_script", script, "reload"]], 1000],
        ["interface.*", [["run_script", script, "reprobe"]], 2000],
    ]);
    assert_eq!(root.service()["triggers"], expected);
    root.calls();
    root.init_ok("reprobe");
    let signal = root.ok("kill -l USR1");
    let told = format!("ubus signal {{\"name\":\"quicap\",\"signal\":{}}}", signal.trim());
    assert_eq!(root.calls(), [told]);
}

#[test]
fn without_a_network_the_service_is_known_and_waits_for_one() {
    let Some(root) = Root::new() else { return };
    root.init_ok("start");
    assert_eq!(instances(&root), NONE, "what is shipped is disabled");
    assert_eq!(root.service()["triggers"].as_array().map(Vec::len), Some(2));
    root.ok("sed -i \"s/option enabled '0'/option enabled '1'/\" /etc/config/quicap");
    root.init_ok("reload");
    assert_eq!(instances(&root), ["home"]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_procd_alone() {
    let Some(root) = router("config network 'home\n") else { return };
    // At boot there is nothing to lose, and the triggers have to be known.
    assert!(root.init_ok("boot").contains("/etc/config/quicap cannot be read"));
    assert_eq!((instances(&root).len(), root.service()["triggers"].as_array().map(Vec::len)), (0, Some(2)));
    root.configure(TWO);
    root.init_ok("start");
    let before = root.service();
    root.calls();
    root.configure(&format!("{TWO}\toption 'broken"));
    for command in ["reload", "start"] {
        let output = root.init(command);
        assert!(
            !output.status.success() && text_of(&output).contains("quicap check"),
            "{}",
            text_of(&output)
        );
        assert_eq!((root.service(), root.calls()), (before.clone(), vec![]), "{command}");
    }
}

#[test]
fn neither_stop_nor_restart_nor_reload_takes_a_tap_away() {
    let Some(root) = router(&TWO.replace("option enabled '0'", "")) else { return };
    root.init_ok("enable");
    for command in ["start", "restart", "reload", "stop", "start", "shutdown"] {
        root.init_ok(command);
        assert_eq!(removed(&root), NONE, "{command}");
    }
    // Nor does a restart of a service that is not started at boot.
    root.ok("rm /etc/rc.d/*");
    root.init_ok("start");
    root.init_ok("restart");
    root.init_ok("stop home");
    assert_eq!(removed(&root), NONE);
}

#[test]
fn a_network_that_is_disabled_loses_its_tap_once_procd_was_told() {
    let Some(root) = router(TWO) else { return };
    root.init_ok("start");
    let calls = root.calls();
    let [told, removed] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(told.starts_with("ubus set ") && !told.contains("\"lab\""), "{told}");
    assert_eq!(removed, "quicap tap-del lab");
}

#[test]
fn a_service_that_is_disabled_and_stopped_loses_all_taps_in_either_order() {
    let Some(root) = router(TWO) else { return };
    let all = ["home", "lab", "far", "dials"];
    root.init_ok("enable");
    root.init_ok("start");
    root.calls();
    root.init_ok("disable");
    assert_eq!(removed(&root), NONE, "it still runs");
    assert!(root.ok("ls /etc/rc.d").is_empty());
    root.ok("touch /var/run/quicap/home.sock.lock");
    root.init_ok("stop");
    assert_eq!(removed(&root), all);
    assert!(!root.path("tmp/run/quicap").exists(), "nothing is left");
    root.init_ok("enable");
    root.init_ok("start");
    root.init_ok("stop");
    root.calls();
    root.init_ok("disable");
    assert_eq!(removed(&root), all);
}

#[test]
fn status_and_check_are_the_programs() {
    let Some(root) = router(TWO) else { return };
    let inactive = root.init("status");
    assert_eq!((inactive.status.code(), text_of(&inactive).as_str()), (Some(3), "inactive\n"));
    root.init_ok("start");
    root.calls();

    assert_eq!(root.init_ok("status"), "running\n");
    root.init_ok("check");
    assert!(root.calls().contains(&"quicap check".to_owned()));
    let help = root.init_ok("help");
    assert!(help.contains("check\t") && help.contains("reprobe\t"), "{help}");
}

#[test]
fn it_starts_before_the_network_and_stops_before_it() {
    let Some(root) = router(TWO) else { return };
    root.init_ok("enable");
    assert_eq!(root.ok("ls /etc/rc.d"), "K10quicap\nS19quicap\n");
}
