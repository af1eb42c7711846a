//! The CA has heard of it.

use quicap::wire::announce::Signature;

use super::double::{id, lsa, node, signer, stations};
use super::{A, B, C, IDS, M, SITES, Scene, mac, ms};
use crate::members::{NOW, broadcast};
use quicap::wire::overlay::Broadcast;
use quicap::wire::stations::Stations;

#[test]
fn a_member_that_is_revoked_while_it_attacks_is_out_everywhere() {
    let mut scene = Scene::new(1);
    let own = scene.double.credentials.clone();
    let sign = signer(&own);
    let nobody = |_: u8, _: &[u8]| -> Signature { [7; 64] };
    let attack = move |double: &mut super::Double, world: &mut crate::world::World, n: usize| {
        let seq = 1000 + n as u32;
        double.say(world, &node(id(M), (NOW, seq), own.identity.joined_chain(), &sign));
        double.say(world, &lsa(id(M), (NOW, seq), 0, &[(IDS[B], 0, 1), (IDS[C], 1, 1)], &sign));
        double.say(world, &lsa(id(IDS[A]), (NOW, 900 + seq), 0, &[], &nobody));
        double.say(world, &stations(Stations::MOVE, (id(M), NOW), &[mac(0xEE)], n as u16 + 1, &sign));
        let header =
            Broadcast { origin: id(M), epoch: NOW as u8, seq: n as u16 + 1, is_astray: false }.header();
        double.send(world, &[&header[..], &broadcast(0xEE, 100)].concat());
    };
    scene.attack(100, ms(30), &attack);
    assert!((0..SITES).all(|site| scene.topology(site).epoch(id(M)).is_some()));
    // One node is told, as by `ca revoke` and SIGHUP.
    let crl = scene.ca.revoke(&[scene.double.credentials.me.serial.as_bytes()]);
    scene.give_list(A, &crl);
    scene.attack(30, ms(30), &attack);
    let assert_out = |scene: &Scene| {
        for site in 0..SITES {
            let node = scene.node(site);
            assert_eq!(scene.topology(site).epoch(id(M)), None, "in the database of {site}");
            assert!(node.members().member(id(M)).is_none() && node.fabric().route(id(M)).is_none());
            assert_eq!(node.switch().owners().find(scene.world.now, mac(0xEE)), None);
            let is_double = |member: &quicap::pki::verify::Member| member.id == id(M);
            assert!(
                !node.links().iter().any(|link| link.is_up() && link.member.as_ref().is_some_and(is_double))
            );
        }
    };
    assert_out(&scene);
    // It dials again and again, and goes on.
    scene.attack(300, ms(100), &attack);
    assert_out(&scene);
    assert_eq!(scene.double.links_up(), 0);
    assert!(scene.agree());
}
