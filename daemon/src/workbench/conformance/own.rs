//! What the process has, as the system counts it. Where the system does not tell, nothing is counted.

use std::fs;
use std::thread;
use std::time::Duration;

/// How often is asked again for threads that are about to end, and how long is waited between: for a moment, and for those that do
/// something that lasts, such as looking up a name.
const LOOKS: u32 = 50;
const MANY_LOOKS: u32 = 750;
const BETWEEN: Duration = Duration::from_millis(20);

/// Threads of this process.
pub(super) fn threads() -> usize {
    entries("/proc/self/task")
}

/// Open descriptors of this process.
pub(super) fn descriptors() -> usize {
    entries("/proc/self/fd")
}

fn entries(dir: &str) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

/// Resident memory of this process, bytes.
pub(super) fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_ascii_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * u64::try_from(crate::exchange::page()).unwrap_or(4096)
}

/// How often this thread has given up the processor because it waited for something; none if the system does not tell.
pub(super) fn waits() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// Waits until `is_so`, for a second at most. Returns whether it is.
pub(super) fn settles(is_so: impl Fn() -> bool) -> bool {
    within(LOOKS, is_so)
}

/// Waits until `is_so`, for fifteen seconds at most. Returns whether it is.
pub(super) fn settles_at_last(is_so: impl Fn() -> bool) -> bool {
    within(MANY_LOOKS, is_so)
}

fn within(looks: u32, is_so: impl Fn() -> bool) -> bool {
    for _ in 0..looks {
        if is_so() {
            return true;
        }
        thread::park_timeout(BETWEEN);
    }
    is_so()
}
