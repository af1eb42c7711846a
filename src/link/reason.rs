//! Why a link is not up, in words that a user can act on.
//! Does not decide anything. Read first: docs/protocol.md, "Reasons".

use std::net::SocketAddr;

use quinn_proto::{ConnectionError, TransportError, TransportErrorCode};

use crate::pki::tls;
use crate::wire::control::CloseCode;

/// How far a connection had come when it was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Handshake,
    Established,
}

/// No answer at all: the usual causes are a wrong address and a firewall.
pub fn no_answer(remote: SocketAddr) -> String {
    format!("no answer from {remote} (UDP blocked?)")
}

/// Why QUIC gave a connection up.
pub fn of_connection(error: &ConnectionError, phase: Phase, remote: SocketAddr) -> String {
    match error {
        ConnectionError::TimedOut if phase == Phase::Handshake => no_answer(remote),
        ConnectionError::TimedOut => format!("{remote} answers no more"),
        ConnectionError::Reset => format!("{remote} has restarted"),
        ConnectionError::VersionMismatch => format!("{remote} does not speak QUIC version 1"),
        ConnectionError::TransportError(error) => of_our_refusal(error, remote),
        ConnectionError::ConnectionClosed(close) => {
            of_their_refusal(close.error_code, &text(&close.reason), remote)
        }
        ConnectionError::ApplicationClosed(close) => {
            of_close(close.error_code.into_inner(), &text(&close.reason), remote)
        }
        ConnectionError::LocallyClosed => "closed".to_owned(),
        ConnectionError::CidsExhausted => "too many connections here".to_owned(),
    }
}

/// Our side did not accept what the peer showed.
fn of_our_refusal(error: &TransportError, remote: SocketAddr) -> String {
    format!("refused {remote}: {}", tls::refusal_words(&error.reason))
}

/// The peer did not accept us.
fn of_their_refusal(code: TransportErrorCode, words: &str, remote: SocketAddr) -> String {
    if code == TransportErrorCode::CONNECTION_REFUSED {
        return format!("{remote} takes no more connections now");
    }
    let words = tls::refusal_words(words);
    if words.is_empty() {
        format!("refused by {remote} ({code})")
    } else {
        format!("refused by {remote}: {words}")
    }
}

fn of_close(code: u64, words: &str, remote: SocketAddr) -> String {
    const BYE: u64 = CloseCode::Bye as u64;
    match (code, words) {
        (BYE, "") => format!("{remote} has stopped"),
        (BYE, words) => format!("{remote} has stopped: {words}"),
        (code, "") => format!("closed by {remote} (code {code})"),
        (_, words) => format!("closed by {remote}: {words}"),
    }
}

/// What a peer wrote, made fit for a log: printable, one line, bounded.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_the_address_and_what_to_look_at() {
        let remote = SocketAddr::from(([192, 0, 2, 2], 443));
        let of = |error, phase| of_connection(&error, phase, remote);
        assert_eq!(
            of(ConnectionError::TimedOut, Phase::Handshake),
            "no answer from 192.0.2.2:443 (UDP blocked?)"
        );
        assert_eq!(of(ConnectionError::TimedOut, Phase::Established), "192.0.2.2:443 answers no more");
        assert_eq!(of(ConnectionError::Reset, Phase::Established), "192.0.2.2:443 has restarted");
        assert_eq!(of_close(0, "", remote), "192.0.2.2:443 has stopped");
        assert_eq!(
            of_close(16, "network is 'x', not 'y'", remote),
            "closed by 192.0.2.2:443: network is 'x', not 'y'"
        );
    }

    #[test]
    fn what_a_peer_writes_cannot_break_a_log_line() {
        assert_eq!(text(b"a\nb\x1b[31m"), "a b [31m");
        assert_eq!(text(&[b'x'; 5000]).len(), 200);
        assert_eq!(text(&[0xFF, b'a']), "\u{FFFD}a");
    }
}
