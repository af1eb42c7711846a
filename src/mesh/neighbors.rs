//! The links of this node as the mesh numbers them: who is on which slot, whether it carries, and what of it is announced.
//! Does not send. Read first: docs/protocol.md, "LSA" and "Announcing".

use std::time::{Duration, Instant};

use heapless::Vec;

use super::cost::Cost;
use super::graph::Transit;
use super::spf::bit;
use crate::limits::{FLAP_FORGOTTEN, FLAP_HOLD_MAX, FLAP_PATIENCE, LINKS, SLOT_REST, SLOTS};
use crate::types::{LinkId, NodeId, Table};

/// Failures of a link that are remembered; more count for no more.
const FAILURES: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Alive,
    /// It may be dead: gone round here, and still announced.
    Suspect,
    Down,
}

pub struct Neighbor {
    pub id: NodeId,
    /// Of the last link; of no meaning while it is down.
    pub link: LinkId,
    pub state: State,
    pub transit: Transit,
    pub cost: Cost,
    /// Whether our LSA names it.
    pub is_announced: bool,
    /// When that is to change.
    due: Option<Instant>,
    /// Since when it is down.
    since: Instant,
    failures: Vec<Instant, FAILURES>,
    /// This suspicion or fall is counted.
    has_failed: bool,
}

impl Neighbor {
    fn new(id: NodeId, link: LinkId, now: Instant) -> Self {
        Self {
            id,
            link,
            state: State::Down,
            transit: Transit::Yes,
            cost: Cost::default(),
            is_announced: false,
            due: None,
            since: now,
            failures: Vec::new(),
            has_failed: false,
        }
    }

    pub fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    /// Failures of the last minute.
    fn penalty(&mut self, now: Instant) -> u32 {
        self.failures.retain(|failure| now.saturating_duration_since(*failure) < FLAP_FORGOTTEN);
        self.failures.len() as u32
    }

    fn fail(&mut self, now: Instant) {
        if core::mem::replace(&mut self.has_failed, true) {
            return;
        }
        if self.failures.is_full() {
            self.failures.remove(0);
        }
        let _ = self.failures.push(now);
    }

    /// It carries: when may all others know?
    fn carry(&mut self, now: Instant) {
        (self.state, self.has_failed) = (State::Alive, false);
        let hold = match self.penalty(now) {
            0 | 1 => Duration::ZERO,
            failures => Duration::from_secs(1 << (failures - 1).min(6)).min(FLAP_HOLD_MAX),
        };
        let failed = self.failures.last().copied().unwrap_or(now);
        self.due = (!self.is_announced).then(|| now.max(failed + hold));
    }

    /// It does not carry: others are told after that long, unless it comes back before.
    fn stop(&mut self, now: Instant, state: State, after: Duration) {
        let patience = if self.penalty(now) > 0 { FLAP_PATIENCE } else { Duration::ZERO };
        let due = now + after + patience;
        let was_suspect = core::mem::replace(&mut self.state, state) == State::Suspect;
        let earlier = self.due.filter(|earlier| was_suspect && *earlier < due);
        self.due = self.is_announced.then(|| earlier.unwrap_or(due));
    }
}

/// At most [`SLOTS`] neighbors. A slot that was freed is another node's after [`SLOT_REST`] only: routes that still name it
/// must not lead elsewhere. Full: the slot that was freed first is taken before its time.
pub struct Neighbors {
    slots: Vec<Option<Neighbor>, SLOTS>,
    /// Slots whose links are up, and of these the ones that are not suspect, one bit each.
    up: u64,
    alive: u64,
    /// The slot of each link that is up.
    by_link: [u8; LINKS],
    /// When the first of them is to be announced or withdrawn.
    due: Option<Instant>,
}

/// In place of a slot: the link is not up.
const NOWHERE: u8 = u8::MAX;

/// A neighbor has got a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub slot: u8,
    /// The slot was another node's before.
    pub is_reused: bool,
}

impl Default for Neighbors {
    fn default() -> Self {
        Self::new()
    }
}

impl Neighbors {
    pub fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| None).collect(),
            up: 0,
            alive: 0,
            by_link: [NOWHERE; LINKS],
            due: None,
        }
    }

    /// A link has come up. `None`: all slots carry.
    pub fn handle_up(
        &mut self,
        now: Instant,
        id: NodeId,
        link: LinkId,
        transit: Transit,
        rtt: Duration,
    ) -> Option<Place> {
        let place = self.place(now, id)?;
        let entry = self.slots.get_mut(usize::from(place.slot))?;
        if place.is_reused {
            *entry = None;
        }
        let neighbor = entry.get_or_insert_with(|| Neighbor::new(id, link, now));
        (neighbor.link, neighbor.transit) = (link, transit);
        neighbor.cost.handle_up(now, rtt, neighbor.is_announced);
        neighbor.carry(now);
        self.count();
        Some(place)
    }

    /// Its own slot, one that was never used, one that has rested, or the one that has rested longest.
    fn place(&self, now: Instant, id: NodeId) -> Option<Place> {
        let has = |entry: &Option<Neighbor>| entry.as_ref().is_some_and(|own| own.id == id);
        if let Some(slot) = self.slots.iter().position(has) {
            return Some(Place { slot: slot as u8, is_reused: false });
        }
        let rest = |own: &Neighbor| now.saturating_duration_since(own.since);
        let is_free = |entry: &Option<Neighbor>| match entry {
            Some(own) => own.state == State::Down && rest(own) >= SLOT_REST,
            None => true,
        };
        let tired = || {
            let down =
                self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
            let down = down.filter(|(_, own)| own.state == State::Down);
            down.max_by_key(|(_, own)| rest(own)).map(|(slot, _)| slot)
        };
        let slot = self.slots.iter().position(is_free).or_else(tired)?;
        let is_reused = self.slots.get(slot).is_some_and(Option::is_some);
        Some(Place { slot: slot as u8, is_reused })
    }

    pub fn handle_suspect(&mut self, now: Instant, slot: u8, withdraw_after: Duration) {
        if let Some(own) = self.get_mut(slot).filter(|own| own.is_alive()) {
            own.stop(now, State::Suspect, withdraw_after);
        }
        self.count();
    }

    /// A suspect link has answered. True: it was one.
    pub fn handle_recovered(&mut self, now: Instant, slot: u8) -> bool {
        let Some(own) = self.get_mut(slot).filter(|own| own.state == State::Suspect) else { return false };
        own.fail(now);
        own.carry(now);
        self.count();
        true
    }

    pub fn handle_down(&mut self, now: Instant, slot: u8) {
        if let Some(own) = self.get_mut(slot).filter(|own| own.state != State::Down) {
            own.stop(now, State::Down, Duration::ZERO);
            own.fail(now);
            own.since = now;
        }
        self.count();
    }

    /// Patience with a link that fails often is for the sake of others: where no other way leads to its end, it is told of at
    /// once.
    pub fn hurry(&mut self, now: Instant, has_way: impl Fn(NodeId) -> bool) {
        let waits = |own: &Neighbor| own.is_alive() && own.due.is_some_and(|due| due > now);
        let lonely = self.slots.iter_mut().flatten().filter(|own| waits(own) && !has_way(own.id));
        lonely.for_each(|own| own.due = Some(now));
        self.count();
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Slots whose links are to be announced or withdrawn now, one bit each.
    pub fn poll(&mut self, now: Instant) -> u64 {
        let mut changed = 0;
        if self.due.is_none_or(|due| due > now) {
            return changed;
        }
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            let Some(own) = entry.as_mut().filter(|own| own.due.is_some_and(|due| due <= now)) else {
                continue;
            };
            own.due = None;
            own.is_announced = own.is_alive();
            changed |= bit(slot as u8);
        }
        self.count();
        changed
    }

    pub fn get(&self, slot: u8) -> Option<&Neighbor> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u8) -> Option<&mut Neighbor> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }

    /// In the order of slots, those that rest included.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Neighbor)> {
        (0..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }

    /// The slot of a link that is up.
    pub fn slot_of(&self, link: LinkId) -> Option<u8> {
        self.by_link.get(usize::from(link.0)).copied().filter(|slot| *slot != NOWHERE)
    }

    pub fn find(&self, id: NodeId) -> Option<(u8, &Neighbor)> {
        self.iter().find(|(_, own)| own.id == id)
    }

    /// Those that rest included.
    pub fn table(&self) -> Table {
        Table { name: "slots", used: self.iter().count(), capacity: SLOTS, bytes: size_of_val(self) }
    }

    /// Slots whose links are up, suspect ones included, one bit each: control messages go there.
    pub fn up(&self) -> u64 {
        self.up
    }

    /// Those that carry.
    pub fn alive(&self) -> u64 {
        self.alive
    }

    pub fn is_alive(&self, slot: u8) -> bool {
        self.alive & bit(slot) != 0
    }

    fn count(&mut self) {
        (self.up, self.alive, self.by_link) = (0, 0, [NOWHERE; LINKS]);
        self.due = self.iter().filter_map(|(_, own)| own.due).min();
        for (slot, own) in (0..).zip(&self.slots) {
            let Some(own) = own.as_ref().filter(|own| own.state != State::Down) else { continue };
            self.up |= bit(slot);
            self.alive |= if own.is_alive() { bit(slot) } else { 0 };
            if let Some(place) = self.by_link.get_mut(usize::from(own.link.0)) {
                *place = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::node;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RTT: Duration = Duration::from_millis(20);

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn up(neighbors: &mut Neighbors, t: Instant, id: u16, link: u8) -> Place {
        neighbors.handle_up(t, node(id), LinkId(link), Transit::Yes, RTT).expect("a slot")
    }

    /// Seconds after `t`, in tenths, at which the link of the slot is next told of or withdrawn.
    fn due(neighbors: &Neighbors, t: Instant) -> Option<u128> {
        neighbors.next_timeout().map(|due| due.saturating_duration_since(t).as_millis() / 100)
    }

    #[test]
    fn a_link_is_told_of_at_once_and_withdrawn_when_it_stays_silent() {
        let t = start();
        let mut neighbors = Neighbors::new();
        assert_eq!(up(&mut neighbors, t, 7, 3), Place { slot: 0, is_reused: false });
        assert_eq!((neighbors.poll(t), neighbors.poll(t)), (1, 0));
        assert_eq!((neighbors.slot_of(LinkId(3)), neighbors.slot_of(LinkId(0))), (Some(0), None));
        neighbors.handle_suspect(t, 0, 3 * SECOND / 10);
        assert_eq!((neighbors.up(), neighbors.alive(), due(&neighbors, t)), (1, 0, Some(3)));
        assert!(neighbors.handle_recovered(t + SECOND / 10, 0));
        assert_eq!((neighbors.alive(), due(&neighbors, t)), (1, None), "nobody was told");
        // The second failure within a minute: patience.
        neighbors.handle_suspect(t + SECOND, 0, 3 * SECOND / 10);
        assert_eq!(due(&neighbors, t), Some(20));
        neighbors.handle_down(t + 11 * SECOND / 10, 0);
        assert_eq!(due(&neighbors, t), Some(18));
        assert_eq!((neighbors.poll(t + 2 * SECOND), neighbors.up()), (1, 0));
        assert!(!neighbors.get(0).expect("it rests").is_announced);
    }

    #[test]
    fn a_link_that_flaps_is_told_of_later_and_later() {
        let t = start();
        let mut neighbors = Neighbors::new();
        let mut holds = std::vec::Vec::new();
        for round in 0..8 {
            // It is up for half a second, then for another one down.
            let now = t + round * SECOND;
            up(&mut neighbors, now, 7, 0);
            holds.push(due(&neighbors, now).unwrap_or(99));
            neighbors.handle_down(now + SECOND / 2, 0);
            neighbors.poll(now + SECOND - SECOND / 100);
        }
        // Of two, four, eight ... seconds half a second has passed.
        assert_eq!(holds, [0, 0, 15, 35, 75, 155, 315, 595]);
        let calm = t + 67 * SECOND;
        up(&mut neighbors, calm, 7, 0);
        assert_eq!(due(&neighbors, calm), Some(0), "a minute later all but the last are forgotten");
    }

    #[test]
    fn a_slot_rests_for_a_minute_unless_its_node_comes_back_or_all_are_taken() {
        let t = start();
        let mut neighbors = Neighbors::new();
        (0..3).for_each(|n| assert_eq!(up(&mut neighbors, t, 10 + n, n as u8).slot, n as u8));
        neighbors.handle_down(t, 1);
        assert_eq!(up(&mut neighbors, t + SECOND, 20, 9), Place { slot: 3, is_reused: false });
        assert_eq!(up(&mut neighbors, t + SECOND, 11, 8), Place { slot: 1, is_reused: false });
        neighbors.handle_down(t + SECOND, 1);
        assert_eq!(up(&mut neighbors, t + 62 * SECOND, 21, 9), Place { slot: 1, is_reused: true });
        neighbors.handle_down(t + 63 * SECOND, 2);
        let later = t + 64 * SECOND;
        for n in 4..SLOTS as u16 {
            assert_eq!(up(&mut neighbors, later, 100 + n, 31).slot, n as u8);
        }
        assert_eq!(up(&mut neighbors, later, 99, 30), Place { slot: 2, is_reused: true });
        assert!(neighbors.handle_up(later, node(98), LinkId(29), Transit::Yes, RTT).is_none());
    }
}
