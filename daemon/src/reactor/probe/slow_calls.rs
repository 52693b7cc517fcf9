//! Slow handlers: every listener waits while one handler works.
//!
//! Two clock reads around each call would cost as much as the call. So the loop measures whole turns, and times the
//! calls themselves only for a while after a slow turn.

/// Calls that are timed after a slow turn or a slow call.
const TIMED_CALLS: u32 = 4096;
/// Shortest time between two log lines about slow calls, ns.
const LOG_EVERY_NS: u64 = 10_000_000_000;

/// Finds calls that take too long.
#[derive(Debug)]
pub(crate) struct SlowWatch {
    threshold_ns: u64,
    /// Calls that are still to be timed.
    timed: u32,
    /// When the last line was logged, monotonic ns.
    logged_ns: Option<u64>,
}

impl SlowWatch {
    /// A watch that calls slow whatever takes longer than `threshold_ns`.
    pub(crate) fn new(threshold_ns: u64) -> Self {
        Self { threshold_ns, timed: 0, logged_ns: None }
    }

    /// Whether calls are being timed.
    pub(crate) fn is_timing(&self) -> bool {
        self.timed > 0
    }

    /// Whether the next call is timed; counts it.
    #[inline]
    pub(crate) fn times_call(&mut self) -> bool {
        let timed = self.timed > 0;
        self.timed = self.timed.saturating_sub(1);
        timed
    }

    /// Whether `took_ns` is slow, for a turn or a call. If so, the next calls are timed.
    #[inline]
    pub(crate) fn is_slow(&mut self, took_ns: u64) -> bool {
        let slow = took_ns > self.threshold_ns;
        if slow {
            self.timed = TIMED_CALLS;
        }
        slow
    }

    /// Whether a line about a slow call may be logged now.
    pub(crate) fn may_log(&mut self, now_ns: u64) -> bool {
        let may = self.logged_ns.is_none_or(|last| now_ns.saturating_sub(last) >= LOG_EVERY_NS);
        if may {
            self.logged_ns = Some(now_ns);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_timed_only_for_a_while_after_something_slow() {
        let mut watch = SlowWatch::new(10);
        assert!(!watch.times_call());
        assert!(!watch.is_slow(10));
        assert!(watch.is_slow(11));
        assert_eq!((0..TIMED_CALLS + 5).filter(|_| watch.times_call()).count(), TIMED_CALLS as usize);
    }

    #[test]
    fn a_flood_of_slow_calls_is_a_line_every_ten_seconds() {
        let mut watch = SlowWatch::new(10);
        let lines = (0..100).filter(|s| watch.may_log(s * 1_000_000_000)).count();
        assert_eq!(lines, 10);
    }
}
