//! What `quicap status` shows: the facts of one moment, and their JSON form.
//! Collects nothing and decides nothing; the table for people is made in `daemon`.
//!
//! Moments (`..._at_s`, `since_s`, `loaded_s`) are seconds of the daemon's life, on the scale of `uptime_s`; only
//! `age_s` counts back from now.

use std::net::SocketAddr;

use super::json::{self, Object};
use crate::link::connection::Role;
use crate::link::peer::State;
use crate::pki::date::Moment;
use crate::types::{MacAddr, NodeId, Table};

/// A named counter; it only grows.
pub type Count = (&'static str, u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub version: &'static str,
    pub network: String,
    pub uptime_s: u64,
    pub rss_kib: u64,
    /// That there is for the daemon; 0: not known.
    pub memory_kib: u64,
    pub node: Identity,
    /// `None`: no L2 on this node.
    pub tap: Option<TapStatus>,
    pub clock: Clock,
    pub config: ConfigStatus,
    /// Until when our own certificate is valid, UNIX seconds.
    pub cert_not_after: u32,
    /// Number of the CRL in force; `None`: there is no CRL.
    pub crl_number: Option<u64>,
    /// What the operator should act upon: dates that have come, or soon will.
    pub warnings: Vec<String>,
    pub tables: Vec<Table>,
    /// Oldest first.
    pub events: Vec<EventStatus>,
    pub links: Vec<LinkStatus>,
    /// In the order of their ids, without this one.
    pub nodes: Vec<NodeStatus>,
    /// The graph, as all nodes agree on it; each link once.
    pub edges: Vec<EdgeStatus>,
    pub macs: Vec<MacStatus>,
    pub counters: Vec<Count>,
    pub drops: Vec<Count>,
}

/// Who we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub name: String,
    pub id: NodeId,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TapStatus {
    pub name: String,
    pub mtu: u16,
    /// Set up by netifd or the operator.
    pub up: bool,
    pub carrier: bool,
    pub bridge: Option<String>,
}

/// Whether dates are judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clock {
    Trusted,
    /// The words of a person.
    Untrusted {
        reason: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConfigStatus {
    pub loaded_s: u64,
    /// Why the last SIGHUP, or changed files, were not taken; empty: they were.
    pub error: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventStatus {
    pub at_s: u64,
    pub text: String,
}

/// One peer. Numbers of the connection in use are 0 while there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkStatus {
    pub name: String,
    /// `None`, shown as 0: not known yet.
    pub id: Option<NodeId>,
    pub state: State,
    /// Why it is not up, in words a user can act on.
    pub reason: String,
    pub rtt_us: u64,
    pub loss_permille: u32,
    /// Largest overlay datagram, bytes: what is known of the way there, and of the way back.
    pub mtu: u16,
    pub rx_mtu: u16,
    pub since_s: u64,
    /// How often a connection turned suspect: losses and stalls of the path.
    pub suspicions: u64,
    pub tx_bytes: u64,
    pub rx_bytes: u64,
    pub connections: Vec<ConnectionStatus>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionStatus {
    pub role: Role,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: State,
    /// It is the one that carries.
    pub active: bool,
    /// Its stream carries the control messages.
    pub control: bool,
    pub rtt_us: u64,
}

/// Another node that is known. What says how it is reached is 0 or empty if it is out of reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeStatus {
    pub name: String,
    pub id: NodeId,
    /// Links on the way.
    pub hops: u8,
    /// Name of the neighbor on the way.
    pub via: String,
    /// Of the way there and back.
    pub cost_us: u64,
    pub is_reachable: bool,
    /// Names along the way, its own the last.
    pub path: Vec<String>,
    /// Name of the neighbor that hands its broadcasts on to us.
    pub parent: String,
    /// Names of the neighbors that we hand its broadcasts on to.
    pub children: Vec<String>,
    /// Number of the CRL that it says it has; 0: none.
    pub crl: u32,
}

/// A link of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdgeStatus {
    pub ends: (NodeId, NodeId),
    pub cost_us: u64,
    /// A way of ours to some node leads over it.
    pub is_used: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacStatus {
    pub mac: MacAddr,
    pub owner: NodeId,
    pub age_s: u64,
}

impl Clock {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted { .. } => "untrusted",
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Trusted => "",
            Self::Untrusted { reason } => reason,
        }
    }
}

impl Status {
    /// One JSON object, without a line end.
    pub fn to_json(&self) -> String {
        json::object(|o| {
            o.string("version", self.version);
            o.string("network", &self.network);
            o.number("uptime_s", self.uptime_s);
            o.number("rss_kib", self.rss_kib);
            o.number("memory_kib", self.memory_kib);
            o.object("node", |o| {
                o.string("name", &self.node.name);
                o.number("id", self.node.id.value());
            });
            self.write_devices(o);
            o.string("clock", self.clock.name());
            o.string("clock_reason", self.clock.reason());
            o.object("config", |o| {
                o.number("loaded_s", self.config.loaded_s);
                o.string("error", &self.config.error);
            });
            o.object("cert", |o| o.string("not_after", &Moment(self.cert_not_after).to_string()));
            o.option("crl", self.crl_number, |o, number| o.number("number", number));
            o.strings("warnings", &self.warnings);
            o.array("tables", &self.tables, write_table);
            o.array("events", &self.events, |o, event| {
                o.number("at_s", event.at_s);
                o.string("text", &event.text);
            });
            o.array("links", &self.links, |o, link| link.write(o));
            o.array("nodes", &self.nodes, |o, node| node.write(o));
            o.array("edges", &self.edges, |o, edge| {
                o.number("a", edge.ends.0.value());
                o.number("b", edge.ends.1.value());
                o.number("cost_us", edge.cost_us);
                o.boolean("used", edge.is_used);
            });
            o.array("macs", &self.macs, |o, mac| mac.write(o));
            o.object("counters", |o| write_counts(o, &self.counters));
            o.object("drops", |o| write_counts(o, &self.drops));
        })
    }

    fn write_devices(&self, o: &mut Object<'_>) {
        o.option("tap", self.tap.as_ref(), |o, tap| {
            o.string("name", &tap.name);
            o.number("mtu", tap.mtu);
            o.boolean("up", tap.up);
            o.boolean("carrier", tap.carrier);
            o.string("bridge", tap.bridge.as_deref().unwrap_or_default());
        });
        // There is no L3 yet: docs/configuration.md.
        o.null("tun");
    }
}

impl LinkStatus {
    fn write(&self, o: &mut Object<'_>) {
        o.string("name", &self.name);
        o.number("id", self.id.map_or(0, NodeId::value));
        o.string("state", self.state.name());
        o.string("reason", &self.reason);
        o.number("rtt_us", self.rtt_us);
        o.number("loss_permille", self.loss_permille);
        o.number("mtu", self.mtu);
        o.number("rx_mtu", self.rx_mtu);
        o.number("since_s", self.since_s);
        o.number("suspicions", self.suspicions);
        o.number("tx_bytes", self.tx_bytes);
        o.number("rx_bytes", self.rx_bytes);
        o.array("connections", &self.connections, |o, connection| connection.write(o));
    }
}

impl ConnectionStatus {
    fn write(&self, o: &mut Object<'_>) {
        let role = match self.role {
            Role::Client => "client",
            Role::Server => "server",
        };
        o.string("role", role);
        o.string("local", &self.local.to_string());
        o.string("remote", &self.remote.to_string());
        o.string("state", self.state.name());
        o.boolean("active", self.active);
        o.boolean("control", self.control);
        o.number("rtt_us", self.rtt_us);
    }
}

impl NodeStatus {
    fn write(&self, o: &mut Object<'_>) {
        o.string("name", &self.name);
        o.number("id", self.id.value());
        o.number("hops", self.hops);
        o.string("via", &self.via);
        o.number("cost_us", self.cost_us);
        o.boolean("reachable", self.is_reachable);
        o.strings("path", &self.path);
        o.string("parent", &self.parent);
        o.strings("children", &self.children);
        o.number("crl", self.crl);
    }
}

impl MacStatus {
    fn write(&self, o: &mut Object<'_>) {
        o.string("mac", &self.mac.to_string());
        o.number("owner", self.owner.value());
        o.number("age_s", self.age_s);
    }
}

fn write_table(o: &mut Object<'_>, table: &Table) {
    o.string("name", table.name);
    o.number("used", table.used as u64);
    o.number("capacity", table.capacity as u64);
    o.number("bytes", table.bytes as u64);
}

fn write_counts(o: &mut Object<'_>, counts: &[Count]) {
    counts.iter().for_each(|(name, value)| o.number(name, *value));
}

#[cfg(test)]
pub(crate) mod sample {
    //! A status with everything in it, as in the contract's example.

    use super::*;

    fn id(n: u16) -> NodeId {
        NodeId::new(n).unwrap()
    }

    pub fn full() -> Status {
        Status {
            version: "0.1.0",
            network: "home".into(),
            uptime_s: 12,
            rss_kib: 4100,
            memory_kib: 61_440,
            node: Identity { name: "a".into(), id: id(1) },
            tap: Some(TapStatus {
                name: "quicap0".into(),
                mtu: 1500,
                up: true,
                carrier: true,
                bridge: Some("br-lan".into()),
            }),
            clock: Clock::Trusted,
            config: ConfigStatus { loaded_s: 0, error: String::new() },
            cert_not_after: 1_889_999_999,
            crl_number: Some(4),
            warnings: vec!["our certificate expires in 6 days, on 2029-11-21".into()],
            tables: vec![
                Table { name: "nodes", used: 4, capacity: 256, bytes: 10_248 },
                Table { name: "owners", used: 3, capacity: 4096, bytes: 90_120 },
            ],
            events: vec![EventStatus { at_s: 9, text: "link office: up after 212 ms".into() }],
            links: vec![office(), barn()],
            nodes: vec![node("office", 2, &["office"]), node("c", 3, &["office", "c"]), node("d", 9, &[])],
            edges: vec![edge(1, 2, 24_100, true), edge(1, 3, 40_000, false), edge(2, 3, 6_900, true)],
            macs: vec![MacStatus { mac: MacAddr([2, 0, 0, 0, 0, 1]), owner: id(3), age_s: 4 }],
            counters: vec![("tap_rx_frames", 5), ("tap_tx_frames", 0)],
            drops: vec![("unknown_unicast", 0), ("no_route", 7), ("unknown_type", 0)],
        }
    }

    fn node(name: &str, n: u16, path: &[&str]) -> NodeStatus {
        NodeStatus {
            name: name.into(),
            id: id(n),
            hops: path.len() as u8,
            via: path.first().copied().unwrap_or_default().into(),
            cost_us: [0, 24_100, 31_000][path.len()],
            is_reachable: !path.is_empty(),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            parent: path.first().copied().unwrap_or_default().into(),
            children: if n == 2 { vec!["c".into()] } else { vec![] },
            crl: if path.is_empty() { 0 } else { 4 },
        }
    }

    fn edge(a: u16, b: u16, cost_us: u64, is_used: bool) -> EdgeStatus {
        EdgeStatus { ends: (id(a), id(b)), cost_us, is_used }
    }

    fn office() -> LinkStatus {
        LinkStatus {
            name: "office".into(),
            id: Some(id(2)),
            state: State::Up,
            reason: String::new(),
            rtt_us: 24_100,
            loss_permille: 3,
            mtu: 1440,
            rx_mtu: 1432,
            since_s: 9,
            suspicions: 2,
            tx_bytes: 1,
            rx_bytes: 12_345_678,
            connections: vec![
                ConnectionStatus {
                    role: Role::Server,
                    local: "192.0.2.1:443".parse().unwrap(),
                    remote: "192.0.2.2:50001".parse().unwrap(),
                    state: State::Suspect,
                    active: false,
                    control: true,
                    rtt_us: 25_000,
                },
                ConnectionStatus {
                    role: Role::Client,
                    local: "[2001:db8::1]:52011".parse().unwrap(),
                    remote: "[2001:db8::2]:443".parse().unwrap(),
                    state: State::Up,
                    active: true,
                    control: false,
                    rtt_us: 24_100,
                },
            ],
        }
    }

    fn barn() -> LinkStatus {
        LinkStatus {
            name: "barn".into(),
            id: None,
            state: State::Down,
            reason: "no answer from 192.0.2.9:443 (UDP blocked?)".into(),
            rtt_us: 0,
            loss_permille: 0,
            mtu: 0,
            rx_mtu: 0,
            since_s: 0,
            suspicions: 0,
            tx_bytes: 0,
            rx_bytes: 0,
            connections: vec![],
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "golden files")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/status.json");

    #[test]
    fn the_json_is_the_golden_one() {
        let text = sample::full().to_json() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap(), "BLESS=1 rewrites {GOLDEN}");
    }

    #[test]
    fn the_json_says_what_the_contract_says() {
        let read: Value = serde_json::from_str(&sample::full().to_json()).unwrap();
        for (path, value) in [
            ("/version", json!("0.1.0")),
            ("/uptime_s", json!(12)),
            ("/node", json!({"name": "a", "id": 1})),
            ("/tap/name", json!("quicap0")),
            ("/tap/mtu", json!(1500)),
            ("/tap/carrier", json!(true)),
            ("/tap/bridge", json!("br-lan")),
            ("/tun", Value::Null),
            ("/clock", json!("trusted")),
            ("/config", json!({"loaded_s": 0, "error": ""})),
            ("/cert/not_after", json!("2029-11-21T23:59:59Z")),
            ("/crl", json!({"number": 4})),
            ("/tables/1", json!({"name": "owners", "used": 3, "capacity": 4096, "bytes": 90120})),
            ("/events/0", json!({"at_s": 9, "text": "link office: up after 212 ms"})),
            ("/links/0/connections/1/role", json!("client")),
            ("/links/0/connections/1/remote", json!("[2001:db8::2]:443")),
            ("/links/0/connections/1/active", json!(true)),
            ("/links/1/id", json!(0)),
            ("/links/1/state", json!("down")),
            ("/nodes/1/name", json!("c")),
            ("/nodes/1/id", json!(3)),
            ("/nodes/1/hops", json!(2)),
            ("/nodes/1/via", json!("office")),
            ("/nodes/1/cost_us", json!(31000)),
            ("/nodes/1/path", json!(["office", "c"])),
            ("/nodes/0/children", json!(["c"])),
            ("/nodes/2/reachable", json!(false)),
            ("/nodes/2/hops", json!(0)),
            ("/edges/1", json!({"a": 1, "b": 3, "cost_us": 40000, "used": false})),
            ("/macs/0", json!({"mac": "02:00:00:00:00:01", "owner": 3, "age_s": 4})),
            ("/counters", json!({"tap_rx_frames": 5, "tap_tx_frames": 0})),
            ("/drops/no_route", json!(7)),
        ] {
            assert_eq!(read.pointer(path), Some(&value), "{path}");
        }
    }

    #[test]
    fn what_is_absent_is_null_or_empty_and_still_there() {
        let mut status = sample::full();
        status.crl_number = None;
        status.tap.as_mut().unwrap().bridge = None;
        status.links.clear();
        let read: Value = serde_json::from_str(&status.to_json()).unwrap();
        assert_eq!(
            (&read["crl"], &read["tap"]["bridge"], &read["links"]),
            (&Value::Null, &json!(""), &json!([]))
        );
        status.tap = None;
        let read: Value = serde_json::from_str(&status.to_json()).unwrap();
        assert_eq!(read.get("tap"), Some(&Value::Null));
    }
}
