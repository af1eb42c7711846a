//! What goes by itself: addresses without a frame for long, and those of nodes that no path leads to.
//! The entries of a node stand in the order of use, so that only the oldest of each is looked at. Read first:
//! docs/protocol.md, "Owners".

use std::time::{Duration, Instant};

use heapless::Vec;

use super::shares::Share;
use super::{Owners, TICK_NANOSECONDS, ticks};
use crate::limits::{NODES, OWNER_LOST, OWNER_SWEEP, OWNER_SWEEP_PAUSE};
use crate::types::NodeId;

/// When the table is looked through next.
pub(super) struct Sweep {
    /// `None`: nothing is there that could grow old.
    due: Option<Instant>,
    /// Not before this.
    earliest: Instant,
}

impl Sweep {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: None, earliest: now }
    }
}

impl Owners {
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.sweep.due, self.outbox.next_timeout(self.began)].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.sweep.due.is_none_or(|due| now < due) {
            return;
        }
        let tick = self.tick(now);
        let is_due = |(owner, share): &(NodeId, &Share)| self.time_left(tick, *owner, share) == Some(0);
        let due: Vec<NodeId, NODES> = self.shares.iter().filter(is_due).map(|(owner, _)| owner).collect();
        let mut budget = OWNER_SWEEP;
        for owner in due {
            self.sweep_owner(tick, owner, &mut budget);
        }
        self.sweep = Sweep { due: None, earliest: now + OWNER_SWEEP_PAUSE };
        let left = self.shares.iter().filter_map(|(owner, share)| self.time_left(tick, owner, share)).min();
        if let Some(left) = left {
            self.schedule(now + Duration::from_nanos(u64::from(left) * u64::from(TICK_NANOSECONDS)));
        }
    }

    /// Which nodes a path leads to, after each search. The addresses of others are not used, and go after a minute.
    pub fn handle_reach(&mut self, now: Instant, is_reached: impl Fn(NodeId) -> bool) {
        let (me, tick) = (self.me, self.tick(now));
        let mut has_lost = false;
        for (owner, share) in self.shares.iter_mut().filter(|(owner, _)| *owner != me) {
            share.lost = match share.lost {
                _ if is_reached(owner) => None,
                None => {
                    has_lost |= share.count > 0;
                    Some(tick)
                }
                lost => lost,
            };
        }
        if has_lost {
            self.schedule(now + OWNER_LOST);
        }
    }

    /// The next look is not later than the end of an entry that this owner used now.
    pub(super) fn schedule_for(&mut self, now: Instant, owner: NodeId) {
        let is_lost = self.shares.get(owner).is_some_and(|share| share.lost.is_some());
        self.schedule(now + if is_lost { OWNER_LOST } else { self.age_limit(owner) });
    }

    fn schedule(&mut self, at: Instant) {
        let at = at.max(self.sweep.earliest);
        self.sweep.due = Some(self.sweep.due.map_or(at, |due| due.min(at)));
    }

    /// Ticks until entries of this owner go. `None`: it has none.
    fn time_left(&self, tick: u32, owner: NodeId, share: &Share) -> Option<u32> {
        let oldest = self.addresses.get(share.oldest)?;
        let unused = u32::from((tick as u16).wrapping_sub(oldest.last));
        let left = ticks(self.age_limit(owner)).saturating_sub(unused);
        let lost = share.lost.map(|lost| ticks(OWNER_LOST).saturating_sub(tick.saturating_sub(lost)));
        Some(lost.map_or(left, |lost| lost.min(left)))
    }

    /// Takes out what is over, as much as may be done in one go. Of our own it is said that they are gone.
    fn sweep_owner(&mut self, tick: u32, owner: NodeId, budget: &mut usize) {
        while *budget > 0 {
            let Some(share) = self.shares.get(owner) else { return };
            if self.time_left(tick, owner, share) != Some(0) {
                return;
            }
            let place = share.oldest;
            let said =
                owner != self.me || self.addresses.get(place).is_some_and(|entry| self.outbox.part(entry));
            if !said {
                return;
            }
            self.remove(place);
            *budget -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, ms, node, owners, seconds, start};
    use super::*;
    use crate::types::MacAddr;

    /// Lets time pass as the loop does; how often it woke up.
    fn run(owners: &mut Owners, from: Instant, to: Instant) -> Vec<Instant, 4096> {
        let mut wakes = Vec::new();
        let mut now = from;
        while let Some(due) = owners.next_timeout().filter(|due| *due <= to) {
            now = now.max(due);
            wakes.push(now).unwrap();
            owners.handle_timeout(now);
            while owners.poll_gone().is_some() {}
        }
        wakes
    }

    #[test]
    fn an_address_ages_out_and_a_frame_keeps_it() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(2));
        owners.learn(t, mac(2), node(1));
        let later = t + seconds(599);
        assert_eq!(owners.find(later, mac(2)), Some(node(1)));
        assert_eq!(owners.find(t + seconds(600), mac(2)), None);
        owners.learn(later, mac(1), node(2));
        assert_eq!(owners.find(later + seconds(899), mac(1)), Some(node(2)));
        assert_eq!(owners.find(later + seconds(900), mac(1)), None);
    }

    #[test]
    fn nothing_wakes_an_empty_table_and_little_one_that_is_idle() {
        let t = start();
        let mut owners = owners(t);
        assert_eq!(owners.next_timeout(), None);
        for n in 0..100 {
            owners.learn(t + seconds(n), mac(n as u32), node(2));
        }
        let wakes = run(&mut owners, t, t + seconds(3600));
        assert!(wakes.iter().zip(wakes.iter().skip(1)).all(|(one, next)| *next >= *one + seconds(5)));
        assert_eq!(wakes.first(), Some(&(t + seconds(900))));
        assert!((20..=22).contains(&wakes.len()), "{}", wakes.len());
        assert!(owners.is_empty() && owners.next_timeout().is_none());
    }

    #[test]
    fn what_is_used_is_looked_at_once_in_a_life_and_not_more() {
        let t = start();
        let mut owners = owners(t);
        let mut wakes = 0;
        for n in 0..3600 {
            let now = t + seconds(n);
            owners.learn(now, mac(1), node(2));
            owners.learn(now, mac(2), node(1));
            wakes += run(&mut owners, now, now).len();
        }
        assert!((5..=6).contains(&wakes), "{wakes}");
        assert_eq!(owners.len(), 2);
    }

    #[test]
    fn our_own_addresses_that_age_out_are_told_in_batches_and_none_is_forgotten() {
        let t = start();
        let mut owners = owners(t);
        (0..1000).for_each(|n| owners.learn(t, mac(n), node(1)));
        let mut told: Vec<MacAddr, 1000> = Vec::new();
        let mut last = None;
        while let Some(due) = owners.next_timeout() {
            assert!(last.is_none_or(|last| due >= last + seconds(5)));
            last = Some(due);
            owners.handle_timeout(due);
            while let Some(batch) = owners.poll_gone() {
                assert!(!batch.is_empty());
                told.extend(batch.iter().map(|station| station.mac));
            }
        }
        told.sort_unstable();
        assert!(told.iter().copied().eq((0..1000).map(mac)));
        assert!(owners.is_empty() && last.is_some_and(|last| last <= t + seconds(620)));
    }

    #[test]
    fn a_station_that_is_heard_again_is_not_told_to_be_gone() {
        let t = start();
        let mut owners = owners(t);
        owners.learn(t, mac(1), node(1));
        owners.learn(t, mac(2), node(1));
        owners.handle_timeout(t + seconds(600));
        owners.learn(t + seconds(600), mac(1), node(1));
        let told: std::vec::Vec<MacAddr> =
            owners.poll_gone().iter().flatten().map(|station| station.mac).collect();
        assert_eq!(told, [mac(2)]);
        assert_eq!(owners.poll_gone(), None);
    }

    #[test]
    fn many_that_age_at_once_go_in_slices() {
        let t = start();
        let mut owners = owners(t);
        for n in 0..2000 {
            owners.learn(t, mac(n), node(2 + (n / 500) as u16));
        }
        owners.handle_timeout(t + seconds(900));
        assert_eq!(owners.len(), 2000 - OWNER_SWEEP);
        assert_eq!(
            owners.find(t + seconds(900), mac(1999)),
            None,
            "what is over is not used, even if it is there"
        );
        run(&mut owners, t, t + seconds(920));
        assert!(owners.is_empty());
    }

    #[test]
    fn addresses_of_a_node_out_of_reach_are_unknown_and_go_after_a_minute() {
        let t = start();
        for (back, kept) in [(59, true), (61, false)] {
            let mut owners = owners(t);
            owners.learn(t, mac(1), node(2));
            owners.learn(t, mac(2), node(3));
            owners.learn(t, mac(3), node(1));
            owners.handle_reach(t + seconds(1), |node| node.value() == 3);
            run(&mut owners, t, t + seconds(2));
            owners.handle_reach(t + seconds(2), |node| node.value() == 3);
            let now = t + seconds(2);
            let found = |owners: &Owners, now, n| owners.find(now, mac(n)).map(NodeId::value);
            assert_eq!([1, 2, 3].map(|n| found(&owners, now, n)), [None, Some(3), Some(1)]);
            assert_eq!((owners.len(), owners.iter(now).count()), (3, 2));
            let now = t + seconds(1 + back);
            run(&mut owners, t, now);
            owners.handle_reach(now, |_| true);
            assert_eq!([1, 2, 3].map(|n| found(&owners, now, n)), [kept.then_some(2), Some(3), Some(1)]);
        }
    }

    #[test]
    fn what_a_node_out_of_reach_has_yields_to_anybody_and_what_comes_of_it_is_not_used() {
        let t = start();
        let mut owners = owners(t);
        owners.set_quota(node(2), 9);
        owners.learn(t, mac(1), node(2));
        owners.handle_reach(t, |_| false);
        owners.learn(t, mac(2), node(2));
        assert_eq!(owners.find(t, mac(2)), None);
        owners.learn(t, mac(1), node(1));
        assert_eq!(owners.find(t, mac(1)), Some(node(1)));
        assert!(owners.poll_moves(t).is_some());
        run(&mut owners, t, t + seconds(66) + ms(100));
        assert_eq!(owners.len(), 1);
    }
}
