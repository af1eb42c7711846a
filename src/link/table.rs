//! All connections of a node, by slot: which need attention, which may have something to send.
//! At most [`limits::CONNECTIONS`]; full: the caller refuses new ones. Does not know links.

use std::time::Instant;

use quinn_proto::ConnectionHandle;

use super::connection::{Connection, Overdue, Role, Stage};
use super::peer::Slot;
use crate::limits;
use crate::types::{self, LinkId};

/// Slots, one bit each.
#[derive(Clone, Copy, Default)]
struct Set([u128; limits::CONNECTIONS.div_ceil(BITS)]);

const BITS: usize = u128::BITS as usize;
// A slot is kept in a byte.
const _: () = assert!(limits::CONNECTIONS <= u8::MAX as usize);

impl Set {
    fn insert(&mut self, slot: Slot) {
        if let Some(word) = self.0.get_mut(slot / BITS).filter(|_| slot < limits::CONNECTIONS) {
            *word |= 1 << (slot % BITS);
        }
    }

    fn remove(&mut self, slot: Slot) {
        if let Some(word) = self.0.get_mut(slot / BITS) {
            *word &= !(1 << (slot % BITS));
        }
    }

    /// The first from this slot on; behind the last comes the first.
    fn next(&self, from: Slot) -> Option<Slot> {
        let (first, before) = (from / BITS, from % BITS);
        (0..=self.0.len()).find_map(|n| {
            let at = (first + n) % self.0.len();
            let word = self.0.get(at)?;
            let rest = if n == 0 { word >> before << before } else { *word };
            (rest != 0).then(|| at * BITS + rest.trailing_zeros() as usize)
        })
    }
}

pub struct Table {
    connections: Vec<Option<Box<Connection>>>,
    /// Slot of each handle, for our listening and our dialing endpoint.
    by_handle: [Vec<Option<u8>>; 2],
    /// Connections with news.
    touched: Set,
    /// Connections that may have something to send.
    sendable: Set,
    /// Connections whose control stream may have messages.
    talking: Set,
    /// Where the last search for one to send ended: each gets its turn.
    turn: Slot,
}

impl Table {
    pub fn new() -> Self {
        Self {
            connections: (0..limits::CONNECTIONS).map(|_| None).collect(),
            by_handle: [Vec::new(), Vec::new()],
            touched: Set::default(),
            sendable: Set::default(),
            talking: Set::default(),
            turn: 0,
        }
    }

    pub fn find(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot)?.as_deref()
    }

    pub fn find_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.connections.get_mut(slot)?.as_deref_mut()
    }

    pub fn by_handle(&self, role: Role, handle: ConnectionHandle) -> Option<Slot> {
        self.by_handle.get(role as usize)?.get(handle.0)?.map(usize::from)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Connection)> {
        let filled = |(slot, place): (Slot, &'_ Option<Box<Connection>>)| place.is_some().then_some(slot);
        self.connections
            .iter()
            .enumerate()
            .filter_map(filled)
            .filter_map(|slot| Some((slot, self.find(slot)?)))
    }

    pub fn len(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    pub fn table(&self) -> types::Table {
        let used = self.len();
        let handles: usize = self.by_handle.iter().map(|handles| size_of_val(&**handles)).sum();
        let bytes = size_of_val(&*self.connections) + handles + used * size_of::<Connection>();
        types::Table { name: "connections", used, capacity: limits::CONNECTIONS, bytes }
    }

    pub fn is_full(&self) -> bool {
        self.connections.iter().all(Option::is_some)
    }

    /// Incoming connections that have not shown a certificate yet.
    pub fn half_open(&self) -> impl Iterator<Item = (Slot, &Connection)> {
        self.iter().filter(|(_, own)| own.role == Role::Server && own.stage == Stage::Handshaking)
    }

    /// What belonged to one link belongs to another now.
    pub fn move_link(&mut self, from: LinkId, to: LinkId) {
        let own = self.connections.iter_mut().flatten().filter(|own| own.link == Some(from));
        own.for_each(|own| own.link = Some(to));
    }

    /// Takes a connection; the caller has seen that there is room.
    pub fn insert(&mut self, connection: Connection) -> Option<Slot> {
        let slot = self.connections.iter().position(Option::is_none)?;
        let (role, handle) = (connection.role, connection.handle);
        let handles = self.by_handle.get_mut(role as usize)?;
        if handles.len() <= handle.0 {
            handles.resize(handle.0 + 1, None);
        }
        *handles.get_mut(handle.0)? = Some(slot as u8);
        *self.connections.get_mut(slot)? = Some(Box::new(connection));
        self.touch(slot);
        Some(slot)
    }

    /// Something happened to this connection: it is looked at, and asked what it has to send.
    pub fn touch(&mut self, slot: Slot) {
        self.touched.insert(slot);
        self.sendable.insert(slot);
    }

    pub fn next_touched(&mut self) -> Option<Slot> {
        let slot = self.touched.next(0)?;
        self.touched.remove(slot);
        Some(slot)
    }

    /// A connection that may have something to send, each in its turn.
    pub fn next_sendable(&mut self) -> Option<Slot> {
        self.turn = self.sendable.next(self.turn)?;
        Some(self.turn)
    }

    /// This connection has nothing more to send.
    pub fn sent(&mut self, slot: Slot) {
        self.sendable.remove(slot);
    }

    /// It may have something to send, though nothing happened to it.
    pub fn set_sendable(&mut self, slot: Slot) {
        self.sendable.insert(slot);
    }

    pub fn set_talking(&mut self, slot: Slot) {
        self.talking.insert(slot);
    }

    pub fn set_silent(&mut self, slot: Slot) {
        self.talking.remove(slot);
    }

    /// Connections whose control stream may have messages.
    pub fn talking(&self) -> impl Iterator<Item = (Slot, &Connection)> {
        let mut rest = self.talking;
        core::iter::from_fn(move || {
            let slot = rest.next(0)?;
            rest.remove(slot);
            Some(slot)
        })
        .filter_map(|slot| Some((slot, self.find(slot)?)))
    }

    /// Forgets a connection that QUIC is done with.
    pub fn remove_drained(&mut self, slot: Slot) {
        let Some(place) = self.connections.get_mut(slot) else { return };
        if !place.as_ref().is_some_and(|connection| connection.quinn.is_drained()) {
            return;
        }
        if let Some(connection) = place.take()
            && let Some(handles) = self.by_handle.get_mut(connection.role as usize)
            && let Some(entry) = handles.get_mut(connection.handle.0)
        {
            *entry = None;
        }
        self.sent(slot);
        self.set_silent(slot);
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.connections.iter_mut().flatten().filter_map(|connection| connection.next_timeout()).min()
    }

    /// Runs the timers of one connection that is due; call until it returns `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<(Slot, Overdue)> {
        for slot in 0..limits::CONNECTIONS {
            let Some(connection) = self.find_mut(slot) else { continue };
            if connection.next_timeout().is_none_or(|due| due > now) {
                continue;
            }
            let overdue = connection.handle_timeout(now);
            self.touch(slot);
            if let Some(overdue) = overdue {
                return Some((slot, overdue));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_a_set_come_in_their_turn() {
        let last = limits::CONNECTIONS - 1;
        let mut set = Set::default();
        assert_eq!(set.next(0), None);
        [3, 64, last].into_iter().for_each(|slot| set.insert(slot));
        set.insert(limits::CONNECTIONS);
        for (from, next) in [(0, 3), (3, 3), (4, 64), (65, last), (last, last)] {
            assert_eq!(set.next(from), Some(next), "from {from}");
        }
        set.remove(last);
        assert_eq!((set.next(65), set.next(last)), (Some(3), Some(3)), "behind the last comes the first");
        set.remove(3);
        assert_eq!((set.next(65), set.next(64), set.next(0)), (Some(64), Some(64), Some(64)));
    }
}
