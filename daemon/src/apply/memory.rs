//! How much memory handlers may keep, where the configuration does not say it: a part of what the process may have.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::config::MAX_LISTENERS;
use crate::limits::{HANDLER_BYTES, Limits};

/// The part of the memory of the process that handlers may keep: one of so many. The rest is for sockets' buffers in our
/// memory, delayed datagrams, backlogs, the libraries, and for what allocators lose.
const SHARES: u64 = 4;

/// The limits with `handler_bytes` as the system allows it, if it is "auto".
pub(super) fn resolve(limits: Limits) -> Limits {
    if limits.handler_bytes.is_some() {
        return limits;
    }
    let handler_bytes = automatic(bounds());
    if handler_bytes < HANDLER_BYTES {
        log::info!("handler_bytes = {handler_bytes}: a quarter of what this process may have");
    }
    Limits { handler_bytes: Some(handler_bytes), ..limits }
}

/// How many listeners of so many bytes each room is made for at the start, where `listeners` are served then: as many as the
/// process can have descriptors for, since a list that has to grow is copied while everybody waits, some milliseconds
/// for 10,000. What is not used is addresses and no memory; where addresses are bounded, by resource limits, there is room for
/// those that are served and no more.
pub(super) fn room(listeners: usize) -> usize {
    let is_bounded =
        [Resource::As, Resource::Data].into_iter().any(|which| getrlimit(which).current.is_some());
    let descriptors = getrlimit(Resource::Nofile).maximum;
    let most = descriptors.map_or(MAX_LISTENERS, |most| usize::try_from(most).unwrap_or(MAX_LISTENERS));
    if is_bounded { listeners } else { listeners.max(most.min(MAX_LISTENERS)) }
}

/// A quarter of the smallest bound, at most the default.
fn automatic(bounds: impl Iterator<Item = u64>) -> usize {
    let least = bounds.min().map_or(u64::MAX, |bytes| bytes / SHARES);
    usize::try_from(least).unwrap_or(usize::MAX).min(HANDLER_BYTES)
}

/// What bounds the memory of this process, bytes: resource limits (`getrlimit(2)`), control groups (cgroups(7), version
/// 2), and the machine.
fn bounds() -> impl Iterator<Item = u64> {
    let resources = [Resource::As, Resource::Data].into_iter().filter_map(|which| getrlimit(which).current);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = group_paths(&groups).into_iter().filter_map(|path| {
        let file = Path::new("/sys/fs/cgroup").join(path).join("memory.max");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    resources.chain(groups.collect::<Vec<_>>()).chain(machine)
}

/// The control group of the process and those above it, below the root of the hierarchy; each of them bounds it. None if
/// there is no hierarchy of version 2.
fn group_paths(proc_cgroup: &str) -> Vec<String> {
    let Some(path) = proc_cgroup.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    above.chain([path, ""]).map(ToOwned::to_owned).collect()
}

/// `MemTotal` of `proc_meminfo(5)`, bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_smallest_bound_decides_and_never_beyond_the_default() {
        assert_eq!(automatic([].into_iter()), HANDLER_BYTES);
        assert_eq!(automatic([64 << 30, 1 << 40].into_iter()), HANDLER_BYTES);
        assert_eq!(automatic([64 << 30, 256 * MIB].into_iter()), 64 << 20);
        assert_eq!(automatic([0].into_iter()), 0);
    }

    #[test]
    fn every_group_above_bounds_the_process() {
        assert_eq!(group_paths("0::/a/b/c\n"), ["a", "a/b", "a/b/c", ""]);
        assert_eq!(group_paths("1:cpu:/x\n0::/\n"), ["", ""]);
        assert_eq!(group_paths("9:memory:/x\n"), [""; 0]);
    }

    #[test]
    fn the_memory_of_the_machine_is_read_in_bytes() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:        2048 kB\n"), Some(2 * MIB));
        assert_eq!(total("MemTotal: much\n"), None);
    }

    #[test]
    fn what_is_configured_stays() {
        let limits = Limits { handler_bytes: Some(7), ..Limits::default() };
        assert_eq!(resolve(limits), limits);
        assert!(resolve(Limits::default()).handler_bytes.is_some_and(|bytes| bytes <= HANDLER_BYTES));
    }
}
