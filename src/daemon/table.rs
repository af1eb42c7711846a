//! The status as a table for people: `quicap status` without `--json` prints it as it comes.
//! Made here and not in the command, so that nobody needs to read JSON.

use std::fmt::{self, Write};

use crate::link::peer::State;
use crate::node::status::{Clock, ConnectionStatus, Count, LinkStatus, Status};
use crate::pki::date::Day;
use crate::types::Table;

/// Events shown; `--json` has them all.
const EVENTS: usize = 10;

/// The whole table, ending with a line end, without control characters but line ends: what others sent us may
/// stand in it, and a terminal would obey them.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, status);
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

fn write_all(out: &mut String, status: &Status) -> fmt::Result {
    write_head(out, status)?;
    write_links(out, status)?;
    write_nodes(out, status)?;
    write_tables(out, &status.tables)?;
    write_events(out, status)?;
    write_drops(out, &status.drops)
}

fn write_head(out: &mut String, status: &Status) -> fmt::Result {
    let node = &status.node;
    let (uptime, memory) = (Seconds(status.uptime_s), Bytes(status.rss_kib * 1024));
    writeln!(out, "network  {}: node {} (id {}), up {uptime}, {memory}", status.network, node.name, node.id)?;
    match &status.tap {
        None => writeln!(out, "tap      none")?,
        Some(tap) => {
            let carrier = if tap.carrier { "carrier" } else { "no carrier" };
            let up = if tap.up { "" } else { ", down (nobody has set it up)" };
            let bridge =
                tap.bridge.as_ref().map_or("in no bridge".to_owned(), |name| format!("in bridge {name}"));
            writeln!(out, "tap      {}: {carrier}{up}, mtu {}, {bridge}", tap.name, tap.mtu)?;
        }
    }
    match &status.clock {
        Clock::Trusted => writeln!(out, "clock    trusted")?,
        Clock::Untrusted { reason } => writeln!(out, "clock    not trusted: {reason}")?,
    }
    let crl = status.crl_number.map_or("no CRL".to_owned(), |number| format!("CRL number {number}"));
    writeln!(out, "cert     until {}; {crl}", Day(status.cert_not_after))?;
    status.warnings.iter().try_for_each(|warning| writeln!(out, "warning  {warning}"))?;
    writeln!(out, "config   loaded {} ago; version {}", status.ago(status.config.loaded_s), status.version)?;
    match status.config.error.as_str() {
        "" => Ok(()),
        error => writeln!(out, "         last reload refused: {error}"),
    }
}

fn write_links(out: &mut String, status: &Status) -> fmt::Result {
    let title =
        ["LINK", "STATE", "RTT", "LOSS", "MTU", "ADDRESS", "FOR", "SENT", "RECEIVED"].map(str::to_owned);
    let rows: Vec<_> = status.links.iter().map(|link| link_row(status, link)).collect();
    writeln!(out)?;
    if rows.is_empty() {
        return writeln!(out, "no links: no peer is configured and none has dialed");
    }
    let lines = align(std::iter::once(title).chain(rows));
    let reasons = std::iter::once("").chain(status.links.iter().map(|link| link.reason.as_str()));
    for (line, reason) in lines.iter().zip(reasons) {
        writeln!(out, "{line}")?;
        if !reason.is_empty() {
            writeln!(out, "    {reason}")?;
        }
    }
    Ok(())
}

fn link_row(status: &Status, link: &LinkStatus) -> [String; 9] {
    let carries = matches!(link.state, State::Up | State::Suspect);
    let known = |text: String| if carries { text } else { "-".to_owned() };
    let active = link.connections.iter().find(|connection| connection.active);
    let remote = |connection: &ConnectionStatus| connection.remote.to_string();
    [
        if link.name.is_empty() { "-".to_owned() } else { link.name.clone() },
        link.state.name().to_owned(),
        known(Microseconds(link.rtt_us).to_string()),
        known(format!("{}.{} %", link.loss_permille / 10, link.loss_permille % 10)),
        known(link.mtu.to_string()),
        active.map_or("-".to_owned(), remote),
        status.ago(link.since_s).to_string(),
        Bytes(link.tx_bytes).to_string(),
        Bytes(link.rx_bytes).to_string(),
    ]
}

fn write_nodes(out: &mut String, status: &Status) -> fmt::Result {
    if status.nodes.is_empty() {
        return Ok(());
    }
    let title = ["NODE", "ID", "VIA", "HOPS", "COST", "MACS"].map(str::to_owned);
    let rows = status.nodes.iter().map(|node| {
        let macs = status.macs.iter().filter(|mac| mac.owner == node.id).count();
        let cost = Microseconds(node.cost_us).to_string();
        let known = |text: String| if node.is_reachable { text } else { "-".to_owned() };
        [
            node.name.clone(),
            node.id.to_string(),
            match (node.is_reachable, node.via == node.name) {
                (false, _) => "out of reach".to_owned(),
                (true, true) => "direct".to_owned(),
                (true, false) => node.via.clone(),
            },
            known(node.hops.to_string()),
            known(cost),
            macs.to_string(),
        ]
    });
    writeln!(out)?;
    align(std::iter::once(title).chain(rows)).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Those that hold something, and what all take.
fn write_tables(out: &mut String, tables: &[Table]) -> fmt::Result {
    let bytes = |bytes: usize| Bytes(bytes as u64).to_string();
    let title = ["TABLE", "USED", "OF", "MEMORY"].map(str::to_owned);
    let filled = tables.iter().filter(|table| table.used > 0);
    let rows = filled.map(|table| {
        [table.name.to_owned(), table.used.to_string(), table.capacity.to_string(), bytes(table.bytes)]
    });
    let all = tables.iter().map(|table| table.bytes).sum();
    let all = ["all".to_owned(), String::new(), String::new(), bytes(all)];
    writeln!(out)?;
    align(std::iter::once(title).chain(rows).chain([all])).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn write_events(out: &mut String, status: &Status) -> fmt::Result {
    if status.events.is_empty() {
        return Ok(());
    }
    let first = status.events.len().saturating_sub(EVENTS);
    let rows = status.events.iter().skip(first).map(|event| {
        let ago = format!("{} ago", status.ago(event.at_s));
        [ago, event.text.clone()]
    });
    writeln!(out, "\nEVENTS")?;
    align(rows).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn write_drops(out: &mut String, drops: &[Count]) -> fmt::Result {
    let rows = drops.iter().filter(|(_, n)| *n > 0).map(|(name, n)| [(*name).to_owned(), n.to_string()]);
    let lines = align(rows);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nDROPS")?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// One line for each row, with two spaces between columns that are as wide as their widest cell.
fn align<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

impl Status {
    /// How long ago a moment of the daemon's life was.
    fn ago(&self, at_s: u64) -> Seconds {
        Seconds(self.uptime_s.saturating_sub(at_s))
    }
}

/// `9 s`, `3 min 20 s`, `3 h 12 min`, `5 d 3 h`.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s @ 0..60 => write!(f, "{s} s"),
            s @ 60..3600 => write!(f, "{} min {} s", s / 60, s % 60),
            s @ 3600..86_400 => write!(f, "{} h {} min", s / 3600, s / 60 % 60),
            s => write!(f, "{} d {} h", s / 86_400, s / 3600 % 24),
        }
    }
}

/// `0.2 ms`, `24.1 ms`, `1240 ms`.
struct Microseconds(u64);

impl fmt::Display for Microseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ 0..1_000_000 => write!(f, "{}.{} ms", us / 1000, us / 100 % 10),
            us => write!(f, "{} ms", us / 1000),
        }
    }
}

/// `1 B`, `12.3 kB`, `4.0 MB`: powers of 1000.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            n @ 0..1000 => return write!(f, "{n} B"),
            1000..1_000_000 => (1000, "kB"),
            1_000_000..1_000_000_000 => (1_000_000, "MB"),
            1_000_000_000..1_000_000_000_000 => (1_000_000_000, "GB"),
            _ => (1_000_000_000_000, "TB"),
        };
        write!(f, "{}.{} {name}", self.0 / unit, self.0 / (unit / 10) % 10)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "golden files")]
mod tests {
    use super::*;
    use crate::node::status::{EventStatus, sample};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/status.txt");

    #[test]
    fn the_table_is_the_golden_one() {
        let text = render(&sample::full());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap(), "BLESS=1 rewrites {GOLDEN}");
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        let mut status = sample::full();
        status.config.error = "/etc/config/quicap:7: option mtu".into();
        status.links.clear();
        status.tap.as_mut().unwrap().up = false;
        status.tap.as_mut().unwrap().bridge = None;
        status.clock = Clock::Untrusted { reason: "it shows 1970-01-01".into() };
        let text = render(&status);
        for part in [
            "reload refused: /etc/config/quicap:7",
            "no links",
            "nobody has set it up",
            "in no bridge",
            "clock    not trusted: it shows 1970-01-01",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        status.tap = None;
        assert!(render(&status).contains("tap      none"));
    }

    #[test]
    fn no_terminal_obeys_what_others_sent_and_only_the_last_events_are_shown() {
        let mut status = sample::full();
        status.links[1].reason = "closed: \u{1b}[2J\u{9b}\r".into();
        status.events = (0..100).map(|n| EventStatus { at_s: n, text: format!("event {n}.") }).collect();
        let text = render(&status);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(text.contains("closed: ?[2J??"));
        assert!(text.contains("event 99.") && text.contains("event 90.") && !text.contains("event 89."));
    }

    #[test]
    fn quantities_have_a_unit_that_suits_them() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (11_520, "3 h 12 min"), (442_800, "5 d 3 h")]
        {
            assert_eq!(Seconds(seconds).to_string(), text);
        }
        for (us, text) in [(0, "0.0 ms"), (212, "0.2 ms"), (24_199, "24.1 ms"), (1_240_000, "1240 ms")] {
            assert_eq!(Microseconds(us).to_string(), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (12_345, "12.3 kB"),
            (4_000_000, "4.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
