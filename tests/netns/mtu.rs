//! `option mtu 'auto'`: the device follows the paths, and in a bridge it stays as it is.
//!
//! ```text
//!   quicap0 a ===== b quicap0(br-lan)
//! ```

use crate::lab::{self, Lab, Underlay};

#[test]
fn the_device_follows_the_path_mtu_and_in_a_bridge_it_stays_1500() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[("mtu", "auto")]) else { return };
    lab.spawn_daemon("a");
    lab.start("b");
    let mtu = |lab: &Lab, site: &str| lab.status(site).at("tap.mtu").number();
    // From docs/mtu.md.
    lab.wait(lab::SOON, "the device has the MTU of the path", |lab| mtu(lab, "a") == Some(1425.0));
    lab.wait(lab::SOON, "the bridged one is left alone, with a word", |lab| {
        lab.log("b").contains("is in bridge br-lan: its MTU stays 1500")
    });
    assert_eq!(mtu(&lab, "b"), Some(1500.0));
    assert!(lab.ok("ip -n @b link show dev br-lan").contains("mtu 1500"));
    // As when the bridge is configured, or loses the port, while the daemon runs.
    lab.ok("ip -n @a link set quicap0 master br-lan up");
    lab.wait(lab::SOON, "the MTU of a bridge is what it was before", |lab| {
        mtu(lab, "a") == Some(1500.0) && lab.ok("ip -n @a link show dev br-lan").contains("mtu 1500")
    });
    assert!(lab.log("a").contains("is in bridge br-lan: its MTU stays 1500"));
    lab.ok("ip -n @a link set quicap0 nomaster");
    lab.wait(lab::SOON, "on its own the device follows again", |lab| mtu(lab, "a") == Some(1425.0));
}
