//! `--pcap`: the datagrams of a recording as a load.
//!
//! ```text
//! args      the options of it
//! settings  what of it is sent, and how
//! course    which datagrams go, from which socket, to which target
//! pace      when each is due
//! books     what became of each; pure
//! run       the file, the sockets and the clock
//! outcome   what came of it
//! report    the result for people
//! json      the result for programs
//! ```

pub mod args;
pub mod books;
pub mod course;
pub mod json;
pub mod outcome;
pub mod pace;
pub mod report;
pub mod run;
pub mod settings;

use polyport_terminal::{Exit, Interrupt, Style, remark};

use self::settings::Settings;
use super::config::Config;
use super::stream::Tally;
use super::summary::Summary;
use super::threshold::{Judgement, Threshold};
use crate::outcome::{ExitError, deliver};

/// Sends a recording, prints the result, and says how it went.
///
/// # Errors
/// See [`run::run`]; also that nobody has answered.
pub fn play(
    config: &Config,
    settings: &Settings,
    thresholds: &[Threshold],
    as_json: bool,
    interrupt: &Interrupt,
) -> Result<Exit, ExitError> {
    let judge = |summary: &Summary| -> Vec<Judgement> {
        thresholds.iter().map(|threshold| threshold.judge(summary)).collect()
    };
    // What is not looked at would always be met.
    if judge(&Summary::default()).iter().any(|judged| judged.text.trim_start().starts_with("reordered")) {
        return Err(ExitError::usage(
            "--pcap does not look at the order of answers: no threshold of `reordered`",
        ));
    }
    let outcome = run::run(config, settings, interrupt)?;
    let judgements = judge(&summary(&outcome));
    if as_json {
        let report =
            json::RecordedReport::new(settings, &config.targets, config.timeout, &outcome, &judgements);
        deliver(crate::json::line(&report)?)?;
    } else {
        deliver(report::text(&outcome, settings, &config.targets, &judgements, Style::stdout()))?;
    }
    let style = Style::stderr();
    for warning in report::warnings(&outcome) {
        remark(format_args!("{} {warning}", style.yellow("warning:")));
    }
    if outcome.aborted {
        return Ok(Exit::Interrupted);
    }
    if let Some(failure) = outcome.unanswered() {
        return Err(failure);
    }
    Ok(if judgements.iter().all(|judged| judged.met) { Exit::Ok } else { Exit::Threshold })
}

/// What thresholds are judged by.
fn summary(outcome: &outcome::Outcome) -> Summary {
    let tally = &outcome.tally;
    Summary {
        planned: outcome.of_recording,
        total: Tally {
            sent: tally.sent,
            ok: tally.ok,
            late: tally.late,
            error: tally.error,
            lost_unknown: tally.lost,
            pending: tally.pending,
            dup_down: tally.duplicates,
            ..Tally::default()
        },
        skipped: [outcome.in_flight, 0, outcome.refused, 0],
        from_plan: outcome.from_plan,
        from_send: outcome.from_send,
        lag: outcome.lag,
        ..Summary::default()
    }
}
