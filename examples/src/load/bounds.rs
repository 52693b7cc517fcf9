//! What the numbers of a result that was written down may be. A file may be anybody's, and what is made of it must not overflow.

use polyport_terminal::Escaped;
use serde_json::Value;

use super::json::LoadReport;
use super::stream::Tally;
use super::summary::Summary;
use crate::target::MAX_ADDRESSES;

/// The greatest number: JSON has no greater one that every reader keeps, and sums of a thousand of them fit.
const MOST: u64 = (1 << 53) - 1;

/// Octets of the largest datagram over IPv4.
const LARGEST: usize = 65_507;

/// Flows and generators of a result at most: more than all ports of a few hosts.
const MOST_FLOWS: u64 = 1 << 18;

/// Words of one command line at most, and so its thresholds and percentiles: more than a system takes in two megabytes.
const MOST_WORDS: u64 = 1 << 18;

/// Whether a report is one that a run can have.
///
/// # Errors
/// Says what of it is too much.
pub fn check(report: &LoadReport) -> Result<(), String> {
    let lists = [
        ("targets", report.config.targets.len(), MAX_ADDRESSES as u64),
        ("ports", report.ports.len(), MAX_ADDRESSES as u64),
        ("flows", report.flows.len(), MOST_FLOWS),
        ("runs", report.runs.len(), MOST_FLOWS),
        ("intervals", report.intervals.len(), MOST_INTERVALS),
        ("thresholds", report.thresholds.len(), MOST_WORDS),
        ("percentiles", report.latency.chosen.len(), MOST_WORDS),
        (
            "words of a command",
            report.runs.iter().map(|run| run.command.len()).max().unwrap_or(0),
            MOST_WORDS,
        ),
    ];
    if let Some((name, count, most)) = lists.into_iter().find(|(_, count, most)| *count as u64 > *most) {
        return Err(format!("it has {count} {name}, and no result has more than {most}"));
    }
    for (name, octets) in [("size", report.config.size), ("payload", report.config.payload)] {
        if octets > LARGEST {
            return Err(format!("its {name} is {octets}, and no datagram has more than {LARGEST} octets"));
        }
    }
    numbers("result", &serde_json::to_value(report).map_err(|error| error.to_string())?)
}

/// Intervals of a run at most: one of each of its places, and one for what lies beyond.
const MOST_INTERVALS: u64 = super::intervals::MAX_INTERVALS + 1;

/// Whether all numbers in a value, and the keys that are numbers, are small enough.
fn numbers(name: &str, value: &Value) -> Result<(), String> {
    let too_great = |number: &dyn std::fmt::Display| {
        format!("`{}` has {number}, and no number of a result reaches 2^53", Escaped(name.as_bytes()))
    };
    match value {
        Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() >= LIMIT) => {
            Err(too_great(number))
        }
        Value::Array(values) => values.iter().try_for_each(|value| numbers(name, value)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| match key.parse::<i128>() {
            Ok(number) if number.unsigned_abs() > u128::from(MOST) => Err(too_great(&number)),
            _ => numbers(key, value),
        }),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => Ok(()),
    }
}

/// 2^53.
const LIMIT: f64 = 9_007_199_254_740_992.0;

/// Whether the sums over a result stay within `MOST`, too. Such results can be added one by one.
///
/// # Errors
/// Names one that does not.
pub fn sums(summary: &Summary) -> Result<(), String> {
    let tallies = |tallies: &mut dyn Iterator<Item = &Tally>| {
        let mut sum = Tally::default();
        tallies.for_each(|tally| sum.add(tally));
        all_of(&sum)
    };
    let local = &summary.local;
    let mut intervals = [0_u64; 9];
    for (_, interval) in summary.intervals.iter().flat_map(super::intervals::Intervals::iter) {
        let numbers = [
            interval.planned,
            sum(interval.skipped),
            interval.sent,
            interval.ok,
            interval.late,
            interval.error,
            interval.pending,
            interval.late_sends,
            interval.from_plan.histogram().len(),
        ];
        intervals.iter_mut().zip(numbers).for_each(|(to, from)| *to = to.saturating_add(from));
    }
    let sums = [
        ("planned", summary.planned.max(sum(summary.skipped))),
        ("counts", all_of(&summary.total)),
        ("classes", sum(summary.classes.rows().map(|(_, count)| count))),
        ("icmp", summary.icmp.total().saturating_add(summary.icmp.disbelieved())),
        ("reorder_density", sum(summary.density.values().copied())),
        ("loss_runs", sum(summary.loss_runs.values().copied())),
        ("late_sends", summary.late_sends),
        ("ports", tallies(&mut summary.ports.iter().map(|port| &port.tally))),
        ("ports", sum(summary.ports.iter().map(|port| port.icmp))),
        ("flows", tallies(&mut summary.flows.iter().map(|flow| &flow.tally))),
        ("local", local.socket_drops.unwrap_or(0).max(local.eagain)),
        ("local", local.trains.max(local.in_trains).max(local.trains_refused)),
        ("local", local.stamps.map_or(0, |stamps| sum([stamps.used, stamps.missing, stamps.implausible]))),
        ("intervals", sum(intervals)),
    ];
    match sums.into_iter().find(|(_, sum)| *sum > MOST) {
        Some((name, _)) => Err(format!("the sum of its `{name}` reaches 2^53")),
        None => Ok(()),
    }
}

/// All counters of a tally together.
fn all_of(tally: &Tally) -> u64 {
    sum([
        tally.sent,
        tally.ok,
        tally.late,
        tally.error,
        tally.lost_up,
        tally.lost_down,
        tally.lost_unknown,
        tally.pending,
        tally.dup_up,
        tally.dup_down,
        tally.reordered,
        tally.three_reordered,
    ])
}

fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}
