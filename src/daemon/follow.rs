//! `option mtu 'auto'`: the MTU of the TAP follows the paths, so that no frame has to be split.
//! Not in a bridge, which would take the MTU over for all its ports. Read first: docs/mtu.md.

use crate::limits;
use crate::node::Node;
use crate::sys::Error;
use crate::sys::tun::Tap;
use crate::wire::overlay::ETH_HEADER;

/// Bytes of an Ethernet header, without a tag.
const ETHERNET: usize = 14;
/// What a bridge and its hosts take for granted.
pub const USUAL: u16 = 1500;

/// Remembers what the device was last given.
pub struct Follower {
    /// What the paths carried when it was last looked at: only a change is worth a look at the device.
    seen: u16,
    warned: bool,
}

impl Follower {
    pub fn new() -> Self {
        Self { seen: USUAL, warned: false }
    }

    /// Sets the MTU of the device if the paths carry more or less than before.
    pub fn follow(&mut self, node: &Node, tap: &Tap) -> Result<(), Error> {
        let Some(wanted) = node.links().smallest_datagram().map(mtu_for) else { return Ok(()) };
        if wanted == self.seen {
            return Ok(());
        }
        self.seen = wanted;
        if let Some(bridge) = tap.bridge() {
            if !self.warned {
                log::warn!("mtu auto: {} is in bridge {bridge}: its MTU stays {USUAL}", tap.name());
                self.warned = true;
            }
            return Ok(());
        }
        tap.set_mtu(wanted)?;
        log::info!("mtu auto: {} now has {wanted}", tap.name());
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
