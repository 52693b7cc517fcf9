//! The result of a run, from which all reports are made.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::books::compare::BooksReport;
use super::class::ClassCounts;
use super::histogram::{Latencies, Latency, Percent, Percentiles, TargetLatency, TotalLatency};
use super::icmp::IcmpCounts;
use super::intervals::Intervals;
use super::ipdv::WaysReport;
use super::ledger::{Imbalance, Ledger, NotSent};
use super::one_way::OneWayReport;
use super::stamp::figures::StampReport;
use super::stamps::StampCounts;
use super::stream::Tally;
use super::unit::per_second;
use crate::strangers::Strangers;

/// All that a run found out.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Places of the schedule that came up.
    pub planned: u64,
    /// Planned datagrams not sent, by [`NotSent`].
    pub skipped: [u64; NotSent::ALL.len()],
    /// The sums over all targets.
    pub total: Tally,
    /// Class of every received datagram.
    pub classes: ClassCounts,
    /// Answer after planned time.
    pub from_plan: Option<Percentiles>,
    /// Answer after actual sending.
    pub from_send: Option<Percentiles>,
    /// Actual sending after planned time.
    pub lag: Option<Percentiles>,
    /// By how much neighbours' round trips differ; `None` also where datagrams are not equally long.
    pub ipdv: Option<Percentiles>,
    /// Delays of each way, if they were asked for and the targets stamp.
    pub one_way: Option<OneWayReport>,
    /// By how much the delays of each way differ between neighbours; `None` also where datagrams are not equally long.
    pub ipdv_ways: Option<WaysReport>,
    /// What reflectors of STAMP told, if the targets are such.
    pub stamp: Option<StampReport>,
    /// What a daemon's books say of what arrived, where nothing is answered.
    pub books: Option<BooksReport>,
    /// The percentiles that the user chose.
    pub chosen: Vec<Chosen>,
    /// Displacements of first answers within a stream, and how often (RFC 5236).
    pub density: BTreeMap<i64, u64>,
    /// How many losses came in a row within a stream, and how often.
    pub loss_runs: BTreeMap<u64, u64>,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// Each target.
    pub ports: Vec<Port>,
    /// Each flow, that is each of our own ports.
    pub flows: Vec<Flow>,
    /// What the sockets say.
    pub local: Local,
    /// What ICMP said against datagrams of the load.
    pub icmp: IcmpCounts,
    /// Who sent what is of the class `wrong_source`.
    pub strangers: Strangers,
    /// From the start of the schedule to its end, or to the abort.
    pub took: Nanos,
    /// When in the load the tester fell behind so far that it had to give datagrams up; `None` if it never did.
    pub behind_since: Option<Nanos>,
    /// From there to the end of the run.
    pub drained: Nanos,
    /// The user broke the run off.
    pub aborted: bool,
    /// When the load began, as a span since 1970-01-01 UTC.
    pub started: Duration,
    /// All latencies of the run.
    pub histograms: Histograms,
    /// The load over time; `None` if it never began.
    pub intervals: Option<Intervals>,
}

/// All latencies of a run; `None` where nothing was recorded.
#[derive(Clone, Debug, Default)]
pub struct Histograms {
    /// Answer after planned time.
    pub from_plan: Option<TotalLatency>,
    /// Answer after actual sending.
    pub from_send: Option<TotalLatency>,
    /// Actual sending after planned time.
    pub lag: Option<TotalLatency>,
    /// By how much neighbours' round trips differ.
    pub ipdv: Option<TotalLatency>,
    /// Delay from us to the targets.
    pub way_up: Option<TotalLatency>,
    /// Delay from the targets to us.
    pub way_down: Option<TotalLatency>,
    /// By how much the delays of neighbours to the targets differ.
    pub ipdv_up: Option<TotalLatency>,
    /// By how much those of neighbours from the targets differ.
    pub ipdv_down: Option<TotalLatency>,
    /// How long packets were in reflectors of STAMP.
    pub inside: Option<TotalLatency>,
}

/// A percentile that the user chose, of each distribution; `null` where nothing was measured. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chosen {
    /// Its name, such as p99.99.
    pub percentile: String,
    /// Answer after planned time.
    pub rtt_from_plan: Option<Nanos>,
    /// Answer after actual sending.
    pub rtt_from_send: Option<Nanos>,
    /// Actual sending after planned time.
    pub lag: Option<Nanos>,
    /// By how much neighbours' round trips differ.
    pub ipdv: Option<Nanos>,
    /// Delay from us to the targets.
    pub way_up: Option<Nanos>,
    /// Delay from the targets to us.
    pub way_down: Option<Nanos>,
    /// By how much the delays of neighbours to the targets differ.
    pub ipdv_up: Option<Nanos>,
    /// By how much those of neighbours from the targets differ.
    pub ipdv_down: Option<Nanos>,
    /// How long packets were in reflectors of STAMP.
    pub inside: Option<Nanos>,
}

impl Chosen {
    /// Reads one percentile.
    #[must_use]
    pub fn new(percent: Percent, histograms: &Histograms) -> Self {
        let at = |histogram: &Option<TotalLatency>| histogram.as_ref().and_then(|read| read.at(percent));
        Self {
            percentile: percent.to_string(),
            rtt_from_plan: at(&histograms.from_plan),
            rtt_from_send: at(&histograms.from_send),
            lag: at(&histograms.lag),
            ipdv: at(&histograms.ipdv),
            way_up: at(&histograms.way_up),
            way_down: at(&histograms.way_down),
            ipdv_up: at(&histograms.ipdv_up),
            ipdv_down: at(&histograms.ipdv_down),
            inside: at(&histograms.inside),
        }
    }
}

/// The result of one target.
#[derive(Clone, Debug)]
pub struct Port {
    /// The target.
    pub address: SocketAddr,
    /// Its sums.
    pub tally: Tally,
    /// ICMP messages about the datagrams sent to it.
    pub icmp: u64,
    /// Answer after planned time.
    pub from_plan: Option<Percentiles>,
    /// Answer after planned time, with all buckets.
    pub histogram: Option<TargetLatency>,
}

/// The result of one of our own ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Its address in each family of the targets.
    pub sockets: Vec<SocketAddr>,
    /// The thread that had it, from 0.
    pub thread: u32,
    /// The sums over all targets.
    pub tally: Tally,
}

/// What happened on this side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Local {
    /// Addresses of the sockets.
    pub sockets: Vec<SocketAddr>,
    /// Datagrams that our own sockets dropped: the report of loss is wrong by as many. Unknown where the
    /// system does not tell.
    #[serde(rename = "dropped_in_our_socket")]
    pub socket_drops: Option<u64>,
    /// How often the send buffer was full.
    #[serde(rename = "send_eagain")]
    pub eagain: u64,
    /// The last other reason why the system refused to send.
    pub refusal: Option<String>,
    /// Bytes of the smallest receive buffer granted.
    pub receive_buffer: usize,
    /// Trains that left, those of the warm-up included.
    pub trains: u64,
    /// Datagrams in them.
    pub in_trains: u64,
    /// Trains that the kernel or a device refused; their datagrams, and all later ones to the same target, left one by one.
    pub trains_refused: u64,
    /// By whose clock the arrivals were told, if the kernel was asked.
    pub stamps: Option<StampCounts>,
}

impl Local {
    /// Adds what happened to another thread.
    pub fn absorb(&mut self, other: Self) {
        self.sockets.extend(other.sockets);
        self.socket_drops = match (self.socket_drops, other.socket_drops) {
            (Some(mine), Some(theirs)) => Some(mine + theirs),
            (mine, theirs) => mine.or(theirs),
        };
        self.eagain += other.eagain;
        self.refusal = self.refusal.take().or(other.refusal);
        self.receive_buffer = self.receive_buffer.min(other.receive_buffer);
        self.trains += other.trains;
        self.in_trains += other.in_trains;
        self.trains_refused += other.trains_refused;
        if let Some(theirs) = &other.stamps {
            self.stamps.get_or_insert_default().add(theirs);
        }
    }
}

impl Summary {
    /// Reads the books and the histograms.
    ///
    /// # Errors
    /// [`Imbalance`]: nothing may be reported.
    pub fn new(ledger: &Ledger, latencies: &Latencies, local: Local) -> Result<Self, Imbalance> {
        ledger.audit()?;
        let ports = ledger.targets().iter().zip(&latencies.targets).enumerate();
        Ok(Self {
            planned: ledger.planned(),
            skipped: NotSent::ALL.map(|reason| ledger.skipped(reason)),
            total: ledger.total(),
            classes: ledger.classes().clone(),
            from_plan: latencies.from_plan.percentiles(),
            from_send: latencies.from_send.percentiles(),
            lag: latencies.lag.percentiles(),
            ipdv: latencies.ipdv.percentiles(),
            one_way: None,
            ipdv_ways: None,
            stamp: None,
            books: None,
            chosen: Vec::new(),
            density: ledger.density(),
            loss_runs: ledger.loss_runs(),
            late_sends: latencies.late_sends,
            ports: ports
                .map(|(index, (address, latency))| Port {
                    address: *address,
                    tally: ledger.of_target(index),
                    icmp: ledger.refused(index),
                    from_plan: latency.as_ref().and_then(Latency::percentiles),
                    histogram: latency.clone(),
                })
                .collect(),
            flows: Vec::new(),
            local,
            icmp: ledger.icmp().clone(),
            strangers: Strangers::default(),
            took: 0,
            behind_since: None,
            drained: 0,
            aborted: false,
            started: Duration::ZERO,
            histograms: Histograms {
                from_plan: Some(latencies.from_plan.clone()),
                from_send: Some(latencies.from_send.clone()),
                lag: Some(latencies.lag.clone()),
                ipdv: Some(latencies.ipdv.clone()),
                ..Histograms::default()
            },
            intervals: None,
        })
    }

    /// Planned datagrams not sent.
    #[must_use]
    pub const fn not_sent(&self) -> u64 {
        let [in_flight, behind, refused, aborted] = self.skipped;
        in_flight + behind + refused + aborted
    }

    /// Datagrams sent a second, over a load of `duration`; one that took longer counts with its own length.
    #[must_use]
    pub fn achieved(&self, duration: Nanos) -> u64 {
        let took = if self.aborted { self.took } else { self.took.max(duration) };
        per_second(self.total.sent, took)
    }

    /// Whether datagrams were planned and none was answered: then nothing was measured.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        let Tally { ok, late, error, .. } = self.total;
        self.planned > 0 && ok + late + error == 0
    }

    /// The target with the greatest share lost; among equals the one with the longest p99.
    #[must_use]
    pub fn worst(&self) -> Option<&Port> {
        self.ports.iter().filter(|port| port.tally.sent > 0).max_by(|a, b| {
            let share =
                |port: &Port, other: &Port| u128::from(port.tally.lost()) * u128::from(other.tally.sent);
            let p99 = |port: &Port| port.from_plan.map_or(0, |read| read.p99);
            share(a, b).cmp(&share(b, a)).then_with(|| p99(a).cmp(&p99(b)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_port_lost_the_greatest_share() {
        let port = |number: u16, sent, lost_up| Port {
            address: ([127, 0, 0, 1], number).into(),
            tally: Tally { sent, lost_up, ..Tally::default() },
            icmp: 0,
            from_plan: None,
            histogram: None,
        };
        let ports = vec![port(1, 1000, 9), port(2, 10, 1), port(3, 0, 0), port(4, 100, 0)];
        let summary = Summary { ports, ..Summary::default() };
        assert_eq!(summary.worst().map(|port| port.address.port()), Some(2));
        assert!(Summary::default().worst().is_none());
    }

    #[test]
    fn any_answer_is_an_answer() {
        let of = |planned, total| Summary { planned, total, ..Summary::default() }.is_unanswered();
        assert!(of(1, Tally { sent: 1, lost_up: 1, ..Tally::default() }) && of(1, Tally::default()));
        assert!(!of(0, Tally::default()), "nothing was asked");
        for total in [
            Tally { ok: 1, ..Tally::default() },
            Tally { late: 1, ..Tally::default() },
            Tally { error: 1, ..Tally::default() },
        ] {
            assert!(!of(1, total));
        }
    }
}
