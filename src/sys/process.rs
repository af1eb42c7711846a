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

/// Memory of the machine, KiB; `None` where `/proc` is not mounted.
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub fn total_kib() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
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
