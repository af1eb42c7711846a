//! What whole files mean: the configuration that they make, and each message that they cause.

use std::time::Duration;

use quicap::config::schema::{Known, NETWORK_OPTIONS, PEER_OPTIONS};
use quicap::config::{self, Config, Mtu, Network};
use quicap::link::peer::Host;
use quicap::mesh::switch::{self, UnknownUnicast};
use quicap::node::Capacity;
use quicap::node::carrier::Mode;

const EVERYTHING: &str = "
config network 'home'
	option enabled 'yes'
	option tap 'quicap0'
	option ca '/ca'
	option cert '/cert'
	option key '/key'
	option crl '/crl'
	option listen_port '0'
	list listen_address '::1'
	list listen_address '192.0.2.1'
	option tunlink 'wan'
	option fwmark '0x51'
	option open_firewall '0'
	option mtu 'auto'
	option carrier 'always'
	option carrier_up_delay '1'
	option carrier_down_delay '2'
	option unknown_unicast 'drop'
	option stp_pass '1'
	option max_nodes '100'
	option max_macs '2000'
	option log_level 'debug'
config peer
	option network 'home'
	option name 'office'
	list endpoint 'office.example.org'
	list endpoint '[2001:db8::1]:8443'
	option sni 'www.example.org'
config peer
	option network 'home'
	option name 'gone'
	option disabled '1'
";

fn single(text: &str) -> Network {
    let config = config::parse("f", text).unwrap();
    let [network] = <[Network; 1]>::try_from(config.networks).unwrap();
    network
}

#[test]
fn every_option_arrives_where_it_belongs() {
    let network = single(EVERYTHING);
    assert!(network.enabled);
    assert_eq!(network.tap.as_deref(), Some("quicap0"));
    assert_eq!([&network.ca, &network.cert, &network.key, &network.crl], ["/ca", "/cert", "/key", "/crl"]);
    assert_eq!(network.listen_port, 0);
    assert_eq!(network.listen_addresses.len(), 2);
    assert_eq!((network.tunlink.as_deref(), network.fwmark), (Some("wan"), 0x51));
    assert!(!network.open_firewall);
    assert_eq!(network.mtu, Mtu::Auto);
    assert_eq!(network.carrier.mode, Mode::Always);
    assert_eq!(network.carrier.up_delay, Duration::from_secs(1));
    assert_eq!(network.carrier.down_delay, Duration::from_secs(2));
    assert_eq!(network.switch, switch::Config { unknown_unicast: UnknownUnicast::Drop, stp_pass: true });
    assert_eq!(network.capacity, Capacity { nodes: 100, macs: 2000 });
    assert_eq!(network.log_level, log::LevelFilter::Debug);
    assert_eq!(network.peers.len(), 1);
    let peer = &network.peers[0];
    assert_eq!((peer.name.as_deref(), peer.sni.as_deref()), (Some("office"), Some("www.example.org")));
    assert_eq!(peer.endpoints[0].host, Host::Name("office.example.org".to_owned()));
    assert_eq!((peer.endpoints[0].port, peer.endpoints[1].port), (443, 8443));
}

#[test]
fn an_absent_option_has_the_default_that_the_table_names() {
    let bare = single("config network home\noption tap t");
    let known = NETWORK_OPTIONS.iter().filter(|option| !option.default.is_empty());
    let written: Vec<String> =
        known.map(|o| format!("option {} '{}'", o.name, o.default.replace("NETWORK", "home"))).collect();
    let spelled_out = single(&format!("config network home\noption tap t\n{}", written.join("\n")));
    assert_eq!(bare, spelled_out);
    assert!(bare.enabled && bare.listen_addresses.is_empty());
    assert_eq!((bare.listen_port, bare.mtu), (443, Mtu::Fixed(1500)));
    assert_eq!((&bare.tunlink, bare.fwmark, bare.open_firewall), (&None, 0, true));
    assert_eq!(bare.ca, "/etc/quicap/home/ca.crt");
}

#[test]
fn the_wrong_kind_of_value_is_taken_where_it_is_harmless() {
    let network = single(
        "config network home\nlist tap t\nconfig peer\noption network home\noption endpoint 'a  b:1\tc'",
    );
    assert_eq!(network.tap.as_deref(), Some("t"));
    assert_eq!(network.peers[0].endpoints.len(), 3);
}

/// Files, and what is said about them; `N` in front of a text is the line `config network N` with a TAP.
const FAULTS: &[(&str, &[&str])] = &[
    ("option a b", &["f:1: option or list before the first config"]),
    ("config network home\n\toption tap 'x\n", &["f:2: a quote is opened here and never closed"]),
    (
        "config network",
        &["f:1: config network: has no name (expected the network's, as in: config network 'home')"],
    ),
    (
        "N\noption listen_port 99999",
        &["f:3: option listen_port: '99999' is not a UDP port (expected 0 to 65535)"],
    ),
    (
        "N\nlist listen_port 1\nlist listen_port 2",
        &["f:4: list listen_port: '2' is one of 2 values (expected a single one)"],
    ),
    (
        "N\noption tap abcdefghijklmnop",
        &[
            "f:3: option tap: 'abcdefghijklmnop' has 16 characters, an interface name may have 15: choose a shorter one",
        ],
    ),
    (
        "N\noption mtu 100\noption carrier x\n\noption log_level y",
        &[
            "f:3: option mtu: '100' is not an MTU (expected 576 to 2000, or auto)",
            "f:4: option carrier: 'x' is not known here (expected one of peers, always)",
            "f:6: option log_level: 'y' is not known here (expected one of error, warn, info, debug, trace)",
        ],
    ),
    (
        "N\nlist listen_address ''",
        &[
            "f:3: list listen_address: '' is not an address to listen on (expected for example :: or 192.0.2.1)",
        ],
    ),
    ("N\noption tun t", &["f:3: option tun: 't' is the TAP's name too (expected another name)"]),
    (
        "N\noption fwmark 0x1ffffffff\noption tunlink t",
        &[
            "f:3: option fwmark: '0x1ffffffff' is not a mark (expected 0 to 4294967295 or 0x0 to 0xffffffff)",
            "f:4: option tunlink: 't' is this network's own device (expected the one that leads to the others)",
        ],
    ),
    (
        "N\noption max_nodes 1\noption max_macs 4097",
        &[
            "f:3: option max_nodes: '1' is not a number of nodes (expected 2 to 256)",
            "f:4: option max_macs: '4097' is not a number of MAC addresses (expected 1 to 4096)",
        ],
    ),
    (
        "N\noption ca \"a\nb\"",
        &["f:3: option ca: 'a\\nb' is not the path of a file (expected one that begins with '/')"],
    ),
    (
        "N\nconfig peer\noption name a",
        &["f:3: config peer: option network is missing (expected the name of a network section)"],
    ),
    (
        "N\nconfig peer x\noption name a\noption network hom",
        &[
            "f:5: option network: 'hom' is no network of this file (expected the name of a network section) (did you mean 'home'?)",
        ],
    ),
    (
        "N\nconfig peer\noption network home\noption name A\nlist endpoint a:0",
        &[
            "f:5: option name: 'A' is not a node name (expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter)",
            "f:6: list endpoint: 'a:0' has no UDP port behind the ':' (expected 1 to 65535)",
        ],
    ),
    (
        "N\nconfig peer\noption network home\noption name a\nconfig peer\noption network home\noption name a",
        &["f:8: option name: 'a' is the name of the peer in line 3 already (put all endpoints there)"],
    ),
    (
        "N\nconfig network away\noption tap t\noption listen_port 1",
        &["f:4: option tap: 't' is a device of network 'home' already (expected another name)"],
    ),
];

#[test]
fn each_fault_is_one_line_that_says_where_and_what() {
    for (text, expected) in FAULTS {
        let text = text.replace('N', "config network home\noption tap t");
        let errors = config::parse("f", &text).expect_err(&text);
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines, *expected, "{text}");
    }
}

/// Files that are taken, and the warnings that they cause.
const WARNINGS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("N", &[]),
    (
        "N\nconfig peers\noption a b\nconfig global g",
        &[
            "f:3: config peers: this type of section is not known and is ignored (did you mean 'peer'?)",
            "f:5: config global 'g': this type of section is not known and is ignored",
        ],
    ),
    (
        "N\noption listen_prt 1\nlist colour red",
        &[
            "f:3: option listen_prt: is not known in config network 'home' and is ignored (did you mean 'listen_port'?)",
            "f:4: list colour: is not known in config network 'home' and is ignored",
        ],
    ),
    (
        "config network home",
        &["f:1: config network 'home': neither tap nor tun is set: this node only relays for others"],
    ),
    (
        "N\noption tun u\nlist address 10.0.0.1/24",
        &[
            "f:3: option tun: is reserved: this version does no L3 and ignores it",
            "f:4: list address: is reserved: this version does no L3 and ignores it",
        ],
    ),
    (
        "N\noption mtu 1279",
        &["f:3: option mtu: '1279' turns IPv6 off on the device and on its bridge (IPv6 needs 1280)"],
    ),
    (
        "N\nconfig network away\noption tap u",
        &["f:3: config network 'away': '443' is the port of network 'home' too: one of them will not start"],
    ),
    ("N\nconfig network away\noption tap t\noption enabled 0", &[]),
    ("N\nlist listen_address ::1\nconfig network away\noption tap u\nlist listen_address ::2", &[]),
    (
        "N\nconfig peer\noption network home",
        &["f:3: config peer: neither name nor endpoint is set: this section does nothing"],
    ),
    (
        "N\nconfig peer\noption network home\nlist endpoint a\nlist endpoint a:443",
        &["f:5: list endpoint: has a value twice; the second is ignored"],
    ),
    (
        "N\nconfig peer\noption network home\noption name a\nconfig peer\noption network home\noption name a\noption disabled 1",
        &[],
    ),
];

#[test]
fn what_is_only_odd_is_warned_about() {
    for (text, expected) in WARNINGS {
        let text = text.replace('N', "config network home\noption tap t");
        let config = config::parse("f", &text).unwrap_or_else(|errors| panic!("{text}: {}", errors[0]));
        let lines: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(lines, *expected, "{text}");
    }
}

#[test]
fn more_peers_than_the_mesh_has_places_for_are_refused() {
    let peers = |n: usize| "config peer\noption network home\nlist endpoint a\n".repeat(n);
    let file = |n: usize| format!("config network home\noption tap t\n{}", peers(n));
    assert_eq!(single(&file(config::MAX_PEERS)).peers.len(), config::MAX_PEERS);
    let errors = config::parse("f", file(config::MAX_PEERS + 1)).unwrap_err();
    assert_eq!(errors[0].to_string(), "f:99: config peer: network 'home' has more than 32 enabled peers");
}

#[test]
fn files_beyond_our_limits_are_refused_and_those_at_them_are_read() {
    let values = |n: usize| format!("config network home\noption tap t\n{}", "list x y\n".repeat(n));
    let options: String = (0..1025).map(|n| format!("option x{n} y\n")).collect();
    let table = [
        (values(1024), None),
        (values(1025), Some("f:1027: more than 1024 options in a section or values in a list")),
        (
            format!("config a\n{options}"),
            Some("f:1026: more than 1024 options in a section or values in a list"),
        ),
        ("config a\n".repeat(1025), Some("f:1025: more than 1024 sections")),
        ("#".repeat(256 * 1024), None),
        ("#".repeat(256 * 1024 + 1), Some("f:1: the file is longer than 256 KiB")),
    ];
    for (text, expected) in table {
        let error = config::parse("f", text).err().map(|errors| errors[0].to_string());
        assert_eq!(error.as_deref(), expected);
    }
}

#[test]
fn reading_goes_on_behind_errors() {
    let reading = config::read("f", "config network home\noption tap a/b\noption key /k\noption mtu x");
    assert_eq!(reading.errors.len(), 2);
    assert_eq!(reading.config.networks[0].key, "/k");
}

#[test]
fn the_shipped_file_is_disabled_and_causes_no_warning() {
    let Config { networks, warnings } =
        config::parse("uci/quicap", include_str!("../../uci/quicap")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(networks.len(), 1);
    assert!(!networks[0].enabled && networks[0].peers.is_empty());
}

#[test]
fn the_document_describes_every_option_with_its_default() {
    let document = include_str!("../../docs/configuration.md");
    let sections: Vec<&str> = document.split("\n## ").collect();
    let table = [("`config network", &NETWORK_OPTIONS[..]), ("`config peer", &PEER_OPTIONS[..])];
    for (title, options) in table {
        let section = sections.iter().find(|section| section.starts_with(title)).expect(title);
        for option in options {
            let row = row(option);
            assert!(section.contains(&row), "docs/configuration.md: no row {row} under {title}");
        }
        let rows = section.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(
            rows,
            options.len(),
            "docs/configuration.md: an option that does not exist, under {title}"
        );
    }
}

fn row(option: &Known) -> String {
    let list = if option.list { " (list)" } else { "" };
    let default = if option.default.is_empty() { String::new() } else { format!("`{}` |", option.default) };
    format!("\n| `{}`{list} | {default}", option.name)
}
