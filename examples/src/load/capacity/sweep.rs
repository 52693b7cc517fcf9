//! Latency over load: trials in even steps up to the capacity and a little beyond it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::args::{Plan, Steps};
use super::find::Searched;
use super::knee::{Step, knee};
use super::trial::{TrialReport, Trials};
use crate::outcome::ExitError;

/// Latency over load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepReport {
    /// What the steps are steps of, in datagrams a second: the highest lower bound that was found.
    pub capacity_per_second: f64,
    /// Each step, in the order of rates.
    pub steps: Vec<StepReport>,
    /// What makes a step the knee.
    pub criterion: String,
    /// Which step is the knee, from 0; `null` if nothing was answered.
    pub knee: Option<usize>,
}

/// A step of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The trial.
    #[serde(flatten)]
    pub trial: TrialReport,
    /// Datagrams answered a second.
    pub answered_per_second: f64,
    /// Datagrams answered a second, divided by the 99th percentile in seconds; `null` where nothing was answered, or where the tester
    /// was the limit.
    pub power: Option<f64>,
}

/// The criterion in words.
const CRITERION: &str = "greatest power: answers a second / p99 (Kleinrock)";

/// The last step lies so far beyond the capacity, so that the bend is seen.
const BEYOND: f64 = 1.1;

/// Sweeps; `None` if there is no capacity, or if the user wanted the end before there was a step.
///
/// # Errors
/// A socket fails.
pub(super) fn sweep(
    plan: &Plan,
    steps: Steps,
    searched: &Searched,
    trials: &mut Trials<'_>,
) -> Result<Option<SweepReport>, ExitError> {
    let found = searched.search.found();
    let found = found.iter().filter_map(|found| found.lower).map(|lower| lower.rate).reduce(f64::max);
    // Where not even the lowest rate is taken there is nothing to sweep.
    let Some(capacity) = found else { return Ok(None) };
    let top = (capacity * BEYOND).min(plan.highest);
    let mut reports = Vec::new();
    for number in 1..=steps.count {
        let rate = top * f64::from(number) / f64::from(steps.count);
        let Some(trial) = trials.measure(rate, steps.length)? else { break };
        reports.push(StepReport::new(trial.clone()));
    }
    let steps: Vec<Step> = reports.iter().map(StepReport::step).collect();
    let knee = knee(&steps);
    let criterion = CRITERION.to_owned();
    Ok((!reports.is_empty()).then_some(SweepReport {
        capacity_per_second: capacity,
        steps: reports,
        criterion,
        knee,
    }))
}

impl StepReport {
    fn new(trial: TrialReport) -> Self {
        let answered_per_second = trial.answered();
        let mut report = Self { trial, answered_per_second, power: None };
        report.power = report.step().power();
        report
    }

    /// Where the tester was the limit, the latency is not the server's alone.
    fn step(&self) -> Step {
        let read = self.trial.rtt_from_plan.filter(|_| self.trial.generator_limited.is_none());
        Step { answered: self.answered_per_second, p99: read.map(|read| read.p99) }
    }
}
