//! What a member says of others and of itself on control streams.

use std::collections::BTreeMap;

use quicap::wire::announce::Signature;

use super::double::{id, lsa, node, signer, signer_in};
use super::{A, B, C, D, IDS, M, SITES, Scene, ms};
use crate::for_seeds;
use crate::members::{NOW, Terms};

#[test]
fn announcements_in_the_name_of_others_are_forged() {
    for_seeds(|seed| {
        let mut scene = Scene::new(seed);
        let (own, a) = (scene.double.credentials.clone(), scene.credentials[A].clone());
        let (mine, nobody) = (signer(&own), |_: u8, _: &[u8]| -> Signature { [7; 64] });
        let elsewhere = signer_in("other", &a);
        let victim = id(IDS[A]);
        let (chain, own_chain) = (a.identity.joined_chain(), own.identity.joined_chain());
        let forged = [
            lsa(victim, (NOW, 900), 0, &[(M, 0, 1)], &mine),
            lsa(victim, (NOW, 901), 0, &[(M, 0, 1)], &nobody),
            lsa(victim, (NOW + 9, 1), 1, &[], &mine),
            // As A said it in another network, where it has the same key.
            lsa(victim, (NOW + 9, 1), 0, &[], &elsewhere),
            node(victim, (NOW + 9, 900), chain, &mine),
            node(victim, (NOW + 9, 900), chain, &elsewhere),
            // Certificates of others, and its own for an id that is not its own.
            node(victim, (NOW, 900), own_chain, &mine),
            node(id(99), (NOW, 1), own_chain, &mine),
            node(id(99), (NOW, 1), chain, &mine),
            node(id(M), (NOW, 900), chain, &mine),
        ];
        let before = [B, C].map(|site| scene.counters(site).forged);
        let refused = scene.node(B).members().counters();
        scene.attack_in_vain(10, ms(20), |double, world, n| double.say(world, &forged[n]));
        for (site, before) in [B, C].into_iter().zip(before) {
            assert_eq!(scene.counters(site).forged - before, 10, "at {site}");
        }
        let after = scene.node(B).members().counters();
        assert!(after.forged > refused.forged && after.refused > refused.refused, "{after:?}");
        assert_eq!([A, D].map(|site| scene.counters(site).forged), [0, 0], "nobody hands them on");
    });
}

#[test]
fn what_is_said_of_nodes_that_do_not_exist_is_kept_nowhere() {
    let mut scene = Scene::new(1);
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    scene.attack_in_vain(400, ms(10), |double, world, n| {
        double.say(world, &lsa(id(1000 + n as u16), (NOW, 1), 0, &[(IDS[A], 0, 1)], &sign));
    });
    assert!((0..SITES).all(|site| scene.topology(site).len() == SITES + 1));
}

#[test]
fn links_to_nodes_that_do_not_announce_them_lead_nowhere_and_fill_no_table() {
    let mut scene = Scene::new(1);
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    let costs = [1, 0, 65_534, 65_535];
    scene.attack_in_vain(40, ms(110), |double, world, n| {
        let (fragment, seq) = (n as u8 % 4, double.next_seq());
        // To everybody, itself and nobody, twice each.
        let to = |slot: u8| [IDS[A], IDS[D], M, 900 + n as u16, IDS[B], IDS[B]][usize::from(slot) % 6];
        let rows: Vec<_> =
            (16 * fragment..16 * fragment + 16).map(|slot| (to(slot), slot, costs[n % 4])).collect();
        double.say(world, &lsa(id(M), (NOW, 1000 + seq), fragment, &rows, &sign));
    });
    for site in 0..SITES {
        let graph = scene.node(site).fabric().graph();
        let double = graph.index(id(M)).expect("a member");
        assert!(graph.edges(double).count() <= 1, "only B announces it as well, and C does not come up");
        let mut buffer = Vec::new();
        let kept = (0..4).filter(|part| {
            buffer.clear();
            scene.topology(site).lsa(id(M), *part, &mut buffer).is_some()
        });
        assert_eq!(kept.count(), 4, "it may say of itself what it likes");
    }
}

#[test]
fn announcements_of_an_earlier_run_are_void() {
    let mut scene = Scene::new(1);
    let a = scene.credentials[A].clone();
    let sign = signer(&a);
    let recorded = [
        lsa(id(IDS[A]), (NOW - 100, 900), 0, &[(M, 0, 1)], &sign),
        lsa(id(IDS[A]), (NOW, 0), 0, &[], &sign),
        node(id(IDS[A]), (NOW - 100, 900), a.identity.joined_chain(), &sign),
    ];
    let before = scene.counters(B).outdated;
    scene.attack_in_vain(30, ms(20), |double, world, n| double.say(world, &recorded[n % 3]));
    assert_eq!(scene.counters(B).outdated - before, 30);
}

#[test]
fn a_node_whose_earlier_run_had_a_later_clock_is_itself_again_at_once_and_each_recording_works_once() {
    let mut scene = Scene::new(1);
    let a = scene.credentials[A].clone();
    let sign = signer(&a);
    let epoch = |scene: &Scene, site| scene.topology(site).epoch(id(IDS[A]));
    // Five recordings, each told again and again for a second.
    for n in 1..=5 {
        let recording = lsa(id(IDS[A]), (NOW + 1000 * n, 900), 0, &[], &sign);
        let mut taken = std::collections::BTreeSet::new();
        for _ in 0..20 {
            scene.double.say(&mut scene.world, &recording);
            scene.run(ms(100));
            taken.extend(epoch(&scene, A));
        }
        assert!(taken.len() <= 2, "{taken:?}");
        assert!((0..SITES).all(|site| epoch(&scene, site) == Some(NOW + 1000 * n + 1)), "round {n}");
        scene.ping();
        scene.check("after a recording");
    }
    assert!(scene.agree());
    // Once in a second is the most, however many recordings there are.
    let mut epochs = BTreeMap::new();
    for n in 0..100 {
        let recording = lsa(id(IDS[A]), (NOW + 10_000 + 10 * n, 900), 0, &[], &sign);
        scene.double.say(&mut scene.world, &recording);
        scene.run(ms(50));
        epochs.entry(epoch(&scene, A)).or_insert(scene.world.now);
    }
    assert!((4..=7).contains(&epochs.len()), "{} epochs in 5 s", epochs.len());
    scene.run(ms(2000));
    scene.ping();
    scene.check("after all recordings");
}

#[test]
fn certificates_that_have_ended_are_nobodys() {
    let mut scene = Scene::new(1);
    let ended = Terms { to: (2026, 2, 1), ..Terms::default() };
    let old = scene.ca.credentials_for("old", 77, None, &ended);
    let sign = signer(&old);
    let message = node(id(77), (NOW, 1), old.identity.joined_chain(), &sign);
    let before = scene.node(B).members().counters().refused;
    scene.attack_in_vain(5, ms(50), |double, world, _| double.say(world, &message));
    assert_eq!(scene.node(B).members().counters().refused - before, 5);
}

#[test]
fn a_member_whose_announcements_never_rest_makes_others_search_at_a_bounded_rate() {
    let mut scene = Scene::new(1);
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    let before: Vec<_> = (0..SITES).map(|site| scene.counters(site)).collect();
    let took = scene.world.now;
    scene.attack(500, ms(10), |double, world, n| {
        let seq = 1000 + double.next_seq();
        let cost = 300 + n as u16 % 2 * 300;
        double.say(world, &lsa(id(M), (NOW, seq), 0, &[(IDS[B], 0, cost), (IDS[C], 1, cost)], &sign));
    });
    let seconds = (scene.world.now - took).as_secs() + 1;
    for (site, before) in before.iter().enumerate() {
        let after = scene.counters(site);
        let (searches, verified) = (after.searches - before.searches, after.verified - before.verified);
        assert!(searches <= 10 * seconds + 10, "{searches} searches in {seconds} s at {site}");
        assert!(verified <= 12 * seconds + 10, "{verified} signatures in {seconds} s at {site}");
    }
}
