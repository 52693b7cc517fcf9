//! One result of several generators: their books and histograms are added. Percentiles are read from the sum, never averaged.

use std::collections::HashMap;
use std::net::SocketAddr;

use polyport_protocol::{Nanos, SECOND};
use serde_json::Value;

use super::bounds;
use super::density;
use super::histogram::{Latency, Percent, Percentiles};
use super::ipdv::WaysReport;
use super::json::{ConfigReport, LoadReport, RateReport};
use super::loss_runs;
use super::one_way::OneWayReport;
use super::plan::Rate;
use super::restore::restore;
use super::shard;
use super::summary::{Chosen, Port, Summary};
use super::threshold::{Judgement, Threshold};
use super::{start, unit};

/// What of two configurations may differ: these belong to each generator, and are added up.
const OF_EACH: [&str; 7] = ["targets", "seed", "rate", "interval_ns", "key_id", "threads", "pin"];

/// Loads that start further apart are not one load. Clocks that a network sets agree much better.
const APART: Nanos = 2 * SECOND;

/// The sum of at least one report.
///
/// # Errors
/// Says which two do not fit, and why. With `mixed` only what cannot be added at all is refused.
pub fn merge(reports: &[(String, LoadReport)], mixed: bool) -> Result<LoadReport, String> {
    let ((first_name, first), others) = reports.split_first().ok_or("nothing to merge")?;
    let (mut config, mut total) = restore(first).map_err(|error| format!("{first_name}: {error}"))?;
    let mut runs = first.runs.clone();
    let mut thresholds: Vec<String> = first.thresholds.iter().map(|judged| judged.text.clone()).collect();
    for (name, report) in others {
        let (their, summary) = restore(report).map_err(|error| format!("{name}: {error}"))?;
        if !mixed {
            fits(first, report, &total, &summary).map_err(|why| {
                format!("{name} is of another run than {first_name}: {why}; --mixed merges them all the same")
            })?;
        }
        config.rate = shard::sum(config.rate, their.rate)
            .ok_or_else(|| format!("{name}: the sum of the rates cannot be written"))?;
        config.profile = match (config.profile.take(), their.profile) {
            (None, None) => None,
            (Some(ours), Some(theirs)) => Some(ours.plus(&theirs).ok_or_else(|| {
                format!("{name} and {first_name} change their rates at other times: no flow is their sum")
            })?),
            _ => {
                return Err(format!(
                    "{name} and {first_name}: one of them has a flow, and the other one does not"
                ));
            }
        };
        config.in_flight = match (config.in_flight, their.in_flight) {
            (None, None) => None,
            (Some(ours), Some(theirs)) => Some(
                ours.checked_add(theirs)
                    .ok_or_else(|| format!("{name}: the sum in flight cannot be written"))?,
            ),
            _ => return Err(format!("{name} and {first_name}: only one of them is a closed loop")),
        };
        let known: std::collections::HashSet<SocketAddr> = config.targets.iter().copied().collect();
        config.targets.extend(their.targets.iter().filter(|target| !known.contains(target)));
        config.duration = config.duration.max(their.duration);
        let width = config.interval.max(their.interval);
        add(&mut total, &summary).map_err(|why| format!("{name} and {first_name}: {why}"))?;
        bounds::sums(&total).map_err(|why| format!("{first_name} and those up to {name}: {why}"))?;
        config.interval = width;
        runs.extend(report.runs.iter().cloned());
        let fresh = report.thresholds.iter().filter(|judged| !thresholds.contains(&judged.text));
        thresholds.extend(fresh.map(|judged| judged.text.clone()).collect::<Vec<_>>());
    }
    let judgements = judge(&thresholds, &total)?;
    total.chosen = chosen(reports, &total)?;
    Ok(LoadReport {
        config: ConfigReport {
            rate: RateReport { count: config.rate.count, period_ns: config.rate.period },
            targets: config.targets.clone(),
            interval_ns: config.interval,
            duration_ns: config.duration,
            flow: config.profile.as_ref().map(|profile| profile.pieces().to_vec()),
            in_flight: config.in_flight,
            ..first.config.clone()
        },
        ..LoadReport::new(&config, &total, &judgements, runs)
    })
}

/// The percentiles that any of the generators was to show.
fn chosen(reports: &[(String, LoadReport)], total: &Summary) -> Result<Vec<Chosen>, String> {
    let mut names: Vec<&str> = Vec::new();
    for chosen in reports.iter().flat_map(|(_, report)| &report.latency.chosen) {
        if !names.contains(&chosen.percentile.as_str()) {
            names.push(&chosen.percentile);
        }
    }
    names.into_iter().map(|name| Ok(Chosen::new(Percent::parse(name)?, &total.histograms))).collect()
}

/// The thresholds, held against other figures than when they were written down.
///
/// # Errors
/// One of them is none.
pub fn judge(texts: &[String], summary: &Summary) -> Result<Vec<Judgement>, String> {
    texts.iter().map(|text| Threshold::parse(text).map(|threshold| threshold.judge(summary))).collect()
}

/// Whether two generators did their parts of one load.
fn fits(one: &LoadReport, other: &LoadReport, first: &Summary, second: &Summary) -> Result<(), String> {
    let (Ok(Value::Object(ours)), Ok(Value::Object(theirs))) =
        (serde_json::to_value(&one.config), serde_json::to_value(&other.config))
    else {
        return Err("its configuration cannot be compared".to_owned());
    };
    let differ = |name: &&String| !OF_EACH.contains(&name.as_str()) && theirs.get(*name) != ours.get(*name);
    let different: Vec<String> = ours
        .keys()
        .filter(differ)
        .map(|name| {
            let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            format!("{name} is {} and {}", value(&theirs), value(&ours))
        })
        .collect();
    if !different.is_empty() {
        return Err(different.join(", "));
    }
    let apart = first.started.abs_diff(second.started);
    if crate::clock::nanos(apart) > APART {
        return Err(format!(
            "it started at {}, and that at {}: see --start-at",
            start::rfc3339(second.started),
            start::rfc3339(first.started)
        ));
    }
    Ok(())
}

/// Adds the figures of another generator.
fn add(total: &mut Summary, other: &Summary) -> Result<(), String> {
    total.planned += other.planned;
    total.skipped.iter_mut().zip(other.skipped).for_each(|(to, from)| *to += from);
    total.total.add(&other.total);
    total.classes.add(&other.classes);
    total.icmp.add(&other.icmp);
    total.late_sends += other.late_sends;
    join(&mut total.histograms.from_plan, &mut total.from_plan, other.histograms.from_plan.as_ref());
    join(&mut total.histograms.from_send, &mut total.from_send, other.histograms.from_send.as_ref());
    join(&mut total.histograms.lag, &mut total.lag, other.histograms.lag.as_ref());
    join(&mut total.histograms.ipdv, &mut total.ipdv, other.histograms.ipdv.as_ref());
    ways(total, other);
    differences(total, other);
    reflected(total, other);
    match (&mut total.books, &other.books) {
        (Some(ours), Some(theirs)) => {
            ours.addresses.extend(theirs.addresses.iter().cloned());
            ours.doubts.extend(theirs.doubts.iter().cloned());
        }
        (ours @ None, theirs) => ours.clone_from(theirs),
        (Some(_), None) => {}
    }
    total.density = density::sum([std::mem::take(&mut total.density), other.density.clone()].into_iter());
    total.loss_runs =
        loss_runs::sum([std::mem::take(&mut total.loss_runs), other.loss_runs.clone()].into_iter());
    ports(&mut total.ports, &other.ports);
    let (ours, theirs) = (&mut total.local, &other.local);
    // Of a sum with an unknown part nothing is known.
    let known = ours.socket_drops.is_some() && theirs.socket_drops.is_some();
    ours.absorb(theirs.clone());
    ours.socket_drops = ours.socket_drops.filter(|_| known);
    total.flows.extend(other.flows.iter().cloned());
    total.took = total.took.max(other.took);
    total.drained = total.drained.max(other.drained);
    total.behind_since = total.behind_since.into_iter().chain(other.behind_since).min();
    total.aborted |= other.aborted;
    total.started = total.started.min(other.started);
    match (&mut total.intervals, &other.intervals) {
        (Some(ours), Some(theirs)) => ours.merge(theirs),
        (ours @ None, theirs) => {
            ours.clone_from(theirs);
            Ok(())
        }
        (Some(_), None) => Ok(()),
    }
}

/// Adds the delays of each way. Where one side has none, or only a sample, no sum is true: then there is none.
fn ways(total: &mut Summary, other: &Summary) {
    let whole = |ways: &OneWayReport| ways.kept == ways.stamped;
    let both = total.one_way.filter(whole).zip(other.one_way.filter(whole));
    let (mut up, mut down) = (None, None);
    if let Some((ours, theirs)) = both {
        join(&mut total.histograms.way_up, &mut up, other.histograms.way_up.as_ref());
        join(&mut total.histograms.way_down, &mut down, other.histograms.way_down.as_ref());
        total.one_way = up.zip(down).map(|(up, down)| OneWayReport {
            up,
            down,
            error_ns: ours.error_ns.max(theirs.error_ns),
            // Each generator has a clock of its own.
            clock_offset_ns: None,
            kept: ours.kept.saturating_add(theirs.kept),
            stamped: ours.stamped.saturating_add(theirs.stamped),
        });
    } else {
        (total.histograms.way_up, total.histograms.way_down, total.one_way) = (None, None, None);
    }
}

/// Adds the differences of neighbours on each way. Where one side has none, its part is missing and there is no sum.
fn differences(total: &mut Summary, other: &Summary) {
    let (mut up, mut down) = (None, None);
    if total.ipdv_ways.is_some() && other.ipdv_ways.is_some() {
        join(&mut total.histograms.ipdv_up, &mut up, other.histograms.ipdv_up.as_ref());
        join(&mut total.histograms.ipdv_down, &mut down, other.histograms.ipdv_down.as_ref());
    } else {
        (total.histograms.ipdv_up, total.histograms.ipdv_down) = (None, None);
    }
    total.ipdv_ways = up.zip(down).map(|(up, down)| WaysReport { up, down });
}

/// Adds what reflectors told.
fn reflected(total: &mut Summary, other: &Summary) {
    let mut inside = None;
    join(&mut total.histograms.inside, &mut inside, other.histograms.inside.as_ref());
    match (&mut total.stamp, &other.stamp) {
        (Some(ours), Some(theirs)) => ours.add(theirs, inside),
        (ours @ None, theirs) => ours.clone_from(theirs),
        (Some(_), None) => {}
    }
}

fn ports(ours: &mut Vec<Port>, theirs: &[Port]) {
    let places: HashMap<SocketAddr, usize> =
        ours.iter().enumerate().map(|(place, port)| (port.address, place)).collect();
    for port in theirs {
        let Some(known) = places.get(&port.address).and_then(|place| ours.get_mut(*place)) else {
            ours.push(port.clone());
            continue;
        };
        known.tally.add(&port.tally);
        known.icmp += port.icmp;
        join(&mut known.histogram, &mut known.from_plan, port.histogram.as_ref());
    }
}

fn join<C: hdrhistogram::Counter>(
    ours: &mut Option<Latency<C>>,
    read: &mut Option<Percentiles>,
    theirs: Option<&Latency<C>>,
) {
    match (ours.as_mut(), theirs) {
        (Some(ours), Some(theirs)) => ours.add(theirs),
        (None, Some(theirs)) => *ours = Some(theirs.clone()),
        (_, None) => {}
    }
    *read = ours.as_ref().and_then(Latency::percentiles);
}

/// The rate of a report in words.
#[must_use]
pub fn rate_words(report: &LoadReport) -> String {
    let RateReport { count, period_ns } = report.config.rate;
    format!("{} for {}", Rate { count, period: period_ns }, unit::span(report.config.duration_ns))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
