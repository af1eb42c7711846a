//! Whether a NODE is believed: its certificate, whose it is, its signature, and whether there is room for it.
//! Read first: docs/protocol.md, "Members".

use super::record::Record;
use super::{Members, transit};
use crate::limits::CHAIN_MAX;
use crate::mesh::graph::Transit;
use crate::pki::chain::{self, Hash};
use crate::pki::signature::{self, PublicKey};
use crate::pki::verify::Member;
use crate::wire::announce::{HASH, Node};
use crate::wire::control::HEADER;

/// Why a NODE is not taken.
pub enum Objection {
    Stranger,
    Forged,
    Full,
    Refused(String),
}

impl Members {
    /// Keeps a NODE that is newer than what is kept, if it is good. One of this node itself, of an earlier run, is judged
    /// only.
    pub(super) fn admit(&mut self, node: &Node<'_>) -> Result<Transit, Objection> {
        self.check_room(node)?;
        let is_hash = node.certificate.len() == HASH;
        let hash = named(node);
        let known = self.table.find(node.id).filter(|known| known.hash == hash);
        match known.map(|known| known.member.key) {
            Some(key) => self.admit_known(node, &hash, key),
            None if is_hash => Err(Objection::Stranger),
            None => self.admit_new(node, &hash),
        }
    }

    /// Its chain was judged before.
    fn admit_known(&mut self, node: &Node<'_>, hash: &Hash, key: PublicKey) -> Result<Transit, Objection> {
        let (now, me) = (self.clock.now(), self.me());
        self.check_signature(node, hash, key)?;
        let Some(known) = self.table.find_mut(node.id) else { return Err(Objection::Stranger) };
        if known.id() != me {
            if known.is_over(now) {
                return Err(Objection::Refused("certificate has expired meanwhile".to_owned()));
            }
            known.take(node);
        }
        Ok(transit(&known.member))
    }

    fn admit_new(&mut self, node: &Node<'_>, hash: &Hash) -> Result<Transit, Objection> {
        let judged = self.trust().judge_joined(node.certificate, self.clock.now());
        let member = judged.map_err(|refusal| Objection::Refused(refusal.to_string()))?;
        if member.id != node.id {
            let reason = format!("certificate is of node {} ({})", member.id, member.name);
            return Err(Objection::Refused(reason));
        }
        self.check_signature(node, hash, member.key)?;
        self.check_rank(&member)?;
        let transit = transit(&member);
        if node.id != self.me() {
            let mut record = Record::new(member, node.certificate);
            record.take(node);
            self.table.put(record);
        }
        Ok(transit)
    }

    /// Before anything that costs time.
    fn check_room(&self, node: &Node<'_>) -> Result<(), Objection> {
        if node.id == self.me() {
            return Ok(());
        }
        let chain = match node.certificate.len() {
            HASH => self.table.find(node.id).map_or(0, |known| known.chain.len()),
            ..=CHAIN_MAX => node.certificate.len(),
            length => return Err(Objection::Refused(format!("{length} bytes of certificates"))),
        };
        if self.table.has_room(node.id, chain + message_length(node)) { Ok(()) } else { Err(Objection::Full) }
    }

    fn check_signature(&self, node: &Node<'_>, hash: &Hash, key: PublicKey) -> Result<(), Objection> {
        let mut body = Vec::new();
        node.write_signed(hash, &mut body);
        let message = signature::message(self.trust().network(), Node::KIND, &body);
        if key.verify(&message, &node.signature) { Ok(()) } else { Err(Objection::Forged) }
    }

    /// Who is known by an id keeps it, and shows its newest certificate. Our own ones are all good, or a run of ours with an
    /// older certificate would be taken for somebody else's.
    fn check_rank(&mut self, member: &Member) -> Result<(), Objection> {
        let is_me = member.id == self.me();
        let Some(known) = self.table.find_mut(member.id) else { return Ok(()) };
        if known.member.name != member.name {
            let line = format!(
                "node {}: refused: its id {} is that of node {}, one of them needs another certificate",
                member.name, member.id, known.member.name
            );
            let is_said = known.rival.as_ref() == Some(&member.name);
            known.rival = Some(member.name.clone());
            if !is_said {
                self.note(line);
            }
            return Err(Objection::Refused(format!("{} has the id of another node", member.name)));
        }
        if !is_me && known.member.is_newer_than(member) {
            return Err(Objection::Refused("certificate is older than the one that is known".to_owned()));
        }
        Ok(())
    }
}

/// The hash of the chain that it names.
fn named(node: &Node<'_>) -> Hash {
    node.certificate.try_into().unwrap_or_else(|_| chain::hash(node.certificate))
}

/// Bytes of the message in its form with the hash.
fn message_length(node: &Node<'_>) -> usize {
    let mut body = Vec::new();
    node.write_signed(&[0; HASH], &mut body);
    HEADER + body.len() + node.signature.len()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Ca, DAY, NOW, Terms, id, members, read, signed, terms, told};
    use super::super::{Counters, Members};
    use crate::limits::{MEMBER_BYTES, MEMBER_BYTES_MORE, NODES};
    use crate::mesh::graph::Transit;
    use crate::mesh::signature::{Accepted, Form, Registry, Sign, Signed, Verify};
    use crate::pki::csr::generate_key;
    use crate::pki::rights::Rights;
    use crate::wire::announce::{Endpoint, Lsa, Node, Prefix};
    use crate::wire::control::{self, Message, Next};
    use crate::wire::list::List;

    const GOOD: Accepted = Accepted::Good(Transit::Yes);

    /// Two nodes of one network, of which the first knows the second.
    fn pair() -> (Ca, Members, Members) {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let b = members(ca.credentials(&terms("b", 2)));
        assert_eq!(a.accept(&read(&told(&b, 2, Form::Whole))), GOOD);
        (ca, a, b)
    }

    #[test]
    fn a_node_is_kept_and_handed_on_byte_for_byte_in_both_forms() {
        let ca = Ca::new();
        let credentials = ca.credentials(&terms("b", 2));
        let b = members(credentials.clone());
        let endpoints = ["192.0.2.1:443", "[2001:db8::1]:80"].map(|text| Endpoint(text.parse().unwrap()));
        let address = "10.1.0.0".parse().unwrap();
        let prefixes = [Prefix { address, length: 16, priority: 1, weight: 2 }];
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let plain = told(&b, 2, Form::Whole);
        let node = Node {
            endpoints: List::of(&endpoints, &mut first),
            prefixes: List::of(&prefixes, &mut second),
            crl: 77,
            appendix: b"of a later version",
            ..read(&plain)
        };
        let node = signed(node, &credentials, "home");
        let (mut a, mut c) =
            (members(ca.credentials(&terms("a", 1))), members(ca.credentials(&terms("c", 3))));
        assert_eq!(a.accept(&node), GOOD);
        let mut whole = Vec::new();
        Message::Node(node.clone()).emit(&mut whole);
        assert_eq!(told(&a, 2, Form::Whole), whole);
        let hashed = told(&a, 2, Form::Hash);
        assert_eq!(c.accept(&read(&hashed)), Accepted::Stranger);
        assert_eq!(c.accept(&read(&whole)), GOOD);
        assert_eq!((c.accept(&read(&hashed)), told(&c, 2, Form::Hash)), (GOOD, hashed));
        assert_eq!((told(&c, 2, Form::Whole), c.crl_number(id(2))), (whole, Some(77)));
        assert_eq!((c.name(id(2)), c.len(), c.counters()), (Some("b"), 2, Counters::default()));
        assert_eq!(c.verify(id(2), Lsa::KIND, b"links", &b.sign(Lsa::KIND, b"links")), Signed::Good);
        c.forget(id(2));
        assert!(!c.emit(id(2), Form::Hash, &mut Vec::new()));
        assert_eq!(c.verify(id(2), Lsa::KIND, b"links", &b.sign(Lsa::KIND, b"links")), Signed::Stranger);
    }

    #[test]
    fn what_is_changed_on_the_way_is_not_believed() {
        let (_, mut a, mut b) = pair();
        let before = told(&a, 2, Form::Whole);
        b.announce(1, 2);
        for form in [Form::Whole, Form::Hash] {
            let good = told(&b, 2, form);
            // Behind the header and the id: of a certificate, one byte in seven.
            for at in 5..good.len() {
                if form == Form::Whole && at % 7 != 0 {
                    continue;
                }
                let mut bad = good.clone();
                bad[at] ^= 1;
                let Ok(Next::Message(Message::Node(node), _)) = control::next(&bad) else { continue };
                assert!(matches!(a.accept(&node), Accepted::Forged | Accepted::Stranger), "{form:?} {at}");
            }
        }
        assert_eq!(told(&a, 2, Form::Whole), before);
        assert!(a.counters().forged > 64, "{:?}", a.counters());
    }

    #[test]
    fn nobody_speaks_for_another_node_or_another_network() {
        let ca = Ca::new();
        let (key, other_key) = (generate_key().unwrap(), generate_key().unwrap());
        let home = ca.credentials_of(&terms("b", 2), &key);
        let abroad = ca.credentials_of(&Terms { network: "abroad", ..terms("b", 2) }, &key);
        let c = ca.credentials_of(&terms("c", 3), &other_key);
        let mut a = members(ca.credentials(&terms("a", 1)));
        let (b, there) = (members(home.clone()), members(abroad));
        // The same key in another network: neither its NODE counts here, nor its signatures under ours.
        assert_eq!(a.accept(&read(&told(&there, 2, Form::Whole))), Accepted::Forged);
        assert_eq!(a.counters(), Counters { refused: 1, ..Counters::default() });
        let own = told(&b, 2, Form::Whole);
        assert_eq!(a.accept(&signed(read(&own), &home, "abroad")), Accepted::Forged);
        assert_eq!(a.counters(), Counters { refused: 1, forged: 1, full: 0 });
        assert_eq!(a.accept(&read(&own)), GOOD);
        let [at_home, elsewhere] = [&b, &there].map(|node| node.sign(Lsa::KIND, b"links"));
        assert_eq!(a.verify(id(2), Lsa::KIND, b"links", &at_home), Signed::Good);
        assert_eq!(a.verify(id(2), Lsa::KIND, b"links", &elsewhere), Signed::Forged);
        assert_eq!(a.verify(id(2), Node::KIND, b"links", &at_home), Signed::Forged);
        assert_eq!(a.verify(id(3), Lsa::KIND, b"links", &at_home), Signed::Stranger);
        // A member with a certificate of its own and the id of another, and one with the certificate of another.
        let theirs = told(&members(c.clone()), 3, Form::Whole);
        let forged = Node { id: id(2), seq: 9, ..read(&theirs) };
        assert_eq!(a.accept(&signed(forged, &c, "home")), Accepted::Forged);
        let forged = Node { seq: 9, ..read(&own) };
        assert_eq!(a.accept(&signed(forged, &c, "home")), Accepted::Forged);
        assert_eq!(told(&a, 2, Form::Whole), own);
    }

    #[test]
    fn certificates_of_others_are_refused() {
        let (ca, other) = (Ca::new(), Ca::new());
        let mut a = members(ca.credentials(&terms("a", 1)));
        let old = Terms { from: NOW - 20 * DAY, ..terms("b", 2) };
        for stranger in [other.credentials(&terms("b", 2)), ca.credentials(&old)] {
            assert_eq!(a.accept(&read(&told(&members(stranger), 2, Form::Whole))), Accepted::Forged);
        }
        let plain = told(&members(ca.credentials(&terms("b", 2))), 2, Form::Whole);
        let (long, junk) = ([0x30; 4097], [0x30; 40]);
        for certificate in [&long[..], &junk] {
            assert_eq!(a.accept(&Node { certificate, ..read(&plain) }), Accepted::Forged);
        }
        assert_eq!((a.len(), a.counters().refused), (1, 4));
    }

    #[test]
    fn a_renewed_certificate_takes_the_place_of_the_older_one_and_not_the_other_way_round() {
        let (ca, mut a, b) = pair();
        let (old, old_signature) = (told(&b, 2, Form::Whole), b.sign(Lsa::KIND, b"x"));
        let rights = Rights { transit: false, ..Rights::default() };
        let renewed = Terms { from: NOW + 1, serial: 12, rights, ..terms("b", 2) };
        let new = members(ca.credentials(&renewed));
        assert_eq!(a.accept(&read(&told(&new, 2, Form::Hash))), Accepted::Stranger);
        assert_eq!(a.accept(&read(&told(&new, 2, Form::Whole))), Accepted::Good(Transit::No));
        assert_eq!(a.verify(id(2), Lsa::KIND, b"x", &new.sign(Lsa::KIND, b"x")), Signed::Good);
        assert_eq!(a.verify(id(2), Lsa::KIND, b"x", &old_signature), Signed::Forged);
        assert_eq!((a.accept(&read(&old)), a.len()), (Accepted::Forged, 2));
        assert_eq!(told(&a, 2, Form::Whole), told(&new, 2, Form::Whole));
        assert_eq!(a.poll_note(), None);
    }

    #[test]
    fn who_is_known_by_an_id_keeps_it_and_both_are_named_once() {
        let (ca, mut a, mut b) = pair();
        let rival = members(ca.credentials(&Terms { from: NOW + 1, serial: 9, ..terms("rival", 2) }));
        let known = told(&a, 2, Form::Whole);
        for _ in 0..3 {
            assert_eq!(a.accept(&read(&told(&rival, 2, Form::Whole))), Accepted::Forged);
        }
        assert_eq!(told(&a, 2, Form::Whole), known);
        let line = a.poll_note().unwrap();
        assert!(line.contains("node rival") && line.contains("node b") && line.contains("id 2"), "{line}");
        assert_eq!((a.poll_note(), a.counters().refused), (None, 3));
        // So it is with our own id.
        assert_eq!(b.accept(&read(&told(&rival, 2, Form::Whole))), Accepted::Forged);
        assert!(b.poll_note().is_some_and(|line| line.contains("node rival")));
        a.forget(id(2));
        assert_eq!(a.accept(&read(&told(&rival, 2, Form::Whole))), GOOD);
    }

    #[test]
    fn an_earlier_run_of_our_own_is_believed_but_not_kept() {
        let ca = Ca::new();
        let newer = Terms { from: NOW - DAY, serial: 5, ..terms("b", 2) };
        let older = Terms { from: NOW - 2 * DAY, serial: 4, ..terms("b", 2) };
        let (own, earlier) = (ca.credentials(&newer), members(ca.credentials(&older)));
        let mut b = members(own.clone());
        let kept = told(&b, 2, Form::Whole);
        let mut run = members(own);
        run.announce(9, 1);
        for (other, form, expected) in [
            (&run, Form::Whole, GOOD),
            (&run, Form::Hash, GOOD),
            (&earlier, Form::Hash, Accepted::Stranger),
            (&earlier, Form::Whole, GOOD),
        ] {
            assert_eq!(b.accept(&read(&told(other, 2, form))), expected);
        }
        assert_eq!(told(&b, 2, Form::Whole), kept);
        b.forget(id(2));
        assert_eq!(told(&b, 2, Form::Whole), kept, "a node does not forget itself");
    }

    #[test]
    fn a_full_table_refuses_new_nodes_and_keeps_what_it_knows() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let key = generate_key().unwrap();
        let other = |n: usize| members(ca.credentials_of(&terms("b", n as u16), &key));
        for n in 2..=NODES {
            assert_eq!(a.accept(&read(&told(&other(n), n as u16, Form::Whole))), GOOD, "{n}");
        }
        assert_eq!((a.len(), a.iter().count()), (NODES, NODES));
        println!("{} bytes of {NODES} nodes", a.used_bytes());
        assert!(a.used_bytes() < NODES * MEMBER_BYTES, "usual certificates have a place of their own");
        let new = other(NODES + 1);
        for form in [Form::Whole, Form::Hash] {
            assert_eq!(a.accept(&read(&told(&new, NODES as u16 + 1, form))), Accepted::Full);
        }
        let mut known = other(7);
        known.announce(1, 2);
        assert_eq!(a.accept(&read(&told(&known, 7, Form::Whole))), GOOD);
        assert_eq!((a.len(), a.counters().full), (NODES, 2));
        a.forget(id(9));
        assert_eq!(a.accept(&read(&told(&new, NODES as u16 + 1, Form::Whole))), GOOD);
    }

    #[test]
    fn who_announces_much_takes_no_place_from_others() {
        let ca = Ca::new();
        let mut a = members(ca.credentials(&terms("a", 1)));
        let endpoints = [Endpoint("[2001:db8::1]:80".parse().unwrap()); 255];
        let mut rows = Vec::new();
        let endpoints = List::of(&endpoints, &mut rows);
        let greedy = |n: u16| {
            let credentials = ca.credentials(&terms("greedy", n));
            (told(&members(credentials.clone()), n, Form::Whole), credentials)
        };
        let (mut outcomes, many) = (Vec::new(), NODES * 30 / 256);
        for n in 10..10 + many as u16 {
            let (plain, credentials) = greedy(n);
            let large = signed(Node { endpoints, seq: 2, ..read(&plain) }, &credentials, "home");
            outcomes.push(a.accept(&large));
        }
        let taken = outcomes.iter().filter(|outcome| **outcome == GOOD).count();
        assert_eq!(outcomes[taken..], vec![Accepted::Full; many - taken], "{outcomes:?}");
        assert!((many / 3..many * 2 / 3).contains(&taken));
        assert!(a.used_bytes() < NODES * MEMBER_BYTES + MEMBER_BYTES_MORE);
        let b = members(ca.credentials(&terms("b", 2)));
        assert_eq!(a.accept(&read(&told(&b, 2, Form::Whole))), GOOD);
        // A known node that grows is refused, and what it said before stays.
        let (plain, credentials) = greedy(200);
        assert_eq!(a.accept(&read(&plain)), GOOD);
        let large = signed(Node { endpoints, seq: 2, ..read(&plain) }, &credentials, "home");
        assert_eq!((a.accept(&large), told(&a, 200, Form::Whole)), (Accepted::Full, plain));
    }
}
