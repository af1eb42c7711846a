//! Who all the nodes are: the newest NODE of each, its certificate and its key. Judges what others announce and signs what
//! this node does. Sends nothing, and finds no paths. Read first: docs/protocol.md, "NODE" and "Members".

mod admission;
mod record;
#[cfg(test)]
mod sample;

use std::sync::Arc;

use heapless::{Deque, Vec};

use self::admission::Objection;
use self::record::{Record, Table};
use crate::limits::{JUDGEMENTS, MEMBER_BYTES, MEMBER_BYTES_MORE, MEMBER_NOTES, NODES};
use crate::link::Credentials;
use crate::mesh::graph::Transit;
use crate::mesh::signature::{Accepted, Form, Registry, Sign, Signed, Verify};
use crate::pki::clock::WallClock;
use crate::pki::signature;
use crate::pki::verify::{Member, Trust};
use crate::types::{self, NodeId};
use crate::wire::announce::{Node, Signature};
use crate::wire::list::List;

/// NODEs that were not taken; they only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// The signature was not that of the certificate's key.
    pub forged: u64,
    /// The certificate was no good, another node's, or older than what is known.
    pub refused: u64,
    /// There was no room.
    pub full: u64,
}

/// What new credentials ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changes {
    /// What our NODE says is another: it is to be announced again.
    pub announce: bool,
    /// Our key is another: all that we have signed is to be signed again.
    pub sign: bool,
}

/// At most [`NODES`] records, the one of this node always among them, and a bounded number of bytes in them
/// ([`limits::MEMBER_BYTES`](crate::limits::MEMBER_BYTES)). Full: a new node is refused, and so is a NODE that has grown;
/// what is known stays.
pub struct Members {
    credentials: Credentials,
    clock: Arc<WallClock>,
    table: Table,
    notes: Deque<String, MEMBER_NOTES>,
    counters: Counters,
}

impl Members {
    pub fn new(credentials: Credentials, clock: Arc<WallClock>) -> Self {
        let table = Table::new(Record::new(credentials.me.clone(), credentials.identity.joined_chain()));
        Self { credentials, clock, table, notes: Deque::new(), counters: Counters::default() }
    }

    /// Shows and believes these from now on: another certificate, other CAs, other lists. The node is the same.
    /// [`Members::judge_again`] then tells who is no member any more.
    pub fn set_credentials(&mut self, credentials: Credentials) -> Changes {
        let old = std::mem::replace(&mut self.credentials, credentials);
        let new = &self.credentials;
        if !new.trust.has_anchors_of(&old.trust) {
            self.table.mark();
        }
        let is_other = new.identity.joined_chain() != old.identity.joined_chain();
        if is_other {
            // The NODE that was announced names the certificate before.
            self.table.put(Record::new(new.me.clone(), new.identity.joined_chain()));
        }
        let is_told = new.trust.announced_crl() != old.trust.announced_crl();
        Changes { announce: is_other || is_told, sign: new.me.key != old.me.key }
    }

    /// The clock is trusted now: dates that were not judged before are.
    pub fn handle_trusted_clock(&mut self) {
        self.table.mark();
    }

    /// Removes those whose certificate is no good any more, and names them. To be called after each change of credentials
    /// and clock and when [`Members::next_expiry`] has come; and again, a turn later, while [`Members::is_judging`]. Who is
    /// on a list or has expired is found at once; other CAs or a clock that has become trusted mean a judgement for each,
    /// and those are made [`JUDGEMENTS`] at a time.
    pub fn judge_again(&mut self) -> Vec<NodeId, NODES> {
        let (now, me) = (self.clock.now(), self.me());
        let (mut gone, mut left) = (Vec::new(), JUDGEMENTS);
        for record in self.table.iter_mut().filter(|record| record.id() != me) {
            let is_urgent = record.is_over(now) || record.may_be_revoked(&self.credentials.trust);
            if !is_urgent && (!record.is_due || left == 0) {
                continue;
            }
            left = left.saturating_sub(usize::from(!is_urgent));
            match self.credentials.trust.judge_joined(&record.chain, now) {
                Ok(member) => record.renew(member),
                Err(refusal) => {
                    // There are no more records than places.
                    let _ = gone.push(record.id());
                    let line = format!("node {}: no member any more: {refusal}", record.member.name);
                    let _ = self.notes.push_back(line);
                }
            }
        }
        gone.iter().for_each(|id| self.table.remove(*id));
        gone
    }

    /// Whether some are still to be judged anew.
    pub fn is_judging(&self) -> bool {
        let me = self.me();
        self.table.iter().any(|record| record.is_due && record.id() != me)
    }

    /// When a certificate will have ended, UNIX seconds by the clock that they are judged by.
    pub fn next_expiry(&self) -> Option<u32> {
        let me = self.me();
        let others = self.table.iter().filter(|record| record.id() != me);
        others.map(|record| record.member.valid_until.saturating_add(1)).min()
    }

    /// A line for the operator: who was left out or refused, and why.
    pub fn poll_note(&mut self) -> Option<String> {
        self.notes.pop_front()
    }

    /// This node included.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        Some(&self.table.find(id)?.member)
    }

    pub fn name(&self, id: NodeId) -> Option<&str> {
        Some(&self.member(id)?.name)
    }

    /// All, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.table.iter().map(|record| &record.member)
    }

    /// The number of the CRL that the node said it has; 0: none, or none that it tells.
    pub fn crl_number(&self, id: NodeId) -> Option<u32> {
        self.table.find(id).map(|record| record.crl)
    }

    /// The number of the newest list that we go by, as our NODE says it; 0: none.
    pub fn crl(&self) -> u32 {
        self.trust().announced_crl()
    }

    /// This node included, so never 0.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.table.iter().count()
    }

    /// Bytes of all chains and NODEs.
    pub fn used_bytes(&self) -> usize {
        self.table.iter().map(Record::bytes).sum()
    }

    pub fn tables(&self) -> [types::Table; 2] {
        let (used, capacity) = (self.used_bytes(), NODES * MEMBER_BYTES + MEMBER_BYTES_MORE);
        let records = types::Table {
            name: "members",
            used: self.len(),
            capacity: NODES,
            bytes: size_of_val(&self.table) + self.len() * size_of::<Record>(),
        };
        [records, types::Table { name: "member_bytes", used, capacity, bytes: used }]
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn me(&self) -> NodeId {
        self.credentials.me.id
    }

    fn trust(&self) -> &Trust {
        &self.credentials.trust
    }

    /// Full: the newest line is left out.
    fn note(&mut self, line: String) {
        let _ = self.notes.push_back(line);
    }
}

impl Verify for Members {
    fn verify(&self, signer: NodeId, kind: u8, body: &[u8], signature: &Signature) -> Signed {
        // Who has expired may have another certificate by now.
        let is_good = |record: &&Record| signer == self.me() || !record.is_over(self.clock.now());
        let Some(record) = self.table.find(signer).filter(is_good) else { return Signed::Stranger };
        let message = signature::message(self.trust().network(), kind, body);
        if record.member.key.verify(&message, signature) { Signed::Good } else { Signed::Forged }
    }
}

impl Sign for Members {
    fn sign(&self, kind: u8, body: &[u8]) -> Signature {
        let message = signature::message(self.trust().network(), kind, body);
        // A key that cannot sign is no member's, so we would not run; without random numbers nobody believes us.
        self.credentials.identity.sign(&message).unwrap_or([0; 64])
    }
}

impl Registry for Members {
    fn accept(&mut self, node: &Node<'_>) -> Accepted {
        match self.admit(node) {
            Ok(transit) => Accepted::Good(transit),
            Err(Objection::Stranger) => Accepted::Stranger,
            Err(Objection::Full) => {
                self.counters.full += 1;
                Accepted::Full
            }
            Err(Objection::Forged) => {
                self.counters.forged += 1;
                Accepted::Forged
            }
            Err(Objection::Refused(reason)) => {
                self.counters.refused += 1;
                log::debug!("node {}: NODE refused: {reason}", node.id);
                Accepted::Forged
            }
        }
    }

    fn announce(&mut self, epoch: u32, seq: u32) {
        let (mut endpoints, mut prefixes) = (std::vec::Vec::new(), std::vec::Vec::new());
        let (id, crl) = (self.me(), self.trust().announced_crl());
        let Some(hash) = self.table.find(id).map(|own| own.hash) else { return };
        let mut node = Node {
            id,
            epoch,
            seq,
            endpoints: List::of(&[], &mut endpoints),
            prefixes: List::of(&[], &mut prefixes),
            crl,
            certificate: &hash,
            appendix: &[],
            signature: [0; 64],
        };
        let mut body = std::vec::Vec::new();
        node.write_signed(&hash, &mut body);
        node.signature = self.sign(Node::KIND, &body);
        if let Some(own) = self.table.find_mut(id) {
            own.take(&node);
        }
    }

    fn emit(&self, id: NodeId, form: Form, out: &mut std::vec::Vec<u8>) -> bool {
        self.table.find(id).is_some_and(|record| record.emit(form, out))
    }

    fn forget(&mut self, id: NodeId) {
        if id != self.me() {
            self.table.remove(id);
        }
    }
}

fn transit(member: &Member) -> Transit {
    if member.rights.transit { Transit::Yes } else { Transit::No }
}

#[cfg(test)]
mod tests {
    use super::sample::{Ca, DAY, NOW, Terms, id, members, read, terms, told};
    use super::*;
    use crate::wire::announce::Lsa;

    const GOOD: Accepted = Accepted::Good(Transit::Yes);

    fn lines(members: &mut Members) -> std::vec::Vec<String> {
        std::iter::from_fn(|| members.poll_note()).collect()
    }

    /// Makes its NODE known to the other.
    fn tell(from: &Members, n: u16, to: &mut Members) -> Accepted {
        to.accept(&read(&told(from, n, Form::Whole)))
    }

    #[test]
    fn who_is_on_a_new_list_is_out_at_once_and_stays_out() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let (b, c) = (members(ca.credentials(&terms("b", 2))), members(ca.credentials(&terms("c", 3))));
        assert_eq!((tell(&b, 2, &mut a), tell(&c, 3, &mut a)), (GOOD, GOOD));
        assert!(a.judge_again().is_empty() && !a.is_judging());
        let trust = a.trust().with_crl(&ca.revoke(7, &[2])).unwrap().unwrap();
        let credentials = Credentials { trust: Arc::new(trust), ..a.credentials.clone() };
        assert_eq!(a.set_credentials(credentials), Changes { announce: true, sign: false });
        assert_eq!(a.judge_again(), [id(2)]);
        assert!(!a.is_judging(), "who is on no list needs no judgement");
        assert_eq!(lines(&mut a), ["node b: no member any more: certificate was revoked"]);
        let signature = b.sign(Lsa::KIND, b"x");
        assert_eq!(a.verify(id(2), Lsa::KIND, b"x", &signature), Signed::Stranger);
        assert_eq!((tell(&b, 2, &mut a), a.member(id(2)).is_none()), (Accepted::Forged, true));
        a.announce(1, 2);
        assert_eq!((a.crl_number(id(1)), a.crl_number(id(3)), a.crl_number(id(2))), (Some(7), Some(0), None));
        let ids: std::vec::Vec<_> = a.iter().map(|member| member.id).collect();
        assert_eq!(ids, [id(1), id(3)]);
    }

    #[test]
    fn who_has_expired_is_a_stranger_until_its_new_certificate_is_known() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let b = members(ca.credentials(&Terms { days: 5, ..terms("b", 2) }));
        let end = NOW + 5 * DAY;
        assert_eq!(tell(&b, 2, &mut a), GOOD);
        assert_eq!(a.next_expiry(), Some(end + 1));
        let signature = b.sign(Lsa::KIND, b"x");
        for (now, trusted, expected) in
            [(end, true, Signed::Good), (0, false, Signed::Good), (end + 1, true, Signed::Stranger)]
        {
            a.clock.set(now);
            a.clock.set_trusted(trusted);
            assert_eq!(a.verify(id(2), Lsa::KIND, b"x", &signature), expected, "{now}");
        }
        let mut again = b;
        again.announce(1, 2);
        assert_eq!(a.accept(&read(&told(&again, 2, Form::Hash))), Accepted::Forged);
        assert_eq!(a.judge_again(), [id(2)]);
        assert!(lines(&mut a)[0].starts_with("node b: no member any more: certificate expired on "));
        assert_eq!(a.next_expiry(), None);
        // Our own end is for others to judge.
        a.clock.set(end + 100 * DAY);
        assert_eq!(a.judge_again(), []);
        assert_eq!(a.verify(id(1), Lsa::KIND, b"x", &a.sign(Lsa::KIND, b"x")), Signed::Good);
        let renewed = members(ca.credentials(&Terms { from: end + 90 * DAY, days: 50, ..terms("b", 2) }));
        assert_eq!(tell(&renewed, 2, &mut a), GOOD);
    }

    #[test]
    fn other_cas_and_a_clock_that_becomes_trusted_are_judged_a_few_at_a_time() {
        let (ca, other) = (Ca::new(), Ca::new());
        let mut a = members(ca.credentials(&terms("a", 1)));
        let both = Arc::new(ca.trust_with(&other));
        let credentials = Credentials { trust: both, ..a.credentials.clone() };
        assert_eq!(a.set_credentials(credentials), Changes { announce: false, sign: false });
        for n in 2..20 {
            let ca = if n % 3 == 0 { &other } else { &ca };
            assert_eq!(tell(&members(ca.credentials(&terms("b", n))), n, &mut a), GOOD);
        }
        let credentials = Credentials { trust: Arc::new(ca.trust("home")), ..a.credentials.clone() };
        a.set_credentials(credentials);
        let (mut gone, mut turns) = (std::vec::Vec::new(), 0);
        while a.is_judging() {
            let now = a.judge_again();
            assert!(now.len() <= JUDGEMENTS);
            gone.extend(now.iter().map(|id| id.value()));
            turns += 1;
        }
        assert_eq!((gone, turns), (vec![3, 6, 9, 12, 15, 18], 18_usize.div_ceil(JUDGEMENTS)));
        assert_eq!(lines(&mut a).len(), 6);
        // With no clock to go by, one that begins tomorrow is good.
        a.clock.set_trusted(false);
        let early = members(ca.credentials(&Terms { from: NOW + DAY, ..terms("early", 40) }));
        assert_eq!(tell(&early, 40, &mut a), GOOD);
        a.clock.set_trusted(true);
        a.handle_trusted_clock();
        let mut gone = std::vec::Vec::new();
        while a.is_judging() {
            gone.extend(a.judge_again());
        }
        assert_eq!(gone, [id(40)]);
    }

    #[test]
    fn a_new_certificate_of_our_own_asks_for_a_new_announcement() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let mut b = members(ca.credentials(&terms("b", 2)));
        assert_eq!(tell(&a, 1, &mut b), GOOD);
        let same = a.credentials.clone();
        assert_eq!(a.set_credentials(same), Changes { announce: false, sign: false });
        assert!(a.emit(id(1), Form::Hash, &mut std::vec::Vec::new()));
        let renewed = ca.credentials(&Terms { from: NOW + 1, serial: 30, ..terms("a", 1) });
        assert_eq!(a.set_credentials(renewed), Changes { announce: true, sign: true });
        let mut out = std::vec::Vec::new();
        assert!(
            !a.emit(id(1), Form::Hash, &mut out) && out.is_empty(),
            "the old one names the old certificate"
        );
        a.announce(1, 2);
        assert_eq!(tell(&a, 1, &mut b), GOOD);
        assert_eq!(b.verify(id(1), Lsa::KIND, b"x", &a.sign(Lsa::KIND, b"x")), Signed::Good);
        assert_eq!((a.len(), a.name(id(1))), (1, Some("a")));
    }

    #[test]
    fn of_many_that_go_at_once_as_many_are_named_as_there_are_lines() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let serials: std::vec::Vec<u32> = (2..=100).collect();
        for n in 2..=100 {
            assert_eq!(tell(&members(ca.credentials(&terms("b", n))), n, &mut a), GOOD);
        }
        let trust = a.trust().with_crl(&ca.revoke(1, &serials)).unwrap().unwrap();
        let credentials = Credentials { trust: Arc::new(trust), ..a.credentials.clone() };
        a.set_credentials(credentials);
        assert_eq!((a.judge_again().len(), a.len()), (99, 1));
        assert_eq!(lines(&mut a).len(), MEMBER_NOTES);
    }
}
