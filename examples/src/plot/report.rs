//! What a picture shows, in words and as one JSON object.

use std::collections::BTreeMap;

use polyport_protocol::Nanos;
use polyport_terminal::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::{Direction, Kind};
use super::run::{Run, Side};
use crate::load::unit;

/// What `polyport-plot --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlotReport {
    /// Lines of the log, whatever they are about.
    pub read: u64,
    /// Lines that are about the chosen clients, directions and window of time.
    pub shown: u64,
    /// Clients that these are about.
    pub clients: usize,
    /// From the first to the last moment shown, in nanoseconds.
    pub length_ns: u64,
    /// How long each bin of the picture is, in nanoseconds.
    pub bin_ns: u64,
    /// Whether the log ended in the middle of a line, which was left out.
    pub torn: bool,
    /// What of the log this program does not know, and how often it came.
    pub unknown: BTreeMap<String, u64>,
    /// Each direction that something is known of: up, down, or only: there and back at once.
    pub directions: BTreeMap<String, SideReport>,
}

/// What happened in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SideReport {
    /// Datagrams that came, by their numbers: up to the last line about each client.
    pub datagrams: u64,
    /// Whether the clients share a channel, as their numbers tell; then its datagrams are counted, whosever they are.
    pub shared: bool,
    /// Datagrams that do not arrive: those lost, and those for which the queue was full.
    pub dropped: u64,
    /// How often each thing happened, by the words of the log.
    pub events: BTreeMap<String, u64>,
    /// How long datagrams waited; null if none did.
    pub delay: Option<DelayReport>,
}

/// How long datagrams waited, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelayReport {
    /// Datagrams that waited.
    pub count: u64,
    /// Half of them did not wait longer.
    pub p50: Nanos,
    /// 95 of 100 did not wait longer.
    pub p95: Nanos,
    /// 99 of 100 did not wait longer.
    pub p99: Nanos,
    /// The longest, exactly.
    pub max: Nanos,
}

impl PlotReport {
    /// Of a run that was read to its end.
    #[must_use]
    pub fn new(run: &Run, torn: bool) -> Self {
        let side = |direction: Direction| {
            (direction.name().to_owned(), SideReport::new(run.side(direction), run.is_shared(direction)))
        };
        Self {
            read: run.read(),
            shown: run.shown(),
            clients: run.chosen().len(),
            length_ns: run.length(),
            bin_ns: run.bins().width().unsigned_abs(),
            torn,
            unknown: run.unknown_words().clone(),
            directions: run.directions().map(side).collect(),
        }
    }

    /// Lines for people.
    #[must_use]
    pub fn text(&self) -> String {
        let clients = u64::try_from(self.clients).unwrap_or(u64::MAX);
        let mut lines = vec![format!(
            "{} of {}, about {}, in {}",
            counted(self.shown, "decision", "decisions"),
            self.read,
            counted(clients, "client", "clients"),
            unit::span(self.length_ns)
        )];
        lines.extend(self.directions.iter().map(|(name, side)| format!("{name}: {}", side.text())));
        lines.join("\n")
    }
}

impl SideReport {
    fn new(side: &Side, shared: bool) -> Self {
        let counts = Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), side.count(kind)));
        let delay = || {
            Some(DelayReport {
                count: side.delayed(),
                p50: side.delay(0.5)?,
                p95: side.delay(0.95)?,
                p99: side.delay(0.99)?,
                max: side.longest(),
            })
        };
        Self {
            datagrams: side.datagrams,
            shared,
            dropped: side.dropped,
            events: counts.filter(|(_, count)| *count > 0).collect(),
            delay: delay(),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![
            counted(self.datagrams, "datagram", "datagrams")
                + if self.shared { " of the shared channel" } else { "" },
            format!("{} dropped ({})", self.dropped, unit::percent(self.dropped, self.datagrams)),
        ];
        let known = |kind: &Kind| self.events.get(kind.name()).map(|count| (kind.name(), *count));
        parts.extend(Kind::ALL.iter().filter_map(known).map(|(name, count)| format!("{name} {count}")));
        if let Some(delay) = &self.delay {
            let [p50, p95, max] = [delay.p50, delay.p95, delay.max].map(unit::span);
            parts.push(format!("delay p50 {p50}, p95 {p95}, max {max}"));
        }
        parts.join(", ")
    }
}
