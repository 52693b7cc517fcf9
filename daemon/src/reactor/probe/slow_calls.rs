//! Slow handlers: every listener waits while one handler works.
//!
//! Two clock reads around each call would cost as much as the call. So the loop measures whole turns, and times the
//! calls themselves only for a while after a slow turn. Timers fire more rarely than datagrams come: each of their calls is timed.
//!
//! What takes long need not be the handler's fault: the machine may have had no processor for it. So the processor time of
//! the thread is told beside the time that passed. It takes a system call: it is read around calls that are timed, and kept
//! every 100 ms, so that of a slow turn that nobody expected it is known how much it can have used at most.

use std::fmt;

/// Calls that are timed after a slow turn or a slow call.
const TIMED_CALLS: u32 = 4096;
/// Shortest time between two log lines about slow calls, ns.
const LOG_EVERY_NS: u64 = 10_000_000_000;

/// Shortest time between two looks at the processor time while nothing is slow, ns.
const MARK_EVERY_NS: u64 = 100_000_000;

/// A call that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    /// What it was called for.
    pub(crate) what: &'static str,
    /// How long, ns.
    pub(crate) took_ns: u64,
    /// How much of it a processor worked for this thread, ns.
    pub(crate) cpu_ns: u64,
    /// The processor time is that of the call; otherwise it is at most so much.
    pub(crate) exact: bool,
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, took_ns, cpu_ns, exact } = *self;
        let cpu_ns = cpu_ns.min(took_ns);
        write!(f, "took {} for one {what}", milliseconds(took_ns))?;
        match (cpu_ns < took_ns / 2, exact) {
            (true, _) => {
                let most = if exact { "" } else { "at most " };
                let cpu = milliseconds(cpu_ns);
                write!(
                    f,
                    ", of which {most}{cpu} of processor time; the rest it waited for something, or the machine was busy"
                )
            }
            (false, true) => write!(f, ", {} of it processor time", milliseconds(cpu_ns)),
            (false, false) => Ok(()),
        }
    }
}

fn milliseconds(ns: u64) -> String {
    let (ms, tenths) = (ns / 1_000_000, ns / 100_000 % 10);
    if ms < 10 { format!("{ms}.{tenths} ms") } else { format!("{ms} ms") }
}

/// Finds calls that take too long.
#[derive(Debug)]
pub(crate) struct SlowWatch {
    threshold_ns: u64,
    /// Calls that are still to be timed.
    timed: u32,
    /// When the last line was logged, monotonic ns.
    logged_ns: Option<u64>,
    /// When the processor time was looked at last, monotonic ns, and what it was then, ns.
    mark: (u64, u64),
}

impl SlowWatch {
    /// A watch that calls slow whatever takes longer than `threshold_ns`.
    pub(crate) fn new(threshold_ns: u64) -> Self {
        Self { threshold_ns, timed: 0, logged_ns: None, mark: (0, 0) }
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

    /// Whether it is time to look at the processor time.
    #[inline]
    pub(crate) fn mark_is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.mark.0) >= MARK_EVERY_NS
    }

    /// Keeps the processor time of a moment. Returns how much was used since the last one, ns.
    pub(crate) fn mark(&mut self, now_ns: u64, cpu_ns: u64) -> u64 {
        let (_, before_ns) = std::mem::replace(&mut self.mark, (now_ns, cpu_ns));
        cpu_ns.saturating_sub(before_ns)
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
    fn who_has_worked_is_told_from_who_has_waited() {
        let shown = |took_ms: u64, cpu_ms: u64, exact| {
            let (took_ns, cpu_ns) = (took_ms * 1_000_000, cpu_ms * 1_000_000 + 300_000);
            Slow { what: "batch", took_ns, cpu_ns, exact }.to_string()
        };
        assert_eq!(shown(210, 205, true), "took 210 ms for one batch, 205 ms of it processor time");
        let waited = "the rest it waited for something, or the machine was busy";
        let rest = format!("took 210 ms for one batch, of which 3.3 ms of processor time; {waited}");
        assert_eq!(shown(210, 3, true), rest);
        assert_eq!(shown(210, 3, false), rest.replace("which", "which at most"));
        assert_eq!(
            shown(210, 4000, false),
            "took 210 ms for one batch",
            "of before as well, so nothing is known"
        );
    }

    #[test]
    fn the_processor_time_is_looked_at_now_and_then() {
        let mut watch = SlowWatch::new(10);
        assert!(!watch.mark_is_due(MARK_EVERY_NS - 1) && watch.mark_is_due(MARK_EVERY_NS));
        assert_eq!(watch.mark(MARK_EVERY_NS, 7), 7);
        assert!(!watch.mark_is_due(2 * MARK_EVERY_NS - 1));
        assert_eq!(watch.mark(2 * MARK_EVERY_NS, 30), 23);
    }

    #[test]
    fn a_flood_of_slow_calls_is_a_line_every_ten_seconds() {
        let mut watch = SlowWatch::new(10);
        let lines = (0..100).filter(|s| watch.may_log(s * 1_000_000_000)).count();
        assert_eq!(lines, 10);
    }
}
