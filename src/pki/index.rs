//! What a CA signed and revoked, as the text file `index` beside its key: one line for each certificate.
//!
//! Keeps node ids unique and with their names. Does no I/O; the order of writes that makes it crash-safe is in
//! cli/ca. Read first: docs/certificates.md, "The CA's directory".

use core::fmt;

use crate::pki::certificate::Serial;
use crate::pki::verify::is_node_name;
use crate::types::{Fingerprint, NodeId};

const HEADER: &str = "quicap-index 1";

/// All that was signed, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    pub network: String,
    /// Number of the last CRL; 0: none yet.
    pub crl_number: u64,
    pub entries: Vec<Entry>,
    /// Revoked by lists made elsewhere, without an entry here.
    pub orphans: Vec<(Serial, u32)>,
}

/// One certificate. Times are UNIX seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub serial: Serial,
    pub id: NodeId,
    pub name: String,
    pub fingerprint: Fingerprint,
    pub not_before: u32,
    pub not_after: u32,
    pub revoked: Option<u32>,
    /// Its `quicap:` URIs other than network and id.
    pub rights: Vec<String>,
}

/// Why a certificate may not be signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// The id belongs to another name.
    IdTaken { id: NodeId, name: String },
    /// The name already has another id.
    IdKept { name: String, id: NodeId },
    /// All 65279 ids are given away.
    NoIdLeft,
    /// The name has a live certificate with another key.
    OtherKey { name: String, fingerprint: Fingerprint },
}

impl Entry {
    /// Neither revoked nor expired.
    pub fn is_live(&self, now_unix_s: u32) -> bool {
        self.revoked.is_none() && now_unix_s <= self.not_after
    }
}

impl Index {
    pub fn new(network: &str) -> Self {
        Self { network: network.to_owned(), ..Self::default() }
    }

    /// Reads the file; an error is the number of the first line that is wrong.
    pub fn from_text(text: &str) -> Result<Self, usize> {
        let mut index = Self::default();
        let mut lines = (1_usize..).zip(text.lines());
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(1);
        }
        for (number, line) in lines {
            index.read_line(line).ok_or(number)?;
        }
        if index.network.is_empty() { Err(2) } else { Ok(index) }
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\nnetwork {}\ncrl {}\n", self.network, self.crl_number);
        for entry in &self.entries {
            text.push_str(&entry.to_line());
        }
        for (serial, at) in &self.orphans {
            text.push_str(&format!("revoked {serial} {at}\n"));
        }
        text
    }

    /// The id for a new certificate of this name: the one it always had, else the wanted one, else the next.
    pub fn choose_id(&self, name: &str, wanted: Option<NodeId>) -> Result<NodeId, Conflict> {
        if let Some(kept) = self.entries.iter().rev().find(|entry| entry.name == name) {
            return match wanted {
                Some(wanted) if wanted != kept.id => {
                    Err(Conflict::IdKept { name: name.to_owned(), id: kept.id })
                }
                _ => Ok(kept.id),
            };
        }
        match wanted {
            Some(id) => match self.entries.iter().find(|entry| entry.id == id) {
                Some(entry) => Err(Conflict::IdTaken { id, name: entry.name.clone() }),
                None => Ok(id),
            },
            None => self.next_id().ok_or(Conflict::NoIdLeft),
        }
    }

    /// Refuses a second key for a name whose certificate is live, unless it is to be replaced.
    pub fn check_key(&self, name: &str, key: Fingerprint, now_unix_s: u32) -> Result<(), Conflict> {
        match self.live(name, now_unix_s).find(|entry| entry.fingerprint != key) {
            Some(entry) => Err(Conflict::OtherKey { name: name.to_owned(), fingerprint: entry.fingerprint }),
            None => Ok(()),
        }
    }

    pub fn live<'a>(&'a self, name: &'a str, now_unix_s: u32) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.name == name && entry.is_live(now_unix_s))
    }

    /// Marks the live certificates of a name, or the one with this serial; says which.
    pub fn revoke(&mut self, name_or_serial: &str, now_unix_s: u32) -> Vec<Serial> {
        let serial = Serial::from_hex(name_or_serial);
        let is_name = self.entries.iter().any(|entry| entry.name == name_or_serial);
        let mut revoked = Vec::new();
        for entry in &mut self.entries {
            let is_meant = match is_name {
                true => entry.name == name_or_serial && entry.is_live(now_unix_s),
                false => Some(entry.serial) == serial && entry.revoked.is_none(),
            };
            if is_meant {
                entry.revoked = Some(now_unix_s);
                revoked.push(entry.serial);
            }
        }
        revoked
    }

    /// Everything that a CRL must list.
    pub fn revoked(&self) -> Vec<(Serial, u32)> {
        let entries = self.entries.iter().filter_map(|entry| Some((entry.serial, entry.revoked?)));
        entries.chain(self.orphans.iter().copied()).collect()
    }

    /// Takes over what a list revokes that this index does not know to be: nothing revoked may come back.
    pub fn adopt(&mut self, revoked: &[Serial], at: u32) {
        for serial in revoked {
            match self.entries.iter_mut().find(|entry| entry.serial == *serial) {
                Some(entry) => entry.revoked = entry.revoked.or(Some(at)),
                None if self.orphans.iter().any(|(orphan, _)| orphan == serial) => {}
                None => self.orphans.push((*serial, at)),
            }
        }
    }

    /// One above the highest, so that the ids of the past stay unused for as long as possible.
    fn next_id(&self) -> Option<NodeId> {
        let mut used: Vec<u16> = self.entries.iter().map(|entry| entry.id.value()).collect();
        used.sort_unstable();
        let above = used.last().copied().unwrap_or(0).checked_add(1).and_then(NodeId::new);
        above.or_else(|| {
            (1..=NodeId::MAX).filter_map(NodeId::new).find(|id| used.binary_search(&id.value()).is_err())
        })
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "network" => self.network = words.next()?.to_owned(),
            "crl" => self.crl_number = words.next()?.parse().ok()?,
            "cert" => {
                self.entries.push(Entry::from_words(&mut words)?);
                return Some(()); // rights take all the rest
            }
            "revoked" => {
                self.orphans.push((Serial::from_hex(words.next()?)?, words.next()?.parse().ok()?));
            }
            _ => return None,
        }
        words.next().is_none().then_some(())
    }
}

impl Entry {
    /// `cert SERIAL ID NAME KEY NOT_BEFORE NOT_AFTER REVOKED RIGHT...`
    fn to_line(&self) -> String {
        let revoked = self.revoked.map_or("-".to_owned(), |at| at.to_string());
        let Self { serial, id, name, fingerprint, not_before, not_after, .. } = self;
        let mut line = format!("cert {serial} {id} {name} {fingerprint} {not_before} {not_after} {revoked}");
        for right in &self.rights {
            line.push(' ');
            line.push_str(right);
        }
        line.push('\n');
        line
    }

    fn from_words<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            serial: Serial::from_hex(words.next()?)?,
            id: NodeId::new(words.next()?.parse().ok()?)?,
            name: words.next().filter(|name| is_node_name(name))?.to_owned(),
            fingerprint: read_fingerprint(words.next()?)?,
            not_before: words.next()?.parse().ok()?,
            not_after: words.next()?.parse().ok()?,
            revoked: match words.next()? {
                "-" => None,
                at => Some(at.parse().ok()?),
            },
            rights: words.map(str::to_owned).collect(),
        })
    }
}

fn read_fingerprint(hex: &str) -> Option<Fingerprint> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then_some(Fingerprint(number.to_be_bytes()))
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdTaken { id, name } => {
                write!(f, "id {id} belongs to '{name}'; leave --id out for a free one")
            }
            Self::IdKept { name, id } => write!(f, "'{name}' has id {id} for good; leave --id out"),
            Self::NoIdLeft => write!(f, "all {} node ids are given away; make a new CA", NodeId::MAX),
            Self::OtherKey { name, fingerprint } => write!(
                f,
                "'{name}' has a live certificate with another key ({fingerprint}); if this is a rotation of its \
                 key, repeat with --replace"
            ),
        }
    }
}

impl core::error::Error for Conflict {}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: u8, id: u16, name: &str, not_after: u32) -> Entry {
        Entry {
            serial: Serial::from_be_bytes(&[serial]).unwrap(),
            id: NodeId::new(id).unwrap(),
            name: name.to_owned(),
            fingerprint: Fingerprint([serial; 16]),
            not_before: 1,
            not_after,
            revoked: None,
            rights: Vec::new(),
        }
    }

    fn index(entries: &[Entry]) -> Index {
        Index { entries: entries.to_vec(), ..Index::new("home") }
    }

    #[test]
    fn the_text_gives_the_index_back() {
        let mut index = index(&[entry(1, 7, "a", 100), entry(0xAB, 65279, "b-2", u32::MAX)]);
        index.entries[0].revoked = Some(50);
        index.entries[1].rights = vec!["quicap:gateway".into(), "quicap:macs=4".into()];
        index.orphans.push((Serial::from_hex("ff00").unwrap(), 9));
        index.crl_number = u64::MAX;
        assert_eq!(Index::from_text(&index.to_text()), Ok(index));
    }

    #[test]
    fn a_damaged_index_names_its_line() {
        let good = index(&[entry(1, 7, "a", 100)]).to_text();
        for (from, to, line) in [
            ("quicap-index 1", "quicap-index 2", 1),
            ("network home\n", "", 2),
            ("crl 0", "crl x", 3),
            ("cert 01 7 a", "cert 01 0 a", 4),
            ("cert 01 7 a", "cert 01 7 A", 4),
            ("cert", "kert", 4),
            (" 100 -", " 100", 4),
        ] {
            assert_eq!(Index::from_text(&good.replace(from, to)), Err(line), "{from} -> {to}");
        }
    }

    #[test]
    fn ids_stay_with_their_names_and_are_given_once() {
        let index = index(&[entry(1, 1, "a", 100), entry(2, 9, "b", 100)]);
        let id = |n| NodeId::new(n).unwrap();
        for (name, wanted, expected) in [
            ("a", None, Ok(id(1))),
            ("a", Some(id(1)), Ok(id(1))),
            ("a", Some(id(2)), Err(Conflict::IdKept { name: "a".into(), id: id(1) })),
            ("c", None, Ok(id(10))),
            ("c", Some(id(3)), Ok(id(3))),
            ("c", Some(id(9)), Err(Conflict::IdTaken { id: id(9), name: "b".into() })),
        ] {
            assert_eq!(index.choose_id(name, wanted), expected, "{name} {wanted:?}");
        }
    }

    #[test]
    fn ids_below_the_highest_are_used_once_the_top_is_reached() {
        let mut full = index(&[entry(1, 1, "a", 1), entry(2, NodeId::MAX, "z", 1)]);
        assert_eq!(full.choose_id("c", None).map(NodeId::value), Ok(2));
        full.entries = (1..=NodeId::MAX).map(|id| entry(1, id, &format!("n{id}"), 1)).collect();
        assert_eq!(full.choose_id("c", None), Err(Conflict::NoIdLeft));
    }

    #[test]
    fn only_a_live_certificate_guards_its_name() {
        let index = index(&[entry(1, 1, "a", 100)]);
        let other = Fingerprint([9; 16]);
        assert!(index.check_key("a", Fingerprint([1; 16]), 100).is_ok());
        assert!(index.check_key("a", other, 100).is_err());
        assert!(index.check_key("a", other, 101).is_ok());
        assert!(index.check_key("b", other, 100).is_ok());
    }

    #[test]
    fn revoking_a_name_takes_the_live_ones_and_a_serial_takes_one() {
        let mut index = index(&[entry(1, 1, "a", 100), entry(2, 1, "a", 10), entry(0xBE, 2, "be", 100)]);
        assert_eq!(index.revoke("a", 50).len(), 1);
        assert_eq!(index.revoke("a", 50).len(), 0);
        assert_eq!(index.revoke("02", 50).len(), 1);
        assert_eq!(index.revoke("be", 50), [Serial::from_hex("BE").unwrap()]);
        assert_eq!(index.revoke("nobody", 50).len(), 0);
        assert_eq!(index.revoked().len(), 3);
    }

    #[test]
    fn what_a_list_revokes_is_never_forgotten() {
        let mut index = index(&[entry(1, 1, "a", 100)]);
        let serials = [Serial::from_hex("01").unwrap(), Serial::from_hex("99").unwrap()];
        index.adopt(&serials, 5);
        index.adopt(&serials, 6);
        assert_eq!(index.revoked(), [(serials[0], 5), (serials[1], 5)]);
    }
}
