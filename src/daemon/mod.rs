//! The daemon of one network: reads the configuration, opens TAP and sockets, and turns the loop.
//! Decides nothing about frames or peers: that is the node. Read first: docs/architecture.md, "The loop".

mod control;
mod doctor;
mod dot;
pub mod finding;
mod follow;
mod inside;
pub mod lists;
pub mod material;
mod metrics;
mod moving;
pub mod notices;
mod reload;
mod report;
pub mod resolve;
pub mod socket;
pub mod sockets;
pub mod table;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::cli::{Failure, files};
use crate::config::{self, Mtu, Network};
use crate::daemon::control::Control;
use crate::daemon::material::{Class, Material};
use crate::daemon::moving::Moving;
use crate::daemon::notices::Notices;
use crate::daemon::sockets::Sockets;
use crate::daemon::turn::Loop;
use crate::limits::{self, Profile};
use crate::link::{self, Credentials};
use crate::node::{self, Node};
use crate::pki::clock::WallClock;
use crate::pki::tls::Suites;
use crate::sys::lock::Lock;
use crate::sys::process;
use crate::sys::signal::Signals;
use crate::sys::tun::Tap;

/// What `quicap run` was told.
pub struct Options {
    /// The network; `None`: the only enabled one.
    pub network: Option<String>,
    /// The UCI file.
    pub config: String,
    /// The control socket; `None`: by the network's name.
    pub socket: Option<PathBuf>,
}

/// What is known while the system runs: control sockets, and whether NTP has answered.
const RUN_DIRECTORY: &str = "/var/run/quicap";

/// What to do about a clock that is not trusted.
pub const CLOCK_ADVICE: &str = "see that NTP gets through (service sysntpd restart)";

/// Where control sockets are, by the network's name.
pub fn default_socket(network: &str) -> PathBuf {
    PathBuf::from(format!("{RUN_DIRECTORY}/{network}.sock"))
}

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), Failure> {
    let network = read_network(options)?;
    log::set_max_level(network.log_level);
    let signals = Signals::new().map_err(|error| Failure::runtime(format!("signals: {error}")))?;
    finish_install(&network);
    let (digest, reading) = (material::digest(&network), notices::read_clock());
    let material = material::load(&network, &mut |floor| reading.judge(floor), None)
        .map_err(|faults| refuse(&faults))?;
    let path = options.socket.clone().unwrap_or_else(|| default_socket(&network.name));
    let _lock = lock(&path)?;
    let control = Control::open(&path)?;
    let profile = profile();
    let tap = open_tap(&network, profile)?;
    let moving = Moving::open(&network, tap.as_ref())
        .map_err(|error| Failure::runtime(format!("hear of changes of the network: {error}")))?;
    let sockets = Sockets::open(&network, profile).map_err(Failure::runtime)?;
    let node = make_node(&network, material, &sockets, profile)?;
    let notices = Notices::open(&network, digest, now());
    let config_loaded = now();
    let (config_error, files_error) = (String::new(), String::new());
    let daemon = Loop {
        options,
        network,
        node,
        tap,
        sockets,
        moving,
        signals,
        control,
        notices,
        config_loaded,
        config_error,
        files_error,
    };
    daemon.run()
}

/// The configuration of the network that is to be run.
fn read_network(options: &Options) -> Result<Network, Failure> {
    let networks = read_networks(&options.config)?;
    let file = &options.config;
    match &options.network {
        Some(name) => match networks.into_iter().find(|network| network.name == *name) {
            Some(network) if network.enabled => Ok(network),
            Some(_) => {
                Err(Failure::usage(format!("{file}: network '{name}' is disabled: set option enabled '1'")))
            }
            None => Err(Failure::usage(format!(
                "{file}: there is no network '{name}': add config network '{name}'"
            ))),
        },
        None => {
            let mut enabled = networks.into_iter().filter(|network| network.enabled);
            match (enabled.next(), enabled.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => {
                    Err(Failure::usage(format!("{file}: no network is enabled: set option enabled '1'")))
                }
                (Some(a), Some(b)) => Err(Failure::usage(format!(
                    "{file}: several networks are enabled ('{}', '{}', ...): name one: quicap run {}",
                    a.name, b.name, a.name
                ))),
            }
        }
    }
}

/// All networks of the file; warnings go to the log.
fn read_networks(file: &str) -> Result<Vec<Network>, Failure> {
    let bytes = material::read_config(file).map_err(Failure::usage)?;
    let config = config::parse(file, &bytes)
        .map_err(|errors| Failure::usage(lines(errors.iter().map(ToString::to_string))))?;
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(config.networks)
}

/// An `install` that was interrupted when its files were complete is finished before they are read.
fn finish_install(network: &Network) {
    let Some(directory) = Path::new(&network.cert).parent().filter(|directory| directory.is_dir()) else {
        return;
    };
    match files::finish_install(directory) {
        Ok(true) => log::warn!("{}: finished an interrupted install", directory.display()),
        Ok(false) => {}
        // Nothing was left to finish, or it cannot be written to: reading the files will tell.
        Err(error) => log::debug!("{}: {error}", directory.display()),
    }
}

fn refuse(faults: &[material::Fault]) -> Failure {
    let message = lines(faults.iter().map(ToString::to_string));
    if faults.iter().all(|fault| fault.class == Class::Certificate) {
        Failure::certificate(message)
    } else {
        Failure::usage(message)
    }
}

fn lines(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}

fn lock(socket: &Path) -> Result<Lock, Failure> {
    socket::make_directory(socket).map_err(|error| Failure::runtime(error.to_string()))?;
    Lock::acquire(&socket::lock_path(socket)).map_err(|error| Failure::runtime(error.to_string()))
}

/// Small routers get small buffers.
fn profile() -> &'static Profile {
    match process::total_kib() {
        Some(total) if total > limits::ROUTER_MEMORY => &limits::SERVER,
        _ => &limits::ROUTER,
    }
}

fn open_tap(network: &Network, profile: &Profile) -> Result<Option<Tap>, Failure> {
    let Some(name) = &network.tap else { return Ok(None) };
    let mtu = match network.mtu {
        Mtu::Fixed(mtu) => mtu,
        Mtu::Auto => follow::USUAL,
    };
    Tap::open(name, Some(mtu), profile.tap_queue)
        .map(Some)
        .map_err(|error| Failure::runtime(error.to_string()))
}

fn make_node(
    network: &Network,
    material: Material,
    sockets: &Sockets,
    profile: &Profile,
) -> Result<Node, Failure> {
    let clock = WallClock::new(material.judged.unix_s, material.judged.trusted);
    let peers = network.others(&material.member.name);
    let config = node::Config {
        links: link::Config {
            network: network.name.clone(),
            credentials: credentials(material),
            epoch: clock.unix_s(),
            clock,
            suites: if process::has_aes() { Suites::AesFirst } else { Suites::ChachaFirst },
            peers,
            fast_detect: network.fast_detect,
            sockets: sockets.describe(),
            profile: *profile,
            seed: random_seed()?,
        },
        switch: network.switch,
        carrier: network.carrier,
    };
    let now = now();
    let mut node =
        Node::new(config, now).map_err(|fault| Failure::certificate(format!("{}: {fault}", network.cert)))?;
    node.set_capacity(now, network.capacity);
    Ok(node)
}

fn credentials(material: Material) -> Credentials {
    Credentials { identity: Arc::new(material.identity), trust: material.trust, me: material.member }
}

fn random_seed() -> Result<[u8; 32], Failure> {
    let random = ring::rand::generate(&ring::rand::SystemRandom::new());
    random.map(|random| random.expose()).map_err(|_| Failure::runtime("the kernel gives no random numbers"))
}

#[allow(clippy::disallowed_methods, reason = "the daemon reads the clock for the core")]
fn now() -> Instant {
    Instant::now()
}
