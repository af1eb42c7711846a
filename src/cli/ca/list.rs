//! `quicap ca list`: who was signed, until when, what is revoked; a table for people or JSON.
//!
//! Reads only, takes no lock: the files are always whole.

use std::fmt::Write;
use std::path::Path;

use crate::cli::ca::List;
use crate::cli::ca::directory::{read_crls, read_index_file};
use crate::cli::{Failure, files, unix_now};
use crate::pki::crl::Crl;
use crate::pki::date::{Day, Moment};
use crate::pki::index::{Entry, Index};

pub fn run(args: &List) -> Result<(), Failure> {
    let path = Path::new(&args.dir);
    let index = read_index_file(path)?.ok_or_else(|| {
        Failure::runtime(format!(
            "{}: no index; make a CA with 'quicap ca init', or sign once",
            path.display()
        ))
    })?;
    let crls = read_crls(path)?;
    let crl = crls.first();
    let now = unix_now();
    let text = if args.json { json(&index, crl, now) } else { table(&index, crl, now) };
    files::write_standard(text.as_bytes())
}

fn table(index: &Index, crl: Option<&Crl>, now: u32) -> String {
    let mut text = format!("network {}", index.network);
    if let Some(due) = crl.and_then(|crl| crl.next_update) {
        let _ = write!(text, ", CRL {}, next on {}", index.crl_number, Day(due));
    }
    let width = index.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(4).max(4);
    let _ = writeln!(
        text,
        "\n{:width$}  {:>5}  {:10}  {:10}  {:32}  RIGHTS",
        "NAME", "ID", "STATE", "UNTIL", "SERIAL"
    );
    for entry in &index.entries {
        let (state, day) = match entry.revoked {
            Some(at) => ("revoked", at),
            None if entry.is_live(now) => ("valid", entry.not_after),
            None => ("expired", entry.not_after),
        };
        let Entry { name, id, serial, .. } = entry;
        let rights = entry.rights.join(" ").replace("quicap:", "");
        let day = Day(day).to_string();
        let line = format!(
            "{name:width$}  {:>5}  {state:10}  {day:10}  {:32}  {rights}",
            id.value(),
            serial.to_string()
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// All strings are of characters that JSON takes as they are: names, hexadecimal digits, dates, URIs we wrote.
fn json(index: &Index, crl: Option<&Crl>, now: u32) -> String {
    let next_update = crl.and_then(|crl| crl.next_update).map(Moment);
    let mut text = format!(
        "{{\"network\":\"{}\",\"crl\":{{\"number\":{},\"next_update\":{}}},\"certificates\":[",
        index.network,
        index.crl_number,
        quoted(next_update)
    );
    for (nth, entry) in index.entries.iter().enumerate() {
        let state = match entry.revoked {
            Some(_) => "revoked",
            None if entry.is_live(now) => "valid",
            None => "expired",
        };
        let rights: Vec<String> = entry.rights.iter().map(|right| format!("\"{right}\"")).collect();
        let _ = write!(
            text,
            "{}\n{{\"name\":\"{}\",\"id\":{},\"serial\":\"{}\",\"key\":\"{}\",\"not_before\":\"{}\",\
             \"not_after\":\"{}\",\"state\":\"{state}\",\"revoked\":{},\"rights\":[{}]}}",
            if nth == 0 { "" } else { "," },
            entry.name,
            entry.id,
            entry.serial,
            entry.fingerprint,
            Moment(entry.not_before),
            Moment(entry.not_after),
            quoted(entry.revoked.map(Moment)),
            rights.join(",")
        );
    }
    text + "]}\n"
}

fn quoted(moment: Option<Moment>) -> String {
    moment.map_or("null".to_owned(), |moment| format!("\"{moment}\""))
}
