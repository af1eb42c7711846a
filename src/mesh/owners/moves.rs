//! What nodes tell each other of stations that came to them or left them: MAC_MOVE and MAC_GONE, both ways.
//! Does not sign, judge rights or hand on. Read first: docs/protocol.md, "Owners".

use std::time::Instant;

use heapless::{Deque, Vec};

use super::addresses::Entry;
use super::{Claim, Owners, hold, is_newer};
use crate::limits::{GONE_WAITING, MOVES_PAUSE, MOVES_WAITING, STATIONS};
use crate::types::{MacAddr, NodeId, Table};
use crate::wire::stations::Station;

/// Stations of one message.
pub type Batch = Vec<Station, STATIONS>;

/// What all are still to be told.
pub(super) struct Outbox {
    /// Full: the move is not told, frames teach it as well.
    moved: Deque<MacAddr, MOVES_WAITING>,
    /// No message of moves before this.
    after: Option<Instant>,
    /// Full: further ones stay in the table a little longer.
    gone: Deque<Station, GONE_WAITING>,
}

impl Outbox {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { moved: Deque::new(), after: None, gone: Deque::new() })
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        let (moved, gone) = (&self.moved, &self.gone);
        [
            Table { name: "moves", used: moved.len(), capacity: MOVES_WAITING, bytes: size_of_val(moved) },
            Table { name: "gone", used: gone.len(), capacity: GONE_WAITING, bytes: size_of_val(gone) },
        ]
    }

    /// `began`: a time that is over, for what can be told at once.
    pub(super) fn next_timeout(&self, began: Instant) -> Option<Instant> {
        let is_waiting = !self.moved.is_empty();
        is_waiting.then(|| self.after.unwrap_or(began)).or((!self.gone.is_empty()).then_some(began))
    }

    /// An address of ours goes. False: to be tried again later.
    pub(super) fn part(&mut self, entry: &Entry) -> bool {
        self.gone.push_back(Station { mac: entry.mac, moves: entry.moves }).is_ok()
    }
}

impl Owners {
    /// An address came to us from another node.
    pub(super) fn tell(&mut self, mac: MacAddr) {
        let moved = &mut self.outbox.moved;
        if !moved.iter().any(|waiting| *waiting == mac) && moved.push_back(mac).is_err() {
            self.counters.untold += 1;
        }
    }

    /// The next MAC_MOVE to sign and to flood.
    pub fn poll_moves(&mut self, now: Instant) -> Option<Batch> {
        if self.outbox.after.is_some_and(|after| now < after) {
            return None;
        }
        let mut batch = Batch::new();
        while !batch.is_full() {
            let Some(mac) = self.outbox.moved.pop_front() else { break };
            // It may have gone elsewhere while it waited.
            if let Some(moves) = self.own(mac).map(|entry| entry.moves) {
                let _ = batch.push(Station { mac, moves });
            }
        }
        if batch.is_empty() {
            return None;
        }
        self.outbox.after = Some(now + MOVES_PAUSE);
        Some(batch)
    }

    /// The next MAC_GONE to sign and to flood; some come at once, and then none for 5 seconds at least.
    pub fn poll_gone(&mut self) -> Option<Batch> {
        let mut batch = Batch::new();
        while !batch.is_full() {
            let Some(station) = self.outbox.gone.pop_front() else { break };
            // It may be heard again meanwhile.
            if self.own(station.mac).is_none() {
                let _ = batch.push(station);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn own(&self, mac: MacAddr) -> Option<&Entry> {
        let entry = self.addresses.get(self.addresses.find(mac)?)?;
        (entry.owner == self.me).then_some(entry)
    }

    /// Whether [`Owners::handle_move`] may change something.
    pub fn would_move(&self, now: Instant, owner: NodeId, station: Station) -> bool {
        let entry = self.addresses.find(station.mac).and_then(|place| self.addresses.get(place));
        entry.is_none_or(|entry| {
            let is_gone = entry.owner != owner && self.is_stale(self.tick(now), entry);
            is_gone || outdoes(entry, owner, station.moves)
        })
    }

    /// Whether [`Owners::handle_gone`] would change something.
    pub fn would_go(&self, owner: NodeId, station: Station) -> bool {
        let entry = self.addresses.find(station.mac).and_then(|place| self.addresses.get(place));
        entry.is_some_and(|entry| goes(entry, owner, station))
    }

    /// A station came to another node, which says so. True: that was news.
    pub fn handle_move(&mut self, now: Instant, owner: NodeId, station: Station) -> bool {
        let tick = self.tick(now);
        let claim = Claim { owner, moves: station.moves, hold: hold(tick) };
        let Some((place, entry)) = self.entry(tick, station.mac, owner) else {
            return self.insert(now, station.mac, claim);
        };
        if !outdoes(&entry, owner, station.moves) {
            return false;
        }
        if entry.owner == owner {
            self.refresh(tick, place);
            self.write(tick, place, claim);
            return true;
        }
        self.may_move(tick, &entry) && self.move_to(now, place, claim) == Some(owner)
    }

    /// A station left another node, which says so. True: that was news.
    pub fn handle_gone(&mut self, owner: NodeId, station: Station) -> bool {
        let Some(place) = self.addresses.find(station.mac) else { return false };
        let is_gone =
            owner != self.me && self.addresses.get(place).is_some_and(|entry| goes(entry, owner, station));
        if is_gone {
            self.remove(place);
        }
        is_gone
    }
}

/// Whether a move with that count counts against what is known.
fn outdoes(entry: &Entry, owner: NodeId, moves: u16) -> bool {
    is_newer(moves, entry.moves) || (moves == entry.moves && owner < entry.owner)
}

fn goes(entry: &Entry, owner: NodeId, station: Station) -> bool {
    entry.owner == owner && !is_newer(entry.moves, station.moves)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, ms, node, owners, seconds, start};
    use super::*;

    fn station(n: u32, moves: u16) -> Station {
        Station { mac: mac(n), moves }
    }

    #[test]
    fn a_station_that_came_here_is_told_and_a_new_one_is_not() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(1), node(1));
        owners.learn(t, mac(2), node(1));
        owners.learn(t, mac(1), node(1));
        assert!(owners.next_timeout().is_some_and(|due| due <= t));
        assert_eq!(owners.poll_moves(t).as_deref(), Some(&[station(1, 1)][..]));
        assert_eq!(owners.poll_moves(t + seconds(1)), None);
        assert!(owners.next_timeout().is_some_and(|due| due > t + seconds(500)));
    }

    #[test]
    fn a_station_that_left_again_while_it_waited_is_not_told() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(1), node(1));
        assert!(owners.handle_move(t, node(3), station(1, 2)));
        assert_eq!(owners.poll_moves(t), None);
    }

    #[test]
    fn a_flood_of_moves_is_told_in_ten_messages_a_second_and_what_does_not_fit_is_counted() {
        let t = start();
        let mut owners = owners(t);
        for n in 0..400 {
            owners.learn(t, mac(n), node(2));
            owners.learn(t, mac(n), node(1));
        }
        assert_eq!(owners.counters().untold, 400 - MOVES_WAITING as u64);
        let mut told = 0;
        for n in 0..1000 {
            let now = t + ms(n);
            let due = owners.next_timeout().is_some_and(|due| due <= now);
            let batch = owners.poll_moves(now);
            assert_eq!((batch.is_some(), batch.as_ref().is_none_or(Vec::is_full)), (due, true), "{n}");
            assert!(batch.is_none() || n % 100 == 0);
            told += batch.map_or(0, |batch| batch.len());
        }
        assert_eq!(told, MOVES_WAITING);
    }

    #[test]
    fn a_move_counts_if_it_is_newer_or_the_same_of_a_lower_node() {
        // Number of the entry, which node 3 has; mover and its number; who has it afterwards.
        let cases =
            [(5, 4, 6, 4), (5, 4, 5, 3), (5, 2, 5, 2), (5, 2, 4, 3), (0xFFFF, 4, 0, 4), (0, 4, 0xFFFF, 3)];
        for (had, mover, moves, owner) in cases {
            let t = start();
            let mut owners = owners(t);
            assert!(owners.handle_move(t, node(3), station(1, had)));
            assert_eq!(owners.handle_move(t, node(mover), station(1, moves)), owner == mover);
            assert_eq!(owners.find(t, mac(1)), Some(node(owner)), "{had} {mover} {moves}");
            assert!(!owners.handle_move(t, node(mover), station(1, moves)), "it is no news twice");
        }
    }

    #[test]
    fn who_is_told_of_a_move_does_not_believe_late_frames_for_two_seconds() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        assert!(owners.handle_move(t, node(3), station(1, 1)));
        owners.learn(t + seconds(2), mac(1), node(2));
        assert_eq!(owners.find(t, mac(1)), Some(node(3)));
        owners.learn(t + ms(2126), mac(1), node(2));
        assert_eq!(owners.find(t + ms(2126), mac(1)), Some(node(2)));
    }

    #[test]
    fn a_move_is_kept_where_frames_taught_it_first_and_is_handed_on_once() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(1), node(3));
        assert!(owners.handle_move(t, node(3), station(1, 1)));
        assert!(!owners.handle_move(t, node(3), station(1, 1)));
        assert_eq!(owners.counters().moves, 1);
    }

    #[test]
    fn a_station_of_ours_that_went_and_came_back_moves_twice() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(1));
        assert!(owners.handle_move(t, node(2), station(1, 1)));
        assert_eq!(owners.find(t, mac(1)), Some(node(2)));
        owners.learn(t, mac(1), node(1));
        assert_eq!(owners.poll_moves(t).as_deref(), Some(&[station(1, 2)][..]));
    }

    #[test]
    fn moves_of_a_frozen_address_change_nothing_and_are_not_handed_on() {
        let t = start();
        let mut owners = owners(t);
        for moves in 0..=6 {
            assert!(owners.handle_move(t, node(3 + moves % 2), station(1, moves)));
        }
        assert_eq!((owners.counters().frozen, owners.find(t, mac(1))), (1, Some(node(3))));
        for moves in 7..20 {
            assert!(!owners.handle_move(t, node(4), station(1, moves)));
            assert!(!owners.handle_move(t, node(2), station(1, moves)), "not even of a lower node");
        }
        assert_eq!(owners.find(t, mac(1)), Some(node(3)));
        owners.learn(t, mac(1), node(1));
        assert_eq!(owners.poll_moves(t), None);
    }

    #[test]
    fn only_the_owner_can_say_that_a_station_left_and_not_with_an_old_number() {
        let t = start();
        let mut owners = owners(t);
        owners.handle_move(t, node(3), station(1, 5));
        for (id, moves) in [(2, 5), (2, 6), (3, 4), (1, 5)] {
            assert!(!owners.handle_gone(node(id), station(1, moves)), "{id} {moves}");
        }
        assert!(owners.handle_gone(node(3), station(1, 5)));
        assert!(!owners.handle_gone(node(3), station(1, 5)) && owners.is_empty());
        owners.handle_move(t, node(3), station(1, 5));
        assert!(owners.handle_gone(node(3), station(1, 6)));
        owners.learn(t, mac(1), node(1));
        assert!(!owners.handle_gone(node(1), station(1, 0)), "nobody says that of us");
    }
}
