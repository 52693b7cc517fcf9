//! How much a server can take: the search for the highest rate at which it meets goals (`--find-max`), and its latency over
//! load (`--find-knee`).
//!
//! ```text
//!   aim (what the user wants) --> search (which trial next) <--> trial (one run of the engine, judged)
//!                                    |                             |
//!                                    v                             v
//!                                 report, json                  knee (sweep of rates, and where it bends)
//! ```

mod aim;
mod args;
mod find;
pub mod json;
mod knee;
mod limit;
mod report;
mod sweep;
mod trial;

use std::sync::Arc;

use polyport_terminal::{Exit, Interrupt, Style, remark};

use super::config::Config;
use super::view::View;
use crate::outcome::{ExitError, Outcome, deliver};

pub use aim::Aim;
pub use args::CapacityArgs;

/// Measures the capacity, prints it, and says how it went.
///
/// # Errors
/// Those of a run (see [`super::engine::run`]), a range of rates that is none, and a server that never answers.
pub fn run(
    args: &CapacityArgs,
    config: &Config,
    interrupt: &Interrupt,
    quiet: bool,
    json: bool,
    view: Option<View>,
) -> Outcome {
    let plan = args.plan(config)?;
    let board = view.as_ref().map(|view| Arc::clone(&view.board));
    let mut trials = trial::Trials::new(config, &plan, interrupt, quiet, board.as_deref());
    let measured = measure(&plan, &mut trials);
    let lines = trials.take_lines();
    // What is said from here on stays: the trials, too.
    drop(view);
    lines.iter().for_each(remark);
    let (search, sweep) = measured?;
    let result = json::CapacityReport::new(config, &plan, search.as_ref(), sweep, &trials);
    if json {
        deliver(crate::json::line(&result)?)?;
    } else {
        deliver(report::text(&result, Style::stdout()).trim_end())?;
    }
    let style = Style::stderr();
    report::warnings(&result).iter().for_each(|text| remark(format!("{} {text}", style.yellow("warning:"))));
    ending(&result, &trials)
}

/// All trials.
fn measure(
    plan: &args::Plan,
    trials: &mut trial::Trials<'_>,
) -> Result<(Option<find::Searched>, Option<sweep::SweepReport>), ExitError> {
    let warmed = trials.warm_up()?;
    let search = if warmed { Some(find::search(plan, trials)?) } else { None };
    let sweep = match (plan.sweep, &search) {
        (Some(wanted), Some(search)) if !trials.is_interrupted() => {
            sweep::sweep(plan, wanted, search, trials)?
        }
        _ => None,
    };
    Ok((search, sweep))
}

/// The code to end with.
fn ending(result: &json::CapacityReport, trials: &trial::Trials<'_>) -> Outcome {
    if trials.is_interrupted() {
        return Ok(Exit::Interrupted);
    }
    if let Some(unanswered) = trials.unanswered() {
        return Err(ExitError::new(Exit::NoReply, unanswered));
    }
    Ok(match result.stopped {
        Some(_) => Exit::Busy,
        None if result.goals.iter().any(|goal| goal.lower.is_none()) => Exit::Threshold,
        None => Exit::Ok,
    })
}
