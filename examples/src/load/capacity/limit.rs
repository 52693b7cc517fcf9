//! What the tester could not do: then a trial is no statement about the server.

use std::fmt;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::ledger::NotSent;
use crate::load::summary::Summary;
use crate::load::unit::span;

/// What the tester could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitReport {
    /// Datagrams that were not sent: the tester was behind, or the system refused them.
    NotSent(u64),
    /// Datagrams that were not sent because of `--max-in-flight`.
    InFlight(u64),
    /// The 99th percentile of the tester's own lag, in nanoseconds.
    Lag(Nanos),
    /// Datagrams that the tester's own sockets dropped.
    SocketDrops(u64),
}

impl LimitReport {
    /// Why a run says nothing of the server: what was not sent was not asked of it, what left late was not this rate, and what our
    /// own sockets dropped it may have answered.
    pub(super) fn of(summary: &Summary, max_lag: Nanos) -> Option<Self> {
        let in_flight = summary.skipped[NotSent::InFlight as usize];
        let others = summary.not_sent() - in_flight;
        if others > 0 || (summary.total.sent == 0 && in_flight == 0) {
            return Some(Self::NotSent(others));
        }
        if in_flight > 0 {
            return Some(Self::InFlight(in_flight));
        }
        if let Some(drops) = summary.local.socket_drops.filter(|drops| *drops > 0) {
            return Some(Self::SocketDrops(drops));
        }
        summary.lag.map(|lag| lag.p99).filter(|lag| *lag > max_lag).map(Self::Lag)
    }
}

impl fmt::Display for LimitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(count) => write!(f, "{count} not sent"),
            Self::InFlight(count) => write!(f, "{count} held back (--max-in-flight)"),
            Self::Lag(lag) => write!(f, "a lag of {} at p99 (--max-lag)", span(*lag)),
            Self::SocketDrops(drops) => write!(f, "{drops} dropped in our socket"),
        }
    }
}
