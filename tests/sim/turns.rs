//! How much a node does in one turn of its loop: frames wait meanwhile.

use std::time::Duration;

use crate::members::mesh;

#[test]
fn one_announcement_is_judged_in_a_turn_of_the_loop() {
    let (mut world, _) = mesh(1, 8);
    world.run_for(Duration::from_secs(5));
    world.pause(0);
    // All others tell that they are linked to it no more.
    world.stop(7);
    world.run_for(Duration::from_millis(300));
    world.resume_reading(0);
    let (now, node) = (world.now, world.sites[0].node.as_mut().expect("runs"));
    let mut verified = vec![node.fabric().counters().verified];
    for _ in 0..100 {
        node.settle(now);
        verified.push(node.fabric().counters().verified);
    }
    assert!(verified[100] - verified[0] >= 6, "the six others: {verified:?}");
    let most = verified.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(most, Some(1), "{verified:?}");
}
