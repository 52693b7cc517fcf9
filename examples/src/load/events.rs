//! What `--json-stream` prints while a run goes on: one JSON object a line, for programs that watch it.

use std::time::Duration;

use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generator::RunReport;
use super::histogram::Percentiles;
use super::json::{ConfigReport, FORMAT, LoadReport};
use super::start;
use crate::json;
use crate::outcome::{ExitError, deliver};

/// A line of `polyport-load --json-stream`: first `start`, at the end `end`, and between them `interval`, once each
/// `--interval`. A run that ends before its load has no `start`; warm-up and handshake have intervals before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The load begins.
    Start(Box<StartEvent>),
    /// An interval is over.
    Interval(Box<IntervalEvent>),
    /// The run is over.
    End(Box<EndEvent>),
}

/// The load begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartEvent {
    /// Version of these objects and of the report.
    pub format: u32,
    /// This generator.
    pub run: RunReport,
    /// What the run is to do.
    pub config: ConfigReport,
}

/// How it stands. Counters are those of the load so far, but for what is named after the interval: since the last event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalEvent {
    /// What is going on: `warm-up`, `load`, or `drain`.
    pub phase: String,
    /// From the start of warm-up and load.
    pub at_ns: Nanos,
    /// Datagrams that left.
    pub sent: u64,
    /// Datagrams that left a second, in this interval.
    pub sent_per_second: u64,
    /// Datagrams answered within the timeout, without error.
    pub ok: u64,
    /// Datagrams answered after the timeout.
    pub late: u64,
    /// Datagrams answered by an ERROR within the timeout.
    pub error: u64,
    /// Datagrams that had their timeout without an answer. One that comes yet makes this number smaller.
    pub no_answer: u64,
    /// Datagrams that wait for an answer.
    pub in_flight: u64,
    /// Planned datagrams not sent.
    pub not_sent: u64,
    /// Datagrams that left in this interval.
    pub interval_sent: u64,
    /// Datagrams that had their timeout in this interval.
    pub interval_no_answer: u64,
    /// Answer after planned time, of the answers that came in this interval.
    pub interval_rtt_from_plan: Option<Percentiles>,
}

/// The run is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndEvent {
    /// What `--json` prints.
    pub report: LoadReport,
}

/// The way out for events.
#[derive(Clone, Debug)]
pub struct Events {
    run: RunReport,
    config: ConfigReport,
}

impl Events {
    /// Of this generator.
    #[must_use]
    pub const fn new(run: RunReport, config: ConfigReport) -> Self {
        Self { run, config }
    }

    /// The load begins, at this time of day.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn start(&mut self, started: Duration) -> Result<(), ExitError> {
        self.run.started = start::rfc3339(started);
        let event = StartEvent { format: FORMAT, run: self.run.clone(), config: self.config.clone() };
        deliver(json::line(&Event::Start(Box::new(event)))?)
    }

    /// An interval is over.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn interval(&self, event: &IntervalEvent) -> Result<(), ExitError> {
        deliver(json::line(&Event::Interval(Box::new(event.clone())))?)
    }
}

/// The run is over.
///
/// # Errors
/// It cannot be written.
pub fn end(report: LoadReport) -> Result<(), ExitError> {
    deliver(json::line(&Event::End(Box::new(EndEvent { report })))?)
}
