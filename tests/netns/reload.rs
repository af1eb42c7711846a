//! Files that change while the daemons run: certificates and lists that are taken without being told, SIGHUP for the rest.
//!
//! ```text
//!   la --- br-lan(a)quicap0 ===== quicap0(b)br-lan --- lb
//! ```

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use crate::lab::{self, Lab, Underlay};

/// What `quicap status` of this site says of the last events that have these words in them.
fn events(lab: &Lab, site: &str, words: &str) -> usize {
    let status = lab.status(site);
    status.at("events").items().iter().filter(|event| event.at("text").text().contains(words)).count()
}

fn error(lab: &Lab, site: &str) -> String {
    lab.status(site).at("config.error").text().to_owned()
}

#[test]
fn a_certificate_that_is_replaced_is_taken_without_a_signal_and_without_the_loss_of_a_ping() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let before = lab.status("a").at("cert.not_after").text().to_owned();
    let mut pings = lab.spawn(&lab::ping_line("la", "-c 600 -i 0.01 -W 2 10.77.0.2"));
    lab.shell(
        "quicap csr --name a --key a/node.key | quicap ca sign --dir ca - --days 2000 --bundle - | \
         quicap install home - --dir a",
    );
    let taken = lab.wait(lab::SOON, "the certificate is taken", |lab| {
        lab.status("a").at("cert.not_after").text() != before
    });
    println!("taken after {taken:?}");
    // A new connection shows it, and takes the place of the one that we dialed.
    let is_new = |lab: &Lab, site: &str| lab.log(site).contains("certificates and CRL read again");
    assert!(is_new(&lab, "a") && !is_new(&lab, "b"));
    assert!(pings.wait().unwrap().success());
    let mut text = String::new();
    pings.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(lab::parse_ping(&text), Some((600, 600)), "{text}");
    assert_eq!(events(&lab, "a", "down"), 0);
    assert_eq!(events(&lab, "a", "certificates and CRL read again"), 1, "a bundle is taken as a whole");
}

#[test]
fn a_new_list_cuts_the_revoked_node_within_a_second() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    lab.ok("quicap ca revoke --dir ca b");
    let start = Instant::now();
    fs::copy(lab.dir.join("ca/crl.pem"), lab.dir.join("a/crl.pem")).unwrap();
    lab.wait(lab::SOON, "the link is down", |lab| lab.link("a").0 != "up");
    println!("cut {:?} after the list was copied", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(3), "some of that is the machine's");
    for site in ["a", "b"] {
        lab.wait(lab::SOON, "the reason is known", |lab| lab.link(site).1.contains("revoked"));
    }
    // A list that names the node itself counts as well, and does not end it.
    let number = |lab: &Lab| lab.status("a").at("crl.number").number();
    let before = number(&lab);
    lab.ok("quicap ca revoke --dir ca a");
    fs::copy(lab.dir.join("ca/crl.pem"), lab.dir.join("a/crl.pem")).unwrap();
    lab.wait(lab::SOON, "the list is taken", |lab| number(lab) > before);
    assert!(lab.is_running("a") && events(&lab, "a", "node.crt: certificate was revoked") == 1);
}

#[test]
fn files_that_are_no_good_change_nothing_until_they_are_whole() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let [crt_path, crl_path, away] = ["node.crt", "crl.pem", "away"].map(|name| lab.dir.join("a").join(name));
    let (crt, crl) = (fs::read(&crt_path).unwrap(), fs::read(&crl_path).unwrap());
    fs::write(&crt_path, &crt[..crt.len() / 2]).unwrap();
    lab.wait(lab::SOON, "half a certificate is refused", |lab| error(lab, "a").contains("node.crt"));
    assert_eq!(events(&lab, "a", "changed files not taken"), 1);
    fs::write(&crt_path, &crt).unwrap();
    lab.wait(lab::SOON, "a whole one is taken", |lab| error(lab, "a").is_empty());
    // A list that goes away sets nobody free.
    fs::rename(&crl_path, &away).unwrap();
    fs::write(&crt_path, &crt).unwrap();
    lab.wait(lab::SOON, "no list is refused", |lab| {
        error(lab, "a").contains("crl.pem: no such file any more")
    });
    fs::write(&crl_path, &crl).unwrap();
    lab.wait(lab::SOON, "its return is taken", |lab| error(lab, "a").is_empty());
    assert_eq!((lab.link("a").0.as_str(), events(&lab, "a", "down")), ("up", 0));
}

#[test]
fn sigusr1_asks_who_is_linked_and_reads_nothing() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    fs::write(lab.dir.join("a/quicap"), "no configuration").unwrap();
    // An idle peer that falls silent is noticed within 5 to 6 seconds; who is told to look sees it at once.
    for _ in 0..3 {
        lab.signal("b", "STOP");
        lab.signal("a", "USR1");
        let noticed = lab.wait(lab::SOON, "the silence is noticed", |lab| lab.link("a").0 != "up");
        lab.signal("b", "CONT");
        assert!(noticed < Duration::from_secs(3), "{noticed:?}");
        lab.wait_linked();
    }
    assert_eq!((error(&lab, "a").as_str(), events(&lab, "a", "configuration")), ("", 0));
    assert!(lab.is_running("a"));
}

#[test]
fn sighup_applies_what_it_can_and_says_what_it_cannot() {
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    let good = fs::read_to_string(lab.dir.join("a/quicap")).unwrap();
    let again = |lab: &mut Lab, text: &str, words: &str| {
        let before = events(lab, "a", words);
        fs::write(lab.dir.join("a/quicap"), text).unwrap();
        lab.signal("a", "HUP");
        lab.wait(lab::SOON, words, |lab| events(lab, "a", words) > before);
    };
    again(&mut lab, &good.replace("'quicap0'", "'quicap0"), "configuration not taken");
    assert!(error(&lab, "a").contains("a/quicap:"), "{}", error(&lab, "a"));
    // What needs a restart is said each time until it is undone; what does not is applied.
    let restart = "option tap has changed: restart to apply it";
    let other = good.replace("'quicap0'", "'quicap9'").replace("'b'", "'nobody'");
    again(&mut lab, &other, "configuration read again");
    assert_eq!((error(&lab, "a").as_str(), events(&lab, "a", restart)), ("", 1));
    assert_eq!(lab.link("a").0, "", "the peer is another");
    again(&mut lab, &other, "configuration read again");
    assert_eq!(events(&lab, "a", restart), 2);
    again(&mut lab, &good, "configuration read again");
    assert_eq!(events(&lab, "a", restart), 2);
    lab.wait_linked();
    assert_eq!(lab.ping("la", "-c 10 -i 0.01 -W 2 10.77.0.2"), (10, 10));
}
