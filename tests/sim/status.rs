//! What nodes say of each other and of the graph.

use std::time::Duration;

use quicap::node::Capacity;
use quicap::node::status::{EdgeStatus, NodeStatus};

use crate::members;
use crate::world::{Wire, World};

/// Three in a row: the outer ones have no wire between them.
fn row() -> World {
    let (mut world, _) = members::mesh(1, 3);
    world.set_wire(0, 2, Wire { cut: true, ..Wire::default() });
    world.run_for(Duration::from_secs(5));
    world
}

fn others(world: &World, site: usize) -> Vec<NodeStatus> {
    world.sites[site].node.as_ref().expect("runs").others()
}

fn edges(world: &World, site: usize) -> Vec<EdgeStatus> {
    world.sites[site].node.as_ref().expect("runs").edges()
}

/// Name, way and whether it is within reach.
fn ways(world: &World, site: usize) -> Vec<(String, String, bool)> {
    let way = |node: &NodeStatus| (node.name.clone(), node.path.join(" "), node.is_reachable);
    others(world, site).iter().map(way).collect()
}

fn way(name: &str, path: &str, is_reachable: bool) -> (String, String, bool) {
    (name.to_owned(), path.to_owned(), is_reachable)
}

#[test]
fn each_node_says_how_it_reaches_the_others_and_who_is_out_of_reach() {
    let mut world = row();
    let through = [way("site-1", "site-1", true), way("site-2", "site-1 site-2", true)];
    assert_eq!(ways(&world, 0), through);
    assert_eq!(ways(&world, 1), [way("site-0", "site-0", true), way("site-2", "site-2", true)]);
    let far = others(&world, 0).pop().expect("a node");
    assert_eq!(
        (far.hops, far.via.as_str(), far.parent.as_str(), far.children.len()),
        (2, "site-1", "site-1", 0)
    );
    assert!((40_000..44_000).contains(&far.cost_us), "{far:?}");
    let near = others(&world, 1).remove(0);
    assert_eq!((near.parent.as_str(), near.children), ("site-0", vec!["site-2".to_owned()]));
    world.kill(2);
    world.run_for(Duration::from_secs(5));
    assert_eq!(ways(&world, 0), [way("site-1", "site-1", true), way("site-2", "", false)]);
    let lost = others(&world, 0).pop().expect("a node");
    assert_eq!((lost.hops, lost.cost_us, lost.via.as_str(), lost.parent.as_str()), (0, 0, "", ""));
}

#[test]
fn all_nodes_say_the_same_of_the_graph_and_each_which_links_it_uses() {
    let mut world = row();
    let ends = |edges: Vec<EdgeStatus>| -> Vec<_> {
        edges.iter().map(|edge| (edge.ends.0.value(), edge.ends.1.value(), edge.is_used)).collect()
    };
    for site in 0..3 {
        assert_eq!(ends(edges(&world, site)), [(1, 2, true), (2, 3, true)], "site {site}");
        assert!(edges(&world, site).iter().all(|edge| (20_000..22_000).contains(&edge.cost_us)));
    }
    // A long way between the outer ones: known to all, of use to none.
    world.set_wire(0, 2, Wire { delay: Duration::from_millis(40), ..Wire::default() });
    world.run_for(Duration::from_secs(60));
    for site in 0..3 {
        assert_eq!(ends(edges(&world, site)), [(1, 2, true), (1, 3, false), (2, 3, true)], "site {site}");
    }
}

#[test]
fn the_page_of_status_describes_every_table() {
    let (mut world, _) = members::mesh(1, 2);
    world.run_for(Duration::from_secs(5));
    let tables = world.sites[0].node.as_ref().expect("runs").tables();
    assert!(tables.len() > 20);
    for table in tables {
        let row = format!("\n| `{}` |", table.name);
        assert!(include_str!("../../docs/status.md").contains(&row), "docs/status.md: no row {row}");
        assert!(table.used <= table.capacity, "{table:?}");
    }
}

#[test]
fn a_node_for_which_there_is_no_room_is_named_once() {
    let (mut world, ca) = members::mesh(1, 3);
    world.set_wire(0, 2, Wire { cut: true, ..Wire::default() });
    world.kill(0);
    world.run_for(Duration::from_secs(5));
    let peers = vec![members::peer(Some("site-1"), &[World::ip(1)])];
    let config = members::config(ca.credentials("site-0", 1), peers, 1);
    world.start(0, |now| {
        let mut node = members::node(config)(now);
        node.set_capacity(now, Capacity { nodes: 2, ..Capacity::default() });
        node
    });
    world.run_for(Duration::from_secs(300));
    assert_eq!(ways(&world, 0), [way("site-1", "site-1", true)]);
    let events = world.events(0);
    let named = events.iter().filter(|line| *line == "node 3 is left out: the table of nodes is full");
    assert_eq!(named.count(), 1, "{events:?}");
}
