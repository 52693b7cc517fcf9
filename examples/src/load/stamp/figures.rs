//! What reflectors tell beside the times: their clocks, how far our packets came, and how theirs are marked.

use std::collections::BTreeMap;

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::codec::Answer;
use super::timestamp::Format;
use crate::load::histogram::{Percentiles, TotalLatency};

/// The figures of a run. Of a fixed size: to count allocates nothing.
#[derive(Clone, Debug)]
pub struct Figures {
    answers: u64,
    unusable: u64,
    own_numbers: u64,
    synchronized: u64,
    ptp: u64,
    other_length: u64,
    worst_error: Option<Nanos>,
    ttl: [u64; 256],
    dscp: [u64; 64],
    inside: TotalLatency,
}

/// What reflectors of STAMP told, of the first answers to packets of the load. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StampReport {
    /// Packets that were answered.
    pub answers: u64,
    /// Answers whose times of receipt and sending are not usable: never set, the second before the first, longer apart than the round trip, or
    /// with an error estimate that is corrupt. Their round trips have the time in the reflector in them.
    pub unusable_stamps: u64,
    /// Answers whose number was the reflector's own, and not that of the packet answered. Without any, the reflector is stateless or nothing
    /// was lost on the way to it.
    pub own_numbers: u64,
    /// Answers of a clock that something keeps at UTC, as they say.
    pub synchronized: u64,
    /// Answers with times in the format of PTP version 2; the others are in that of NTP.
    pub ptp: u64,
    /// Answers that were not as long as their packets.
    pub other_length: u64,
    /// By how much the clock of a reflector may be wrong, as it says: the greatest of all; `null` if none says it.
    pub error_estimate_ns: Option<Nanos>,
    /// TTL or hop limit with which packets came to the reflector, as the key, and how often: 255 where it does not know.
    pub ttl_at_reflector: BTreeMap<String, u64>,
    /// DSCP of the answers, as the key, and how often; empty where the system does not tell.
    pub dscp_of_answers: BTreeMap<String, u64>,
    /// How long packets were in the reflector.
    pub inside: Option<Percentiles>,
}

impl Figures {
    /// Nothing yet.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self {
            answers: 0,
            unusable: 0,
            own_numbers: 0,
            synchronized: 0,
            ptp: 0,
            other_length: 0,
            worst_error: None,
            ttl: [0; 256],
            dscp: [0; 64],
            inside: TotalLatency::total()?,
        })
    }

    /// A first answer. `inside` is how long its packet was in the reflector, if that is known; `tos` the byte with its DSCP.
    pub fn count(&mut self, answer: &Answer, inside: Option<Nanos>, tos: Option<u8>, as_long: bool) {
        self.answers += 1;
        self.own_numbers += u64::from(answer.sequence != answer.their_sequence);
        self.other_length += u64::from(!as_long);
        match inside {
            Some(inside) => self.inside.record(inside),
            None => self.unusable += 1,
        }
        if let Some(estimate) = answer.estimate {
            self.synchronized += u64::from(estimate.synchronized);
            self.ptp += u64::from(estimate.format == Format::Ptp);
            self.worst_error = self.worst_error.max(Some(estimate.error));
        }
        self.ttl[usize::from(answer.ttl)] += 1;
        if let Some(tos) = tos {
            self.dscp[usize::from(tos >> 2)] += 1;
        }
    }

    /// Adds those of another thread.
    pub fn absorb(&mut self, other: &Self) {
        self.answers += other.answers;
        self.unusable += other.unusable;
        self.own_numbers += other.own_numbers;
        self.synchronized += other.synchronized;
        self.ptp += other.ptp;
        self.other_length += other.other_length;
        self.worst_error = self.worst_error.max(other.worst_error);
        self.ttl.iter_mut().zip(other.ttl).for_each(|(to, from)| *to += from);
        self.dscp.iter_mut().zip(other.dscp).for_each(|(to, from)| *to += from);
        self.inside.add(&other.inside);
    }

    /// How long packets were in the reflectors.
    #[must_use]
    pub const fn inside(&self) -> &TotalLatency {
        &self.inside
    }

    /// What is read from them.
    #[must_use]
    pub fn report(&self) -> StampReport {
        StampReport {
            answers: self.answers,
            unusable_stamps: self.unusable,
            own_numbers: self.own_numbers,
            synchronized: self.synchronized,
            ptp: self.ptp,
            other_length: self.other_length,
            // What the field can say is far more than any number of JSON.
            error_estimate_ns: self.worst_error.map(|error| error.min(MOST_ERROR)),
            ttl_at_reflector: counted(&self.ttl),
            dscp_of_answers: counted(&self.dscp),
            inside: self.inside.percentiles(),
        }
    }
}

/// A clock that may be off by more, 100 days, is none.
const MOST_ERROR: Nanos = crate::load::plan::LONGEST;

fn counted(counts: &[u64]) -> BTreeMap<String, u64> {
    let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    counts.map(|(place, count)| (place.to_string(), *count)).collect()
}

impl StampReport {
    /// Adds that of another generator; `inside` is read from the sum of both.
    pub fn add(&mut self, other: &Self, inside: Option<Percentiles>) {
        let sums = [
            (&mut self.answers, other.answers),
            (&mut self.unusable_stamps, other.unusable_stamps),
            (&mut self.own_numbers, other.own_numbers),
            (&mut self.synchronized, other.synchronized),
            (&mut self.ptp, other.ptp),
            (&mut self.other_length, other.other_length),
        ];
        for (to, from) in sums {
            *to = to.saturating_add(from);
        }
        self.error_estimate_ns = self.error_estimate_ns.max(other.error_estimate_ns);
        let maps = [
            (&mut self.ttl_at_reflector, &other.ttl_at_reflector),
            (&mut self.dscp_of_answers, &other.dscp_of_answers),
        ];
        for (to, from) in maps {
            for (key, count) in from {
                let sum = to.entry(key.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        self.inside = inside;
    }
}
