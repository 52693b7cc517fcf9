//! The one place of the daemon that reads the time.

use super::io::Now;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, from an arbitrary start, and the wall clock beside it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock is read here and nowhere else")]
    #[expect(clippy::new_without_default, reason = "a clock that starts by default would hide that it does")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Monotonic nanoseconds since the start, at least 1: 0 means "now" and "never" in the plugin ABI.
    #[must_use]
    pub fn mono_ns(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "the clock is read here and nowhere else")]
        let elapsed = Instant::now().duration_since(self.start);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono_ns = self.mono_ns();
        #[expect(clippy::disallowed_methods, reason = "the clock is read here and nowhere else")]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ns = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
        let wall_offset_ns = wall_ns.saturating_sub(i64::try_from(mono_ns).unwrap_or(i64::MAX));
        Now { mono_ns, wall_offset_ns }
    }
}
