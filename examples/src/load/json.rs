//! The result of a run as one JSON object. Times are in nanoseconds, counts are whole numbers; all of them stay below 2^53,
//! which the limits of a run see to ([`super::plan::LONGEST`]), but for the seed, which is a string.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU8;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrival;
use super::books::compare::BooksReport;
use super::config::{Config, Expect};
use super::drain::Drain;
use super::generator::{PROGRAM, RunReport};
use super::gso::Gso;
use super::hdr;
use super::histogram::Percentiles;
use super::intervals::Intervals;
use super::ledger::NotSent;
use super::pacing::Pacing;
use super::plan::Distribution;
use super::profile::Piece;
use super::stamp::figures::StampReport;
use super::stamp::settings::StampSettings;
use super::stamps::RxTime;
use super::stream::Tally;
use super::summary::{Flow, Local, Port, Summary};
use super::threshold::Judgement;

pub use super::distributions::{HistogramsReport, IntervalReport, LatencyReport};

/// Version of the object: raised when a field changes its meaning or goes, not when one is added.
pub const FORMAT: u32 = 3;

/// What `polyport-load --json` prints. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    /// Version of this object: raised when a field changes its meaning or goes, not when one is added.
    pub format: u32,
    /// The program and its version.
    pub program: String,
    /// The generators of the load: one, or all whose results were merged.
    pub runs: Vec<RunReport>,
    /// What the run was to do.
    pub config: ConfigReport,
    /// Whether the user broke the run off.
    pub aborted: bool,
    /// From the start of the schedule to its end, or to the abort.
    pub took_ns: Nanos,
    /// From the end of the schedule to the end of the run: the wait for the last answers.
    pub drained_ns: Nanos,
    /// Sums over all targets.
    pub counts: CountsReport,
    /// Datagrams received, by class; each is in one.
    pub classes: BTreeMap<String, u64>,
    /// ERROR frames that were first answers, by their code.
    pub errors: BTreeMap<String, u64>,
    /// ICMP messages about datagrams of the load, by type and code.
    pub icmp: BTreeMap<String, u64>,
    /// ICMP messages that quote no datagram of the run, or too little of one.
    pub icmp_disbelieved: u64,
    /// Datagrams sent a second. Less than was asked for if some were not sent.
    pub achieved_per_second: u64,
    /// When in the load the tester fell behind so far that it gave datagrams up; `null` if it never did.
    pub behind_since_ns: Option<Nanos>,
    /// Distributions of times.
    pub latency: LatencyReport,
    /// By how many places first answers were displaced within a stream, as the key, and how often: 0 in order, above it late, below it
    /// early (reorder density, RFC 5236).
    pub reorder_density: BTreeMap<String, u64>,
    /// How many losses came in a row within a stream, as the key, and how often (loss periods, RFC 3357).
    pub loss_runs: BTreeMap<String, u64>,
    /// These distributions with all their buckets.
    pub histograms: HistogramsReport,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// The load over time, without its warm-up: a datagram counts in the interval in which it was planned.
    pub intervals: Vec<IntervalReport>,
    /// Each threshold that was asked for.
    pub thresholds: Vec<Judgement>,
    /// Each target.
    pub ports: Vec<PortReport>,
    /// Each flow.
    pub flows: Vec<FlowReport>,
    /// What happened on this side.
    pub local: Local,
    /// What reflectors told; `null` without `--stamp`.
    pub stamp: Option<StampReport>,
    /// What a daemon's books say of what arrived, with `--expect nothing`. Then `ok` is what arrived at handlers, all losses are on the way up, and
    /// there are neither flows nor intervals. Where the books could not be had, there is no address, all that left is `lost_unknown`, and the
    /// first doubt says why.
    pub books: Option<BooksReport>,
}

/// What the run was to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigReport {
    /// Where datagrams go.
    pub targets: Vec<SocketAddr>,
    /// Datagrams a time, over all targets.
    pub rate: RateReport,
    /// How datagrams arrive that have a rate.
    pub arrival: Arrival,
    /// How the rate goes over the load, whose highest one is `rate`; `null` if it is one.
    pub flow: Option<Vec<Piece>>,
    /// Length of an interval: that of `--interval`, or a multiple of it for a long run.
    pub interval_ns: Nanos,
    /// Length of the measured part.
    pub duration_ns: Nanos,
    /// Length of the warm-up, which is not counted.
    pub warmup_ns: Nanos,
    /// How long answers were waited for at the end.
    pub drain: DrainReport,
    /// After this time an answer is late.
    pub timeout_ns: Nanos,
    /// How targets take turns.
    pub distribution: Distribution,
    /// How planned times are waited for.
    pub pacing: Pacing,
    /// Our own ports that take turns, each with a stream to each target.
    pub flows: u32,
    /// Another name of `flows`.
    pub streams: u32,
    /// Threads among which the flows are divided.
    pub threads: u32,
    /// The processors that the threads keep to; empty if the system chooses.
    pub pin: Vec<u32>,
    /// Whether datagrams may leave and come as trains.
    pub gso: Gso,
    /// Whose clock says when an answer came.
    pub rx_time: RxTime,
    /// Octets of payload.
    pub payload: usize,
    /// Octets of the whole datagram, or of the longest one.
    pub size: usize,
    /// Sizes with their shares, if there are several.
    pub sizes: Option<String>,
    /// What datagrams are made from, if each is another text.
    pub template: Option<String>,
    /// Datagrams that wait for answers at once, in a closed loop; `null` where the rate does not depend on answers.
    pub in_flight: Option<u64>,
    /// DSCP and congestion bits of what is sent; `null` leaves them to the system.
    pub tos: Option<u8>,
    /// Hops that what is sent may make; `null` leaves them to the system.
    pub ttl: Option<u8>,
    /// Whether the targets were asked when they received and answered.
    pub one_way: bool,
    /// What is asked of reflectors of STAMP; `null` if the targets are none.
    pub stamp: Option<StampSettings>,
    /// What an answer looks like.
    pub expect: Expect,
    /// Whether the targets send every datagram back as it is.
    pub raw_echo: bool,
    /// Whether every target was asked for an answer before the load.
    pub handshake: bool,
    /// Most datagrams without answer and not timed out.
    pub max_in_flight: u64,
    /// Seed of ids and of random turns.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seed: u64,
    /// The key that seals frames.
    pub key_id: Option<u32>,
}

/// Datagrams a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateReport {
    /// Datagrams in each period.
    pub count: u64,
    /// The period.
    pub period_ns: Nanos,
}

/// How long answers were waited for at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DrainReport {
    /// A multiple of the longest round trip.
    Adaptive {
        /// The multiple.
        factor: u32,
        /// The wait if nothing came.
        fallback_ns: Nanos,
    },
    /// A fixed time.
    Fixed {
        /// The time.
        fixed_ns: Nanos,
    },
}

/// Sums over all targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountsReport {
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
    /// Datagrams received.
    pub received: u64,
    /// Datagrams received that are no valid frames.
    pub malformed: u64,
    /// What became of the datagrams sent.
    #[serde(flatten)]
    pub tally: TallyReport,
}

/// What became of the datagrams sent: `sent = ok + late + error + lost + pending_at_abort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TallyReport {
    /// Datagrams that left.
    pub sent: u64,
    /// Datagrams answered within the timeout, without error.
    pub ok: u64,
    /// Datagrams answered after the timeout.
    pub late: u64,
    /// Datagrams answered by an ERROR within the timeout.
    pub error: u64,
    /// Datagrams not answered: `lost_up + lost_down + lost_unknown`.
    pub lost: u64,
    /// Datagrams not answered that the responder had not seen.
    pub lost_up: u64,
    /// Datagrams not answered that the responder had seen.
    pub lost_down: u64,
    /// Datagrams not answered of which no answer to a neighbour told more.
    pub lost_unknown: u64,
    /// Datagrams neither answered nor timed out when the run was broken off.
    pub pending_at_abort: u64,
    /// Further answers to a request that arrived twice.
    pub dup_up: u64,
    /// Further copies of an answer.
    pub dup_down: u64,
    /// First answers that a later one overtook.
    pub reordered: u64,
    /// First answers that three later ones overtook.
    pub three_reordered: u64,
}

/// The result of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortReport {
    /// The target.
    pub target: SocketAddr,
    /// Answer after planned time; `null` where nothing was measured.
    pub rtt_from_plan: Option<Percentiles>,
    /// The buckets of `rtt_from_plan`, as in [`HistogramsReport`].
    pub histogram: Option<String>,
    /// ICMP messages about the datagrams sent to it.
    pub icmp: u64,
    /// What became of the datagrams sent to it.
    #[serde(flatten)]
    pub tally: TallyReport,
}

/// The result of one of our own ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowReport {
    /// Its address in each family of the targets.
    pub sockets: Vec<SocketAddr>,
    /// The thread that had it, from 0.
    pub thread: u32,
    /// What became of the datagrams sent from it.
    #[serde(flatten)]
    pub tally: TallyReport,
}

impl LoadReport {
    /// All that a run found out.
    #[must_use]
    pub fn new(config: &Config, summary: &Summary, judgements: &[Judgement], runs: Vec<RunReport>) -> Self {
        let classes = &summary.classes;
        Self {
            format: FORMAT,
            program: PROGRAM.to_owned(),
            runs,
            config: ConfigReport {
                interval_ns: summary.intervals.as_ref().map_or(config.interval, Intervals::width),
                ..ConfigReport::new(config)
            },
            aborted: summary.aborted,
            took_ns: summary.took,
            drained_ns: summary.drained,
            counts: CountsReport::new(summary),
            classes: classes.rows().map(|(name, count)| (name.to_owned(), count)).collect(),
            errors: classes.codes().map(|(code, count)| (code.0.to_string(), count)).collect(),
            icmp: summary.icmp.by_name(),
            icmp_disbelieved: summary.icmp.disbelieved(),
            achieved_per_second: summary.achieved(config.duration),
            behind_since_ns: summary.behind_since,
            latency: LatencyReport::new(summary),
            reorder_density: summary
                .density
                .iter()
                .map(|(place, count)| (place.to_string(), *count))
                .collect(),
            loss_runs: summary.loss_runs.iter().map(|(length, count)| (length.to_string(), *count)).collect(),
            histograms: HistogramsReport::new(summary),
            late_sends: summary.late_sends,
            intervals: summary.intervals.as_ref().map(IntervalReport::all).unwrap_or_default(),
            thresholds: judgements.to_vec(),
            ports: summary.ports.iter().map(PortReport::new).collect(),
            flows: summary.flows.iter().map(FlowReport::new).collect(),
            local: summary.local.clone(),
            stamp: summary.stamp.clone(),
            books: summary.books.clone(),
        }
    }
}

impl LoadReport {
    /// How long the load was: as long as it was to be, or to the abort.
    #[must_use]
    pub fn length(&self) -> Nanos {
        if self.aborted { self.took_ns.min(self.config.duration_ns) } else { self.config.duration_ns }
    }
}

impl ConfigReport {
    /// What a run with this configuration is to do.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            targets: config.targets.clone(),
            rate: RateReport { count: config.rate.count, period_ns: config.rate.period },
            arrival: config.arrival,
            flow: config.profile.as_ref().map(|profile| profile.pieces().to_vec()),
            interval_ns: config.interval,
            duration_ns: config.duration,
            warmup_ns: config.warm_up,
            drain: match config.drain {
                Drain::Adaptive { factor, fallback } => {
                    DrainReport::Adaptive { factor, fallback_ns: fallback }
                }
                Drain::Fixed(span) => DrainReport::Fixed { fixed_ns: span },
            },
            timeout_ns: config.timeout,
            distribution: config.distribution,
            pacing: config.pacing,
            flows: config.flows,
            streams: config.flows,
            threads: config.threads,
            pin: config.pin.clone(),
            gso: config.gso,
            rx_time: config.rx_time,
            payload: config.payload,
            size: config.shape().size(),
            sizes: config.shape().mix().map(ToString::to_string),
            template: config.template.as_ref().map(ToString::to_string),
            in_flight: config.in_flight,
            tos: config.tos,
            one_way: config.one_way,
            stamp: config.stamp.as_ref().map(|stamp| stamp.settings),
            ttl: config.ttl.map(NonZeroU8::get),
            expect: config.expect,
            raw_echo: config.expect == Expect::Echo,
            handshake: config.handshake,
            max_in_flight: config.max_in_flight,
            seed: config.seed,
            key_id: config.key.as_ref().map(polyport_protocol::Key::id),
        }
    }
}

impl CountsReport {
    fn new(summary: &Summary) -> Self {
        let skipped = |reason: NotSent| summary.skipped[reason as usize];
        Self {
            planned: summary.planned,
            not_sent: summary.not_sent(),
            not_sent_in_flight: skipped(NotSent::InFlight),
            not_sent_behind: skipped(NotSent::Behind),
            not_sent_refused: skipped(NotSent::Refused),
            not_sent_aborted: skipped(NotSent::Aborted),
            received: summary.classes.total(),
            malformed: summary.classes.malformed(),
            tally: TallyReport::new(&summary.total),
        }
    }
}

impl TallyReport {
    const fn new(tally: &Tally) -> Self {
        Self {
            sent: tally.sent,
            ok: tally.ok,
            late: tally.late,
            error: tally.error,
            lost: tally.lost(),
            lost_up: tally.lost_up,
            lost_down: tally.lost_down,
            lost_unknown: tally.lost_unknown,
            pending_at_abort: tally.pending,
            dup_up: tally.dup_up,
            dup_down: tally.dup_down,
            reordered: tally.reordered,
            three_reordered: tally.three_reordered,
        }
    }
}

impl FlowReport {
    fn new(flow: &Flow) -> Self {
        Self { sockets: flow.sockets.clone(), thread: flow.thread, tally: TallyReport::new(&flow.tally) }
    }
}

impl PortReport {
    fn new(port: &Port) -> Self {
        Self {
            target: port.address,
            rtt_from_plan: port.from_plan,
            histogram: port.histogram.as_ref().and_then(hdr::encode),
            icmp: port.icmp,
            tally: TallyReport::new(&port.tally),
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
