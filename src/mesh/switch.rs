//! One frame in, one verdict out: learns source addresses, looks destinations up, limits floods.
//! Knows nodes, not links or sockets; never sends a frame from the mesh back into the mesh, except to where its station
//! went. Read first: IEEE 802.1Q-2018, 8.6 to 8.8; docs/protocol.md, "The switch".

use std::time::Instant;

use super::owners::{Batch, Owners, Snapshot};
pub use super::rights::Permit;
use super::rights::Rights;
use super::unknown::Limiter;
use crate::limits;
use crate::types::{DropReason, MacAddr, NodeId, Table};
use crate::wire::stations::{Owned, Station};

/// `option unknown_unicast`: what happens to a frame whose destination has no known owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UnknownUnicast {
    /// Flooded at a bounded rate.
    #[default]
    Limited,
    Drop,
    Flood,
}

/// What may change while the switch runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    pub unknown_unicast: UnknownUnicast,
    /// `option stp_pass`: frames to [`MacAddr::STP`] are carried like broadcasts.
    pub stp_pass: bool,
}

/// How a frame came from another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cast {
    /// To this node, which is where its way ends.
    One,
    /// To all.
    All,
}

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// To the node that owns the destination.
    To(NodeId),
    /// To every node.
    Flood,
    /// Out of the TAP.
    Deliver,
    /// It came for a station that lives behind this node now: on to there, if it may still be sent on.
    Redirect(NodeId),
    Drop(DropReason),
}

pub struct Switch {
    me: NodeId,
    config: Config,
    owners: Owners,
    limiter: Limiter,
    rights: Rights,
}

impl Switch {
    /// `seed`: any number that others cannot know.
    pub fn new(me: NodeId, config: Config, seed: u64, now: Instant) -> Self {
        let owners = Owners::new(me, seed, now);
        Self { me, config, owners, limiter: Limiter::new(now), rights: Rights::new() }
    }

    /// From now on this is what the node may do; what lives behind it or another against it is forgotten. A node without a
    /// permit may do nothing.
    pub fn set_permit(&mut self, node: NodeId, permit: Permit) {
        let fits = self.rights.set(node, &permit) && self.owners.has_room_for(node);
        if !fits {
            self.rights.refuse(node);
            let macs = permit.macs.len();
            self.owners.note(format!(
                "rights of node {node}: no room for it and its {macs} addresses, its frames are refused"
            ));
        }
        let rights = &self.rights;
        self.owners.retain(node, |mac| rights.admits(node, mac));
        for mac in permit.macs {
            self.owners.retain_address(mac, |owner| rights.admits(owner, mac));
        }
        self.owners.set_quota(node, permit.quota);
    }

    /// No certificate of the node is known any more.
    pub fn remove_permit(&mut self, node: NodeId) {
        self.rights.remove(node);
        self.owners.remove_quota(node);
    }

    /// The node was revoked: nothing lives behind it, at once, and it may do nothing.
    pub fn forget(&mut self, node: NodeId) {
        self.owners.forget(node);
        self.remove_permit(node);
    }

    /// A frame that came out of the TAP.
    pub fn handle_local(&mut self, now: Instant, frame: &[u8]) -> Verdict {
        let (destination, source) = match self.judge(self.me, frame) {
            Ok(addresses) => addresses,
            Err(reason) => return Verdict::Drop(reason),
        };
        self.owners.learn(now, source, self.me);
        if destination.is_group() {
            return Verdict::Flood;
        }
        match self.owners.find(now, destination) {
            Some(owner) if owner == self.me => Verdict::Drop(DropReason::Local),
            Some(owner) => Verdict::To(owner),
            None => self.handle_unknown(now, destination),
        }
    }

    /// A frame of another node that has come to its end here, or is for all; not one that only passes.
    pub fn handle_remote(&mut self, now: Instant, origin: NodeId, frame: &[u8], cast: Cast) -> Verdict {
        let (destination, source) = match self.judge(origin, frame) {
            // From outside nothing comes in our name.
            Ok(_) if origin == self.me => return Verdict::Drop(DropReason::Rights),
            Ok(addresses) => addresses,
            Err(reason) => return Verdict::Drop(reason),
        };
        self.owners.learn(now, source, origin);
        if cast == Cast::All || destination.is_group() {
            return Verdict::Deliver;
        }
        match self.owners.find(now, destination) {
            // The origin sent it here, so it does not have the station any more.
            Some(owner) if owner != self.me && owner != origin => Verdict::Redirect(owner),
            _ => Verdict::Deliver,
        }
    }

    /// Destination and source of a frame that may be carried.
    fn judge(&self, origin: NodeId, frame: &[u8]) -> Result<(MacAddr, MacAddr), DropReason> {
        let (destination, source) = addresses(frame)?;
        let passes = self.config.stp_pass && destination == MacAddr::STP;
        if destination.is_reserved() && !passes {
            return Err(DropReason::Reserved);
        }
        if !self.rights.admits(origin, source) {
            return Err(DropReason::Rights);
        }
        Ok((destination, source))
    }

    fn handle_unknown(&mut self, now: Instant, destination: MacAddr) -> Verdict {
        let floods = match self.config.unknown_unicast {
            UnknownUnicast::Flood => true,
            UnknownUnicast::Drop => false,
            UnknownUnicast::Limited => self.limiter.permits(now, destination),
        };
        if floods { Verdict::Flood } else { Verdict::Drop(DropReason::UnknownUnicast) }
    }

    /// Whether MAC_MOVE or MAC_GONE would tell anything new if it is well signed, or claims what may not be: otherwise its
    /// signature is not worth a look.
    pub fn is_news(
        &self,
        now: Instant,
        owner: NodeId,
        mut stations: impl Iterator<Item = Station>,
        gone: bool,
    ) -> bool {
        stations.any(|station| match gone {
            true => self.owners.would_go(owner, station),
            false => !self.may_live(station.mac, owner) || self.owners.would_move(now, owner, station),
        })
    }

    /// MAC_MOVE, well signed and of the owner's present epoch. True: it told something new, and is to be flooded on.
    pub fn handle_moves(
        &mut self,
        now: Instant,
        owner: NodeId,
        stations: impl IntoIterator<Item = Station>,
    ) -> bool {
        let mut is_news = false;
        for station in stations {
            if owner == self.me || !self.may_live(station.mac, owner) {
                self.owners.count_refused();
            } else {
                is_news |= self.owners.handle_move(now, owner, station);
            }
        }
        is_news
    }

    /// MAC_GONE, well signed and of the owner's present epoch. True: it told something new, and is to be flooded on.
    pub fn handle_gone(&mut self, owner: NodeId, stations: impl IntoIterator<Item = Station>) -> bool {
        let mut is_news = false;
        stations.into_iter().for_each(|station| is_news |= self.owners.handle_gone(owner, station));
        is_news
    }

    /// The next MAC_MOVE to sign and to flood.
    pub fn poll_moves(&mut self, now: Instant) -> Option<Batch> {
        self.owners.poll_moves(now)
    }

    /// The next MAC_GONE to sign and to flood.
    pub fn poll_gone(&mut self) -> Option<Batch> {
        self.owners.poll_gone()
    }

    /// MAC_SNAPSHOT for a node that asked, the part that begins at `start`: see [`Owners::snapshot`].
    pub fn snapshot(&self, now: Instant, start: usize) -> Option<Snapshot> {
        self.owners.snapshot(now, start)
    }

    /// MAC_SNAPSHOT that we asked for. How many addresses were new.
    pub fn handle_snapshot(
        &mut self,
        now: Instant,
        rows: impl IntoIterator<Item = Owned>,
        is_known: impl Fn(NodeId) -> bool,
    ) -> usize {
        let mut learned = 0;
        for row in rows {
            let is_good = is_known(row.owner) && self.may_live(row.mac, row.owner);
            learned += usize::from(is_good && self.owners.handle_owned(now, row));
        }
        learned
    }

    fn may_live(&self, mac: MacAddr, owner: NodeId) -> bool {
        is_station(mac) && self.rights.admits(owner, mac)
    }

    /// Which nodes a path leads to, after each search.
    pub fn handle_reach(&mut self, now: Instant, is_reached: impl Fn(NodeId) -> bool) {
        self.owners.handle_reach(now, is_reached);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.owners.next_timeout()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.owners.handle_timeout(now);
    }

    /// A line for log and status.
    pub fn poll_note(&mut self) -> Option<String> {
        self.owners.poll_note()
    }

    /// A further node can be reached: it may have what was looked for in vain.
    pub fn look_again(&mut self) {
        self.limiter.look_again();
    }

    /// Takes a changed configuration.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// At most so many addresses, and not more than [`limits::OWNERS`].
    pub fn set_capacity(&mut self, now: Instant, macs: usize) {
        self.owners.set_capacity(now, macs);
    }

    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> {
        let unknown = self.limiter.table();
        self.owners.tables().into_iter().chain(self.rights.tables()).chain([unknown])
    }
}

/// Destination and source, if the frame has them and may be carried.
fn addresses(frame: &[u8]) -> Result<(MacAddr, MacAddr), DropReason> {
    let Some((&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, _, _], _)) = frame.split_first_chunk::<14>()
    else {
        return Err(DropReason::Malformed);
    };
    if frame.len() > limits::FRAME_MAX {
        return Err(DropReason::Malformed);
    }
    let source = MacAddr([s0, s1, s2, s3, s4, s5]);
    if !is_station(source) {
        return Err(DropReason::BadSource);
    }
    Ok((MacAddr([d0, d1, d2, d3, d4, d5]), source))
}

/// An address that one station can have.
fn is_station(mac: MacAddr) -> bool {
    !mac.is_group() && !mac.is_zero()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::owners::tests::{mac, node, start};
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xA]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xB]);

    pub fn frame(destination: MacAddr, source: MacAddr) -> Vec<u8> {
        [&destination.0[..], &source.0, &[8, 0, 1, 2, 3]].concat()
    }

    /// Nodes 1 (us) to 9, which may do everything.
    pub fn switch(t: Instant) -> Switch {
        let mut switch = Switch::new(node(1), Config::default(), 7, t);
        for id in 1..10 {
            switch.set_permit(node(id), Permit { l2: true, macs: vec![], quota: u16::MAX });
        }
        switch
    }

    #[test]
    fn groups_are_flooded_and_known_addresses_go_to_their_owner() {
        let t = start();
        let mut switch = switch(t);
        assert_eq!(switch.handle_local(t, &frame(MacAddr::BROADCAST, A)), Verdict::Flood);
        assert_eq!(switch.handle_remote(t, node(2), &frame(A, B), Cast::One), Verdict::Deliver);
        assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::To(node(2)));
        assert_eq!(switch.handle_local(t, &frame(A, A)), Verdict::Drop(DropReason::Local));
    }

    #[test]
    fn frames_that_no_bridge_forwards_are_dropped_both_ways() {
        let t = start();
        let reserved = MacAddr([1, 0x80, 0xC2, 0, 0, 0xE]);
        let long = [frame(B, A), vec![0; limits::FRAME_MAX]].concat();
        let cases: [(&[u8], DropReason); 7] = [
            (&[], DropReason::Malformed),
            (&frame(B, A)[..13], DropReason::Malformed),
            (&long, DropReason::Malformed),
            (&frame(reserved, A), DropReason::Reserved),
            (&frame(MacAddr::STP, A), DropReason::Reserved),
            (&frame(B, MacAddr([3, 0, 0, 0, 0, 1])), DropReason::BadSource),
            (&frame(B, MacAddr([0; 6])), DropReason::BadSource),
        ];
        for (bytes, reason) in cases {
            let mut switch = switch(t);
            assert_eq!(switch.handle_local(t, bytes), Verdict::Drop(reason));
            assert_eq!(switch.handle_remote(t, node(2), bytes, Cast::All), Verdict::Drop(reason));
            assert!(switch.owners().is_empty());
        }
    }

    #[test]
    fn with_stp_pass_spanning_tree_and_nothing_else_is_carried() {
        let t = start();
        let mut switch = switch(t);
        switch.configure(Config { stp_pass: true, ..Config::default() });
        for last in 0..16 {
            let bytes = frame(MacAddr([1, 0x80, 0xC2, 0, 0, last]), A);
            let dropped = Verdict::Drop(DropReason::Reserved);
            let [local, remote] = if last == 0 { [Verdict::Flood, Verdict::Deliver] } else { [dropped; 2] };
            assert_eq!(switch.handle_local(t, &bytes), local);
            assert_eq!(switch.handle_remote(t, node(2), &bytes, Cast::One), remote);
        }
        switch.configure(Config::default());
        assert_eq!(switch.handle_local(t, &frame(MacAddr::STP, A)), Verdict::Drop(DropReason::Reserved));
    }

    #[test]
    fn what_comes_for_a_station_that_went_elsewhere_is_sent_on() {
        let t = start();
        for (cast, verdict) in [(Cast::One, Verdict::Redirect(node(3))), (Cast::All, Verdict::Deliver)] {
            let mut switch = switch(t);
            switch.handle_local(t, &frame(MacAddr::BROADCAST, B));
            assert_eq!(switch.handle_remote(t, node(2), &frame(B, A), cast), Verdict::Deliver);
            assert!(switch.handle_moves(t, node(3), [Station { mac: B, moves: 1 }]));
            assert_eq!(switch.handle_remote(t, node(2), &frame(B, A), cast), verdict);
            // Who sent it here knows better than we, and so does everybody else if no path leads there.
            assert_eq!(switch.handle_remote(t, node(3), &frame(B, A), cast), Verdict::Deliver);
            assert_eq!(
                switch.handle_remote(t, node(2), &frame(MacAddr::BROADCAST, A), cast),
                Verdict::Deliver
            );
            switch.handle_reach(t, |node| node.value() != 3);
            assert_eq!(switch.handle_remote(t, node(2), &frame(B, A), cast), Verdict::Deliver);
        }
    }

    #[test]
    fn from_outside_nothing_comes_in_our_name() {
        let t = start();
        let mut switch = switch(t);
        let refused = Verdict::Drop(DropReason::Rights);
        assert_eq!(switch.handle_remote(t, node(1), &frame(B, A), Cast::All), refused);
        assert!(!switch.handle_moves(t, node(1), [Station { mac: A, moves: 1 }]));
        assert_eq!((switch.owners().len(), switch.owners().counters().refused), (0, 1));
    }

    #[test]
    fn destinations_behind_a_node_out_of_reach_are_unknown() {
        let t = start();
        let mut switch = switch(t);
        switch.handle_remote(t, node(2), &frame(A, B), Cast::One);
        switch.handle_reach(t, |_| false);
        assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::Flood);
        switch.handle_reach(t, |_| true);
        assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::To(node(2)));
    }

    fn permit(macs: &[MacAddr]) -> Permit {
        Permit { l2: true, macs: macs.to_vec(), quota: 9 }
    }

    #[test]
    fn a_node_sends_only_what_its_certificate_permits() {
        let t = start();
        let refused = Verdict::Drop(DropReason::Rights);
        let cases = [
            (permit(&[]), Verdict::Deliver),
            (permit(&[A, B]), Verdict::Deliver),
            (permit(&[A]), refused),
            (Permit { l2: false, ..permit(&[]) }, refused),
        ];
        for (permit, verdict) in cases {
            let mut switch = switch(t);
            switch.set_permit(node(2), permit.clone());
            assert_eq!(switch.handle_remote(t, node(2), &frame(A, B), Cast::One), verdict, "{permit:?}");
            switch.remove_permit(node(2));
            assert_eq!(switch.handle_remote(t, node(2), &frame(A, B), Cast::One), refused);
            switch.set_permit(node(1), permit);
            let local = switch.handle_local(t, &frame(MacAddr::BROADCAST, B));
            assert_eq!(local == Verdict::Flood, verdict == Verdict::Deliver);
        }
    }

    #[test]
    fn an_address_in_the_list_of_another_node_is_refused_wherever_it_comes_from() {
        let t = start();
        let mut switch = switch(t);
        let refused = Verdict::Drop(DropReason::Rights);
        // Who had it before loses it.
        switch.handle_remote(t, node(2), &frame(A, B), Cast::One);
        switch.handle_local(t, &frame(MacAddr::BROADCAST, A));
        switch.set_permit(node(3), permit(&[B]));
        assert_eq!((switch.owners().find(t, B), switch.owners().find(t, A)), (None, Some(node(1))));
        assert_eq!(switch.handle_remote(t, node(2), &frame(A, B), Cast::All), refused);
        assert_eq!(switch.handle_local(t, &frame(A, B)), refused);
        assert!(!switch.handle_moves(t, node(2), [Station { mac: B, moves: 9 }]));
        let owned = |owner| Owned { mac: B, owner, moves: 0 };
        assert_eq!(switch.handle_snapshot(t, [owned(node(2))], |_| true), 0);
        assert_eq!((switch.owners().len(), switch.owners().counters().refused), (1, 1));
        assert_eq!(switch.handle_snapshot(t, [owned(node(3))], |_| false), 0);
        assert_eq!(switch.handle_snapshot(t, [owned(node(3))], |_| true), 1);
        assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::To(node(3)));
        assert!(switch.handle_moves(t, node(3), [Station { mac: B, moves: 1 }]));
        // And it may have no other one.
        assert!(!switch.handle_moves(t, node(3), [Station { mac: A, moves: 1 }]));
        switch.forget(node(3));
        assert_eq!(switch.owners().find(t, B), None);
        assert_eq!(switch.handle_remote(t, node(2), &frame(A, B), Cast::One), Verdict::Deliver);
    }

    #[test]
    fn a_move_of_some_stations_is_news_even_if_others_are_refused() {
        let t = start();
        let mut switch = switch(t);
        let group = Station { mac: MacAddr::BROADCAST, moves: 1 };
        let zero = Station { mac: MacAddr([0; 6]), moves: 1 };
        assert!(!switch.handle_moves(t, node(2), [group, zero]));
        let good = Station { mac: A, moves: 1 };
        assert!(switch.handle_moves(t, node(2), [group, good, zero]));
        assert_eq!(switch.owners().counters().refused, 4);
        assert!(switch.handle_gone(node(2), [zero, good]) && switch.owners().is_empty());
    }

    #[test]
    fn what_tells_nothing_new_needs_no_look_at_its_signature() {
        let t = start();
        let mut switch = switch(t);
        let is_news = |switch: &Switch, owner, mac, moves, gone| {
            switch.is_news(t, node(owner), [Station { mac, moves }].into_iter(), gone)
        };
        assert!(is_news(&switch, 2, A, 1, false) && !is_news(&switch, 2, A, 1, true));
        assert!(switch.handle_moves(t, node(2), [Station { mac: A, moves: 5 }]));
        for (owner, moves, gone, expected) in [
            (2, 5, false, false),
            (2, 4, false, false),
            (3, 5, false, false),
            (3, 6, false, true),
            (2, 6, false, true),
            (2, 5, true, true),
            (2, 4, true, false),
            (3, 9, true, false),
        ] {
            assert_eq!(is_news(&switch, owner, A, moves, gone), expected, "{owner} {moves} {gone}");
        }
        switch.set_permit(node(4), permit(&[B]));
        assert!(is_news(&switch, 2, B, 1, false), "it is to be counted whose claim that was");
    }

    #[test]
    fn a_list_for_which_there_is_no_room_permits_nothing_and_is_spoken_of() {
        let t = start();
        let mut switch = switch(t);
        let many: Vec<MacAddr> = (0..=limits::RESERVED as u32).map(mac).collect();
        switch.handle_remote(t, node(2), &frame(A, B), Cast::One);
        switch.set_permit(node(2), permit(&many));
        let line = format!(
            "rights of node 2: no room for it and its {} addresses, its frames are refused",
            many.len()
        );
        assert_eq!(switch.poll_note(), Some(line));
        let refused = Verdict::Drop(DropReason::Rights);
        for source in [B, mac(0)] {
            assert_eq!(switch.handle_remote(t, node(2), &frame(A, source), Cast::One), refused);
        }
        assert_eq!(switch.handle_remote(t, node(3), &frame(A, mac(0)), Cast::One), Verdict::Deliver);
        assert_eq!((switch.owners().find(t, B), switch.poll_note()), (None, None));
    }

    #[test]
    fn unknown_unicast_can_be_dropped_or_flooded_without_limit() {
        let t = start();
        for (unknown_unicast, floods) in [(UnknownUnicast::Drop, 0), (UnknownUnicast::Flood, 9)] {
            let mut switch = switch(t);
            switch.configure(Config { unknown_unicast, ..Config::default() });
            let flooded = (0..9).filter(|_| switch.handle_local(t, &frame(B, A)) == Verdict::Flood).count();
            assert_eq!(flooded, floods);
        }
    }

    #[test]
    fn what_was_looked_for_in_vain_is_looked_for_again_when_a_node_comes() {
        let t = start();
        let mut switch = switch(t);
        for _ in 0..2 {
            assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::Flood);
            assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::Drop(DropReason::UnknownUnicast));
            switch.look_again();
        }
    }
}
