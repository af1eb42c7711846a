//! What must hold: of all frames of a scene at any time, and of what all nodes know once the mesh is quiet.
//! Read first: docs/testing.md, "The mesh on virtual time".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use quicap::types::MacAddr;

use super::figures::Frames;
use super::frames::mac;
use super::net::{Net, id, ms, site};
use super::probe::{Probe, Seen};
use super::truth::{Tree, Truth};
use crate::topology::Edge;

impl Net {
    /// The sites that run, piece by piece.
    pub fn parts(&self) -> Vec<Vec<usize>> {
        let pieces = self.pieces();
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        self.running().for_each(|site| parts.entry(pieces[site]).or_default().push(site));
        parts.into_values().collect()
    }

    /// In each piece all know the same and have no more to say, and their graph is that of the wires. Costs may be off.
    pub fn is_whole(&self) -> bool {
        if !self.running().all(|site| self.fabric(site).is_settled()) {
            return false;
        }
        let mut wires = vec![0; self.sites()];
        let pieces = self.pieces();
        self.edges().for_each(|edge| wires[pieces[edge.ends[0]]] += 1);
        self.parts().iter().all(|part| {
            let digest = self.fabric(part[0]).topology().digest();
            part.iter().all(|site| {
                let fabric = self.fabric(*site);
                let reached = self.running().filter(|other| fabric.reaches(id(*other))).count();
                let is_here = |id| pieces[super::net::site(id)] == part[0];
                let known = fabric.joints().filter(|joint| is_here(joint.ends.0) || is_here(joint.ends.1));
                fabric.topology().digest() == digest
                    && reached == part.len()
                    && known.count() == wires[part[0]]
            })
        })
    }

    /// Costs of links as nodes tell them, and as they are, 0.1 ms.
    pub fn costs(&self) -> Vec<(u32, u32)> {
        let costs = |edge: &Edge| {
            let [a, b] = [edge.ends[0].min(edge.ends[1]), edge.ends[0].max(edge.ends[1])];
            let told = self.fabric(a).joints().find(|joint| joint.ends == (id(a), id(b)))?.cost;
            Some((told, edge.cost()))
        };
        self.edges().filter_map(costs).collect()
    }

    /// No cost differs from the truth by more than what a node keeps to itself, 2 ms or a fifth; 1 ms is for the measuring.
    pub fn costs_are_right(&self) -> bool {
        self.costs().iter().all(|(told, is)| told.abs_diff(*is) <= (told / 5).max(20) + 10)
    }

    /// Wrong costs, as both ends have told and heard them, for people.
    pub fn tell_costs(&self) -> String {
        let mut text = String::new();
        for edge in self.edges() {
            for (a, b) in [(edge.ends[0], edge.ends[1]), (edge.ends[1], edge.ends[0])] {
                let Some((_, own)) = self.fabric(a).neighbors().find(id(b)) else { continue };
                if u32::from(own.cost.of_both()).abs_diff(edge.cost()) > 20 {
                    text += &format!(" {a} to {b}: {:?} of {};", own.cost, edge.cost());
                }
            }
        }
        text
    }

    /// Of each piece: graph, paths and trees are the same everywhere, and those that our own search finds.
    pub fn check_views(&mut self) {
        let truth = self.truth();
        for part in self.parts() {
            self.check_graph(&part);
            let joints = self.fabric(part[0]).joints();
            let told = joints.map(|joint| ([site(joint.ends.0), site(joint.ends.1)], joint.cost));
            let told = Truth::new(self.sites(), told);
            for origin in &part {
                self.check_tree(&part, *origin, &told.tree(*origin));
            }
        }
        let off = self.costs().iter().map(|(told, is)| told.abs_diff(*is)).max().unwrap_or(0);
        self.figures.costs_off.add(f64::from(off) / 10.0);
        self.measure_paths(&truth);
    }

    fn check_graph(&self, part: &[usize]) {
        let of_part = |ends: &[usize; 2]| part.contains(&ends[0]) || part.contains(&ends[1]);
        let mut wires: Vec<[usize; 2]> = self.edges().map(|edge| edge.ends).filter(of_part).collect();
        wires.iter_mut().for_each(|ends| ends.sort_unstable());
        wires.sort_unstable();
        let all = |at: usize| -> Vec<_> {
            let joints = self.fabric(at).joints();
            let known = joints.map(|joint| ([site(joint.ends.0), site(joint.ends.1)], joint.cost));
            known.filter(|(ends, _)| of_part(ends)).collect()
        };
        let first = all(part[0]);
        assert_eq!(first.iter().map(|(ends, _)| *ends).collect::<Vec<_>>(), wires, "links");
        part.iter().for_each(|at| assert_eq!(all(*at), first, "costs as site {at} knows them"));
    }

    fn check_tree(&self, part: &[usize], origin: usize, tree: &Tree) {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.sites()];
        for at in part {
            if let Some(parent) = tree.before[*at] {
                children[parent].push(*at);
            }
        }
        for at in part {
            let fabric = self.fabric(*at);
            let parent = fabric.parent(id(origin)).map(site);
            assert_eq!(parent, tree.before[*at], "the parent of {at} for what {origin} sends");
            let mut handed: Vec<usize> = fabric.children(id(origin)).map(site).collect();
            handed.sort_unstable();
            assert_eq!(handed, children[*at], "the children of {at} for what {origin} sends");
        }
        for to in part.iter().filter(|to| **to != origin) {
            let way = self.fabric(origin).way(id(*to)).expect("a way");
            let path: Vec<usize> = way.path.into_iter().map(site).collect();
            assert_eq!(path, tree.path(*to)[1..], "the way from {origin} to {to}");
        }
    }

    /// How long paths are, of the shortest.
    fn measure_paths(&mut self, truth: &Truth) {
        let costs: BTreeMap<[usize; 2], u32> = self
            .edges()
            .flat_map(|edge| [edge.ends, [edge.ends[1], edge.ends[0]]].map(|ends| (ends, edge.cost())))
            .collect();
        for part in self.parts() {
            for origin in &part {
                let tree = truth.tree(*origin);
                for to in part.iter().filter(|to| *to != origin) {
                    let way = self.fabric(*origin).way(id(*to)).expect("a way").path;
                    let sites: Vec<usize> =
                        std::iter::once(*origin).chain(way.into_iter().map(site)).collect();
                    let length: u32 = sites.windows(2).map(|pair| costs[&[pair[0], pair[1]]]).sum();
                    let shortest = tree.cost(*to).expect("reached");
                    self.figures.stretch.add(f64::from(length) / f64::from(shortest));
                }
            }
        }
    }

    /// Every station says something; after that all know where it is.
    pub fn greet(&mut self) {
        for station in 0..self.stations.len() {
            if self.runs(self.stations[station]) {
                self.send(station, None);
            }
        }
        self.run(ms(1500));
        for part in self.parts() {
            for at in &part {
                let owners = self.world.sites[*at].node.as_ref().expect("runs").switch().owners();
                for (station, home) in
                    self.stations.iter().enumerate().filter(|(_, home)| part.contains(home))
                {
                    let owner = owners.find(self.world.now, MacAddr(mac(station)));
                    assert_eq!(owner, Some(id(*home)), "of station {station}, as site {at} knows");
                }
            }
        }
    }

    /// In a quiet mesh a broadcast takes one copy for each other node, and a frame the way that its node says.
    pub fn check_frames(&mut self) {
        self.air.clear();
        let pairs: Vec<_> = (0..20).map(|_| self.any_two()).collect();
        let pieces = self.pieces();
        let sizes: BTreeMap<usize, usize> = self.parts().iter().map(|part| (part[0], part.len())).collect();
        let mut expected = Vec::new();
        for (from, to) in pairs {
            let (a, b) = (self.stations[from], self.stations[to]);
            let way = self.fabric(a).way(id(b)).map(|way| way.path.into_iter().map(site).collect::<Vec<_>>());
            expected.push((self.send(from, None), None, sizes[&pieces[a]] - 1));
            if pieces[a] == pieces[b] {
                let hops = way.as_ref().map_or(0, Vec::len);
                expected.push((self.send(from, Some(to)), way, hops));
            }
        }
        self.run(ms(1000));
        for (number, way, copies) in expected {
            let probe = &self.air.probes[number];
            let seen = probe.seen.len();
            let took: Vec<usize> = probe.seen.iter().map(|seen| seen.to).collect();
            assert_eq!(seen, copies, "copies of a frame {}", probe.tell());
            match way {
                Some(way) => assert_eq!(took, way, "the way of a frame {}", probe.tell()),
                None => {
                    assert_eq!(probe.arrived.len(), copies, "a broadcast {}", probe.tell());
                    if copies > 0 {
                        self.figures.copies.add(seen as f64 / copies as f64);
                    }
                }
            }
        }
    }

    /// All frames of the scene: each is checked, and those that did not arrive where they must are counted.
    pub fn judge(&mut self, what: &'static str, since: Instant, is_strict: bool) {
        let pieces = self.pieces_since(since);
        let broken: BTreeSet<usize> = (0..self.sites())
            .filter(|site| self.outages.touch([*site, usize::MAX], since, self.world.now))
            .collect();
        let mut frames = Frames::default();
        for probe in &self.air.probes {
            if let Err(why) = probe.check() {
                panic!("{what}: {why}: a frame {}", probe.tell());
            }
            if broken.contains(&probe.from) {
                continue;
            }
            for to in self.must_reach(probe, &pieces, &broken) {
                frames.expected += 1;
                if probe.arrived.contains(&to) {
                    continue;
                }
                if self.was_unlucky(probe, since) {
                    frames.before += 1;
                    continue;
                }
                frames.after += 1;
                assert!(!is_strict, "{what}: {to} did not get a frame {}", probe.tell());
            }
        }
        self.figures.count(what, frames);
        self.air.clear();
    }

    /// Sites that hang together with its origin whatever was broken in the scene.
    fn must_reach(&self, probe: &Probe, pieces: &[usize], broken: &BTreeSet<usize>) -> Vec<usize> {
        let is_near = |site: &usize| pieces[*site] == pieces[probe.from] && !broken.contains(site);
        match probe.to {
            // It may have moved while the frame was on its way.
            Some(station) => {
                let home = probe.arrived.first().copied().unwrap_or(self.stations[station]);
                Some(home).into_iter().filter(is_near).collect()
            }
            None => (0..self.sites()).filter(|site| *site != probe.from).filter(is_near).collect(),
        }
    }

    /// A copy went out on a link that its sender took for one that carries, and was lost there, or met nobody: of two that a cut has
    /// parted one may have given the link up; the other, if it had nothing to send meanwhile, learns that by its first datagram. Or its route was made of slots of
    /// an earlier run of a node, which the sender had not heard the end of.
    fn was_unlucky(&self, probe: &Probe, since: Instant) -> bool {
        let is_lost = |seen: &Seen| {
            let wire = self.topology.edges.iter().find(|edge| edge.other(seen.from) == Some(seen.to));
            let arrives = seen.at + wire.map_or(ms(0), |edge| edge.delay);
            let swallowed = || self.outages.swallow([seen.from, seen.to], seen.at, arrives);
            seen.is_alive && (!seen.is_met || swallowed())
        };
        probe.seen.iter().any(is_lost) || probe.way.iter().any(|site| self.outages.restarts(*site, since))
    }

    /// Where frames to a station come out: at its home, wherever they were sent.
    pub fn check_homes(&self, when: &str) {
        for probe in self.air.probes.iter().filter(|probe| !probe.is_flooded()) {
            let home = probe.to.map(|station| self.stations[station]);
            let strays = probe.arrived.iter().any(|at| Some(*at) != home);
            assert!(!strays, "{when}: not at {home:?}: a frame {}", probe.tell());
        }
    }
}
