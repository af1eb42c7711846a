//! Two sites joined by QUICAP, made of namespaces, and what tests do with them.
//!
//! ```text
//!   la eth0 --- lan1 br-lan(a)quicap0 ... a wan --- wan b ... quicap0(b)br-lan lan1 --- eth0 lb
//!   10.77.0.1                        192.0.2.1     192.0.2.2                      10.77.0.2
//!   fd77::1                       2001:db8::1     2001:db8::2                       fd77::2
//! ```
//!
//! In commands `@a` stands for the namespace `a` of this lab. Everything goes when the lab is dropped, after a panic
//! too; what killed test runs left goes at the start of the next one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quicap::cli::demo::json::Json;

use crate::machine;

pub const QUICAP: &str = env!("CARGO_BIN_EXE_quicap");
/// Enough for anything that takes milliseconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(15);

/// Tests measure times: one at a time.
static TURN: Mutex<()> = Mutex::new(());
static LABS: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Underlay {
    V4,
    V6,
}

/// Options of `config network` that differ from the defaults.
pub type Options<'a> = &'a [(&'a str, &'a str)];

pub struct Lab {
    pub dir: PathBuf,
    prefix: String,
    underlay: Underlay,
    namespaces: Vec<String>,
    daemons: BTreeMap<String, Child>,
    /// Other long-running programs.
    helpers: Vec<Child>,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// A lab without anything in it, once it is our turn. `None`, after saying why: this machine cannot have one.
    pub fn open() -> Option<Self> {
        if let Some(reason) = machine::obstacle() {
            machine::skip(&reason);
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        machine::sweep();
        let prefix = format!("qt{}-{}-", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(prefix.trim_end_matches('-'));
        DirBuilder::new().mode(0o700).create(&dir).unwrap();
        let underlay = Underlay::V4;
        let (namespaces, daemons, helpers) = (Vec::new(), BTreeMap::new(), Vec::new());
        Some(Self { dir, prefix, underlay, namespaces, daemons, helpers, _turn: turn })
    }

    /// The sites `a` and `b` with certificates and configuration; daemons not started yet.
    pub fn two_sites(underlay: Underlay, options: Options<'_>) -> Option<Self> {
        let mut lab = Self::open()?;
        lab.underlay = underlay;
        lab.build_underlay();
        lab.ok("quicap ca init --dir ca --network home");
        for (site, number) in [("a", 1), ("b", 2)] {
            lab.build_site(site, number);
            lab.join(site);
            lab.configure(site, options);
        }
        Some(lab)
    }

    /// As [`Lab::two_sites`], daemons running and linked.
    pub fn two_linked_sites(underlay: Underlay, options: Options<'_>) -> Option<Self> {
        let mut lab = Self::two_sites(underlay, options)?;
        lab.start("a");
        lab.start("b");
        lab.wait_linked();
        Some(lab)
    }

    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.push(format!("{}{name}", self.prefix));
        self.ok(&format!("ip netns add @{name}"));
        self.ok(&format!("ip -n @{name} link set lo up"));
    }

    fn build_underlay(&mut self) {
        self.add_namespace("a");
        self.add_namespace("b");
        self.ok("ip -n @a link add wan type veth peer name wan netns @b");
        for (site, number) in [("a", 1), ("b", 2)] {
            self.ok(&format!("ip -n @{site} link set wan up"));
            self.ok(&format!("ip -n @{site} addr add 192.0.2.{number}/24 dev wan"));
            self.ok(&format!("ip -n @{site} addr add 2001:db8::{number}/64 dev wan nodad"));
        }
    }

    pub fn build_site(&mut self, site: &str, number: u32) {
        self.add_namespace(&format!("l{site}"));
        for line in [
            format!("ip -n @{site} link add br-lan type bridge"),
            format!("ip -n @{site} link set br-lan up"),
            format!("ip -n @{site} link add lan1 type veth peer name eth0 netns @l{site}"),
            format!("ip -n @{site} link set lan1 master br-lan up"),
            format!("ip -n @l{site} addr add 10.77.0.{number}/24 dev eth0"),
            format!("ip -n @l{site} addr add fd77::{number}/64 dev eth0 nodad"),
            format!("ip -n @l{site} link set eth0 up"),
        ] {
            self.ok(&line);
        }
    }

    /// A key, a certificate and what belongs to it, by the one-line pipe of the README.
    pub fn join(&self, site: &str) {
        fs::create_dir_all(self.dir.join(site)).unwrap();
        self.shell(&format!(
            "quicap csr --name {site} --key {site}/node.key | quicap ca sign --dir ca - --bundle - | \
             quicap install home - --dir {site}"
        ));
    }

    /// Writes the UCI file of a site; the other site is its peer.
    pub fn configure(&self, site: &str, options: Options<'_>) {
        let peer = if site == "a" { "b" } else { "a" };
        self.configure_peers(site, options, &[(peer, &self.endpoint(peer))]);
    }

    /// Writes the UCI file of a site with these peers: name and endpoint.
    pub fn configure_peers(&self, site: &str, options: Options<'_>, peers: &[(&str, &str)]) {
        let mut text = "config network 'home'\n".to_owned();
        let dir = self.dir.join(site);
        let file = |name: &str| dir.join(name).display().to_string();
        let (ca, cert, key, crl) = (file("ca.crt"), file("node.crt"), file("node.key"), file("crl.pem"));
        let standard = [
            ("tap", "quicap0"),
            ("ca", &ca),
            ("cert", &cert),
            ("key", &key),
            ("crl", &crl),
            ("log_level", "debug"),
        ];
        for (name, value) in
            standard.iter().filter(|(name, _)| !options.iter().any(|(other, _)| name == other))
        {
            text += &format!("\toption {name} '{value}'\n");
        }
        for (name, value) in options {
            text += &format!("\toption {name} '{value}'\n");
        }
        for (name, endpoint) in peers {
            text += &format!(
                "\nconfig peer\n\toption network 'home'\n\toption name '{name}'\n\tlist endpoint '{endpoint}'\n"
            );
        }
        fs::write(dir.join("quicap"), text).unwrap();
    }

    fn endpoint(&self, site: &str) -> String {
        let number = if site == "a" { 1 } else { 2 };
        match self.underlay {
            Underlay::V4 => format!("192.0.2.{number}:443"),
            Underlay::V6 => format!("[2001:db8::{number}]:443"),
        }
    }

    // -- daemons

    pub fn run_line(site: &str) -> String {
        format!("ip netns exec @{site} quicap run home --config {site}/quicap --socket {site}/quicap.sock")
    }

    /// Starts the daemon of a site and does with the TAP what netifd would.
    pub fn start(&mut self, site: &str) {
        self.spawn_daemon(site);
        self.wait_tap(site);
    }

    /// Waits for the TAP and puts it into the bridge.
    pub fn wait_tap(&mut self, site: &str) {
        let look = format!("ip -n @{site} link show dev quicap0");
        self.wait(SOON, "the TAP exists", |lab| lab.run(&look).status.success());
        self.ok(&format!("ip -n @{site} link set quicap0 master br-lan up"));
    }

    pub fn spawn_daemon(&mut self, site: &str) {
        self.spawn_daemon_by(site, &Self::run_line(site));
    }

    /// As [`Lab::spawn_daemon`], by another command that becomes the daemon.
    pub fn spawn_daemon_by(&mut self, site: &str, line: &str) {
        let log = File::options().create(true).append(true).open(self.dir.join(site).join("log")).unwrap();
        let child = self.command(line).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let before = self.daemons.insert(site.to_owned(), child);
        assert!(before.is_none(), "one daemon for each site");
    }

    pub fn pid(&self, site: &str) -> u32 {
        self.daemons[site].id()
    }

    pub fn is_running(&mut self, site: &str) -> bool {
        self.daemons.get_mut(site).unwrap().try_wait().unwrap().is_none()
    }

    pub fn signal(&self, site: &str, signal: &str) {
        self.shell(&format!("kill -{signal} {}", self.pid(site)));
    }

    /// Waits until the daemon has ended, and forgets it.
    pub fn wait_end(&mut self, site: &str, limit: Duration) -> ExitStatus {
        self.wait(limit, "the daemon ends", |lab| !lab.is_running(site));
        self.daemons.remove(site).unwrap().wait().unwrap()
    }

    pub fn kill9(&mut self, site: &str) {
        self.signal(site, "KILL");
        self.wait_end(site, SOON);
    }

    /// Everything the daemon of a site logged so far.
    pub fn log(&self, site: &str) -> String {
        fs::read_to_string(self.dir.join(site).join("log")).unwrap_or_default()
    }

    /// What `quicap status --json` says; [`Json::Null`] while nobody answers.
    pub fn status(&self, site: &str) -> Json {
        let output = self.run(&format!("quicap status home --socket {site}/quicap.sock --json"));
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Json::Null;
        }
        Json::parse(&text).unwrap_or_else(|| panic!("status is no JSON: {text}"))
    }

    /// State and reason of the link to the other site.
    pub fn link(&self, site: &str) -> (String, String) {
        let peer = if site == "a" { "b" } else { "a" };
        let status = self.status(site);
        let link = status.at("links").items().iter().find(|link| link.at("name").text() == peer);
        link.map_or_else(Default::default, |link| {
            (link.at("state").text().to_owned(), link.at("reason").text().to_owned())
        })
    }

    pub fn wait_linked(&mut self) {
        for site in ["a", "b"] {
            self.wait(SOON, "the link is up", |lab| lab.link(site).0 == "up");
            self.wait(SOON, "carrier is on", |lab| lab.carrier(site) == Some(true));
            self.wait(SOON, "the bridge has heard of the carrier", |lab| lab.forwards(site));
            // What nodes announce comes after the link.
            self.wait(SOON, "the other is in reach", |lab| {
                lab.status(site).at("nodes").items().iter().any(|node| node.at("hops").number() == Some(1.0))
            });
        }
    }

    /// Whether the bridge that the TAP is in, if it is in one, uses it: the kernel tells its bridges of a carrier up to a second
    /// later.
    fn forwards(&self, site: &str) -> bool {
        const FORWARDING: &[u8] = b"3\n";
        let state = format!("ip netns exec @{site} cat /sys/class/net/br-lan/brif/quicap0/state");
        let output = self.run(&state);
        !output.status.success() || output.stdout == FORWARDING
    }

    /// As the kernel shows it to netifd; `None` while the device does not exist or is not set up.
    pub fn carrier(&self, site: &str) -> Option<bool> {
        match self.run(&format!("ip netns exec @{site} cat /sys/class/net/quicap0/carrier")).stdout.as_slice()
        {
            b"1\n" => Some(true),
            b"0\n" => Some(false),
            _ => None,
        }
    }

    pub fn is_bridged(&self, site: &str) -> bool {
        self.ok(&format!("ip -n @{site} -o link show master br-lan")).contains(" quicap0: ")
    }

    // -- commands

    /// Runs a command to its end, whatever its exit code.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub fn ok(&self, line: &str) -> String {
        expect_success(line, &self.run(line))
    }

    /// As [`Lab::ok`], for a line that needs a shell.
    pub fn shell(&self, line: &str) -> String {
        expect_success(line, &self.run_in_shell(line))
    }

    /// As [`Lab::run`], for a line that needs a shell.
    pub fn run_in_shell(&self, line: &str) -> Output {
        self.bare("sh").args(["-c", &self.expand(line)]).output().unwrap()
    }

    /// Starts a program that runs beside the test, at most until the lab goes.
    pub fn spawn(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// As [`Lab::spawn`], for a program that is told what to do while it runs. What it says on stderr is lost.
    pub fn spawn_with_input(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Leaves a program to the lab.
    pub fn keep(&mut self, child: Child) {
        self.helpers.push(child);
    }

    /// How many of the pings that were sent were answered. Options as for `ping`, `-c` among them.
    pub fn ping(&self, from: &str, options: &str) -> (u32, u32) {
        let text = String::from_utf8(self.run(&ping_line(from, options)).stdout).unwrap();
        parse_ping(&text).unwrap_or_else(|| panic!("ping {options}: {text}"))
    }

    /// Starts iperf3 from laptop to laptop.
    pub fn transfer(&mut self, options: &str) -> Child {
        let mut server = self.spawn("ip netns exec @lb iperf3 -s -1 --forceflush");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listening")), "iperf3 listens");
        // What it says must be read, or it stops.
        thread::spawn(move || lines.for_each(drop));
        self.keep(server);
        self.spawn(&format!("ip netns exec @la iperf3 -c 10.77.0.2 {options}"))
    }

    /// Pings from laptop to laptop until one is answered.
    pub fn wait_ping(&mut self, limit: Duration) {
        self.wait(limit, "a ping is answered", |lab| lab.ping("la", "-c 1 -W 1 10.77.0.2").1 == 1);
    }

    /// Asks until the answer is yes, and says how long that took. Panics after `limit`.
    pub fn wait(
        &mut self,
        limit: Duration,
        what: &str,
        mut ready: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        until(limit, what, || ready(self))
    }

    pub fn namespace_file(&self, name: &str) -> PathBuf {
        Path::new("/run/netns").join(format!("{}{name}", self.prefix))
    }

    pub fn python(&self, namespace: &str, arguments: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/raw.py");
        format!("ip netns exec @{namespace} python3 {} {arguments}", script.display())
    }

    /// For whoever has to find out why a test failed.
    fn give_last_words(&self, site: &str) {
        let log = self.log(site);
        let from = log.lines().count().saturating_sub(30);
        eprintln!("-- {site}: its log ends with");
        log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        let status = self.run(&format!("quicap status home --socket {site}/quicap.sock"));
        eprintln!("-- {site}: status\n{}", String::from_utf8_lossy(&status.stdout));
        let device = self.run(&format!("ip -n @{site} -s link show dev quicap0"));
        eprintln!("-- {site}: device\n{}", String::from_utf8_lossy(&device.stdout));
    }

    fn command(&self, line: &str) -> Command {
        let line = self.expand(line);
        let mut words = line.split_whitespace();
        let mut command = self.bare(words.next().unwrap());
        command.args(words);
        command
    }

    fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(if program == "quicap" { QUICAP } else { program });
        let bin = Path::new(QUICAP).parent().unwrap().display();
        let path = format!("{bin}:{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        command.current_dir(&self.dir).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn expand(&self, line: &str) -> String {
        line.replace('@', &self.prefix)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            self.daemons.keys().for_each(|site| self.give_last_words(site));
            eprintln!("{}", fs::read_to_string(self.dir.join("programs.log")).unwrap_or_default());
        }
        for mut child in std::mem::take(&mut self.daemons).into_values().chain(self.helpers.drain(..)) {
            let _ = child.kill();
            let _ = child.wait();
        }
        for namespace in &self.namespaces {
            machine::take_away(namespace);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Asks until the answer is yes, and says how long that took. Panics after `limit`.
pub fn until(limit: Duration, what: &str, mut ready: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

pub fn ping_line(from: &str, options: &str) -> String {
    format!("ip netns exec @{from} ping {options}")
}

/// Sent and received, from the summary of `ping`.
pub fn parse_ping(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().find(|line| line.contains(" packets transmitted"))?;
    let number = |index: usize| line.split(", ").nth(index)?.split(' ').next()?.parse().ok();
    Some((number(0)?, number(1)?))
}

fn expect_success(line: &str, output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

#[test]
fn a_lab_goes_away_whole_when_its_test_panics() {
    let Some(lab) = Lab::open() else { return };
    let dir = lab.dir.clone();
    let prefix = lab.prefix.clone();
    let test = catch_unwind(AssertUnwindSafe(move || {
        let mut lab = lab;
        lab.build_underlay();
        lab.build_site("a", 1);
        lab.keep(lab.spawn("ip netns exec @a sleep 1000"));
        assert_eq!(machine::namespaces().iter().filter(|name| name.starts_with(&lab.prefix)).count(), 3);
        assert!(lab.ok("ip -n @a -o link show master br-lan").contains(" lan1@"));
        assert_eq!(lab.ping("a", "-c 2 -i 0.01 192.0.2.2"), (2, 2));
        // Unwinds as a failing test does, without the words.
        resume_unwind(Box::new("failed"));
    }));
    let panic = test.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"failed"));
    assert!(!dir.exists());
    assert!(!machine::namespaces().iter().any(|name| name.starts_with(&prefix)));
}
