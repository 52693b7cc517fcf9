//! How it goes, once an interval on stderr: one line that is overwritten on a terminal, a new line each elsewhere.

use std::io::{self, IsTerminal, Write};

use polyport_protocol::Nanos;

use super::live::Counters;
use super::unit;

/// The display. It reads counters that are kept anyway, so a run is not slower for being watched.
#[derive(Clone, Debug)]
pub struct Progress {
    mode: Mode,
    interval: Nanos,
    start: Nanos,
    next: Nanos,
    /// Time and datagrams sent at the last line.
    last: (Nanos, u64),
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
    pub fn new(quiet: bool, interval: Nanos, now: Nanos) -> Self {
        let mode = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Overwrite,
            (false, false) => Mode::Lines,
        };
        let interval = interval.max(1);
        Self { mode, interval, start: now, next: now.saturating_add(interval), last: (now, 0) }
    }

    /// Starts the display anew: its clock and its counters begin at `now`.
    #[must_use]
    pub const fn restart(self, now: Nanos) -> Self {
        Self { start: now, next: now.saturating_add(self.interval), last: (now, 0), ..self }
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub const fn next(&self) -> Nanos {
        if matches!(self.mode, Mode::Quiet) { Nanos::MAX } else { self.next }
    }

    /// Shows the state if it is time to.
    pub fn tick(&mut self, now: Nanos, phase: &str, counters: &Counters) {
        let Some(line) = self.due(now, phase, counters) else { return };
        // A terminal that has gone is no reason to end a run.
        drop(match self.mode {
            Mode::Quiet => Ok(()),
            Mode::Lines => writeln!(io::stderr().lock(), "{line}"),
            Mode::Overwrite => write!(io::stderr().lock(), "\r{}\x1b[K", cut(&line, width())),
        });
    }

    /// Removes the line that was overwritten, before the report.
    pub fn clear(&self) {
        if self.mode == Mode::Overwrite {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }

    /// The line, if it is time for one.
    fn due(&mut self, now: Nanos, phase: &str, counters: &Counters) -> Option<String> {
        if now < self.next() {
            return None;
        }
        let line = self.line(now, phase, counters);
        self.last = (now, counters.total.sent);
        // Intervals that passed during a pause bring no line of their own.
        self.next = now - (now - self.start) % self.interval + self.interval;
        Some(line)
    }

    fn line(&self, now: Nanos, phase: &str, counters: &Counters) -> String {
        let total = counters.total;
        let rate = unit::per_second(total.sent - self.last.1.min(total.sent), now - self.last.0);
        format!(
            "{:>7}  {phase}  sent {} ({rate}/s)  ok {}  late {}  error {}  no answer {}  in flight {}  not sent {}",
            unit::span(now - self.start),
            total.sent,
            total.ok,
            total.late,
            total.error,
            total.lost() + total.expired,
            counters.in_flight,
            counters.not_sent,
        )
    }
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

    #[test]
    fn the_rate_is_that_of_the_last_interval() {
        let progress = Progress::new(true, SECOND, SECOND);
        let line = progress.line(SECOND + SECOND / 2, "load", &counters());
        assert!(line.starts_with("  500ms  load  sent 50 (100/s)  ok 0 "), "{line}");
        assert!(line.contains("  in flight 50  not sent 0"), "{line}");
        assert_eq!((cut(&line, 8), cut("short", 80)), ("  500ms", "short"));
    }

    #[test]
    fn intervals_that_were_missed_are_not_made_up_for() {
        let mut progress = Progress { mode: Mode::Lines, ..Progress::new(true, SECOND, 0) };
        assert_eq!(progress.due(SECOND - 1, "load", &counters()), None);
        assert_eq!((progress.next(), progress.last), (SECOND, (0, 0)), "not yet");
        assert!(progress.due(5 * SECOND + 1, "load", &counters()).is_some());
        assert_eq!((progress.next(), progress.last), (6 * SECOND, (5 * SECOND + 1, 50)));
        assert_eq!(Progress::new(true, SECOND, 0).next(), Nanos::MAX, "quiet");
    }
}
