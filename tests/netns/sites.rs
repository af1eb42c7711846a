//! Any number of sites, and wires of their own between any two of them.
//!
//! ```text
//!   ln1 --- br-lan(n1)quicap0   n1 w12 --- net: impair --- w12 n2   quicap0(n2)br-lan --- ln2
//!   10.77.0.1                   198.18.12.1         198.18.12.2                     10.77.0.2
//! ```
//!
//! The five that most tests use, milliseconds one way; from 1 to 5 it is 32 by 2 and 4, 38 by 3:
//!
//! ```text
//!        10 - 2 - 12 - 4 - 10
//!   1 --<     |15      |8     >-- 5
//!        20 - 3 ------/ \
//!              `------ 18 ----'
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use quicap::cli::demo::json::Json;

use crate::lab::{self, Lab, Options};
use crate::machine;
use crate::wire::{Traffic, Wire};

/// For all nodes to know the costs of links: one that was measured too high at first, on a busy machine, is told again
/// when there were others for 10 seconds, and as late again if it happens again.
pub const SETTLES: Duration = Duration::from_secs(60);

/// A wire to be laid.
#[derive(Clone, Copy)]
pub struct Span {
    pub ends: (usize, usize),
    /// One way.
    pub ms: u64,
    pub dials: Dials,
}

/// Who has whom as a peer in its file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dials {
    Both,
    /// The first of the two ends; the other one waits.
    First,
}

pub const fn span(a: usize, b: usize, ms: u64) -> Span {
    Span { ends: (a, b), ms, dials: Dials::Both }
}

pub const FIVE: [Span; 7] = [
    span(1, 2, 10),
    span(2, 3, 15),
    span(1, 3, 20),
    span(2, 4, 12),
    span(3, 4, 8),
    span(3, 5, 18),
    span(4, 5, 10),
];

pub struct Sites {
    pub lab: Lab,
    pub count: usize,
    wires: Vec<(Span, Wire)>,
}

/// How one node reaches another, as its status says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    pub to: String,
    pub via: String,
    /// The nodes on the way, the end the last.
    pub path: Vec<String>,
    pub cost_us: u64,
}

pub fn site(number: usize) -> String {
    format!("n{number}")
}

pub fn laptop(number: usize) -> String {
    format!("ln{number}")
}

/// Of a site.
fn number(site: &str) -> usize {
    site.trim_start_matches('n').parse().unwrap()
}

/// Of a laptop.
pub fn address(number: usize) -> String {
    format!("10.77.0.{number}")
}

impl Sites {
    /// Wired and with certificates and configuration; no daemon runs. `None`, after saying why: this machine cannot have
    /// them.
    pub fn build(count: usize, spans: &[Span], options: Options<'_>) -> Option<Self> {
        if !machine::have(&["cc", "ethtool"]) {
            return None;
        }
        let mut lab = Lab::open()?;
        lab.add_namespace("net");
        for number in 1..=count {
            lab.add_namespace(&site(number));
            // The routers' own multicasts would be counted with those of the laptops.
            let quiet = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1";
            lab.ok(&format!("ip netns exec @{} sysctl -qw {quiet}", site(number)));
            lab.build_site(&site(number), number as u32);
        }
        let wires = spans.iter().map(|span| (*span, lay(&lab, span))).collect();
        lab.ok("quicap ca init --dir ca --network home");
        for number in 1..=count {
            lab.join(&site(number));
            let peers: Vec<_> = spans.iter().filter_map(|span| peer(span, number)).collect();
            let peers: Vec<_> =
                peers.iter().map(|(name, endpoint)| (name.as_str(), endpoint.as_str())).collect();
            lab.configure_peers(&site(number), options, &peers);
        }
        Some(Self { lab, count, wires })
    }

    /// The five, each known to all, and the shortest path leads from 1 to 5 and back.
    pub fn five(options: Options<'_>) -> Option<Self> {
        let mut sites = Self::build(5, &FIVE, options)?;
        (1..=5).for_each(|number| sites.start(number));
        sites.wait_whole(&[1, 2, 3, 4, 5], lab::SOON);
        sites.wait_shortest(&[(1, 5), (5, 1)]);
        Some(sites)
    }

    pub fn start(&mut self, number: usize) {
        self.lab.start(&site(number));
    }

    /// All nodes agree on the tree of the broadcasts of one: each `(node, children)` of it, and no other has children there.
    /// The tree before it is gone by then.
    pub fn wait_tree(&self, root: usize, tree: &[(usize, &[usize])]) {
        const OLD_TREE: Duration = Duration::from_secs(1);
        let is_meant = |number: usize| {
            let wanted =
                tree.iter().find(|(node, _)| *node == number).map_or(&[][..], |(_, children)| children);
            self.children(number, root) == wanted.iter().map(|child| site(*child)).collect::<Vec<_>>()
        };
        let mut since = Instant::now();
        lab::until(SETTLES, &format!("the tree of {root} is {tree:?}"), || {
            if !(1..=self.count).all(is_meant) {
                since = Instant::now();
            }
            since.elapsed() > OLD_TREE
        });
    }

    /// The neighbors that a node hands the broadcasts of `root` on to.
    fn children(&self, number: usize, root: usize) -> Vec<String> {
        if number == root {
            let ends = self.routes(root).into_iter().filter(|route| route.path.len() == 1);
            return ends.map(|route| route.to).collect();
        }
        let status = self.lab.status(&site(number));
        let mut nodes = status.at("nodes").items().iter();
        let root = nodes.find(|node| node.at("name").text() == site(root));
        let children = root.map(|node| node.at("children").items()).unwrap_or_default();
        children.iter().map(|child| child.text().to_owned()).collect()
    }

    pub fn wire(&mut self, a: usize, b: usize) -> &mut Wire {
        let found = self.wires.iter_mut().find(|(span, _)| span.ends == (a, b));
        &mut found.unwrap_or_else(|| panic!("no wire from {a} to {b}")).1
    }

    /// What crossed each wire so far.
    pub fn traffic(&mut self) -> Vec<((usize, usize), Traffic)> {
        self.wires.iter_mut().map(|(span, wire)| (span.ends, wire.traffic())).collect()
    }

    /// Laptops that say nothing unless asked.
    pub fn hush(&self) {
        for number in 1..=self.count {
            let quiet = "net.ipv6.conf.all.disable_ipv6=1";
            self.lab.ok(&format!("ip netns exec @{} sysctl -qw {quiet}", laptop(number)));
        }
    }

    pub fn counter(&self, number: usize, path: &str) -> u64 {
        let status = self.lab.status(&site(number));
        status.at(path).number().unwrap_or_else(|| panic!("{path} of {}", site(number))) as u64
    }

    /// All other nodes that a node can reach.
    pub fn routes(&self, from: usize) -> Vec<Route> {
        let status = self.lab.status(&site(from));
        let reached = status.at("nodes").items().iter().filter(|node| node.at("hops").number() != Some(0.0));
        let route = |node: &Json| Route {
            to: node.at("name").text().to_owned(),
            via: node.at("via").text().to_owned(),
            path: node.at("path").items().iter().map(|name| name.text().to_owned()).collect(),
            cost_us: node.at("cost_us").number().unwrap() as u64,
        };
        reached.map(route).collect()
    }

    pub fn route(&self, from: usize, to: usize) -> Option<Route> {
        self.routes(from).into_iter().find(|route| route.to == site(to))
    }

    /// Whether each of these nodes can reach exactly the others of them.
    pub fn is_whole(&self, members: &[usize]) -> bool {
        members.iter().all(|from| {
            let known: BTreeSet<String> = self.routes(*from).into_iter().map(|route| route.to).collect();
            known == members.iter().filter(|to| *to != from).map(|to| site(*to)).collect()
        })
    }

    /// Waits until each of these nodes can reach exactly the others of them, and says how long that took.
    pub fn wait_whole(&mut self, members: &[usize], limit: Duration) -> Duration {
        lab::until(limit, &format!("{members:?} can reach each other"), || self.is_whole(members))
    }

    /// Waits until these nodes reach those by the shortest paths that the wires give, and says how long that took.
    pub fn wait_shortest(&mut self, pairs: &[(usize, usize)]) -> Duration {
        let spans: Vec<Span> = self.wires.iter().map(|(span, _)| *span).collect();
        let far = distances(self.count, &spans);
        let is_short = |from: usize, to: usize| {
            let via = self.route(from, to).map(|route| number(&route.via));
            via.is_some_and(|via| far[from][via] + far[via][to] == far[from][to])
        };
        lab::until(SETTLES, &format!("the paths of {pairs:?} are the shortest"), || {
            pairs.iter().all(|(from, to)| is_short(*from, *to))
        })
    }
}

/// Milliseconds one way between any two.
fn distances(count: usize, spans: &[Span]) -> Vec<Vec<u64>> {
    const FAR: u64 = u64::MAX / 2;
    let mut far = vec![vec![FAR; count + 1]; count + 1];
    (1..=count).for_each(|own| far[own][own] = 0);
    for Span { ends: (a, b), ms, .. } in spans {
        (far[*a][*b], far[*b][*a]) = (*ms, *ms);
    }
    for via in 1..=count {
        for from in 1..=count {
            for to in 1..=count {
                far[from][to] = far[from][to].min(far[from][via] + far[via][to]);
            }
        }
    }
    far
}

fn lay(lab: &Lab, span: &Span) -> Wire {
    let (a, b) = span.ends;
    let ends = [(site(a), a), (site(b), b)];
    let [x, y] = &ends;
    let ends = [(x.0.as_str(), x.1), (y.0.as_str(), y.1)];
    Wire::lay(lab, &format!("w{a}{b}"), &network(span), ends, &format!("delay={}", span.ms))
}

fn network(span: &Span) -> String {
    format!("198.18.{}{}", span.ends.0, span.ends.1)
}

/// Name and endpoint of the node at the other end, if this one dials it.
fn peer(span: &Span, number: usize) -> Option<(String, String)> {
    let (a, b) = span.ends;
    let other = match number {
        _ if number == a => b,
        _ if number == b && span.dials == Dials::Both => a,
        _ => return None,
    };
    Some((site(other), format!("{}.{other}:443", network(span))))
}
