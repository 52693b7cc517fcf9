//! What runs, and what it has counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Entries of a page of `status`, if the client names no number.
pub const PAGE: usize = 100;

/// Most entries of a page of `status`: an answer stays below a megabyte.
pub const MOST_OF_A_PAGE: usize = 1000;

/// Bind addresses that an entry of `status` shows; the others are counted.
pub const MOST_BINDS: usize = 8;

/// Which part of the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusParams {
    /// Of one listener: its addresses one by one. None: of all listeners, an entry for each.
    pub listener: Option<String>,
    /// The first entry of the page, from 0.
    pub offset: usize,
    /// Most entries of the page; none is [`PAGE`], more than [`MOST_OF_A_PAGE`] is that.
    pub limit: Option<usize>,
}

impl StatusParams {
    /// Entries of the page that is asked for.
    #[must_use]
    pub fn most(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, MOST_OF_A_PAGE)
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the levels")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What runs, and what it has counted. Entries of different listeners may be some turns of the loop apart; each adds up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`](super::VERSION).
    pub polyport: u32,
    /// The version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// How long it serves, seconds.
    pub uptime_s: u64,
    /// Where the configuration came from: a path, `--listen`, `built-in default`.
    pub source: String,
    /// What the process has given up; none if nothing was to be.
    pub sandbox: Option<String>,
    /// How much is logged.
    pub log_level: Level,
    /// How many listeners there are.
    pub listeners: usize,
    /// How many addresses they serve.
    pub addresses: usize,
    /// The sum over all listeners, also of those that are gone.
    pub total: Counts,
    /// The number of the first entry.
    pub offset: usize,
    /// Where the next page begins; none if this is the last.
    pub next: Option<usize>,
    /// The page: listeners in the order of the configuration, or the addresses of one.
    pub entries: Vec<Entry>,
    /// What the control socket has counted.
    pub control: ControlCounts,
}

/// A listener, or one of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name in the configuration.
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// Bind addresses and ranges, the first [`MOST_BINDS`]; of an address itself.
    pub bind: Vec<String>,
    /// How many addresses those are, all ports of ranges counted.
    pub addresses: usize,
    /// How many of them are `serving`, `paused`, `draining`, `down` (the handler broke, and is made again) or `failed`.
    #[serde(default)]
    pub states: BTreeMap<String, usize>,
    /// What it waits for, `interface eth0` or `address 192.0.2.1`, the first [`MOST_BINDS`]; until that is there, it is not served.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waits_for: Vec<String>,
    /// What its sockets have counted.
    pub counts: Counts,
    /// Its sessions, if it had any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sessions: Option<Sessions>,
    /// How long calls of its handlers took, if any was timed; of a listener only, not of its addresses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<HandlerTime>,
    /// The metrics of its handlers, summed by name.
    pub metrics: BTreeMap<String, u64>,
}

/// How long calls of handlers took: a sample of all since the daemon serves, each with the same chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerTime {
    /// Calls in the sample.
    pub samples: u64,
    /// Half of them took at most so long, nanoseconds, exact to a sixteenth.
    pub p50_ns: u64,
    /// 99 of 100 took at most so long, nanoseconds, exact to a sixteenth.
    pub p99_ns: u64,
    /// The longest call that is known, of the sample or timed on suspicion, nanoseconds.
    pub max_ns: u64,
}

/// Datagrams, and what became of them: `received` = `replied` + `consumed` + drops on the way in + `kept`, `queued` = `sent` + drops
/// on the way out + `waiting`.
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
    pub faults: u64,
    pub restarts: u64,
    pub handler_errors: u64,
    pub slow_calls: u64,
    /// Datagrams that were dropped on the way in, by reason; reasons without one are left out.
    pub dropped_in: BTreeMap<String, u64>,
    /// Datagrams that were dropped on the way out, by reason; reasons without one are left out.
    pub dropped_out: BTreeMap<String, u64>,
}

/// The sessions of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Sessions that were made.
    pub opened: u64,
    /// Sessions that there are.
    pub open: u64,
    /// What their sockets have counted.
    pub counts: Counts,
}

/// What the control socket has counted since it was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlCounts {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that were read, refused ones included.
    pub requests: u64,
    /// Connections of somebody else than the user of the daemon and root.
    pub strangers: u64,
    /// Connections that found no room.
    pub refused: u64,
    /// Connections that were idle longest, and gave way to new ones.
    pub evicted: u64,
    /// Clients that took too long to send a line or to read an answer.
    pub slow: u64,
    /// Lines that were too long.
    pub too_long: u64,
    /// Requests that found the queue full.
    pub busy: u64,
    /// Requests that the loop of the daemon did not answer in time.
    pub unanswered: u64,
    /// Take-overs by other daemons that were given up.
    #[serde(default)]
    pub take_overs_given_up: u64,
}
