//! How it goes, once an interval on stderr: one line that is overwritten on a terminal, a new line each elsewhere.

use std::io::{self, IsTerminal, Write};

use polyport_protocol::Nanos;

use super::ledger::Ledger;
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

    /// The same display, counting from `now`.
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
    pub fn tick(&mut self, now: Nanos, phase: &str, ledger: &Ledger) {
        if now < self.next() {
            return;
        }
        let line = self.line(now, phase, ledger);
        // a terminal that has gone is no reason to end a run
        drop(match self.mode {
            Mode::Quiet => Ok(()),
            Mode::Lines => writeln!(io::stderr().lock(), "{line}"),
            Mode::Overwrite => write!(io::stderr().lock(), "\r{line}\x1b[K"),
        });
        self.last = (now, ledger.total().sent);
        // intervals that passed during a pause are not made up for
        self.next = now - (now - self.start) % self.interval + self.interval;
    }

    /// Removes the line that was overwritten, before the report.
    pub fn clear(&self) {
        if self.mode == Mode::Overwrite {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }

    fn line(&self, now: Nanos, phase: &str, ledger: &Ledger) -> String {
        let total = ledger.total();
        let rate = unit::per_second(total.sent - self.last.1.min(total.sent), now - self.last.0);
        format!(
            "{:>7}  {phase}  sent {} ({rate}/s)  ok {}  late {}  error {}  no answer {}  in flight {}  not sent {}",
            unit::span(now - self.start),
            total.sent,
            total.ok,
            total.late,
            total.error,
            total.lost() + total.expired,
            ledger.in_flight(),
            ledger.not_sent(),
        )
    }
}
