//! The same on OpenWrt's own programs, where they are at hand.

use std::process::Command;

use crate::root::{skip, source_of, text_of};

#[test]
fn on_openwrts_own_userland_everything_comes_to_pass() {
    let Some(root) = std::env::var_os("QUICAP_OPENWRT_ROOT") else {
        return skip("no userland of OpenWrt to run in (QUICAP_OPENWRT_ROOT names none)");
    };
    let program =
        std::env::var_os("QUICAP_OPENWRT_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_quicap").into());
    let output =
        Command::new("bash").arg(source_of("tests/openwrt/real.sh")).arg(root).arg(program).output().unwrap();
    let text = text_of(&output);
    println!("{text}");
    assert!(output.status.success() && text.contains("all of it was seen"), "{text}");
}
