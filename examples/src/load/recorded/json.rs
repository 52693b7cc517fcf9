//! What came of a recording that was sent, as one JSON object. Times are in nanoseconds.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::settings::Settings;
use crate::load::json::LatencyReport;
use crate::load::threshold::Judgement;

/// Version of the object: raised when a field changes its meaning or goes, not when one is added.
pub const FORMAT: u32 = 1;

/// What `polyport-load --pcap --json` prints. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedReport {
    /// Version of this object: raised when a field changes its meaning or goes, not when one is added.
    pub format: u32,
    /// The program and its version.
    pub program: String,
    /// The recording, as it was named.
    pub pcap: String,
    /// `max`, or a factor such as `2x`.
    pub speed: String,
    /// Passes that were asked for.
    pub passes_asked: u32,
    /// Whole passes that were sent.
    pub passes: u32,
    /// Where datagrams went.
    pub targets: Vec<SocketAddr>,
    /// After this time an answer is late.
    pub timeout_ns: Nanos,
    /// Whether the user broke the run off.
    pub aborted: bool,
    /// From the start to the last datagram, or to the abort.
    pub took_ns: Nanos,
    /// The wait for the last answers.
    pub drained_ns: Nanos,
    /// What became of all datagrams.
    pub counts: RecordedCounts,
    /// What the file had, beside what was sent.
    pub recording: RecordingReport,
    /// Distributions of times.
    pub latency: LatencyReport,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// Each threshold that was asked for.
    pub thresholds: Vec<Judgement>,
    /// Our own addresses.
    pub sockets: Vec<SocketAddr>,
    /// Datagrams that our own sockets dropped; `null` where the system does not tell.
    pub dropped_in_our_sockets: Option<u64>,
    /// The first addresses that datagrams came from which are no targets.
    pub wrong_sources: Vec<SocketAddr>,
    /// Why the system refused to send, of the first time; `null` if it never did.
    pub refusal: Option<String>,
}

/// `due = sent + not_sent_in_flight + not_sent_refused`, and `sent = ok + late + error + lost + one_way + pending_at_abort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedCounts {
    /// Datagrams of the recording that came up to be sent.
    pub due: u64,
    /// Not sent because too many waited for answers.
    pub not_sent_in_flight: u64,
    /// Not sent because the system refused.
    pub not_sent_refused: u64,
    /// Datagrams that left.
    pub sent: u64,
    /// Their payload octets.
    pub sent_octets: u64,
    /// Answered in time.
    pub ok: u64,
    /// Answered after the timeout.
    pub late: u64,
    /// Answered in time by an ERROR of PPT/1.
    pub error: u64,
    /// Not answered.
    pub lost: u64,
    /// Frames of PPT/1 that nobody answers.
    pub one_way: u64,
    /// Neither answered nor timed out when the run was broken off.
    pub pending_at_abort: u64,
    /// Further answers to a request of PPT/1.
    pub duplicates: u64,
    /// Answers to nothing that is remembered.
    pub unasked: u64,
    /// Frames that are damaged, or sealed with another key.
    pub malformed: u64,
    /// Datagrams from elsewhere.
    pub wrong_source: u64,
}

/// What a recording had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingReport {
    /// Sources that were told apart; each has a socket, as far as there are some.
    pub sources: usize,
    /// Datagrams of the other way, in all passes.
    pub other_way: u64,
    /// Datagrams of pairs of addresses for which there was no room.
    pub unsorted: u64,
    /// Datagrams that were recorded before the one that stands before them.
    pub backwards: u64,
    /// Packets that are no whole datagrams, by the reason.
    pub left_out: BTreeMap<String, u64>,
}

impl RecordedReport {
    /// All that a run found out.
    #[must_use]
    pub fn new(
        settings: &Settings,
        targets: &[SocketAddr],
        timeout: Nanos,
        outcome: &Outcome,
        judgements: &[Judgement],
    ) -> Self {
        let tally = &outcome.tally;
        Self {
            format: FORMAT,
            program: concat!("polyport-load ", env!("CARGO_PKG_VERSION")).to_owned(),
            pcap: settings.file.display().to_string(),
            speed: settings.speed.text(),
            passes_asked: settings.passes,
            passes: outcome.passes,
            targets: targets.to_vec(),
            timeout_ns: timeout,
            aborted: outcome.aborted,
            took_ns: outcome.took,
            drained_ns: outcome.drained,
            counts: RecordedCounts {
                due: outcome.of_recording,
                not_sent_in_flight: outcome.in_flight,
                not_sent_refused: outcome.refused,
                sent: tally.sent,
                sent_octets: outcome.octets,
                ok: tally.ok,
                late: tally.late,
                error: tally.error,
                lost: tally.lost,
                one_way: tally.one_way,
                pending_at_abort: tally.pending,
                duplicates: tally.duplicates,
                unasked: tally.unasked,
                malformed: outcome.malformed,
                wrong_source: outcome.strangers.count(),
            },
            recording: RecordingReport {
                sources: outcome.sources,
                other_way: outcome.other_way,
                unsorted: outcome.unsorted,
                backwards: outcome.backwards,
                left_out: outcome.skips.0.clone(),
            },
            latency: LatencyReport {
                rtt_from_plan: outcome.from_plan,
                rtt_from_send: outcome.from_send,
                lag: outcome.lag,
                // Neither the order nor the ways are looked at.
                ipdv: None,
                one_way: None,
                ipdv_ways: None,
                chosen: Vec::new(),
            },
            late_sends: outcome.late_sends,
            thresholds: judgements.to_vec(),
            sockets: outcome.sockets.clone(),
            dropped_in_our_sockets: outcome.socket_drops,
            wrong_sources: outcome.strangers.named().to_vec(),
            refusal: outcome.refusal.clone(),
        }
    }
}
