//! What the daemon notices by itself: that the wall clock was set, that NTP has answered, and that certificate, key, CA or
//! CRL were replaced. Where the kernel cannot tell, SIGHUP still does. Read first: docs/certificates.md, "The clock".

#![allow(clippy::disallowed_methods, reason = "the daemon reads the clock and the files for the core")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::material::{self, Digest};
use super::{RUN_DIRECTORY, lists};
use crate::config::Network;
use crate::limits;
use crate::pki::timekeeper::Reading;
use crate::pki::verify::Trust;
use crate::sys::timer::Steps;
use crate::sys::watch::Watch;

/// Written by the hotplug script of NTP.
const CLOCK_TRUSTED: &str = "clock-trusted";

pub struct Notices {
    steps: Option<Steps>,
    watch: Option<Watch>,
    mark: PathBuf,
    synced: Option<u64>,
    /// When the mark is looked at again, where nobody tells of it.
    look: Instant,
    /// The files of the certificate have changed: since when, and when they have been quiet for long enough.
    changed: Option<(Instant, Instant)>,
    /// What stood in them when they were last taken or refused.
    digest: Vec<Digest>,
}

impl Notices {
    /// `digest`: what stood in the files before they were read.
    pub fn open(network: &Network, digest: Vec<Digest>, now: Instant) -> Self {
        let steps =
            Steps::new().inspect_err(|error| log::debug!("steps of the clock are not heard: {error}"));
        let mark = Path::new(RUN_DIRECTORY).join(CLOCK_TRUSTED);
        let mut notices = Self {
            steps: steps.ok(),
            watch: None,
            synced: synced(&mark),
            mark,
            look: now + limits::CLOCK_LOOK,
            changed: None,
            digest,
        };
        notices.watch(now, network);
        notices
    }

    /// The files of this network are about to be read.
    pub fn begin(&mut self, network: &Network) {
        self.digest = material::digest(network);
    }

    /// Watches the files that the configuration names now.
    pub fn watch(&mut self, now: Instant, network: &Network) {
        self.watch_files(network);
        // What has changed before they were watched was not heard.
        let changed = self.digest != material::digest(network);
        self.changed = changed.then(|| (now, now + limits::FILES_QUIET));
    }

    /// Whether all of them are watched; one whose directory is missing cannot be. NTP's mark is looked at anyway.
    fn watch_files(&mut self, network: &Network) -> bool {
        self.watch =
            Watch::new().inspect_err(|error| log::debug!("changed files are not heard: {error}")).ok();
        let Some(watch) = &mut self.watch else { return false };
        let mut all = true;
        let files = [&network.ca, &network.cert, &network.key, &network.crl].map(Path::new);
        for file in files.into_iter().chain([self.mark.as_path()]) {
            if let Err(error) = watch.add(file) {
                log::debug!("{}: changes are not heard: {error}", file.display());
                all &= file == self.mark;
            }
        }
        all
    }

    /// To be waited for: steps of the clock, and changes of files.
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [self.steps.as_ref().map(Steps::as_fd), self.watch.as_ref().map(Watch::as_fd)]
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.changed.map(|(_, due)| due)
    }

    /// One of the descriptors is ready.
    pub fn hear(&mut self, now: Instant) {
        if self.steps.as_ref().is_some_and(|steps| steps.clear().is_err()) {
            self.steps = None;
        }
        let (mut marked, mut changed) = (false, false);
        if let Some(watch) = &self.watch {
            watch.drain(|path| if path == self.mark { marked = true } else { changed = true });
        }
        if marked {
            self.look = now;
        }
        if changed {
            let since = self.changed.map_or(now, |(since, _)| since);
            let due = (now + limits::FILES_QUIET).min(since + limits::FILES_QUIET_MAX);
            self.changed = Some((since, due));
        }
    }

    /// Whether it is time to read the files of the certificate: they have changed, and now are quiet.
    pub fn files_are_due(&mut self, now: Instant, network: &Network) -> bool {
        if self.changed.is_none_or(|(_, due)| due > now) {
            return false;
        }
        // Their directory may be another one now, or have yet to come back.
        let all = self.watch_files(network);
        self.changed = (!all).then(|| (now, now + limits::CLOCK_LOOK));
        let digest = material::digest(network);
        let other = digest != self.digest;
        self.digest = digest;
        other
    }

    /// Brings the lists that other nodes told into the file, so that they count after a restart. What was written is not
    /// read again; what somebody else has put into the files meanwhile is. Tells whether the file has changed.
    ///
    /// # Errors
    /// One line: the file is damaged, would be too long, or cannot be written.
    pub fn keep_lists(&mut self, network: &Network, trust: &Trust) -> Result<bool, String> {
        let before = material::file_digest(&network.crl);
        let Some(written) = lists::write(&network.crl, trust)? else { return Ok(false) };
        if let Some(known) = self.digest.last_mut().filter(|known| **known == before) {
            *known = material::content_digest(written.mode, &written.bytes);
        }
        Ok(true)
    }

    /// What the clock shows. Costs a system call now and then.
    pub fn read_clock(&mut self, now: Instant) -> Reading {
        if now >= self.look {
            self.look = now + limits::CLOCK_LOOK;
            self.synced = synced(&self.mark);
        }
        Reading { unix: unix(), synced: self.synced }
    }
}

/// What the clock shows, for who reads it once.
pub fn read_clock() -> Reading {
    Reading { unix: unix(), synced: synced(&Path::new(RUN_DIRECTORY).join(CLOCK_TRUSTED)) }
}

/// Tells one state of the mark from another; `None`: it is not there.
fn synced(mark: &Path) -> Option<u64> {
    let found = std::fs::metadata(mark).ok()?;
    let mut hasher = DefaultHasher::new();
    (found.mtime(), found.mtime_nsec(), found.ino()).hash(&mut hasher);
    Some(hasher.finish())
}

/// A clock before 1970 counts as 1970.
fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::pki::bundle::crls_to_pem;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::generate_key;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quicap-notices-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn network(&self) -> Network {
            let file = |name: &str| self.0.join(name).display().to_string();
            let options =
                ["ca", "cert", "key", "crl"].map(|name| format!("\toption {name} '{}'\n", file(name)));
            let text = format!("config network 'home'\n\toption tap 'q'\n{}", options.concat());
            config::parse("test", text.as_bytes()).unwrap().networks.remove(0)
        }

        fn put(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_read_once_they_are_quiet_and_only_if_they_are_others() {
        let (directory, start) = (Directory::new("quiet"), Instant::now());
        let network = directory.network();
        directory.put("cert", "old");
        let mut notices = Notices::open(&network, material::digest(&network), start);
        assert_eq!(notices.next_timeout(), None);
        directory.put("cert", "new");
        notices.hear(start);
        let due = start + limits::FILES_QUIET;
        assert_eq!(notices.next_timeout(), Some(due));
        directory.put("key", "new");
        let later = start + limits::FILES_QUIET / 2;
        notices.hear(later);
        assert_eq!(notices.next_timeout(), Some(later + limits::FILES_QUIET));
        assert!(!notices.files_are_due(due, &network));
        assert!(notices.files_are_due(later + limits::FILES_QUIET, &network));
        assert_eq!(notices.next_timeout(), None);
        directory.put("key", "new");
        directory.put("other", "new");
        notices.hear(later);
        assert!(!notices.files_are_due(later + limits::FILES_QUIET, &network), "the same bytes");
    }

    #[test]
    fn files_of_a_directory_that_was_removed_are_read_when_another_takes_its_place() {
        let (parent, start) = (Directory::new("anew"), Instant::now());
        let directory = Directory(parent.0.join("home"));
        let make = || {
            std::fs::create_dir(&directory.0).unwrap();
            directory.put("cert", "the same");
        };
        make();
        let network = directory.network();
        let mut notices = Notices::open(&network, material::digest(&network), start);
        std::fs::remove_dir_all(&directory.0).unwrap();
        notices.hear(start);
        let due = start + limits::FILES_QUIET;
        assert!(notices.files_are_due(due, &network), "they are gone");
        assert_eq!(notices.next_timeout(), Some(due + limits::CLOCK_LOOK));
        make();
        assert!(notices.files_are_due(due + limits::CLOCK_LOOK, &network), "they are back");
        assert_eq!(notices.next_timeout(), None);
        directory.put("cert", "another");
        notices.hear(due);
        assert!(notices.next_timeout().is_some(), "the new directory is watched");
    }

    #[test]
    fn lists_of_other_nodes_are_kept_without_being_read_again() {
        let (directory, start) = (Directory::new("lists"), Instant::now());
        let network = directory.network();
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(0, 9000)).unwrap();
        let authority = Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap();
        let list = |number| authority.revoke(number, &[], 1000).unwrap();
        let trust = |number| {
            let trust = Trust::from_pem("home", ca.as_bytes(), None).unwrap();
            trust.with_crl(&list(number).der).unwrap().unwrap()
        };
        directory.put("cert", "certificate");
        let mut notices = Notices::open(&network, material::digest(&network), start);
        let due = start + limits::FILES_QUIET;
        let first = trust(1);
        assert_eq!(notices.keep_lists(&network, &first), Ok(true));
        notices.hear(start);
        assert_eq!(notices.next_timeout(), Some(due));
        assert!(!notices.files_are_due(due, &network), "we know what we wrote");
        assert_eq!(notices.keep_lists(&network, &first), Ok(false));
        // Somebody else writes to the same files, or to this one: that is read.
        directory.put("cert", "another");
        assert_eq!(notices.keep_lists(&network, &trust(2)), Ok(true));
        notices.hear(start);
        assert!(notices.files_are_due(due, &network));
        directory.put("crl", &crls_to_pem(&[list(4)]));
        assert_eq!(notices.keep_lists(&network, &trust(3)), Ok(false));
        notices.hear(start);
        assert!(notices.files_are_due(due, &network), "the newer one is taken over");
    }

    #[test]
    fn who_never_stops_writing_is_read_nonetheless() {
        let (directory, start) = (Directory::new("busy"), Instant::now());
        let network = directory.network();
        let mut notices = Notices::open(&network, material::digest(&network), start);
        for n in 0..100 {
            directory.put("crl", &n.to_string());
            notices.hear(start + n * limits::FILES_QUIET / 2);
        }
        assert_eq!(notices.next_timeout(), Some(start + limits::FILES_QUIET_MAX));
    }

    #[test]
    fn the_mark_of_ntp_is_seen_when_it_is_told_of_and_otherwise_now_and_then() {
        let (directory, start) = (Directory::new("mark"), Instant::now());
        let mut notices = Notices::open(&directory.network(), Vec::new(), start);
        assert!(notices.next_timeout().is_some(), "the files are others than those that were read");
        notices.mark = directory.0.join("clock-trusted");
        notices.watch(start, &directory.network());
        notices.synced = None;
        let mut marks = vec![notices.read_clock(start).synced];
        directory.put("clock-trusted", "");
        marks.push(notices.read_clock(start).synced);
        notices.hear(start);
        marks.push(notices.read_clock(start).synced);
        std::fs::remove_file(&notices.mark).unwrap();
        marks.push(notices.read_clock(start).synced);
        marks.push(notices.read_clock(start + limits::CLOCK_LOOK).synced);
        let seen: Vec<bool> = marks.iter().map(Option::is_some).collect();
        assert_eq!(seen, [false, false, true, true, false]);
    }
}
