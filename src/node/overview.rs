//! What a node says of the others and of the graph, for status. Decides nothing. Read first: docs/status.md.

use std::collections::BTreeSet;

use super::Node;
use super::status::{EdgeStatus, NodeStatus};
use crate::mesh::view::Joint;
use crate::types::NodeId;

impl Node {
    /// All that are known but this one, in the order of their ids.
    pub fn others(&self) -> Vec<NodeStatus> {
        let members = self.members.iter().map(|member| member.id);
        let mut ids: BTreeSet<NodeId> = self.fabric.topology().ids().chain(members).collect();
        // A neighbor that has said nothing of itself yet.
        let neighbors = self.fabric.neighbors().iter().filter(|(_, own)| own.is_alive());
        ids.extend(neighbors.map(|(_, own)| own.id));
        ids.remove(&self.links.me().id);
        ids.into_iter().map(|id| self.other(id)).collect()
    }

    fn other(&self, id: NodeId) -> NodeStatus {
        let way = self.fabric.way(id).unwrap_or_default();
        let path: Vec<String> = way.path.iter().map(|id| self.name(*id)).collect();
        NodeStatus {
            name: self.name(id),
            id,
            hops: path.len() as u8,
            via: path.first().cloned().unwrap_or_default(),
            cost_us: microseconds(way.cost),
            is_reachable: !path.is_empty(),
            path,
            parent: self.fabric.parent(id).map(|id| self.name(id)).unwrap_or_default(),
            children: self.fabric.children(id).map(|id| self.name(id)).collect(),
            crl: self.members.crl_number(id).unwrap_or(0),
        }
    }

    /// The name of a node, or its id where nothing else is known of it.
    fn name(&self, id: NodeId) -> String {
        let of_link = || self.links.iter().filter_map(|link| link.member.as_ref()).find(|own| own.id == id);
        let member = self.members.member(id).or_else(of_link);
        member.map_or_else(|| id.to_string(), |member| member.name.clone())
    }

    /// The graph, each link once, and whether frames of this node take it.
    pub fn edges(&self) -> Vec<EdgeStatus> {
        let mut used = BTreeSet::new();
        for way in self.fabric.topology().ids().filter_map(|id| self.fabric.way(id)) {
            let from = std::iter::once(self.links.me().id).chain(way.path.iter().copied());
            used.extend(from.zip(way.path.iter().copied()).map(|(a, b)| (a.min(b), a.max(b))));
        }
        let edge = |Joint { ends, cost }| EdgeStatus {
            ends,
            cost_us: microseconds(cost),
            is_used: used.contains(&ends),
        };
        self.fabric.joints().map(edge).collect()
    }
}

/// Of tenths of milliseconds.
fn microseconds(cost: u32) -> u64 {
    u64::from(cost) * 100
}
