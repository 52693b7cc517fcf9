//! The search and the trials brought together.

use super::args::Plan;
use super::trial::{TrialReport, Trials};
use crate::load::search::{Outcome, Search, Stop, Trial};
use crate::outcome::ExitError;

/// A search that is over.
#[derive(Clone, Debug)]
pub(super) struct Searched {
    pub(super) search: Search,
    pub(super) stopped: Option<Stopped>,
}

/// Why it ended before all goals were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The tester was the limit.
    Tester(Stop),
    /// Its time was over.
    Time,
}

/// Makes trials until every goal is reached, the time is over, or the user wants the end.
///
/// # Errors
/// The range is none, or a socket fails.
pub(super) fn search(plan: &Plan, trials: &mut Trials<'_>) -> Result<Searched, ExitError> {
    let goals: Vec<_> = plan.aims.iter().map(|aim| aim.goal.clone()).collect();
    let mut search = Search::new(&goals, plan.lowest, plan.highest).map_err(ExitError::usage)?;
    while let Some(ask) = search.ask() {
        if trials.elapsed() >= plan.time {
            return Ok(Searched { search, stopped: Some(Stopped::Time) });
        }
        let Some(trial) = trials.measure(ask.rate, ask.duration)? else {
            return Ok(Searched { search, stopped: None });
        };
        search.tell(outcome(trial));
        trials.narrowed(&search.found());
    }
    let stopped = search.stopped().map(Stopped::Tester);
    Ok(Searched { search, stopped })
}

fn outcome(trial: &TrialReport) -> Outcome {
    match trial.generator_limited {
        Some(_) => Outcome::Limited(trial.reached()),
        None => Outcome::Counted(Trial {
            duration: trial.duration_ns,
            loss_ratio: trial.loss_ratio,
            good: trial.good.clone(),
        }),
    }
}
