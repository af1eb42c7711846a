//! Messages without end: how much work and how many bytes they cause.

use std::collections::BTreeMap;
use std::time::Instant;

use quicap::types::LinkId;
use quicap::wire::announce::Signature;
use quicap::wire::control::{self, Message, Next};
use quicap::wire::database::{Known, WANTS_LINKS, WANTS_NODE, Wanted};
use quicap::wire::list::List;

use super::double::{Double, emit, foreign, id, lsa, node, signer};
use super::{A, B, C, D, IDS, M, SITES, Scene, ms, start};
use crate::members::NOW;
use crate::world::World;

const LINK: LinkId = LinkId(0);

fn nobody(_: u8, _: &[u8]) -> Signature {
    [7; 64]
}

/// As fast as the neighbors read, for so many milliseconds.
fn pour(scene: &mut Scene, time: usize, each: usize, message: impl Fn(usize) -> Vec<u8>) {
    scene.attack(time, ms(1), |double, world, n| {
        for k in 0..each {
            double.say(world, &message(n * each + k));
        }
    });
}

#[test]
fn ten_thousand_forged_announcements_a_second_cost_few_checks_and_then_the_link() {
    let mut scene = Scene::new(1);
    let before = [B, C].map(|site| scene.counters(site));
    pour(&mut scene, 9000, 10, |n| lsa(id(IDS[n % 4]), (NOW + 1, n as u32), 0, &[(M, 0, 1)], &nobody));
    for (site, before) in [B, C].into_iter().zip(before) {
        let after = scene.counters(site);
        let (verified, forged) = (after.verified - before.verified, after.forged - before.forged);
        // 64 at once, ten a second, and what others say for themselves.
        assert!((64..=190).contains(&forged) && verified <= forged + 40, "{forged} of {verified} in 10 s");
        assert!(after.dropped - before.dropped > 1000, "{after:?}");
    }
    pour(&mut scene, 3000, 10, |n| lsa(id(IDS[n % 4]), (NOW + 1, n as u32), 0, &[(M, 0, 1)], &nobody));
    assert!(scene.world.events(B).iter().any(|line| line.contains("floods the control stream")));
    scene.run(ms(5000));
    scene.ping();
    scene.check("after the flood");
}

#[test]
fn what_others_announce_gets_through_while_it_is_forged_all_the_time() {
    let mut scene = Scene::new(1);
    let forge = |double: &mut Double, world: &mut World, n: usize| {
        let forged = lsa(id(IDS[n % 4]), (NOW + 500, n as u32), 0, &[(M, 0, 1)], &nobody);
        double.say(world, &forged);
    };
    for n in 0..1000 {
        forge(&mut scene.double, &mut scene.world, n);
        scene.run(ms(6));
    }
    scene.world.kill(D);
    let gone = |scene: &Scene| (0..D).all(|site| scene.node(site).fabric().route(id(IDS[D])).is_none());
    let mut waited = 0;
    while !gone(&scene) {
        forge(&mut scene.double, &mut scene.world, waited);
        scene.run(ms(6));
        waited += 1;
        assert!(waited < 700, "D's end is not known after 4 s");
    }
    scene.world.start(D, start(&scene.credentials[D], D, 77));
    let back = |scene: &Scene| (0..D).all(|site| scene.node(site).fabric().route(id(IDS[D])).is_some());
    waited = 0;
    while !back(&scene) {
        forge(&mut scene.double, &mut scene.world, waited);
        scene.run(ms(6));
        waited += 1;
        assert!(waited < 700, "D's return is not known after 4 s");
    }
    scene.run(ms(500));
    scene.ping();
    scene.check("while all is forged");
}

/// Rows of the REQUESTs that the double has heard: when, and of whom.
fn requests(scene: &Scene) -> BTreeMap<(u8, u16), Vec<Instant>> {
    let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (at, LinkId(link), bytes) in &scene.double.heard {
        if let Ok(Next::Message(Message::Request(list), _)) = control::next(bytes) {
            list.iter().for_each(|row| asked.entry((*link, row.id.value())).or_default().push(*at));
        }
    }
    asked
}

#[test]
fn lies_of_a_summary_are_asked_for_once_a_second_and_keep_nobody_from_learning_the_rest() {
    let mut scene = Scene::new(1);
    let lies: Vec<Vec<u8>> = (0..4_u16)
        .map(|part| {
            let known = |n: u16| Known { id: id(300 + part * 1000 + n), epoch: NOW, links: 9, node: 9 };
            let rows: Vec<Known> = (0..1000).map(known).collect();
            emit(&Message::Summary(List::of(&rows, &mut Vec::new())))
        })
        .collect();
    scene.double.heard.clear();
    scene.attack_in_vain(500, ms(20), |double, world, n| {
        double.say_to(world, LinkId(n as u8 % 2), &lies[n / 2 % 4]);
    });
    let asked = requests(&scene);
    assert!(asked.len() > 100, "{}", asked.len());
    for (subject, times) in &asked {
        let near = times.windows(2).filter(|pair| pair[1] - pair[0] < ms(900)).count();
        assert_eq!(near, 0, "{subject:?} asked for {times:?}");
    }
    // A node that comes anew while it lies learns of all others as if it did not.
    scene.world.kill(B);
    scene.run(ms(3000));
    scene.world.start(B, start(&scene.credentials[B], B, 5));
    for n in 0..400 {
        scene.double.say_to(&mut scene.world, LinkId(n as u8 % 2), &lies[n / 2 % 4]);
        scene.run(ms(10));
    }
    assert!(IDS.iter().all(|to| scene.node(B).fabric().route(id(*to)).is_some()));
    scene.ping();
    scene.check("after B came back");
}

/// Bytes that the double was told while it said this, 5 times in 100 ms for 20 s.
fn answers(scene: &mut Scene, message: &[u8]) -> usize {
    scene.run(ms(20_000));
    scene.double.heard.clear();
    scene.attack_in_vain(1000, ms(20), |double, world, _| {
        double.say_to(world, LINK, message);
    });
    scene.double.heard.iter().filter(|(_, link, _)| *link == LINK).map(|(.., bytes)| bytes.len()).sum()
}

#[test]
fn questions_without_end_get_few_answers() {
    let all: Vec<Wanted> =
        IDS.iter().map(|own| Wanted { id: id(*own), what: WANTS_NODE | WANTS_LINKS }).collect();
    let cases = [
        ("REQUEST", emit(&Message::Request(List::of(&all, &mut Vec::new()))), 1_500_000),
        ("DIGEST", emit(&Message::Digest(7)), 10_000),
        ("MAC_SNAPSHOT", emit(&Message::MacSnapshot(List::of(&[], &mut Vec::new()))), 2_000),
        ("old LSA", lsa(id(IDS[A]), (NOW, 0), 0, &[], &nobody), 300_000),
    ];
    let mut scene = Scene::new(1);
    for (what, message, limit) in cases {
        let bytes = answers(&mut scene, &message);
        println!("{what}: {bytes} bytes in answer to 1000 of {} bytes in 20 s", message.len());
        assert!(bytes < limit, "{what}: {bytes} bytes");
    }
    let dropped = scene.counters(B).dropped;
    assert!(dropped > 2000, "{dropped}");
}

#[test]
fn a_cost_that_flaps_a_hundred_times_a_second_is_told_a_few_times() {
    let mut scene = Scene::new(1);
    let seq = |scene: &Scene| {
        let mut buffer = Vec::new();
        scene.topology(D).lsa(id(IDS[B]), 0, &mut buffer).map(|lsa| lsa.seq)
    };
    let before = seq(&scene).expect("an LSA");
    scene.attack(2000, ms(10), |double, world, n| {
        double.say(world, &emit(&Message::Cost([1, 65_535, 500][n % 3])));
    });
    let told = seq(&scene).expect("an LSA") - before;
    assert!((1..=9).contains(&told), "{told} LSAs in 20 s");
}

#[test]
fn lists_of_revoked_certificates_that_no_ca_has_signed_are_judged_seldom() {
    let mut scene = Scene::new(1);
    let crl = scene.ca.revoke(&[&[1; 16], &[2; 16]]);
    let good = quicap::pki::crl::Crl::all_from_pem(crl.as_bytes()).expect("a CRL").remove(0).der;
    let mut bad = good.clone();
    *bad.last_mut().expect("bytes") ^= 1;
    let short = emit(&Message::Crl(&bad));
    let long = emit(&Message::Crl(&[0x30; 60_000]));
    let before = scene.counters(B);
    scene.attack_in_vain(1000, ms(10), |double, world, n| {
        double.say(world, if n % 100 == 0 { &long } else { &short });
    });
    let after = scene.counters(B);
    let forged = after.forged - before.forged;
    assert!((64..=200).contains(&forged), "{forged} lists judged in 10 s");
    assert!(scene.node(B).members().crl() == 0 && after.dropped - before.dropped > 500);
}

#[test]
fn who_never_takes_a_list_is_not_told_it_again_and_again() {
    let mut scene = Scene::new(1);
    let crl = scene.ca.revoke(&[&[1; 16], &[2; 16]]);
    scene.give_list(A, &crl);
    scene.until(ms(2000), |scene| (0..SITES).all(|site| scene.node(site).members().crl() == 2));
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    scene.run(ms(20_000));
    scene.double.heard.clear();
    // Each of its NODEs says that it has none.
    scene.attack(1500, ms(20), |double, world, n| {
        double.say(world, &node(id(M), (NOW, 1000 + n as u32), own.identity.joined_chain(), &sign));
    });
    let is_list = |bytes: &[u8]| matches!(control::next(bytes), Ok(Next::Message(Message::Crl(_), _)));
    let told = scene.double.heard.iter().filter(|(_, link, bytes)| *link == LINK && is_list(bytes)).count();
    assert!((1..=6).contains(&told), "{told} times in 30 s");
}

#[test]
fn what_later_versions_announce_is_handed_on_once_and_not_faster_than_links_carry_it() {
    let mut scene = Scene::new(1);
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    // Forged: by nobody, and of others.
    let before = scene.counters(B).forged;
    scene.attack_in_vain(20, ms(20), |double, world, n| {
        let origin = id([M, IDS[A]][n % 2]);
        double.say_to(world, LINK, &foreign(0x90, origin, (NOW, 1), 300, &nobody));
    });
    assert_eq!(scene.counters(B).forged - before, 20);
    // Well signed: once each over the other link, whichever way it goes.
    scene.double.heard.clear();
    let said: Vec<_> = (0..20).map(|n| foreign(0x80 + n * 5, id(M), (NOW, 1), 300, &sign)).collect();
    scene.attack_in_vain(60, ms(110), |double, world, n| {
        double.say_to(world, LINK, &said[n % 20]);
    });
    for message in &said {
        let came = scene.double.heard.iter().filter(|(.., heard)| heard == message).count();
        assert_eq!(came, 1);
    }
    // Long ones, as fast as B reads.
    scene.double.heard.clear();
    let began = scene.world.now;
    pour(&mut scene, 8000, 1, |n| {
        foreign(0x80 + (n % 128) as u8, id(M), (NOW, 100 + n as u32), 16_000, &sign)
    });
    let seconds = (scene.world.now - began).as_secs() as usize;
    let relayed: usize =
        scene.double.heard.iter().filter(|(.., heard)| heard[0] >= 0x80).map(|(.., heard)| heard.len()).sum();
    assert!(relayed < 2 * (seconds + 4) * 11_000, "{relayed} bytes in {seconds} s");
    assert!((0..SITES).all(|site| scene.world.links_up(site) >= 1));
    for (site, others) in [(A, 1), (B, 2), (C, 2), (D, 1)] {
        let node = scene.node(site);
        let honest = node
            .links()
            .iter()
            .filter(|link| link.is_up() && link.member.as_ref().is_some_and(|m| m.id != id(M)));
        assert_eq!(honest.count(), others, "links of {site}");
        assert!(
            !scene.world.events(site).iter().any(|line| line.contains("site") && line.contains("floods"))
        );
    }
}
