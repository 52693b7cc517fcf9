//! The parts of the JSON that are about times: distributions, of a run or of an interval.

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hdr;
use super::histogram::Percentiles;
use super::intervals::{Interval, Intervals};
use super::ipdv::WaysReport;
use super::ledger::NotSent;
use super::one_way::OneWayReport;
use super::summary::{Chosen, Summary};

/// Distributions of times; `null` where nothing was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyReport {
    /// Answer after planned time: what a user would have waited; `null` in a closed loop, too.
    pub rtt_from_plan: Option<Percentiles>,
    /// Answer after actual sending: what server and network took.
    pub rtt_from_send: Option<Percentiles>,
    /// Actual sending after planned time: what the tester itself was late.
    pub lag: Option<Percentiles>,
    /// By how much the round trips of neighbours differ whose answers came directly one after the other (IPDV, RFC 3393, of
    /// round trips); `null` also where datagrams are not equally long.
    pub ipdv: Option<Percentiles>,
    /// Delays of each way; `null` unless `--one-way` or `--stamp` asked for them and the targets stamp.
    pub one_way: Option<OneWayReport>,
    /// By how much the delays of each way differ between neighbours whose answers came directly one after the other (IPDV, RFC 3393); no
    /// offset of clocks is in it. `null` where `one_way` is, or datagrams are not equally long.
    pub ipdv_ways: Option<WaysReport>,
    /// The percentiles of `--percentiles`.
    pub chosen: Vec<Chosen>,
}

/// Histograms with all their buckets, so that they can be added: `HdrHistogram` V2, deflated, in base64; `null` where nothing
/// was measured. Values are nanoseconds up to 60 s; those of a run have three significant digits, those of a target or of an
/// interval two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistogramsReport {
    /// Answer after planned time.
    pub rtt_from_plan: Option<String>,
    /// Answer after actual sending.
    pub rtt_from_send: Option<String>,
    /// Actual sending after planned time.
    pub lag: Option<String>,
    /// By how much the round trips of neighbours differ; of a run only.
    pub ipdv: Option<String>,
    /// Delay from us to the targets, by the estimated offset of the clocks; of a run only.
    pub way_up: Option<String>,
    /// Delay from the targets to us; of a run only.
    pub way_down: Option<String>,
    /// By how much the delays of neighbours to the targets differ; of a run only.
    pub ipdv_up: Option<String>,
    /// By how much those from the targets differ; of a run only.
    pub ipdv_down: Option<String>,
    /// How long packets were in reflectors of STAMP; of a run only.
    pub inside: Option<String>,
}

/// The datagrams planned in one interval: `planned = sent + not_sent`, `sent = ok + late + error + lost + pending_at_abort`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalReport {
    /// From the start of the load.
    pub start_ns: Nanos,
    /// Places of the schedule that came up.
    pub planned: u64,
    /// Planned datagrams not sent.
    pub not_sent: u64,
    /// Planned datagrams held back because too many waited for answers.
    pub not_sent_in_flight: u64,
    /// Planned datagrams given up because this machine is too slow for the rate, or the send buffer stayed full.
    pub not_sent_behind: u64,
    /// Planned datagrams that the system refused.
    pub not_sent_refused: u64,
    /// Planned datagrams left when the run was broken off.
    pub not_sent_aborted: u64,
    /// Datagrams that left.
    pub sent: u64,
    /// Datagrams answered within the timeout, without error.
    pub ok: u64,
    /// Datagrams answered after the timeout.
    pub late: u64,
    /// Datagrams answered by an ERROR within the timeout.
    pub error: u64,
    /// Datagrams not answered.
    pub lost: u64,
    /// Datagrams neither answered nor timed out when the run was broken off.
    pub pending_at_abort: u64,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// Distributions of times.
    pub latency: LatencyReport,
    /// These distributions with all their buckets.
    pub histograms: HistogramsReport,
}

impl LatencyReport {
    pub(super) fn new(summary: &Summary) -> Self {
        Self {
            rtt_from_plan: summary.from_plan,
            rtt_from_send: summary.from_send,
            lag: summary.lag,
            ipdv: summary.ipdv,
            one_way: summary.one_way,
            ipdv_ways: summary.ipdv_ways,
            chosen: summary.chosen.clone(),
        }
    }
}

impl HistogramsReport {
    pub(super) fn new(summary: &Summary) -> Self {
        Self {
            rtt_from_plan: summary.histograms.from_plan.as_ref().and_then(hdr::encode),
            rtt_from_send: summary.histograms.from_send.as_ref().and_then(hdr::encode),
            lag: summary.histograms.lag.as_ref().and_then(hdr::encode),
            ipdv: summary.histograms.ipdv.as_ref().and_then(hdr::encode),
            way_up: summary.histograms.way_up.as_ref().and_then(hdr::encode),
            way_down: summary.histograms.way_down.as_ref().and_then(hdr::encode),
            ipdv_up: summary.histograms.ipdv_up.as_ref().and_then(hdr::encode),
            ipdv_down: summary.histograms.ipdv_down.as_ref().and_then(hdr::encode),
            inside: summary.histograms.inside.as_ref().and_then(hdr::encode),
        }
    }
}

impl IntervalReport {
    pub(super) fn all(intervals: &Intervals) -> Vec<Self> {
        intervals.iter().map(|(start, interval)| Self::new(start, interval)).collect()
    }

    fn new(start_ns: Nanos, interval: &Interval) -> Self {
        let skipped = |reason: NotSent| interval.skipped[reason as usize];
        Self {
            start_ns,
            planned: interval.planned,
            not_sent: interval.not_sent(),
            not_sent_in_flight: skipped(NotSent::InFlight),
            not_sent_behind: skipped(NotSent::Behind),
            not_sent_refused: skipped(NotSent::Refused),
            not_sent_aborted: skipped(NotSent::Aborted),
            sent: interval.sent,
            ok: interval.ok,
            late: interval.late,
            error: interval.error,
            lost: interval.lost(),
            pending_at_abort: interval.pending,
            late_sends: interval.late_sends,
            latency: LatencyReport {
                rtt_from_plan: interval.from_plan.percentiles(),
                rtt_from_send: interval.from_send.percentiles(),
                lag: interval.lag.percentiles(),
                ipdv: None,
                one_way: None,
                ipdv_ways: None,
                chosen: Vec::new(),
            },
            histograms: HistogramsReport {
                rtt_from_plan: hdr::encode(&interval.from_plan),
                rtt_from_send: hdr::encode(&interval.from_send),
                lag: hdr::encode(&interval.lag),
                ..HistogramsReport::default()
            },
        }
    }
}
