//! One peer: what is configured about it.

use std::net::IpAddr;

/// What the configuration says about one peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Node name that the peer's certificate must carry; `None`: any member of the network.
    pub name: Option<String>,
    /// Where it listens, in order of preference; empty: it dials us.
    pub endpoints: Vec<Endpoint>,
    /// Server name to send in TLS; `None`: the host name for names, nothing for addresses.
    pub sni: Option<String>,
}

/// A host and a UDP port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    pub host: Host,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    Address(IpAddr),
    /// A DNS name, resolved off the loop.
    Name(String),
}
