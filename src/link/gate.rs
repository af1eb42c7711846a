//! Who may cost us a handshake: budgets for opening Initials, for Retries and for handshakes, and what is kept for
//! addresses that were good before. Does not know connections: it is told how many are half open.
//! Read first: docs/security.md, "Strangers".
//!
//! ```text
//!   datagram -- opens? --> QUIC decrypts the Initial -- judge --> handshake | Retry | nothing
//! ```

use std::net::IpAddr;
use std::time::{Duration, Instant};

use heapless::Vec;

use crate::limits::{self, Profile};
use crate::types::Table;

/// What becomes of an Initial that opens a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    Accept,
    /// The address has to prove itself first (RFC 9000, 8.1.2).
    Retry,
    /// No answer: the sender tries again by itself.
    Ignore,
}

/// What speaks for an Initial before it is opened. Each kind has a budget of its own: a flood of one kind leaves the
/// others alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Stranger,
    /// It looks like the answer to a Retry; whether it is one shows when it is opened.
    Answering,
    /// A handshake with this address is under way.
    Begun,
    /// A connection with this address came up before.
    Known,
}

pub struct Gate {
    initials: [Bucket; 4],
    /// For strangers and for known addresses.
    retries: [Bucket; 2],
    handshakes: [Bucket; 2],
    other_answers: Bucket,
    senders: Box<Vec<(Network, Bucket), { limits::SENDERS }>>,
    known: Box<Vec<Known, { limits::KNOWN }>>,
    ignored: u64,
}

struct Known {
    network: Network,
    initials: Bucket,
    /// When a connection with it last came up.
    good: Instant,
}

impl Gate {
    pub fn new(profile: &Profile, now: Instant) -> Self {
        let initials = Bucket::new(profile.initials, profile.initials, now);
        let retries = Bucket::new(profile.answers, profile.answers, now);
        let handshakes =
            Bucket::new(profile.handshakes, profile.handshakes * limits::HANDSHAKES_SAVED_SECONDS, now);
        Self {
            initials: [initials; 4],
            retries: [retries; 2],
            handshakes: [handshakes; 2],
            other_answers: retries,
            senders: Box::default(),
            known: Box::default(),
            ignored: 0,
        }
    }

    /// Before QUIC sees what came in on a listening socket: false, if it would cost too much to look into it. `begun`
    /// says whether a handshake with exactly this address and port is under way.
    pub fn opens(
        &mut self,
        now: Instant,
        remote: IpAddr,
        datagram: &[u8],
        begun: impl FnOnce() -> bool,
    ) -> bool {
        let Some(answering) = initial(datagram) else { return true };
        let network = Network::of(remote);
        let standing = if self.find_known(now, network).is_some() {
            Standing::Known
        } else if begun() {
            Standing::Begun
        } else if answering {
            Standing::Answering
        } else {
            Standing::Stranger
        };
        let opens = self.spend_initial(now, network, standing);
        self.ignored += u64::from(!opens);
        opens
    }

    fn spend_initial(&mut self, now: Instant, network: Network, standing: Standing) -> bool {
        // The common budget first: it is empty under a flood, and then nothing is searched.
        let common = self.initials.get(standing as usize).is_some_and(|bucket| bucket.has(now));
        let own = common
            && match standing {
                Standing::Begun => true,
                Standing::Known => {
                    self.find_known(now, network).is_some_and(|known| known.initials.take(now))
                }
                Standing::Stranger | Standing::Answering => self.spend_sender(now, network),
            };
        own && self.initials.get_mut(standing as usize).is_some_and(|bucket| bucket.take(now))
    }

    /// An Initial that opens a connection was decrypted. `proved`: its address has answered a Retry; `half_open`:
    /// incoming handshakes under way; `room`: a further connection fits into the table.
    pub fn judge(
        &mut self,
        now: Instant,
        remote: IpAddr,
        proved: bool,
        half_open: usize,
        room: bool,
    ) -> Entry {
        let known = self.find_known(now, Network::of(remote)).is_some();
        let entry = self.decide(now, known, proved, half_open, room);
        self.ignored += u64::from(entry == Entry::Ignore);
        entry
    }

    fn decide(&mut self, now: Instant, known: bool, proved: bool, half_open: usize, room: bool) -> Entry {
        let places = if known { limits::HALF_OPEN } else { limits::HALF_OPEN_STRANGERS };
        if !room || half_open >= places {
            return Entry::Ignore;
        }
        let (buckets, entry) = if !proved && half_open >= limits::HALF_OPEN_BEFORE_RETRY {
            (&mut self.retries, Entry::Retry)
        } else {
            (&mut self.handshakes, Entry::Accept)
        };
        let granted = buckets.get_mut(usize::from(known)).is_some_and(|bucket| bucket.take(now));
        if granted { entry } else { Entry::Ignore }
    }

    /// Whether QUIC's other answers to datagrams of no connection (version negotiation, refusals) may be sent.
    pub fn answers(&mut self, now: Instant) -> bool {
        self.other_answers.take(now)
    }

    /// A connection with this address has come up, in either direction.
    pub fn remember(&mut self, now: Instant, remote: IpAddr) {
        let network = Network::of(remote);
        if let Some(known) = self.find_known(now, network) {
            known.good = now;
            return;
        }
        if self.known.is_full() {
            forget_least(&mut self.known, |known| known.good);
        }
        let _ = self.known.push(Known { network, initials: sender_bucket(now), good: now });
    }

    /// Whether a connection with this address came up lately.
    pub fn knows(&mut self, now: Instant, remote: IpAddr) -> bool {
        self.find_known(now, Network::of(remote)).is_some()
    }

    pub fn tables(&self) -> [Table; 2] {
        let (senders, known) = (&*self.senders, &*self.known);
        let (of_senders, of_known) = (size_of_val(senders), size_of_val(known));
        [
            Table { name: "senders", used: senders.len(), capacity: limits::SENDERS, bytes: of_senders },
            Table { name: "known", used: known.len(), capacity: limits::KNOWN, bytes: of_known },
        ]
    }

    /// Initials that got no answer so far.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn find_known(&mut self, now: Instant, network: Network) -> Option<&mut Known> {
        let lately = |known: &Known| now.saturating_duration_since(known.good) < limits::KNOWN_FOR;
        let place = self.known.iter().position(|known| known.network == network)?;
        if !self.known.get(place).is_some_and(lately) {
            self.known.swap_remove(place);
            return None;
        }
        self.known.get_mut(place)
    }

    /// From the bucket of a stranger's address; an address that was pushed out of the table begins with a full one.
    fn spend_sender(&mut self, now: Instant, network: Network) -> bool {
        let found = self.senders.iter().position(|(own, _)| *own == network);
        let place = found.unwrap_or_else(|| {
            if self.senders.is_full() {
                forget_least(&mut self.senders, |(_, bucket)| bucket.due);
            }
            let _ = self.senders.push((network, sender_bucket(now)));
            self.senders.len().saturating_sub(1)
        });
        self.senders.get_mut(place).is_some_and(|(_, bucket)| bucket.take(now))
    }
}

fn sender_bucket(now: Instant) -> Bucket {
    Bucket::new(limits::SENDER_INITIALS, limits::SENDER_INITIALS_SAVED, now)
}

/// Makes room for one entry.
fn forget_least<T, const N: usize>(entries: &mut Vec<T, N>, age: impl Fn(&T) -> Instant) {
    let least = entries.iter().enumerate().min_by_key(|(_, entry)| age(entry)).map(|(place, _)| place);
    if let Some(place) = least {
        entries.swap_remove(place);
    }
}

/// Whose budget it is: one IPv4 address, or one IPv6 /64, which a single host may have to itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A token bucket, kept as the time at which it would be full.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    due: Instant,
    interval: Duration,
    /// What can be saved up, as time.
    saved: Duration,
}

impl Bucket {
    /// A full one.
    fn new(per_second: u32, saved: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { due: now, interval, saved: interval * saved }
    }

    fn has(&self, now: Instant) -> bool {
        self.due.max(now) + self.interval <= now + self.saved
    }

    /// False: it is empty.
    fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        if has {
            self.due = self.due.max(now) + self.interval;
        }
        has
    }
}

/// `Some` for a datagram that QUIC would take for a first Initial and have to derive keys for (RFC 9000, 17.2.2);
/// true, if it is addressed to a connection id of ours, as the answer to a Retry is.
fn initial(datagram: &[u8]) -> Option<bool> {
    const LONG_HEADER_AND_TYPE: u8 = 0b1011_0000;
    const LONG_HEADER_INITIAL: u8 = 0b1000_0000;
    const VERSION_1: [u8; 4] = [0, 0, 0, 1];
    let [first, a, b, c, d, length, ..] = *datagram else { return None };
    let is_initial = first & LONG_HEADER_AND_TYPE == LONG_HEADER_INITIAL && [a, b, c, d] == VERSION_1;
    let is_large = datagram.len() >= usize::from(limits::UDP_PAYLOAD_MIN);
    (is_initial && is_large).then_some(usize::from(length) == limits::CID_LEN)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn gate(now: Instant) -> Gate {
        Gate::new(&limits::ROUTER, now)
    }

    fn stranger(n: u32) -> IpAddr {
        Ipv4Addr::from(0x0A00_0000 + n).into()
    }

    const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    /// The beginning of an Initial with a destination connection id of this length.
    fn datagram(length: u8) -> std::vec::Vec<u8> {
        let mut bytes = vec![0xC3, 0, 0, 0, 1, length];
        bytes.resize(1200, 7);
        bytes
    }

    /// Initials a second from ever new addresses, spread evenly over `seconds`; returns how many were opened.
    fn flood(gate: &mut Gate, from: Instant, per_second: u32, seconds: u32, length: u8) -> u32 {
        let bytes = datagram(length);
        let opened = (0..per_second * seconds).filter(|n| {
            let now = from + Duration::from_secs(1) * *n / per_second;
            gate.opens(now, stranger(n % 60_000), &bytes, || false)
        });
        opened.count() as u32
    }

    #[test]
    fn a_flood_of_initials_from_many_addresses_is_opened_at_the_rate_of_the_profile() {
        let t = start();
        let mut gate = gate(t);
        let opened = flood(&mut gate, t, 10_000, 10, 8);
        let rate = limits::ROUTER.initials;
        assert!((rate * 10..=rate * 12).contains(&opened), "{opened}");
        assert_eq!(gate.ignored(), u64::from(100_000 - opened));
    }

    #[test]
    fn one_address_has_its_own_smaller_share() {
        let t = start();
        let mut gate = gate(t);
        let bytes = datagram(8);
        let opened = |gate: &mut Gate, from: IpAddr, now| {
            (0..1000).filter(|_| gate.opens(now, from, &bytes, || false)).count() as u32
        };
        assert_eq!(opened(&mut gate, stranger(1), t), limits::SENDER_INITIALS_SAVED);
        assert_eq!(opened(&mut gate, stranger(1), t + Duration::from_secs(1)), limits::SENDER_INITIALS);
        let now = t + Duration::from_secs(1);
        assert!(gate.opens(now, stranger(2), &bytes, || false), "another address is not the worse for it");
        let v6 = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        assert_eq!(opened(&mut gate, v6(1), t + Duration::from_secs(9)), limits::SENDER_INITIALS_SAVED);
        assert!(!gate.opens(t + Duration::from_secs(9), v6(2), &bytes, || false), "the same /64");
    }

    #[test]
    fn known_addresses_answers_to_a_retry_and_handshakes_under_way_are_opened_during_a_flood() {
        let t = start();
        let mut gate = gate(t);
        gate.remember(t, FRIEND);
        flood(&mut gate, t, 10_000, 2, 8);
        let now = t + Duration::from_secs(2);
        let fresh = datagram(8);
        while gate.opens(now, stranger(70_000), &fresh, || false) {}
        assert!(gate.opens(now, FRIEND, &fresh, || false));
        assert!(gate.opens(now, stranger(70_001), &datagram(limits::CID_LEN as u8), || false));
        assert!(gate.opens(now, stranger(70_002), &fresh, || true));
        // None of the other budgets is without bound either.
        let (own, short) = (datagram(limits::CID_LEN as u8), now + Duration::from_secs(10));
        let all = (0..10_000).filter(|_| gate.opens(short, stranger(1), &fresh, || true)).count();
        assert_eq!(all as u32, limits::ROUTER.initials);
        let all = (0..10_000).filter(|n| gate.opens(short, stranger(*n), &own, || false)).count();
        assert_eq!(all as u32, limits::ROUTER.initials);
        let all = (0..10_000).filter(|_| gate.opens(short, FRIEND, &fresh, || false)).count();
        assert_eq!(all as u32, limits::SENDER_INITIALS_SAVED);
    }

    #[test]
    fn what_is_no_initial_is_none_of_its_business() {
        let t = start();
        let mut gate = gate(t);
        let mut handshake = datagram(8);
        handshake[0] = 0xE3;
        let mut version = datagram(8);
        version[4] = 9;
        for bytes in
            [vec![0x40; 1200], handshake, version, datagram(8)[..1199].to_vec(), vec![], vec![0xC3; 5]]
        {
            assert!((0..10_000).all(|_| gate.opens(t, stranger(1), &bytes, || false)));
        }
    }

    #[test]
    fn handshakes_are_accepted_then_proved_then_ignored_as_more_are_half_open() {
        let t = start();
        let strangers = limits::HALF_OPEN_STRANGERS;
        // Half open, proved, known, room -> entry.
        let cases = [
            (0, false, false, true, Entry::Accept),
            (limits::HALF_OPEN_BEFORE_RETRY - 1, false, false, true, Entry::Accept),
            (limits::HALF_OPEN_BEFORE_RETRY, false, false, true, Entry::Retry),
            (limits::HALF_OPEN_BEFORE_RETRY, false, true, true, Entry::Retry),
            (limits::HALF_OPEN_BEFORE_RETRY, true, false, true, Entry::Accept),
            (strangers - 1, true, false, true, Entry::Accept),
            (strangers, true, false, true, Entry::Ignore),
            (strangers, false, false, true, Entry::Ignore),
            (strangers, true, true, true, Entry::Accept),
            (strangers, false, true, true, Entry::Retry),
            (limits::HALF_OPEN - 1, true, true, true, Entry::Accept),
            (limits::HALF_OPEN, true, true, true, Entry::Ignore),
            (0, true, true, false, Entry::Ignore),
        ];
        for (half_open, proved, known, room, expected) in cases {
            let mut gate = gate(t);
            gate.remember(t, FRIEND);
            let remote = if known { FRIEND } else { stranger(1) };
            let entry = gate.judge(t, remote, proved, half_open, room);
            assert_eq!(entry, expected, "{half_open} half open, proved {proved}, known {known}, room {room}");
        }
    }

    #[test]
    fn handshakes_and_retries_of_strangers_are_bounded_and_leave_those_of_known_addresses() {
        let t = start();
        let mut gate = gate(t);
        gate.remember(t, FRIEND);
        let now = t + Duration::from_secs(60);
        for (half_open, proved, entry) in
            [(0, false, Entry::Accept), (limits::HALF_OPEN_BEFORE_RETRY, false, Entry::Retry)]
        {
            let granted =
                (0..10_000).filter(|n| gate.judge(now, stranger(*n), proved, half_open, true) == entry);
            let limit = if entry == Entry::Accept {
                limits::ROUTER.handshakes * limits::HANDSHAKES_SAVED_SECONDS
            } else {
                limits::ROUTER.answers
            };
            assert_eq!(granted.count() as u32, limit, "{entry:?}");
            assert_eq!(gate.judge(now, FRIEND, proved, half_open, true), entry);
        }
        let later = now + Duration::from_secs(1);
        let granted = (0..100).filter(|n| gate.judge(later, stranger(*n), true, 0, true) == Entry::Accept);
        assert_eq!(granted.count() as u32, limits::ROUTER.handshakes, "a second later");
    }

    #[test]
    fn other_answers_are_bounded() {
        let t = start();
        let mut gate = gate(t);
        assert_eq!((0..10_000).filter(|_| gate.answers(t)).count() as u32, limits::ROUTER.answers);
        assert!(gate.answers(t + Duration::from_secs(1)));
    }

    #[test]
    fn good_addresses_are_remembered_for_days_and_the_latest_of_them_when_there_are_too_many() {
        let t = start();
        let mut gate = gate(t);
        gate.remember(t, FRIEND);
        assert!(gate.knows(t + limits::KNOWN_FOR - Duration::from_secs(1), FRIEND));
        assert!(!gate.knows(t + limits::KNOWN_FOR, FRIEND));
        let second = |n: u32| t + Duration::from_secs(n.into());
        gate.remember(t, FRIEND);
        (1..limits::KNOWN as u32).for_each(|n| gate.remember(second(n), stranger(n)));
        gate.remember(second(100), FRIEND);
        gate.remember(second(101), stranger(0));
        assert!(gate.knows(second(101), FRIEND), "it was good again lately");
        assert!(!gate.knows(second(101), stranger(1)));
        assert!((2..limits::KNOWN as u32).all(|n| gate.knows(second(101), stranger(n))));
    }

    #[test]
    fn of_too_many_senders_those_who_sent_most_stay() {
        let t = start();
        let mut gate = Gate::new(&limits::SERVER, t);
        let bytes = datagram(8);
        while gate.opens(t, stranger(0), &bytes, || false) {}
        for n in 1..=limits::SENDERS as u32 {
            assert!(gate.opens(t, stranger(n), &bytes, || false));
        }
        assert!(!gate.opens(t, stranger(0), &bytes, || false));
    }
}
