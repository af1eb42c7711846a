//! `option mtu 'auto'`: the MTU of the TAP follows the paths, so that no frame has to be split.
//! Not in a bridge, which would take the MTU over for all its ports. Read first: docs/mtu.md.

use std::time::{Duration, Instant};

use crate::limits;
use crate::node::Node;
use crate::sys::Error;
use crate::sys::tun::Tap;
use crate::wire::overlay::ETH_HEADER;

/// Bytes of an Ethernet header, without a tag.
const ETHERNET: usize = 14;
/// What a bridge and its hosts take for granted.
pub const USUAL: u16 = 1500;

/// The search for the path MTU, and netifd's hand on a new device, are over after this long.
const SETTLED: Duration = Duration::from_secs(2);

/// Waits until what the paths carry has settled, then gives it to the device.
pub struct Follower {
    wanted: u16,
    due: Option<Instant>,
    warned: bool,
}

impl Follower {
    pub fn new() -> Self {
        Self { wanted: USUAL, due: None, warned: false }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The device may have been put into a bridge, or taken out of one. In a bridge there is nothing to wait for: it has
    /// the MTU of the device already.
    pub fn look_again(&mut self, now: Instant, tap: &Tap) {
        let due = if tap.bridge().is_some() { now } else { now + SETTLED };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Looks at what the paths carry now; call after every turn.
    pub fn follow(&mut self, now: Instant, node: &Node, tap: &Tap) -> Result<(), Error> {
        if let Some(wanted) = node.links().smallest_datagram().map(mtu_for)
            && wanted != self.wanted
        {
            self.wanted = wanted;
            self.due = Some(now + SETTLED);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            return self.apply(tap);
        }
        Ok(())
    }

    fn apply(&mut self, tap: &Tap) -> Result<(), Error> {
        let mut wanted = self.wanted;
        if let Some(bridge) = tap.bridge() {
            if !self.warned {
                log::warn!("mtu auto: {} is in bridge {bridge}: its MTU stays {USUAL}", tap.name());
                self.warned = true;
            }
            wanted = USUAL;
        }
        if tap.mtu()? != wanted {
            tap.set_mtu(wanted)?;
            log::info!("mtu auto: {} now has {wanted}", tap.name());
        }
        Ok(())
    }
}

/// The MTU whose frames fit into datagrams of this size.
fn mtu_for(datagram: usize) -> u16 {
    let fits = datagram.saturating_sub(ETH_HEADER + ETHERNET);
    u16::try_from(fits).unwrap_or(USUAL).clamp(limits::MTU_MIN, USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_gets_what_the_table_of_docs_mtu_says() {
        for (datagram, mtu) in
            [(1440, 1425), (1420, 1405), (1432, 1417), (1412, 1397), (1168, 1153), (9000, 1500)]
        {
            assert_eq!(mtu_for(datagram), mtu);
        }
    }
}
