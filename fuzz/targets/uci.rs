//! Any bytes as `/etc/config/quicap`: nothing panics, each message is one line, and what is printed reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quicap::config::{self, uci};

fuzz_target!(|file: &[u8]| {
    let reading = config::read("quicap", file);
    for fault in reading.errors.iter().chain(&reading.config.warnings) {
        let line = fault.to_string();
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    let Ok(package) = uci::parse(file) else {
        assert!(!reading.errors.is_empty());
        return;
    };
    let export = package.export();
    if export.len() > uci::MAX_BYTES {
        return;
    }
    let again = uci::parse(&export).expect("what is exported can be read");
    assert_eq!(again.show("quicap"), package.show("quicap"));
    assert_eq!(again.export(), export);
    let reading_again = config::read("quicap", &export);
    assert_eq!(reading_again.errors.len(), reading.errors.len());
    assert_eq!(reading_again.config.networks, reading.config.networks);
});
