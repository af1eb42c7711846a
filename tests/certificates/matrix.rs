//! The matrix: certificates that `openssl` made, good and bad, each in a real handshake, dialing and dialed; every
//! refusal has its own words, and both ends hear them.

use std::sync::Arc;

use quicap::pki::tls::{ALPN, Suites};
use quicap::pki::{Identity, Trust};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::handshake::{Outcome, Party, negotiated, nobody, now_unix_s, run, server, shake};
use crate::openssl::{NODE, Node, OpensslCa};

/// The node that everybody talks to.
fn home(ca: &OpensslCa) -> Identity {
    ca.identity(&Node { name: "home-router", id: "2", ..NODE })
}

/// Dials and is dialed with this identity; all four ends must say the same.
#[track_caller]
fn assert_refused(good: (&Identity, &Arc<Trust>), bad: (&Identity, &Arc<Trust>), reason: &str) {
    let (good, bad) = (Party::new(good.0, good.1), Party::new(bad.0, bad.1));
    let refused: Outcome = Err(reason.to_owned());
    assert_eq!(shake(&bad, &good, None), (refused.clone(), refused.clone()), "dialing");
    assert_eq!(shake(&good, &bad, None), (refused.clone(), refused), "dialed");
}

#[track_caller]
fn assert_accepted(a: (&Identity, &Arc<Trust>), b: (&Identity, &Arc<Trust>)) {
    let (a, b) = (Party::new(a.0, a.1), Party::new(b.0, b.1));
    for (dialing, dialed) in [(&a, &b), (&b, &a)] {
        let (client, server) = shake(dialing, dialed, None);
        assert_eq!(client, Ok(dialed.identity.chain().len()));
        assert_eq!(server, Ok(dialing.identity.chain().len()));
    }
}

#[test]
fn every_fault_in_a_node_certificate_is_refused_with_its_own_reason_at_both_ends() {
    let names_line = "DNS.1 = $ENV::NAME\n";
    let net_line = "URI.1 = quicap:net=$ENV::NETWORK\n";
    let id_line = "URI.2 = quicap:id=$ENV::ID\n";
    let usage = "extendedKeyUsage = serverAuth, clientAuth";
    let cases: &[(&str, Node<'_>)] = &[
        (
            "certificate expired on 2021-01-01",
            Node { arguments: &["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"], ..NODE },
        ),
        (
            "certificate is not valid before 2090-01-01",
            Node { arguments: &["-startdate", "20900101000000Z", "-enddate", "20950101000000Z"], ..NODE },
        ),
        (
            "certificate is for network 'other', not 'home'",
            Node { edits: &[("quicap:net=$ENV::NETWORK\nURI.2", "quicap:net=other\nURI.2")], ..NODE },
        ),
        ("certificate has no quicap:net", Node { edits: &[(net_line, "")], ..NODE }),
        ("certificate has two quicap:net", Node { names: "URI.9 = quicap:net=home", ..NODE }),
        ("certificate has no quicap:id", Node { edits: &[(id_line, "")], ..NODE }),
        ("certificate has quicap:id=0, expected 1 to 65279", Node { id: "0", ..NODE }),
        ("certificate has quicap:id=65280, expected 1 to 65279", Node { id: "65280", ..NODE }),
        ("certificate has quicap:id=x, expected 1 to 65279", Node { id: "x", ..NODE }),
        ("certificate has two quicap:id", Node { names: "URI.9 = quicap:id=3", ..NODE }),
        ("certificate has two names, expected one SAN dNSName", Node { names: "DNS.9 = second", ..NODE }),
        ("certificate has no name (SAN dNSName)", Node { edits: &[(names_line, "")], ..NODE }),
        ("certificate has the wildcard name '*'", Node { name: "*", ..NODE }),
        (
            "certificate has the name 'Office', expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter",
            Node { name: "Office", ..NODE },
        ),
        (
            "certificate has the name 'a.b', expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter",
            Node { name: "a.b", ..NODE },
        ),
        ("certificate has the unknown right quicap:foo", Node { names: "URI.9 = quicap:foo", ..NODE }),
        ("certificate has the unknown right QUICAP:exit", Node { names: "URI.9 = QUICAP:exit", ..NODE }),
        (
            "certificate has the malformed right quicap:prefix=10.0.0.1/8",
            Node { names: "URI.9 = quicap:prefix=10.0.0.1/8", ..NODE },
        ),
        (
            "certificate repeats the right quicap:macs=2",
            Node { names: "URI.8 = quicap:macs=1\nURI.9 = quicap:macs=2", ..NODE },
        ),
        (
            "a CA certificate is no node certificate",
            Node { edits: &[("critical, CA:FALSE", "critical, CA:TRUE")], ..NODE },
        ),
        (
            "certificate lacks the extended key usage serverAuth",
            Node { edits: &[(usage, "extendedKeyUsage = clientAuth")], ..NODE },
        ),
        (
            "certificate lacks the extended key usage clientAuth",
            Node { edits: &[(usage, "extendedKeyUsage = serverAuth")], ..NODE },
        ),
        ("certificate lacks the extended key usage serverAuth", Node { edits: &[(usage, "")], ..NODE }),
        (
            "certificate lacks the key usage digitalSignature",
            Node { edits: &[("critical, digitalSignature", "critical, keyAgreement")], ..NODE },
        ),
        (
            "certificate lacks the key usage digitalSignature",
            Node { edits: &[("keyUsage = critical, digitalSignature", "")], ..NODE },
        ),
        (
            "certificate has an unknown critical extension",
            Node {
                edits: &[(usage, "extendedKeyUsage = serverAuth, clientAuth\n1.2.3.4 = critical, DER:0500")],
                ..NODE
            },
        ),
    ];
    let ca = OpensslCa::new();
    let trust = Arc::new(ca.trust());
    let home = home(&ca);
    let key = Node { key: "EC:P-384", ..NODE };
    let unsupported = ("certificate has an unsupported key, expected ECDSA P-256 or Ed25519", key);
    for (reason, node) in cases.iter().chain([&unsupported]) {
        println!("{reason}");
        assert_refused((&home, &trust), (&ca.identity(node), &trust), reason);
    }
}

#[test]
fn good_certificates_of_every_kind_are_accepted() {
    let cases: &[(&str, Node<'_>)] = &[
        ("plain", NODE),
        ("Ed25519", Node { key: "ED25519", ..NODE }),
        ("highest id", Node { id: "65279", ..NODE }),
        ("unused right", Node { names: "URI.9 = quicap:x-color=red", ..NODE }),
        (
            "other names",
            Node { names: "URI.9 = https://example.org/\nIP.1 = 192.0.2.1\nemail.1 = a@b.c", ..NODE },
        ),
        (
            "all rights",
            Node {
                names: "URI.3 = quicap:prefix=10.0.0.0/8\nURI.4 = quicap:prefix=2001:db8::/32\nURI.5 = quicap:gateway\n\
                        URI.6 = quicap:macs=9\nURI.7 = quicap:mac=02:00:00:00:00:01\nURI.8 = quicap:notransit\n\
                        URI.9 = quicap:l2=no\nURI.10 = quicap:issuer\nURI.11 = quicap:vlan=7\nURI.12 = quicap:exit",
                ..NODE
            },
        ),
    ];
    let ca = OpensslCa::new();
    let trust = Arc::new(ca.trust());
    let home = home(&ca);
    for (what, node) in cases {
        println!("{what}");
        assert_accepted((&home, &trust), (&ca.identity(node), &trust));
    }
}

#[test]
fn cas_with_other_keys_are_accepted() {
    for key in ["ED25519", "EC:P-384"] {
        let ca = OpensslCa::with(key, "/C=DE/O=Example/CN=quicap home", &[]);
        let trust = Arc::new(Trust::from_pem("home", &ca.pem(), Some(&ca.crl())).unwrap());
        assert_accepted((&home(&ca), &trust), (&ca.identity(&NODE), &trust));
    }
}

#[test]
fn a_stranger_is_refused_whatever_it_brings() {
    let (ca, other) = (OpensslCa::new(), OpensslCa::with("EC:P-256", "/CN=another", &[]));
    let namesake = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let gullible =
        Arc::new(Trust::from_pem("home", &[ca.pem(), other.pem(), namesake.pem()].concat(), None).unwrap());
    for stranger in [&other, &namesake] {
        let identity = stranger.identity(&NODE);
        assert_refused((&home, &trust), (&identity, &gullible), "certificate was issued by another CA");
    }
    let (_, key) = ca.sign(&NODE);
    ca.openssl("req -new -x509 -config node.cnf -extensions node_certificate -key node.key -out self.crt -subj|/CN=office", &[]);
    let itself = Identity::from_pem(&ca.scratch.read("self.crt"), &key).unwrap();
    let reason = "certificate is self-signed, not issued by the network's CA";
    assert_refused((&home, &trust), (&itself, &trust), reason);
}

#[test]
fn a_certificate_with_one_bit_of_its_signature_changed_is_refused() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let (certificate, key) = ca.sign(&NODE);
    let mut der = CertificateDer::from_pem_slice(&certificate).unwrap().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let forged = quicap::pki::text::pem("CERTIFICATE", &der);
    let forged = Identity::from_pem(forged.as_bytes(), &key).unwrap();
    assert_refused((&home, &trust), (&forged, &trust), "certificate has a wrong signature");
}

#[test]
fn a_node_without_certificate_is_refused() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let (outcome, other) = run(nobody(ALPN), server(&Party::new(&home, &trust)));
    let refused: Outcome = Err("no certificate was presented".to_owned());
    assert_eq!((outcome, other), (refused.clone(), refused));
}

#[test]
fn the_wrong_peer_is_refused_though_it_is_a_member() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let office = ca.identity(&NODE);
    let (home, office) = (Party::new(&home, &trust), Party::new(&office, &trust));
    let refused: Outcome = Err("name is 'office', expected 'attic'".to_owned());
    assert_eq!(shake(&home, &office, Some("attic")), (refused.clone(), refused));
    assert_eq!(shake(&home, &office, Some("office")), (Ok(1), Ok(1)));
}

#[test]
fn a_revoked_node_stays_out_however_often_it_comes_back() {
    let ca = OpensslCa::new();
    let home = home(&ca);
    let office = ca.identity(&NODE);
    let trust = Arc::new(ca.trust());
    assert_accepted((&home, &trust), (&office, &trust));
    ca.revoke_last();
    let informed = Arc::new(Trust::from_pem("home", &ca.pem(), Some(&ca.crl())).unwrap());
    for _ in 0..3 {
        assert_refused((&home, &informed), (&office, &trust), "certificate was revoked");
    }
    let renewed = ca.identity(&Node { key: "ED25519", ..NODE });
    assert_accepted((&home, &informed), (&renewed, &trust));
}

#[test]
fn intermediates_are_followed_and_held_to_their_limits() {
    let open = [("CA:TRUE, pathlen:0", "CA:TRUE")];
    let root = OpensslCa::with("EC:P-256", "/CN=root", &open);
    let strict = OpensslCa::with("EC:P-256", "/CN=strict root", &[]);
    let both = [root.pem(), strict.pem()].concat();
    let trust = Arc::new(Trust::from_pem("home", &both, None).unwrap());
    let home = home(&root);
    let with = |parent: &OpensslCa, edits: &[(&str, &str)]| {
        let ca = OpensslCa::below(parent, "/CN=intermediate", edits);
        let (certificate, key) = ca.sign(&NODE);
        Identity::from_pem(&[certificate, ca.pem()].concat(), &key).unwrap()
    };
    assert_accepted((&home, &trust), (&with(&root, &[]), &trust));
    let cert_sign = [("critical, keyCertSign, cRLSign", "critical, cRLSign")];
    let not_ca = [("critical, CA:TRUE, pathlen:0", "critical, CA:FALSE")];
    let purpose = [("keyCertSign, cRLSign\n", "keyCertSign, cRLSign\nextendedKeyUsage = clientAuth\n")];
    for (parent, edits, reason) in [
        (&strict, &open[..0], "certificate has more intermediate CAs than its CA allows (pathlen)"),
        (&root, &cert_sign, "certificate was issued by a CA that lacks keyCertSign"),
        (&root, &not_ca, "certificate was issued by a certificate that is no CA"),
        (&root, &purpose, "certificate was issued by a CA limited to other purposes"),
    ] {
        println!("{reason}");
        assert_refused((&home, &trust), (&with(parent, edits), &trust), reason);
    }
    let ca = OpensslCa::below(&root, "/CN=intermediate", &[]);
    let alone = ca.identity(&NODE);
    assert_refused((&home, &trust), (&alone, &trust), "certificate was issued by another CA");
    let deep = OpensslCa::below(&ca, "/CN=deep", &[]);
    let (certificate, key) = deep.sign(&NODE);
    let chain = [certificate, deep.pem(), ca.pem()].concat();
    let identity = Identity::from_pem(&chain, &key).unwrap();
    let reason = "certificate has more intermediate CAs than its CA allows (pathlen)";
    assert_refused((&home, &trust), (&identity, &trust), reason);
}

#[test]
fn lists_of_intermediates_and_of_their_ca_count() {
    let root = OpensslCa::with("EC:P-256", "/CN=root", &[("CA:TRUE, pathlen:0", "CA:TRUE")]);
    let home = home(&root);
    let ca = OpensslCa::below(&root, "/CN=intermediate", &[]);
    let (certificate, key) = ca.sign(&NODE);
    let node = Identity::from_pem(&[certificate, ca.pem()].concat(), &key).unwrap();
    let trust = Arc::new(root.trust());
    ca.revoke_last();
    let informed = Arc::new(Trust::from_pem("home", &root.pem(), Some(&ca.crl())).unwrap());
    assert_refused((&home, &informed), (&node, &trust), "certificate was revoked");
    assert!(informed.warnings(now_unix_s())[0].contains("not in ca.crt"));

    let (certificate, key) = ca.sign(&NODE);
    let node = Identity::from_pem(&[certificate, ca.pem()].concat(), &key).unwrap();
    root.openssl("ca -config openssl.cnf -revoke below.crt", &[]);
    let lists = [ca.crl(), root.crl()].concat();
    let informed = Arc::new(Trust::from_pem("home", &root.pem(), Some(&lists)).unwrap());
    assert_refused((&home, &informed), (&node, &trust), "certificate of the intermediate CA was revoked");
}

#[test]
fn a_ca_that_another_ca_issued_can_be_the_anchor() {
    let root = OpensslCa::with("EC:P-256", "/CN=company", &[("CA:TRUE, pathlen:0", "CA:TRUE")]);
    let ca = OpensslCa::below(&root, "/C=DE/O=Example/CN=quicap home", &[]);
    let trust = Arc::new(ca.trust());
    let home = home(&ca);
    assert_accepted((&home, &trust), (&ca.identity(&NODE), &trust));
    let sibling = OpensslCa::below(&root, "/CN=mail", &[]);
    let (certificate, key) = sibling.sign(&NODE);
    let chain = [certificate, sibling.pem(), root.pem()].concat();
    let stranger = Identity::from_pem(&chain, &key).unwrap();
    let gullible = Arc::new(Trust::from_pem("home", &[root.pem(), ca.pem()].concat(), None).unwrap());
    assert_refused((&home, &trust), (&stranger, &gullible), "certificate was issued by another CA");
}

#[test]
fn during_a_rollover_both_cas_count_and_afterwards_one() {
    for subject in ["/CN=quicap home 2", "/CN=quicap home"] {
        let (old, new) = (OpensslCa::new(), OpensslCa::with("EC:P-256", subject, &[]));
        let lists = [old.crl(), new.crl()].concat();
        let both = [old.pem(), new.pem()].concat();
        let both = Arc::new(Trust::from_pem("home", &both, Some(&lists)).unwrap());
        let (home, office) = (home(&old), new.identity(&NODE));
        assert_accepted((&home, &both), (&office, &both));
        let after = Arc::new(new.trust());
        assert_refused((&office, &after), (&home, &both), "certificate was issued by another CA");
    }
}

#[test]
fn an_expired_ca_is_refused_and_its_renewal_with_the_same_key_accepted() {
    let ca = OpensslCa::new();
    let home = home(&ca);
    ca.openssl("req -new -config openssl.cnf -key ca.key -out ca.csr -subj|/CN=quicap home", &[]);
    ca.openssl(
        "ca -config openssl.cnf -selfsign -extensions ca_certificate -batch -notext -in ca.csr -out old.crt \
         -startdate 20200101000000Z -enddate 20210101000000Z",
        &[],
    );
    let old = ca.scratch.read("old.crt");
    let expired = Arc::new(Trust::from_pem("home", &old, None).unwrap());
    let reason = "certificate of the CA expired on 2021-01-01";
    assert_refused((&home, &expired), (&ca.identity(&NODE), &Arc::new(ca.trust())), reason);
    assert!(expired.warnings(now_unix_s())[0].contains("expired on 2021-01-01"));
    let both = Arc::new(Trust::from_pem("home", &[old, ca.pem()].concat(), None).unwrap());
    assert_accepted((&home, &both), (&ca.identity(&NODE), &both));
}

#[test]
fn an_untrusted_clock_is_a_lower_bound() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let office = ca.identity(&NODE);
    let party = |clock| Party { clock, ..Party::new(&home, &trust) };
    let peer = Party::new(&office, &trust);
    assert_eq!(shake(&party((1000, false)), &peer, None), (Ok(1), Ok(1)));
    let (early, _) = shake(&party((1000, true)), &peer, None);
    assert!(early.unwrap_err().contains("is not valid before"));
    let later = now_unix_s() + 1096 * 86_400;
    let (late, _) = shake(&party((later, false)), &peer, None);
    assert!(
        late.unwrap_err().starts_with("certificate expired on "),
        "an expiry before the lower bound counts"
    );
    ca.revoke_last();
    let informed = Arc::new(Trust::from_pem("home", &ca.pem(), Some(&ca.crl())).unwrap());
    let (revoked, _) = shake(&Party { trust: &informed, ..party((1000, false)) }, &peer, None);
    assert_eq!(revoked, Err("certificate was revoked".to_owned()));
}

#[test]
fn an_overdue_list_still_counts_and_only_warns() {
    let ca = OpensslCa::new();
    let office = ca.identity(&NODE);
    ca.revoke_last();
    ca.openssl("ca -config openssl.cnf -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20210101000000Z -out crl.pem", &[]);
    let trust = Arc::new(Trust::from_pem("home", &ca.pem(), Some(&ca.scratch.read("crl.pem"))).unwrap());
    assert_eq!(trust.warnings(now_unix_s()), ["CRL: a new one was due on 2021-01-01; still used"]);
    assert_refused((&home(&ca), &trust), (&office, &Arc::new(ca.trust())), "certificate was revoked");
    assert_eq!(trust.crl_number(), Some(1));
}

#[test]
fn the_files_of_a_node_are_refused_with_the_reason() {
    let (ca, other) = (OpensslCa::new(), OpensslCa::new());
    let (certificate, key) = ca.sign(&NODE);
    let trust = |ca: &[u8], crl: &[u8]| Trust::from_pem("home", ca, Some(crl)).err().map(|e| e.to_string());
    let lacking = OpensslCa::with("EC:P-256", "/CN=x", &[("keyCertSign, cRLSign", "cRLSign")]);
    let no_list = OpensslCa::with("EC:P-256", "/CN=x", &[("keyCertSign, cRLSign", "keyCertSign")]);
    let mut damaged = ca.pem();
    damaged[100] = b'!';
    for (found, words) in [
        (trust(b"", b""), "holds no '-----BEGIN CERTIFICATE-----' block"),
        (trust(&damaged, b""), "damaged PEM block"),
        (trust(&certificate, b""), "certificate 1 cannot be a trust anchor: it lacks CA:TRUE"),
        (
            trust(&[ca.pem(), lacking.pem()].concat(), b""),
            "certificate 2 cannot be a trust anchor: it lacks keyCertSign",
        ),
        (trust(&ca.pem(), b"garbage"), "holds no '-----BEGIN X509 CRL-----' block"),
        (trust(&ca.pem(), &other.crl()), "CRL 1 was not signed by the CA it names"),
        (trust(&no_list.pem(), &no_list.crl()), "CRL 1 was signed by a CA without cRLSign"),
    ] {
        assert!(found.as_deref().is_some_and(|text| text.contains(words)), "{found:?}: {words}");
    }
    let identity = |crt: &[u8], key: &[u8]| Identity::from_pem(crt, key).err().map(|e| e.to_string());
    ca.openssl("pkcs8 -topk8 -in node.key -out secret.key -passout|pass:secret", &[]);
    ca.openssl("genpkey -algorithm RSA -out rsa.key", &[]);
    ca.openssl("ec -in node.key -out sec1.key", &[]);
    let file = |name: &str| ca.scratch.read(name);
    for (found, words) in [
        (identity(&certificate, &other.sign(&NODE).1), "the key does not belong to the certificate"),
        (identity(&certificate, b""), "holds no '-----BEGIN PRIVATE KEY-----' block"),
        (identity(&certificate, &file("secret.key")), "the key is encrypted"),
        (identity(&certificate, &file("rsa.key")), "unsupported key"),
        (identity(&key, &key), "holds no '-----BEGIN CERTIFICATE-----' block"),
    ] {
        assert!(found.as_deref().is_some_and(|text| text.contains(words)), "{found:?}: {words}");
    }
    let sec1 = Identity::from_pem(&certificate, &file("sec1.key"));
    let member =
        ca.trust().judge(&[CertificateDer::from_pem_slice(&certificate).unwrap()], now_unix_s(), true);
    let signature = sec1.unwrap().sign(b"message").expect("SEC1, as 'openssl ec' writes it, is read too");
    assert!(member.unwrap().key.verify(b"message", &signature));
    assert_eq!(
        identity(&certificate.repeat(9), &key).unwrap().split(' ').next(),
        Some("more"),
        "a long chain"
    );
}

#[test]
fn damaged_certificates_and_lists_never_panic() {
    let ca = OpensslCa::new();
    let trust = ca.trust();
    let good = CertificateDer::from_pem_slice(&ca.sign(&NODE).0).unwrap().to_vec();
    let list = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(&ca.crl()).unwrap().to_vec();
    let now = now_unix_s();
    assert!(trust.judge(&[good.clone().into()], now, true).is_ok());
    for position in 0..good.len() {
        for bits in [0x01, 0x20, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[position] ^= bits;
            assert!(trust.judge(&[bad.into()], now, true).is_err(), "byte {position} ^ {bits:#x}");
        }
        assert!(trust.judge(&[good[..position].to_vec().into()], now, true).is_err());
    }
    let anchor = &trust.anchors()[0];
    for position in 0..list.len() {
        let mut bad = list.clone();
        bad[position] ^= 0x11;
        let read = quicap::pki::crl::Crl::from_der(&bad);
        assert!(!read.is_some_and(|crl| crl.is_from(anchor)), "byte {position}");
    }
}

#[test]
fn chacha_is_used_where_either_side_lacks_aes() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let office = ca.identity(&NODE);
    for (dialing, dialed) in [
        (Suites::AesFirst, Suites::AesFirst),
        (Suites::AesFirst, Suites::ChachaFirst),
        (Suites::ChachaFirst, Suites::AesFirst),
        (Suites::ChachaFirst, Suites::ChachaFirst),
    ] {
        let expected = if dialing == dialed { dialing } else { Suites::ChachaFirst };
        let client = Party { suites: dialing, ..Party::new(&office, &trust) };
        let server = Party { suites: dialed, ..Party::new(&home, &trust) };
        assert_eq!(shake(&client, &server, None), (Ok(1), Ok(1)));
        assert_eq!(negotiated(&client, &server), expected, "{dialing:?} dials {dialed:?}");
    }
}

#[test]
fn another_protocol_is_refused() {
    let ca = OpensslCa::new();
    let (trust, home) = (Arc::new(ca.trust()), home(&ca));
    let (client, server) = run(nobody(b"h3"), server(&Party::new(&home, &trust)));
    assert_eq!(client.unwrap_err(), server.unwrap_err());
}
