//! CAs and nodes made by `openssl` from the configuration that the documentation shows, with deviations.

use quicap::pki::{Identity, Trust};

use crate::scratch::Scratch;

const CONFIG: &str = include_str!("../../examples/openssl.cnf");

#[test]
fn the_documentation_shows_the_configuration_that_is_tested_here() {
    assert!(include_str!("../../docs/certificates.md").contains(CONFIG.trim_end()));
}

/// A CA as the documentation makes it.
pub struct OpensslCa {
    pub scratch: Scratch,
}

/// What is different about one certificate; the default is a good one of the node "office", id 1.
#[derive(Clone)]
pub struct Node<'a> {
    pub name: &'a str,
    pub id: &'a str,
    /// Texts to replace in the configuration.
    pub edits: &'a [(&'a str, &'a str)],
    /// Lines to add to the node's names.
    pub names: &'a str,
    /// Further arguments for `openssl ca`.
    pub arguments: &'a [&'a str],
    /// Algorithm of the key: `EC:P-256` or `ED25519`.
    pub key: &'a str,
}

pub const NODE: Node<'static> =
    Node { name: "office", id: "1", edits: &[], names: "", arguments: &[], key: "EC:P-256" };

impl OpensslCa {
    pub fn new() -> Self {
        Self::with("EC:P-256", "/CN=quicap home", &[])
    }

    pub fn with(key: &str, subject: &str, edits: &[(&str, &str)]) -> Self {
        let ca = Self { scratch: Scratch::new() };
        ca.configure("openssl.cnf", edits, "");
        ca.scratch.write("index.txt", "");
        ca.scratch.write("crlnumber", "01\n");
        ca.make_key("ca.key", key);
        ca.openssl(&format!("req -new -x509 -config openssl.cnf -extensions ca_certificate -key ca.key -days 7300 -out ca.crt -subj|{subject}"), &[]);
        ca
    }

    /// A CA whose certificate another CA signed, with these deviations.
    pub fn below(parent: &Self, subject: &str, edits: &[(&str, &str)]) -> Self {
        let ca = Self::with("EC:P-256", subject, edits);
        ca.openssl(&format!("req -new -config openssl.cnf -key ca.key -out ca.csr -subj|{subject}"), &[]);
        let csr = ca.scratch.read("ca.csr");
        parent.scratch.write("below.csr", csr);
        parent.configure("below.cnf", edits, "");
        parent.openssl("ca -config below.cnf -extensions ca_certificate -policy any -batch -notext -days 3650 -in below.csr -out below.crt", &[]);
        ca.scratch.write("ca.crt", parent.scratch.read("below.crt"));
        ca
    }

    pub fn pem(&self) -> Vec<u8> {
        self.scratch.read("ca.crt")
    }

    /// Signs a certificate for this node: PEM of certificate and key.
    pub fn sign(&self, node: &Node<'_>) -> (Vec<u8>, Vec<u8>) {
        self.make_key("node.key", node.key);
        let environment = [("NAME", node.name), ("ID", node.id)];
        self.configure("node.cnf", node.edits, node.names);
        self.openssl("req -new -config node.cnf -key node.key -out node.csr -subj|/CN=office", &environment);
        let mut words =
            vec!["ca", "-config", "node.cnf", "-batch", "-notext", "-in", "node.csr", "-out", "node.crt"];
        words.extend(node.arguments);
        self.scratch.run("openssl", &words, &environment, b"").ok();
        (self.scratch.read("node.crt"), self.scratch.read("node.key"))
    }

    pub fn identity(&self, node: &Node<'_>) -> Identity {
        let (certificate, key) = self.sign(node);
        Identity::from_pem(&certificate, &key).unwrap()
    }

    /// Revokes the certificate signed last.
    pub fn revoke_last(&self) {
        self.openssl("ca -config openssl.cnf -revoke node.crt", &[]);
    }

    pub fn crl(&self) -> Vec<u8> {
        self.openssl("ca -config openssl.cnf -gencrl -out crl.pem", &[]);
        self.scratch.read("crl.pem")
    }

    pub fn trust(&self) -> Trust {
        Trust::from_pem("home", &self.pem(), None).unwrap()
    }

    /// Words are split at spaces; what follows `|` is one more word.
    pub fn openssl(&self, words: &str, environment: &[(&str, &str)]) {
        let (words, last) = words.split_once('|').map_or((words, None), |(words, last)| (words, Some(last)));
        let words: Vec<&str> = words.split_whitespace().chain(last).collect();
        self.scratch.run("openssl", &words, environment, b"").ok();
    }

    fn make_key(&self, file: &str, key: &str) {
        match key.split_once(':') {
            Some((algorithm, curve)) => self.openssl(
                &format!("genpkey -algorithm {algorithm} -pkeyopt ec_paramgen_curve:{curve} -out {file}"),
                &[],
            ),
            None => self.openssl(&format!("genpkey -algorithm {key} -out {file}"), &[]),
        }
    }

    fn configure(&self, file: &str, edits: &[(&str, &str)], names: &str) {
        let mut config = CONFIG.to_owned();
        for (from, to) in edits {
            assert!(config.contains(from), "nothing to replace: {from}");
            config = config.replace(from, to);
        }
        config = config.replace("[ node_names ]\n", &format!("[ node_names ]\n{names}\n"));
        config.push_str(
            "\n[ any ]\ncountryName = optional\norganizationName = optional\ncommonName = optional\n",
        );
        self.scratch.write(file, config);
    }
}
