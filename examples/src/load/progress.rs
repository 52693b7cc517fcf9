//! How it goes, once an interval: on stderr one line that is overwritten on a terminal, a new line each elsewhere; and if it
//! is wanted, an event on stdout for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use polyport_protocol::Nanos;

use super::events::{Events, IntervalEvent};
use super::histogram::{Percentiles, TargetLatency};
use super::live::Counters;
use super::unit;
use crate::outcome::ExitError;

/// The display. It reads counters that are kept anyway, so a run is not slower for being watched.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    interval: Nanos,
    start: Nanos,
    next: Nanos,
    last: Last,
    events: Option<Events>,
}

/// The counters at the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    at: Nanos,
    sent: u64,
    unanswered: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Quiet,
    Lines,
    Overwrite,
}

impl Progress {
    /// A display that starts at `now`; none if `quiet`.
    #[must_use]
    pub fn new(quiet: bool, interval: Nanos, now: Nanos, events: Option<Events>) -> Self {
        let mode = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Overwrite,
            (false, false) => Mode::Lines,
        };
        let interval = interval.max(1);
        let last = Last { at: now, ..Last::default() };
        Self { mode, interval, start: now, next: now.saturating_add(interval), last, events }
    }

    /// Starts the display anew: its clock and its counters begin at `now`.
    pub fn restart(&mut self, now: Nanos) {
        self.start = now;
        self.next = now.saturating_add(self.interval);
        self.last = Last { at: now, ..Last::default() };
    }

    /// The load begins, at this time of day.
    ///
    /// # Errors
    /// The event cannot be written.
    pub fn load(&mut self, started: Duration) -> Result<(), ExitError> {
        self.events.as_mut().map_or(Ok(()), |events| events.start(started))
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub const fn next(&self) -> Nanos {
        if matches!(self.mode, Mode::Quiet) && self.events.is_none() { Nanos::MAX } else { self.next }
    }

    /// Shows the state if it is time to, and empties the `window` of what was answered since the last time.
    ///
    /// # Errors
    /// The event cannot be written.
    pub fn tick(
        &mut self,
        now: Nanos,
        phase: &'static str,
        counters: &Counters,
        window: &mut TargetLatency,
    ) -> Result<(), ExitError> {
        if now < self.next() {
            return Ok(());
        }
        let event = self.event(now, phase, counters, window);
        window.clear();
        self.last = Last { at: now, sent: event.sent, unanswered: event.no_answer };
        // Intervals that passed during a pause bring no line of their own.
        self.next = now - (now - self.start) % self.interval + self.interval;
        // A terminal that has gone is no reason to end a run.
        drop(match self.mode {
            Mode::Quiet => Ok(()),
            Mode::Lines => writeln!(io::stderr().lock(), "{}", line(&event)),
            Mode::Overwrite => {
                write!(io::stderr().lock(), "\r{}\x1b[K", cut(&line(&event), width()))
            }
        });
        self.events.as_ref().map_or(Ok(()), |events| events.interval(&event))
    }

    /// Removes the line that was overwritten, before the report.
    pub fn clear(&self) {
        if self.mode == Mode::Overwrite {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }

    fn event(
        &self,
        now: Nanos,
        phase: &'static str,
        counters: &Counters,
        window: &TargetLatency,
    ) -> IntervalEvent {
        let total = counters.total;
        let no_answer = total.lost() + total.expired;
        IntervalEvent {
            phase: phase.to_owned(),
            at_ns: now - self.start,
            sent: total.sent,
            sent_per_second: unit::per_second(total.sent.saturating_sub(self.last.sent), now - self.last.at),
            ok: total.ok,
            late: total.late,
            error: total.error,
            no_answer,
            in_flight: counters.in_flight,
            not_sent: counters.not_sent,
            interval_sent: total.sent.saturating_sub(self.last.sent),
            interval_no_answer: no_answer.saturating_sub(self.last.unanswered),
            interval_rtt_from_plan: window.percentiles(),
        }
    }
}

/// What people want to know first stands first: a terminal may be too narrow for the rest.
fn line(event: &IntervalEvent) -> String {
    let point = |of: fn(&Percentiles) -> Nanos| {
        event.interval_rtt_from_plan.as_ref().map_or_else(|| "-".to_owned(), |read| unit::span(of(read)))
    };
    format!(
        "{:>7}  {}  sent {} ({}/s)  loss {}  p50 {}  p99 {}  ok {}  late {}  error {}  no answer {}  in flight {}  not sent {}",
        unit::span(event.at_ns),
        event.phase,
        event.sent,
        event.sent_per_second,
        // What was sent in one interval may be given up in the next.
        unit::percent(event.interval_no_answer.min(event.interval_sent), event.interval_sent),
        point(|read| read.p50),
        point(|read| read.p99),
        event.ok,
        event.late,
        event.error,
        event.no_answer,
        event.in_flight,
        event.not_sent,
    )
}

/// Columns of the terminal; 80 if it does not say.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr()).map(|size| usize::from(size.ws_col));
    size.ok().filter(|columns| *columns > 0).unwrap_or(80)
}

/// The part of an ASCII line that fits: a line that wraps could not be overwritten.
fn cut(line: &str, columns: usize) -> &str {
    line.get(..columns.saturating_sub(1)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use polyport_protocol::SECOND;

    use super::*;
    use crate::load::stream::Tally;

    fn counters() -> Counters {
        Counters { total: Tally { sent: 50, ..Tally::default() }, in_flight: 50, not_sent: 0 }
    }

    fn progress(mode: Mode, now: Nanos) -> Progress {
        Progress { mode, ..Progress::new(true, SECOND, now, None) }
    }

    #[test]
    fn the_rate_is_that_of_the_last_interval() {
        let mut window = TargetLatency::target().unwrap();
        let silent = progress(Mode::Quiet, SECOND).event(SECOND + SECOND / 2, "load", &counters(), &window);
        assert_eq!(silent.interval_rtt_from_plan, None);
        assert!(line(&silent).starts_with("  500ms  load  sent 50 (100/s)  loss 0%  p50 -  p99 -  ok 0 "));
        (1..=100).for_each(|i| window.record(i * 1000));
        let event = progress(Mode::Quiet, SECOND).event(SECOND + SECOND / 2, "load", &counters(), &window);
        let line = line(&event);
        assert!(line.contains("  loss 0%  p50 50.1us  p99 99"), "{line}");
        assert!(line.contains("  in flight 50  not sent 0"), "{line}");
        assert_eq!((cut(&line, 8), cut("short", 80)), ("  500ms", "short"));
    }

    #[test]
    fn intervals_that_were_missed_are_not_made_up_for() {
        let mut window = TargetLatency::target().unwrap();
        window.record(1000);
        let mut progress = progress(Mode::Lines, 0);
        let mut tick = |progress: &mut Progress, now| {
            progress.tick(now, "load", &counters(), &mut window).unwrap();
            window.percentiles().is_some()
        };
        assert!(tick(&mut progress, SECOND - 1), "not yet");
        assert_eq!((progress.next(), progress.last), (SECOND, Last::default()));
        assert!(!tick(&mut progress, 5 * SECOND + 1), "shown and emptied");
        let last = Last { at: 5 * SECOND + 1, sent: 50, unanswered: 0 };
        assert_eq!((progress.next(), progress.last), (6 * SECOND, last));
        assert_eq!(Progress::new(true, SECOND, 0, None).next(), Nanos::MAX, "quiet");
    }
}
