//! The status as text for Prometheus (exposition format 0.0.4): `quicap status --metrics` and what exporters read.
//! Every family is there in every answer, in one order, so that the texts of several networks can be put together.
//! Read first: docs/status.md, "Metrics".

use std::fmt::{self, Arguments, Write};

use crate::link::peer::State;
use crate::node::status::{Clock, Count, LinkStatus, Status};

/// All families, each with its HELP and TYPE.
pub fn render(status: &Status) -> String {
    let mut page = Page { text: String::new(), name: String::new(), network: &status.network };
    write_node(&mut page, status);
    write_links(&mut page, &status.links);
    write_nodes(&mut page, status);
    write_tables(&mut page, status);
    write_counters(&mut page, &status.counters);
    page.begin("dropped_frames_total", "Frames that were dropped, by reason (docs/status.md, Drop reasons).");
    status.drops.iter().for_each(|(reason, count)| page.put(&[("reason", reason)], format_args!("{count}")));
    page.text
}

struct Page<'a> {
    text: String,
    /// Of the family that is being written.
    name: String,
    network: &'a str,
}

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page<'_> {
    /// Begins a family; by its name it is a counter or a gauge.
    fn begin(&mut self, name: &str, help: &str) {
        self.name = format!("quicap_{name}");
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {0} {help}\n# TYPE {0} {kind}\n", self.name);
    }

    /// A sample of the family.
    fn put(&mut self, labels: Labels<'_>, value: Arguments<'_>) {
        let _ = self.write(labels, value);
    }

    fn write(&mut self, labels: Labels<'_>, value: Arguments<'_>) -> fmt::Result {
        self.text.push_str(&self.name);
        let mut mark = '{';
        for (name, label) in [("network", self.network)].iter().chain(labels) {
            write!(self.text, "{mark}{name}=\"")?;
            label.chars().for_each(|c| self.escape(c));
            self.text.push('"');
            mark = ',';
        }
        writeln!(self.text, "}} {value}")
    }

    fn escape(&mut self, c: char) {
        match c {
            '\n' => self.text.push_str("\\n"),
            c => {
                if matches!(c, '"' | '\\') {
                    self.text.push('\\');
                }
                self.text.push(c);
            }
        }
    }

    /// A family with one sample, which has no labels but the network.
    fn single(&mut self, name: &str, help: &str, value: u64) {
        self.begin(name, help);
        self.put(&[], format_args!("{value}"));
    }
}

fn write_node(page: &mut Page<'_>, status: &Status) {
    page.begin("info", "Always 1; the labels say which node this is, and its version.");
    let id = status.node.id.to_string();
    let labels = [("node", status.node.name.as_str()), ("id", &id), ("version", status.version)];
    page.put(&labels, format_args!("1"));
    let tap = status.tap.as_ref();
    let is = |yes: Option<bool>| u64::from(yes == Some(true));
    for (name, help, value) in [
        ("uptime_seconds", "Since the daemon's start.", status.uptime_s),
        ("resident_memory_bytes", "Memory of the daemon.", status.rss_kib * 1024),
        (
            "memory_limit_bytes",
            "Memory of the machine or control group; 0: not known.",
            status.memory_kib * 1024,
        ),
        ("clock_trusted", "1: dates of certificates are judged.", is(Some(status.clock == Clock::Trusted))),
        ("certificate_expiry_timestamp_seconds", "End of our own certificate.", status.cert_not_after.into()),
        ("crl_number", "Number of the CRL in force; 0: there is none.", status.crl_number.unwrap_or(0)),
        (
            "config_last_reload_successful",
            "1: the last reload was taken.",
            is(Some(status.config.error.is_empty())),
        ),
        ("warnings", "Number of warnings in quicap status.", status.warnings.len() as u64),
        ("tap_up", "1: the TAP was set up.", is(tap.map(|tap| tap.up))),
        ("tap_carrier", "1: the TAP has carrier.", is(tap.map(|tap| tap.carrier))),
        ("tap_bridged", "1: the TAP is a port of a bridge.", is(tap.map(|tap| tap.bridge.is_some()))),
        ("stations", "MAC addresses whose place is known.", status.macs.len() as u64),
    ] {
        page.single(name, help, value);
    }
}

/// A number of a link, in whole parts of a unit.
type Value = fn(&LinkStatus) -> u64;

fn write_links(page: &mut Page<'_>, links: &[LinkStatus]) {
    let up = |link: &LinkStatus| matches!(link.state, State::Up | State::Suspect).into();
    let families: [(&str, &str, Value, u64); 9] = [
        ("link_up", "1: a connection to the peer is up.", up, 1),
        ("link_rtt_seconds", "Smoothed round trip; 0: not up.", |link| link.rtt_us, 1_000_000),
        ("link_loss_ratio", "Packets lost in the last minute or so.", |link| link.loss_permille.into(), 1000),
        ("link_mtu_bytes", "Largest overlay datagram sent without splitting.", |link| link.mtu.into(), 1),
        ("link_receive_mtu_bytes", "Largest overlay datagram that came.", |link| link.rx_mtu.into(), 1),
        ("link_connections", "QUIC connections that are up.", |link| link.connections.len() as u64, 1),
        ("link_transmit_bytes_total", "Overlay datagrams sent.", |link| link.tx_bytes, 1),
        ("link_receive_bytes_total", "Overlay datagrams received.", |link| link.rx_bytes, 1),
        ("link_suspicions_total", "Connections that turned suspect.", |link| link.suspicions, 1),
    ];
    for (name, help, value, unit) in families {
        page.begin(name, help);
        for (n, link) in links.iter().enumerate() {
            // A name counts once: two samples with the same labels would make the whole text invalid.
            if links.iter().take(n).all(|before| before.name != link.name) {
                let value = value(link);
                let digits = if unit == 1 { 0 } else { unit.ilog10() as usize };
                let labels = [("peer", link.name.as_str())];
                match digits {
                    0 => page.put(&labels, format_args!("{value}")),
                    _ => page.put(&labels, format_args!("{}.{:0digits$}", value / unit, value % unit)),
                }
            }
        }
    }
}

fn write_nodes(page: &mut Page<'_>, status: &Status) {
    let ids: Vec<String> = status.nodes.iter().map(|node| node.id.to_string()).collect();
    for (family, help) in [
        ("node_reachable", "1: frames get to the node."),
        ("node_hops", "Links on the way; 0: out of reach."),
        ("node_cost_seconds", "Cost of the way: round trips as nodes announce them."),
    ] {
        page.begin(family, help);
        for (node, id) in status.nodes.iter().zip(&ids) {
            let labels = [("node", node.name.as_str()), ("id", id.as_str())];
            match family {
                "node_reachable" => page.put(&labels, format_args!("{}", u8::from(node.is_reachable))),
                "node_hops" => page.put(&labels, format_args!("{}", node.hops)),
                _ => {
                    let (seconds, rest) = (node.cost_us / 1_000_000, node.cost_us % 1_000_000);
                    page.put(&labels, format_args!("{seconds}.{rest:06}"));
                }
            }
        }
    }
}

fn write_tables(page: &mut Page<'_>, status: &Status) {
    page.begin("table_entries", "Entries in use of the bounded tables.");
    for table in &status.tables {
        page.put(&[("table", table.name)], format_args!("{}", table.used));
    }
    page.begin("table_capacity", "Entries that there can be.");
    for table in &status.tables {
        page.put(&[("table", table.name)], format_args!("{}", table.capacity));
    }
}

fn write_counters(page: &mut Page<'_>, counters: &[Count]) {
    for (name, count) in counters {
        page.single(&format!("{name}_total"), "Counter of quicap status (docs/status.md, Counters).", *count);
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
