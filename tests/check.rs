//! `quicap check` against directories in which this and that is wrong: what it says, and how it ends.
#![allow(clippy::disallowed_methods, reason = "tests make the files that the command reads")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

/// A network's files and a configuration that names them, in a directory of its own.
struct Site {
    dir: PathBuf,
    key: KeyPair,
    ca: Issuer<'static, KeyPair>,
}

impl Site {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quicap-check-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (ca, certificate) = authority();
        let site = Self { dir, key: KeyPair::generate().unwrap(), ca };
        site.write("ca.crt", &certificate);
        site.write("node.key", site.key.serialize_pem());
        site.issue("home", 2020, 2090);
        site.write_config("option tap 'quicap0'");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Mode 0600, as a key must have.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn open_key(&self, mode: u32) {
        fs::set_permissions(self.path("node.key"), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Puts a certificate in place of the good one; valid from the first day of one year to that of another.
    fn issue(&self, network: &str, from: i32, until: i32) {
        self.write("node.crt", self.certificate(network, from, until));
    }

    fn write_config(&self, options: &str) {
        let file = |name| self.path(name).display().to_string();
        let (ca, cert, key, crl) = (file("ca.crt"), file("node.crt"), file("node.key"), file("crl.pem"));
        let files = format!("option ca '{ca}'\noption cert '{cert}'\noption key '{key}'\noption crl '{crl}'");
        self.write("quicap", format!("config network 'home'\n{options}\n{files}\n"));
    }

    fn certificate(&self, network: &str, from: i32, until: i32) -> String {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        for uri in [format!("quicap:net={network}"), "quicap:id=1".to_owned()] {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        params.distinguished_name.push(DnType::CommonName, "a");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(7_u64));
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        params.signed_by(&self.key, &self.ca).unwrap().pem()
    }

    fn crl(&self, revoked: u64) -> String {
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(revoked),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![entry],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.ca).unwrap().pem().unwrap()
    }

    /// Exit code, stdout, and the lines of stderr with the directory cut off.
    fn check(&self) -> (i32, String, Vec<String>) {
        check(&self.path("quicap"), &self.dir)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "QUICAP test CA");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), certificate)
}

fn check(config: &Path, dir: &Path) -> (i32, String, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quicap"));
    let output = command.arg("check").arg("--config").arg(config).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap().replace(&format!("{}/", dir.display()), "");
    // Errors, unlike warnings, begin with the program's name.
    let lines = stderr.lines().map(|line| line.strip_prefix("quicap: ").unwrap_or(line).to_owned()).collect();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), lines)
}

/// What is done to a good site, the exit code, and how each line of stderr begins.
type Case = (&'static str, fn(&Site), i32, &'static [&'static str]);

const CASES: &[Case] = &[
    ("good", |_| {}, 0, &[]),
    ("good-crl", |site| site.write("crl.pem", site.crl(8)), 0, &[]),
    (
        "no-files",
        |site| ["ca.crt", "node.crt", "node.key"].iter().for_each(|name| site.remove(name)),
        2,
        &["node.crt: no such file", "node.key: no such file", "ca.crt: no such file"],
    ),
    (
        "open-key",
        |site| site.open_key(0o640),
        2,
        &["node.key: others may read the key (mode 0640): chmod 600 "],
    ),
    (
        "other-ca",
        |site| site.write("ca.crt", authority().1),
        3,
        &["node.crt: certificate was issued by another CA; expected one that a CA in ca.crt signed"],
    ),
    (
        "expired",
        |site| site.issue("home", 2020, 2021),
        3,
        &["node.crt: certificate expired on 2021-01-01; have a new one signed"],
    ),
    (
        "good-but-for-itself",
        |site| {
            let peers = "config peer\noption network home\noption name a\nconfig peer\noption network home\noption name b\n";
            site.write("quicap", [&site.read("quicap"), peers.as_bytes()].concat());
        },
        0,
        &["warning: network home: peer 'a' is this node itself, and is ignored"],
    ),
    (
        "good-early",
        |site| site.issue("home", 2080, 2090),
        0,
        &["warning: network home: clock not trusted: it shows 20"],
    ),
    (
        "revoked",
        |site| site.write("crl.pem", site.crl(7)),
        3,
        &["node.crt: certificate was revoked; make a new key"],
    ),
    (
        "network",
        |site| site.issue("away", 2020, 2090),
        3,
        &["node.crt: certificate is for network 'away', not 'home'; expected quicap:net=home"],
    ),
    (
        "other-key",
        |site| site.write("node.key", KeyPair::generate().unwrap().serialize_pem()),
        2,
        &["node.crt and node.key: the key does not belong to the certificate"],
    ),
    (
        "ca-as-node",
        |site| site.write("node.crt", site.read("ca.crt")),
        2,
        &["node.crt and node.key: the key does not belong"],
    ),
    (
        "node-as-ca",
        |site| site.write("ca.crt", site.read("node.crt")),
        2,
        &["ca.crt: certificate 1 cannot be a trust anchor"],
    ),
    ("huge", |site| site.write("ca.crt", vec![b'x'; 300 * 1024]), 2, &["ca.crt: is longer than 256 KiB"]),
    (
        "truncated",
        |site| site.write("node.crt", &site.read("node.crt")[..300]),
        2,
        &["node.crt and node.key: "],
    ),
    (
        "empty",
        |site| ["node.key", "crl.pem"].iter().for_each(|name| site.write(name, "")),
        2,
        &["node.key: is empty", "crl.pem: is empty"],
    ),
    (
        "directory",
        |site| {
            site.remove("ca.crt");
            fs::create_dir(site.path("ca.crt")).unwrap();
        },
        2,
        &["ca.crt: is not a regular file"],
    ),
    ("garbage-crl", |site| site.write("crl.pem", "hello"), 2, &["crl.pem: "]),
    (
        "two-classes",
        |site| {
            site.issue("home", 2020, 2021);
            site.open_key(0o644);
        },
        2,
        &["node.key: others may read the key (mode 0644)", "node.crt: certificate expired on 2021-01-01"],
    ),
    (
        "config-too",
        |site| {
            site.write_config("option tap abcdefghijklmnop\noption listen_port 99999\noption colour red");
            site.remove("node.crt");
        },
        2,
        &[
            "warning: quicap:4: option colour: is not known",
            "quicap:2: option tap: 'abcdefghijklmnop' has 16 characters",
            "quicap:3: option listen_port: '99999' is not a UDP port",
            "node.crt: no such file",
        ],
    ),
    (
        "disabled",
        |site| {
            site.write_config("option tap t\noption enabled 0");
            site.remove("node.crt");
        },
        0,
        &["warning: quicap: no network is enabled"],
    ),
    (
        "syntax",
        |site| site.write("quicap", "config network 'home\n"),
        2,
        &["quicap:1: a quote is opened here"],
    ),
    ("no-config", |site| site.remove("quicap"), 2, &["quicap: no such file"]),
    (
        "huge-config",
        |site| site.write("quicap", vec![b'#'; 300 * 1024]),
        2,
        &["quicap: is longer than 256 KiB"],
    ),
    ("binary-config", |site| site.write("quicap", [0_u8, 255, 10, 1]), 2, &["quicap:2: unknown statement"]),
];

#[test]
fn every_fault_is_named_and_the_exit_code_says_its_class() {
    for (name, spoil, code, expected) in CASES {
        let site = Site::new(name);
        spoil(&site);
        let (found, stdout, lines) = site.check();
        assert_eq!(lines.len(), expected.len(), "{name}: {lines:#?}");
        for (line, expected) in lines.iter().zip(*expected) {
            assert!(line.starts_with(expected), "{name}: {line}\nexpected: {expected}");
        }
        assert_eq!(found, *code, "{name}: {lines:#?}");
        assert_eq!(
            stdout.contains("network home: node a (id 1), certificate until 2090-01-01"),
            name.starts_with("good"),
            "{name}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_code_2() {
    for arguments in
        [&["check", "--colour"][..], &["uci-show"], &["uci-show", "/nonexistent"], &["nonsense"], &[]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_quicap")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{arguments:?}");
    }
}

/// Where nothing can be written, as on a full disk.
fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn output_that_cannot_be_written_ends_nothing_half_way() {
    let quicap = || Command::new(env!("CARGO_BIN_EXE_quicap"));
    let help = quicap().arg("--help").stdout(full()).output().unwrap();
    assert_eq!(help.status.code(), Some(1));
    assert!(String::from_utf8(help.stderr).unwrap().starts_with("quicap: cannot write: "));
    let output = quicap().args(["check", "--config", "/nonexistent"]).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_daemon_whose_log_cannot_be_written_goes_on() {
    let site = Site::new("full");
    site.write_config("option listen_port 0\noption colour red");
    let quicap = |command: &str, option: &str| {
        let mut quicap = Command::new(env!("CARGO_BIN_EXE_quicap"));
        quicap.args([command, "--socket"]).arg(site.path("socket")).arg(option);
        quicap
    };
    let mut daemon = quicap("run", "--config").arg(site.path("quicap")).stderr(full()).spawn().unwrap();
    let answers = || quicap("status", "--json").output().unwrap().status.success();
    let is_heard = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        answers() || daemon.try_wait().unwrap().is_some()
    });
    assert_eq!((is_heard, daemon.try_wait().unwrap()), (true, None), "it ended, or says nothing for 10 s");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
