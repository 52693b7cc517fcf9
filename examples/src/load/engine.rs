//! A run from the handshake to the summary.

use std::collections::VecDeque;

use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::{Exit, Interrupt};

use super::config::Config;
use super::handshake::{self, Greeting};
use super::ledger::NotSent;
use super::one_way::OneWay;
use super::pacing::{self, Pacing};
use super::progress::Progress;
use super::summary::{Chosen, Summary};
use super::transceiver::{Transceiver, Turn};
use crate::clock::Clock;
use crate::outcome::ExitError;

/// How often timeouts are noticed. They are judged by the times of the datagrams, so this moves no result; it only
/// delays the count in flight.
const SWEEP: Nanos = 10 * MILLISECOND;

/// Datagrams that may leave after the end of a schedule: what a pause of this machine just before the end has held up.
/// More would be a load after the load.
const OVERTIME: u64 = 1024;

/// Runs a load and closes its books.
///
/// # Errors
/// A target does not answer the handshake; a socket fails; the books do not balance, which is a fault of ours.
pub fn run(
    config: &Config,
    interrupt: &Interrupt,
    quiet: bool,
    interval: Nanos,
) -> Result<Summary, ExitError> {
    pacing::be_exact();
    let clock = Clock::start();
    let mut run = Run {
        config,
        clock,
        interrupt,
        transceiver: Transceiver::new(config, clock)?,
        progress: Progress::new(quiet, interval, clock.now()),
        next_sweep: 0,
    };
    let start = run.prepare()?;
    let (start, aborted) = match start {
        Some(start) => (start, run.play(start, config.duration, Phase::Load)?),
        None => (clock.now(), true),
    };
    let end = clock.now();
    let aborted = aborted || run.drain()?;
    run.close(start, end, aborted)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Load,
    Drain,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Load => "load",
            Self::Drain => "drain",
        }
    }
}

struct Run<'c> {
    config: &'c Config,
    clock: Clock,
    interrupt: &'c Interrupt,
    transceiver: Transceiver<'c>,
    progress: Progress,
    next_sweep: Nanos,
}

impl Run<'_> {
    /// Handshake and warm-up. When the load starts; `None` if the user wanted the end.
    fn prepare(&mut self) -> Result<Option<Nanos>, ExitError> {
        if self.config.handshake {
            let greeting =
                handshake::greet(&mut self.transceiver, self.clock, self.config.timeout, self.interrupt)?;
            if greeting == Greeting::Interrupted {
                return Ok(None);
            }
        }
        self.progress = self.progress.clone().restart(self.clock.now());
        let start = self.clock.now();
        if self.config.warm_up > 0 && self.play(start, self.config.warm_up, Phase::WarmUp)? {
            return Ok(None);
        }
        // One schedule: the load goes on where the warm-up ended, even if that was late.
        Ok(Some(start + self.config.warm_up))
    }

    /// Follows a schedule to its end; whether the user wanted an earlier one.
    fn play(&mut self, start: Nanos, duration: Nanos, phase: Phase) -> Result<bool, ExitError> {
        let practice = phase == Phase::WarmUp;
        let mut pacer = self.config.schedule(start, duration, practice);
        let mut backlog = VecDeque::new();
        let (end, mut overtime) = (start.saturating_add(duration), OVERTIME);
        loop {
            if self.interrupt.is_set() {
                if !practice {
                    self.transceiver.ledger.skip(NotSent::Aborted, backlog.len() as u64);
                }
                return Ok(true);
            }
            let over = self.clock.now() >= end;
            if let Some(most) = self.config.in_flight {
                let waiting = self.transceiver.ledger.in_flight() + backlog.len() as u64;
                pacer.allow(most.saturating_sub(waiting), self.clock.now());
            }
            let Turn { left, blocked } = self.transceiver.send_due(&mut pacer, &mut backlog, practice);
            if over {
                overtime = overtime.saturating_sub(left);
                if overtime == 0 {
                    self.transceiver.give_up(&mut pacer, &mut backlog, practice, Nanos::MAX);
                }
            }
            let received = self.transceiver.receive()?;
            self.look_around(phase);
            let Some(next) = backlog.front().copied().or_else(|| pacer.peek()) else { return Ok(false) };
            if !received && (blocked || next.planned > self.clock.now()) {
                // A blocked datagram is due already: the socket tells when, the sweep looks after it.
                let due = if blocked { Nanos::MAX } else { next.planned };
                self.wait(self.config.pacing, due, blocked)?;
            }
        }
    }

    /// Waits for the answers that may still come; whether the user wanted the end.
    fn drain(&mut self) -> Result<bool, ExitError> {
        loop {
            if self.interrupt.is_set() {
                return Ok(true);
            }
            let received = self.transceiver.receive()?;
            self.look_around(Phase::Drain);
            let Transceiver { last_sent, longest, ref ledger, .. } = self.transceiver;
            let end = self.config.drain.end(last_sent, longest, ledger.in_flight() > 0);
            if end.is_some_and(|end| end <= self.clock.now()) {
                return Ok(false);
            }
            if !received {
                self.wait(Pacing::Sleep, end.unwrap_or(Nanos::MAX), false)?;
            }
        }
    }

    /// Timeouts and display.
    fn look_around(&mut self, phase: Phase) {
        let now = self.clock.now();
        if now >= self.next_sweep {
            self.transceiver.ledger.expire(now);
            self.next_sweep = now + SWEEP;
        }
        self.progress.tick(now, phase.name(), &self.transceiver.ledger);
    }

    fn wait(&self, pacing: Pacing, due: Nanos, blocked: bool) -> Result<(), ExitError> {
        let deadline = due.min(self.next_sweep).min(self.progress.next());
        let now = self.clock.now();
        let outbox = self.transceiver.outbox();
        let full = if blocked { outbox.blocked() } else { &[] };
        pacing.wait(outbox.sockets(), full, now, deadline).map_err(|error| ExitError::io("wait", &error))
    }

    fn close(mut self, start: Nanos, end: Nanos, aborted: bool) -> Result<Summary, ExitError> {
        let now = self.clock.now();
        self.progress.clear();
        self.transceiver.ledger.finish(now, aborted);
        let local = self.transceiver.local().map_err(|error| ExitError::io("ask the socket", &error))?;
        let summary = Summary::new(&self.transceiver.ledger, &self.transceiver.latencies, local)
            .map_err(|imbalance| ExitError::new(Exit::Software, imbalance.to_string()))?;
        let took = end.saturating_sub(start);
        let behind_since = self.transceiver.behind.missed_since().map(|since| since.saturating_sub(start));
        let strangers = self.transceiver.strangers().clone();
        let drained = now.saturating_sub(end);
        // In a closed loop nothing was planned: a datagram left when another was answered.
        let from_plan = summary.from_plan.filter(|_| self.config.in_flight.is_none());
        let latencies = &self.transceiver.latencies;
        let delays = self.transceiver.one_way.as_ref().map(OneWay::read).transpose();
        let delays = delays.map_err(|error| ExitError::new(Exit::Software, error.to_string()))?.flatten();
        let points = self.config.percentiles.iter();
        let chosen = points.map(|percent| Chosen::new(*percent, latencies, delays.as_ref())).collect();
        let one_way = delays.map(|delays| delays.report);
        Ok(Summary { one_way, chosen, from_plan, strangers, took, behind_since, drained, aborted, ..summary })
    }
}
