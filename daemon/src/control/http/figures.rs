//! What the loop tells of itself for metrics: numbers and names, without how they are written. Everything owns its data.

use serde::{Deserialize, Serialize};

use crate::control::wire::ControlCounts;

/// Bind addresses and ranges that have figures of their own; those behind are one more together, so that 20,000 tables
/// of one port are no half million series.
pub const MOST_RANGES: usize = 1000;
/// Metrics of plugins that are told, of all listeners together: a name at a listener is one.
pub const MOST_PLUGIN_SERIES: usize = 10_000;
/// Names of metrics of plugins.
pub const MOST_PLUGIN_NAMES: usize = 1000;
/// Until how long calls of handlers are counted, ns: 1 us to 1 s, in steps of 1, 2.5 and 5.
pub const BOUNDS_NS: [u64; 19] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
];

/// What was counted, gathered a part at a time: figures of different addresses may be some turns of the loop apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// It was asked to end.
    pub ending: bool,
    /// How long it serves, seconds.
    pub uptime_s: u64,
    /// Names of the states of addresses, in the order of their numbers: first those that are as somebody wants them.
    pub states: Vec<String>,
    /// How many of the first are as somebody wants them.
    pub wanted_states: usize,
    /// Names of the reasons of drops, in the order of the counts.
    pub reasons: Vec<Reason>,
    /// Names of the ends of sessions, in the order of the counts.
    pub ends: Vec<String>,
    /// Names of the reasons why sessions were not opened, in the order of the counts.
    pub refusals: Vec<String>,
    /// How many listeners the configuration has.
    pub listener_count: u64,
    /// Those of which calls were timed or whose plugins have metrics.
    pub listeners: Vec<Listener>,
    /// Its addresses and ranges, [`MOST_RANGES`] at most.
    pub ranges: Vec<Range>,
    /// All ranges behind those.
    pub others: Option<Range>,
    /// How many ranges that are.
    pub other_ranges: u64,
    /// What waits and what is held.
    pub held: Held,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What the control socket has counted, if there is one.
    pub control: Option<ControlCounts>,
    /// Lines of the log that were left out.
    pub log_lines_lost: u64,
    /// Samples of call times that were not kept.
    pub call_times_left_out: u64,
    /// Metrics of plugins that are not told.
    pub plugin_series_left_out: u64,
}

/// A reason of drops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name.
    pub name: String,
    /// On the way out; on the way in otherwise.
    pub is_out: bool,
}

/// What is told of a listener as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// How long calls of its handlers took, if any was timed.
    pub times: Option<Times>,
    /// The metrics of its handlers, summed by name.
    pub metrics: Vec<PluginMetric>,
}

/// How long calls of handlers took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Calls in the sample.
    pub samples: u64,
    /// How long they took together, ns.
    pub sum_ns: u64,
    /// The longest that is known, ns.
    pub longest_ns: u64,
    /// How many took at most as long as each of [`BOUNDS_NS`].
    pub at_most: Vec<u64>,
}

/// A metric of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginMetric {
    /// Its name.
    pub name: String,
    /// What it is, in words of the plugin's author.
    pub help: String,
    /// It only grows.
    pub is_counter: bool,
    /// Its value.
    pub value: u64,
}

/// A bind address or range of a listener, with the addresses that are served for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The name of its listener.
    pub listener: String,
    /// The address, or the range.
    pub address: String,
    /// The plugin.
    pub plugin: String,
    /// Addresses in each of the [`Figures::states`].
    pub states: Vec<u64>,
    /// What their sockets have counted.
    pub counts: Counts,
    /// Their sessions, if they had any.
    pub sessions: Option<Sessions>,
}

/// What became of datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of `metrics::Counters`")]
pub struct Counts {
    pub received: u64,
    pub received_bytes: u64,
    pub replied: u64,
    pub consumed: u64,
    pub kept: u64,
    pub queued: u64,
    pub sent: u64,
    pub sent_bytes: u64,
    pub waiting: u64,
    pub kernel_drops: u64,
    pub receive_errors: u64,
    pub segments_refused: u64,
    pub faults: u64,
    pub restarts: u64,
    pub handler_errors: u64,
    pub slow_calls: u64,
    pub unknown_codes: u64,
    pub timers_refused: u64,
    pub groups_refused: u64,
    pub prefixes_evicted: u64,
    pub tickets_taken: u64,
    pub tickets_used: u64,
    pub tickets_refused: u64,
    /// Drops, in the order of [`Figures::reasons`].
    pub dropped: Vec<u64>,
}

/// The sessions of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Sessions that were made.
    pub opened: u64,
    /// Sessions that there are.
    pub open: u64,
    /// Those that there are no more, in the order of [`Figures::ends`].
    pub closed: Vec<u64>,
    /// How often none was made, in the order of [`Figures::refusals`].
    pub refused: Vec<u64>,
    /// What their sockets have counted.
    pub counts: Counts,
}

/// What waits in the loop, and what it holds for handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of `reactor::Held`")]
pub struct Held {
    pub delayed_datagrams: u64,
    pub delayed_bytes: u64,
    pub backlog_bytes: u64,
    pub kept_bytes: u64,
    pub tickets: u64,
}

/// What became of reloads of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reloads {
    /// Those that changed what they should, or found nothing to change.
    pub done: u64,
    /// Those that changed nothing, since something was wrong.
    pub refused: u64,
    /// The last one was not refused.
    pub is_last_done: bool,
    /// When the configuration that is served was read and taken, seconds since 1970.
    pub taken_at_s: f64,
}
