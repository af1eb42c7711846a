//! Hears of changes of addresses, devices and routes, and acts on them when it is time to.
//! What becomes of connections is for the node. Read first: docs/protocol.md, "Moving".

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::inside::Inside;
use super::turn::Loop;
use crate::cli::Failure;
use crate::config::Network;
use crate::limits::NETWORK_CHANGE_PAUSE;
use crate::sys::monitor::{Changes, Monitor};
use crate::sys::tun::Tap;

pub struct Moving {
    monitor: Monitor,
    /// Number of the TAP: it stays while we have it open.
    tap: Option<u32>,
    pending: Pending,
    pub inside: Inside,
}

/// Looks after what has changed around us, if it is time to.
pub fn move_on(daemon: &mut Loop<'_>, now: Instant) -> Result<(), Failure> {
    let Some(changes) = daemon.moving.pending.take(now) else { return Ok(()) };
    if daemon.sockets.follow_tunlink().map_err(|error| Failure::runtime(error.to_string()))? {
        daemon.sockets.describe_tunlink().into_iter().for_each(|line| daemon.node.note(now, line));
    }
    if changes.others {
        daemon.node.handle_network_change(now);
    }
    leave_tunnel(daemon, now);
    Ok(())
}

/// Gives up connections whose way leads through the tunnel since something changed.
fn leave_tunnel(daemon: &mut Loop<'_>, now: Instant) {
    let remotes: Vec<SocketAddr> = daemon.node.remotes().collect();
    for remote in remotes {
        if let Some(reason) = daemon.moving.inside.judge(remote.ip(), &daemon.sockets) {
            daemon.node.handle_inside(now, remote, &reason);
        }
    }
}

impl Moving {
    pub fn open(network: &Network, tap: Option<&Tap>) -> io::Result<Self> {
        let tap = tap.and_then(Tap::interface).map(|interface| interface.index);
        let (pending, inside) = (Pending::default(), Inside::new(network));
        Ok(Self { monitor: Monitor::open()?, tap, pending, inside })
    }

    /// Reads what the kernel tells; call when the descriptor is readable.
    pub fn hear(&mut self, now: Instant) {
        let changes = self.monitor.drain(self.tap);
        if changes.any() {
            self.inside.forget();
        }
        self.pending.add(now, changes);
    }

    /// Someone asks to look at everything again.
    pub fn suspect(&mut self, now: Instant) {
        self.pending.add(now, Changes::ALL);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.pending.due
    }
}

impl AsFd for Moving {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

/// Changes come in swarms: the first is acted on at once, those that follow together, a pause later.
#[derive(Default)]
struct Pending {
    changes: Changes,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Pending {
    fn add(&mut self, now: Instant, changes: Changes) {
        if changes.any() {
            self.changes |= changes;
            let earliest = self.last.map_or(now, |last| now.max(last + NETWORK_CHANGE_PAUSE));
            self.due.get_or_insert(earliest);
        }
    }

    fn take(&mut self, now: Instant) -> Option<Changes> {
        self.due.filter(|due| *due <= now)?;
        (self.due, self.last) = (None, Some(now));
        Some(std::mem::take(&mut self.changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OTHERS: Changes = Changes { others: true, own: false };
    const OWN: Changes = Changes { others: false, own: true };

    #[test]
    fn the_first_change_counts_at_once_and_a_swarm_behind_it_once_in_a_pause() {
        let start = crate::daemon::now();
        let mut pending = Pending::default();
        let mut acted = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            if ms <= 600 {
                pending.add(now, OTHERS);
            }
            if pending.take(now).is_some() {
                acted.push(ms);
            }
        }
        assert_eq!(acted, [0, 250, 500, 750], "the last of them after the last change");
        assert_eq!(pending.due, None);
    }

    #[test]
    fn what_changed_is_gathered_and_nothing_is_no_change() {
        let start = crate::daemon::now();
        let mut pending = Pending::default();
        pending.add(start, Changes::default());
        assert_eq!((pending.due, pending.take(start)), (None, None));
        pending.add(start, OWN);
        assert_eq!(pending.take(start), Some(OWN));
        pending.add(start, OWN);
        pending.add(start, OTHERS);
        assert_eq!(pending.take(start), None);
        assert_eq!(pending.take(start + NETWORK_CHANGE_PAUSE), Some(Changes::ALL));
    }
}
