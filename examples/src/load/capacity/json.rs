//! The capacity as one JSON object. Times are in nanoseconds, rates in datagrams a second over all targets.

use std::net::SocketAddr;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aim::Aim;
use super::args::Plan;
use super::find::{Searched, Stopped};
use super::trial::Trials;
use crate::load::config::{Config, Expect};
use crate::load::pacing::Pacing;
use crate::load::plan::Distribution;
use crate::load::search::{Bound, Found, Stop};

pub use super::limit::LimitReport;
pub use super::sweep::{StepReport, SweepReport};
pub use super::trial::TrialReport;

/// Version of the object: raised when a field changes its meaning or goes, not when one is added.
pub const FORMAT: u32 = 1;

/// What `polyport-load --find-max` and `--find-knee` print with `--json`. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityReport {
    /// Version of this object: raised when a field changes its meaning or goes, not when one is added.
    pub format: u32,
    /// The program and its version.
    pub program: String,
    /// What was to be found, and how.
    pub config: CapacityConfig,
    /// Each goal, in the order of the command line.
    pub goals: Vec<GoalReport>,
    /// Why the search ended before all goals were reached; `null` if it did not.
    pub stopped: Option<StoppedReport>,
    /// Whether the user broke it off.
    pub aborted: bool,
    /// Rate above which the tester was the limit; `null` if it was not.
    pub tester_ceiling_per_second: Option<f64>,
    /// Each trial, in the order of time; those of the sweep come last.
    pub trials: Vec<TrialReport>,
    /// Latency over load, if that was asked for.
    pub sweep: Option<SweepReport>,
    /// How long all of it took.
    pub took_ns: Nanos,
}

/// What was to be found, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityConfig {
    /// Where datagrams go.
    pub targets: Vec<SocketAddr>,
    /// The lowest rate that is tried.
    pub min_per_second: f64,
    /// The highest one.
    pub max_per_second: f64,
    /// A trial whose own lag exceeds this at p99 says nothing of the server.
    pub max_lag_ns: Nanos,
    /// After this time an answer is late, and counts as lost.
    pub timeout_ns: Nanos,
    /// How targets take turns.
    pub distribution: Distribution,
    /// How planned times are waited for.
    pub pacing: Pacing,
    /// Our own ports that take turns.
    pub flows: u32,
    /// Threads among which they are divided.
    pub threads: u32,
    /// Octets of the whole datagram.
    pub size: usize,
    /// What an answer looks like.
    pub expect: Expect,
    /// Seed of the first run; each further one has the next number.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seed: u64,
}

/// A goal and what was found for it. Names in brackets are those of draft-ietf-bmwg-mlrsearch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoalReport {
    /// What makes a trial a good one.
    pub conditions: Vec<String>,
    /// How far the bounds may lie apart, relative to the upper one (goal width).
    pub width: f64,
    /// Share of the duration sum that may be bad trials (goal exceed ratio).
    pub exceed_ratio: f64,
    /// Length of the first trials (goal initial trial duration).
    pub initial_ns: Nanos,
    /// Length of the last ones (goal final trial duration).
    pub final_ns: Nanos,
    /// How long trials of a load last together that make it a bound (goal duration sum).
    pub sum_ns: Nanos,
    /// The highest rate that met the goal, below the lowest one that did not (relevant lower bound); `null` if no rate did.
    pub lower: Option<BoundReport>,
    /// The lowest rate that did not meet the goal (relevant upper bound); `null` if all that could be tried did.
    pub upper: Option<BoundReport>,
    /// Datagrams answered a second at the lower bound (conditional throughput): in the worst of the trials that count.
    pub throughput_per_second: Option<f64>,
    /// Whether the search for it came to its end.
    pub reached: bool,
}

/// A bound, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BoundReport {
    /// Datagrams a second.
    pub rate_per_second: f64,
    /// Trials of the final length at this rate.
    pub trials: u64,
    /// How long those of them that met the goal lasted together.
    pub good_ns: Nanos,
    /// And those that did not.
    pub bad_ns: Nanos,
    /// Share of the latter.
    pub exceeded_ratio: f64,
    /// Shorter trials at this rate.
    pub short_trials: u64,
    /// How long those of them that met the goal lasted together.
    pub short_good_ns: Nanos,
    /// And those that did not.
    pub short_bad_ns: Nanos,
}

/// Why a search ended before all goals were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppedReport {
    /// The tester did not keep the lowest rate.
    TesterTooSlow,
    /// The tester failed too often at rates that it had kept before.
    TesterUnsteady,
    /// `--search-time` was over.
    Time,
}

impl CapacityReport {
    pub(super) fn new(
        config: &Config,
        plan: &Plan,
        searched: Option<&Searched>,
        sweep: Option<SweepReport>,
        trials: &Trials<'_>,
    ) -> Self {
        let found = searched.map(|searched| searched.search.found()).unwrap_or_default();
        let stopped = searched.and_then(|searched| searched.stopped).map(|stopped| match stopped {
            Stopped::Tester(Stop::TooSlow) => StoppedReport::TesterTooSlow,
            Stopped::Tester(Stop::Unsteady) => StoppedReport::TesterUnsteady,
            Stopped::Time => StoppedReport::Time,
        });
        Self {
            format: FORMAT,
            program: concat!("polyport-load ", env!("CARGO_PKG_VERSION")).to_owned(),
            config: CapacityConfig {
                targets: config.targets.clone(),
                min_per_second: plan.lowest,
                max_per_second: plan.highest,
                max_lag_ns: plan.max_lag,
                timeout_ns: config.timeout,
                distribution: config.distribution,
                pacing: config.pacing,
                flows: config.flows,
                threads: config.threads,
                size: config.shape().size(),
                expect: config.expect,
                seed: config.seed,
            },
            goals: plan.aims.iter().zip(&found).map(|(aim, found)| GoalReport::new(aim, found)).collect(),
            stopped,
            aborted: trials.is_interrupted(),
            tester_ceiling_per_second: searched.and_then(|searched| searched.search.ceiling()),
            trials: trials.done().to_vec(),
            sweep,
            took_ns: trials.elapsed(),
        }
    }
}

impl GoalReport {
    fn new(aim: &Aim, found: &Found) -> Self {
        let goal = &aim.goal;
        Self {
            conditions: aim.conditions.iter().map(ToString::to_string).collect(),
            width: goal.width,
            exceed_ratio: goal.exceed_ratio,
            initial_ns: goal.initial,
            final_ns: goal.last,
            sum_ns: goal.sum,
            lower: found.lower.as_ref().map(BoundReport::new),
            upper: found.upper.as_ref().map(BoundReport::new),
            throughput_per_second: found.throughput,
            reached: found.reached,
        }
    }
}

impl BoundReport {
    const fn new(bound: &Bound) -> Self {
        let sure = &bound.sure;
        Self {
            rate_per_second: bound.rate,
            trials: sure.trials,
            good_ns: sure.good,
            bad_ns: sure.bad,
            exceeded_ratio: sure.exceeded(),
            short_trials: sure.short_trials,
            short_good_ns: sure.good_short,
            short_bad_ns: sure.bad_short,
        }
    }
}
