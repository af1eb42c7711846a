//! A hundred nodes: what they do while nothing happens, and how fast they are simulated.

use std::time::{Duration, Instant};

use crate::members::{Ca, broadcast, config, name, node};
use crate::topology::Topology;
use crate::world::World;

/// Runs for this long; returns the events of virtual time and prints how fast they passed.
#[allow(clippy::disallowed_methods, reason = "the speed of the simulation itself is printed")]
fn timed(what: &str, world: &mut World, run: impl FnOnce(&mut World)) -> u64 {
    let (began, before, virtually) = (Instant::now(), world.events_passed, world.now);
    run(world);
    let (took, events) = (began.elapsed(), world.events_passed - before);
    let rate = events as f64 / took.as_secs_f64();
    println!(
        "{what}: {events} events in {:.1?} of virtual time took {took:.2?}: {rate:.0} a second",
        world.now - virtually
    );
    events
}

#[test]
fn a_hundred_idle_nodes_wake_for_keep_alives_only() {
    let topology = Topology::geometric(100, 1);
    let mut world = World::new(1);
    topology.build(&mut world, 0);
    let ca = Ca::standing();
    let up = |world: &World| (0..100).all(|site| world.links_up(site) == topology.degree(site));
    timed("start", &mut world, |world| {
        for site in 0..topology.sites {
            let credentials = ca.standing_credentials(&name(site), site as u16 + 1);
            world.start(site, node(config(credentials, topology.peers(site), 1)));
        }
        let mut waited = 0;
        while !up(world) {
            world.run_for(Duration::from_millis(250));
            waited += 1;
            assert!(waited < 240, "not all links are up within a minute");
        }
    });
    world.run_for(Duration::from_secs(10));
    let seconds = 60;
    let idle = timed("idle", &mut world, |world| world.run_for(Duration::from_secs(seconds)));
    let rate = idle as f64 / seconds as f64 / topology.connections() as f64;
    println!(
        "{} links, {} connections: {rate:.2} events a second each",
        topology.edges.len(),
        topology.connections()
    );
    // Each end asks every 5 s: a timer, a PING, its delayed ACK, and the timer of that.
    assert!(rate < 3.0, "{rate:.2} events a second for each connection");
    timed("broadcasts", &mut world, |world| {
        for n in 0..1000 {
            world.send(n * 37 % 100, &broadcast(n as u8, 300));
            world.run_for(Duration::from_millis(10));
        }
    });
    assert!(world.sites.iter().all(|site| site.frames.len() >= 10), "each hears its neighbors");
}
