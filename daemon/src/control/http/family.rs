//! What a family of series is, and what its numbers are taken from.

use super::figures::{Counts, Figures, Sessions, Times};

/// What is told beside the figures of the loop: the thread of the server knows it by itself.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The version of the program.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// Memory and time of the process, as far as the system tells.
    pub process: Process,
    /// What the server has counted.
    pub http: HttpCounts,
}

/// What the system tells of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Bytes that lie in memory.
    pub resident_bytes: Option<u64>,
    /// Bytes of addresses.
    pub virtual_bytes: Option<u64>,
    /// Processor time, seconds.
    pub cpu_s: Option<f64>,
    /// Descriptors that it may have.
    pub max_fds: Option<u64>,
    /// When it began, seconds since 1970.
    pub start_s: Option<f64>,
    /// Threads that it has.
    pub threads: Option<u64>,
}

/// What the server of metrics has counted.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the table below says what they are")]
pub struct HttpCounts {
    pub connections: u64,
    pub requests: u64,
    pub refused: u64,
    pub evicted: u64,
    pub slow: u64,
    pub unanswered: u64,
    pub ranges: u64,
    pub plugin_metrics: u64,
    pub pages: u64,
}

/// All that is told at once.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// What the loop has told.
    pub figures: &'a Figures,
    /// What the server knows.
    pub own: &'a Own,
}

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without a point.
    Whole(u64),
    /// With one.
    Real(f64),
}

/// What a family of series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows, until the daemon begins again.
    Counter,
    /// A number that comes and goes.
    Gauge,
    /// How many of something were at most so large, for several bounds.
    Histogram,
}

/// Where the series of a family come from, one for each label set.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// One of the daemon; none is not told.
    Daemon(fn(Scene<'_>) -> Option<Number>),
    /// One, which is 1, and says something by labels.
    Said(fn(Scene<'_>) -> [String; 2]),
    /// One for each bind address or range, from the counts of its sockets.
    Counts(fn(&Counts) -> u64),
    /// One for each bind address or range, and state.
    States,
    /// One for each bind address or range, and reason, where there was any.
    Drops,
    /// One for each bind address or range that had sessions.
    Sessions(fn(&Sessions) -> u64),
    /// One for each of those and why they have ended, where there was any.
    SessionEnds,
    /// One for each of those and why none was opened, where there was any.
    SessionRefusals,
    /// One for each of those and reason, where there was any.
    SessionDrops,
    /// One for each listener of which calls were timed.
    Times(fn(&Times) -> Number),
    /// A histogram for each of those.
    Histogram,
    /// One for each outcome of a reload.
    Reloads,
    /// One for each method of counting at the control socket.
    Control,
    /// One for each named limit of this page.
    Limits,
}

/// A family of series.
pub struct Family {
    /// The name as it is written, with unit and `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The unit, where it has one of the conventions: `seconds` or `bytes`.
    pub unit: Option<&'static str>,
    /// The labels.
    pub labels: &'static [&'static str],
    /// What it counts, in words.
    pub text: &'static str,
    /// Where it comes from.
    pub source: Source,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A family of numbers that only grow.
pub(super) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    text: &'static str,
    source: Source,
) -> Family {
    Family { name, kind: Kind::Counter, unit: unit(name), labels, text, source }
}

/// A family of numbers that come and go.
pub(super) const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    text: &'static str,
    source: Source,
) -> Family {
    Family { name, kind: Kind::Gauge, unit: unit(name), labels, text, source }
}

/// The unit that a name ends with.
const fn unit(name: &str) -> Option<&'static str> {
    if ends(name, "_bytes") || ends(name, "_bytes_total") {
        Some("bytes")
    } else if ends(name, "_seconds") || ends(name, "_seconds_total") {
        Some("seconds")
    } else {
        None
    }
}

const fn ends(text: &str, end: &str) -> bool {
    match text.as_bytes().split_at_checked(text.len().saturating_sub(end.len())) {
        Some((_, mut rest)) => {
            let mut wanted = end.as_bytes();
            if rest.len() != wanted.len() {
                return false;
            }
            while let (Some((a, rest_of_it)), Some((b, rest_of_wanted))) =
                (rest.split_first(), wanted.split_first())
            {
                if *a != *b {
                    return false;
                }
                (rest, wanted) = (rest_of_it, rest_of_wanted);
            }
            true
        }
        None => false,
    }
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a time is exact to a sixteenth")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
