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

use polyport_terminal::{Exit, Interrupt, Style, remark};

use super::config::Config;
use crate::outcome::{ExitError, Outcome, deliver};

pub use aim::Aim;
pub use args::CapacityArgs;

/// Measures the capacity, prints it, and says how it went.
///
/// # Errors
/// Those of a run (see [`super::engine::run`]), a range of rates that is none, and a server that never answers.
pub fn run(args: &CapacityArgs, config: &Config, interrupt: &Interrupt, quiet: bool, json: bool) -> Outcome {
    let plan = args.plan(config)?;
    let mut trials = trial::Trials::new(config, &plan, interrupt, quiet);
    let warmed = trials.warm_up()?;
    let search = if warmed { Some(find::search(&plan, &mut trials)?) } else { None };
    let sweep = match (plan.sweep, &search) {
        (Some(wanted), Some(search)) if !trials.is_interrupted() => {
            sweep::sweep(&plan, wanted, search, &mut trials)?
        }
        _ => None,
    };
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
