//! What happens in the demo, from nothing to frames between laptops.
//!
//! ```text
//!   laptop-a 10.77.0.1 --- br-lan router-a 192.0.2.1 ---+
//!   laptop-b 10.77.0.2 --- br-lan router-b 192.0.2.2 ---+--- internet
//!   laptop-c 10.77.0.3 --- br-lan router-c 192.0.2.3 ---+
//! ```
//!
//! Every step shows the commands for the first router and does the same for the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::json::Json;
use super::lab::{Lab, plain};
use super::narrator::Narrator;
use super::{Failure, transfer};

const DEVICE_TIMEOUT: Duration = Duration::from_secs(10);
const LINK_TIMEOUT: Duration = Duration::from_secs(40);
const PINGS: usize = 10;
const TRANSFER: u64 = 64_000_000;
/// Lines of a daemon's log that are shown after a failure.
const LAST_WORDS: usize = 5;

pub struct Story {
    pub(super) lab: Lab,
    pub(super) narrator: Narrator,
    pub(super) sites: Vec<Site>,
    answered: usize,
    asked: usize,
}

/// A router with a laptop behind it.
pub(super) struct Site {
    pub(super) router: String,
    pub(super) laptop: String,
    /// What ends the names of its devices: a letter.
    letter: char,
    /// Of the router, in the demo's internet (RFC 5737).
    pub(super) wan: Ipv4Addr,
    /// Of the laptop.
    pub(super) lan: Ipv4Addr,
}

impl Site {
    fn new((number, letter): (u8, char)) -> Self {
        Self {
            router: format!("router-{letter}"),
            laptop: format!("laptop-{letter}"),
            letter,
            wan: Ipv4Addr::new(192, 0, 2, number),
            lan: Ipv4Addr::new(10, 77, 0, number),
        }
    }
}

/// Whether a command is shown as it is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    Aloud,
    Silent,
}

impl Story {
    pub fn new(lab: Lab, narrator: Narrator, nodes: usize) -> Self {
        let sites = (1..).zip('a'..).take(nodes).map(Site::new).collect();
        Self { lab, narrator, sites, answered: 0, asked: 0 }
    }

    /// # Errors
    /// The first thing that was not as it should be.
    pub fn tell(&mut self) -> Result<(), Failure> {
        let told = self.tell_all();
        if matches!(told, Err(Failure::Story(_))) {
            self.give_last_words();
        }
        told
    }

    fn tell_all(&mut self) -> Result<(), Failure> {
        self.introduce()?;
        self.build_networks()?;
        self.make_ca()?;
        self.let_routers_join()?;
        self.configure()?;
        self.start_daemons()?;
        self.await_links()?;
        self.ping("Ping from laptop to laptop", "")?;
        self.ping("Full-size packets, not fragmented: the LAN keeps its MTU of 1500", "-s 1472 -M do ")?;
        self.take_a_detour()?;
        let report = self.transfer()?;
        self.conclude(&report)
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        let (nodes, prefix, dir) = (self.sites.len(), self.lab.prefix(), self.lab.dir().display());
        let text = format!(
            "QUICAP demo: {nodes} routers at different places, and the laptops behind them get one Ethernet, over QUIC.\n\
             Everything happens in network namespaces of this machine, whose names begin with {prefix}, and in\n\
             {dir}. Nothing else is touched, and all of it goes at the end.\n"
        );
        self.narrator.say(&text)?;
        for (index, Site { router, laptop, wan, lan, .. }) in self.sites.iter().enumerate() {
            let internet = if index == 0 { "--- internet" } else { "" };
            let line = format!("  {laptop} {lan} --- br-lan {router} {wan} ---+{internet}");
            self.narrator.say(&line)?;
        }
        Ok(())
    }

    fn build_networks(&mut self) -> Result<(), Failure> {
        self.narrator.step("An internet, and at each site a router and a laptop")?;
        self.lab.add_namespace("internet")?;
        self.narrator.command("ip netns add internet")?;
        self.run(Telling::Aloud, "ip -n @internet link add internet type bridge")?;
        self.run(Telling::Aloud, "ip -n @internet link set internet up")?;
        for index in 0..self.sites.len() {
            self.build_site(index)?;
        }
        self.narrator.say("   The other sites alike, with the next address each.")?;
        Ok(())
    }

    fn build_site(&mut self, index: usize) -> Result<(), Failure> {
        let Site { router, laptop, letter, wan, lan } = &self.sites[index];
        let namespaces = [router.clone(), laptop.clone()];
        let lines = [
            format!("ip -n @{router} link add wan type veth peer name port-{letter} netns @internet"),
            format!("ip -n @{router} addr add {wan}/24 dev wan"),
            format!("ip -n @{router} link set wan up"),
            format!("ip -n @internet link set port-{letter} master internet up"),
            format!("ip -n @{router} link add br-lan type bridge"),
            format!("ip -n @{router} link set br-lan up"),
            format!("ip -n @{router} link add lan1 type veth peer name eth0 netns @{laptop}"),
            format!("ip -n @{router} link set lan1 master br-lan up"),
            format!("ip -n @{laptop} addr add {lan}/24 dev eth0"),
            format!("ip -n @{laptop} link set eth0 up"),
        ];
        let telling = first_aloud(index);
        for name in &namespaces {
            self.lab.add_namespace(name)?;
            if telling == Telling::Aloud {
                self.narrator.command(&format!("ip netns add {name}"))?;
            }
        }
        lines.iter().try_for_each(|line| self.run(telling, line))
    }

    fn make_ca(&mut self) -> Result<(), Failure> {
        self.narrator.step("A certificate authority for the network 'demo'")?;
        self.run(Telling::Aloud, "quicap ca init --dir ca --network demo")
    }

    fn let_routers_join(&mut self) -> Result<(), Failure> {
        self.narrator.step(
            "Each router makes its key, which never leaves it, and the CA signs; over ssh in real life",
        )?;
        for index in 0..self.sites.len() {
            let router = self.sites[index].router.clone();
            self.lab.add_dir(&router)?;
            let line = format!(
                "quicap csr --name {router} --key {router}/node.key | quicap ca sign --dir ca - --bundle - | \
                 quicap install demo - --dir {router}"
            );
            self.narrator.command(&line)?;
            let output = self.lab.run_in_shell(&line)?;
            self.narrator.output(&String::from_utf8_lossy(&output.stderr))?;
        }
        Ok(())
    }

    fn configure(&mut self) -> Result<(), Failure> {
        self.narrator.step("Each router's /etc/config/quicap: a TAP, and the other routers as peers")?;
        for index in 0..self.sites.len() {
            let text = self.uci(index);
            let name = format!("{}/quicap", self.sites[index].router);
            self.lab.add_file(&name, &text)?;
            if first_aloud(index) == Telling::Aloud {
                self.narrator.command(&format!("cat {name}"))?;
                self.narrator.output(&text)?;
            }
        }
        Ok(())
    }

    fn uci(&self, index: usize) -> String {
        let dir = self.lab.dir().join(&self.sites[index].router);
        let file = |name: &str| dir.join(name).display().to_string().replace('\'', r"'\''");
        let mut text = "config network 'demo'\n\toption tap 'quicap0'\n".to_owned();
        for (option, name) in
            [("ca", "ca.crt"), ("cert", "node.crt"), ("key", "node.key"), ("crl", "crl.pem")]
        {
            text += &format!("\toption {option} '{}'\n", file(name));
        }
        for Site { router, wan, .. } in self.others(index) {
            text += "\nconfig peer\n\toption network 'demo'\n";
            text += &format!("\toption name '{router}'\n\tlist endpoint '{wan}:443'\n");
        }
        text
    }

    fn others(&self, index: usize) -> impl Iterator<Item = &Site> {
        self.sites.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, site)| site)
    }

    fn start_daemons(&mut self) -> Result<(), Failure> {
        self.narrator.step("The daemons start; each TAP becomes a port of br-lan, as netifd would do it")?;
        for index in 0..self.sites.len() {
            let router = self.sites[index].router.clone();
            let telling = first_aloud(index);
            let line = format!(
                "ip netns exec @{router} quicap run demo --config {router}/quicap --socket {router}/quicap.sock"
            );
            self.tell_command(telling, &format!("{line} &"))?;
            self.lab.start(&router, &line, &format!("{router}/log"))?;
            let late = format!("{router} has no device quicap0");
            let look = format!("ip -n @{router} link show dev quicap0");
            self.lab.wait(DEVICE_TIMEOUT, &late, |lab| match lab.run(&look) {
                Err(Failure::Story(_)) => Ok(false),
                other => other.map(|_| true),
            })?;
            self.run(telling, &format!("ip -n @{router} link set quicap0 master br-lan up"))?;
        }
        Ok(())
    }

    fn await_links(&mut self) -> Result<(), Failure> {
        self.narrator.step("The routers find each other, and tell each other who is linked to whom")?;
        let took = self.await_mesh()?;
        let router = self.sites[0].router.clone();
        let text = format!("   All links are up and all routers know of all, {} ms later.", took.as_millis());
        self.narrator.say(&text)?;
        let line = format!("quicap status --socket {router}/quicap.sock");
        self.narrator.command(&line)?;
        let output = self.lab.run(&line)?;
        self.narrator.output(&String::from_utf8_lossy(&output.stdout))?;
        Ok(())
    }

    /// Until each router knows a link between any two.
    pub(super) fn await_mesh(&mut self) -> Result<Duration, Failure> {
        let mut took = Duration::ZERO;
        let links = self.sites.len() * (self.sites.len() - 1) / 2;
        for index in 0..self.sites.len() {
            let router = self.sites[index].router.clone();
            let late = format!("{router} does not know of {links} links");
            took += self.lab.wait(LINK_TIMEOUT, &late, |lab| {
                Ok(status(lab, &router)?.at("edges").items().len() == links)
            })?;
        }
        Ok(took)
    }

    fn ping(&mut self, title: &str, options: &str) -> Result<(), Failure> {
        self.narrator.step(title)?;
        let from = self.sites[0].laptop.clone();
        let targets: Vec<Ipv4Addr> = self.others(0).map(|site| site.lan).collect();
        for target in targets {
            let line = format!("ip netns exec @{from} ping {options}-O -c {PINGS} -i 0.2 -W 2 {target}");
            self.narrator.command(&plain(&line))?;
            let mut answered = 0;
            let narrator = &mut self.narrator;
            self.lab.follow(&line, |text| {
                answered += usize::from(text.contains(" bytes from ") && !text.contains("DUP!"));
                Ok(narrator.output(text)?)
            })?;
            self.answered += answered;
            self.asked += PINGS;
            if answered != PINGS {
                return Err(Failure::Story(format!(
                    "{from} to {target}: {answered} of {PINGS} pings were answered"
                )));
            }
        }
        Ok(())
    }

    fn transfer(&mut self) -> Result<transfer::Report, Failure> {
        let (from, to) = (&self.sites[0], &self.sites[1]);
        let title = format!("A TCP transfer from {} to {}, every byte compared", from.laptop, to.laptop);
        self.narrator.step(&title)?;
        let address = SocketAddr::from((to.lan, 0));
        let (from, to) = (self.lab.namespace(&from.laptop), self.lab.namespace(&to.laptop));
        let lab = &self.lab;
        let mut interrupted = false;
        let mut stop = || {
            interrupted |= lab.is_interrupted();
            interrupted
        };
        let result = transfer::run(&from, &to, address, TRANSFER, &mut stop);
        match result {
            Ok(report) => {
                self.narrator.say(&format!("   {report}"))?;
                Ok(report)
            }
            Err(_) if interrupted => Err(Failure::Interrupted),
            Err(error) => Err(Failure::io("the transfer failed", &error)),
        }
    }

    fn conclude(&mut self, report: &transfer::Report) -> Result<(), Failure> {
        let (answered, asked, megabytes) = (self.answered, self.asked, report.bytes / 1_000_000);
        let line = format!(
            "\nDone: {answered} of {asked} pings were answered, and {megabytes} MB arrived byte for byte. Cleaning up."
        );
        Ok(self.narrator.say(&line)?)
    }

    /// What the daemons know about a failure. Nobody may be listening any more, and that is fine.
    fn give_last_words(&mut self) {
        for index in 0..self.sites.len() {
            let router = self.sites[index].router.clone();
            if let Ok(status) = status(&mut self.lab, &router) {
                for link in status.at("links").items().iter().filter(|link| link.at("state").text() != "up") {
                    let (name, state, reason) = (link.at("name"), link.at("state"), link.at("reason"));
                    let line =
                        format!("{router}: link {} is {}: {}", name.text(), state.text(), reason.text());
                    let _ = self.narrator.output(&line);
                }
            }
            if let Ok(log) = self.lab.run(&format!("tail -n {LAST_WORDS} {router}/log")) {
                let _ = self.narrator.say(&format!("   The log of {router} ends with:"));
                let _ = self.narrator.output(&String::from_utf8_lossy(&log.stdout));
            }
        }
    }

    pub(super) fn run(&mut self, telling: Telling, line: &str) -> Result<(), Failure> {
        self.tell_command(telling, line)?;
        self.lab.run(line).map(drop)
    }

    fn tell_command(&mut self, telling: Telling, line: &str) -> Result<(), Failure> {
        if telling == Telling::Aloud {
            self.narrator.command(&plain(line))?;
        }
        Ok(())
    }
}

fn first_aloud(index: usize) -> Telling {
    if index == 0 { Telling::Aloud } else { Telling::Silent }
}

/// What the daemon of a router says; [`Json::Null`] while it does not answer yet.
pub(super) fn status(lab: &mut Lab, router: &str) -> Result<Json, Failure> {
    match lab.run(&format!("quicap status --socket {router}/quicap.sock --json")) {
        Ok(output) => Ok(Json::parse(&String::from_utf8_lossy(&output.stdout)).unwrap_or(Json::Null)),
        Err(Failure::Story(_)) => Ok(Json::Null),
        Err(other) => Err(other),
    }
}
