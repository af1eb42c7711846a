//! Whom we asked where all stations are, and whose answer is heard: who was not asked could fill gaps with lies at any time.
//! Looks into no answer. Read first: docs/protocol.md, "MAC_SNAPSHOT".

use std::time::Instant;

use crate::limits::{LINKS, OWNERS, SNAPSHOT_FOR};
use crate::types::LinkId;
use crate::wire::stations::SNAPSHOT;

/// Messages of one answer: as many as the whole table takes.
const PARTS: usize = OWNERS.div_ceil(SNAPSHOT);

pub enum Snapshot {
    /// Nobody has answered; links that are to be asked and that were asked, one bit each, and until when an answer is expected.
    Asking(u64, u64, Option<Instant>),
    /// That link was the first to answer, and may say so many messages more until then.
    Hearing(LinkId, usize, Instant),
}

impl Snapshot {
    pub fn new() -> Self {
        Self::Asking(0, 0, None)
    }

    /// The neighbor there has said what it knows, and is to be asked when that is known here too.
    pub fn handle_summary(&mut self, link: LinkId) {
        if let Self::Asking(waiting, ..) = self {
            *waiting |= mask(link);
        }
    }

    /// A link to be asked now, of those that are ready.
    pub fn poll(&mut self, now: Instant, is_ready: impl Fn(LinkId) -> bool) -> Option<LinkId> {
        let Self::Asking(waiting, asked, until) = self else { return None };
        if *waiting == 0 {
            return None;
        }
        let mut links = (0..LINKS as u8).map(LinkId).filter(|link| *waiting & mask(*link) != 0);
        let link = links.find(|link| is_ready(*link))?;
        *waiting &= !mask(link);
        // Who has not answered yet has nothing to say, or waits for a better time.
        *asked = if is_over(now, *until) { mask(link) } else { *asked | mask(link) };
        *until = Some(now + SNAPSHOT_FOR);
        Some(link)
    }

    pub fn handle_down(&mut self, link: LinkId) {
        match self {
            Self::Asking(waiting, asked, _) => {
                *waiting &= !mask(link);
                *asked &= !mask(link);
            }
            Self::Hearing(heard, left, _) if *heard == link => *left = 0,
            Self::Hearing(..) => {}
        }
    }

    /// A message of an answer came: is it heard?
    pub fn takes(&mut self, now: Instant, link: LinkId) -> bool {
        match self {
            Self::Asking(_, asked, until) if *asked & mask(link) != 0 && !is_over(now, *until) => {
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

    /// Whether the neighbor there is asked now.
    fn asks(snapshot: &mut Snapshot, now: Instant, link: u8) -> bool {
        snapshot.handle_summary(LinkId(link));
        snapshot.poll(now, |_| true) == Some(LinkId(link))
    }

    #[test]
    fn only_who_was_asked_is_heard_and_only_the_first_to_answer() {
        let (t, mut snapshot) = (start(), Snapshot::new());
        assert!(!snapshot.takes(t, LinkId(1)));
        assert!(asks(&mut snapshot, t, 1) && asks(&mut snapshot, t, 2));
        assert!(!snapshot.takes(t, LinkId(3)));
        let heard = (0..100).filter(|_| snapshot.takes(t, LinkId(2)) | snapshot.takes(t, LinkId(1)));
        assert_eq!(heard.count(), PARTS);
        assert!(!asks(&mut snapshot, t, 3));
    }

    #[test]
    fn a_neighbor_is_asked_once_what_it_knows_is_known_here() {
        let (t, mut snapshot) = (start(), Snapshot::new());
        [1, 2, 5].into_iter().for_each(|link| snapshot.handle_summary(LinkId(link)));
        assert_eq!(snapshot.poll(t, |_| false), None);
        assert_eq!(snapshot.poll(t, |link| link == LinkId(2)), Some(LinkId(2)));
        assert_eq!(snapshot.poll(t, |link| link == LinkId(2)), None);
        snapshot.handle_down(LinkId(1));
        assert_eq!((snapshot.poll(t, |_| true), snapshot.poll(t, |_| true)), (Some(LinkId(5)), None));
    }

    #[test]
    fn an_answer_ends() {
        let (t, mut snapshot) = (start(), Snapshot::new());
        assert!(asks(&mut snapshot, t, 1) && snapshot.takes(t, LinkId(1)));
        assert!(!snapshot.takes(t + SNAPSHOT_FOR, LinkId(1)));
        let mut snapshot = Snapshot::new();
        assert!(asks(&mut snapshot, t, 1) && asks(&mut snapshot, t, 2));
        snapshot.handle_down(LinkId(1));
        assert!(!snapshot.takes(t, LinkId(1)) && snapshot.takes(t, LinkId(2)));
        snapshot.handle_down(LinkId(2));
        assert!(!snapshot.takes(t, LinkId(2)));
    }

    #[test]
    fn who_was_asked_answers_soon_or_never() {
        let (t, mut snapshot) = (start(), Snapshot::new());
        assert!(asks(&mut snapshot, t, 1));
        let later = t + SNAPSHOT_FOR;
        assert!(!snapshot.takes(later, LinkId(1)));
        assert!(asks(&mut snapshot, later, 2));
        assert!(!snapshot.takes(later, LinkId(1)) && snapshot.takes(later, LinkId(2)));
    }
}
