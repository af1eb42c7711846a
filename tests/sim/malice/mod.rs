//! One member that does what it can to hurt: forged, replayed and absurd messages and frames, floods. What it does is counted,
//! and the others' traffic goes on, but for what docs/security.md admits.
//!
//! ```text
//! A --- B --- C --- D     ids 11 to 14; all wires 10 ms
//!        \   /
//!          M
//! ```

#![allow(clippy::type_complexity, clippy::needless_range_loop, reason = "scenes are tables of sites")]

mod announcements;
mod double;
mod floods;
mod frames;
mod revoked;
mod stations;

use std::time::Duration;

use quicap::link::Credentials;
use quicap::mesh::fabric::Counters;
use quicap::mesh::spf::Route;
use quicap::mesh::topology::Topology;
use quicap::node::Node;
use quicap::types::{DropReason, MacAddr};

use self::double::{Double, id, mac};
use crate::members::{Ca, Terms, broadcast, config, frame, name, node, peer};
use crate::world::World;

const SITES: usize = 4;
/// Of the honest nodes; a host with the same last byte in its MAC lives behind each.
const IDS: [u16; SITES] = [11, 12, 13, 14];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
/// The double's usual id.
const M: u16 = 66;
/// D's certificate reserves the address of its host.
const RESERVED: &str = "quicap:mac=02:00:00:00:00:0e";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Scene {
    world: World,
    ca: Ca,
    double: Double,
    credentials: Vec<Credentials>,
    /// Frames that must come out at a site, once each.
    expected: Vec<(usize, Vec<u8>)>,
    pings: u32,
}

/// What a node knows of the honest ones, and what its tables cost.
#[derive(PartialEq, Debug)]
struct View {
    routes: Vec<Option<Route>>,
    announced: Vec<Announced>,
    stations: Vec<(MacAddr, u16)>,
    members: Vec<String>,
    bytes: Vec<(&'static str, usize)>,
}

/// The epoch of a node; of its fragments the number and how many links.
type Announced = (Option<u32>, Vec<(u32, usize)>);

/// Tables whose memory is what they hold, up to a bound.
const BREATHING: [&str; 7] =
    ["held", "member_bytes", "members", "connections", "reassembly", "to_tap", "events"];

impl Scene {
    fn new(seed: u64) -> Self {
        Self::with(seed, M, &[])
    }

    /// The double has that id and these rights.
    fn with(seed: u64, double: u16, rights: &[&str]) -> Self {
        let (mut world, ca) = (World::new(seed), Ca::new());
        world.add_many(SITES);
        let credentials: Vec<_> = (0..SITES).map(|site| credentials(&ca, site)).collect();
        for (site, own) in credentials.iter().enumerate() {
            world.start(site, start(own, site, seed));
        }
        let terms = Terms { rights, ..Terms::default() };
        let own = ca.credentials_for("double", double, None, &terms);
        let double = Double::new(&world, own, &[B, C], seed);
        let mut scene = Self { world, ca, double, credentials, expected: Vec::new(), pings: 0 };
        scene.settle();
        scene
    }

    /// All know all, and where their hosts are.
    fn settle(&mut self) {
        self.until(ms(5000), |scene| scene.double.links_up() == 2 && scene.agree());
        self.double.announce(&mut self.world, &[(IDS[B], 0, 500), (IDS[C], 1, 500)]);
        let (double, all) = (self.double.id(), SITES + 1);
        let knows =
            |node: &Node| node.fabric().topology().len() == all && node.fabric().route(double).is_some();
        self.until(ms(5000), |scene| (0..SITES).all(|site| knows(scene.node(site))) && scene.agree());
        for (site, own) in IDS.iter().enumerate() {
            self.world.send(site, &broadcast(*own as u8, 100));
        }
        self.run(ms(500));
        self.ping();
        self.check("before");
    }

    fn node(&self, site: usize) -> &Node {
        self.world.sites[site].node.as_ref().expect("runs")
    }

    fn topology(&self, site: usize) -> &Topology {
        self.node(site).fabric().topology()
    }

    fn counters(&self, site: usize) -> Counters {
        self.node(site).fabric().counters()
    }

    fn drops(&self, site: usize, reason: DropReason) -> u64 {
        self.world.drops(site, reason)
    }

    fn run(&mut self, time: Duration) {
        self.double.run(&mut self.world, time);
    }

    #[track_caller]
    fn until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.world.now + time;
        while !done(self) {
            assert!(self.world.now < end, "it did not come to pass");
            self.run(ms(5));
        }
    }

    /// All honest nodes have the same database and have no more to say.
    fn agree(&self) -> bool {
        let digest = |site| self.topology(site).digest();
        (0..SITES).all(|site| self.node(site).fabric().is_settled() && digest(site) == digest(0))
    }

    /// Frames from A to D, from D to A, and of both to all.
    fn ping(&mut self) {
        let numbered = |mut frame: Vec<u8>, number: u32| {
            frame[20..24].copy_from_slice(&number.to_be_bytes());
            frame
        };
        for (from, to) in [(A, D), (D, A)] {
            self.pings += 1;
            let unicast = numbered(frame(IDS[to] as u8, IDS[from] as u8, 120), self.pings);
            let to_all = numbered(broadcast(IDS[from] as u8, 110), self.pings);
            self.world.send(from, &unicast);
            self.world.send(from, &to_all);
            self.expected.push((to, unicast));
            let others = (0..SITES).filter(|site| *site != from);
            self.expected.extend(others.map(|site| (site, to_all.clone())));
        }
        self.double.turn(&mut self.world);
    }

    /// All frames that were sent have come, once each.
    #[track_caller]
    fn check(&mut self, when: &str) {
        self.run(ms(300));
        let lost: Vec<usize> = self
            .expected
            .iter()
            .map(|(site, frame)| self.world.sites[*site].frames.iter().filter(|came| *came == frame).count())
            .collect();
        let wrong = lost.iter().filter(|count| **count != 1).count();
        assert_eq!(wrong, 0, "{when}: of {} frames {wrong} did not come, or came again", lost.len());
        self.expected.clear();
        self.world.sites.iter_mut().for_each(|site| site.frames.clear());
    }

    /// Does something bad so often, each time followed by this pause, while others ping each other.
    fn attack(&mut self, times: usize, pause: Duration, mut act: impl FnMut(&mut Double, &mut World, usize)) {
        let mut pinged = self.world.now;
        for n in 0..times {
            act(&mut self.double, &mut self.world, n);
            self.run(pause);
            if self.world.now >= pinged + ms(100) {
                pinged = self.world.now;
                self.ping();
            }
        }
        self.ping();
        self.check("meanwhile");
        self.ping();
        self.check("afterwards");
    }

    fn view(&self, site: usize) -> View {
        let (node, me) = (self.node(site), self.double.id());
        let topology = node.fabric().topology();
        let announced = |own: u16| {
            let fragment = |fragment| {
                let mut buffer = Vec::new();
                topology.lsa(id(own), fragment, &mut buffer).map(|lsa| (lsa.seq, lsa.links.len()))
            };
            (topology.epoch(id(own)), (0..4).filter_map(fragment).collect())
        };
        let owners = node.switch().owners().iter(self.world.now);
        let mut stations: Vec<_> = owners.map(|known| (known.mac, known.owner.value())).collect();
        stations.sort_unstable();
        let members = node.members().iter().filter(|member| member.id != me);
        let tables = node.tables().into_iter();
        View {
            routes: IDS.iter().map(|to| node.fabric().route(id(*to))).collect(),
            announced: IDS.iter().map(|own| announced(*own)).collect(),
            stations,
            members: members.map(|member| member.name.clone()).collect(),
            bytes: tables
                .filter(|table| !BREATHING.contains(&table.name))
                .map(|table| (table.name, table.bytes))
                .collect(),
        }
    }

    fn views(&self) -> Vec<View> {
        (0..SITES).map(|site| self.view(site)).collect()
    }

    /// As [`Scene::attack`]; and what all know of each other is the same as before.
    fn attack_in_vain(
        &mut self,
        times: usize,
        pause: Duration,
        act: impl FnMut(&mut Double, &mut World, usize),
    ) {
        let before = self.views();
        self.attack(times, pause, act);
        assert_eq!(self.views(), before);
        assert!(self.agree());
    }

    /// That node is given a list of revoked certificates, as by `ca revoke` and SIGHUP.
    fn give_list(&mut self, site: usize, crl: &str) {
        let trust = self.ca.credentials_with_crl(&name(site), IDS[site], Some(crl)).trust;
        let credentials = Credentials { trust, ..self.credentials[site].clone() };
        let now = self.world.now;
        let node = self.world.sites[site].node.as_mut().expect("runs");
        node.renew(now, credentials).expect("good credentials");
        self.world.drain(site);
    }

    /// Behind which node each honest node sees that host.
    fn owners(&self, last: u16) -> Vec<Option<u16>> {
        let owner = |site| self.node(site).switch().owners().find(self.world.now, mac(last as u8));
        (0..SITES).map(|site| owner(site).map(|owner| owner.value())).collect()
    }
}

fn credentials(ca: &Ca, site: usize) -> Credentials {
    let rights: &[&str] = if site == D { &[RESERVED] } else { &[] };
    ca.credentials_for(&name(site), IDS[site], None, &Terms { rights, ..Terms::default() })
}

/// Each site dials the one before it.
fn start(
    credentials: &Credentials,
    site: usize,
    seed: u64,
) -> impl FnOnce(std::time::Instant) -> Node + use<> {
    let peers = site.checked_sub(1).map(|before| peer(None, &[World::ip(before)])).into_iter().collect();
    node(config(credentials.clone(), peers, seed + 1000 * site as u64))
}
