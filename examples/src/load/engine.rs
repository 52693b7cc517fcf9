//! A run from the handshake to the summary: one worker, or several at once, each with flows and books of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::{Exit, Interrupt};

use super::config::Config;
use super::events::Events;
use super::handshake::{self, Greeting};
use super::live::Live;
use super::one_way::OneWay;
use super::progress::Progress;
use super::stamp::figures::Figures;
use super::start;
use super::summary::{Chosen, Histograms, Summary};
use super::view::board::Board;
use super::view::run::{Phase, Run};
use super::worker::{Done, Halt, Worker};
use crate::clock::{Clock, time_of_day};
use crate::outcome::ExitError;

/// How long before the schedule starts where threads must be started first.
const MUSTER: Nanos = 5 * MILLISECOND;

/// Who is told how a run goes.
#[derive(Debug)]
pub enum Audience<'a> {
    /// Nobody.
    Nobody,
    /// Whoever reads lines on standard error.
    Lines,
    /// Whoever reads events on standard output, and lines on standard error unless `quiet`.
    Events {
        /// No lines.
        quiet: bool,
        /// The events.
        events: Box<Events>,
    },
    /// A live view.
    View(&'a Board),
}

/// Runs a load and closes its books.
///
/// # Errors
/// A target does not answer the handshake; a socket fails; the books do not balance, which is a fault of ours.
pub fn run(config: &Config, interrupt: &Interrupt, audience: Audience<'_>) -> Result<Summary, ExitError> {
    let clock = Clock::start();
    let software = |error: hdrhistogram::CreationError| ExitError::new(Exit::Software, error.to_string());
    let live = match audience {
        Audience::Nobody => None,
        Audience::Lines | Audience::Events { .. } | Audience::View(_) => {
            Some(Arc::new(Live::new(config.threads.max(1) as usize).map_err(software)?))
        }
    };
    let watched = match (&audience, &live) {
        (Audience::View(board), Some(live)) => {
            let run = Arc::new(Run::new(config, clock, Arc::clone(live)).map_err(software)?);
            board.begin(&run);
            Some(run)
        }
        _ => None,
    };
    let watched = watched.as_deref();
    let failed = AtomicBool::new(false);
    let mut workers = Vec::new();
    for part in config.parts() {
        workers.push(Worker::new(
            config,
            clock,
            part,
            Halt::new(interrupt, &failed),
            live.as_deref(),
            watched,
        )?);
    }
    let mut rest = workers.split_off(1);
    let Some(mut first) = workers.pop() else {
        return Err(ExitError::new(Exit::Software, "a run has at least one thread"));
    };
    let (quiet, events) = match audience {
        Audience::Nobody | Audience::View(_) => (true, None),
        Audience::Lines => (false, None),
        Audience::Events { quiet, events } => (quiet, Some(*events)),
    };
    let mut progress = Progress::new(quiet, config.interval, clock.now(), events);
    let greeting = if config.handshake {
        let greeted = |targets| {
            if let Some(run) = watched {
                run.greeted(targets);
            }
        };
        handshake::greet(&mut first.transceiver, clock, config.timeout, interrupt, greeted)?
    } else {
        Greeting::Answered
    };
    let muster = if rest.is_empty() { 0 } else { MUSTER };
    let mut goes = greeting == Greeting::Answered;
    let start = match config.start_at.filter(|_| goes) {
        None => clock.now() + muster,
        Some(at) => {
            let start = start::moment(at, time_of_day(), clock.now())?;
            if let Some(run) = watched {
                run.enter(Phase::Wait, start);
            }
            goes = first.wait_until(start.saturating_sub(muster))?;
            start
        }
    };
    progress.restart(start);
    first.show(progress);
    let done = thread::scope(|scope| {
        let others: Vec<_> =
            rest.drain(..).map(|worker| scope.spawn(move || worker.run(start, goes))).collect();
        let mut done = vec![first.run(start, goes)];
        done.extend(others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err(ExitError::new(Exit::Software, "a thread of the load panicked")))
        }));
        done
    });
    close(config, done)
}

/// Makes one result of those of all workers.
fn close(config: &Config, done: Vec<Result<Done, ExitError>>) -> Result<Summary, ExitError> {
    let mut done = done.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter();
    let Some(mut all) = done.next() else {
        return Err(ExitError::new(Exit::Software, "a run has at least one thread"));
    };
    // Each by itself first: two faults must not cancel each other out.
    all.ledger.audit().map_err(|imbalance| ExitError::new(Exit::Software, imbalance.to_string()))?;
    for other in done {
        other.ledger.audit().map_err(|imbalance| ExitError::new(Exit::Software, imbalance.to_string()))?;
        all.absorb(other)?;
    }
    all.flows.sort_by_key(|(number, _)| *number);
    let summary = Summary::new(&all.ledger, &all.latencies, all.local)
        .map_err(|imbalance| ExitError::new(Exit::Software, imbalance.to_string()))?;
    let delays = all.one_way.as_ref().map(OneWay::read).transpose();
    let delays = delays.map_err(|error| ExitError::new(Exit::Software, error.to_string()))?.flatten();
    let ipdv = all.ways.and_then(|ways| ways.report().map(|report| (ways, report)));
    // In a closed loop nothing was planned: a datagram left when another was answered.
    let open = config.in_flight.is_none();
    let histograms = Histograms {
        from_plan: summary.histograms.from_plan.filter(|_| open),
        way_up: delays.as_ref().map(|delays| delays.up.clone()),
        way_down: delays.as_ref().map(|delays| delays.down.clone()),
        ipdv_up: ipdv.as_ref().map(|(ways, _)| ways.up.clone()),
        ipdv_down: ipdv.as_ref().map(|(ways, _)| ways.down.clone()),
        inside: all.stamp.as_ref().map(|stamp| stamp.inside().clone()).filter(|inside| !inside.is_empty()),
        ..summary.histograms
    };
    let points = config.percentiles.iter();
    Ok(Summary {
        chosen: points.map(|percent| Chosen::new(*percent, &histograms)).collect(),
        histograms,
        one_way: delays.map(|delays| delays.report),
        ipdv_ways: ipdv.map(|(_, report)| report),
        stamp: all.stamp.as_ref().map(Figures::report),
        from_plan: summary.from_plan.filter(|_| open),
        flows: all.flows.into_iter().map(|(_, flow)| flow).collect(),
        strangers: all.strangers,
        took: all.end.saturating_sub(all.start),
        behind_since: all.behind.missed_since().map(|since| since.saturating_sub(all.start)),
        drained: all.closed.saturating_sub(all.end),
        aborted: all.aborted,
        started: all.started,
        intervals: Some(all.intervals),
        ..summary
    })
}
