//! The commands as users run them: `ca`, `csr`, `install`, alone and in pipes.

use std::os::unix::fs::PermissionsExt;

use quicap::pki::{Identity, Trust};

use crate::handshake::now_unix_s;
use crate::openssl::{NODE, OpensslCa};
use crate::scratch::Scratch;

/// A directory with a CA of network "home" in `ca`.
fn with_ca() -> Scratch {
    let scratch = Scratch::new();
    scratch.quicap("ca init --dir ca --network home").ok();
    scratch
}

/// A site joins: three commands in a pipe, as over ssh.
fn join(scratch: &Scratch, name: &str, options: &str) {
    let csr = scratch.quicap(&format!("csr --name {name} --key {name}/node.key")).ok();
    let bundle = scratch.quicap_fed(&format!("ca sign --dir ca {options} - --bundle -"), csr.bytes()).ok();
    scratch.quicap_fed(&format!("install home - --dir {name}"), bundle.bytes()).ok();
}

/// What the node in this directory is, judged with its own files.
fn member(scratch: &Scratch, name: &str) -> Result<quicap::pki::Member, String> {
    let file = |file: &str| scratch.read(&format!("{name}/{file}"));
    let identity = Identity::from_pem(&file("node.crt"), &file("node.key")).map_err(|e| e.to_string())?;
    let trust =
        Trust::from_pem("home", &file("ca.crt"), Some(&file("crl.pem"))).map_err(|e| e.to_string())?;
    trust.judge(identity.chain(), now_unix_s(), true).map_err(|e| e.to_string())
}

fn mode(scratch: &Scratch, name: &str) -> u32 {
    std::fs::metadata(scratch.file(name)).unwrap().permissions().mode() & 0o777
}

fn serial_of(run: &str) -> String {
    run.rsplit_once("serial ").unwrap().1.trim().to_owned()
}

#[test]
fn a_site_joins_by_one_pipe_and_its_key_stays_there() {
    let scratch = with_ca();
    join(
        &scratch,
        "office",
        "--gateway --prefix 10.1.0.0/16 --prefix 2001:db8::/32 --mac 02:00:00:00:00:0A --macs 5",
    );
    let member = member(&scratch, "office").unwrap();
    assert_eq!((member.name.as_str(), member.id.value()), ("office", 1));
    assert!(member.rights.gateway && member.rights.transit && member.rights.l2);
    assert_eq!(member.rights.prefixes.len(), 2);
    assert_eq!(
        (member.rights.macs, member.rights.mac[0].to_string().as_str()),
        (Some(5), "02:00:00:00:00:0a")
    );
    for (file, expected) in [
        ("ca", 0o700),
        ("ca/ca.key", 0o600),
        ("ca/index", 0o600),
        ("ca/ca.crt", 0o644),
        ("office", 0o700),
        ("office/node.key", 0o600),
        ("office/node.crt", 0o644),
    ] {
        assert_eq!(mode(&scratch, file), expected, "{file}");
    }
    let key = scratch.text("office/node.key");
    let secret = key.lines().nth(1).unwrap();
    let elsewhere = scratch.snapshot().into_iter().filter(|(path, _)| !path.ends_with("office/node.key"));
    for (path, bytes) in elsewhere {
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", path.display());
    }
}

#[test]
fn when_the_first_command_of_a_pipe_fails_the_others_point_to_it() {
    let scratch = with_ca();
    scratch.quicap("csr --name office --key office/node.key").ok();
    let before = scratch.snapshot();
    for command in ["ca sign --dir ca - --bundle -", "install home - --dir office"] {
        scratch.quicap(command).fails(1, "standard input: nothing came; see what the command before says");
    }
    assert_eq!(scratch.snapshot(), before);
}

#[test]
fn openssl_verifies_what_our_ca_signs() {
    let scratch = with_ca();
    join(&scratch, "office", "--no-transit --no-l2");
    let verify = |crl: &str| {
        let words =
            format!("verify -x509_strict -crl_check -CAfile ca/ca.crt -CRLfile {crl} office/node.crt");
        scratch.run("openssl", &words.split(' ').collect::<Vec<_>>(), &[], b"")
    };
    assert!(verify("office/crl.pem").ok().out().contains("office/node.crt: OK"));
    scratch.quicap("ca revoke --dir ca office").ok();
    assert!(verify("ca/crl.pem").err().contains("certificate revoked"));
    for words in [
        "crl -in ca/crl.pem -CAfile ca/ca.crt -noout",
        "verify -x509_strict -CAfile ca/ca.crt -purpose sslserver office/node.crt",
        "verify -x509_strict -CAfile ca/ca.crt -purpose sslclient office/node.crt",
    ] {
        scratch.run("openssl", &words.split(' ').collect::<Vec<_>>(), &[], b"").ok();
    }
}

#[test]
fn a_ca_is_never_overwritten() {
    let scratch = with_ca();
    let before = scratch.snapshot();
    scratch.quicap("ca init --dir ca --network home").fails(1, "ca/ca.crt exists");
    assert_eq!(scratch.snapshot(), before);
    for file in ["ca.crt", "crl.pem", "index", "ca.key"] {
        scratch.write(&format!("{file}-only/{file}"), "precious");
        scratch
            .quicap(&format!("ca init --dir {file}-only --network home"))
            .fails(1, &format!("{file}-only/{file}"));
        assert_eq!(scratch.text(&format!("{file}-only/{file}")), "precious");
    }
}

#[test]
fn ids_are_unique_and_kept_and_a_second_key_needs_replace() {
    let scratch = with_ca();
    join(&scratch, "a", "");
    join(&scratch, "b", "");
    join(&scratch, "c", "--id 65279");
    let ids = |name: &str| member(&scratch, name).unwrap().id.value();
    assert_eq!((ids("a"), ids("b"), ids("c")), (1, 2, 65279));
    join(&scratch, "a", "");
    join(&scratch, "d", "");
    assert_eq!((ids("a"), ids("d")), (1, 3));
    let stranger = scratch.quicap("csr --name a --key stranger/node.key").ok();
    let sign = |options: &str| scratch.quicap_fed(&format!("ca sign --dir ca - {options}"), stranger.bytes());
    sign("").fails(1, "'a' has a live certificate with another key");
    sign("--replace --id 9").fails(1, "'a' has id 1 for good");
    assert!(sign("--replace").ok().err().contains("node 1 "));
    let other = scratch.quicap("csr --name e --key e/node.key").ok();
    scratch.quicap_fed("ca sign --dir ca - --id 2", other.bytes()).fails(1, "id 2 belongs to 'b'");
    scratch.quicap("ca revoke --dir ca a").ok();
    sign("").ok();
}

#[test]
fn revoking_takes_all_of_a_name_or_one_serial_and_the_list_number_grows() {
    let scratch = with_ca();
    join(&scratch, "office", "");
    let csr = scratch.quicap("csr --name office --key office/node.key").ok();
    let second =
        serial_of(&scratch.quicap_fed("ca sign --dir ca - --out second.crt", csr.bytes()).ok().err());
    scratch.quicap(&format!("ca revoke --dir ca {second}")).ok();
    scratch
        .quicap(&format!("ca revoke --dir ca {second}"))
        .fails(1, "neither a name with a live certificate nor");
    assert!(member(&scratch, "office").is_ok(), "the first is still good");
    scratch.quicap("ca revoke --dir ca office").ok();
    scratch.quicap("ca revoke --dir ca office").fails(1, "neither a name");
    let trust =
        Trust::from_pem("home", &scratch.read("ca/ca.crt"), Some(&scratch.read("ca/crl.pem"))).unwrap();
    assert_eq!((trust.crl_number(), trust.crls()[0].revoked().len()), (Some(3), 2));
    let identity =
        Identity::from_pem(&scratch.read("office/node.crt"), &scratch.read("office/node.key")).unwrap();
    let refusal = trust.judge(identity.chain(), now_unix_s(), true).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate was revoked");
    let list = scratch.quicap("ca list --dir ca").ok().out();
    assert_eq!(list.lines().filter(|line| line.contains(" revoked ")).count(), 2, "{list}");
    let json = scratch.quicap("ca list --dir ca --json").ok();
    let program = "import json,sys; d=json.load(sys.stdin); print(d['network'], d['crl']['number'], \
                   [(c['name'], c['id'], c['state']) for c in d['certificates']])";
    let read = scratch.run("python3", &["-c", program], &[], json.bytes()).ok().out();
    assert_eq!(read, "home 3 [('office', 1, 'revoked'), ('office', 1, 'revoked')]\n");
}

#[test]
fn a_key_is_rotated_without_a_gap() {
    let scratch = with_ca();
    join(&scratch, "office", "");
    let old = scratch.read("office/node.key");
    let csr = scratch.quicap("csr --name office --key office/node.key --new-key").ok();
    assert_eq!(scratch.read("office/node.key"), old);
    assert_eq!(mode(&scratch, "office/node.key.next"), 0o600);
    let bundle = scratch.quicap_fed("ca sign --dir ca --replace - --bundle -", csr.bytes()).ok();
    assert!(member(&scratch, "office").is_ok(), "until it is installed, the old one is in use");
    scratch.quicap_fed("install home - --dir office", bundle.bytes()).ok();
    assert!(!scratch.file("office/node.key.next").exists());
    assert_ne!(scratch.read("office/node.key"), old);
    assert_eq!(member(&scratch, "office").unwrap().id.value(), 1);
}

#[test]
fn a_ca_rolls_over_and_nothing_revoked_comes_back() {
    let scratch = with_ca();
    for name in ["a", "b", "thief"] {
        join(&scratch, name, "");
    }
    let stolen = scratch.read("thief/node.crt");
    scratch.quicap("ca revoke --dir ca thief").ok();
    scratch.quicap("ca init --dir new --network home").ok();
    for file in ["ca.crt", "crl.pem"] {
        let both = [scratch.read(&format!("new/{file}")), scratch.read(&format!("ca/{file}"))].concat();
        scratch.write(&format!("new/{file}"), &both);
        scratch.write(&format!("ca/{file}"), &both);
    }
    join(&scratch, "b", "");
    let csr = scratch.quicap("csr --name a --key a/node.key").ok();
    let bundle = scratch.quicap_fed("ca sign --dir new --id 1 - --bundle -", csr.bytes()).ok();
    scratch.quicap_fed("install home - --dir a", bundle.bytes()).ok();
    for (judge, judged) in [("a", "b"), ("b", "a")] {
        let file = |node: &str, file: &str| scratch.read(&format!("{node}/{file}"));
        let trust = Trust::from_pem("home", &file(judge, "ca.crt"), Some(&file(judge, "crl.pem"))).unwrap();
        assert_eq!((trust.anchors().len(), trust.crls().len()), (2, 2));
        let chain = |crt: &[u8], key: &str| Identity::from_pem(crt, &file(key, "node.key")).unwrap();
        assert!(trust.judge(chain(&file(judged, "node.crt"), judged).chain(), now_unix_s(), true).is_ok());
        let refusal = trust.judge(chain(&stolen, "thief").chain(), now_unix_s(), true).unwrap_err();
        assert_eq!(refusal.to_string(), "certificate was revoked");
    }
}

#[test]
fn an_older_bundle_does_not_bring_back_an_older_list() {
    let scratch = with_ca();
    let csr = scratch.quicap("csr --name a --key a/node.key").ok();
    let old = scratch.quicap_fed("ca sign --dir ca - --bundle -", csr.bytes()).ok();
    join(&scratch, "b", "");
    scratch.quicap("ca revoke --dir ca b").ok();
    join(&scratch, "a", "");
    let newest = scratch.read("a/crl.pem");
    scratch.quicap_fed("install home - --dir a", old.bytes()).ok();
    assert_eq!(scratch.read("a/crl.pem"), newest);
}

#[test]
fn a_ca_made_elsewhere_signs_and_keeps_what_it_revoked() {
    let root = OpensslCa::with("EC:P-256", "/CN=company", &[("CA:TRUE, pathlen:0", "CA:TRUE")]);
    for ca in [
        OpensslCa::with("ED25519", "/CN=quicap home", &[]),
        OpensslCa::with("EC:P-384", "/C=DE/O=Ex ample/CN=quicap home", &[]),
        OpensslCa::below(&root, "/C=DE/O=Example/CN=below", &[]),
    ] {
        let stolen = ca.identity(&NODE);
        ca.revoke_last();
        ca.crl();
        let csr = ca.scratch.quicap("csr --name attic --key attic/node.key").ok();
        let bundle = ca.scratch.quicap_fed("ca sign --dir . - --bundle -", csr.bytes()).ok();
        ca.scratch.quicap_fed("install home - --dir attic", bundle.bytes()).ok();
        assert_eq!(member(&ca.scratch, "attic").unwrap().name, "attic");
        ca.scratch.quicap("ca revoke --dir . attic").ok();
        let trust = Trust::from_pem("home", &ca.pem(), Some(&ca.scratch.read("crl.pem"))).unwrap();
        assert_eq!(
            trust.judge(stolen.chain(), now_unix_s(), true).unwrap_err().to_string(),
            "certificate was revoked"
        );
        assert_eq!(member(&ca.scratch, "attic").unwrap().name, "attic", "its own list is older");
        let installed = ca.scratch.read("crl.pem");
        ca.scratch.write("attic/crl.pem", installed);
        assert_eq!(member(&ca.scratch, "attic").unwrap_err(), "certificate was revoked");
    }
}

#[test]
fn a_ca_directory_that_does_not_fit_together_is_refused() {
    let (ca, other) = (OpensslCa::new(), OpensslCa::new());
    let csr = ca.scratch.quicap("csr --name a --key a/node.key").ok();
    let sign = || ca.scratch.quicap_fed("ca sign --dir . -", csr.bytes());
    let own = ca.pem();
    ca.scratch.write("ca.crt", other.pem());
    sign().fails(1, "no certificate in ca.crt belongs to ca.key");
    ca.scratch.write("ca.crt", [other.pem(), own].concat());
    sign().ok();
    for (key, words) in [("RSA", "unsupported key"), ("ED448", "unsupported key")] {
        ca.openssl(&format!("genpkey -algorithm {key} -out ca.key"), &[]);
        sign().fails(1, words);
    }
    let repeated = OpensslCa::with("EC:P-256", "/DC=org/DC=example/CN=x", &[]);
    repeated
        .scratch
        .quicap_fed("ca sign --dir . -", csr.bytes())
        .fails(1, "the CA's subject repeats an attribute");
    ca.scratch.write("index", "quicap-index 1\nnetwork home\ncrl x\n");
    ca.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key", &[]);
    ca.openssl(
        "req -new -x509 -config openssl.cnf -extensions ca_certificate -key ca.key -out ca.crt -subj|/CN=x",
        &[],
    );
    sign().fails(1, "./index:3: not a line of an index");
}

#[test]
fn the_network_of_a_nameless_ca_is_asked_for_or_taken_from_the_directory() {
    let net = ("subjectAltName = URI:quicap:net=$ENV::NETWORK\n", "");
    let ca = OpensslCa::with("EC:P-256", "/CN=x", &[net]);
    let csr = ca.scratch.quicap("csr --name a --key a/node.key").ok();
    ca.scratch.quicap_fed("ca sign --dir . -", csr.bytes()).fails(2, "--network");
    ca.scratch.quicap_fed("ca sign --dir . - --network home", csr.bytes()).ok();
    ca.scratch
        .quicap_fed("ca sign --dir . - --network work", csr.bytes())
        .fails(2, "of network 'home', not of 'work'");
    for file in ["ca.key", "ca.crt"] {
        ca.scratch.write(&format!("garden/{file}"), ca.scratch.read(file));
    }
    let run = ca.scratch.quicap_fed("ca sign --dir garden - --out a.crt", csr.bytes()).ok();
    assert!(run.err().contains("taking 'garden' for the network's name"));
}

#[test]
fn requests_of_openssl_are_signed_and_damaged_ones_refused() {
    let scratch = with_ca();
    let openssl = |words: &str| {
        scratch.run("openssl", &words.split(' ').collect::<Vec<_>>(), &[], b"").ok();
    };
    openssl("genpkey -algorithm ed25519 -out ed.key");
    openssl("req -new -key ed.key -subj /O=Ignored/CN=attic -out cn.csr");
    openssl(
        "req -new -key ed.key -subj /CN=ignored -addext subjectAltName=DNS:cellar,URI:quicap:gateway -out san.csr",
    );
    openssl("req -new -key ed.key -subj /CN=x -addext subjectAltName=DNS:a,DNS:b -out two.csr");
    openssl("req -new -newkey rsa:2048 -nodes -keyout rsa.key -subj /CN=x -out rsa.csr");
    openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout p384.key -subj /CN=x -out p384.csr",
    );
    assert!(scratch.quicap("ca sign --dir ca cn.csr --out cn.crt").ok().err().starts_with("attic: "));
    assert!(scratch.quicap("ca sign --dir ca san.csr --out san.crt").ok().err().starts_with("cellar: "));
    assert!(
        scratch.text("ca/index").lines().last().unwrap().ends_with(" -"),
        "no right comes from a request"
    );
    let mut damaged = scratch.text("cn.csr");
    let position = damaged.len() / 2;
    let other = if &damaged[position..=position] == "A" { "B" } else { "A" };
    damaged.replace_range(position..=position, other);
    scratch.write("damaged.csr", damaged);
    scratch.write("empty.csr", "");
    for (file, words) in [
        ("two.csr", "the request is for 'a b'"),
        ("rsa.csr", "unsupported key"),
        ("p384.csr", "unsupported key"),
        ("damaged.csr", "damaged.csr: "),
        ("empty.csr", "no '-----BEGIN CERTIFICATE REQUEST-----' block"),
        ("missing.csr", "missing.csr: no such file"),
        ("ca", "ca: is a directory"),
        ("ca/ca.key", "no '-----BEGIN CERTIFICATE REQUEST-----' block"),
        ("/dev/zero", "larger than 4 MiB"),
    ] {
        scratch.quicap(&format!("ca sign --dir ca {file}")).fails(1, words);
    }
    for words in ["sign --dir nowhere cn.csr", "list --dir nowhere", "revoke --dir nowhere office"] {
        scratch.quicap(&format!("ca {words}")).fails(1, "with 'quicap ca init'");
    }
}

#[test]
fn wrong_usage_ends_with_code_2_and_one_line() {
    let scratch = with_ca();
    scratch.quicap("csr --name a --key a.key --out a.csr").ok();
    for (words, expected) in [
        ("ca", "One of the following"),
        ("ca init --dir x", "--network"),
        ("ca init --dir x --network ho-me", "--network 'ho-me'"),
        ("ca init --dir x --network home --days 0", "--days 0"),
        ("ca init --dir x --network home --days 40000", "--days 40000"),
        ("ca sign --dir ca a.csr --id 0", "--id 0: expected 1 to 65279"),
        ("ca sign --dir ca a.csr --id 65280", "--id 65280"),
        ("ca sign --dir ca a.csr --days 0", "--days 0"),
        ("ca sign --dir ca a.csr --prefix 10.0.0.1/8", "--prefix 10.0.0.1/8"),
        ("ca sign --dir ca a.csr --mac ff:ff:ff:ff:ff:ff", "--mac ff:ff:ff:ff:ff:ff"),
        ("ca sign --dir ca", "csr"),
        ("csr --name Office --key k", "--name 'Office'"),
        ("csr --name a.b --key k", "--name 'a.b'"),
        ("csr --key k", "--name"),
        ("install ho/me a.csr", "network 'ho/me'"),
        ("frobnicate", "frobnicate"),
    ] {
        scratch.quicap(words).fails(2, expected);
    }
    assert!(!scratch.file("x").exists(), "nothing was made");
}

#[test]
fn install_checks_everything_before_it_writes() {
    let scratch = with_ca();
    join(&scratch, "office", "");
    scratch.quicap("csr --name office --key office/node.key --new-key").ok();
    let before = scratch.snapshot();
    let bundle_for = |scratch: &Scratch, sign: &str| {
        let csr = scratch.quicap("csr --name office --key office/node.key").ok();
        scratch
            .quicap_fed(&format!("ca sign --dir ca {sign} - --bundle -"), csr.bytes())
            .ok()
            .bytes()
            .to_vec()
    };
    let good = String::from_utf8(bundle_for(&scratch, "")).unwrap();
    let (certificate, rest) = good.split_once("-----END CERTIFICATE-----\n").unwrap();
    let certificate = format!("{certificate}-----END CERTIFICATE-----\n");
    let other = with_ca();
    let foreign = other.text("ca/ca.crt");
    let stranger = other.quicap("csr --name office --key office/node.key").ok();
    let not_ours = other.quicap_fed("ca sign --dir ca - --bundle -", stranger.bytes()).ok();
    let old_ca = OpensslCa::new();
    old_ca.scratch.write("node.csr", scratch.quicap("csr --name office --key office/node.key").ok().bytes());
    let environment = [("NAME", "office"), ("ID", "1")];
    old_ca.openssl(
        "ca -config openssl.cnf -batch -notext -in node.csr -out node.crt -startdate 20200101000000Z -enddate 20210101000000Z",
        &environment,
    );
    let expired = [old_ca.scratch.read("node.crt"), old_ca.pem()].concat();
    for (network, bundle, code, words) in [
        ("work", good.as_bytes(), 3, "certificate is for network 'home', not 'work'"),
        ("home", not_ours.bytes(), 1, "the certificate is for another key"),
        ("home", format!("{certificate}{foreign}").as_bytes(), 3, "certificate was issued by another CA"),
        ("home", certificate.as_bytes(), 1, "holds no certificate of the CA"),
        ("home", rest.as_bytes(), 1, "begins with a CA's certificate"),
        ("home", &expired, 3, "certificate expired on 2021-01-01"),
        ("home", b"hello", 1, "holds no '-----BEGIN CERTIFICATE-----' block"),
        ("home", &good.as_bytes()[..good.len() - 40], 1, "damaged PEM block"),
    ] {
        let files = |scratch: &Scratch| -> Vec<_> {
            let all = scratch.snapshot().into_iter();
            all.filter(|(path, _)| path.starts_with(scratch.file("office"))).collect()
        };
        let unchanged: Vec<_> =
            before.iter().filter(|(path, _)| path.starts_with(scratch.file("office"))).cloned().collect();
        scratch.quicap_fed(&format!("install {network} - --dir office"), bundle).fails(code, words);
        assert_eq!(files(&scratch), unchanged, "{words}");
    }
    scratch
        .quicap_fed("install home - --dir nowhere", good.as_bytes())
        .fails(1, "nowhere: no such directory");
    scratch.quicap_fed("install home - --dir office", good.as_bytes()).ok();
}

#[test]
fn many_signers_at_once_give_every_node_its_own_id() {
    let scratch = with_ca();
    let names: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
    std::thread::scope(|threads| {
        for name in &names {
            let scratch = &scratch;
            threads.spawn(move || join(scratch, name, ""));
        }
    });
    let mut ids: Vec<u16> = names.iter().map(|name| member(&scratch, name).unwrap().id.value()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>());
}

#[test]
fn an_existing_key_is_used_and_never_replaced() {
    let scratch = Scratch::new();
    let first = scratch.quicap("csr --name a --key deep/er/node.key --out a.csr").ok();
    let key = scratch.read("deep/er/node.key");
    assert_eq!(mode(&scratch, "deep"), 0o700);
    let second = scratch.quicap("csr --name a --key deep/er/node.key --out b.csr").ok();
    assert_eq!((scratch.read("deep/er/node.key"), first.err()), (key, second.err()));
    std::fs::set_permissions(scratch.file("deep/er/node.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let exposed = scratch.quicap("csr --name a --key deep/er/node.key --out b.csr").ok();
    assert!(exposed.err().contains("others can read this key"));
    scratch.write("bad.key", "no key");
    scratch.quicap("csr --name a --key bad.key").fails(1, "bad.key: holds no '-----BEGIN PRIVATE KEY-----'");
    assert_eq!(scratch.text("bad.key"), "no key");
}

#[test]
fn a_bundle_of_a_strange_ca_is_told_apart() {
    let scratch = with_ca();
    join(&scratch, "office", "");
    let csr = scratch.quicap("csr --name office --key office/node.key").ok();
    let install = |scratch: &Scratch, dir: &str| {
        let bundle = scratch.quicap_fed(&format!("ca sign --dir {dir} - --bundle -"), csr.bytes()).ok();
        scratch.quicap_fed("install home - --dir office", bundle.bytes()).ok().err()
    };
    assert!(!install(&scratch, "ca").contains("the CA changes"));
    scratch.quicap("ca init --dir other --network home").ok();
    assert!(install(&scratch, "other").contains("the CA changes"));
}
