//! The next command on a router, for who sets one up for the first time: each command ends with it.
//!
//! Read from files, as far as they show it; nothing is changed. Only on a machine with OpenWrt's `/etc/config/network`: elsewhere
//! there is no telling how devices come into bridges. Read first: docs/openwrt.md, "The first network".

use std::fs;
use std::path::Path;

use crate::config::uci::{self, Package, Section};
use crate::config::{self, Network};

/// What a device is called unless the configuration says otherwise.
const TAP: &str = "quicap0";
const START: &str = "/etc/init.d/quicap start";

/// What to do next for this network, one line or more; `root` is `/`, but for tests. `None`: not on OpenWrt, or its files
/// cannot be read.
pub fn steps(root: &Path, network: &str) -> Option<String> {
    let router = uci::parse(&read(root, "etc/config/network")?).ok()?;
    let file = read(root, "etc/config/quicap").unwrap_or_default();
    let networks = config::read("", file).config.networks;
    let known = networks.iter().find(|known| known.name == network);
    joining(root, known, network).or_else(|| {
        let line = running(root, &router, known, network);
        Some(format!("next: {line}{}", dialing(known, network)))
    })
}

#[allow(clippy::disallowed_methods, reason = "commands read files")]
fn read(root: &Path, file: &str) -> Option<Vec<u8>> {
    fs::read(root.join(file)).ok()
}

/// Who has no certificate asks for one, at this machine if the CA is here.
fn joining(root: &Path, known: Option<&Network>, network: &str) -> Option<String> {
    let certificate =
        known.map_or_else(|| format!("/etc/quicap/{network}/node.crt"), |known| known.cert.clone());
    if root.join(certificate.trim_start_matches('/')).exists() {
        return None;
    }
    let ca = format!("etc/quicap-ca/{network}");
    let place = if root.join(&ca).join("ca.key").exists() { "" } else { "ssh ROUTER-WITH-THE-CA " };
    Some(format!(
        "next: quicap csr --name NAME --key /etc/quicap/{network}/node.key | {place}quicap ca sign --dir /{ca} - --bundle - | \
         quicap install {network} -"
    ))
}

/// Enables the network, puts its TAP into the bridge, starts it; or what of that is left.
fn running(root: &Path, router: &Package, known: Option<&Network>, network: &str) -> String {
    let mut commands = enabling(known, network);
    let bridging = bridging(router, known.map_or(Some(TAP), |known| known.tap.as_deref()));
    let reload = bridging.as_ref().map(|_| "/etc/init.d/network reload".to_owned());
    commands.extend(bridging);
    let runs = root.join("var/run/quicap").join(format!("{network}.sock")).exists();
    match (commands.is_empty(), runs) {
        (true, true) => format!("quicap status {network}"),
        (true, false) => START.to_owned(),
        (false, _) => {
            let rest = ["uci commit".to_owned()].into_iter().chain(reload).chain([START.to_owned()]);
            commands.into_iter().chain(rest).collect::<Vec<_>>().join("; ")
        }
    }
}

/// Makes the section, or enables it.
fn enabling(known: Option<&Network>, network: &str) -> Vec<String> {
    match known {
        None => {
            vec![format!("uci set quicap.{network}=network"), format!("uci set quicap.{network}.tap={TAP}")]
        }
        Some(known) if !known.enabled => vec![format!("uci set quicap.{network}.enabled=1")],
        Some(_) => Vec::new(),
    }
}

/// Puts the TAP into the LAN's bridge, unless it is in use there already.
fn bridging(router: &Package, tap: Option<&str>) -> Option<String> {
    let tap = tap?;
    let of_kind = |kind: &'static str| router.sections.iter().filter(move |section| section.kind == kind);
    let used = of_kind("device").any(|device| has(device, "ports", tap))
        || of_kind("interface").any(|interface| has(interface, "device", tap));
    if used {
        return None;
    }
    let lan = of_kind("interface").find(|section| section.name == "lan")?;
    let is_bridge =
        |device: &Section| has(device, "type", "bridge") && value(device, "name") == value(lan, "device");
    let (place, bridge) = of_kind("device").enumerate().find(|(_, device)| is_bridge(device))?;
    let section = match bridge.anonymous {
        true => format!("@device[{place}]"),
        false => bridge.name.clone(),
    };
    Some(format!("uci add_list network.{section}.ports={tap}"))
}

/// Who has no address to dial waits for others; that may be what is wanted.
fn dialing(known: Option<&Network>, network: &str) -> String {
    let dials = known.is_some_and(|known| known.peers.iter().any(|peer| !peer.endpoints.is_empty()));
    if dials {
        return String::new();
    }
    format!(
        "\nto dial a router NAME at ADDRESS, and not only be dialed: uci add quicap peer; \
         uci set quicap.@peer[-1].network={network}; uci set quicap.@peer[-1].name=NAME; \
         uci add_list quicap.@peer[-1].endpoint=ADDRESS; uci commit; /etc/init.d/quicap reload"
    )
}

fn value<'a>(section: &'a Section, option: &str) -> Option<&'a [u8]> {
    section.entry(option)?.values.first().map(|value| value.bytes.as_slice())
}

/// One of the option's words is this one.
fn has(section: &Section, option: &str, word: &str) -> bool {
    let values = section.entry(option).map(|entry| entry.values.as_slice()).unwrap_or_default();
    let mut words = values.iter().flat_map(|value| value.bytes.split(u8::is_ascii_whitespace));
    words.any(|found| found == word.as_bytes())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "puts files where the command looks")]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const ROUTER: &str = "config interface 'loopback'\n\toption device 'lo'\n\
        config device\n\toption name 'eth0'\n\
        config device\n\toption name 'br-lan'\n\toption type 'bridge'\n\tlist ports 'lan1'\n\
        config interface 'lan'\n\toption device 'br-lan'\n";

    struct Router(PathBuf);

    impl Router {
        fn new(name: &str, network: &str, quicap: &str) -> Self {
            let root = std::env::temp_dir().join(format!("quicap-next-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("etc/config")).unwrap();
            fs::create_dir_all(root.join("var/run/quicap")).unwrap();
            for network in ["home", "lab"] {
                fs::create_dir_all(root.join("etc/quicap").join(network)).unwrap();
                fs::write(root.join("etc/quicap").join(network).join("node.crt"), "").unwrap();
            }
            fs::write(root.join("etc/config/network"), network).unwrap();
            fs::write(root.join("etc/config/quicap"), quicap).unwrap();
            Self(root)
        }

        fn first_line(&self) -> String {
            steps(&self.0, "home").unwrap().lines().next().unwrap().to_owned()
        }
    }

    impl Drop for Router {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_shipped_is_enabled_bridged_and_started_in_one_line() {
        let router = Router::new("shipped", ROUTER, include_str!("../../uci/quicap"));
        assert_eq!(
            router.first_line(),
            "next: uci set quicap.home.enabled=1; uci add_list network.@device[1].ports=quicap0; uci commit; \
             /etc/init.d/network reload; /etc/init.d/quicap start"
        );
        // The section has no name: uci takes no '-' there, and what is shipped has a disabled one for 'office'.
        let dialing = "\nto dial a router NAME at ADDRESS, and not only be dialed: uci add quicap peer; ";
        assert!(steps(&router.0, "home").unwrap().contains(dialing));
        let other = steps(&router.0, "lab").unwrap();
        assert!(other.contains("uci set quicap.lab=network; uci set quicap.lab.tap=quicap0;"), "{other}");
    }

    #[test]
    fn without_a_certificate_that_comes_first_from_where_the_ca_is() {
        let router = Router::new("joining", ROUTER, include_str!("../../uci/quicap"));
        fs::remove_file(router.0.join("etc/quicap/home/node.crt")).unwrap();
        let far = steps(&router.0, "home").unwrap();
        assert_eq!(
            far,
            "next: quicap csr --name NAME --key /etc/quicap/home/node.key | ssh ROUTER-WITH-THE-CA quicap ca sign \
             --dir /etc/quicap-ca/home - --bundle - | quicap install home -"
        );
        fs::create_dir_all(router.0.join("etc/quicap-ca/home")).unwrap();
        fs::write(router.0.join("etc/quicap-ca/home/ca.key"), "").unwrap();
        assert_eq!(steps(&router.0, "home").unwrap(), far.replace("ssh ROUTER-WITH-THE-CA ", ""));
    }

    #[test]
    fn what_is_done_is_not_said_again() {
        let network = "config network home\n\toption tap t0\nconfig peer\n\toption network home\n\tlist endpoint a.example\n";
        let named = ROUTER
            .replace("config device\n\toption name 'br-lan'", "config device br\n\toption name 'br-lan'");
        let router = Router::new("named", &named, network);
        assert!(router.first_line().starts_with("next: uci add_list network.br.ports=t0; uci commit;"));
        for used in ["list ports 'lan1 t0'", "list ports t0"] {
            let router = Router::new("used", &ROUTER.replace("list ports 'lan1'", used), network);
            assert_eq!(steps(&router.0, "home").unwrap(), "next: /etc/init.d/quicap start");
        }
        let alone = format!("{ROUTER}config interface mesh\n\toption device t0\n");
        let router = Router::new("alone", &alone, network);
        fs::write(router.0.join("var/run/quicap/home.sock"), "").unwrap();
        assert_eq!(steps(&router.0, "home").unwrap(), "next: quicap status home");
    }

    #[test]
    fn a_router_without_a_bridge_or_a_tap_is_told_no_wrong_command() {
        let flat = "config interface lan\n\toption device eth0\n";
        let router = Router::new("flat", flat, "config network home\n\toption tap t0\n");
        assert_eq!(router.first_line(), "next: /etc/init.d/quicap start");
        let router = Router::new("relay", ROUTER, "config network home\n");
        assert_eq!(router.first_line(), "next: /etc/init.d/quicap start");
        fs::remove_file(router.0.join("etc/config/network")).unwrap();
        assert_eq!(steps(&router.0, "home"), None);
    }
}
