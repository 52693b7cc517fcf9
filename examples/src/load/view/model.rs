//! What is known of a run, from looks at what its threads tell.

use std::sync::Arc;

use hdrhistogram::CreationError;
use polyport_protocol::{MILLISECOND, Nanos, SECOND};
use polyport_terminal::Escaped;

use super::board::{Searching, Shown};
use super::history::{History, Step};
use super::run::{Phase, Run};
use crate::load::config::Expect;
use crate::load::feed::{Row, Totals};
use crate::load::histogram::{Percentiles, TargetLatency, TotalLatency};
use crate::load::ledger::NotSent;
use crate::load::live::Counters;
use crate::load::stream::Tally;
use crate::load::summary::Summary;
use crate::load::threshold::{Judgement, Threshold};

/// Between two looks at least: a picture comes every 250 ms, and more of them when keys are pressed.
const LOOK: Nanos = 240 * MILLISECOND;

/// What is known.
#[derive(Debug)]
pub(super) struct Model {
    run: Option<Arc<Run>>,
    thresholds: Arc<Vec<Threshold>>,
    pub(super) search: Option<Searching>,
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) totals: Totals,
    pub(super) counters: Counters,
    pub(super) history: History,
    /// What has come since the last look.
    window: TargetLatency,
    lag_before: TotalLatency,
    late_before: u64,
    behind_before: [u64; 2],
    /// Planned datagrams that were given up in the last look, because the tester was behind, and because too many waited.
    pub(super) given_up: [u64; 2],
    looked: Nanos,
    pub(super) now: Nanos,
}

/// What the tester itself says to being in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It does not keep the rate: so many datagrams were given up lately.
    Behind(u64),
    /// Too many wait for answers: so many were held back lately.
    InFlight(u64),
    /// Of the datagrams of the last second, so many of so many left over a millisecond late.
    Late(u64, u64),
}

/// How a threshold stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// It is met or missed.
    Judged(Judgement),
    /// What this one is about is not known yet.
    Open(String),
}

impl Model {
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            run: None,
            thresholds: Arc::default(),
            search: None,
            names: Vec::new(),
            rows: Vec::new(),
            totals: Totals::new()?,
            counters: Counters::default(),
            history: History::new()?,
            window: TargetLatency::target()?,
            lag_before: TotalLatency::total()?,
            late_before: 0,
            behind_before: [0; 2],
            given_up: [0; 2],
            looked: 0,
            now: 0,
        })
    }

    /// Looks, at `now` by the clock of the run.
    pub(super) fn look(&mut self, shown: &Shown, now: Nanos) {
        self.search.clone_from(&shown.search);
        self.thresholds = Arc::clone(&shown.thresholds);
        let Some(run) = &shown.run else { return };
        if !self.run.as_ref().is_some_and(|known| Arc::ptr_eq(known, run)) {
            self.begin(run, now);
        }
        self.now = now;
        let Some(counters) = run.live.gather(&mut self.window) else { return };
        let took = now.saturating_sub(self.looked);
        if took < LOOK {
            return;
        }
        run.feed.read(&mut self.rows, &mut self.totals);
        let mut lag = self.totals.lag.clone();
        lag.subtract(&self.lag_before);
        let unanswered = |counters: &Counters| counters.total.lost() + counters.total.expired;
        // Nothing of handshake and warm-up is counted.
        if counters.total.sent > 0 {
            self.history.take(&Step {
                took,
                sent: counters.total.sent.saturating_sub(self.counters.total.sent),
                no_answer: unanswered(&counters).saturating_sub(unanswered(&self.counters)),
                late_sends: self.totals.late_sends.saturating_sub(self.late_before),
                answers: &self.window,
                lag: &lag,
            });
        }
        let given_up = [NotSent::Behind, NotSent::InFlight].map(|why| self.totals.skipped[why as usize]);
        self.given_up = [0, 1].map(|why: usize| given_up[why].saturating_sub(self.behind_before[why]));
        self.behind_before = given_up;
        self.lag_before.clone_from(&self.totals.lag);
        self.late_before = self.totals.late_sends;
        self.window.clear();
        self.counters = counters;
        self.looked = now;
    }

    fn begin(&mut self, run: &Arc<Run>, now: Nanos) {
        self.names = run
            .config
            .targets
            .iter()
            .map(|target| Escaped(target.to_string().as_bytes()).to_string())
            .collect();
        self.rows = vec![Row::default(); self.names.len()];
        self.counters = Counters::default();
        self.window.clear();
        self.lag_before.clear();
        (self.late_before, self.behind_before, self.looked) = (0, [0; 2], now);
        self.run = Some(Arc::clone(run));
    }

    /// The run, once there is one.
    pub(super) fn run(&self) -> Option<&Run> {
        self.run.as_deref()
    }

    /// What goes on, for how long it has, and how long it will have at the end, where that is known.
    pub(super) fn phase(&self) -> Option<(Phase, Nanos, Option<Nanos>)> {
        let run = self.run()?;
        let (phase, since) = run.phase();
        let config = &run.config;
        let (passed, to_come) = (self.now.saturating_sub(since), since.saturating_sub(self.now));
        Some(match phase {
            Phase::Wait => (phase, to_come, None),
            Phase::WarmUp => (phase, passed.min(config.warm_up), Some(config.warm_up)),
            Phase::Load => (phase, passed, Some(config.duration)),
            Phase::Handshake | Phase::Drain => (phase, passed, None),
        })
    }

    /// Datagrams a second that are to be sent now, where that changes.
    pub(super) fn wanted(&self) -> Option<f64> {
        let profile = self.run()?.config.profile.as_ref()?;
        match self.phase()? {
            (Phase::Load, passed, _) => Some(profile.rate_at(passed)),
            _ => None,
        }
    }

    /// The distribution that is shown: from the planned time, or in a closed loop, where nothing was planned, from sending.
    pub(super) fn latency(&self) -> &TotalLatency {
        if self.is_closed_loop() { &self.totals.from_send } else { &self.totals.from_plan }
    }

    pub(super) fn is_closed_loop(&self) -> bool {
        self.run().is_some_and(|run| run.config.in_flight.is_some())
    }

    /// How thresholds stand: as they would if the run ended now, with what is timed out counted as lost.
    pub(super) fn standings(&self) -> Vec<Standing> {
        if self.thresholds.is_empty() {
            return Vec::new();
        }
        let nothing_comes = self.run().is_some_and(|run| run.config.expect == Expect::Nothing);
        let measured = self.counters.total.sent > 0;
        let total = self.counters.total;
        let read = |latency: &TotalLatency| -> Option<Percentiles> { latency.percentiles() };
        let summary = Summary {
            planned: self.totals.planned,
            skipped: self.totals.skipped,
            total: Tally { lost_unknown: total.lost_unknown + total.expired, ..total },
            from_plan: read(&self.totals.from_plan).filter(|_| !self.is_closed_loop()),
            from_send: read(&self.totals.from_send),
            lag: read(&self.totals.lag),
            ipdv: read(&self.totals.ipdv),
            ..Summary::default()
        };
        let stands = |threshold: &Threshold| {
            // Before something is measured nothing is missed.
            if measured && threshold.is_told_early(nothing_comes) {
                Standing::Judged(threshold.judge(&summary))
            } else {
                Standing::Open(threshold.to_string())
            }
        };
        self.thresholds.iter().map(stands).collect()
    }

    /// Whether the tester is in the way.
    pub(super) fn limit(&self) -> Option<Limit> {
        let [behind, in_flight] = self.given_up;
        if behind > 0 {
            return Some(Limit::Behind(behind));
        }
        if in_flight > 0 && !self.is_closed_loop() {
            return Some(Limit::InFlight(in_flight));
        }
        let now = self.history.now().filter(|now| now.took > 0 && now.took < 2 * SECOND)?;
        // As the warning at the end has it.
        (now.late_sends.saturating_mul(100) > now.sent).then_some(Limit::Late(now.late_sends, now.sent))
    }
}
