//! `config peer`: a node that this one dials, or that dials it.

use crate::limits::LINKS;
use crate::link::peer;

use super::reader::{Reader, title};
use super::schema::{Network, PEER_OPTIONS, Report};
use super::suggest;
use super::uci::Section;
use super::value;

/// As many neighbors as the mesh has places for.
pub const MAX_PEERS: usize = LINKS;
/// More addresses than that no node has at once.
pub const MAX_ENDPOINTS: usize = 8;

/// Reads all peers and gives the enabled ones to their networks.
pub(super) fn read_all<'a>(
    sections: impl Iterator<Item = &'a Section>,
    networks: &mut [Network],
    report: &mut Report<'_>,
) {
    let mut seen: Vec<Seen<'a>> = Vec::new();
    for section in sections {
        let mut reader = Reader::new(section, &PEER_OPTIONS, report);
        let peer = read(&mut reader);
        let disabled = reader.option("disabled", value::boolean).unwrap_or(false);
        let Some(network) = network_of(&mut reader, networks) else { continue };
        if !disabled {
            compare(&peer, network, section, &mut seen, report);
            network.peers.push(peer);
        }
    }
}

/// A named peer that was read before.
struct Seen<'a> {
    network: String,
    name: String,
    section: &'a Section,
}

fn read(reader: &mut Reader<'_, '_>) -> peer::Config {
    let mut peer = peer::Config {
        name: reader.option("name", value::node_name),
        endpoints: reader.list("endpoint", value::endpoint),
        sni: reader.option("sni", value::server_name),
    };
    if peer.endpoints.len() > MAX_ENDPOINTS {
        reader.complain("endpoint", None, format!("has more than {MAX_ENDPOINTS} values"));
    }
    for index in (1..peer.endpoints.len()).rev() {
        let (before, rest) = peer.endpoints.split_at(index);
        if rest.first().is_some_and(|endpoint| before.contains(endpoint)) {
            reader.warn("endpoint", None, "has a value twice; the second is ignored");
            peer.endpoints.remove(index);
        }
    }
    if ["name", "endpoint"].iter().all(|option| reader.section.entry(option).is_none()) {
        reader.warn("endpoint", None, "neither name nor endpoint is set: this section does nothing");
    }
    peer
}

fn network_of<'n>(reader: &mut Reader<'_, '_>, networks: &'n mut [Network]) -> Option<&'n mut Network> {
    if reader.section.entry("network").is_none() {
        reader.complain(
            "network",
            None,
            "option network is missing (expected the name of a network section)",
        );
        return None;
    }
    let name = reader.option("network", |text| Ok(text.to_owned()))?;
    match networks.iter().position(|network| network.name == name) {
        Some(index) => networks.get_mut(index),
        None => {
            let hint = suggest::hint(&name, networks.iter().map(|network| network.name.as_str()));
            let complaint =
                format!("is no network of this file (expected the name of a network section){hint}");
            reader.complain("network", Some(&name), complaint);
            None
        }
    }
}

fn compare<'a>(
    peer: &peer::Config,
    network: &Network,
    section: &'a Section,
    seen: &mut Vec<Seen<'a>>,
    report: &mut Report<'_>,
) {
    if network.peers.len() == MAX_PEERS {
        let complaint = format!("network '{}' has more than {MAX_PEERS} enabled peers", network.name);
        report.error(section.line, &title(section), None, complaint);
    }
    let Some(name) = &peer.name else { return };
    match seen.iter().find(|other| other.network == network.name && other.name == *name) {
        Some(other) => {
            let line = other.section.line;
            let complaint =
                format!("is the name of the peer in line {line} already (put all endpoints there)");
            Reader { section, report }.complain("name", Some(name), complaint);
        }
        None => seen.push(Seen { network: network.name.clone(), name: name.clone(), section }),
    }
}
