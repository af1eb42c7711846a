//! Whom we asked where all stations are, and whose answer is heard: who was not asked could fill gaps with lies at any time.
//! Looks into no answer. Read first: docs/protocol.md, "MAC_SNAPSHOT".

use std::time::Instant;

use crate::limits::{OWNERS, SNAPSHOT_FOR};
use crate::types::LinkId;
use crate::wire::stations::SNAPSHOT;

/// Messages of one answer: as many as the whole table takes.
const PARTS: usize = OWNERS.div_ceil(SNAPSHOT);

pub enum Snapshot {
    /// Nobody has answered; links that were asked, one bit each.
    Asking(u64),
    /// That link was the first to answer, and may say so many messages more until then.
    Hearing(LinkId, usize, Instant),
}

impl Snapshot {
    /// A link has come up. True: its neighbor is to be asked.
    pub fn ask(&mut self, link: LinkId) -> bool {
        let Self::Asking(links) = self else { return false };
        *links |= mask(link);
        true
    }

    pub fn handle_down(&mut self, link: LinkId) {
        match self {
            Self::Asking(links) => *links &= !mask(link),
            Self::Hearing(heard, left, _) if *heard == link => *left = 0,
            Self::Hearing(..) => {}
        }
    }

    /// A message of an answer came: is it heard?
    pub fn takes(&mut self, now: Instant, link: LinkId) -> bool {
        match self {
            Self::Asking(links) if *links & mask(link) != 0 => {
                *self = Self::Hearing(link, PARTS - 1, now + SNAPSHOT_FOR);
                true
            }
            Self::Hearing(heard, left, until) if *heard == link && *left > 0 && now < *until => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

fn mask(link: LinkId) -> u64 {
    1_u64.checked_shl(link.0.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn only_who_was_asked_is_heard_and_only_the_first_to_answer() {
        let (t, mut snapshot) = (start(), Snapshot::Asking(0));
        assert!(!snapshot.takes(t, LinkId(1)));
        assert!(snapshot.ask(LinkId(1)) && snapshot.ask(LinkId(2)));
        assert!(!snapshot.takes(t, LinkId(3)));
        let heard = (0..100).filter(|_| snapshot.takes(t, LinkId(2)) | snapshot.takes(t, LinkId(1)));
        assert_eq!(heard.count(), PARTS);
        assert!(!snapshot.ask(LinkId(3)));
    }

    #[test]
    fn an_answer_ends() {
        let (t, mut snapshot) = (start(), Snapshot::Asking(0));
        assert!(snapshot.ask(LinkId(1)) && snapshot.takes(t, LinkId(1)));
        assert!(!snapshot.takes(t + SNAPSHOT_FOR, LinkId(1)));
        let mut snapshot = Snapshot::Asking(0);
        assert!(snapshot.ask(LinkId(1)) && snapshot.ask(LinkId(2)));
        snapshot.handle_down(LinkId(1));
        assert!(!snapshot.takes(t, LinkId(1)) && snapshot.takes(t, LinkId(2)));
        snapshot.handle_down(LinkId(2));
        assert!(!snapshot.takes(t, LinkId(2)));
    }
}
