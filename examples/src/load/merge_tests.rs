use std::time::Duration;

use polyport_protocol::MILLISECOND;
use proptest::prelude::*;

use super::*;
use crate::load::class::Class;
use crate::load::config::{Config, example};
use crate::load::generator::RunReport;
use crate::load::histogram::{TargetLatency, TotalLatency};
use crate::load::intervals::Intervals;
use crate::load::json::PortReport;
use crate::load::shard::Shard;
use crate::load::stream::Tally;
use crate::load::summary::Histograms;

/// A datagram: to which of the targets, when, and how long its answer took, if one came.
type Sent = (usize, Nanos, Option<Nanos>);

const TARGETS: usize = 6;
const LENGTH: Nanos = 5 * SECOND;

fn targets() -> Vec<SocketAddr> {
    (0..TARGETS).map(|place| ([127, 0, 0, 1], 7000 + u16::try_from(place).unwrap()).into()).collect()
}

/// The result of a generator that sent these to `targets`.
fn result(targets: &[SocketAddr], rate: Rate, shard: Option<Shard>, sent: &[Sent]) -> LoadReport {
    let config = Config { duration: LENGTH, rate, shard, ..example(targets.to_owned()) };
    let mut intervals = Intervals::new(LENGTH, SECOND).unwrap();
    let [mut plan, mut send, mut lag] = [0; 3].map(|_| TotalLatency::total().unwrap());
    let mut ports: Vec<_> =
        targets.iter().map(|_| (Tally::default(), TargetLatency::target().unwrap())).collect();
    for (target, at, answer) in sent {
        let place = targets.iter().position(|known| *known == self::targets()[*target]).unwrap();
        let (tally, latency) = &mut ports[place];
        let left = at + 1000 + at % 977;
        intervals.plan(*at, 1);
        intervals.left(*at, left);
        lag.record(left - at);
        tally.sent += 1;
        let Some(took) = answer else {
            tally.lost_unknown += 1;
            continue;
        };
        intervals.answered(Class::Ok, *at, left, left + took);
        plan.record(left + took - at);
        send.record(*took);
        latency.record(left + took - at);
        tally.ok += 1;
    }
    let mut total = Tally::default();
    ports.iter().for_each(|(tally, _)| total.add(tally));
    let ports = targets.iter().zip(ports).map(|(address, (tally, latency))| Port {
        address: *address,
        tally,
        icmp: 0,
        from_plan: latency.percentiles(),
        histogram: (!latency.is_empty()).then_some(latency),
    });
    let some = |latency: TotalLatency| (!latency.is_empty()).then_some(latency);
    let summary = Summary {
        planned: total.sent,
        total,
        from_plan: plan.percentiles(),
        from_send: send.percentiles(),
        lag: lag.percentiles(),
        ports: ports.collect(),
        took: LENGTH,
        histograms: Histograms {
            from_plan: some(plan),
            from_send: some(send),
            lag: some(lag),
            ..Histograms::default()
        },
        intervals: Some(intervals),
        ..Summary::default()
    };
    LoadReport::new(&config, &summary, &[], vec![RunReport::new(&config, Vec::new(), Duration::from_secs(1))])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever was sent and answered: the shards of a load, merged, have the books and histograms of one generator that did all.
    #[test]
    fn shards_add_up_to_what_one_generator_sees(
        sent in prop::collection::vec((0..TARGETS, 0..LENGTH, prop::option::weighted(0.9, 1..20 * SECOND)), 1..400),
        count in 1..=3_u32,
    ) {
        let rate = Rate { count: 600, period: SECOND };
        let whole = result(&targets(), rate, None, &sent);
        let parts: Vec<(String, LoadReport)> = (0..count).map(|index| {
            let shard = Shard { index, count };
            let ours = shard.share(targets());
            let sent: Vec<Sent> =
                sent.iter().copied().filter(|(target, ..)| ours.contains(&targets()[*target])).collect();
            let part = shard::part(rate, ours.len(), TARGETS).unwrap();
            (shard.to_string(), result(&ours, part, Some(shard), &sent))
        }).collect();
        let sum = merge(&parts, false).unwrap();
        prop_assert_eq!(&sum.counts, &whole.counts);
        prop_assert_eq!(&sum.latency, &whole.latency);
        prop_assert_eq!(&sum.histograms, &whole.histograms);
        prop_assert_eq!(&sum.intervals, &whole.intervals);
        prop_assert_eq!(&sum.config.rate, &whole.config.rate);
        prop_assert_eq!(sum.runs.len(), parts.len());
        let sorted = |report: &LoadReport| -> Vec<PortReport> {
            let mut ports = report.ports.clone();
            ports.sort_by_key(|port| port.target);
            ports
        };
        prop_assert_eq!(sorted(&sum), sorted(&whole));
    }
}

#[test]
fn percentiles_are_read_from_the_sum_and_not_averaged() {
    let (fast, slow) = (MILLISECOND, 100 * MILLISECOND);
    let sent = |target, took, count: u64| -> Vec<Sent> {
        (0..count).map(|index| (target, index * MILLISECOND, Some(took))).collect()
    };
    let rate = Rate { count: 100, period: SECOND };
    let of = |target: usize, took, count| {
        (target.to_string(), result(&[targets()[target]], rate, None, &sent(target, took, count)))
    };
    let sum = merge(&[of(0, fast, 990), of(1, slow, 5)], true).unwrap();
    let read = sum.latency.rtt_from_send.unwrap();
    // The mean of both medians would be 50 ms, and that of both p99 as well.
    assert!(read.p50 < 2 * fast && read.p99 < 2 * fast && read.max == slow, "{read:?}");
}
