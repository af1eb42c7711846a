//! `quicap tap-del`: removes a network's TAP, which outlives its daemon, once nobody needs it any more.
//!
//! For init scripts, when a network is disabled or the package goes. Never while the daemon runs. Read first: docs/openwrt.md.

use std::thread;
use std::time::Duration;

use argh::FromArgs;

use crate::cli::Failure;
use crate::config::{self, Network};
use crate::daemon::material;
use crate::sys::Error;
use crate::sys::tun::{self, Removed};

/// How often the device is looked at while a daemon that was told to end still has it, [`PAUSE`] apart: 8 s, more than the 5
/// after which procd kills.
const ATTEMPTS: u32 = 80;
const PAUSE: Duration = Duration::from_millis(100);

/// remove the TAP of a network whose daemon has ended
#[derive(FromArgs, PartialEq, Eq, Debug)]
#[argh(subcommand, name = "tap-del")]
pub struct TapDel {
    /// the network
    #[argh(positional)]
    pub network: String,
    /// the UCI file (default: /etc/config/quicap)
    #[argh(option, default = "super::CONFIG.to_owned()")]
    pub config: String,
}

/// Waits for a daemon that is about to end. That there is no such device, or no TAP in the network, is no error.
///
/// # Errors
/// Code 2 when the file has no such network, 1 when the device is in use or no TAP.
pub fn run(arguments: &TapDel) -> Result<(), Failure> {
    let text = material::read_config(&arguments.config).map_err(Failure::usage)?;
    // Faults elsewhere in the file are no reason to leave a device behind.
    let networks = config::read(&arguments.config, text).config.networks;
    let Some(tap) = tap_of(&networks, arguments)? else { return Ok(()) };
    for _ in 1..ATTEMPTS {
        match tun::remove(tap) {
            Err(Error::DeviceBusy { .. }) => thread::sleep(PAUSE),
            result => return report(tap, result),
        }
    }
    report(tap, tun::remove(tap))
}

fn report(tap: &str, result: Result<Removed, Error>) -> Result<(), Failure> {
    match result {
        Ok(Removed::Gone) => say!("device {tap}: removed"),
        Ok(Removed::Absent) => {}
        Err(error) => return Err(Failure::runtime(error)),
    }
    Ok(())
}

/// The network's TAP, unless another one that is enabled has it now.
fn tap_of<'a>(networks: &'a [Network], arguments: &TapDel) -> Result<Option<&'a str>, Failure> {
    let TapDel { network: name, config } = arguments;
    let Some(network) = networks.iter().find(|network| network.name == *name) else {
        return Err(Failure::usage(format!("{config}: there is no network '{name}'")));
    };
    let needed = |tap: &&str| {
        networks
            .iter()
            .any(|other| other.name != *name && other.enabled && other.tap.as_deref() == Some(*tap))
    };
    Ok(network.tap.as_deref().filter(|tap| !needed(tap)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_that_of_the_network_unless_another_one_uses_it() {
        let text = "config network a\noption tap t0\noption enabled 0\nconfig network b\noption tap t0\n\
                    config network c\noption tap t1\nconfig network d\n";
        let networks = config::read("f", text).config.networks;
        let of = |name: &str| tap_of(&networks, &TapDel { network: name.into(), config: "f".into() });
        assert_eq!(of("a"), Ok(None), "b has it");
        assert_eq!(of("b"), Ok(Some("t0")), "a is disabled");
        assert_eq!((of("c"), of("d")), (Ok(Some("t1")), Ok(None)));
        let unknown = of("e").unwrap_err();
        assert_eq!((unknown.code, unknown.message.as_str()), (2, "f: there is no network 'e'"));
    }
}
