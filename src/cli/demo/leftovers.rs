//! Takes away what demos left behind that were killed with `kill -9`: daemons, namespaces, directories.
//!
//! Everything of a demo carries its process id, and only that of processes that are no more is touched.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::lab::NAMESPACES;

const NAME: &str = "quicap-demo-";

/// What the namespaces of a demo begin with.
pub fn prefix_of(pid: u32) -> String {
    format!("{NAME}{pid}-")
}

pub fn directory_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{NAME}{pid}"))
}

/// Must run before this demo makes anything: what carries our own id is left from a process that had it before us.
pub fn sweep() {
    for namespace in names_in(Path::new(NAMESPACES)).filter(|name| is_left_over(name)) {
        end_processes(&namespace);
        delete_namespace(&namespace);
    }
    let temp = std::env::temp_dir();
    for dir in names_in(&temp).filter(|name| is_left_over(name)).map(|name| temp.join(name)) {
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == 0) {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// The namespace goes as soon as no process is in it.
pub fn delete_namespace(name: &str) {
    let _ = ip().args(["netns", "delete", name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn end_processes(namespace: &str) {
    let Ok(output) = ip().args(["netns", "pids", namespace]).stderr(Stdio::null()).output() else { return };
    for pid in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        let _ = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).stderr(Stdio::null()).status();
    }
}

fn is_left_over(name: &str) -> bool {
    owner_of(name)
        .is_some_and(|pid| pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists())
}

/// The process that made the namespace or directory of this name, if it was a demo.
fn owner_of(name: &str) -> Option<u32> {
    name.strip_prefix(NAME)?.split('-').next()?.parse().ok()
}

fn names_in(dir: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok())
}

fn ip() -> Command {
    Command::new("ip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_id_of_a_dead_process_is_left_over() {
        let me = std::process::id();
        let parent = std::os::unix::process::parent_id();
        for (name, left) in [
            (format!("{}router-a", prefix_of(me)), true),
            (format!("{}router-a", prefix_of(parent)), false),
            (prefix_of(u32::MAX), true),
            ("quicap-demo-x-router-a".to_owned(), false),
            ("quicap-demo".to_owned(), false),
            ("router-a".to_owned(), false),
        ] {
            assert_eq!(is_left_over(&name), left, "{name}");
        }
        assert_eq!(owner_of("quicap-demo-42"), Some(42));
    }
}
