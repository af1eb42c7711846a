//! The settings of QUIC: small buffers, one kind of stream, path MTU to the last byte, no pacing.
//! Every number is in `limits.rs`. Read first: RFC 9000, 7.4 and 14; docs/performance.md.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, NoneTokenStore,
    RandomConnectionIdGenerator, ServerConfig, TimeSource, TransportConfig, VarInt,
};

use super::window;
use crate::limits::{self, Profile};
use crate::pki::clock::WallClock;

/// What both endpoints of a node share. The seed makes packet numbers and the like repeatable in simulations.
pub fn endpoint(seed: [u8; 32]) -> Arc<EndpointConfig> {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(limits::CID_LEN)));
    // The fixed bit stays set, so that any QUIC decoder follows.
    config.grease_quic_bit(false);
    config.rng_seed(Some(seed));
    Arc::new(config)
}

/// For connections to and from addresses of one family.
fn transport(profile: &Profile, largest_payload: u16) -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(largest_payload)
        .minimum_change(1)
        .interval(limits::MTU_INTERVAL)
        .black_hole_cooldown(limits::MTU_COOLDOWN);
    let idle = IdleTimeout::from(VarInt::from_u32(limits::IDLE_TIMEOUT.as_millis() as u32));
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(256 * 1024))
        .send_window(256 * 1024)
        .crypto_buffer_size(16 * 1024)
        .datagram_send_buffer_size(profile.send_buffer)
        .datagram_receive_buffer_size(Some(profile.receive_buffer))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(None)
        .initial_rtt(limits::INITIAL_RTT)
        .initial_mtu(limits::UDP_PAYLOAD_MIN)
        .min_mtu(limits::UDP_PAYLOAD_MIN)
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(Arc::new(window::Factory { bytes: profile.window }));
    Arc::new(config)
}

/// One transport configuration for each family.
pub struct Transports {
    v4: Arc<TransportConfig>,
    v6: Arc<TransportConfig>,
}

impl Transports {
    pub fn new(profile: &Profile) -> Self {
        Self {
            v4: transport(profile, limits::UDP_PAYLOAD_V4),
            v6: transport(profile, limits::UDP_PAYLOAD_V6),
        }
    }

    pub fn of(&self, remote: SocketAddr) -> Arc<TransportConfig> {
        if remote.is_ipv6() { self.v6.clone() } else { self.v4.clone() }
    }

    /// For connections that `remote` opens.
    pub fn server(&self, remote: SocketAddr, base: &ServerConfig) -> Arc<ServerConfig> {
        let mut config = base.clone();
        config.transport_config(self.of(remote));
        Arc::new(config)
    }

    /// For a connection to `remote`.
    pub fn client(&self, remote: SocketAddr, crypto: Arc<QuicClientConfig>) -> ClientConfig {
        let mut config = ClientConfig::new(crypto);
        config.transport_config(self.of(remote)).token_store(Arc::new(NoneTokenStore));
        config
    }
}

/// What new incoming connections start from.
pub fn server(crypto: Arc<QuicServerConfig>, token_key: [u8; 64], clock: Arc<WallClock>) -> ServerConfig {
    let key = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, &[]).extract(&token_key);
    let mut config = ServerConfig::new(crypto, Arc::new(key));
    config
        .max_incoming(limits::HALF_OPEN)
        .incoming_buffer_size(limits::INCOMING_BUFFER)
        .incoming_buffer_size_total(limits::INCOMING_BUFFER_TOTAL)
        .time_source(Arc::new(Told(clock)));
    config
}

/// Lifetimes of Retry tokens are judged by the time that the node was told.
struct Told(Arc<WallClock>);

impl TimeSource for Told {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.unix_s().into())
    }
}
