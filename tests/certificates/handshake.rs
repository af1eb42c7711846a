//! One QUIC handshake between two endpoints in memory: what each end says about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use quicap::pki::tls::{Suites, client_config, peer_chain, refusal_words, server_config};
use quicap::pki::{Identity, Trust, WallClock};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::crypto::{ClientConfig as _, ServerConfig as _};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig,
    Event, ServerConfig,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// 2026-11-24, when the certificates of these tests are made; `openssl ca` begins them now, so: really now.
pub fn now_unix_s() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u32::try_from(since.as_secs()).unwrap()
}

/// Who shakes hands with whom.
pub struct Party<'a> {
    pub identity: &'a Identity,
    pub trust: &'a Arc<Trust>,
    pub suites: Suites,
    /// UNIX seconds and whether they can be trusted.
    pub clock: (u32, bool),
}

impl<'a> Party<'a> {
    pub fn new(identity: &'a Identity, trust: &'a Arc<Trust>) -> Self {
        Self { identity, trust, suites: Suites::AesFirst, clock: (now_unix_s(), true) }
    }

    fn clock(&self) -> Arc<WallClock> {
        WallClock::new(self.clock.0, self.clock.1)
    }
}

/// How it ended at one end: the peer's chain length, or the reason.
pub type Outcome = Result<usize, String>;

/// (what the dialing end says, what the dialed end says)
pub fn shake(dialing: &Party<'_>, dialed: &Party<'_>, expected_name: Option<&str>) -> (Outcome, Outcome) {
    run(client(dialing, expected_name), server(dialed))
}

pub fn client(dialing: &Party<'_>, expected_name: Option<&str>) -> Arc<QuicClientConfig> {
    let expected = expected_name.map(str::to_owned);
    let Party { identity, trust, suites, .. } = dialing;
    client_config(identity, (*trust).clone(), dialing.clock(), *suites, expected, true).unwrap()
}

/// A client without a certificate, which believes everybody.
pub fn nobody(alpn: &[u8]) -> Arc<QuicClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(QuicClientConfig::try_from(config).unwrap())
}

/// Which suite the two agree on, told apart by the limits of RFC 9001, section 6.6.
pub fn negotiated(dialing: &Party<'_>, dialed: &Party<'_>) -> Suites {
    let parameters = TransportParameters::read(quinn_proto::Side::Client, &mut &[][..]).unwrap();
    let mut client = client(dialing, None).start_session(1, "x", &parameters).unwrap();
    let mut server = server(dialed).start_session(1, &parameters);
    let mut flight = Vec::new();
    assert!(client.write_handshake(&mut flight).is_none(), "a ClientHello needs no keys");
    server.read_handshake(&flight).unwrap();
    let keys = server.write_handshake(&mut Vec::new()).unwrap();
    match keys.packet.local.confidentiality_limit() {
        u64::MAX => Suites::ChachaFirst,
        _ => Suites::AesFirst,
    }
}

pub fn server(dialed: &Party<'_>) -> Arc<QuicServerConfig> {
    server_config(dialed.identity, dialed.trust.clone(), dialed.clock(), dialed.suites).unwrap()
}

/// Runs any two configurations against each other until nothing is left to send.
pub fn run(client: Arc<QuicClientConfig>, server: Arc<QuicServerConfig>) -> (Outcome, Outcome) {
    let now = Instant::now();
    let addresses: [SocketAddr; 2] = ["[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
    let config = Arc::new(EndpointConfig::default());
    let server = Arc::new(ServerConfig::with_crypto(server));
    let mut ends = [End::new(&config, None), End::new(&config, Some(server))];
    let dialed = ends[0].endpoint.connect(now, ClientConfig::new(client), addresses[1], "office.example.org");
    ends[0].connection = Some(dialed.unwrap());
    for _ in 0..50 {
        for from in [0, 1] {
            for datagram in ends[from].drain(now) {
                ends[1 - from].receive(now, addresses[from], &datagram);
            }
        }
    }
    let [client, server] = ends;
    (client.outcome(), server.outcome())
}

#[derive(Debug)]
struct Gullible(Arc<CryptoProvider>);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

struct End {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    connected: bool,
    lost: Option<String>,
    responses: Vec<Vec<u8>>,
}

impl End {
    fn new(config: &Arc<EndpointConfig>, server: Option<Arc<ServerConfig>>) -> Self {
        let endpoint = Endpoint::new(config.clone(), server, false, None);
        Self { endpoint, connection: None, connected: false, lost: None, responses: Vec::new() }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let mut buffer = Vec::new();
        match self.endpoint.handle(now, from, None, None, BytesMut::from(datagram), &mut buffer) {
            Some(DatagramEvent::NewConnection(incoming)) => {
                match self.endpoint.accept(incoming, now, &mut buffer, None) {
                    Ok(connection) => self.connection = Some(connection),
                    Err(refused) => {
                        self.note(&refused.cause);
                        self.responses.extend(refused.response.map(|_| buffer));
                    }
                }
            }
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::Response(_)) => self.responses.push(buffer),
            None => {}
        }
    }

    /// Everything that this end has to say now.
    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = std::mem::take(&mut self.responses);
        let mut events = Vec::new();
        let Some((handle, connection)) = &mut self.connection else { return datagrams };
        loop {
            let mut buffer = Vec::new();
            let Some(_) = connection.poll_transmit(now, 1, &mut buffer) else { break };
            datagrams.push(buffer);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        while let Some(event) = connection.poll() {
            events.push(event);
        }
        for event in events {
            match event {
                Event::Connected => self.connected = true,
                Event::ConnectionLost { reason } => self.note(&reason),
                _ => {}
            }
        }
        datagrams
    }

    fn note(&mut self, error: &ConnectionError) {
        let reason = match error {
            ConnectionError::TransportError(error) => error.reason.clone(),
            ConnectionError::ConnectionClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
            other => other.to_string(),
        };
        self.lost.get_or_insert(refusal_words(&reason).to_owned());
    }

    fn outcome(self) -> Outcome {
        match (self.lost, self.connection) {
            (Some(reason), _) => Err(reason),
            (None, Some((_, connection))) if self.connected => {
                Ok(peer_chain(connection.crypto_session()).map_or(0, |chain| chain.len()))
            }
            _ => Err("no end".into()),
        }
    }
}
