//! Where a frame goes next: along a route, round a dead link, or down a tree. Sends nothing and looks into no frame.
//! Read first: docs/protocol.md, "Data frames" and "Repair".

use std::time::Instant;

use super::fabric::Fabric;
use super::flood::{Ingress, Mark, Onward, Refused};
use super::graph::Transit;
use super::spf::{Route, bit};
use crate::limits::ROUTE_REPAIRS;
use crate::types::{DropReason, NodeId};
use crate::wire::overlay::{self, BCAST_HEADER, Broadcast, Header, Routed};

/// The next link of a frame, and what goes in front of it there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    pub slot: u8,
    pub header: Header,
}

/// How a frame of this node gets to all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// There is one other node, on that slot.
    One(u8),
    /// Over the links of these slots, one bit each.
    Tree([u8; BCAST_HEADER], u64),
}

impl Fabric {
    /// The way of a frame of this node to another one.
    pub fn launch(&mut self, to: NodeId) -> Option<Hop> {
        let route = self.own_route(to)?;
        self.hop(ROUTE_REPAIRS, self.me, &route)
    }

    /// The way of a frame that ended here, to the node that its destination has moved to.
    pub fn redirect(&mut self, origin: NodeId, repairs: u8, to: NodeId) -> Option<Hop> {
        let route = self.own_route(to)?;
        self.hop(repairs.checked_sub(1)?, origin, &route)
    }

    fn own_route(&mut self, to: NodeId) -> Option<Route> {
        if self.repairs.is_empty() {
            if let Some(known) = self.routes.get(&to).filter(|route| self.starts_alive(route)) {
                return Some(known.clone());
            }
            if let Some(route) = self.shortest(to) {
                let _ = self.routes.insert(to, route.clone());
                return Some(route);
            }
        }
        self.present_route(to)
    }

    /// The slots along which a frame of this node goes to another one now.
    pub(super) fn present_route(&self, to: NodeId) -> Option<Route> {
        let found = if self.repairs.is_empty() {
            self.shortest(to)
        } else {
            let route = self.repairs.launch(&self.graph, self.trees.paths(), to);
            route.filter(|route| self.starts_alive(route))
        };
        found.or_else(|| self.last_resort(to))
    }

    fn shortest(&self, to: NodeId) -> Option<Route> {
        self.trees.route(&self.graph, to).filter(|route| self.starts_alive(route))
    }

    /// A link that others do not know of, since it is new or fails too often, still leads to its end; and one that is
    /// suspect may still carry, if nothing else does.
    fn last_resort(&self, to: NodeId) -> Option<Route> {
        let is_up = |slot: &u8| bit(*slot) & self.neighbors.up() != 0;
        let direct = self.neighbors.find(to).map(|(slot, _)| slot).filter(is_up);
        let route = || self.trees.route(&self.graph, to).filter(|route| route.first().is_some_and(is_up));
        direct.map(|slot| Route::from_iter([slot])).or_else(route)
    }

    fn starts_alive(&self, route: &[u8]) -> bool {
        route.first().is_some_and(|slot| self.neighbors.is_alive(*slot))
    }

    fn hop(&self, repairs: u8, origin: NodeId, route: &[u8]) -> Option<Hop> {
        let (slot, rest) = route.split_first()?;
        let header = if origin == self.me && rest.is_empty() {
            Header::from_iter([overlay::ETH])
        } else {
            Routed::header(repairs, origin, rest)?
        };
        Some(Hop { slot: *slot, header })
    }

    /// A frame with a route that goes on from here.
    pub fn transit(&self, ingress: u8, routed: &Routed<'_>) -> Result<Hop, DropReason> {
        let (next, rest) = routed.slots.split_first().ok_or(DropReason::Malformed)?;
        if self.transit == Transit::No || !self.may_hand_on(ingress, routed.origin) {
            return Err(DropReason::Rights);
        }
        if self.returns(*next, rest) {
            return Err(DropReason::Local);
        }
        if self.neighbors.is_alive(*next) {
            return self.pass(ingress, *next, rest, routed);
        }
        let round = self.go_round(*next, rest, routed);
        match round {
            None if bit(*next) & self.neighbors.up() != 0 => self.pass(ingress, *next, rest, routed),
            other => other.ok_or(DropReason::NoRoute),
        }
    }

    /// The next link is dead, or may be: another way to where the route ends.
    fn go_round(&self, next: u8, rest: &[u8], routed: &Routed<'_>) -> Option<Hop> {
        let repairs = routed.repairs.checked_sub(1)?;
        // Our own links are known here even when they are withdrawn.
        let far = self.neighbors.get(next)?.id;
        let end = self.topology.walk(far, rest).filter(|end| *end != self.me)?;
        let round = self.repairs.route(&self.graph, next, end);
        let route = round.or_else(|| self.trees.route(&self.graph, end))?;
        let (slot, rest) = route.split_first()?;
        let header = Routed::header(repairs, routed.origin, rest)?;
        self.neighbors.is_alive(*slot).then_some(Hop { slot: *slot, header })
    }

    /// Whether a route that goes on like this leads over this node again. No shortest path does: it is somebody's who wants
    /// one frame to cross the same links up to 63 times.
    fn returns(&self, next: u8, rest: &[u8]) -> bool {
        // With one link left it leads back over the link that the frame came on at most: the node there refuses that.
        let far = self.neighbors.get(next).map(|own| own.id).filter(|_| rest.len() > 1);
        let mut at = far;
        rest.iter().any(|slot| {
            at = at.and_then(|node| self.topology.walk(node, &[*slot]));
            at == Some(self.me)
        })
    }

    fn pass(&self, ingress: u8, next: u8, rest: &[u8], routed: &Routed<'_>) -> Result<Hop, DropReason> {
        let is_end = rest.is_empty();
        let may = self.neighbors.get(next).is_some_and(|own| is_end || own.transit == Transit::Yes);
        if next == ingress || !may {
            return Err(if may { DropReason::Local } else { DropReason::Rights });
        }
        let header = Routed::header(routed.repairs, routed.origin, rest).ok_or(DropReason::Malformed)?;
        Ok(Hop { slot: next, header })
    }

    /// A frame with a route ended here: may that be its origin?
    pub fn arrive(&self, ingress: u8, origin: NodeId) -> Result<(), DropReason> {
        if !self.may_hand_on(ingress, origin) {
            return Err(DropReason::Rights);
        }
        if origin == self.me || !self.reaches(origin) { Err(DropReason::Origin) } else { Ok(()) }
    }

    /// A neighbor that is no transit hands on nothing of others.
    fn may_hand_on(&self, ingress: u8, origin: NodeId) -> bool {
        self.neighbors.get(ingress).is_some_and(|own| own.transit == Transit::Yes || own.id == origin)
    }

    /// How a frame of this node gets to all others. `None`: there are none.
    pub fn spread(&mut self, now: Instant) -> Option<Spread> {
        if let Some(slot) = self.alone_with {
            return Some(Spread::One(slot));
        }
        if !self.sync.is_ready {
            return None;
        }
        let (seq, slots) = self.flood.originate(now);
        let header =
            Broadcast { origin: self.me, epoch: self.announcer.epoch as u8, seq, is_astray: false }.header();
        Some(Spread::Tree(header, slots)).filter(|_| slots != 0)
    }

    /// A broadcast came. How it goes on, if this is its first copy.
    pub fn receive(
        &mut self,
        now: Instant,
        (ingress, is_tunneled): (u8, bool),
        broadcast: Broadcast,
        frame: &[u8],
    ) -> Result<Onward, DropReason> {
        let Broadcast { origin, epoch, seq, is_astray } = broadcast;
        if !self.may_hand_on(ingress, origin) {
            return Err(DropReason::Rights);
        }
        let way = match (is_tunneled, is_astray) {
            (true, _) => Ingress::Tunnel,
            (_, true) => Ingress::Astray(ingress),
            _ => Ingress::Slot(ingress),
        };
        let announced = self.topology.epoch(origin).ok_or(DropReason::NoRoute)?;
        self.flood.receive(now, Mark { origin, epoch, seq }, way, announced, frame).map_err(|refused| {
            match refused {
                Refused::Own | Refused::Duplicate => DropReason::BcastDup,
                Refused::NoPath => DropReason::NoRoute,
                Refused::Epoch | Refused::Ahead => DropReason::BcastStale,
            }
        })
    }

    /// Of these slots, those that a broadcast goes out on as it is; the others need [`Fabric::tunnels`].
    pub fn alive(&self, slots: u64) -> u64 {
        slots & self.neighbors.alive()
    }

    /// The ways of a broadcast round the dead link on that slot: to the node at its end, and to those that have the broadcast
    /// from that node, which may be dead too.
    pub fn tunnels(&self, slot: u8) -> Vec<Hop> {
        let far = self.neighbors.get(slot).and_then(|own| self.repairs.route(&self.graph, slot, own.id));
        let behind = self.repairs.routes_behind(&self.graph, slot);
        far.into_iter().chain(behind).filter_map(|route| self.tunnel(&route)).collect()
    }

    fn tunnel(&self, route: &[u8]) -> Option<Hop> {
        let (first, rest) = route.split_first()?;
        let header = overlay::tunnel_header(rest)?;
        self.neighbors.is_alive(*first).then_some(Hop { slot: *first, header })
    }

    /// A broadcast that goes round a dead link, with the slots that are left.
    pub fn pass_tunnel(&self, ingress: u8, slots: &[u8], origin: NodeId) -> Result<Hop, DropReason> {
        let (next, rest) = slots.split_first().ok_or(DropReason::Malformed)?;
        if self.transit == Transit::No || !self.may_hand_on(ingress, origin) {
            return Err(DropReason::Rights);
        }
        let may = self.neighbors.get(*next).is_some_and(|own| rest.is_empty() || own.transit == Transit::Yes);
        if !may || *next == ingress || bit(*next) & self.neighbors.alive() == 0 {
            return Err(DropReason::NoRoute);
        }
        if self.returns(*next, rest) {
            return Err(DropReason::Local);
        }
        let header = overlay::tunnel_header(rest).ok_or(DropReason::Malformed)?;
        Ok(Hop { slot: *next, header })
    }
}
