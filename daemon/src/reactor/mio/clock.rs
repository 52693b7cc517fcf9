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

/// Most readings for one offset, of which the quickest counts: one during which the thread did not run is wrong by that time.
const READINGS: usize = 3;
/// A reading of this many ns was not disturbed.
const UNDISTURBED_NS: u64 = 1000;

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

    /// Unix time, ns, read now.
    #[must_use]
    pub fn unix_ns(&mut self) -> u64 {
        let Now { mono_ns, wall_offset_ns } = self.read_both();
        mono_ns.saturating_add_signed(wall_offset_ns)
    }

    /// The moment `mono_ns` on the system's monotonic clock (`CLOCK_MONOTONIC` of `clock_gettime(2)`), ns.
    #[cfg(target_os = "linux")]
    pub(crate) fn system_ns(&self, mono_ns: u64) -> u64 {
        self.start_ns.saturating_add(mono_ns)
    }

    /// The time. The offset of the wall clock may be 100 ms old.
    #[inline]
    pub fn now(&mut self) -> Now {
        let mono_ns = self.mono_ns();
        if mono_ns < self.refresh_ns {
            Now { mono_ns, wall_offset_ns: self.wall_offset_ns }
        } else {
            self.read_both()
        }
    }

    /// Reads both clocks. The wall clock goes first: so the offset is too small by what lies between, and never too large.
    #[cold]
    pub(crate) fn read_both(&mut self) -> Now {
        let (mut mono_ns, mut offset_ns, mut best_ns) = (0, 0, u64::MAX);
        for _ in 0..READINGS {
            let before_ns = self.mono_ns();
            #[expect(clippy::disallowed_methods, reason = "the clock is read here and nowhere else")]
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            mono_ns = self.mono_ns();
            let took_ns = mono_ns.saturating_sub(before_ns);
            if took_ns < best_ns {
                let wall_ns = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
                offset_ns = wall_ns.saturating_sub(i64::try_from(mono_ns).unwrap_or(i64::MAX));
                best_ns = took_ns;
            }
            if took_ns < UNDISTURBED_NS {
                break;
            }
        }
        (self.refresh_ns, self.wall_offset_ns) = (mono_ns.saturating_add(REFRESH_NS), offset_ns);
        Now { mono_ns, wall_offset_ns: offset_ns }
    }
}
