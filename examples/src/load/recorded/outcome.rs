//! What came of a recording that was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_protocol::Nanos;
use polyport_terminal::{Exit, counted};

use super::books::Tally;
use crate::load::histogram::Percentiles;
use crate::outcome::ExitError;
use crate::strangers::Strangers;

/// Packets of a recording that are no datagrams, by the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skips(pub BTreeMap<String, u64>);

/// All that a run found out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Whole passes.
    pub passes: u32,
    /// Datagrams of the recording that came up to be sent, in all passes.
    pub of_recording: u64,
    /// Those that were not sent because too many waited for answers.
    pub in_flight: u64,
    /// Those that the system refused.
    pub refused: u64,
    /// Why, of the first.
    pub refusal: Option<String>,
    /// Payload octets sent.
    pub octets: u64,
    /// Packets that are no datagrams, in one pass.
    pub skips: Skips,
    /// What became of the datagrams sent.
    pub tally: Tally,
    /// Frames that came and are damaged, or sealed with another key.
    pub malformed: u64,
    /// Who else sent something.
    pub strangers: Strangers,
    /// Sources of the recording.
    pub sources: usize,
    /// Datagrams of the other way, in all passes.
    pub other_way: u64,
    /// Datagrams of pairs of addresses for which there was no room.
    pub unsorted: u64,
    /// Datagrams that were recorded before the one that stands before them.
    pub backwards: u64,
    /// Our own addresses.
    pub sockets: Vec<SocketAddr>,
    /// Datagrams that our sockets dropped.
    pub socket_drops: Option<u64>,
    /// How often a send buffer was full.
    pub eagain: u64,
    /// Answer after planned time.
    pub from_plan: Option<Percentiles>,
    /// Answer after actual sending.
    pub from_send: Option<Percentiles>,
    /// Actual sending after planned time.
    pub lag: Option<Percentiles>,
    /// Datagrams that left more than a millisecond late.
    pub late_sends: u64,
    /// From the start to the last datagram, or the abort.
    pub took: Nanos,
    /// From there to the end.
    pub drained: Nanos,
    /// The user broke it off.
    pub aborted: bool,
}

impl Skips {
    /// As words: how many for which reason.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let words: Vec<String> = self.0.iter().map(|(why, count)| format!("{why} {count}")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Outcome {
    /// Datagrams of the recording that were not sent.
    #[must_use]
    pub const fn not_sent(&self) -> u64 {
        self.in_flight + self.refused
    }

    /// The failure of a run that nobody answered, though something was asked.
    #[must_use]
    pub fn unanswered(&self) -> Option<ExitError> {
        let Tally { sent, ok, late, error, one_way, .. } = self.tally;
        if ok + late + error > 0 || (sent > 0 && sent == one_way) || self.of_recording == 0 {
            return None;
        }
        if sent == 0 {
            let why = self.refusal.as_deref().unwrap_or("too many waited for answers");
            return Some(ExitError::new(Exit::NoReply, format!("nothing was sent: {why}")));
        }
        let hint = self.strangers.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
        Some(ExitError::new(
            Exit::NoReply,
            format!("no answer to {}{hint}", counted(sent, "datagram", "datagrams")),
        ))
    }
}
