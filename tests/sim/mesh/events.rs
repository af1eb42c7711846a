//! What happens to a mesh: each event is a scene, watched by probes until all know the same again, and then judged.
//! Read first: docs/testing.md, "The mesh on virtual time".

use std::collections::BTreeSet;
use std::time::Duration;

use super::frames::Pace;
use super::net::{LOOK, Net, ms, seconds};

/// So long after the last change a mesh may take to be whole: dialing pauses for up to 30 s, and who failed often is told of
/// up to 60 s later.
const PATIENCE: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Link,
    Node,
    Partition,
    Flapping,
    Wire,
    Station,
    Loss,
    Restart,
    Reload,
    Join,
}

pub const ALL: [Event; 10] = [
    Event::Link,
    Event::Node,
    Event::Partition,
    Event::Flapping,
    Event::Wire,
    Event::Station,
    Event::Loss,
    Event::Restart,
    Event::Reload,
    Event::Join,
];

/// What a loss of frames after detection means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    Yes,
    /// Several links fail at once: ways round the one may lead over the other.
    No,
}

/// What a node may have to learn of where stations are.
const NEWS: [&str; 7] = [
    "a node comes back",
    "the parts heal",
    "a station moves",
    "a restart with a clock behind",
    "a restart in the same second",
    "a restart 256 seconds later",
    "a node joins",
];

impl Net {
    /// All but one node start within two seconds; that one joins later.
    pub fn begin(&mut self) {
        self.air.pace = Pace::default();
        let late = self.sites() - 1;
        self.outages.kill(self.world.now, late);
        let pause = Duration::from_secs(2) / self.sites() as u32;
        for site in 0..late {
            self.start(site);
            self.run(pause);
        }
        self.settle("start");
        self.greet();
        self.check_views();
        self.check_frames();
        self.wait_for_costs("costs after the start");
    }

    /// Frames follow each other in these times, or so many times slower.
    fn probing(&self, slow: u64) -> Pace {
        let crowd = self.sites() as u64 / 50;
        Pace { unicast: Some(ms(10 * slow)), broadcast: Some(ms((20 + crowd * 20) * slow)) }
    }

    /// Waits until all know the same.
    fn settle(&mut self, what: &'static str) {
        let (began, fast) = (self.world.now, self.world.now + seconds(3));
        while !self.is_whole() {
            assert!(self.world.now < began + PATIENCE, "{what}: not whole: {}", self.describe());
            if self.air.pace.unicast.is_some() {
                self.air.pace = self.probing(if self.world.now < fast { 1 } else { 20 });
            }
            self.run(LOOK);
        }
        self.figures.took(what, self.world.now - began);
        if self.last_said > began {
            let spread = self.world.now - self.last_said;
            let trees = self.running().map(|site| self.truth().tree(site).depth());
            let allowed = trees.max().unwrap_or(0) as f64 / 10.0 + 200.0;
            self.figures.spread.add(spread.as_secs_f64() * 1000.0);
            self.figures.share.add(spread.as_secs_f64() * 1000.0 / allowed);
            // Where all begin at once the budget of each neighbor binds: 200 messages in a second.
            let is_right = what == "start" || spread.as_secs_f64() * 1000.0 <= allowed;
            assert!(is_right, "{what}: {spread:?} of {allowed} ms");
        }
    }

    pub fn wait_for_costs(&mut self, what: &'static str) {
        if self.air.pace.unicast.is_some() {
            self.air.pace = self.probing(20);
        }
        let took = self.run_until(seconds(240), |net| net.is_whole() && net.costs_are_right());
        self.figures
            .took(what, took.unwrap_or_else(|| panic!("{what}: costs stay wrong: {}", self.tell_costs())));
        self.run(ms(1200));
    }

    /// Something happens, which may take its time.
    fn scene(&mut self, what: &'static str, strict: Strict, act: impl FnOnce(&mut Self)) {
        self.air.clear();
        self.remember(what);
        let began = self.world.now;
        self.air.pace = self.probing(1);
        act(self);
        self.settle(what);
        self.air.pace = self.probing(20);
        self.run(ms(1500));
        self.air.pace = Pace::default();
        self.run(seconds(1));
        self.judge(what, began, strict == Strict::Yes);
        if NEWS.contains(&what) {
            self.greet();
        }
        self.check_views();
        self.check_frames();
    }

    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Link => self.link(),
            Event::Node => self.node(),
            Event::Partition => self.partition(),
            Event::Flapping => self.flapping(),
            Event::Wire => self.wire(),
            Event::Station => self.station(),
            Event::Loss => self.loss(),
            Event::Restart => self.restart(),
            Event::Reload => self.reload(),
            Event::Join => self.join(),
        }
    }

    /// A wire between two sites that run.
    fn any_edge(&mut self) -> usize {
        loop {
            let edge = self.random.below(self.topology.edges.len());
            if self.topology.edges[edge].ends.iter().all(|end| self.runs(*end)) {
                return edge;
            }
        }
    }

    fn any_site(&mut self) -> usize {
        loop {
            let site = self.random.below(self.sites());
            if self.runs(site) {
                return site;
            }
        }
    }

    fn link(&mut self) {
        let edge = self.any_edge();
        self.scene("a wire is cut", Strict::Yes, |net| net.cut(edge));
        self.scene("a wire is whole again", Strict::Yes, |net| net.mend(edge));
    }

    fn node(&mut self) {
        let site = self.any_site();
        self.scene("a node dies", Strict::Yes, |net| net.kill(site));
        self.scene("a node comes back", Strict::Yes, |net| net.start(site));
    }

    /// Apart is what is nearest to some site, up to half of all.
    fn partition(&mut self) {
        let first = self.any_site();
        let (mut near, size) = (vec![first], 1 + self.random.below(self.sites() / 2));
        for place in 0.. {
            if near.len() >= size || place >= near.len() {
                break;
            }
            let others: Vec<usize> = self.topology.edges_of(near[place]).map(|(_, other)| other).collect();
            others.into_iter().for_each(|other| {
                if !near.contains(&other) {
                    near.push(other)
                }
            });
        }
        let near: BTreeSet<usize> = near.into_iter().take(size).collect();
        let parts = |ends: &[usize; 2]| near.contains(&ends[0]) != near.contains(&ends[1]);
        let edges = self.topology.edges.iter().enumerate().filter(|(_, edge)| parts(&edge.ends));
        let apart: Vec<usize> = edges.map(|(place, _)| place).collect();
        self.scene("a part is cut off", Strict::No, |net| apart.iter().for_each(|edge| net.cut(*edge)));
        self.emigrate(&near);
        self.scene("the parts heal", Strict::No, |net| apart.iter().for_each(|edge| net.mend(*edge)));
    }

    /// A station from there and one from elsewhere change places, and say so where each can be heard then.
    fn emigrate(&mut self, near: &BTreeSet<usize>) {
        let (one, other) = self.any_two();
        let homes = [self.stations[one], self.stations[other]];
        if near.contains(&homes[0]) != near.contains(&homes[1]) {
            (self.stations[one], self.stations[other]) = (homes[1], homes[0]);
            self.air.clear();
            self.send(one, None);
            self.send(other, None);
            self.run(seconds(1));
        }
    }

    fn flapping(&mut self) {
        let edge = self.any_edge();
        self.scene("a wire flaps", Strict::Yes, |net| {
            net.air.pace = net.probing(4);
            for _ in 0..5 {
                net.cut(edge);
                let down = net.random.below(2000) as u64;
                net.run(ms(200 + down));
                net.mend(edge);
                let up = net.random.below(3000) as u64;
                net.run(ms(500 + up));
            }
        });
    }

    /// A wire becomes longer, others know, and it is what it was.
    fn wire(&mut self) {
        let edge = self.any_edge();
        let delay = self.topology.edges[edge].delay;
        self.scene("a wire is longer", Strict::Yes, |net| {
            net.stretch(edge, delay * 3 + ms(5));
            net.run(seconds(3));
            net.wait_for_costs("the longer wire is known");
        });
        self.scene("a wire is as before", Strict::Yes, |net| {
            net.stretch(edge, delay);
            net.run(seconds(3));
            net.wait_for_costs("the shorter wire is known");
        });
    }

    /// A station goes elsewhere and says so by a frame to another one.
    fn station(&mut self) {
        let pieces = self.pieces();
        let (station, other) = self.any_two();
        let home = self.stations[station];
        let near: Vec<usize> =
            self.running().filter(|site| *site != home && pieces[*site] == pieces[home]).collect();
        let Some(to) = near.get(self.random.below(near.len())).copied() else { return };
        self.scene("a station moves", Strict::Yes, |net| {
            net.stations[station] = to;
            if net.stations[other] != to {
                net.send(station, Some(other));
            } else {
                net.send(station, None);
            }
        });
        self.air.clear();
        for _ in 0..10 {
            let from = self.any_station();
            let place = self.stations[from];
            if place != to && pieces[place] == pieces[to] {
                self.send(from, Some(station));
            }
        }
        self.run(seconds(1));
        self.check_homes("after a move");
    }

    fn loss(&mut self) {
        let loss = 10 + self.random.below(90) as u32;
        self.scene("wires lose up to a tenth", Strict::No, |net| {
            net.air.pace = net.probing(8);
            net.lose(loss);
            net.run(seconds(20));
            net.lose(0);
        });
    }

    /// A node that is gone for less than anybody notices, with a clock that is behind that of its earlier run, shows the same, or
    /// leads to an epoch that is told apart by its high bytes only.
    fn restart(&mut self) {
        let site = self.any_site();
        let epoch = self.fabric(site).epoch();
        let (what, begins) = match self.random.below(4) {
            0 => ("a restart in the same second", epoch),
            1 => ("a restart 256 seconds later", epoch + 256),
            _ => ("a restart with a clock behind", self.unix_s() - 100_000),
        };
        self.scene(what, Strict::Yes, |net| {
            net.kill(site);
            net.start_with(site, begins);
        });
        assert!(self.fabric(site).epoch() > epoch, "it took an epoch above that of its earlier run");
    }

    /// Both ends of a link do without it for a while, or for no time at all.
    fn reload(&mut self) {
        let edge = self.any_edge();
        let pause = [0, 0, 100, 3000][self.random.below(4)];
        self.scene("a peer is removed and added", Strict::Yes, |net| {
            net.outages.cut(net.world.now, net.topology.edges[edge].ends);
            net.configure(edge, false);
            net.run(ms(pause));
            net.configure(edge, true);
            net.outages.mend(net.world.now, net.topology.edges[edge].ends);
        });
    }

    fn join(&mut self) {
        let late = self.sites() - 1;
        if !self.runs(late) {
            self.scene("a node joins", Strict::Yes, |net| net.start(late));
        }
    }

    /// Traffic of an idle mesh, and what events cost beyond it within a minute.
    pub fn measure_bytes(&mut self) {
        let (edge, site) = (self.any_edge(), self.any_site());
        self.wait_for_costs("costs");
        self.air.pace = Pace::default();
        let minute = |net: &mut Self| {
            let before = net.world.bytes;
            net.run(seconds(60));
            (net.world.bytes - before) as f64 / net.running().count() as f64
        };
        self.run(seconds(60));
        let quiet = minute(self);
        self.figures.quiet.add(quiet / 60.0);
        type Act = fn(&mut Net, usize);
        let acts: [(&'static str, usize, Act); 4] = [
            ("a wire is cut", edge, Net::cut),
            ("a wire is whole again", edge, Net::mend),
            ("a node dies", site, Net::kill),
            ("a node comes back", site, Net::start),
        ];
        for (what, place, act) in acts {
            act(self, place);
            let bytes = minute(self) - quiet;
            self.figures.bytes.entry(what).or_default().add(bytes);
        }
    }

    /// Who does not know what, for people.
    fn describe(&self) -> String {
        let mut text = format!("pieces {:?};", self.parts());
        for site in self.running() {
            let fabric = self.fabric(site);
            let up = self.world.links_up(site);
            let links = self.edges().filter(|edge| edge.other(site).is_some()).count();
            text += &format!(
                "\n{site}: settled {}, digest {:x}, {up} links up of {links}, {} joints, reaches {}",
                fabric.is_settled(),
                fabric.topology().digest(),
                fabric.joints().count(),
                self.running().filter(|other| fabric.reaches(super::net::id(*other))).count()
            );
        }
        text
    }
}
