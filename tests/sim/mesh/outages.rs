//! What is broken when: wires that swallow everything, sites without a node, wires that lose some.
//! Breaks nothing itself. Read first: docs/testing.md, "The mesh on virtual time".

use std::time::{Duration, Instant};

/// Something that happens from then on, until it is over.
struct Span<T> {
    what: T,
    from: Instant,
    until: Option<Instant>,
}

/// A node that starts again is linked at once, but whoever sent to its earlier run may not know of that yet.
const BELATED: Duration = Duration::from_secs(2);

/// Of two that a wire had parted one may have given the link up, and be linked again; the other, if it had nothing to send meanwhile,
/// still sends on its old connection until an answer to the first datagram says that it is over.
const PARTED: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Outages {
    wires: Vec<Span<[usize; 2]>>,
    sites: Vec<Span<usize>>,
    losses: Vec<Span<()>>,
}

fn sorted(a: usize, b: usize) -> [usize; 2] {
    [a.min(b), a.max(b)]
}

fn begin<T: PartialEq>(spans: &mut Vec<Span<T>>, what: T, from: Instant) {
    if spans.iter().all(|span| span.what != what || span.until.is_some()) {
        spans.push(Span { what, from, until: None });
    }
}

fn end<T: PartialEq>(spans: &mut [Span<T>], what: &T, until: Instant) {
    spans.iter_mut().filter(|span| span.what == *what && span.until.is_none()).for_each(|span| {
        span.until = Some(until);
    });
}

impl<T: PartialEq> Span<T> {
    fn meets(&self, from: Instant, until: Instant) -> bool {
        self.from <= until && self.until.is_none_or(|end| from <= end)
    }
}

impl Outages {
    pub fn cut(&mut self, now: Instant, [a, b]: [usize; 2]) {
        begin(&mut self.wires, sorted(a, b), now);
    }

    pub fn mend(&mut self, now: Instant, [a, b]: [usize; 2]) {
        end(&mut self.wires, &sorted(a, b), now);
    }

    pub fn kill(&mut self, now: Instant, site: usize) {
        begin(&mut self.sites, site, now);
    }

    pub fn start(&mut self, now: Instant, site: usize) {
        end(&mut self.sites, &site, now + BELATED);
    }

    pub fn begin_losses(&mut self, now: Instant) {
        begin(&mut self.losses, (), now);
    }

    pub fn end_losses(&mut self, now: Instant) {
        end(&mut self.losses, &(), now);
    }

    /// Could a datagram that was on this wire then have been lost, or come to an end that knows its link no more?
    pub fn swallow(&self, [a, b]: [usize; 2], sent: Instant, arrives: Instant) -> bool {
        let wire = sorted(a, b);
        self.wires.iter().any(|span| span.what == wire && span.meets(sent - PARTED, arrives))
            || self.sites.iter().any(|span| span.what == b && span.meets(sent, arrives))
            || self.losses.iter().any(|span| span.meets(sent, arrives))
    }

    /// Whether the site had another run of its node before, at some time since then.
    pub fn restarts(&self, site: usize, since: Instant) -> bool {
        self.sites.iter().any(|span| span.what == site && span.until.is_some_and(|until| until >= since))
    }

    /// Whether the wire or one of its ends was broken at some time since then.
    pub fn touch(&self, [a, b]: [usize; 2], since: Instant, now: Instant) -> bool {
        let wire = sorted(a, b);
        self.wires.iter().any(|span| span.what == wire && span.meets(since, now))
            || self.sites.iter().any(|span| (span.what == a || span.what == b) && span.meets(since, now))
    }
}
