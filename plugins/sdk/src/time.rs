//! Moments and spans in nanoseconds.

use core::time::Duration;

/// The moment `after` from `now_ns`, for what takes `at_ns`.
#[must_use]
pub fn later(now_ns: u64, after: Duration) -> u64 {
    now_ns.saturating_add(nanos(after))
}

/// Nanoseconds, at most 584 years.
pub(crate) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
