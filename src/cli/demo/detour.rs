//! A way between two routers breaks without a word, and frames go over a third one until it is mended.
//!
//! ```text
//!   router-a ---x--- router-b
//!           \      /
//!           router-c
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Failure;
use super::lab::plain;
use super::story::{Story, Telling, status};

/// Nobody has this address, so what is sent to it arrives nowhere.
const NOBODY: &str = "02:00:00:00:00:00";
const PINGS: usize = 100;
/// Milliseconds from one ping to the next.
const INTERVAL: usize = 50;
/// Pings at the end that all must be answered.
const CALM: usize = 40;
const WAY_TIMEOUT: Duration = Duration::from_secs(20);

impl Story {
    /// With two routers there is no other way.
    pub(super) fn take_a_detour(&mut self) -> Result<(), Failure> {
        if self.sites.len() < 3 {
            let text = "\n   With three routers (--nodes 3) a way would break now, and frames would take another one.";
            return Ok(self.narrator.say(text)?);
        }
        let (here, to) = (self.sites[0].router.clone(), self.sites[1].router.clone());
        // Of ways that all take no time any may be the shortest.
        let near = self.await_way(&to, |_| true)?;
        self.narrator.step(&format!("The way between {here} and {near} breaks: what they send is lost"))?;
        let ends = [(here.clone(), self.wan_of(&near)), (near.clone(), self.wan_of(&here))];
        for (router, far) in &ends {
            // No error tells them of it.
            let line = format!("ip -n @{router} neigh replace {far} lladdr {NOBODY} nud permanent dev wan");
            self.run(Telling::Aloud, &line)?;
        }
        self.ping_through()?;
        let via = self.await_way(&to, |via| via != near)?;
        self.narrator.say(&format!("   Frames from {here} to {to} take another way now, by {via}:"))?;
        self.show(&here)?;
        self.narrator.step("The way is mended")?;
        for (router, far) in &ends {
            self.run(Telling::Aloud, &format!("ip -n @{router} neigh del {far} dev wan"))?;
        }
        let took = self.await_mesh()?;
        Ok(self.narrator.say(&format!("   All routers know of it again, {} ms later.", took.as_millis()))?)
    }

    fn wan_of(&self, router: &str) -> Ipv4Addr {
        let site = self.sites.iter().find(|site| site.router == router);
        site.map_or(Ipv4Addr::UNSPECIFIED, |site| site.wan)
    }

    /// Pings from the moment of the cut on, and how long there was no answer.
    fn ping_through(&mut self) -> Result<(), Failure> {
        let (from, target) = (self.sites[0].laptop.clone(), self.sites[1].lan);
        let seconds = INTERVAL as f64 / 1000.0;
        let line = format!("ip netns exec @{from} ping -c {PINGS} -i {seconds} -W 2 {target}");
        self.narrator.command(&plain(&line))?;
        let mut answered = Vec::new();
        self.lab.follow(&line, |text| {
            answered.extend(sequence(text));
            Ok(())
        })?;
        let first = answered.first().copied().unwrap_or(PINGS + 1);
        let calm = answered.iter().filter(|seq| **seq > PINGS - CALM).count();
        if calm != CALM {
            return Err(Failure::Story(format!(
                "{from} to {target}: {calm} of the last {CALM} pings were answered after the cut"
            )));
        }
        let lost = PINGS - answered.len();
        let silence = first.saturating_sub(1) * INTERVAL;
        let text =
            format!("   {lost} of {PINGS} pings were lost: the first was answered after {silence} ms.");
        Ok(self.narrator.say(&text)?)
    }

    /// Until the first router reaches that one by a neighbor that is wanted: which.
    fn await_way(&mut self, to: &str, is_wanted: impl Fn(&str) -> bool) -> Result<String, Failure> {
        let router = self.sites[0].router.clone();
        let late = format!("{router} finds no other way to {to}");
        let mut via = String::new();
        self.lab.wait(WAY_TIMEOUT, &late, |lab| {
            let status = status(lab, &router)?;
            let node = status.at("nodes").items().iter().find(|node| node.at("name").text() == to);
            via = node.map(|node| node.at("via").text()).unwrap_or_default().to_owned();
            Ok(!via.is_empty() && is_wanted(&via))
        })?;
        Ok(via)
    }

    /// What the router says of the others.
    fn show(&mut self, router: &str) -> Result<(), Failure> {
        let line = format!("quicap status --socket {router}/quicap.sock");
        self.narrator.command(&line)?;
        let output = self.lab.run(&line)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let nodes = text.split("\n\n").find(|part| part.starts_with("NODE")).unwrap_or_default();
        Ok(self.narrator.output(nodes)?)
    }
}

/// The number of the ping that was answered.
fn sequence(line: &str) -> Option<usize> {
    let is_answer = line.contains(" bytes from ") && !line.contains("DUP!");
    let (_, rest) = line.split_once("icmp_seq=").filter(|_| is_answer)?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_answer_is_read_and_nothing_else() {
        let line = "64 bytes from 10.77.0.2: icmp_seq=17 ttl=64 time=0.5 ms";
        for (line, expected) in [
            (line, Some(17)),
            ("no answer yet for icmp_seq=3", None),
            ("64 bytes from 10.77.0.2: icmp_seq=17 ttl=64 time=0.5 ms (DUP!)", None),
            ("100 packets transmitted, 97 received", None),
        ] {
            assert_eq!(sequence(line), expected, "{line}");
        }
    }
}
