//! One thread of a run: it follows the schedule of its flows and keeps their books.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polyport_protocol::client::Slot;
use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::{Exit, Interrupt};

use super::behind::Behind;
use super::config::Config;
use super::feed;
use super::histogram::Latencies;
use super::intervals::Intervals;
use super::ipdv::Ways;
use super::ledger::{Ledger, NotSent};
use super::live::{Counters, Live};
use super::one_way::OneWay;
use super::outbox::TRAIN_BATCH;
use super::pacing::{self, Pacing};
use super::part::Part;
use super::pin;
use super::progress::Progress;
use super::schedule::Schedule;
use super::stamp::figures::Figures;
use super::summary::{Flow, Local};
use super::transceiver::Transceiver;
use super::turn::Turn;
use super::view::run::{self, Run};
use crate::clock::{Clock, time_of_day};
use crate::outcome::ExitError;
use crate::strangers::Strangers;

/// How often timeouts are noticed. They are judged by the times of the datagrams, so this moves no result; it only
/// delays the count in flight.
const SWEEP: Nanos = 10 * MILLISECOND;

/// Datagrams that may leave after the end of a schedule: what a pause of this machine just before the end has held up.
/// More would be a load after the load.
const OVERTIME: u64 = 1024;

/// Whether a run is to end early: its user wants that, or one of its threads has failed.
#[derive(Clone, Copy, Debug)]
pub struct Halt<'r> {
    interrupt: &'r Interrupt,
    failed: &'r AtomicBool,
}

/// One thread of a run.
#[derive(Debug)]
pub struct Worker<'r> {
    config: &'r Config,
    clock: Clock,
    part: Part,
    halt: Halt<'r>,
    /// Its sockets and books.
    pub transceiver: Transceiver<'r>,
    live: Option<&'r Live>,
    /// For a live view.
    watched: Option<&'r Run>,
    turn: feed::Turn,
    /// Of one of all threads.
    progress: Option<Progress>,
    next_sweep: Nanos,
    started: Duration,
}

/// What a thread found out, its books closed.
#[derive(Debug)]
pub struct Done {
    /// Its books.
    pub ledger: Ledger,
    /// Its histograms.
    pub latencies: Latencies,
    /// Its delays of each way, if they are asked for.
    pub one_way: Option<OneWay>,
    /// By how much those of neighbours differ.
    pub ways: Option<Ways>,
    /// What reflectors of STAMP told, if the targets are such.
    pub stamp: Option<Figures>,
    /// Its part of the load over time.
    pub intervals: Intervals,
    /// What its sockets say.
    pub local: Local,
    /// Its flows, with their numbers in the run.
    pub flows: Vec<(u32, Flow)>,
    /// Who answered without having been asked.
    pub strangers: Strangers,
    /// Since when it was behind.
    pub behind: Behind,
    /// When the load began.
    pub start: Nanos,
    /// When the load began, as a span since 1970-01-01 UTC; zero if it never did.
    pub started: Duration,
    /// When its schedule had ended.
    pub end: Nanos,
    /// When it had waited for the last answers.
    pub closed: Nanos,
    /// Whether the run was broken off.
    pub aborted: bool,
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

impl<'r> Halt<'r> {
    /// The two reasons.
    #[must_use]
    pub const fn new(interrupt: &'r Interrupt, failed: &'r AtomicBool) -> Self {
        Self { interrupt, failed }
    }

    fn is_wanted(&self) -> bool {
        self.interrupt.is_set() || self.failed.load(Ordering::Relaxed)
    }
}

impl Done {
    /// Adds what another thread found out, once both books were found in order.
    ///
    /// # Errors
    /// The intervals do not fit, which is a fault of ours: all threads of a run have the same.
    pub fn absorb(&mut self, other: Self) -> Result<(), ExitError> {
        self.intervals.merge(&other.intervals).map_err(|error| ExitError::new(Exit::Software, error))?;
        self.ledger.absorb(&other.ledger);
        self.latencies.add(&other.latencies);
        if let (Some(mine), Some(theirs)) = (&mut self.one_way, other.one_way) {
            mine.absorb(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.ways, &other.ways) {
            mine.add(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.stamp, &other.stamp) {
            mine.absorb(theirs);
        }
        self.local.absorb(other.local);
        self.flows.extend(other.flows);
        self.strangers.absorb(&other.strangers);
        self.behind.absorb(&other.behind);
        self.end = self.end.max(other.end);
        self.closed = self.closed.max(other.closed);
        self.aborted |= other.aborted;
        Ok(())
    }
}

impl<'r> Worker<'r> {
    /// Binds the sockets of a part of the run and opens its books.
    ///
    /// # Errors
    /// Those of [`Transceiver::new`].
    pub fn new(
        config: &'r Config,
        clock: Clock,
        part: Part,
        halt: Halt<'r>,
        live: Option<&'r Live>,
        watched: Option<&'r Run>,
    ) -> Result<Self, ExitError> {
        let transceiver = Transceiver::new(config, clock, part)?;
        Ok(Self {
            config,
            clock,
            part,
            halt,
            transceiver,
            live,
            watched,
            turn: feed::Turn::default(),
            progress: None,
            next_sweep: 0,
            started: Duration::ZERO,
        })
    }

    /// Makes it the one that shows how all threads get on.
    pub fn show(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// Waits for `time`, and takes what comes meanwhile; whether the run goes on, because nobody wanted its end.
    ///
    /// # Errors
    /// A socket fails.
    pub fn wait_until(&mut self, time: Nanos) -> Result<bool, ExitError> {
        while self.clock.now() < time {
            if self.halt.is_wanted() {
                return Ok(false);
            }
            if !self.transceiver.receive()? {
                let now = self.clock.now();
                self.next_sweep = now.saturating_add(SWEEP);
                let deadline = time.min(self.next_sweep);
                let sockets = self.transceiver.outbox().sockets();
                self.config
                    .pacing
                    .wait(sockets, &[], now, deadline)
                    .map_err(|error| ExitError::io("wait", &error))?;
            }
        }
        Ok(true)
    }

    /// Warm-up, load and drain, from `start` on; nothing of that if it `goes` no further.
    ///
    /// # Errors
    /// A socket fails. The other threads end then, too.
    pub fn run(mut self, start: Nanos, goes: bool) -> Result<Done, ExitError> {
        let failed = self.halt.failed;
        let done = self.follow(start, goes).and_then(|(start, end, aborted)| self.close(start, end, aborted));
        if done.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        done
    }

    /// When the load began and ended, and whether it was broken off.
    fn follow(&mut self, start: Nanos, goes: bool) -> Result<(Nanos, Nanos, bool), ExitError> {
        pacing::be_exact();
        if let Some(processor) = self.config.pin.get(self.part.index() as usize) {
            pin::keep_to(*processor)?;
        }
        let warm_up = self.config.warm_up;
        if !goes || (warm_up > 0 && self.play(start, warm_up, Phase::WarmUp)?) {
            let now = self.clock.now();
            return Ok((now, now, true));
        }
        // One schedule: the load goes on where the warm-up ended, even if that was late.
        let start = start + warm_up;
        self.begin(start)?;
        let aborted = self.play(start, self.config.duration, Phase::Load)?;
        let end = self.clock.now();
        Ok((start, end, aborted || self.drain()?))
    }

    /// The load begins at `start`.
    fn begin(&mut self, start: Nanos) -> Result<(), ExitError> {
        self.transceiver.intervals.begin(start);
        let since = self.clock.now().saturating_sub(start);
        self.started = time_of_day().saturating_sub(Duration::from_nanos(since));
        let Self { progress, started, .. } = self;
        progress.as_mut().map_or(Ok(()), |progress| progress.load(*started))
    }

    /// A live view is told what has begun. Of all threads the first one speaks.
    fn enter(&self, phase: run::Phase, since: Nanos) {
        if let Some(run) = self.watched.filter(|_| self.part.index() == 0) {
            run.enter(phase, since);
        }
    }

    /// Follows a schedule to its end; whether an earlier one is wanted.
    fn play(&mut self, start: Nanos, duration: Nanos, phase: Phase) -> Result<bool, ExitError> {
        let practice = phase == Phase::WarmUp;
        self.enter(if practice { run::Phase::WarmUp } else { run::Phase::Load }, start);
        let mut schedule = Schedule::new(self.config, self.part, start, duration, practice);
        let mut backlog: VecDeque<Slot> = VecDeque::with_capacity(TRAIN_BATCH);
        let (end, mut overtime) = (start.saturating_add(duration), OVERTIME);
        loop {
            if self.halt.is_wanted() {
                if !practice {
                    self.transceiver.ledger.skip(NotSent::Aborted, backlog.len() as u64);
                    for slot in &backlog {
                        self.transceiver.intervals.skip(NotSent::Aborted, slot.planned, 1);
                    }
                }
                return Ok(true);
            }
            let over = self.clock.now() >= end;
            if let Some(most) = self.config.in_flight {
                let waiting = self.transceiver.ledger.in_flight() + backlog.len() as u64;
                schedule.allow(self.part.share(most).saturating_sub(waiting), self.clock.now());
            }
            let Turn { left, blocked, full } =
                self.transceiver.send_due(&mut schedule, &mut backlog, practice);
            if over {
                overtime = overtime.saturating_sub(left);
                if overtime == 0 {
                    self.transceiver.give_up(&mut schedule, &mut backlog, practice, Nanos::MAX);
                }
            }
            let received = self.transceiver.receive()?;
            self.look_around(phase)?;
            let Some(next) = backlog.front().copied().or_else(|| schedule.peek()) else { return Ok(false) };
            if !received && (blocked || full || next.planned > self.clock.now()) {
                // A blocked datagram is due already: the socket tells when, the sweep looks after it. So it is with one that has
                // no room.
                let due = if blocked || full { Nanos::MAX } else { next.planned };
                self.wait(self.config.pacing, due, blocked)?;
            }
        }
    }

    /// Waits for the answers that may still come; whether an earlier end is wanted.
    fn drain(&mut self) -> Result<bool, ExitError> {
        self.enter(run::Phase::Drain, self.clock.now());
        loop {
            if self.halt.is_wanted() {
                return Ok(true);
            }
            let received = self.transceiver.receive()?;
            self.look_around(Phase::Drain)?;
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
    fn look_around(&mut self, phase: Phase) -> Result<(), ExitError> {
        let now = self.clock.now();
        let shows = self.progress.as_ref().is_some_and(|progress| now >= progress.next());
        if now >= self.next_sweep {
            self.transceiver.ledger.expire(now);
            self.next_sweep = now + SWEEP;
        } else if !shows {
            return Ok(());
        }
        let Some(live) = self.live else { return Ok(()) };
        let Transceiver { ledger, intervals, latencies, .. } = &mut self.transceiver;
        let thread = self.part.index() as usize;
        live.publish(thread, Counters::of(ledger), &mut intervals.window);
        if let Some(run) = self.watched {
            run.feed.tell(thread, &mut self.turn, ledger, latencies);
        }
        let Some(progress) = self.progress.as_mut().filter(|_| shows) else { return Ok(()) };
        // Where a thread is just telling, the next look will find what it told.
        let Some(counters) = live.gather(&mut intervals.window) else { return Ok(()) };
        progress.tick(now, phase.name(), &counters, &mut intervals.window)
    }

    fn wait(&self, pacing: Pacing, due: Nanos, blocked: bool) -> Result<(), ExitError> {
        let shows = self.progress.as_ref().map_or(Nanos::MAX, Progress::next);
        let deadline = due.min(self.next_sweep).min(shows);
        let now = self.clock.now();
        let outbox = self.transceiver.outbox();
        let full = if blocked { outbox.blocked() } else { &[] };
        pacing.wait(outbox.sockets(), full, now, deadline).map_err(|error| ExitError::io("wait", &error))
    }

    fn close(mut self, start: Nanos, end: Nanos, aborted: bool) -> Result<Done, ExitError> {
        let closed = self.clock.now();
        if let Some(progress) = &self.progress {
            progress.clear();
        }
        let Transceiver { ledger, intervals, .. } = &mut self.transceiver;
        if aborted {
            ledger.expire(closed);
            ledger.open_plans().for_each(|planned| intervals.pending(planned));
        }
        ledger.finish(closed, aborted);
        let asked = |error| ExitError::io("ask the socket", &error);
        let local = self.transceiver.local().map_err(asked)?;
        let flows = self.transceiver.flows().map_err(asked)?;
        let Self { started, transceiver, .. } = self;
        let Transceiver { ledger, latencies, one_way, ways, stamp, intervals, behind, strangers, .. } =
            transceiver;
        Ok(Done {
            ledger,
            latencies,
            one_way,
            ways,
            stamp: stamp.map(|stamp| stamp.figures),
            intervals,
            local,
            flows,
            strangers,
            behind,
            start,
            started,
            end,
            closed,
            aborted,
        })
    }
}
