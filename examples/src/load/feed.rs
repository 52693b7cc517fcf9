//! What the threads of a run tell a live view, beside the counters of [`super::live`].
//!
//! A thread tells a little at a time, each time it looks for timeouts, and never waits: while the view reads there, it tells
//! nothing and goes on where it was. Nothing is allocated after the start. So a view costs the load as much as is told, and
//! not as much as is shown.

use std::sync::{Mutex, PoisonError};

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;

use super::histogram::{Latencies, TotalLatency};
use super::ledger::{Ledger, NotSent};
use super::lock::open;

/// Turns until everything is told anew, where it is not too much: with a turn each 10 ms four times a second.
const TURNS: u32 = 25;

/// Targets of a turn: a thousand of them are told in 630 ms, and each costs a few microseconds.
const TARGETS: usize = 16;

/// A target, as one thread knows it. Times are in nanoseconds, from the planned time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Datagrams that left.
    pub sent: u64,
    /// Those that were answered within the timeout, without error.
    pub ok: u64,
    /// Those that were answered after the timeout.
    pub late: u64,
    /// Those that were answered by an ERROR.
    pub error: u64,
    /// Those that had their timeout without an answer.
    pub no_answer: u64,
    /// Half of the answers took no longer; `None` where there are none.
    pub p50: Option<Nanos>,
    /// 99 of 100 answers took no longer.
    pub p99: Option<Nanos>,
    /// The longest answer.
    pub max: Option<Nanos>,
}

/// What is told of all targets together.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Answer after planned time.
    pub from_plan: TotalLatency,
    /// Answer after actual sending.
    pub from_send: TotalLatency,
    /// Actual sending after planned time.
    pub lag: TotalLatency,
    /// By how much neighbours' round trips differ.
    pub ipdv: TotalLatency,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// Places of the schedule that came up.
    pub planned: u64,
    /// Planned datagrams not sent, by [`NotSent`].
    pub skipped: [u64; NotSent::ALL.len()],
}

/// How far a thread has told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    number: u32,
    target: usize,
}

/// What each thread told last.
#[derive(Debug)]
pub struct Feed {
    threads: Vec<Mutex<Told>>,
}

#[derive(Debug)]
struct Told {
    rows: Vec<Row>,
    totals: Totals,
}

impl Row {
    fn of(ledger: &Ledger, latencies: &Latencies, target: usize) -> Self {
        let tally = ledger.of_target(target);
        let latency = latencies.targets.get(target).and_then(Option::as_ref);
        Self {
            sent: tally.sent,
            ok: tally.ok,
            late: tally.late,
            error: tally.error,
            no_answer: tally.lost() + tally.expired,
            p50: latency.and_then(|latency| latency.at_quantile(0.5)),
            p99: latency.and_then(|latency| latency.at_quantile(0.99)),
            max: latency.and_then(|latency| latency.at_quantile(1.0)),
        }
    }

    /// Adds what another thread knows. Percentiles of two threads have no sum: the longer one stays, which that of both does
    /// not exceed.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.late += other.late;
        self.error += other.error;
        self.no_answer += other.no_answer;
        self.p50 = self.p50.max(other.p50);
        self.p99 = self.p99.max(other.p99);
        self.max = self.max.max(other.max);
    }
}

impl Totals {
    /// Nothing yet.
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn new() -> Result<Self, CreationError> {
        let empty = TotalLatency::total()?;
        Ok(Self {
            from_plan: empty.clone(),
            from_send: empty.clone(),
            lag: empty.clone(),
            ipdv: empty,
            late_sends: 0,
            planned: 0,
            skipped: [0; NotSent::ALL.len()],
        })
    }

    fn clear(&mut self) {
        for latency in [&mut self.from_plan, &mut self.from_send, &mut self.lag, &mut self.ipdv] {
            latency.clear();
        }
        (self.late_sends, self.planned, self.skipped) = (0, 0, [0; NotSent::ALL.len()]);
    }

    fn add(&mut self, other: &Self) {
        self.from_plan.add(&other.from_plan);
        self.from_send.add(&other.from_send);
        self.lag.add(&other.lag);
        self.ipdv.add(&other.ipdv);
        self.late_sends += other.late_sends;
        self.planned += other.planned;
        self.skipped.iter_mut().zip(other.skipped).for_each(|(sum, part)| *sum += part);
    }
}

impl Feed {
    /// For so many threads and targets.
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn new(threads: usize, targets: usize) -> Result<Self, CreationError> {
        let told = || Ok(Mutex::new(Told { rows: vec![Row::default(); targets], totals: Totals::new()? }));
        Ok(Self { threads: (0..threads).map(|_| told()).collect::<Result<_, _>>()? })
    }

    /// A thread has its `turn`: it tells its counts, and either some targets or one histogram.
    pub fn tell(&self, thread: usize, turn: &mut Turn, ledger: &Ledger, latencies: &Latencies) {
        let Some(mut told) = self.threads.get(thread).and_then(open) else { return };
        let Told { rows, totals } = &mut *told;
        totals.late_sends = latencies.late_sends;
        totals.planned = ledger.planned();
        totals.skipped = NotSent::ALL.map(|reason| ledger.skipped(reason));
        let place = turn.number % TURNS;
        match place {
            1 => copy(&latencies.from_plan, &mut totals.from_plan),
            7 => copy(&latencies.from_send, &mut totals.from_send),
            13 => copy(&latencies.lag, &mut totals.lag),
            19 => copy(&latencies.ipdv, &mut totals.ipdv),
            _ => {
                // Few targets are told once in a while, and not over and over.
                if place == 0 && turn.target >= rows.len() {
                    turn.target = 0;
                }
                let portion = rows.iter_mut().enumerate().skip(turn.target).take(TARGETS);
                portion.for_each(|(target, row)| *row = Row::of(ledger, latencies, target));
                turn.target = turn.target.saturating_add(TARGETS);
            }
        }
        turn.number = turn.number.wrapping_add(1);
    }

    /// What all threads have told, summed up into `rows` and `totals`.
    pub fn read(&self, rows: &mut [Row], totals: &mut Totals) {
        rows.fill(Row::default());
        totals.clear();
        for thread in &self.threads {
            let told = thread.lock().unwrap_or_else(PoisonError::into_inner);
            rows.iter_mut().zip(&told.rows).for_each(|(sum, row)| sum.add(row));
            totals.add(&told.totals);
        }
    }
}

fn copy(from: &TotalLatency, to: &mut TotalLatency) {
    to.clear();
    to.add(from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::generator;
    use crate::load::ids::Ids;
    use crate::load::ledger::LedgerConfig;

    /// Books of three targets that get 4, 2 and no datagrams, all lost, and the histograms of answers that others had.
    fn books() -> (Ledger, Latencies) {
        let targets: Vec<_> = (7..10).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let mut latencies = Latencies::new(targets.len()).unwrap();
        let mut ledger = Ledger::new(LedgerConfig {
            targets,
            streams: 1,
            ring: 8,
            practice_ring: 8,
            timeout: 1000,
            max_in_flight: 99,
            first: 3,
            first_stream_id: 1,
            epoch: 0,
            ids: Ids::new(&mut generator(Some(1))),
            by_port: false,
            numbering: None,
            nameless: false,
        });
        for (target, count) in [(0, 4), (1, 2)] {
            for _ in 0..count {
                ledger.plan(1);
                ledger.send(ledger.lanes().measured(target, 0), 5, 5).unwrap();
                latencies.left(0, 2_000_000);
            }
        }
        ledger.expire(5000);
        latencies.answered(1, 0, 5, 900);
        (ledger, latencies)
    }

    #[test]
    fn a_pass_tells_everything_and_threads_add_up() {
        let (ledger, latencies) = books();
        let feed = Feed::new(2, 3).unwrap();
        let (mut rows, mut totals) = ([Row::default(); 3], Totals::new().unwrap());
        for thread in [0, 1] {
            let mut turn = Turn::default();
            (0..TURNS).for_each(|_| feed.tell(thread, &mut turn, &ledger, &latencies));
        }
        feed.read(&mut rows, &mut totals);
        assert_eq!(rows.map(|row| (row.sent, row.no_answer)), [(8, 8), (4, 4), (0, 0)]);
        assert_eq!(rows.map(|row| row.max), [None, Some(900), None]);
        assert_eq!((totals.late_sends, totals.planned), (12, 12));
        let counts = [&totals.from_plan, &totals.from_send, &totals.lag, &totals.ipdv]
            .map(|latency| latency.histogram().len());
        assert_eq!(counts, [2, 2, 12, 0]);
    }

    #[test]
    fn a_thread_that_finds_a_reader_tells_it_the_next_time() {
        let (ledger, latencies) = books();
        let feed = Feed::new(1, 3).unwrap();
        let mut turn = Turn::default();
        let reader = feed.threads[0].lock().unwrap();
        feed.tell(0, &mut turn, &ledger, &latencies);
        assert_eq!((turn.number, turn.target, reader.totals.planned), (0, 0, 0));
        drop(reader);
        feed.tell(0, &mut turn, &ledger, &latencies);
        assert_eq!(feed.threads[0].lock().unwrap().rows[0].sent, 4);
    }
}
