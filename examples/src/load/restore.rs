//! From the JSON of a run back to what it was made of, so that it can be shown, judged and merged like the run itself.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Counter;

use super::bounds;
use super::class::ClassCounts;
use super::config::Config;
use super::drain::Drain;
use super::hdr;
use super::histogram::{DIGITS_TARGET, DIGITS_TOTAL, Latency, Percentiles, TargetLatency};
use super::icmp::IcmpCounts;
use super::intervals::{Interval, Intervals};
use super::json::{
    ConfigReport, CountsReport, DrainReport, FORMAT, FlowReport, IntervalReport, LoadReport, PortReport,
    TallyReport,
};
use super::mix::Mix;
use super::plan::Rate;
use super::profile::Profile;
use super::stamp::settings::Stamp;
use super::stream::Tally;
use super::summary::{Flow, Histograms, Port, Summary};
use super::template::Template;
use crate::strangers::Strangers;

/// A report that was written down.
///
/// # Errors
/// Says what of it no report of ours says.
pub fn restore(report: &LoadReport) -> Result<(Config, Summary), String> {
    if report.format != FORMAT {
        return Err(format!(
            "its format is {}, and this program reads {FORMAT}: it was written by {}",
            report.format, report.program
        ));
    }
    bounds::check(report)?;
    let config = config(report)?;
    let summary = summary(report)?;
    bounds::sums(&summary)?;
    Ok((config, summary))
}

fn config(report: &LoadReport) -> Result<Config, String> {
    let ConfigReport { rate, drain, .. } = report.config;
    if rate.count == 0 || rate.period_ns == 0 {
        return Err("its rate is none".to_owned());
    }
    let config = &report.config;
    let sizes = config.sizes.as_deref().map(Mix::parse).transpose()?;
    let template = config.template.as_deref().map(Template::parse).transpose()?;
    let profile = config.flow.clone().map(Profile::new);
    if profile.as_ref().is_some_and(|profile| profile.duration() != config.duration_ns) {
        return Err("its flow is not as long as the load".to_owned());
    }
    Ok(Config {
        profile,
        arrival: config.arrival,
        sizes,
        template,
        in_flight: config.in_flight,
        tos: config.tos,
        ttl: config.ttl.and_then(NonZeroU8::new),
        one_way: config.one_way,
        books: None,
        stamp: config.stamp.map(|settings| Stamp { settings, seal: None }),
        percentiles: Vec::new(),
        targets: config.targets.clone(),
        alternatives: HashMap::new(),
        from: None,
        rate: Rate { count: rate.count, period: rate.period_ns },
        duration: config.duration_ns,
        warm_up: config.warmup_ns,
        drain: match drain {
            DrainReport::Adaptive { factor, fallback_ns } => {
                Drain::Adaptive { factor, fallback: fallback_ns }
            }
            DrainReport::Fixed { fixed_ns } => Drain::Fixed(fixed_ns),
        },
        timeout: config.timeout_ns,
        distribution: config.distribution,
        flows: config.flows,
        threads: config.threads,
        pin: config.pin.clone(),
        gso: config.gso,
        rx_time: config.rx_time,
        pacing: config.pacing,
        payload: config.payload,
        size: Some(config.size),
        expect: config.expect,
        text: None,
        handshake: config.handshake,
        max_in_flight: config.max_in_flight,
        interval: config.interval_ns,
        start_at: None,
        shard: None,
        seed: config.seed,
        key: None,
    })
}

fn summary(report: &LoadReport) -> Result<Summary, String> {
    let CountsReport { planned, ref tally, .. } = report.counts;
    let [from_plan, from_send, lag] =
        [report.latency.rtt_from_plan, report.latency.rtt_from_send, report.latency.lag];
    let (ipdv, one_way, ipdv_ways) = (report.latency.ipdv, report.latency.one_way, report.latency.ipdv_ways);
    let inside = report.stamp.as_ref().and_then(|stamp| stamp.inside);
    let texts = &report.histograms;
    let summary = Summary {
        planned,
        skipped: skipped(&report.counts),
        total: total(tally),
        classes: ClassCounts::restore(&report.classes, &report.errors)?,
        from_plan,
        from_send,
        lag,
        ipdv,
        one_way,
        ipdv_ways,
        stamp: report.stamp.clone(),
        books: report.books.clone(),
        chosen: report.latency.chosen.clone(),
        density: counted(&report.reorder_density)?,
        loss_runs: counted(&report.loss_runs)?,
        late_sends: report.late_sends,
        ports: report.ports.iter().map(port).collect::<Result<_, _>>()?,
        flows: report.flows.iter().map(flow).collect(),
        local: report.local.clone(),
        icmp: IcmpCounts::restore(&report.icmp, report.icmp_disbelieved)?,
        strangers: Strangers::default(),
        took: report.took_ns,
        behind_since: report.behind_since_ns,
        drained: report.drained_ns,
        aborted: report.aborted,
        started: started(report)?,
        histograms: Histograms {
            from_plan: latency(report.histograms.rtt_from_plan.as_deref(), DIGITS_TOTAL, from_plan.as_ref())?,
            from_send: latency(report.histograms.rtt_from_send.as_deref(), DIGITS_TOTAL, from_send.as_ref())?,
            lag: latency(report.histograms.lag.as_deref(), DIGITS_TOTAL, lag.as_ref())?,
            ipdv: latency(texts.ipdv.as_deref(), DIGITS_TOTAL, ipdv.as_ref())?,
            way_up: latency(texts.way_up.as_deref(), DIGITS_TOTAL, one_way.as_ref().map(|ways| &ways.up))?,
            way_down: latency(
                texts.way_down.as_deref(),
                DIGITS_TOTAL,
                one_way.as_ref().map(|ways| &ways.down),
            )?,
            ipdv_up: latency(
                texts.ipdv_up.as_deref(),
                DIGITS_TOTAL,
                ipdv_ways.as_ref().map(|ways| &ways.up),
            )?,
            ipdv_down: latency(
                texts.ipdv_down.as_deref(),
                DIGITS_TOTAL,
                ipdv_ways.as_ref().map(|ways| &ways.down),
            )?,
            inside: latency(texts.inside.as_deref(), DIGITS_TOTAL, inside.as_ref())?,
        },
        intervals: Some(intervals(report)?),
    };
    balanced(&summary)?;
    Ok(summary)
}

/// Counts whose keys are numbers.
fn counted<K: FromStr + Ord>(texts: &BTreeMap<String, u64>) -> Result<BTreeMap<K, u64>, String> {
    let read = |(key, count): (&String, &u64)| {
        key.parse().map(|key| (key, *count)).map_err(|_| format!("`{key}` is no number of datagrams"))
    };
    texts.iter().map(read).collect()
}

/// The identities of a run: what does not hold them was not written by it.
fn balanced(summary: &Summary) -> Result<(), String> {
    let Tally { sent, .. } = summary.total;
    let not_sent = summary.skipped.iter().try_fold(0_u64, |sum, skipped| sum.checked_add(*skipped));
    let identities = [
        ("planned = sent + not sent", Some(summary.planned), not_sent.and_then(|not| sent.checked_add(not))),
        ("sent = ok + late + error + lost + pending", Some(sent), summary.total.checked_accounted()),
    ];
    match identities.into_iter().find(|(_, left, right)| left != right) {
        Some((identity, ..)) => Err(format!("its books do not balance: {identity} does not hold")),
        None => Ok(()),
    }
}

fn started(report: &LoadReport) -> Result<Duration, String> {
    let Some(run) = report.runs.first() else { return Err("it names no generator in `runs`".to_owned()) };
    let time = humantime::parse_rfc3339(&run.started).map_err(|error| format!("{}: {error}", run.started))?;
    Ok(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

const fn skipped(counts: &CountsReport) -> [u64; 4] {
    [counts.not_sent_in_flight, counts.not_sent_behind, counts.not_sent_refused, counts.not_sent_aborted]
}

fn total(tally: &TallyReport) -> Tally {
    Tally {
        sent: tally.sent,
        ok: tally.ok,
        late: tally.late,
        error: tally.error,
        lost_up: tally.lost_up,
        lost_down: tally.lost_down,
        lost_unknown: tally.lost_unknown,
        pending: tally.pending_at_abort,
        dup_up: tally.dup_up,
        dup_down: tally.dup_down,
        reordered: tally.reordered,
        three_reordered: tally.three_reordered,
        ..Tally::default()
    }
}

fn flow(flow: &FlowReport) -> Flow {
    Flow { sockets: flow.sockets.clone(), thread: flow.thread, tally: total(&flow.tally) }
}

fn port(port: &PortReport) -> Result<Port, String> {
    let read = port.rtt_from_plan.as_ref();
    Ok(Port {
        address: port.target,
        tally: total(&port.tally),
        icmp: port.icmp,
        from_plan: port.rtt_from_plan,
        histogram: latency(port.histogram.as_deref(), DIGITS_TARGET, read)
            .map_err(|error| format!("{}: {error}", port.target))?,
    })
}

fn latency<C: Counter>(
    text: Option<&str>,
    digits: u8,
    read: Option<&Percentiles>,
) -> Result<Option<Latency<C>>, String> {
    match (text, read) {
        (Some(text), Some(read)) => hdr::decode(text, digits, read).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            Err("a histogram without its percentiles, or the other way round".to_owned())
        }
    }
}

fn intervals(report: &LoadReport) -> Result<Intervals, String> {
    let width = report.config.interval_ns.max(1);
    let kept = report.intervals.iter().zip(0_u64..).map(|(interval, place)| {
        if interval.start_ns != place.saturating_mul(width) {
            return Err(format!("interval {place} starts at {} ns", interval.start_ns));
        }
        one(interval).map_err(|error| format!("interval {place}: {error}"))
    });
    Intervals::restore(width, kept.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
}

fn one(report: &IntervalReport) -> Result<Interval, String> {
    let or_empty = |text: &Option<String>, read: &Option<Percentiles>| {
        let latency = latency(text.as_deref(), DIGITS_TARGET, read.as_ref())?;
        latency.map_or_else(|| TargetLatency::target().map_err(|error| error.to_string()), Ok)
    };
    let (texts, reads) = (&report.histograms, &report.latency);
    Ok(Interval {
        planned: report.planned,
        skipped: [
            report.not_sent_in_flight,
            report.not_sent_behind,
            report.not_sent_refused,
            report.not_sent_aborted,
        ],
        sent: report.sent,
        ok: report.ok,
        late: report.late,
        error: report.error,
        pending: report.pending_at_abort,
        late_sends: report.late_sends,
        from_plan: or_empty(&texts.rtt_from_plan, &reads.rtt_from_plan)?,
        from_send: or_empty(&texts.rtt_from_send, &reads.rtt_from_send)?,
        lag: or_empty(&texts.lag, &reads.lag)?,
    })
}
