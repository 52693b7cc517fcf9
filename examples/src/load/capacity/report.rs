//! The capacity as text.

use polyport_protocol::Nanos;
use polyport_terminal::{Style, counted};

use super::json::{BoundReport, CapacityReport, GoalReport, LimitReport, StepReport, StoppedReport};
use super::sweep::SweepReport;
use crate::load::unit::{percent, rate, share, span};

/// Columns of the longest bar.
const BAR: usize = 24;

/// The summary screen.
pub(super) fn text(result: &CapacityReport, style: Style) -> String {
    let mut lines = vec![head(result, style)];
    for (number, goal) in (1..).zip(&result.goals) {
        lines.extend(self::goal(number, goal, result, style));
    }
    if let Some(sweep) = &result.sweep {
        lines.extend(self::sweep(sweep, style));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What deserves a warning, with the advice.
pub(super) fn warnings(result: &CapacityReport) -> Vec<String> {
    let mut warnings = Vec::new();
    let limited: Vec<LimitReport> =
        result.trials.iter().filter_map(|trial| trial.generator_limited).collect();
    if let Some(last) = limited.last() {
        // Who runs one from a checkout forgets it.
        let build = if cfg!(debug_assertions) { "; this is a debug build, several times slower" } else { "" };
        warnings.push(format!(
            "in {} of {} the tester was the limit, at last by {}: they say nothing of the server{build}",
            limited.len(),
            counted(result.trials.len() as u64, "trial", "trials"),
            last
        ));
    }
    warnings.extend(result.stopped.map(|stopped| {
        match stopped {
            StoppedReport::TesterTooSlow => {
                "this machine does not keep even the lowest rate: lower --min-rate, raise --max-lag, or use another one"
            }
            StoppedReport::TesterUnsteady => {
                "this machine is too busy for a search: it failed again and again at rates that it had kept; raise \
                 --max-lag, or use another one"
            }
            StoppedReport::Time => "the search took longer than --search-time: the goals are not decided",
        }
        .to_owned()
    }));
    warnings
}

fn head(result: &CapacityReport, style: Style) -> String {
    let config = &result.config;
    let targets = match config.targets.as_slice() {
        [one] => one.to_string(),
        many => format!("{} targets", many.len()),
    };
    let aborted = if result.aborted { format!("  {}", style.yellow("interrupted")) } else { String::new() };
    format!(
        " {}  {targets}  capacity from {} to {}  {} in {}  seed {}{aborted}",
        style.bold("polyport-load"),
        rate(config.min_per_second),
        rate(config.max_per_second),
        counted(result.trials.len() as u64, "trial", "trials"),
        span(result.took_ns),
        config.seed,
    )
}

fn goal(number: usize, goal: &GoalReport, result: &CapacityReport, style: Style) -> Vec<String> {
    let mut lines = vec![format!(
        " {}  {}  (width {}, trials of {} to {}, sum {}, exceed {})",
        style.bold(format!("goal {number}")),
        goal.conditions.join(", "),
        share(goal.width),
        span(goal.initial_ns),
        span(goal.final_ns),
        span(goal.sum_ns),
        share(goal.exceed_ratio),
    )];
    let missing = |end: &str| if goal.reached { end.to_owned() } else { "not decided".to_owned() };
    lines.push(match &goal.lower {
        Some(lower) => bound("lower bound", lower, goal),
        None => {
            format!("   {:<12} {}", "lower bound", missing("none: not even the lowest rate meets the goal"))
        }
    });
    lines.push(match (&goal.upper, result.tester_ceiling_per_second) {
        (Some(upper), _) => bound("upper bound", upper, goal),
        (None, Some(ceiling)) if goal.reached => format!(
            "   {:<12} unknown: above {} the tester is the limit, not the server",
            "upper bound",
            rate(ceiling)
        ),
        (None, _) => format!("   {:<12} {}", "upper bound", missing("none: the highest rate meets the goal")),
    });
    if let Some(throughput) = goal.throughput_per_second {
        let note = "answered at the lower bound, in the worst trial that counts";
        lines.push(format!("   {:<12} {:>12}  {note}", "throughput", rate(throughput)));
    }
    lines
}

fn bound(name: &str, bound: &BoundReport, goal: &GoalReport) -> String {
    let mut line = format!(
        "   {name:<12} {:>12}  {} of {} and more: good {}, bad {} ({} exceeded)",
        rate(bound.rate_per_second),
        counted(bound.trials, "trial", "trials"),
        span(goal.final_ns),
        total(bound.good_ns),
        total(bound.bad_ns),
        share(bound.exceeded_ratio),
    );
    if bound.short_trials > 0 {
        line.push_str(&format!(
            "; {}: good {}, bad {}",
            counted(bound.short_trials, "shorter one", "shorter ones"),
            total(bound.short_good_ns),
            total(bound.short_bad_ns)
        ));
    }
    line
}

fn total(time: Nanos) -> String {
    if time == 0 { "0s".to_owned() } else { span(time) }
}

/// A table with a bar for each p99, on a logarithmic scale, since a knee is a matter of decades.
fn sweep(sweep: &SweepReport, style: Style) -> Vec<String> {
    let read = |step: &StepReport| step.trial.rtt_from_plan.map(|read| read.p99.max(1));
    let all: Vec<Nanos> = sweep.steps.iter().filter_map(read).collect();
    let (least, most) = (all.iter().min().copied().unwrap_or(1), all.iter().max().copied().unwrap_or(1));
    let mut lines = vec![
        format!(
            " {}  {} up to {}  (capacity {})",
            style.bold("latency over load"),
            counted(sweep.steps.len() as u64, "step", "steps"),
            rate(sweep.steps.last().map_or(0.0, |step| step.trial.rate_per_second)),
            rate(sweep.capacity_per_second)
        ),
        style.dim(format!(
            "   {:>12}{:>14}{:>9}{:>9}{:>9}  p99 from {} to {}, logarithmic",
            "rate",
            "answered",
            "loss",
            "p50",
            "p99",
            span(least),
            span(most)
        )),
    ];
    for (index, step) in sweep.steps.iter().enumerate() {
        let trial = &step.trial;
        let time = |of: fn(&crate::load::histogram::Percentiles) -> Nanos| {
            trial.rtt_from_plan.as_ref().map_or_else(|| "-".to_owned(), |read| span(of(read)))
        };
        let is_knee = sweep.knee == Some(index);
        let note = match (is_knee, trial.generator_limited) {
            (_, Some(limit)) => format!("  tester: {limit}"),
            (true, None) => format!("  {}", style.bold("<- knee")),
            (false, None) => String::new(),
        };
        lines.push(format!(
            " {} {:>12}{:>14}{:>9}{:>9}{:>9}  {}{note}",
            if is_knee { '*' } else { ' ' },
            rate(trial.rate_per_second),
            rate(step.answered_per_second),
            percent(trial.sent - trial.ok, trial.sent),
            time(|read| read.p50),
            time(|read| read.p99),
            "\u{2588}".repeat(read(step).map_or(0, |p99| bar(p99, least, most))),
        ));
    }
    if let Some(step) = sweep.knee.and_then(|index| sweep.steps.get(index)) {
        lines.push(format!(
            "   {:<12} {:>12}  {}",
            "knee",
            rate(step.trial.rate_per_second),
            sweep.criterion
        ));
    }
    lines
}

/// Columns of the bar of a value between two others.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from one column to BAR"
)]
fn bar(value: Nanos, least: Nanos, most: Nanos) -> usize {
    if most <= least {
        return 1;
    }
    let place = (value as f64 / least as f64).ln() / (most as f64 / least as f64).ln();
    1 + ((BAR - 1) as f64 * place).round() as usize
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
