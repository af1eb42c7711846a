//! Metrics of running daemons: what Prometheus' own checker says of them, and whether they say what status says.
//!
//! ```text
//!   a ===== b
//! ```

use crate::lab::{Lab, Underlay};
use crate::machine;

#[test]
fn metrics_pass_promtool_and_say_what_status_says() {
    if !machine::have(&["promtool"]) {
        return;
    }
    let Some(mut lab) = Lab::two_linked_sites(Underlay::V4, &[]) else { return };
    lab.wait_ping(crate::lab::SOON);
    let metrics = "quicap status --metrics --socket a/quicap.sock";
    // It says nothing and ends with 0 only if there is nothing to complain about, matters of style included.
    assert_eq!(lab.shell(&format!("{metrics} | promtool check metrics 2>&1")), "");
    let text = lab.ok(metrics);
    let sample = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(sample("quicap_link_up{network=\"home\",peer=\"b\"}"), 1.0);
    assert_eq!(sample("quicap_info{network=\"home\",node=\"a\",id=\"1\""), 1.0);
    let rtt = sample("quicap_link_rtt_seconds{");
    assert!(rtt > 0.0 && rtt < 1.0, "{rtt}");
    let status = lab.status("a");
    let now = |path: &str| status.at(path).number().unwrap();
    // Counters only grow, and status was asked later.
    for (name, path) in [
        ("quicap_link_receive_bytes_total{", "links.0.rx_bytes"),
        ("quicap_tap_rx_frames_total{", "counters.tap_rx_frames"),
        ("quicap_uptime_seconds{", "uptime_s"),
    ] {
        assert!(sample(name) <= now(path), "{name}");
    }
    assert!(sample("quicap_link_receive_bytes_total{") > 100.0);
    assert_eq!(sample("quicap_memory_limit_bytes{"), now("memory_kib") * 1024.0);
}
