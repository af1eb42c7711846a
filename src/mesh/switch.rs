//! One frame in, one verdict out: learns source addresses, looks destinations up, limits floods.
//! Knows nodes, not links or sockets; never sends a frame from the mesh back into the mesh, so that no loop can
//! exist. Read first: IEEE 802.1Q-2018, 8.6 to 8.8; docs/protocol.md, "The switch".

use std::time::Instant;

use heapless::LinearMap;

use super::owners::Owners;
use crate::limits;
use crate::types::{DropReason, MacAddr, NodeId};

/// `option unknown_unicast`: what happens to a frame whose destination has no known owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UnknownUnicast {
    /// Flooded at a bounded rate.
    #[default]
    Limited,
    Drop,
    Flood,
}

/// What a node's certificate lets it do here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    /// Takes part in the Ethernet.
    pub l2: bool,
    /// If not empty: the only addresses that may live behind it.
    pub macs: Vec<MacAddr>,
    /// How many addresses may live behind it.
    pub quota: u16,
}

impl Permit {
    fn admits(&self, source: MacAddr) -> bool {
        self.l2 && (self.macs.is_empty() || self.macs.contains(&source))
    }
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
    Drop(DropReason),
}

pub struct Switch {
    me: NodeId,
    unknown: UnknownUnicast,
    owners: Owners,
    limiter: Limiter,
    /// Of ourselves and of each node that we are linked to. A node without one may do everything.
    permits: LinearMap<NodeId, Permit, { limits::LINKS + 1 }>,
}

impl Switch {
    pub fn new(me: NodeId, unknown: UnknownUnicast, now: Instant) -> Self {
        let (owners, limiter) = (Owners::new(me, now), Limiter::new(now));
        Self { me, unknown, owners, limiter, permits: LinearMap::new() }
    }

    /// From now on this is what the node may do.
    pub fn set_permit(&mut self, node: NodeId, permit: Permit) {
        self.owners.set_quota(node, permit.quota);
        // There is a place for each link and for us; what would not fit keeps the defaults.
        let _ = self.permits.insert(node, permit);
    }

    /// The node is no longer linked to us.
    pub fn remove_permit(&mut self, node: NodeId) {
        self.permits.remove(&node);
        self.owners.remove_quota(node);
    }

    fn admits(&self, node: NodeId, source: MacAddr) -> bool {
        self.permits.get(&node).is_none_or(|permit| permit.admits(source))
    }

    /// A frame that came out of the TAP.
    pub fn handle_local(&mut self, now: Instant, frame: &[u8]) -> Verdict {
        let (destination, source) = match addresses(frame) {
            Ok(addresses) => addresses,
            Err(reason) => return Verdict::Drop(reason),
        };
        if destination.is_reserved() {
            return Verdict::Drop(DropReason::Reserved);
        }
        if !self.admits(self.me, source) {
            return Verdict::Drop(DropReason::Rights);
        }
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

    /// A frame whose origin is another node.
    pub fn handle_remote(&mut self, now: Instant, origin: NodeId, frame: &[u8]) -> Verdict {
        match addresses(frame) {
            Ok((destination, _)) if destination.is_reserved() => Verdict::Drop(DropReason::Reserved),
            Ok((_, source)) if !self.admits(origin, source) => Verdict::Drop(DropReason::Rights),
            Ok((_, source)) => {
                self.owners.learn(now, source, origin);
                Verdict::Deliver
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// A further node can be reached: it may have what was looked for in vain.
    pub fn look_again(&mut self) {
        self.limiter.macs.clear();
    }

    /// Takes a changed configuration.
    pub fn set_unknown_unicast(&mut self, unknown: UnknownUnicast) {
        self.unknown = unknown;
    }

    fn handle_unknown(&mut self, now: Instant, destination: MacAddr) -> Verdict {
        let floods = match self.unknown {
            UnknownUnicast::Flood => true,
            UnknownUnicast::Drop => false,
            UnknownUnicast::Limited => self.limiter.permits(now, destination),
        };
        if floods { Verdict::Flood } else { Verdict::Drop(DropReason::UnknownUnicast) }
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
    if source.is_group() || source.is_zero() {
        return Err(DropReason::BadSource);
    }
    Ok((MacAddr([d0, d1, d2, d3, d4, d5]), source))
}

/// Floods of unknown destinations: a few for one address, a bounded rate for all together.
struct Limiter {
    /// Floods in a period. Full: the one that began first is forgotten.
    macs: LinearMap<MacAddr, Floods, { limits::UNKNOWN_MACS }>,
    second: (Instant, u32),
}

/// Of one address, in the period that began then.
struct Floods {
    began: Instant,
    last: Instant,
    /// Floods after the first.
    repeats: usize,
}

impl Limiter {
    fn new(now: Instant) -> Self {
        Self { macs: LinearMap::new(), second: (now, 0) }
    }

    fn permits(&mut self, now: Instant, mac: MacAddr) -> bool {
        if now.saturating_duration_since(self.second.0).as_secs() >= 1 {
            self.second = (now, 0);
        }
        if self.second.1 >= limits::UNKNOWN_PER_SECOND || !self.permits_mac(now, mac) {
            return false;
        }
        self.second.1 += 1;
        true
    }

    fn permits_mac(&mut self, now: Instant, mac: MacAddr) -> bool {
        if let Some(floods) = self.macs.get_mut(&mac) {
            if now.saturating_duration_since(floods.began) >= limits::UNKNOWN_PERIOD {
                *floods = Floods { began: now, last: now, repeats: 0 };
                return true;
            }
            let pause = limits::UNKNOWN_PAUSES.get(floods.repeats);
            let permits = pause.is_some_and(|pause| now.saturating_duration_since(floods.last) >= *pause);
            if permits {
                (floods.last, floods.repeats) = (now, floods.repeats + 1);
            }
            return permits;
        }
        if self.macs.len() == self.macs.capacity() {
            let oldest = self.macs.iter().min_by_key(|(_, floods)| floods.began).map(|(mac, _)| *mac);
            oldest.map(|mac| self.macs.remove(&mac));
        }
        self.macs.insert(mac, Floods { began: now, last: now, repeats: 0 }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xA]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xB]);

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn node(id: u16) -> NodeId {
        NodeId::new(id).expect("a valid id")
    }

    fn frame(destination: MacAddr, source: MacAddr) -> Vec<u8> {
        [&destination.0[..], &source.0, &[8, 0, 1, 2, 3]].concat()
    }

    fn switch(t: Instant) -> Switch {
        Switch::new(node(1), UnknownUnicast::Limited, t)
    }

    #[test]
    fn groups_are_flooded_and_known_addresses_go_to_their_owner() {
        let t = start();
        let mut switch = switch(t);
        assert_eq!(switch.handle_local(t, &frame(MacAddr::BROADCAST, A)), Verdict::Flood);
        assert_eq!(switch.handle_remote(t, node(2), &frame(A, B)), Verdict::Deliver);
        assert_eq!(switch.handle_local(t, &frame(B, A)), Verdict::To(node(2)));
        assert_eq!(switch.handle_local(t, &frame(A, A)), Verdict::Drop(DropReason::Local));
    }

    #[test]
    fn frames_that_no_bridge_forwards_are_dropped_both_ways() {
        let t = start();
        let reserved = MacAddr([1, 0x80, 0xC2, 0, 0, 0xE]);
        let long = [frame(B, A), vec![0; limits::FRAME_MAX]].concat();
        let cases: [(&[u8], DropReason); 6] = [
            (&[], DropReason::Malformed),
            (&frame(B, A)[..13], DropReason::Malformed),
            (&long, DropReason::Malformed),
            (&frame(reserved, A), DropReason::Reserved),
            (&frame(B, MacAddr([3, 0, 0, 0, 0, 1])), DropReason::BadSource),
            (&frame(B, MacAddr([0; 6])), DropReason::BadSource),
        ];
        for (bytes, reason) in cases {
            let mut switch = switch(t);
            assert_eq!(switch.handle_local(t, bytes), Verdict::Drop(reason));
            assert_eq!(switch.handle_remote(t, node(2), bytes), Verdict::Drop(reason));
            assert!(switch.owners().is_empty());
        }
    }

    #[test]
    fn unknown_destination_is_flooded_at_most_three_times_in_ten_seconds_and_not_all_at_once() {
        let t = start();
        let mut switch = switch(t);
        let flooded: Vec<u64> = (0..21_000)
            .filter(|ms| switch.handle_local(t + Duration::from_millis(*ms), &frame(B, A)) == Verdict::Flood)
            .collect();
        assert_eq!(flooded, [0, 100, 1100, 10_000, 10_100, 11_100, 20_000, 20_100]);
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

    #[test]
    fn floods_of_many_unknown_destinations_share_one_rate() {
        let t = start();
        let mut switch = switch(t);
        let mut floods = |seconds: u64| {
            let now = t + Duration::from_secs(seconds);
            (0..=255)
                .filter(|n| {
                    switch.handle_local(now, &frame(MacAddr([2, 1, 0, 0, seconds as u8, *n]), A))
                        == Verdict::Flood
                })
                .count()
        };
        assert_eq!(floods(0), 50);
        assert_eq!(floods(1), 50);
    }

    #[test]
    fn a_node_sends_only_what_its_certificate_permits() {
        let t = start();
        let cases = [
            (Permit { l2: true, macs: vec![], quota: 9 }, Verdict::Deliver),
            (Permit { l2: true, macs: vec![A, B], quota: 9 }, Verdict::Deliver),
            (Permit { l2: true, macs: vec![A], quota: 9 }, Verdict::Drop(DropReason::Rights)),
            (Permit { l2: false, macs: vec![], quota: 9 }, Verdict::Drop(DropReason::Rights)),
        ];
        for (permit, verdict) in cases {
            let mut switch = switch(t);
            switch.set_permit(node(2), permit.clone());
            assert_eq!(switch.handle_remote(t, node(2), &frame(A, B)), verdict, "{permit:?}");
            switch.remove_permit(node(2));
            assert_eq!(switch.handle_remote(t, node(2), &frame(A, B)), Verdict::Deliver);
            switch.set_permit(node(1), permit);
            let local = switch.handle_local(t, &frame(MacAddr::BROADCAST, B));
            assert_eq!(local == Verdict::Flood, verdict == Verdict::Deliver);
        }
    }

    #[test]
    fn a_certificate_can_lower_the_number_of_addresses_and_not_raise_it() {
        let t = start();
        for (quota, learned) in [(3, 3), (u16::MAX, usize::from(limits::OWNERS_PER_NODE))] {
            let mut switch = switch(t);
            switch.set_permit(node(2), Permit { l2: true, macs: vec![], quota });
            for n in 0..=2000_u16 {
                let [high, low] = n.to_be_bytes();
                switch.handle_remote(t, node(2), &frame(A, MacAddr([2, 1, 0, 0, high, low])));
            }
            assert_eq!(switch.owners().len(), learned);
        }
    }

    #[test]
    fn unknown_unicast_can_be_dropped_or_flooded_without_limit() {
        let t = start();
        for (config, floods) in [(UnknownUnicast::Drop, 0), (UnknownUnicast::Flood, 9)] {
            let mut switch = Switch::new(node(1), config, t);
            let flooded = (0..9).filter(|_| switch.handle_local(t, &frame(B, A)) == Verdict::Flood).count();
            assert_eq!(flooded, floods);
        }
    }
}
