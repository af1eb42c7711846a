//! A control group with a limit of memory, of version 1 or 2: a small router on a large machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// Goes when it is dropped; the processes in it must have ended.
pub struct Group {
    dir: PathBuf,
    version: u8,
}

impl Group {
    /// Fails with what this machine lacks for it.
    pub fn with_memory(bytes: u64) -> Result<Self, String> {
        let (root, version) = root()?;
        sweep(&root);
        let dir = root.join(format!("qt{}", process::id()));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let group = Self { dir, version };
        let file = if version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
        let path = group.dir.join(file);
        fs::write(&path, bytes.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(group)
    }

    /// A command that runs `line` in the group.
    pub fn wrap(&self, line: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/in_group.sh");
        format!("sh {} {} {line}", script.display(), self.dir.display())
    }

    /// The most memory that was ever in use, KiB: of the processes and of what the kernel kept for them; `None`: this
    /// kernel does not say.
    pub fn peak_kib(&self) -> Option<u64> {
        let file = if self.version == 1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
        Some(fs::read_to_string(self.dir.join(file)).ok()?.trim().parse::<u64>().ok()? / 1024)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Where groups with memory limits can be made.
fn root() -> Result<(PathBuf, u8), String> {
    let first = Path::new("/sys/fs/cgroup/memory");
    if first.join("memory.limit_in_bytes").exists() {
        return Ok((first.to_owned(), 1));
    }
    let second = Path::new("/sys/fs/cgroup");
    let children = second.join("cgroup.subtree_control");
    if !children.exists() {
        return Err("no control groups are mounted".to_owned());
    }
    fs::write(&children, "+memory").map_err(|error| format!("no control of memory: {error}"))?;
    Ok((second.to_owned(), 2))
}

/// Takes away what test runs that were killed have left.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let owner = name.strip_prefix("qt").and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
