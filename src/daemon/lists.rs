//! `crl.pem` with the lists that other nodes told. Whoever puts a newer list there keeps it: of each CA the newest stays,
//! the file's or ours. Read first: docs/certificates.md, "Lists that walk".

use std::io::ErrorKind;
use std::path::Path;

use super::material::{self, Content};
use crate::cli::files;
use crate::pki::bundle::{crls_to_pem, merge_crls};
use crate::pki::crl::Crl;
use crate::pki::verify::Trust;

/// Writes the lists of `trust` to the file, whole or not at all, with the mode that it has. `None`: it has them already,
/// or newer ones. Never longer than what is read again; each list that came from another node is at most
/// [`CRL_MAX`](crate::limits::CRL_MAX) long, and only a CA can make one.
///
/// # Errors
/// One line: the file is damaged or half written (then it is left to whoever writes it), would be too long, or cannot be
/// written.
pub fn write(path: &str, trust: &Trust) -> Result<Option<Content>, String> {
    let complain = |complaint: String| format!("{path}: lists of other nodes are not kept: {complaint}");
    let found = match material::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Content { bytes: Vec::new(), mode: files::PUBLIC }
        }
        Err(error) => return Err(complain(error.to_string())),
    };
    let installed = Crl::all_from_pem(&found.bytes).map_err(|fault| complain(fault.to_string()))?;
    let merged = merge_crls(installed.clone(), trust.crls().to_vec(), trust.anchors());
    if is_same(&installed, &merged) {
        return Ok(None);
    }
    let bytes = crls_to_pem(&merged).into_bytes();
    if bytes.len() as u64 > material::MAX_BYTES {
        return Err(complain(format!("it would be {} bytes long", bytes.len())));
    }
    let mode = found.mode & 0o7777;
    match files::replace_as(Path::new(path), &bytes, mode) {
        Ok(()) => Ok(Some(Content { bytes, mode })),
        Err(error) => Err(complain(error.to_string())),
    }
}

/// In whatever order.
fn is_same(installed: &[Crl], merged: &[Crl]) -> bool {
    let holds = |lists: &[Crl], crl: &Crl| lists.iter().any(|own| own.der == crl.der);
    installed.iter().all(|crl| holds(merged, crl)) && merged.iter().all(|crl| holds(installed, crl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Serial;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::generate_key;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const NOW: u32 = 1_800_000_000;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quicap-lists-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn path(&self) -> String {
            self.0.join("crl.pem").display().to_string()
        }

        fn put(&self, lists: &[Crl]) {
            files::replace(Path::new(&self.path()), crls_to_pem(lists).as_bytes(), files::PUBLIC).unwrap();
        }

        fn numbers(&self) -> Vec<Option<u64>> {
            let lists = Crl::all_from_pem(&material::read(&self.path()).unwrap().bytes).unwrap();
            lists.iter().map(|crl| crl.number).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn authority() -> (Authority, Trust) {
        let (authority, ca) = authority_pem();
        (authority, Trust::from_pem("home", ca.as_bytes(), None).unwrap())
    }

    fn authority_pem() -> (Authority, String) {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, 10)).unwrap();
        (Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap(), ca)
    }

    fn list(ca: &Authority, number: u64) -> Crl {
        ca.revoke(number, &[(Serial::from_be_bytes(&[9]).unwrap(), NOW)], NOW).unwrap()
    }

    #[test]
    fn a_list_that_is_new_is_written_once_and_with_the_mode_that_the_file_has() {
        let (scratch, (ca, trust)) = (Scratch::new("new"), authority());
        let path = scratch.path();
        assert!(write(&path, &trust).unwrap().is_none() && !Path::new(&path).exists(), "no list, no file");
        let trust = trust.with_crl(&list(&ca, 1).der).unwrap().unwrap();
        assert_eq!(write(&path, &trust).unwrap().unwrap().mode, 0o644);
        assert!(write(&path, &trust).unwrap().is_none());
        fs::set_permissions(&path, Permissions::from_mode(0o662)).unwrap();
        let trust = trust.with_crl(&list(&ca, 2).der).unwrap().unwrap();
        assert!(write(&path, &trust).unwrap().is_some());
        assert_eq!((scratch.numbers(), material::read(&path).unwrap().mode & 0o7777), (vec![Some(2)], 0o662));
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_newer_in_the_file_stays_and_the_rest_is_added() {
        let (scratch, (a, of_a), (b, _)) = (Scratch::new("newer"), authority(), authority());
        let trust = of_a.with_crl(&list(&a, 5).der).unwrap().unwrap();
        scratch.put(&[list(&a, 6), list(&b, 1)]);
        assert!(write(&scratch.path(), &trust).unwrap().is_some(), "the list of a CA that is gone goes");
        assert_eq!(scratch.numbers(), [Some(6)]);
        assert!(write(&scratch.path(), &trust).unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_left_alone() {
        let (scratch, (ca, trust)) = (Scratch::new("damaged"), authority());
        let trust = trust.with_crl(&list(&ca, 1).der).unwrap().unwrap();
        let half = crls_to_pem(&[list(&ca, 2)]);
        files::replace(Path::new(&scratch.path()), &half.as_bytes()[..half.len() / 2], 0o644).unwrap();
        let before = material::read(&scratch.path()).unwrap().bytes;
        let error = write(&scratch.path(), &trust).err().unwrap();
        assert!(error.starts_with(&scratch.path()) && error.contains("damaged"), "{error}");
        assert_eq!(material::read(&scratch.path()).unwrap().bytes, before);
        fs::remove_file(scratch.path()).unwrap();
        fs::create_dir(scratch.path()).unwrap();
        assert!(write(&scratch.path(), &trust).err().unwrap().contains("not a regular file"));
    }

    #[test]
    fn no_file_becomes_longer_than_what_is_read_again() {
        let scratch = Scratch::new("long");
        let serial = |n: u32| (Serial::from_be_bytes(&n.to_be_bytes()).unwrap(), NOW);
        let many: Vec<_> = (1..7_000).map(serial).collect();
        let (a, first) = authority_pem();
        let (b, second) = authority_pem();
        let long = a.revoke(3, &many, NOW).unwrap();
        scratch.put(&[long]);
        let found = material::read(&scratch.path()).unwrap().bytes;
        let both = [first, second].concat();
        let trust = Trust::from_pem("home", both.as_bytes(), Some(&found)).unwrap();
        let other = b.revoke(1, &many, NOW).unwrap();
        assert!(trust.with_crl(&other.der).is_err(), "one that long is not even taken");
        let text = [found.clone(), crls_to_pem(&[other]).into_bytes()].concat();
        let trust = Trust::from_pem("home", both.as_bytes(), Some(&text)).unwrap();
        let error = write(&scratch.path(), &trust).err().unwrap();
        assert!(error.contains("bytes long"), "{error}");
        assert_eq!(material::read(&scratch.path()).unwrap().bytes, found);
    }
}
