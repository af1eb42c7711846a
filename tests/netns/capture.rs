//! A capture on the underlay, and what is asked of it.
//!
//! ```text
//!   a wan ---o--- wan b        o: tcpdump, on a's side
//! ```

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use crate::lab::Lab;

/// Runs until [`Capture::stop`].
pub struct Capture {
    tcpdump: Child,
    file: String,
}

impl Capture {
    /// Returns once every further packet is captured.
    pub fn start(lab: &Lab, file: &str) -> Self {
        for site in ["a", "b"] {
            // To see UDP datagrams as a wire would carry them, the kernel has to segment here.
            lab.ok(&format!("ip -n @{site} link set wan gso_max_segs 1"));
        }
        let line =
            format!("ip netns exec @a tcpdump -i wan -n -U --immediate-mode -Z root -w {file} ip or ip6");
        let mut tcpdump = lab.spawn(&line);
        let mut lines = BufReader::new(tcpdump.stderr.take().unwrap()).lines();
        let listens = lines.any(|line| line.unwrap().contains("listening on"));
        assert!(listens, "tcpdump ended");
        Self { tcpdump, file: file.to_owned() }
    }

    /// After this the file is complete.
    pub fn stop(&mut self, lab: &Lab) {
        std::thread::sleep(Duration::from_millis(300));
        lab.shell(&format!("kill -INT {}", self.tcpdump.id()));
        self.tcpdump.wait().unwrap();
    }

    /// Packets that match a filter as of pcap-filter(7).
    pub fn count(&self, lab: &Lab, filter: &str) -> usize {
        lab.shell(&format!("tcpdump -nr {} '{filter}' 2>/dev/null", self.file)).lines().count()
    }

    /// Of IPv4, and of IPv6 (next header 44).
    pub fn count_fragments(&self, lab: &Lab) -> usize {
        self.count(lab, "ip[6:2] & 0x3fff != 0") + self.count(lab, "ip6[6] == 44")
    }

    /// What tshark says about the packets that match a display filter, one line each, fields separated by tabs.
    pub fn fields(&self, lab: &Lab, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let fields: String = fields.iter().map(|field| format!(" -e {field}")).collect();
        let line = format!("tshark -nr {} -Y '{filter}' -T fields{fields} 2>/dev/null", self.file);
        lab.shell(&line).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }
}
