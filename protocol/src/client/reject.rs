//! Why a client did not accept a datagram ([P-72]), and a counter for each reason.

use core::fmt;

use crate::frame::DecodeError;

/// One reason for each condition of [P-72] that can fail, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// Source address or port is not the destination of the requests.
    WrongSource,
    /// Not a valid frame, or not a reply.
    Malformed(DecodeError),
    /// The stream is not this run's.
    StaleStream,
    /// No request with this id is known.
    UnknownId,
    /// The id is known, the seq is not its own.
    WrongSeq,
    /// This attempt was never sent.
    WrongAttempt,
    /// Not the timestamp sent with this attempt.
    WrongTimestamp,
    /// A kind that does not answer this request.
    WrongKind,
    /// `PROBE_INFO` says that less arrived than was sent.
    WrongSize,
    /// The request was answered before.
    Duplicate,
    /// The request was given up before.
    Late,
    /// An ERROR that asks for another attempt, but a later attempt is under way already ([P-108]).
    Superseded,
    /// A VERSION frame that lists our version, lists nothing, or comes after a valid reply ([P-29]).
    VersionIgnored,
}

impl Reject {
    /// Number of distinct reasons, the classes of malformed frames included.
    pub const COUNT: usize = 12 + DecodeError::ALL.len();

    /// Name of the counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongSource => "wrong_source",
            Self::Malformed(class) => class.name(),
            Self::StaleStream => "stale_stream",
            Self::UnknownId => "unknown_id",
            Self::WrongSeq => "wrong_seq",
            Self::WrongAttempt => "wrong_attempt",
            Self::WrongTimestamp => "wrong_timestamp",
            Self::WrongKind => "wrong_kind",
            Self::WrongSize => "wrong_size",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Superseded => "superseded",
            Self::VersionIgnored => "version_ignored",
        }
    }

    /// Every reason, in the order of their indices.
    pub fn all() -> impl Iterator<Item = Self> {
        let malformed = DecodeError::ALL.into_iter().map(Self::Malformed);
        Self::PLAIN.into_iter().chain(malformed)
    }

    const PLAIN: [Self; 12] = [
        Self::WrongSource,
        Self::StaleStream,
        Self::UnknownId,
        Self::WrongSeq,
        Self::WrongAttempt,
        Self::WrongTimestamp,
        Self::WrongKind,
        Self::WrongSize,
        Self::Duplicate,
        Self::Late,
        Self::Superseded,
        Self::VersionIgnored,
    ];

    const fn index(self) -> usize {
        match self {
            Self::WrongSource => 0,
            Self::StaleStream => 1,
            Self::UnknownId => 2,
            Self::WrongSeq => 3,
            Self::WrongAttempt => 4,
            Self::WrongTimestamp => 5,
            Self::WrongKind => 6,
            Self::WrongSize => 7,
            Self::Duplicate => 8,
            Self::Late => 9,
            Self::Superseded => 10,
            Self::VersionIgnored => 11,
            Self::Malformed(class) => class.index().saturating_add(Self::PLAIN.len()),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One counter for each [`Reject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCounters {
    counts: [u64; Reject::COUNT],
}

impl RejectCounters {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; Reject::COUNT] }
    }

    /// Counts one and hands it back.
    pub fn count(&mut self, reject: Reject) -> Reject {
        if let Some(count) = self.counts.get_mut(reject.index()) {
            *count = count.saturating_add(1);
        }
        reject
    }

    /// How often `reject` was the reason.
    #[must_use]
    pub fn get(&self, reject: Reject) -> u64 {
        self.counts.get(reject.index()).copied().unwrap_or(0)
    }

    /// The reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> + '_ {
        Reject::all().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// Sum of all counters.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Default for RejectCounters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let mut counters = RejectCounters::new();
        let all: Vec<Reject> = Reject::all().collect();
        assert_eq!(all.len(), Reject::COUNT);
        for (index, reject) in all.iter().enumerate() {
            assert_eq!(reject.index(), index);
            counters.count(*reject);
        }
        assert!(counters.iter().all(|(_, count)| count == 1));
        assert_eq!(counters.total(), u64::try_from(Reject::COUNT).unwrap());
        let names: std::collections::BTreeSet<_> = all.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reject::COUNT);
    }
}
