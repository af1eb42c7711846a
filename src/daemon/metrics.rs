//! The status as text for Prometheus (exposition format 0.0.4): `quicap status --metrics` and what exporters read.
//! Every family is there in every answer, in one order, so that the texts of several networks can be put together.
//! Read first: docs/status.md, "Metrics".

use std::fmt::Write;

use crate::link::peer::State;
use crate::node::status::{Clock, LinkStatus, NodeStatus, Status, TapStatus};

/// All families, each with its HELP and TYPE.
pub fn render(status: &Status) -> String {
    let mut page = Page { text: String::new(), name: String::new(), network: &status.network };
    write_node(&mut page, status);
    page.table("peer", &LINK, &status.links.iter().map(link).collect::<Vec<_>>());
    let node = |node: &NodeStatus| vec![node.is_reachable.into(), node.hops.into(), node.cost_us];
    let nodes = status.nodes.iter().map(|own| (own.name.as_str(), node(own)));
    page.table("node", &OTHER, &nodes.collect::<Vec<_>>());
    let tables = status.tables.iter().map(|own| (own.name, vec![own.used as u64, own.capacity as u64]));
    page.table("table", &TABLE, &tables.collect::<Vec<_>>());
    let drops = status.drops.iter().map(|(reason, count)| (*reason, vec![*count]));
    page.table("reason", &DROP, &drops.collect::<Vec<_>>());
    for (name, count) in &status.counters {
        page.begin(&format!("{name}_total"), "as in quicap status");
        page.put(&[], *count, 1);
    }
    page.text
}

/// Name and help of a family, and in how many parts a unit is counted.
type Column = (&'static str, &'static str, u64);
/// A label, and a number for each column.
type Row<'a> = (&'a str, Vec<u64>);

const LINK: [Column; 9] = [
    ("link_up", "1: a connection to the peer is up", 1),
    ("link_rtt_seconds", "smoothed round trip", 1_000_000),
    ("link_loss_ratio", "packets lost lately", 1000),
    ("link_mtu_bytes", "largest datagram sent", 1),
    ("link_receive_mtu_bytes", "largest datagram received", 1),
    ("link_connections", "QUIC connections that are up", 1),
    ("link_transmit_bytes_total", "datagrams sent", 1),
    ("link_receive_bytes_total", "datagrams received", 1),
    ("link_suspicions_total", "connections that turned suspect", 1),
];

fn link(link: &LinkStatus) -> Row<'_> {
    let numbers = vec![
        matches!(link.state, State::Up | State::Suspect).into(),
        link.rtt_us,
        link.loss_permille.into(),
        link.mtu.into(),
        link.rx_mtu.into(),
        link.connections.len() as u64,
        link.tx_bytes,
        link.rx_bytes,
        link.suspicions,
    ];
    (&link.name, numbers)
}

const OTHER: [Column; 3] = [
    ("node_reachable", "1: frames get there", 1),
    ("node_hops", "links on the way", 1),
    ("node_cost_seconds", "cost of the way", 1_000_000),
];
const TABLE: [Column; 2] = [("table_entries", "in use", 1), ("table_capacity", "there can be", 1)];
const DROP: [Column; 1] = [("dropped_frames_total", "by reason", 1)];

struct Page<'a> {
    text: String,
    /// Of the family that is being written.
    name: String,
    network: &'a str,
}

impl Page<'_> {
    /// Begins a family; by its name it is a counter or a gauge.
    fn begin(&mut self, name: &str, help: &str) {
        self.name = format!("quicap_{name}");
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {0} {help}\n# TYPE {0} {kind}\n", self.name);
    }

    /// A sample of the family.
    #[inline(never)]
    fn put(&mut self, labels: &[(&str, &str)], value: u64, unit: u64) {
        self.text.push_str(&self.name);
        let mut mark = '{';
        for (name, label) in [("network", self.network)].iter().chain(labels) {
            self.text.push(mark);
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in label.chars() {
                if matches!(c, '"' | '\\' | '\n') {
                    self.text.push('\\');
                }
                self.text.push(if c == '\n' { 'n' } else { c });
            }
            self.text.push('"');
            mark = ',';
        }
        let _ = match unit {
            1 => writeln!(self.text, "}} {value}"),
            _ => writeln!(
                self.text,
                "}} {}.{:0width$}",
                value / unit,
                value % unit,
                width = unit.ilog10() as usize
            ),
        };
    }

    /// Families with a sample for each row, which the label tells apart. A name counts once: two samples with the same
    /// labels would make the whole text invalid.
    fn table(&mut self, label: &str, columns: &[Column], rows: &[Row<'_>]) {
        for (at, (family, help, unit)) in columns.iter().enumerate() {
            self.begin(family, help);
            for (n, (name, numbers)) in rows.iter().enumerate() {
                if rows.iter().take(n).all(|(before, _)| before != name) {
                    self.put(&[(label, name)], numbers.get(at).copied().unwrap_or(0), *unit);
                }
            }
        }
    }
}

/// Names and helps of [`write_node`].
const NODE: [(&str, &str); 12] = [
    ("uptime_seconds", "since the daemon's start"),
    ("resident_memory_bytes", "of the daemon"),
    ("memory_limit_bytes", "of the machine or control group"),
    ("certificate_expiry_timestamp_seconds", "end of our own"),
    ("crl_number", "of the CRL in force"),
    ("warnings", "in quicap status"),
    ("stations", "MAC addresses whose place is known"),
    ("clock_trusted", "1: dates are judged"),
    ("config_last_reload_successful", "1: it was taken"),
    ("tap_up", "1: the TAP was set up"),
    ("tap_carrier", "1: the TAP has carrier"),
    ("tap_bridged", "1: the TAP is a port of a bridge"),
];

fn write_node(page: &mut Page<'_>, status: &Status) {
    page.begin("info", "always 1");
    let id = status.node.id.to_string();
    page.put(&[("node", &status.node.name), ("id", &id), ("version", status.version)], 1, 1);
    let tap = |is: fn(&TapStatus) -> bool| status.tap.as_ref().is_some_and(is).into();
    let values = [
        status.uptime_s,
        status.rss_kib * 1024,
        status.memory_kib * 1024,
        status.cert_not_after.into(),
        status.crl_number.unwrap_or(0),
        status.warnings.len() as u64,
        status.macs.len() as u64,
        (status.clock == Clock::Trusted).into(),
        status.config.error.is_empty().into(),
        tap(|tap| tap.up),
        tap(|tap| tap.carrier),
        tap(|tap| tap.bridge.is_some()),
    ];
    for ((name, help), value) in NODE.iter().zip(values) {
        page.begin(name, help);
        page.put(&[], value, 1);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "golden files")]
mod tests {
    use super::*;
    use crate::node::status::sample;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics.prom");

    #[test]
    fn the_text_is_the_golden_one() {
        let text = render(&sample::full());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap(), "BLESS=1 rewrites {GOLDEN}");
    }

    #[test]
    fn labels_are_escaped_and_no_two_samples_have_the_same() {
        let mut status = sample::full();
        status.links[0].name = "a\"b\\c\nd".to_owned();
        status.links[1].name = status.links[0].name.clone();
        let text = render(&status);
        let samples: Vec<&str> = text.lines().filter(|line| line.starts_with("quicap_link_up")).collect();
        assert_eq!(samples, [r#"quicap_link_up{network="home",peer="a\"b\\c\nd"} 1"#]);
    }
}
