//! The protocol of the mesh, shown with real nodes: whole meshes in which links and nodes fail, come and go, while frames
//! are followed on every link. Read first: docs/testing.md, "The mesh on virtual time".

mod check;
mod events;
mod figures;
mod frames;
mod net;
mod outages;
mod probe;
mod truth;

use std::cell::{Cell, RefCell};

use self::events::{ALL, Event};
use self::figures::Figures;
use self::net::Net;
use crate::for_seeds_of;
use crate::topology::Topology;

/// Lives through these events, in an order that depends on the seed.
fn live(mut net: Net, events: &[Event]) -> Figures {
    let mut events = events.to_vec();
    for place in (1..events.len()).rev() {
        let other = net.random.below(place + 1);
        events.swap(place, other);
    }
    net.begin();
    events.into_iter().for_each(|event| net.happen(event));
    net.wait_for_costs("costs in the end");
    net.check_views();
    net.check_frames();
    if net.seed == 1 {
        net.measure_bytes();
    }
    std::mem::take(&mut net.figures)
}

/// Printed when it goes, after a failure too.
struct Report<'a> {
    of: &'a str,
    seeds: Cell<u64>,
    figures: RefCell<Figures>,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        println!("{}: {} seeds", self.of, self.seeds.get());
        self.figures.borrow().print(self.of);
    }
}

fn live_with_seeds(of: &str, seeds: u64, draw: impl Fn(u64) -> Topology, events: &[Event]) {
    let report = Report { of, seeds: Cell::new(0), figures: RefCell::default() };
    for_seeds_of(seeds, |seed| {
        let figures = live(Net::new(draw(seed), seed), events);
        report.figures.borrow_mut().join(&figures);
        report.seeds.set(report.seeds.get() + 1);
    });
}

/// Hubs and neighborhoods by turns.
fn drawn(sites: usize) -> impl Fn(u64) -> Topology {
    move |seed| if seed % 2 == 0 { Topology::hubs(sites, seed) } else { Topology::geometric(sites, seed) }
}

#[test]
fn the_five_sites_live_through_everything() {
    live_with_seeds("5 nodes", 200, |_| Topology::five(), &ALL);
}

#[test]
fn twenty_nodes_live_through_everything() {
    live_with_seeds("20 nodes", 200, drawn(20), &ALL);
}

#[test]
fn fifty_nodes_live_through_everything() {
    live_with_seeds("50 nodes", 20, drawn(50), &ALL);
}

#[test]
fn a_hundred_nodes_live_through_everything() {
    live_with_seeds("100 nodes", 20, drawn(100), &ALL);
}

#[test]
fn two_hundred_and_fifty_nodes_live_through_everything() {
    if ["QUICAP_SEEDS", "QUICAP_SEED"].iter().all(|name| std::env::var(name).is_err()) {
        return println!("skipped: 250 nodes take minutes: QUICAP_SEEDS=full");
    }
    live_with_seeds("250 nodes", 3, drawn(250), &ALL);
}
