//! Any bytes as a control stream: nothing panics, every step makes progress, and what was read can be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
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
