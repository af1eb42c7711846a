//! What a neighbor may cost: what it brings that is worth nothing, what it asks for, how often it wants to compare.
//! A budget for each, so that whatever it says, the work and the answers are bounded. Read first: docs/security.md, "Members".

use std::time::Instant;

use super::fabric::Fabric;
use super::rates::Bucket;
use super::signature::{Registry, Signed};
use crate::limits::{
    COMPARED_BURST, COMPARED_EVERY, LISTS_BURST, LISTS_EVERY, ROWS_BURST, ROWS_EVERY, SLOTS, SNAPSHOTS_BURST,
    SNAPSHOTS_EVERY, VAIN_BURST, VAIN_EVERY,
};
use crate::types::NodeId;
use crate::wire::announce::Signature;

/// Of one neighbor. It outlives the link, or who comes back would begin anew.
#[derive(Clone, Copy)]
struct Standing {
    /// What it may still bring that is worth nothing.
    vain: Bucket,
    /// Rows of the database that it may still be sent.
    rows: Bucket,
    /// SUMMARYs and DIGESTs of it that are still looked at.
    compared: Bucket,
    /// Times that it may still be told all stations, and all CRLs.
    snapshots: Bucket,
    lists: Bucket,
}

impl Standing {
    fn new(now: Instant) -> Self {
        Self {
            vain: Bucket::new(now, VAIN_BURST),
            rows: Bucket::new(now, ROWS_BURST),
            compared: Bucket::new(now, COMPARED_BURST),
            snapshots: Bucket::new(now, SNAPSHOTS_BURST),
            lists: Bucket::new(now, LISTS_BURST),
        }
    }
}

/// Of the neighbors on all slots.
pub struct Standings(Box<[Standing; SLOTS]>);

impl Standings {
    pub fn new(now: Instant) -> Self {
        Self(Box::new([Standing::new(now); SLOTS]))
    }

    /// The slot becomes another node's, which pays for nothing.
    pub fn forget(&mut self, now: Instant, slot: u8) {
        if let Some(own) = self.get(slot) {
            *own = Standing::new(now);
        }
    }

    fn get(&mut self, slot: u8) -> Option<&mut Standing> {
        self.0.get_mut(usize::from(slot))
    }

    fn bears(&mut self, now: Instant, slot: u8) -> bool {
        self.get(slot).is_some_and(|own| own.vain.has_any(now, VAIN_BURST, VAIN_EVERY))
    }

    fn count_vain(&mut self, slot: u8, tokens: i16) {
        if let Some(own) = self.get(slot) {
            own.vain.take(tokens);
        }
    }

    fn answers(&mut self, now: Instant, slot: u8) -> bool {
        self.get(slot).is_some_and(|own| own.rows.takes_one(now, ROWS_BURST, ROWS_EVERY))
    }

    fn compares(&mut self, now: Instant, slot: u8) -> bool {
        self.get(slot).is_some_and(|own| own.compared.takes_one(now, COMPARED_BURST, COMPARED_EVERY))
    }

    fn snapshots(&mut self, now: Instant, slot: u8) -> bool {
        self.get(slot).is_some_and(|own| own.snapshots.takes_one(now, SNAPSHOTS_BURST, SNAPSHOTS_EVERY))
    }

    fn lists(&mut self, now: Instant, slot: u8) -> bool {
        self.get(slot).is_some_and(|own| own.lists.takes_one(now, LISTS_BURST, LISTS_EVERY))
    }
}

impl Fabric {
    /// Is what that neighbor brings still judged? Not if too much of it was worth nothing.
    pub(super) fn bears(&mut self, now: Instant, slot: u8) -> bool {
        let bears = self.standings.bears(now, slot);
        self.counted(bears)
    }

    /// That neighbor brought something that is not good: it cannot have looked at it.
    pub(super) fn blame(&mut self, slot: u8, tokens: i16) {
        self.counters.forged += 1;
        self.standings.count_vain(slot, tokens);
    }

    /// May that neighbor be sent one more row of the database now?
    pub(super) fn answers(&mut self, now: Instant, slot: u8) -> bool {
        let answers = self.standings.answers(now, slot);
        self.counted(answers)
    }

    /// The neighbor told something that is older than what is known: may it be sent that now?
    pub(super) fn answers_older(&mut self, now: Instant, slot: u8) -> bool {
        self.counters.outdated += 1;
        self.answers(now, slot)
    }

    /// Is what that neighbor says of its database still looked at?
    pub(super) fn compares(&mut self, now: Instant, slot: u8) -> bool {
        let compares = self.standings.compares(now, slot);
        self.counted(compares)
    }

    /// May that neighbor be told now where all stations are?
    pub fn may_tell_stations(&mut self, now: Instant, slot: u8) -> bool {
        let may = self.standings.snapshots(now, slot);
        self.counted(may)
    }

    /// May that neighbor be told our CRLs now?
    pub fn may_tell_lists(&mut self, now: Instant, slot: u8) -> bool {
        let may = self.standings.lists(now, slot);
        self.counted(may)
    }

    fn counted(&mut self, permits: bool) -> bool {
        self.counters.dropped += u64::from(!permits);
        permits
    }

    /// Whose work is it?
    pub(super) fn check(
        &mut self,
        signer: NodeId,
        kind: u8,
        (body, signature): (&[u8], &Signature),
        registry: &impl Registry,
    ) -> Signed {
        let signed = registry.verify(signer, kind, body, signature);
        self.counters.verified += u64::from(signed != Signed::Stranger);
        signed
    }

    /// Stations of another run of their node were told, or more at once than a node tells.
    pub fn count_outdated(&mut self) {
        self.counters.outdated += 1;
    }

    /// What a node tells of its stations, brought by that neighbor: is it the signer's, and does it not come too fast?
    pub fn judge(
        &mut self,
        now: Instant,
        slot: u8,
        (signer, kind, body, signature): (NodeId, u8, &[u8], &Signature),
        registry: &impl Registry,
    ) -> bool {
        if !self.sync.permits_stations(now, signer) {
            self.counters.dropped += 1;
            return false;
        }
        if !self.bears(now, slot) {
            return false;
        }
        let signed = self.check(signer, kind, (body, signature), registry);
        match signed {
            Signed::Good => self.sync.count_stations(now, signer, body.len()),
            Signed::Forged => self.blame(slot, 1),
            Signed::Stranger => {}
        }
        signed == Signed::Good
    }

    /// May a CRL that this neighbor brought be judged?
    pub fn may_judge_list(&mut self, now: Instant, slot: u8) -> bool {
        let bears = self.bears(now, slot);
        self.counters.verified += u64::from(bears);
        bears
    }

    /// It was worth nothing: forged, or older than ours.
    pub fn handle_vain_list(&mut self, slot: u8, is_forged: bool) {
        self.counters.forged += u64::from(is_forged);
        self.standings.count_vain(slot, 1);
    }
}
