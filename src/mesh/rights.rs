//! Which source addresses a node may use, by its own certificate and by those of all others.
//! Does not read certificates. Read first: docs/certificates.md, "quicap:mac".

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use crate::limits::{NODES, RESERVED};
use crate::types::{MacAddr, NodeId, Table};

/// What a node's certificate lets it do here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    /// Takes part in the Ethernet.
    pub l2: bool,
    /// If not empty: the only addresses that may live behind it, and behind no node whose certificate does not list them too.
    pub macs: std::vec::Vec<MacAddr>,
    /// How many addresses may live behind it.
    pub quota: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Grant {
    /// Any address that is not reserved.
    Any,
    /// Its own list.
    Listed,
    /// No Ethernet; or there was no room for its list.
    Nothing,
}

/// Of each node that a certificate is known of, at most [`NODES`] and [`RESERVED`] addresses. Full: the node whose permit
/// does not fit may use no address, and its list binds nobody, until it is set again.
pub(super) struct Rights {
    grants: Box<FnvIndexMap<NodeId, Grant, NODES>>,
    /// In order, to be searched in halves.
    reserved: Box<Vec<(MacAddr, NodeId), RESERVED>>,
}

impl Rights {
    pub(super) fn new() -> Self {
        Self { grants: Box::new(FnvIndexMap::new()), reserved: Box::new(Vec::new()) }
    }

    /// False: there is no room for it.
    pub(super) fn set(&mut self, node: NodeId, permit: &Permit) -> bool {
        self.reserved.retain(|(_, owner)| *owner != node);
        let has_room = permit.macs.len() <= self.reserved.capacity() - self.reserved.len();
        let grant = match (permit.l2 && has_room, permit.macs.is_empty()) {
            (false, _) => Grant::Nothing,
            (true, true) => Grant::Any,
            (true, false) => Grant::Listed,
        };
        let fits = has_room && self.grants.insert(node, grant).is_ok();
        if fits {
            self.reserved.extend(permit.macs.iter().map(|mac| (*mac, node)));
            self.reserved.sort_unstable();
        } else {
            self.refuse(node);
        }
        fits
    }

    /// The node may use no address.
    pub(super) fn refuse(&mut self, node: NodeId) {
        self.reserved.retain(|(_, owner)| *owner != node);
        if let Some(grant) = self.grants.get_mut(&node) {
            *grant = Grant::Nothing;
        }
    }

    /// No certificate of the node is known any more: it may use no address, and what its list reserved is free.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.reserved.retain(|(_, owner)| *owner != node);
        self.grants.remove(&node);
    }

    /// Whether this address may live behind this node.
    pub(super) fn admits(&self, node: NodeId, mac: MacAddr) -> bool {
        match self.grants.get(&node) {
            None | Some(Grant::Nothing) => false,
            Some(Grant::Any) => self.holders(mac).next().is_none(),
            Some(Grant::Listed) => self.holders(mac).any(|holder| holder == node),
        }
    }

    /// The nodes whose certificates list the address.
    fn holders(&self, mac: MacAddr) -> impl Iterator<Item = NodeId> {
        let start = self.reserved.partition_point(|(reserved, _)| *reserved < mac);
        let rows = self.reserved.iter().skip(start).take_while(move |(reserved, _)| *reserved == mac);
        rows.map(|(_, node)| *node)
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        let (grants, reserved) = (&*self.grants, &*self.reserved);
        [
            Table { name: "rights", used: grants.len(), capacity: NODES, bytes: size_of_val(grants) },
            Table {
                name: "reserved",
                used: reserved.len(),
                capacity: RESERVED,
                bytes: size_of_val(reserved),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::owners::tests::{mac, node};
    use super::*;

    fn permit(macs: &[u32]) -> Permit {
        Permit { l2: true, macs: macs.iter().map(|n| mac(*n)).collect(), quota: 9 }
    }

    #[test]
    fn a_list_binds_its_node_and_all_others() {
        let mut rights = Rights::new();
        for (id, macs) in [(1, &[][..]), (2, &[5, 3]), (3, &[5, 4]), (4, &[])] {
            assert!(rights.set(node(id), &permit(macs)));
        }
        rights.set(node(4), &Permit { l2: false, ..permit(&[]) });
        let may = |rights: &Rights, n: u32| {
            (1..=5).filter(|id| rights.admits(node(*id), mac(n))).collect::<std::vec::Vec<u16>>()
        };
        assert_eq!(
            [2, 3, 4, 5, 6].map(|n| may(&rights, n)),
            [vec![1], vec![2], vec![3], vec![2, 3], vec![1]]
        );
        rights.set(node(2), &permit(&[6]));
        assert_eq!([3, 5, 6].map(|n| may(&rights, n)), [vec![1], vec![3], vec![2]]);
        rights.remove(node(3));
        assert_eq!([4, 5].map(|n| may(&rights, n)), [vec![1], vec![1]]);
    }

    #[test]
    fn a_list_that_does_not_fit_permits_nothing_and_disturbs_no_other() {
        let mut rights = Rights::new();
        let most: std::vec::Vec<u32> = (0..RESERVED as u32 - 1).collect();
        assert!(rights.set(node(2), &permit(&most)));
        assert!(rights.set(node(3), &permit(&[])));
        assert!(!rights.set(node(3), &permit(&[9000, 9001])));
        assert!(!rights.admits(node(3), mac(9000)) && !rights.admits(node(3), mac(9002)));
        assert!(rights.admits(node(2), mac(0)));
        assert!(rights.set(node(4), &permit(&[9000])) && rights.admits(node(4), mac(9000)));
        assert_eq!(rights.reserved.len(), RESERVED);
        rights.remove(node(2));
        assert!(rights.set(node(3), &permit(&[9001])) && rights.admits(node(3), mac(9001)));
    }

    #[test]
    fn a_node_that_does_not_fit_may_do_nothing() {
        let mut rights = Rights::new();
        for id in 1..=NODES as u16 {
            assert!(rights.set(node(id), &permit(&[])));
        }
        let late = node(NODES as u16 + 1);
        assert!(!rights.set(late, &permit(&[7])));
        assert!(!rights.admits(late, mac(7)) && rights.admits(node(1), mac(7)));
        rights.remove(node(1));
        assert!(rights.set(late, &permit(&[7])) && rights.admits(late, mac(7)));
    }
}
