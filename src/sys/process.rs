//! What the daemon asks about its own process and CPU.

/// Memory of this process that is in RAM, KiB; 0 where `/proc` is not mounted.
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub fn rss_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    // SAFETY: takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page).unwrap_or(0) / 1024
}

/// Memory that there is for this process, KiB: that of the machine, or less in a container or another control group with
/// a limit. `None` where `/proc` is not mounted.
#[allow(clippy::disallowed_methods, reason = "files of the kernel")]
pub fn total_kib() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // No limit is a word in version 2, and a huge number in version 1.
    let limit = |file: &String| Some(std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()? / 1024);
    Some(limit_files(&groups).iter().filter_map(limit).fold(machine, u64::min))
}

/// Where the limits of the groups in `/proc/self/cgroup` are, if they are mounted where they are by custom: those of
/// the group and of all above it. In a container the way to its group may begin inside of it or outside; the root of
/// what is mounted is the group itself then.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let ancestors = std::path::Path::new(group.trim_start_matches('/')).ancestors();
        files.extend(ancestors.map(|group| format!("{mount}/{}", group.join(file).display())));
    }
    files
}

/// Whether the CPU has instructions for AES and for GCM's multiplication, so that AES-GCM is the cheapest suite.
pub fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_the_process_is_less_than_that_of_the_machine_and_grows_with_use() {
        let before = rss_kib();
        let total = total_kib().unwrap();
        assert!(before > 100 && before < total, "{before} KiB of {total}");
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(rss_kib() > before + 32 * 1024);
        drop(block);
    }

    #[test]
    fn limits_of_memory_are_looked_for_in_the_group_and_all_above_it_in_both_versions() {
        let groups =
            "9:name=systemd:/\n4:cpu,memory:/docker/1f\n1:memoryless:/x\n0::/user.slice/a.scope\nnonsense\n";
        let expected = [
            "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user.slice/a.scope/memory.max",
            "/sys/fs/cgroup/user.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limit_files(groups), expected);
        assert_eq!(limit_files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(limit_files(""), [""; 0]);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
    fn aes_is_what_the_kernel_says() {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let words = || cpuinfo.split_ascii_whitespace();
        if cfg!(target_arch = "x86_64") {
            assert_eq!(has_aes(), words().any(|w| w == "aes") && words().any(|w| w == "pclmulqdq"));
        } else if cfg!(any(target_arch = "mips", target_arch = "arm")) {
            assert!(!has_aes());
        }
    }
}
