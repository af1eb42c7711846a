//! Whom we asked where all stations are, and whose answer is heard: who was not asked could fill gaps with lies at any time.
//! Looks into no answer. Read first: docs/protocol.md, "MAC_SNAPSHOT".

use std::time::Instant;

use crate::limits::{OWNERS, SNAPSHOT_FOR};
use crate::types::LinkId;
use crate::wire::stations::SNAPSHOT;

/// Messages of one answer: as many as the whole table takes.
const PARTS: usize = OWNERS.div_ceil(SNAPSHOT);

pub enum Snapshot {
    /// Nobody has answered; links that were asked, one bit each, and until when an answer is expected.
    Asking(u64, Option<Instant>),
    /// That link was the first to answer, and may say so many messages more until then.
    Hearing(LinkId, usize, Instant),
}

impl Snapshot {
    /// A link has come up. True: its neighbor is to be asked.
    pub fn ask(&mut self, now: Instant, link: LinkId) -> bool {
        let Self::Asking(links, until) = self else { return false };
        // Who has not answered yet has nothing to say, or waits for a better time.
        *links = if is_over(now, *until) { mask(link) } else { *links | mask(link) };
        *until = Some(now + SNAPSHOT_FOR);
        true
    }

    pub fn handle_down(&mut self, link: LinkId) {
        match self {
            Self::Asking(links, _) => *links &= !mask(link),
            Self::Hearing(heard, left, _) if *heard == link => *left = 0,
            Self::Hearing(..) => {}
        }
    }

    /// A message of an answer came: is it heard?
    pub fn takes(&mut self, now: Instant, link: LinkId) -> bool {
        match self {
            Self::Asking(links, until) if *links & mask(link) != 0 && !is_over(now, *until) => {
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

fn is_over(now: Instant, until: Option<Instant>) -> bool {
    until.is_none_or(|until| until <= now)
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
        let (t, mut snapshot) = (start(), Snapshot::Asking(0, None));
        assert!(!snapshot.takes(t, LinkId(1)));
        assert!(snapshot.ask(t, LinkId(1)) && snapshot.ask(t, LinkId(2)));
        assert!(!snapshot.takes(t, LinkId(3)));
        let heard = (0..100).filter(|_| snapshot.takes(t, LinkId(2)) | snapshot.takes(t, LinkId(1)));
        assert_eq!(heard.count(), PARTS);
        assert!(!snapshot.ask(t, LinkId(3)));
    }

    #[test]
    fn an_answer_ends() {
        let (t, mut snapshot) = (start(), Snapshot::Asking(0, None));
        assert!(snapshot.ask(t, LinkId(1)) && snapshot.takes(t, LinkId(1)));
        assert!(!snapshot.takes(t + SNAPSHOT_FOR, LinkId(1)));
        let mut snapshot = Snapshot::Asking(0, None);
        assert!(snapshot.ask(t, LinkId(1)) && snapshot.ask(t, LinkId(2)));
        snapshot.handle_down(LinkId(1));
        assert!(!snapshot.takes(t, LinkId(1)) && snapshot.takes(t, LinkId(2)));
        snapshot.handle_down(LinkId(2));
        assert!(!snapshot.takes(t, LinkId(2)));
    }

    #[test]
    fn who_was_asked_answers_soon_or_never() {
        let (t, mut snapshot) = (start(), Snapshot::Asking(0, None));
        assert!(snapshot.ask(t, LinkId(1)));
        let later = t + SNAPSHOT_FOR;
        assert!(!snapshot.takes(later, LinkId(1)));
        assert!(snapshot.ask(later, LinkId(2)));
        assert!(!snapshot.takes(later, LinkId(1)) && snapshot.takes(later, LinkId(2)));
    }
}
