//! Slow handlers: every listener waits while one handler works.
//!
//! Two clock reads around each call would cost as much as the call. So the loop measures whole turns, and times the
//! calls themselves only for a while after a slow turn. Timers fire more rarely than datagrams come: each of their calls is timed.
//!
//! What takes long need not be the handler's fault: the machine may have had no processor for it. So the processor time of
//! the thread is told beside the time that passed. It takes a system call: it is read around calls only after one of them
//! was slow, for a turn of a thousand listeners is slow as a whole and none of its calls is. It is kept every 100 ms, too,
//! so that of what nobody expected it is known how much it can have used at most.

use std::fmt;

/// Calls that are timed after a slow turn or a slow call, and calls whose processor time is read after a slow call.
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

/// A call that is timed: when it began, monotonic ns, and the processor time then, ns; none of what is not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTiming {
    pub(crate) from_ns: Option<u64>,
    pub(crate) cpu_ns: Option<u64>,
    /// It was drawn for the sample of all calls.
    pub(crate) sampled: bool,
}

/// Finds calls that take too long.
#[derive(Debug)]
pub(crate) struct SlowWatch {
    threshold_ns: u64,
    /// Calls that are still to be timed.
    timed: u32,
    /// Calls whose processor time is still to be read.
    weighed: u32,
    /// What the turns took whose calls are timed, while none of them is slow.
    in_vain: Turns,
    /// What a visit takes in turns in which no call is slow, ns, and until when that is believed, monotonic ns.
    usual: (u64, u64),
    /// When the last line was logged, monotonic ns.
    logged_ns: Option<u64>,
    /// When the processor time was looked at last, monotonic ns, and what it was then, ns.
    mark: (u64, u64),
}

/// Turns: how many visits there were, and how long they took.
#[derive(Debug, Default)]
struct Turns {
    visits: u64,
    took_ns: u64,
}

impl SlowWatch {
    /// A watch that calls slow whatever takes longer than `threshold_ns`.
    pub(crate) fn new(threshold_ns: u64) -> Self {
        let (in_vain, usual) = (Turns::default(), (0, 0));
        Self { threshold_ns, timed: 0, weighed: 0, in_vain, usual, logged_ns: None, mark: (0, 0) }
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

    /// Whether the processor time of the next call is read; counts it.
    #[inline]
    pub(crate) fn weighs_call(&mut self) -> bool {
        let weighed = self.weighed > 0;
        self.weighed = self.weighed.saturating_sub(1);
        weighed
    }

    /// Whether the visits of a turn, which ended at `now_ns`, took so long that one of their calls may have been slow. If so, the
    /// next calls are timed. Where that was in vain, turns of that kind are believed for a while: a thousand visits
    /// take their time.
    #[inline]
    pub(crate) fn is_slow_turn(&mut self, took_ns: u64, visits: usize, now_ns: u64) -> bool {
        let visits = visits as u64;
        if self.timed > 0 {
            self.in_vain.visits += visits;
            self.in_vain.took_ns = self.in_vain.took_ns.saturating_add(took_ns);
        } else if self.in_vain.visits > 0 {
            let Turns { visits, took_ns } = std::mem::take(&mut self.in_vain);
            self.usual = (took_ns / visits, now_ns.saturating_add(LOG_EVERY_NS));
        }
        if took_ns <= self.threshold_ns {
            return false;
        }
        let usual_ns = if now_ns < self.usual.1 { self.usual.0 } else { 0 };
        let others_ns = usual_ns.saturating_mul(visits.saturating_sub(1));
        let slow = took_ns - self.threshold_ns > others_ns;
        if slow && self.timed == 0 {
            self.timed = TIMED_CALLS;
        }
        slow
    }

    /// Whether a call was slow that took `took_ns`. If so, the next calls are timed, and their processor time is read.
    #[inline]
    pub(crate) fn is_slow_call(&mut self, took_ns: u64) -> bool {
        let slow = took_ns > self.threshold_ns;
        if slow {
            self.suspect();
        }
        slow
    }

    /// A call was slow.
    pub(crate) fn suspect(&mut self) {
        (self.timed, self.weighed) = (TIMED_CALLS, TIMED_CALLS);
        (self.in_vain, self.usual) = (Turns::default(), (0, 0));
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

    /// Turns of `visits` calls at `each_ns`, one after another. Returns how many calls were timed.
    fn turns(watch: &mut SlowWatch, now_ns: &mut u64, turns: usize, visits: usize, each_ns: u64) -> usize {
        let mut timed = 0;
        for _ in 0..turns {
            timed += (0..visits).filter(|_| watch.times_call()).count();
            let took_ns = each_ns * visits as u64;
            *now_ns += took_ns;
            watch.is_slow_turn(took_ns, visits, *now_ns);
        }
        timed
    }

    #[test]
    fn calls_are_timed_only_for_a_while_after_something_slow() {
        let mut watch = SlowWatch::new(10);
        assert!(!watch.times_call());
        assert!(!watch.is_slow_turn(10, 1, 0));
        assert!(watch.is_slow_turn(11, 1, 0));
        assert_eq!((0..TIMED_CALLS + 5).filter(|_| watch.times_call()).count(), TIMED_CALLS as usize);
        assert!(!watch.is_slow_call(10));
        assert!(watch.is_slow_call(11));
        assert_eq!((0..TIMED_CALLS + 5).filter(|_| watch.times_call()).count(), TIMED_CALLS as usize);
    }

    #[test]
    fn turns_that_are_slow_by_their_many_visits_are_timed_once_in_ten_seconds() {
        const VISITS: usize = 1000;
        let (mut watch, mut now) = (SlowWatch::new(10_000_000), 1);
        let timed = turns(&mut watch, &mut now, 900, VISITS, 11_000);
        assert_eq!(timed, TIMED_CALLS as usize, "of 9.9 s");
        let timed = turns(&mut watch, &mut now, 9000, VISITS, 11_000);
        assert!((9..=10).contains(&(timed / TIMED_CALLS as usize)), "{timed} of 99 s");
    }

    #[test]
    fn a_slow_call_among_many_visits_is_suspected() {
        const VISITS: usize = 1000;
        let (mut watch, mut now) = (SlowWatch::new(10_000_000), 1);
        turns(&mut watch, &mut now, 20, VISITS, 11_000);
        assert!(!watch.is_timing());
        // Eleven milliseconds of everybody, and eleven of one.
        assert!(watch.is_slow_turn(22_000_000, VISITS, now) && watch.is_timing());
        assert!(watch.is_slow_call(11_000_000));
        // Nothing is usual any more.
        turns(&mut watch, &mut now, 5, VISITS, 1000);
        assert!(!watch.is_timing());
        assert!(watch.is_slow_turn(12_000_000, VISITS, now));
    }

    #[test]
    fn the_processor_time_of_calls_is_read_only_for_a_while_after_a_slow_one() {
        let mut watch = SlowWatch::new(10);
        assert!(watch.is_slow_turn(11, 1, 0));
        assert!(!watch.weighs_call());
        watch.suspect();
        assert_eq!((0..TIMED_CALLS + 5).filter(|_| watch.weighs_call()).count(), TIMED_CALLS as usize);
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
