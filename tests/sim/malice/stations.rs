//! Whose MAC addresses are whose.

use quicap::link::Credentials;
use quicap::wire::control::Message;
use quicap::wire::list::List;
use quicap::wire::stations::{Owned, Stations};

use super::double::{emit, id, mac, signer, stations};
use super::{A, B, C, D, IDS, M, SITES, Scene, ms, start};
use crate::for_seeds;
use crate::members::{NOW, broadcast};

fn own(scene: &Scene) -> Credentials {
    scene.double.credentials.clone()
}

/// The last byte of the address of the host of A, which nobody has reserved, and of D, which its certificate reserves.
const HOST: u16 = IDS[A];
const SAFE: u16 = IDS[D];

#[test]
fn moves_in_the_name_of_others_and_of_addresses_of_others_certificates_change_nothing() {
    for_seeds(|seed| {
        let mut scene = Scene::new(seed);
        let own = own(&scene);
        let sign = signer(&own);
        let host = [mac(HOST as u8)];
        let cases = [
            stations(Stations::MOVE, (id(IDS[C]), NOW), &host, 9, &sign),
            stations(Stations::GONE, (id(IDS[A]), NOW), &host, 9, &sign),
            // Its own, but what it may not have, or what is not its own to give up.
            stations(Stations::MOVE, (id(M), NOW), &[mac(SAFE as u8)], 9, &sign),
            stations(Stations::GONE, (id(M), NOW), &host, 9, &sign),
            // Of another run, and more than a node tells at once.
            stations(Stations::MOVE, (id(M), NOW - 5), &host, 9, &sign),
            stations(Stations::MOVE, (id(M), NOW), &[host[0]; 65], 9, &sign),
        ];
        let before = scene.counters(B);
        let refused = scene.node(B).switch().owners().counters().refused;
        scene.attack_in_vain(cases.len() * 5, ms(40), |double, world, n| {
            double.say(world, &cases[n % cases.len()]);
        });
        let after = scene.counters(B);
        assert_eq!(after.forged - before.forged, 10);
        assert_eq!(after.outdated - before.outdated, 10);
        assert!(scene.node(B).switch().owners().counters().refused > refused);
    });
}

#[test]
fn an_address_that_nobody_has_reserved_can_be_claimed_until_its_host_speaks_again() {
    let mut scene = Scene::new(1);
    let own = own(&scene);
    let sign = signer(&own);
    let claim = stations(Stations::MOVE, (id(M), NOW), &[mac(HOST as u8), mac(SAFE as u8)], 1, &sign);
    scene.double.say(&mut scene.world, &claim);
    scene.run(ms(200));
    assert_eq!(scene.owners(HOST), [Some(M); SITES], "this is admitted");
    assert_eq!(scene.owners(SAFE), [Some(IDS[D]); SITES]);
    scene.world.send(A, &broadcast(HOST as u8, 100));
    scene.run(ms(200));
    assert_eq!(scene.owners(HOST), [Some(IDS[A]); SITES]);
    scene.world.sites.iter_mut().for_each(|site| site.frames.clear());
    scene.ping();
    scene.check("after the host spoke");
}

/// Claims the hosts of A and of D thirty times, while they speak.
fn quarrel(scene: &mut Scene) {
    let (own, double) = (own(scene), scene.double.id());
    let sign = signer(&own);
    for n in 0..30 {
        let claim =
            stations(Stations::MOVE, (double, NOW), &[mac(HOST as u8), mac(SAFE as u8)], 3 * n + 1, &sign);
        scene.double.say(&mut scene.world, &claim);
        scene.run(ms(150));
        scene.world.send(A, &broadcast(HOST as u8, 100));
        scene.world.send(D, &broadcast(SAFE as u8, 100));
        scene.run(ms(150));
    }
    scene.world.sites.iter_mut().for_each(|site| site.frames.clear());
}

#[test]
fn an_address_that_is_claimed_again_and_again_stays_with_the_lower_id() {
    let mut scene = Scene::new(1);
    quarrel(&mut scene);
    assert_eq!(scene.owners(HOST), [Some(IDS[A]); SITES]);
    assert!((0..SITES).all(|site| scene.node(site).switch().owners().counters().frozen > 0));
    assert!(scene.world.events(C).iter().any(|line| line.contains("mac_flap")));
    scene.ping();
    scene.check("after a quarrel");
}

#[test]
fn a_member_with_a_lower_id_can_keep_an_address_for_a_while_but_none_that_a_certificate_reserves() {
    let mut scene = Scene::with(1, 5, &[]);
    quarrel(&mut scene);
    assert_eq!(scene.owners(HOST), [Some(5); SITES], "this is admitted");
    assert_eq!(scene.owners(SAFE), [Some(IDS[D]); SITES]);
    scene.run(ms(185_000));
    scene.world.send(A, &broadcast(HOST as u8, 100));
    scene.run(ms(200));
    scene.world.sites.iter_mut().for_each(|site| site.frames.clear());
    assert_eq!(scene.owners(HOST), [Some(IDS[A]); SITES]);
    scene.ping();
    scene.check("after three minutes");
}

/// Says that the host of A is C's, that of D its own, and has invented more.
fn lies() -> Vec<Vec<u8>> {
    let mut buffer = Vec::new();
    let row = |last: u16, owner| Owned { mac: mac(last as u8), owner: id(owner), moves: 60_000 };
    let mut rows = vec![row(HOST, IDS[C]), row(SAFE, M), row(0xF0, 999), row(0xF1, M)];
    rows.extend((0x20..0x60).map(|last| row(last, IDS[A])));
    (0..20).map(|_| emit(&Message::MacSnapshot(List::of(&rows, &mut buffer)))).collect()
}

#[test]
fn who_was_not_asked_where_stations_are_is_not_heard() {
    let mut scene = Scene::new(1);
    let lies = lies();
    // It was asked when its links came up, but others have answered since, or nobody knew anything then.
    scene.run(ms(11_000));
    scene.attack_in_vain(lies.len(), ms(20), |double, world, n| double.say(world, &lies[n]));
}

#[test]
fn lies_about_stations_fill_gaps_only_and_the_first_frame_ends_them() {
    let mut scene = Scene::new(1);
    scene.world.kill(B);
    scene.run(ms(3000));
    scene.world.start(B, start(&scene.credentials[B], B, 9));
    let lies = lies();
    for n in 0..200 {
        let lie = &lies[n % lies.len()];
        scene.double.say_to(&mut scene.world, quicap::types::LinkId(0), lie);
        scene.run(ms(50));
    }
    let learned = scene.node(B).switch().owners();
    assert!(learned.len() <= 80, "{}", learned.len());
    assert_ne!(learned.find(scene.world.now, mac(SAFE as u8)), Some(id(M)));
    assert_eq!(learned.find(scene.world.now, mac(0xF0)), None, "of no member");
    for site in [A, D] {
        scene.world.send(site, &broadcast(IDS[site] as u8, 100));
    }
    scene.run(ms(500));
    scene.world.sites.iter_mut().for_each(|site| site.frames.clear());
    assert_eq!(scene.owners(HOST), [Some(IDS[A]); SITES]);
    assert_eq!(scene.owners(SAFE), [Some(IDS[D]); SITES]);
    scene.ping();
    scene.check("after both spoke");
}
