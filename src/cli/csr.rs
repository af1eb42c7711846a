//! `quicap csr`: on a node, makes its key and a signing request. The key never leaves the node.

use std::path::Path;

use argh::FromArgs;

use crate::cli::{Failure, files};
use crate::pki::csr::{generate_key, key_fingerprint, make_request};
use crate::pki::verify::is_node_name;

/// make a key (unless it exists) and a signing request
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "csr")]
pub struct Csr {
    /// the node's name: 1 to 63 of a-z, 0-9 and '-', beginning with a letter
    #[argh(option)]
    pub name: String,
    /// file of the private key, made unless it exists (0600)
    #[argh(option)]
    pub key: String,
    /// file for the request; default: standard output
    #[argh(option)]
    pub out: Option<String>,
    /// use KEY.next instead, for a rotation: install puts it in place
    #[argh(switch)]
    pub new_key: bool,
}

/// Makes the request; the key's fingerprint goes to standard error, to be compared with what the CA prints.
pub fn run(args: &Csr) -> Result<(), Failure> {
    if !is_node_name(&args.name) {
        return Err(Failure::usage(format!(
            "--name '{}': expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter",
            args.name
        )));
    }
    let path = if args.new_key { format!("{}.next", args.key) } else { args.key.clone() };
    let key = key(Path::new(&path))?;
    let in_key = |fault| Failure::runtime(format!("{path}: {fault}"));
    let request = make_request(&args.name, &key).map_err(in_key)?;
    files::write(args.out.as_deref().unwrap_or(files::STANDARD), request.as_bytes(), files::PUBLIC)?;
    say!("{}: key {}", args.name, key_fingerprint(&key).map_err(in_key)?);
    Ok(())
}

/// The key in this file, made first if there is none.
fn key(path: &Path) -> Result<Vec<u8>, Failure> {
    if let Some(key) = files::read_if_there(path)? {
        if files::is_exposed(path) {
            say!("warning: {}: others can read this key; chmod 600 it", path.display());
        }
        return Ok(key);
    }
    files::create_directory(path.parent().unwrap_or(Path::new("")))?;
    let key = generate_key().map_err(Failure::runtime)?;
    files::create(path, key.as_bytes(), files::SECRET).map_err(|e| files::failure(path, &e))?;
    Ok(key.into_bytes())
}
