//! A node's fabric, members and switch without links: what its neighbors would tell it is handed to it.

use std::time::{Duration, Instant};

use quicap::link::Credentials;
use quicap::mesh::fabric::{Config, Fabric};
use quicap::mesh::graph::Transit;
use quicap::mesh::signature::{Form, Registry, Sign};
use quicap::mesh::switch::{self, Permit, Switch};
use quicap::node::members::Members;
use quicap::pki::clock::WallClock;
use quicap::types::{LinkId, NodeId};
use quicap::wire::announce::{FRAGMENT_LINKS, Link, Lsa};
use quicap::wire::control::{self, Message, Next};
use quicap::wire::list::List;

use crate::members::{Ca, NOW, name};
use crate::topology::Topology;

pub const EPOCH: u32 = 1000;

pub fn id(site: usize) -> NodeId {
    NodeId::new(site as u16 + 1).expect("an id")
}

pub fn credentials(ca: &Ca, site: usize) -> Credentials {
    ca.credentials(&name(site), site as u16 + 1)
}

/// The links of a site as it announces them, each on the slot of its place.
pub fn links(topology: &Topology, site: usize) -> Vec<Link> {
    let ends = topology.edges_of(site).enumerate();
    ends.map(|(slot, (edge, to))| Link { to: id(to), slot: slot as u8, cost: edge.cost() as u16 }).collect()
}

/// What a node signs.
pub struct Speaker {
    pub id: NodeId,
    members: Members,
}

impl Speaker {
    pub fn new(ca: &Ca, site: usize) -> Self {
        let mut members = Members::new(credentials(ca, site), WallClock::new(NOW, true));
        members.announce(EPOCH, 1);
        Self { id: id(site), members }
    }

    /// Its NODE with the whole chain.
    pub fn node(&self) -> Vec<u8> {
        let mut message = Vec::new();
        assert!(self.members.emit(self.id, Form::Whole, &mut message));
        message
    }

    /// Its LSAs, one for each fragment that has links.
    pub fn lsas(&self, seq: u32, links: &[Link]) -> Vec<Vec<u8>> {
        let of_one = |a: &Link, b: &Link| a.slot / FRAGMENT_LINKS == b.slot / FRAGMENT_LINKS;
        links.chunk_by(of_one).map(|links| self.lsa(seq, links)).collect()
    }

    fn lsa(&self, seq: u32, links: &[Link]) -> Vec<u8> {
        let (mut rows, mut body, mut message) = (Vec::new(), Vec::new(), Vec::new());
        let mut lsa = Lsa {
            id: self.id,
            epoch: EPOCH,
            seq,
            fragment: links[0].slot / FRAGMENT_LINKS,
            flags: 0,
            segment: 0,
            links: List::of(links, &mut rows),
            appendix: &[],
            signature: [0; 64],
        };
        lsa.write_signed(&mut body);
        lsa.signature = self.members.sign(Lsa::KIND, &body);
        Message::Lsa(lsa).emit(&mut message);
        message
    }
}

/// The node that all is told to.
pub struct Hub {
    pub now: Instant,
    pub fabric: Fabric,
    pub members: Members,
    pub switch: Switch,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark needs one instant to count from")]
fn start() -> Instant {
    Instant::now()
}

impl Hub {
    pub fn new(ca: &Ca, site: usize) -> Self {
        let (me, now) = (id(site), start());
        let members = Members::new(credentials(ca, site), WallClock::new(NOW, true));
        let config = Config { me, epoch: EPOCH, transit: Transit::Yes, seed: 7 };
        let fabric = Fabric::new(&config, now);
        let mut switch = Switch::new(me, switch::Config::default(), 7, now);
        switch.set_permit(me, permit());
        let mut hub = Self { now, fabric, members, switch };
        hub.pass(Duration::ZERO);
        hub
    }

    /// All links of the site are up, that of each slot has its number.
    pub fn link(&mut self, links: &[Link]) {
        for link in links {
            let rtt = Duration::from_micros(100 * u64::from(link.cost));
            let own = LinkId(link.slot);
            assert!(self.fabric.handle_up(self.now, own, (link.to, Transit::Yes), rtt, &self.members));
            assert_eq!(self.fabric.slot_of(own), Some(link.slot));
        }
        self.pass(Duration::from_secs(1));
    }

    /// A message from the neighbor on that slot.
    pub fn tell(&mut self, slot: u8, bytes: &[u8]) {
        let Ok(Next::Message(message, _)) = control::next(bytes) else { panic!("not a message") };
        self.fabric.handle_message(self.now, slot, (&message, bytes), &mut self.members);
        while let Some(id) = self.fabric.poll_accepted() {
            self.switch.set_permit(id, permit());
        }
        while self.fabric.poll_message().is_some() {}
    }

    /// Time passes, and what was due then is done.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.fabric.handle_timeout(self.now, &mut self.members);
            while self.fabric.poll_message().is_some() {}
            let due = self.fabric.next_timeout().filter(|due| *due <= end && *due > self.now);
            let Some(due) = due else { break };
            self.now = due;
        }
        self.now = end;
        self.fabric.handle_timeout(end, &mut self.members);
    }

    /// All nodes of a mesh have told what they are and whom they are linked to.
    pub fn of(ca: &Ca, topology: &Topology, site: usize) -> Self {
        let mut hub = Self::new(ca, site);
        hub.link(&links(topology, site));
        for other in (0..topology.sites).filter(|other| *other != site) {
            let speaker = Speaker::new(ca, other);
            hub.tell(0, &speaker.node());
            speaker.lsas(1, &links(topology, other)).iter().for_each(|lsa| hub.tell(0, lsa));
        }
        hub.pass(Duration::from_secs(1));
        let reached = hub.fabric.graph().ids().filter(|id| hub.fabric.reaches(*id)).count();
        assert_eq!(reached, topology.sites);
        hub
    }
}

/// Everything.
fn permit() -> Permit {
    Permit { l2: true, macs: vec![], quota: u16::MAX }
}
