//! What the system says of this process. Unknown is zero or empty, never an error.

use std::fs;
use std::time::Duration;

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of this machine.
    pub total: u64,
    /// Of this machine, not in use.
    pub available: u64,
    /// Of this process.
    pub resident: u64,
    /// Of this process, at most so far.
    pub peak: u64,
}

/// Memory of machine and process.
#[must_use]
pub fn memory() -> Memory {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Memory {
        total: kilobytes(&machine, "MemTotal:"),
        available: kilobytes(&machine, "MemAvailable:"),
        resident: kilobytes(&process, "VmRSS:"),
        peak: kilobytes(&process, "VmHWM:"),
    }
}

fn kilobytes(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(label));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

/// CPU time of this thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    let of_scheduler = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    if let Some(ns) = of_scheduler.split(' ').next().and_then(|n| n.parse().ok()).filter(|ns| *ns > 0) {
        return Duration::from_nanos(ns);
    }
    // Kernels without those statistics: user and system time, in hundredths of a second, behind the name in brackets.
    let text = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * fields.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>())
}

/// Open file descriptors.
#[must_use]
pub fn open_files() -> i64 {
    // The listing itself holds one open.
    fs::read_dir("/proc/self/fd").map_or(0, |dir| i64::try_from(dir.count()).unwrap_or(0) - 1)
}

/// How many there may be.
#[must_use]
pub fn max_files() -> i64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// This machine's name.
#[must_use]
pub fn host_name() -> String {
    first_line("/proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".to_owned())
}

/// The kernel's version.
#[must_use]
pub fn os_release() -> String {
    first_line("/proc/sys/kernel/osrelease").unwrap_or_default()
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        assert!(super::memory().resident > 0 && super::memory().total > super::memory().resident);
        assert!(super::memory().peak >= super::memory().resident / 2);
        assert!(super::open_files() > 2 && super::max_files() >= super::open_files());
        assert!(!super::host_name().is_empty());
    }
}
