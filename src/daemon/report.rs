//! The facts of the moment, gathered from the node, the TAP and the daemon, for the control socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::turn::Loop;
use crate::link::connection::Connection;
use crate::link::peer::{Link, State};
use crate::node::status::{
    Clock, ConfigStatus, ConnectionStatus, Count, EventStatus, Identity, LinkStatus, MacStatus, Status,
    TapStatus,
};
use crate::pki::timekeeper::Standing;
use crate::sys::process;
use crate::sys::tun::Tap;

pub fn status(daemon: &Loop<'_>, now: Instant) -> Status {
    let (node, links) = (&daemon.node, daemon.node.links());
    let began = node.began();
    let me = links.me();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        network: daemon.network.name.clone(),
        uptime_s: seconds(began, now),
        rss_kib: process::rss_kib(),
        memory_kib: process::total_kib().unwrap_or(0),
        node: Identity { name: me.name.clone(), id: me.id },
        tap: daemon.tap.as_ref().map(tap),
        clock: clock(node.clock()),
        config: ConfigStatus {
            loaded_s: seconds(began, daemon.config_loaded),
            error: errors(&[&daemon.config_error, &daemon.files_error]),
        },
        cert_not_after: me.not_after,
        crl_number: links.trust().crl_number(),
        warnings: node.warnings(),
        tables: node.tables(),
        events: node
            .events()
            .map(|event| EventStatus { at_s: event.at.as_secs(), text: event.text.clone() })
            .collect(),
        links: links.iter().map(|one| link(daemon, began, one)).collect(),
        nodes: node.others(),
        edges: node.edges(),
        macs: node
            .switch()
            .owners()
            .iter(now)
            .map(|known| MacStatus { mac: known.mac, owner: known.owner, age_s: known.age.as_secs() })
            .collect(),
        counters: counters(daemon),
        drops: node.drops().iter().collect(),
    }
}

fn clock(standing: Standing) -> Clock {
    match standing {
        Standing::Trusted => Clock::Trusted,
        _ => Clock::Untrusted { reason: standing.reason() },
    }
}

fn errors(all: &[&str]) -> String {
    all.iter().filter(|error| !error.is_empty()).copied().collect::<Vec<_>>().join("; ")
}

fn seconds(began: Instant, at: Instant) -> u64 {
    at.saturating_duration_since(began).as_secs()
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// As the kernel sees it; zeros if it cannot be asked.
fn tap(tap: &Tap) -> TapStatus {
    let interface = tap.interface().unwrap_or_default();
    TapStatus {
        name: tap.name().to_owned(),
        mtu: u16::try_from(interface.mtu).unwrap_or(u16::MAX),
        up: interface.up,
        carrier: interface.carrier,
        bridge: interface.bridge,
    }
}

fn link(daemon: &Loop<'_>, began: Instant, link: &Link) -> LinkStatus {
    let active = active(daemon, link);
    let theirs = link.connections.iter().filter_map(|(slot, _)| daemon.node.links().connection(*slot));
    let rx_mtu = theirs.map(Connection::max_received).max().unwrap_or(0);
    let connections = link.connections.iter().filter_map(|(slot, _)| {
        let found = daemon.node.links().connection(*slot)?;
        let control = link.control(daemon.node.links().me().id) == Some(*slot);
        Some(connection(daemon, found, link.active == Some(*slot), control))
    });
    LinkStatus {
        name: link.title(),
        id: link.member.as_ref().map(|member| member.id),
        state: link.state,
        reason: link.reason.clone(),
        rtt_us: active.map_or(0, |connection| microseconds(connection.rtt())),
        loss_permille: active.map_or(0, |connection| connection.loss_permille().into()),
        mtu: active.map_or(0, |connection| u16::try_from(connection.max_datagram()).unwrap_or(u16::MAX)),
        rx_mtu: u16::try_from(rx_mtu).unwrap_or(u16::MAX),
        since_s: seconds(began, link.since),
        suspicions: link.suspicions,
        tx_bytes: link.tx_bytes,
        rx_bytes: link.rx_bytes,
        connections: connections.collect(),
    }
}

/// The connection that carries.
fn active<'a>(daemon: &'a Loop<'_>, link: &Link) -> Option<&'a Connection> {
    daemon.node.links().connection(link.active?)
}

fn connection(daemon: &Loop<'_>, connection: &Connection, active: bool, control: bool) -> ConnectionStatus {
    let remote = connection.remote();
    let bound = daemon.sockets.local(connection.socket);
    // A socket bound to any address knows only by its packets which one is in use.
    let ip = connection.local().or(bound.map(|bound| bound.ip()));
    let unspecified = || match remote {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = SocketAddr::new(ip.unwrap_or_else(unspecified), bound.map_or(0, |bound| bound.port()));
    let state = match (connection.is_up(), connection.is_suspect()) {
        (false, _) => State::Connecting,
        (true, true) => State::Suspect,
        (true, false) => State::Up,
    };
    let rtt_us = microseconds(connection.rtt());
    ConnectionStatus { role: connection.role, local, remote, state, active, control, rtt_us }
}

fn counters(daemon: &Loop<'_>) -> Vec<Count> {
    let node = &daemon.node;
    let (counters, macs) = (node.counters(), node.switch().owners().counters());
    let (mesh, members) = (node.fabric().counters(), node.members().counters());
    vec![
        ("tap_rx_frames", counters.tap_rx_frames),
        ("tap_tx_frames", counters.tap_tx_frames),
        ("tap_rx_bytes", counters.tap_rx_bytes),
        ("tap_tx_bytes", counters.tap_tx_bytes),
        ("forwarded_frames", counters.forwarded_frames),
        ("broadcast_copies", counters.broadcast_copies),
        ("searches", mesh.searches),
        ("verified", mesh.verified),
        ("forged", mesh.forged),
        ("dropped", mesh.dropped),
        ("outdated", mesh.outdated),
        ("announcements_full", node.fabric().topology().refused()),
        ("members_forged", members.forged),
        ("members_refused", members.refused),
        ("members_full", members.full),
        ("unsaid", node.links().unsaid()),
        ("macs_not_learned", macs.not_learned),
        ("macs_moved", macs.moves),
        ("macs_refused", macs.refused),
        ("macs_frozen", macs.frozen),
        ("macs_evicted", macs.evicted),
        ("macs_untold", macs.untold),
        ("initials_ignored", node.links().initials_ignored()),
    ]
}
