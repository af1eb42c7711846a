//! A mesh under test: the topology as it is meant, the world as it is now, and what both say of each other.
//! Breaks and checks nothing. Read first: docs/testing.md, "The mesh on virtual time".

use std::time::{Duration, Instant};

use quicap::link::peer;
use quicap::mesh::fabric::Fabric;
use quicap::mesh::switch;
use quicap::node::{Reload, carrier};
use quicap::types::NodeId;

use super::figures::Figures;
use super::frames::Air;
use super::outages::Outages;
use super::truth::Truth;
use crate::members::{Ca, NOW, config, name, node};
use crate::topology::{Edge, Random, Topology};
use crate::world::{Wire, World};

/// How often a mesh is looked at while it changes.
pub const LOOK: Duration = Duration::from_millis(10);

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn id(site: usize) -> NodeId {
    NodeId::new(site as u16 + 1).expect("an id")
}

pub fn site(id: NodeId) -> usize {
    usize::from(id.value()) - 1
}

/// Numbers of a node's own announcements: its epoch, and of each fragment the last.
type Said = (u32, [u32; 4]);

pub struct Net {
    pub world: World,
    pub topology: Topology,
    pub seed: u64,
    pub random: Random,
    pub outages: Outages,
    pub air: Air,
    pub figures: Figures,
    /// Behind which site each station lives.
    pub stations: Vec<usize>,
    /// Of 1000 datagrams on each wire.
    loss: u32,
    cut: Vec<bool>,
    began: Instant,
    starts: u64,
    /// What happened so far, with the seconds since it began.
    pub history: Vec<(u64, &'static str)>,
    /// What each node said last, and when one of them said something new.
    said: Vec<Said>,
    pub last_said: Instant,
}

impl Net {
    /// Nobody runs yet.
    pub fn new(topology: Topology, seed: u64) -> Self {
        let mut world = World::new(seed);
        world.watches = true;
        topology.build(&mut world, 0);
        let (began, sites) = (world.now, topology.sites);
        Self {
            world,
            seed,
            random: Random::new(seed ^ 0x5EED),
            outages: Outages::default(),
            air: Air::new(began),
            figures: Figures::default(),
            stations: (0..sites).collect(),
            loss: 0,
            cut: vec![false; topology.edges.len()],
            began,
            starts: 0,
            history: Vec::new(),
            said: vec![Said::default(); sites],
            last_said: began,
            topology,
        }
    }

    pub fn remember(&mut self, what: &'static str) {
        self.history.push(((self.world.now - self.began).as_secs(), what));
    }

    pub fn sites(&self) -> usize {
        self.topology.sites
    }

    /// With this epoch. What is drawn is another in each run, as it is in the daemon.
    pub fn start_with(&mut self, site: usize, epoch: u32) {
        let credentials = Ca::standing().standing_credentials(&name(site), site as u16 + 1);
        self.starts += 1;
        let mut config = config(credentials, self.topology.peers(site), self.seed);
        config.links.epoch = epoch;
        config.links.seed[24..].copy_from_slice(&self.starts.to_be_bytes());
        self.world.start(site, node(config));
        self.outages.start(self.world.now, site);
    }

    pub fn unix_s(&self) -> u32 {
        NOW + (self.world.now - self.began).as_secs() as u32
    }

    pub fn start(&mut self, site: usize) {
        self.start_with(site, self.unix_s());
    }

    pub fn kill(&mut self, site: usize) {
        self.outages.kill(self.world.now, site);
        self.world.kill(site);
        self.said[site] = Said::default();
    }

    pub fn runs(&self, site: usize) -> bool {
        self.world.sites[site].node.is_some()
    }

    pub fn fabric(&self, site: usize) -> &Fabric {
        self.world.sites[site].node.as_ref().expect("runs").fabric()
    }

    pub fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.sites()).filter(|site| self.runs(*site))
    }

    fn lay(&mut self, edge: usize) {
        let Edge { ends: [a, b], delay, .. } = self.topology.edges[edge];
        let (loss, cut) = (self.loss, self.cut[edge]);
        self.world.set_wire(a, b, Wire { delay, loss, cut, ..Wire::default() });
    }

    pub fn cut(&mut self, edge: usize) {
        self.outages.cut(self.world.now, self.topology.edges[edge].ends);
        self.cut[edge] = true;
        self.lay(edge);
    }

    pub fn mend(&mut self, edge: usize) {
        self.outages.mend(self.world.now, self.topology.edges[edge].ends);
        self.cut[edge] = false;
        self.lay(edge);
    }

    pub fn stretch(&mut self, edge: usize, delay: Duration) {
        self.topology.edges[edge].delay = delay;
        self.lay(edge);
    }

    pub fn lose(&mut self, loss: u32) {
        self.loss = loss;
        if loss > 0 {
            self.outages.begin_losses(self.world.now);
        } else {
            self.outages.end_losses(self.world.now);
        }
        (0..self.topology.edges.len()).for_each(|edge| self.lay(edge));
    }

    /// Links whose wire is whole and whose ends run.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        let all = self.topology.edges.iter().zip(&self.cut);
        all.filter(|(edge, cut)| !**cut && edge.ends.iter().all(|end| self.runs(*end))).map(|(edge, _)| edge)
    }

    pub fn truth(&self) -> Truth {
        Truth::new(self.sites(), self.edges().map(|edge| (edge.ends, edge.cost())))
    }

    /// The sites that each is in one piece with now: the least of them.
    pub fn pieces(&self) -> Vec<usize> {
        let there: std::collections::BTreeSet<[usize; 2]> = self.edges().map(|edge| edge.ends).collect();
        self.topology.pieces(|edge| there.contains(&edge.ends))
    }

    /// The same, without all that was broken since then.
    pub fn pieces_since(&self, since: Instant) -> Vec<usize> {
        let whole = |edge: &Edge| !self.outages.touch(edge.ends, since, self.world.now);
        self.topology.pieces(whole)
    }

    /// Lets time pass, sends probes if they are due, and sees what nodes say.
    pub fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.launch_probes();
            let left = end - self.world.now;
            self.world.run_for(left.min(LOOK));
            self.collect();
            self.listen();
        }
    }

    /// Runs until `done`; how long it took. `None`: it did not come to pass.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let began = self.world.now;
        while !done(self) {
            if self.world.now >= began + time {
                return None;
            }
            self.run(LOOK);
        }
        Some(self.world.now - began)
    }

    /// The configuration of both ends lacks the other, or has it again.
    pub fn configure(&mut self, edge: usize, is_there: bool) {
        let [a, b] = self.topology.edges[edge].ends;
        for (site, other) in [(a, b), (b, a)] {
            let is_kept = |peer: &peer::Config| is_there || peer.name != Some(name(other));
            let peers = self.topology.peers(site).into_iter().filter(is_kept).collect();
            let now = self.world.now;
            let node = self.world.sites[site].node.as_mut().expect("runs");
            let credentials = node.links().credentials().clone();
            let (switch, carrier) = (switch::Config::default(), carrier::Config::default());
            let change = Reload { credentials, peers, switch, carrier, fast_detect: false };
            node.reload(now, change).expect("is taken");
            self.world.drain(site);
        }
    }

    fn listen(&mut self) {
        for site in 0..self.sites() {
            if !self.runs(site) {
                continue;
            }
            let topology = self.fabric(site).topology();
            let mut said = (self.fabric(site).epoch(), [0; 4]);
            for (fragment, seq) in (0..).zip(&mut said.1) {
                *seq = topology.lsa(id(site), fragment, &mut Vec::new()).map_or(0, |lsa| lsa.seq);
            }
            if self.said[site] != said {
                (self.said[site], self.last_said) = (said, self.world.now);
            }
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("so far, by seconds: {:?}", self.history);
        }
    }
}
