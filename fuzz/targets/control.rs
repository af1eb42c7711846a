//! Any bytes as a control stream: nothing panics, every step makes progress, and what was read can be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quicap::wire::announce;
use quicap::wire::control::{self, Message, Next};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    loop {
        match control::next(rest) {
            Ok(Next::Message(message, taken)) => {
                assert!((control::HEADER..=rest.len()).contains(&taken));
                check_again(&message);
                rest = &rest[taken..];
            }
            Ok(Next::Skip(length)) => {
                assert!(length > control::HEADER);
                rest = rest.get(length..).unwrap_or_default();
            }
            Ok(Next::Incomplete) | Err(_) => return,
        }
    }
});

fn check_again(message: &Message<'_>) {
    walk(message);
    // A longer name than we send is read all the same, and cut when written.
    if let Message::Hello(hello) = message
        && hello.network.len() > control::NETWORK_NAME
    {
        return;
    }
    let mut written = Vec::new();
    message.emit(&mut written);
    assert_eq!(control::next(&written), Ok(Next::Message(message.clone(), written.len())));
}

/// All rows that are counted are there.
fn walk(message: &Message<'_>) {
    match message {
        Message::Node(node) => {
            assert_eq!(node.endpoints.iter().count(), node.endpoints.len());
            assert_eq!(node.prefixes.iter().count(), node.prefixes.len());
        }
        Message::Lsa(lsa) => {
            assert_eq!(lsa.links.iter().count(), lsa.links.len());
            assert!(lsa.links.len() <= usize::from(announce::FRAGMENT_LINKS));
        }
        Message::Summary(list) => assert_eq!(list.iter().count(), list.len()),
        Message::Request(list) => assert_eq!(list.iter().count(), list.len()),
        Message::MacMove(moved) | Message::MacGone(moved) => {
            assert_eq!(moved.stations.iter().count(), moved.stations.len());
        }
        Message::MacSnapshot(list) => assert_eq!(list.iter().count(), list.len()),
        Message::Foreign(foreign) => {
            assert_eq!([foreign.signed(), &foreign.signature].concat(), foreign.body);
        }
        Message::Hello(_) | Message::Digest(_) | Message::Cost(_) | Message::Crl(_) | Message::Unknown(_) => {}
    }
}
