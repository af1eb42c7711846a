//! The machine that tests run on: what it lacks for them, and what is left on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says that a test did not run; `make test` counts these lines.
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// Whether all programs are there; otherwise says so.
pub fn have(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !exists(program));
    if let Some(missing) = missing {
        skip(&format!("no program '{missing}'"));
    }
    missing.is_none()
}

/// The namespaces that exist now.
pub fn namespaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Why no test of this folder can run here.
pub fn obstacle() -> Option<String> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Some("not root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun".to_owned());
    }
    ["ip", "ping"].iter().find(|program| !exists(program)).map(|program| format!("no program '{program}'"))
}

pub fn exists(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/lib/frr";
    path.split(':').any(|dir| Path::new(dir).join(program).exists())
}

/// Takes away what test runs that were killed have left.
pub fn sweep() {
    for name in namespaces() {
        let owner = name.strip_prefix("qt").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            take_away(&name);
        }
    }
}

/// A namespace, and the processes in it.
pub fn take_away(namespace: &str) {
    let script = format!("ip netns pids {namespace} | xargs -r kill -KILL; ip netns delete {namespace}");
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
}
