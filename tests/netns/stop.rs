//! Ending a daemon by a signal, and starting it again.
//!
//! ```text
//!   a ===== b        b ends
//! ```

use std::time::Duration;

use crate::lab::{self, Lab, Underlay};

#[test]
fn sigint_and_sigterm_end_the_daemon_at_once_and_the_peer_knows_at_once() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    for signal in ["INT", "TERM"] {
        lab.signal("b", signal);
        let status = lab.wait_end("b", Duration::from_secs(2));
        assert_eq!(status.code(), Some(0), "{signal}");
        // Silence would be noticed after a second under traffic, and much later on this idle link.
        lab.wait(Duration::from_millis(500), "the peer knows", |lab| lab.link("a").0 != "up");
        lab.wait(lab::SOON, "the peer knows why", |lab| !lab.link("a").1.is_empty());
        println!("after SIG{signal} a says: {}", lab.link("a").1);
        assert!(!lab.dir.join("b/quicap.sock").exists(), "the socket goes with the daemon");
        lab.start("b");
        lab.wait_linked();
        assert_eq!(lab.ping("la", "-c 5 -i 0.01 -W 2 10.77.0.2"), (5, 5));
    }
}

#[test]
fn a_daemon_that_was_killed_can_start_again_at_once() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    for _ in 0..3 {
        lab.kill9("b");
        lab.start("b");
        lab.wait_linked();
    }
    lab.wait_ping(lab::SOON);
}
