//! What the tables of a node take, empty and full. They have their size from the start, but for what is kept of nodes and repairs.

use std::time::Duration;

use quicap::limits::{NODES, OWNERS, REPAIRS};
use quicap::mesh::fabric::Fabric;
use quicap::mesh::switch::{Cast, Switch, Verdict};
use quicap::node::members::Members;
use quicap::types::{LinkId, Table};

use crate::hub::{Hub, id, links};
use crate::members::{self, Ca};
use crate::topology::Topology;

pub fn print() {
    let (ca, topology) = (Ca::new(), Topology::geometric(NODES, 1));
    let site = (0..NODES).find(|site| topology.degree(*site) > REPAIRS).expect("a site with some links");
    let (fresh, full) = (Hub::new(&ca, site), full(&ca, &topology, site));
    println!(
        "bytes of each table: of a node that knows itself alone, and of one in a mesh of {NODES} nodes with {OWNERS} addresses"
    );
    println!("{:<16} {:>8} {:>8} {:>8} {:>8}", "table", "used", "capacity", "fresh", "full");
    let mut sums = [0; 2];
    for (before, after) in tables(&fresh).into_iter().zip(tables(&full)) {
        let Table { name, used, capacity, bytes } = after;
        println!("{name:<16} {used:>8} {capacity:>8} {:>8} {bytes:>8}", before.bytes);
        sums[0] += before.bytes;
        sums[1] += bytes;
    }
    let [fabric, members, switch] = [size_of::<Fabric>(), size_of::<Members>(), size_of::<Switch>()];
    println!("{:<34} {:>8} {:>8}", "all tables", sums[0], sums[1]);
    println!("the structures that hold them: Fabric {fabric}, Members {members}, Switch {switch}");
}

fn full(ca: &Ca, topology: &Topology, site: usize) -> Hub {
    let mut hub = Hub::of(ca, topology, site);
    fill_owners(&mut hub, site);
    for link in links(topology, site).iter().take(REPAIRS) {
        hub.fabric.handle_suspect(hub.now, LinkId(link.slot), Duration::from_secs(1));
    }
    hub
}

fn fill_owners(hub: &mut Hub, site: usize) {
    let mut frame = members::broadcast(0, 60);
    let others: Vec<usize> = (0..NODES).filter(|other| *other != site).collect();
    for station in 0..OWNERS {
        frame[8..12].copy_from_slice(&(station as u32).to_be_bytes());
        let origin = id(others[station % others.len()]);
        let verdict = hub.switch.handle_remote(hub.now, origin, &frame, Cast::All);
        assert_eq!(verdict, Verdict::Deliver);
    }
    assert_eq!(hub.switch.owners().len(), OWNERS);
}

fn tables(hub: &Hub) -> Vec<Table> {
    hub.fabric.tables().chain(hub.switch.tables()).chain(hub.members.tables()).collect()
}
