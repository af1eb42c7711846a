//! A node of five is revoked, and one file at one node tells all the others, also one that was cut off meanwhile.
//!
//! ```text
//!   1 ---- 2 --x-- 4 ---- 5        x: cut; 5 is revoked, and the list is given to 1
//!    `---- 3 --x--/      /
//!           `------x----'
//! ```

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab;
use crate::pings::{Pings, unix_time};
use crate::sites::{Sites, address, laptop, site};

const SECOND: Duration = Duration::from_secs(1);
/// Within this time a revoked node is out.
const OUT: Duration = Duration::from_secs(5);

#[test]
fn a_list_at_one_node_of_five_puts_the_revoked_node_out_everywhere_within_5_seconds() {
    let Some(mut sites) = Sites::five(&[]) else { return };
    let pings = Pings::start(&sites.lab, &laptop(1), &address(5));
    lab::until(lab::SOON, "a ping is answered", || pings.first_since(Duration::ZERO).is_some());
    revoke_5(&sites);
    let out = sites.wait_whole(&[1, 2, 3, 4], OUT);
    thread::sleep(SECOND / 5);
    assert!(pings.first_since(unix_time() - SECOND / 10).is_none(), "its laptop is out of reach");
    println!("out at the other four {out:?} after the list was told to node 1");
    stays_out(&sites);
}

#[test]
fn a_node_that_was_cut_off_puts_the_revoked_neighbor_out_within_5_seconds_of_its_return() {
    const CUT: [(usize, usize); 3] = [(2, 4), (3, 4), (3, 5)];
    let Some(mut sites) = Sites::five(&[]) else { return };
    for (a, b) in CUT {
        sites.wire(a, b).set("drop=all");
    }
    let (here, there) = (sites.wait_whole(&[1, 2, 3], lab::SOON), sites.wait_whole(&[4, 5], lab::SOON));
    println!("two parts know that they are two after {here:?} and {there:?}");
    // Long enough for all to be begun anew when it is healed.
    lab::until(lab::SOON, "the connections are given up", || {
        is_given_up(&sites, 2, 4) && is_given_up(&sites, 3, 4)
    });
    revoke_5(&sites);
    lab::until(OUT, "2 and 3 have the list", || has_list(&sites, 2) && has_list(&sites, 3));
    assert!(!has_list(&sites, 4));
    assert!(sites.is_whole(&[4, 5]), "where the list is not, it is not known");
    // Both neighbors of the part come back, the one by way of which the list comes, and the revoked one.
    for (a, b) in CUT {
        sites.wire(a, b).set("drop=none");
    }
    let start = Instant::now();
    let healed = sites.wait_whole(&[1, 2, 3, 4], OUT);
    println!("healed: the four are one again and the fifth is out {healed:?} after it");
    assert!(start.elapsed() < OUT && has_list(&sites, 4));
    stays_out(&sites);
}

/// By the CA; the list reaches node 1 only.
fn revoke_5(sites: &Sites) {
    let lab = &sites.lab;
    lab.ok("quicap ca revoke --dir ca n5");
    fs::copy(lab.dir.join("ca/crl.pem"), lab.dir.join("n1/crl.pem")).unwrap();
    lab.signal("n1", "HUP");
}

/// Whether a node knows the list that revokes.
fn has_list(sites: &Sites, number: usize) -> bool {
    sites.counter(number, "crl.number") >= sites.counter(1, "crl.number")
        && sites.counter(1, "crl.number") > 1
}

fn is_given_up(sites: &Sites, at: usize, to: usize) -> bool {
    let status = sites.lab.status(&site(at));
    let mut links = status.at("links").items().iter();
    links.any(|link| link.at("name").text() == site(to) && link.at("connections").items().is_empty())
}

/// For a while, with the reason in words at both neighbors.
fn stays_out(sites: &Sites) {
    let reason = |number: usize| {
        let status = sites.lab.status(&site(number));
        let link = status.at("links").items().iter().find(|link| link.at("name").text() == site(5));
        link.map(|link| link.at("reason").text().to_owned()).unwrap_or_default()
    };
    for number in [3, 4] {
        lab::until(lab::SOON, "the reason is known", || reason(number).contains("revoked"));
        println!("node {number} says of node 5: {}", reason(number));
    }
    for number in [1, 2, 3, 4] {
        let status = sites.lab.status(&site(number));
        let mut nodes = status.at("nodes").items().iter();
        assert!(nodes.all(|node| node.at("name").text() != site(5)), "node {number} has forgotten it");
    }
    let since = Instant::now();
    while since.elapsed() < SECOND {
        assert!(sites.is_whole(&[1, 2, 3, 4]));
        assert!(sites.routes(5).is_empty(), "nobody speaks with it");
    }
    assert_eq!(sites.lab.ping(&laptop(1), &format!("-c 3 -i 0.2 -W 1 {}", address(5))).1, 0);
    assert_eq!(sites.lab.ping(&laptop(5), &format!("-c 3 -i 0.2 -W 1 {}", address(4))).1, 0);
    assert_eq!(sites.lab.ping(&laptop(4), &format!("-c 5 -i 0.01 -W 2 {}", address(1))), (5, 5));
}
