//! The only place of the daemon that reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

use polyport_net::monotonic_ns;

use crate::reactor::io::Now;

/// The monotonic clock, counted from the start of the daemon, and the wall clock beside it.
#[derive(Debug)]
pub struct Clock {
    /// The system's monotonic clock when counting began, ns.
    start_ns: u64,
    wall_offset_ns: i64,
    /// When the wall clock is read again, monotonic ns.
    refresh_ns: u64,
}

/// How often the wall clock is read, ns. Only time stamps use it, so a turn saves a read, and a step of the wall clock
/// is seen this much later.
const REFRESH_NS: u64 = 100_000_000;

/// How often the wall clock is read for one offset: about 100 ns every [`REFRESH_NS`].
const READINGS: usize = 3;

impl Clock {
    /// A clock that starts counting now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a clock that starts by default would hide that it does")]
    pub fn new() -> Self {
        Self { start_ns: monotonic_ns(), wall_offset_ns: 0, refresh_ns: 0 }
    }

    /// Monotonic nanoseconds since the start, at least 1, because 0 means "now" or "never" in the plugin ABI.
    #[inline]
    #[must_use]
    pub fn mono_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.start_ns).max(1)
    }

    /// The moment `mono_ns` on the system's monotonic clock (`CLOCK_MONOTONIC` of `clock_gettime(2)`), ns.
    pub(crate) fn system_ns(&self, mono_ns: u64) -> u64 {
        self.start_ns.saturating_add(mono_ns)
    }

    /// Reads both clocks. The offset of the wall clock may be 100 ms old.
    #[inline]
    pub fn now(&mut self) -> Now {
        let mono_ns = self.mono_ns();
        if mono_ns >= self.refresh_ns {
            self.refresh_ns = mono_ns.saturating_add(REFRESH_NS);
            self.wall_offset_ns = self.read_wall_offset_ns();
        }
        Now { mono_ns, wall_offset_ns: self.wall_offset_ns }
    }

    /// What the wall clock is ahead, by the reading of it that took least time: one during which the thread did not run
    /// would be wrong by that time until the next refresh.
    #[cold]
    fn read_wall_offset_ns(&self) -> i64 {
        let offsets = (0..READINGS).map(|_| {
            let before_ns = self.mono_ns();
            #[expect(clippy::disallowed_methods, reason = "the clock is read here and nowhere else")]
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let took_ns = self.mono_ns().saturating_sub(before_ns);
            let wall_ns = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
            let mono_ns = i64::try_from(before_ns + took_ns / 2).unwrap_or(i64::MAX);
            (took_ns, wall_ns.saturating_sub(mono_ns))
        });
        offsets.min_by_key(|(took_ns, _)| *took_ns).map_or(0, |(_, offset_ns)| offset_ns)
    }
}
