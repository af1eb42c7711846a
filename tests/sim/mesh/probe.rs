//! One numbered frame, where it was seen and where it arrived, and what must hold of each at any time.
//! Read first: docs/testing.md, "The mesh on virtual time".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Eth,
    /// Repairs and slots that are left.
    Routed(u8, usize),
    Broadcast,
    /// Slots that are left.
    Tunnel(usize),
}

/// A probe on a link.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub at: Instant,
    pub from: usize,
    pub to: usize,
    /// The sender took the link for one that carries.
    pub is_alive: bool,
    /// The other end still had the link.
    pub is_met: bool,
    pub how: How,
}

pub struct Probe {
    pub from: usize,
    /// A station; `None`: for all.
    pub to: Option<usize>,
    pub sent: Instant,
    /// The way to the station as the sender knew it.
    pub way: Vec<usize>,
    pub seen: Vec<Seen>,
    /// The sites at whose TAPs it came out.
    pub arrived: Vec<usize>,
}

impl Probe {
    /// It went to all: as a broadcast, or since nobody knew where the station was.
    pub fn is_flooded(&self) -> bool {
        self.to.is_none() || self.seen.iter().any(|seen| seen.how == How::Broadcast)
    }

    /// What must hold for every frame at any time. The word says which invariant does not.
    pub fn check(&self) -> Result<(), String> {
        let mut places = self.arrived.clone();
        places.sort_unstable();
        let once = places.windows(2).all(|pair| pair[0] != pair[1]) && !places.contains(&self.from);
        once.then_some(()).ok_or("it arrived twice, or where it came from")?;
        if self.is_flooded() { self.check_flood() } else { self.check_route() }
    }

    /// On each link less repairs, or as many and less slots, are left than on the one before.
    fn check_route(&self) -> Result<(), String> {
        let rank = |seen: &Seen| match seen.how {
            How::Routed(repairs, slots) => (repairs, slots),
            _ => (3, 0),
        };
        for pair in self.seen.windows(2) {
            if rank(&pair[1]) >= rank(&pair[0]) {
                return Err(format!("its rank grows from {:?}", pair[0]));
            }
            if pair[1].from != pair[0].to {
                return Err(format!("there are two of it after {:?}", pair[0]));
            }
            if pair[1].to == pair[0].from && rank(&pair[1]).0 == rank(&pair[0]).0 {
                return Err(format!("it goes back after {:?}", pair[0]));
            }
        }
        Ok(())
    }

    /// Each node hands it on in one moment, over each link once, and not back to the only one that it has it from. Round dead
    /// links others carry it besides, with one slot less on each link.
    fn check_flood(&self) -> Result<(), String> {
        let mut moments: BTreeMap<usize, BTreeSet<Instant>> = BTreeMap::new();
        let mut copies = BTreeSet::new();
        for (place, seen) in self.seen.iter().enumerate() {
            let before = self.seen[..place].iter().filter(|earlier| earlier.to == seen.from);
            if let How::Tunnel(slots) = seen.how
                && before.clone().any(|earlier| earlier.how == How::Tunnel(slots + 1))
            {
                continue;
            }
            moments.entry(seen.from).or_default().insert(seen.at);
            if matches!(seen.how, How::Tunnel(_)) {
                continue;
            }
            if !copies.insert((seen.from, seen.to)) {
                return Err(format!("a second copy on a link: {seen:?}"));
            }
            let sources: BTreeSet<usize> = before.map(|earlier| earlier.from).collect();
            let tunneled = self.seen[..place]
                .iter()
                .any(|earlier| earlier.to == seen.from && earlier.how == How::Tunnel(0));
            if seen.from != self.from && !tunneled && sources.iter().eq([&seen.to]) {
                return Err(format!("it goes back: {seen:?}"));
            }
        }
        match moments.iter().find(|(_, moments)| moments.len() > 1) {
            Some((site, _)) => Err(format!("site {site} hands it on twice")),
            None => Ok(()),
        }
    }

    /// Its way, for people.
    pub fn tell(&self) -> String {
        let mut text = format!("from {} to station {:?}, arrived at {:?}:", self.from, self.to, self.arrived);
        for Seen { at, from, to, is_alive, is_met, how } in &self.seen {
            let after = at.duration_since(self.sent);
            let alive = if *is_alive { "" } else { " dead" };
            let met = if *is_met { "" } else { " given up there" };
            text += &format!(" {from}-{to} {how:?}{alive}{met} +{after:?};");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::How::{Broadcast, Eth, Routed, Tunnel};
    use super::*;
    use crate::mesh::net::ms;
    use crate::world::World;

    /// From site 0 to the station of site 2, or to all; milliseconds, ends and kinds of what was seen.
    fn check(to: Option<usize>, arrived: &[usize], seen: &[(u64, usize, usize, How)]) -> Result<(), String> {
        let sent = World::new(1).now;
        let seen = seen.iter().map(|(at, from, to, how)| Seen {
            at: sent + ms(*at),
            from: *from,
            to: *to,
            is_alive: true,
            is_met: true,
            how: *how,
        });
        let (seen, arrived, way) = (seen.collect(), arrived.to_vec(), Vec::new());
        Probe { from: 0, to, sent, way, seen, arrived }.check()
    }

    #[test]
    fn a_probe_tells_good_from_bad_ways() {
        let unicast = |seen: &[_]| check(Some(2), &[2], seen).err().unwrap_or_default();
        assert_eq!(unicast(&[(0, 0, 1, Routed(3, 1)), (1, 1, 2, Routed(3, 0))]), "");
        assert_eq!(
            unicast(&[(0, 0, 1, Routed(3, 1)), (1, 1, 0, Routed(2, 1)), (2, 0, 2, Eth)]).split(' ').nth(1),
            Some("rank")
        );
        assert!(unicast(&[(0, 0, 1, Routed(3, 1)), (1, 1, 2, Routed(3, 1))]).contains("rank grows"));
        assert!(unicast(&[(0, 0, 1, Routed(3, 1)), (1, 3, 2, Routed(3, 0))]).contains("two of it"));
        assert!(unicast(&[(0, 0, 1, Routed(3, 1)), (1, 1, 0, Routed(3, 0))]).contains("goes back"));
        assert!(check(Some(2), &[2, 2], &[]).is_err() && check(None, &[1, 0], &[]).is_err());
        let to_all = |seen: &[_]| check(None, &[1, 2], seen).err().unwrap_or_default();
        let first = (0, 0, 1, Broadcast);
        assert_eq!(to_all(&[first, (1, 1, 2, Broadcast), (1, 1, 3, Tunnel(1)), (2, 3, 4, Tunnel(0))]), "");
        assert!(to_all(&[first, (1, 1, 2, Broadcast), (2, 1, 3, Broadcast)]).contains("twice"));
        assert!(to_all(&[first, (1, 1, 2, Broadcast), (1, 1, 2, Broadcast)]).contains("second copy"));
        assert!(to_all(&[first, (1, 1, 0, Broadcast)]).contains("goes back"));
        assert!(to_all(&[first, (1, 1, 2, Tunnel(1)), (2, 1, 2, Tunnel(1))]).contains("twice"));
    }
}
