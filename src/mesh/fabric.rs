//! One node of the mesh: its links, what it knows of all others, and the paths and trees that follow from it.
//! Never: sockets, QUIC, certificates, MAC addresses. Read first: docs/protocol.md, "The mesh".
//!
//! Links are told by `handle_up`, `handle_suspect` and so on, control messages by `handle_message`; after a batch of them
//! call [`Fabric::handle_timeout`] and drain [`Fabric::poll_message`]. Frames: `forward.rs`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heapless::index_map::FnvIndexMap;

use super::announcer::Announcer;
use super::flood::Flood;
use super::graph::{Graph, Transit};
use super::neighbors::{Neighbor, Neighbors};
use super::repair::Repairs;
use super::signature::{Form, Registry};
use super::spf::{Route, bit};
use super::standing::Standings;
use super::sync::Sync;
use super::topology::Topology;
use super::trees::Trees;
use crate::limits::{
    NODES, SEARCH_CALM, SEARCH_PAUSE, SEARCH_PAUSE_MAX, SEARCH_PAUSE_MORE, SEARCH_PAUSE_NODES, SEARCH_SOON,
};
use crate::types::{LinkId, NodeId};
use crate::wire::control::Message;
use crate::wire::list::List;

pub struct Config {
    pub me: NodeId,
    /// Start of this run, UNIX seconds.
    pub epoch: u32,
    /// May others' frames cross this node?
    pub transit: Transit,
    /// Any number that others cannot know.
    pub seed: u64,
}

/// What the operator should know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Another node runs with the certificate of this one.
    Twin,
    /// The database has no room for this node.
    Full(NodeId),
}

/// Messages that were refused; they only grow.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Signatures and certificates that are not good.
    pub forged: u64,
    /// Announcements of one node that came too fast or found no place to wait, and what a neighbor brought that had brought
    /// too much that was worth nothing.
    pub dropped: u64,
    /// Announcements older than what is known, or of an earlier run: some come round, many are replayed.
    pub outdated: u64,
    /// Searches for paths.
    pub searches: u64,
    /// Signatures that were checked.
    pub verified: u64,
}

pub struct Fabric {
    pub(super) me: NodeId,
    pub(super) transit: Transit,
    pub(super) topology: Topology,
    pub(super) graph: Box<Graph>,
    pub(super) trees: Trees,
    pub(super) repairs: Repairs,
    pub(super) flood: Flood,
    pub(super) neighbors: Neighbors,
    pub(super) announcer: Announcer,
    pub(super) sync: Sync,
    pub(super) standings: Standings,
    /// Nodes whose NODE was taken, and neighbors that may have missed something.
    pub(super) accepted: VecDeque<NodeId>,
    /// Paths that were used since the last search.
    pub(super) routes: Box<FnvIndexMap<NodeId, Route, NODES>>,
    /// The only other node, on that slot: frames to it need no more than its link.
    pub(super) alone_with: Option<u8>,
    search: Search,
    outbox: VecDeque<(u64, std::vec::Vec<u8>)>,
    notes: VecDeque<Note>,
    pub(super) counters: Counters,
}

/// When paths are searched.
#[derive(Default)]
struct Search {
    due: Option<Instant>,
    last: Option<Instant>,
    /// Since the node last asked, paths were searched or a link has come up.
    is_news: bool,
}

impl Fabric {
    pub fn new(config: &Config, now: Instant) -> Self {
        let Config { me, epoch, transit, seed } = *config;
        let announcer = Announcer::new(epoch, now);
        Self {
            me,
            transit,
            topology: Topology::new(me, announcer.epoch),
            graph: Graph::new(),
            trees: Trees::new(me),
            repairs: Repairs::new(me),
            flood: Flood::new(me, seed),
            neighbors: Neighbors::new(),
            announcer,
            sync: Sync::new(now),
            standings: Standings::new(now),
            accepted: VecDeque::new(),
            routes: Box::default(),
            alone_with: None,
            search: Search::default(),
            outbox: VecDeque::new(),
            notes: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// A link has come up, to that node. False: there is no slot for it.
    pub fn handle_up(
        &mut self,
        now: Instant,
        link: LinkId,
        (id, transit): (NodeId, Transit),
        rtt: Duration,
        registry: &impl Registry,
    ) -> bool {
        let told = |neighbors: &Neighbors| neighbors.find(id).map(|(_, own)| own.cost.told());
        let before = told(&self.neighbors);
        let Some(place) = self.neighbors.handle_up(now, id, link, transit, rtt) else { return false };
        if place.is_reused {
            self.flood.forget_slot(place.slot);
            self.standings.forget(now, place.slot);
        }
        // Who has the higher id tells its cost below.
        if self.me < id && told(&self.neighbors) != before {
            self.handle_cost_changed(now, place.slot);
        }
        self.repairs.handle_alive(now, &self.graph, self.trees.paths(), place.slot);
        self.look_around();
        // Frames go to its end from now on, before any search.
        self.search.is_news = true;
        let mut node = std::vec::Vec::new();
        if registry.emit(self.me, Form::Whole, &mut node) {
            self.tell(bit(place.slot), node);
        }
        self.tell_anew(now, place.slot);
        true
    }

    /// Another certificate of that neighbor, perhaps with other rights.
    pub fn handle_rights(&mut self, id: NodeId, transit: Transit) {
        let slot = self.neighbors.find(id).map(|(slot, _)| slot);
        if let Some(own) = slot.and_then(|slot| self.neighbors.get_mut(slot)) {
            own.transit = transit;
        }
    }

    /// No connection of the link answers: others are told after that long.
    pub fn handle_suspect(&mut self, now: Instant, link: LinkId, withdraw_after: Duration) {
        let Some(slot) = self.slot_of(link) else { return };
        self.neighbors.handle_suspect(now, slot, withdraw_after);
        self.handle_dead(now, slot);
    }

    /// The link answers again.
    pub fn handle_recovered(&mut self, now: Instant, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        if self.neighbors.handle_recovered(now, slot) {
            self.repairs.handle_alive(now, &self.graph, self.trees.paths(), slot);
            self.look_around();
        }
    }

    pub fn handle_down(&mut self, now: Instant, link: LinkId) {
        let Some(slot) = self.slot_of(link) else { return };
        self.neighbors.handle_down(now, slot);
        self.sync.handle_down(slot);
        self.handle_dead(now, slot);
    }

    fn handle_dead(&mut self, now: Instant, slot: u8) {
        if let Some(far) = self.neighbors.get(slot).map(|own| own.id) {
            self.repairs.handle_dead(now, &self.graph, self.trees.paths(), slot, far);
        }
        self.look_around();
    }

    /// The least round trip of the last seconds.
    pub fn handle_rtt(&mut self, now: Instant, link: LinkId, rtt: Duration) {
        let Some(slot) = self.slot_of(link) else { return };
        let Some(own) = self.neighbors.get_mut(slot) else { return };
        if own.cost.handle_rtt(now, rtt) {
            self.handle_cost_changed(now, slot);
        }
    }

    fn handle_cost_changed(&mut self, now: Instant, slot: u8) {
        let Some(own) = self.neighbors.get(slot) else { return };
        if own.id < self.me {
            self.tell_cost(slot);
        } else if own.is_announced {
            self.announcer.handle_changed(now, bit(slot));
        }
    }

    /// The neighbor says what it measures for the link.
    pub(super) fn handle_cost(&mut self, now: Instant, slot: u8, cost: u16) {
        let Some(own) = self.neighbors.get_mut(slot) else { return };
        if own.cost.handle_theirs(now, cost) && self.me < own.id && own.is_announced {
            self.announcer.handle_changed(now, bit(slot));
        }
    }

    /// The node with the higher id tells the other what it measures.
    fn tell_cost(&mut self, slot: u8) {
        let Some(own) = self.neighbors.get(slot).filter(|own| own.id < self.me) else { return };
        let mut message = std::vec::Vec::new();
        Message::Cost(own.cost.told()).emit(&mut message);
        self.tell(bit(slot), message);
    }

    pub(super) fn tell_summary(&mut self, now: Instant, slot: u8) {
        let rows: heapless::Vec<_, NODES> = self.topology.summary(now).collect();
        let (mut buffer, mut message) = Default::default();
        Message::Summary(List::of(&rows, &mut buffer)).emit(&mut message);
        self.tell(bit(slot), message);
    }

    /// Messages to that neighbor may have been lost: it is told anew what there is.
    pub fn handle_resync(&mut self, now: Instant, link: LinkId) {
        if let Some(slot) = self.slot_of(link) {
            self.tell_again(now, slot);
        }
    }

    /// The same, and [`Fabric::poll_accepted`] names it: what is not of the database may have been lost as well.
    pub(super) fn tell_again(&mut self, now: Instant, slot: u8) {
        self.tell_anew(now, slot);
        self.accepted.extend(self.neighbors.get(slot).map(|own| own.id));
    }

    /// What a neighbor needs that may know nothing of what was said before.
    fn tell_anew(&mut self, now: Instant, slot: u8) {
        self.tell_summary(now, slot);
        self.tell_cost(slot);
    }

    /// A message found no room on its way to that neighbor.
    pub fn handle_overflow(&mut self, now: Instant, link: LinkId) {
        if let Some(slot) = self.slot_of(link) {
            self.sync.handle_overflow(now, slot);
        }
    }

    /// Our certificate or CRL has changed.
    pub fn handle_renewed(&mut self, now: Instant, transit: Transit) {
        self.transit = transit;
        self.announcer.handle_renewed(now);
    }

    /// Our key has changed: all that was signed with the old one is signed again.
    pub fn handle_new_key(&mut self, now: Instant) {
        self.announcer.handle_changed(now, u64::MAX);
    }

    pub fn is_transit(&self) -> Transit {
        self.transit
    }

    /// Of this run of the node, as it is announced.
    pub fn epoch(&self) -> u32 {
        self.announcer.epoch
    }

    /// A message for the neighbors on those of these slots that are up.
    pub fn tell_up(&mut self, slots: u64, message: std::vec::Vec<u8>) {
        self.tell(slots & self.neighbors.up(), message);
    }

    /// At most so many nodes, this one among them, and not more than [`NODES`]; those that are known stay.
    pub fn set_capacity(&mut self, nodes: usize) {
        self.topology.set_capacity(nodes);
    }

    /// The node is no member any more.
    pub fn expel(&mut self, now: Instant, id: NodeId, registry: &mut impl Registry) {
        self.topology.remove(id);
        self.flood.forget(id);
        registry.forget(id);
        self.search(now);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let all = [
            self.announcer.next_timeout(),
            self.neighbors.next_timeout(),
            self.repairs.next_timeout(),
            self.search.due,
            self.sync.next_timeout(),
            self.topology.next_timeout(),
        ];
        all.into_iter().flatten().min()
    }

    /// Does what is due. Nodes that are forgotten now are told by [`Fabric::poll_purged`].
    pub fn handle_timeout(&mut self, now: Instant, registry: &mut impl Registry) {
        if self.neighbors.next_timeout().is_some() {
            let (graph, paths) = (&self.graph, self.trees.paths());
            let has_way = |id| graph.index(id).is_some_and(|at| paths.length(at).is_some());
            self.neighbors.hurry(now, has_way);
        }
        let changed = self.neighbors.poll(now);
        self.announcer.handle_changed(now, changed);
        if changed & !self.neighbors.alive() != 0 {
            self.announcer.handle_withdrawn();
        }
        self.announce(now, registry);
        if self.search.due.is_some_and(|due| due <= now) {
            self.search(now);
        }
        self.repairs.handle_timeout(now);
        self.handle_sync_timeout(now, registry);
    }

    /// A node that was out of reach for so long that it is forgotten.
    pub fn poll_purged(&mut self, now: Instant, registry: &mut impl Registry) -> Option<NodeId> {
        let id = self.topology.poll_purged(now)?;
        self.flood.forget(id);
        registry.forget(id);
        Some(id)
    }

    /// A message for the links of these slots.
    pub fn poll_message(&mut self) -> Option<(u64, std::vec::Vec<u8>)> {
        self.outbox.pop_front()
    }

    /// A node of which a NODE was taken, or that may have missed something: to be called after every message and timeout.
    pub fn poll_accepted(&mut self) -> Option<NodeId> {
        self.accepted.pop_front()
    }

    pub fn poll_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    pub(super) fn tell(&mut self, slots: u64, message: std::vec::Vec<u8>) {
        if slots != 0 {
            self.outbox.push_back((slots, message));
        }
    }

    /// Hands a message on to all neighbors but that one.
    pub fn relay(&mut self, ingress: Option<u8>, message: &[u8]) {
        let slots = self.neighbors.up() & !ingress.map_or(0, bit);
        self.tell(slots, message.to_vec());
    }

    pub(super) fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) && self.notes.len() < usize::from(u8::MAX) {
            self.notes.push_back(note);
        }
    }

    /// The graph has changed. Changes come in swarms: paths are searched a moment later.
    pub(super) fn search_soon(&mut self, now: Instant) {
        let is_restless =
            self.search.last.is_some_and(|last| now.saturating_duration_since(last) < SEARCH_CALM);
        self.search_at(now + if is_restless { search_pause(self.topology.len()) } else { SEARCH_SOON });
    }

    /// A link of this node has failed and was withdrawn: paths are searched at once, however restless the mesh is.
    pub(super) fn search_now(&mut self, now: Instant) {
        self.search_at(now + SEARCH_SOON);
    }

    fn search_at(&mut self, due: Instant) {
        self.search.due = Some(self.search.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn search(&mut self, now: Instant) {
        self.search = Search { due: None, last: Some(now), is_news: true };
        self.counters.searches += 1;
        self.topology.build(&mut self.graph);
        self.trees.build(&self.graph);
        for (origin, branch) in self.trees.branches(&self.graph) {
            self.flood.set_branch(now, origin, branch);
        }
        self.repairs.handle_graph(now, &self.graph, self.trees.paths());
        let (graph, paths) = (&self.graph, self.trees.paths());
        let has_path = |id| graph.index(id).is_some_and(|index| paths.length(index).is_some());
        if self.topology.handle_paths(now, has_path) {
            // It says nothing new, and a neighbor that began or forgot it meanwhile does not know it.
            self.sync.handle_return(now, self.neighbors.up());
        }
        self.routes.clear();
        self.look_around();
    }

    /// Whether there is but one other node.
    fn look_around(&mut self) {
        let others = self.trees.branches(&self.graph).filter(|(_, branch)| branch.parent.is_some()).count();
        let up = self.neighbors.up();
        self.alone_with = (up.is_power_of_two() && others <= 1).then(|| up.trailing_zeros() as u8);
    }

    /// True, once: others may be within reach than before.
    pub fn poll_reach(&mut self) -> bool {
        core::mem::take(&mut self.search.is_news)
    }

    /// Whether frames can be sent to the node.
    pub fn reaches(&self, id: NodeId) -> bool {
        let has_path = || self.graph.index(id).is_some_and(|at| self.trees.paths().length(at).is_some());
        id == self.me || has_path() || self.neighbors.find(id).is_some_and(|(_, own)| own.is_alive())
    }

    /// Whether what the neighbor on that slot knows of all nodes is still to come.
    pub fn waits_for(&self, slot: u8) -> bool {
        self.sync.asked.waits_for(slot)
    }

    pub fn slot_of(&self, link: LinkId) -> Option<u8> {
        self.neighbors.slot_of(link)
    }

    /// The link of a slot, if it is up.
    pub fn link(&self, slot: u8) -> Option<LinkId> {
        let is_up = |own: &&Neighbor| self.neighbors.up() & bit(slot) != 0 && own.link.0 < u8::MAX;
        self.neighbors.get(slot).filter(is_up).map(|own| own.link)
    }

    /// The links of these slots that are up.
    pub fn links(&self, slots: u64) -> impl Iterator<Item = LinkId> {
        let up = slots & self.neighbors.up();
        self.neighbors.iter().filter(move |(slot, _)| up & bit(*slot) != 0).map(|(_, own)| own.link)
    }

    /// Nothing is due that would change paths or what others know.
    pub fn is_settled(&self) -> bool {
        self.search.due.is_none()
            && self.announcer.next_timeout().is_none()
            && self.neighbors.next_timeout().is_none()
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn trees(&self) -> &Trees {
        &self.trees
    }

    pub fn neighbors(&self) -> &Neighbors {
        &self.neighbors
    }

    pub fn route(&self, to: NodeId) -> Option<Route> {
        self.trees.route(&self.graph, to)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// How long changes are gathered in a mesh of so many nodes that does not come to rest.
fn search_pause(nodes: usize) -> Duration {
    let more = nodes.saturating_sub(SEARCH_PAUSE_NODES) as u32;
    (SEARCH_PAUSE + SEARCH_PAUSE_MORE * more).min(SEARCH_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_searches_grows_with_large_meshes_only() {
        let cases = [(1, 50), (100, 50), (101, 51), (250, 200), (256, 206), (300, 250), (1024, 250)];
        for (nodes, ms) in cases {
            assert_eq!(search_pause(nodes).as_millis(), ms, "{nodes} nodes");
        }
        assert!(SEARCH_PAUSE_MAX < SEARCH_CALM, "or a mesh that never rests would be taken for a calm one");
    }
}
