//! What netifd sees: NO-CARRIER while no link is up, and a port of br-lan whatever happens to the daemon.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ===== b        b is killed and comes back; then a is
//! ```

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::thread;
use std::time::Duration;

use crate::lab::{self, Lab, Underlay};

/// Shorter than the default of 5 s, to save time.
const DELAY: &[(&str, &str)] = &[("carrier_down_delay", "2")];
const DELAY_TIME: Duration = Duration::from_secs(2);

#[test]
fn carrier_goes_within_the_delay_and_2_seconds_under_traffic_and_returns_with_the_peer() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, DELAY) else { return };
    let traffic = lab.spawn(&lab::ping_line("la", "-q -i 0.05 10.77.0.2"));
    lab.keep(traffic);
    thread::sleep(Duration::from_secs(1));
    carrier_follows_the_peer(&mut lab, DELAY_TIME + Duration::from_secs(2));
}

#[test]
fn carrier_goes_within_the_delay_and_8_seconds_when_idle_and_returns_with_the_peer() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, DELAY) else { return };
    thread::sleep(Duration::from_secs(3));
    carrier_follows_the_peer(&mut lab, DELAY_TIME + Duration::from_secs(8));
}

fn carrier_follows_the_peer(lab: &mut Lab, limit: Duration) {
    lab.kill9("b");
    let off = lab.wait(limit, "carrier goes", |lab| lab.carrier("a") == Some(false));
    assert!(off >= DELAY_TIME, "it waits for the delay: {off:?}");
    assert!(lab.is_bridged("a"));
    lab.start("b");
    let on = lab.wait(lab::SOON, "carrier returns", |lab| lab.carrier("a") == Some(true));
    println!("carrier off {off:?} after kill -9 of the peer, on {on:?} after its start");
    lab.wait_ping(lab::SOON);
}

#[test]
fn a_peer_that_returns_within_the_delay_is_not_noticed_by_netifd() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[("carrier_down_delay", "8")]) else { return };
    let traffic = lab.spawn(&lab::ping_line("la", "-q -i 0.05 10.77.0.2"));
    lab.keep(traffic);
    let events = Events::watch(&mut lab);
    lab.kill9("b");
    lab.wait(lab::SOON, "the link is given up", |lab| !["up", "suspect"].contains(&lab.link("a").0.as_str()));
    lab.start("b");
    lab.wait_linked();
    assert!(events.since(&lab).iter().all(|event| event.contains("LOWER_UP")), "{:?}", events.since(&lab));
}

#[test]
fn the_tap_has_no_carrier_from_its_first_moment_until_a_link_is_up() {
    let Some(mut lab) = Lab::two_sites(Underlay::V4, &[]) else { return };
    let events = Events::watch(&mut lab);
    lab.start("a");
    lab.wait(lab::SOON, "the daemon answers", |lab| !lab.status("a").at("version").text().is_empty());
    thread::sleep(Duration::from_millis(500));
    assert_eq!(lab.carrier("a"), Some(false));
    let early = events.since(&lab);
    assert!(!early.is_empty() && early.iter().all(|event| !event.contains("LOWER_UP")), "{early:?}");
    lab.start("b");
    lab.wait_linked();
    assert_eq!(lab.carrier("a"), Some(true));
}

#[test]
fn membership_in_the_bridge_survives_the_death_of_our_own_daemon() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let index = |lab: &Lab| lab.ok("ip netns exec @a cat /sys/class/net/quicap0/ifindex");
    let before = index(&lab);
    lab.kill9("a");
    assert!(lab.is_bridged("a"));
    assert_eq!(lab.carrier("a"), Some(false), "nobody serves it");
    lab.spawn_daemon("a");
    lab.wait_linked();
    assert!(lab.is_bridged("a"));
    assert_eq!(index(&lab), before, "the same device, not a new one");
    lab.wait_ping(lab::SOON);
    assert_eq!(lab.ping("la", "-s 1472 -M do -c 20 -i 0.01 -W 2 10.77.0.2"), (20, 20));
}

/// What the kernel tells about a's TAP: netifd hears the same.
struct Events {
    file: &'static str,
}

impl Events {
    /// Of the TAP of `a` from now on, whether it exists yet or not.
    fn watch(lab: &mut Lab) -> Self {
        let file = "events";
        let monitor = lab.spawn("ip -n @a -o monitor link");
        let id = monitor.id();
        let mut monitor = monitor;
        let stdout = monitor.stdout.take().unwrap();
        lab.keep(monitor);
        // Appended to: a file that is written anew is empty for a moment.
        let mut seen = File::options().create(true).append(true).open(lab.dir.join(file)).unwrap();
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| seen.write_all(format!("{line}\n").as_bytes()).unwrap());
        });
        // The socket is bound when it shows up in the kernel's list of netlink sockets.
        lab.wait(lab::SOON, "ip monitor listens", |lab| {
            let sockets = lab.ok("ip netns exec @a cat /proc/net/netlink");
            sockets.lines().any(|line| line.split_whitespace().nth(2) == Some(id.to_string().as_str()))
        });
        Self { file }
    }

    fn since(&self, lab: &Lab) -> Vec<String> {
        let text = fs::read_to_string(lab.dir.join(self.file)).unwrap();
        text.lines().filter(|line| line.contains(" quicap0: ")).map(str::to_owned).collect()
    }
}
