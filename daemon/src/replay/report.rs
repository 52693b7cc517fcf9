//! What was sent, how late, and what came back.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest delay that is told apart: an hour. Longer ones count as that.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// What a replay has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Report {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Datagrams that the system did not take.
    pub failed: u64,
    /// Why, of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Sources of the recording.
    pub sources: usize,
    /// Sources that had the socket of another one.
    pub shared_sources: u64,
    /// Packets that were left out, by the reason.
    pub skipped: BTreeMap<String, u64>,
    /// Datagrams of the other direction, which are not sent.
    pub other_direction: u64,
    /// Datagrams that were recorded before the one that stands before them.
    pub backwards: u64,
    /// How far behind the schedule datagrams left; none without a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// Datagrams that came back.
    pub answers: u64,
    /// Their payload bytes.
    pub answer_bytes: u64,
    /// Answers that the recording has; none if nobody recorded them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_answers: Option<u64>,
    /// Their payload bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_answer_bytes: Option<u64>,
    /// Sockets that got other answers, by number or bytes, than their sources had then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differing: Option<usize>,
    /// From the first datagram until the last one was sent, seconds.
    pub seconds: f64,
}

/// How far behind the schedule datagrams left, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Late {
    /// Half of them at most so much.
    pub p50_ns: u64,
    /// 99 of 100 at most so much.
    pub p99_ns: u64,
    /// The latest.
    pub max_ns: u64,
}

/// Gathers how late datagrams are.
#[derive(Debug)]
pub(super) struct Lateness(Option<Histogram<u64>>);

impl Lateness {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 2).ok())
    }

    pub(super) fn note(&mut self, late: Duration) {
        let ns = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(ns);
        }
    }

    pub(super) fn told(&self) -> Option<Late> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| histogram.value_at_quantile(quantile);
        Some(Late { p50_ns: at(0.5), p99_ns: at(0.99), max_ns: histogram.max() })
    }
}
