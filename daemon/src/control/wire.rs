//! What daemon and client say to each other, without how it is written on a line. Everything owns its data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod configuration;
mod status;

pub use configuration::{Configuration, ConfigurationParams, Configured, MOST_CONFIGURED, Ports};
pub use status::{
    ControlCounts, Counts, Entry, HandlerTime, Level, MOST_BINDS, MOST_OF_A_PAGE, PAGE, Sessions, Status,
    StatusParams,
};

/// The version of these messages. It grows when a client of the version before would misunderstand an answer; new members of
/// answers and new methods do not count.
pub const VERSION: u32 = 1;

/// Problems that a refusal names; the others are counted. As many as `polyport check` shows.
pub const MOST_PROBLEMS: usize = 100;

/// Peers of an answer to `peers`, if the client names no number.
pub const PEERS: usize = 10;
/// Most peers of an answer to `peers`: as many as are told apart.
pub const MOST_PEERS: usize = 64;

/// The methods, in the order of the manual.
pub const METHODS: [&str; 15] = [
    "hello",
    "status",
    "peers",
    "configuration",
    "reload",
    "plugin-reload",
    "set",
    "add",
    "remove",
    "pause",
    "resume",
    "drain",
    "log-level",
    "tap",
    "stop",
];

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who is there; answered without the loop of the daemon.
    Hello,
    /// What runs, and what it has counted.
    Status(StatusParams),
    /// Who sends most to a listener.
    Peers(PeersParams),
    /// What it was configured to serve.
    Configuration(ConfigurationParams),
    /// Read the configuration and the libraries again.
    Reload,
    /// Read the library of one plugin again, and nothing else.
    PluginReload(PluginParams),
    /// Give a listener other options or settings, until the next reload.
    Set(SetParams),
    /// Serve one more listener, until the next reload.
    Add(AddParams),
    /// Serve a listener no more, until the next reload.
    Remove(ListenerParams),
    /// Read the sockets of a listener no more for a while.
    Pause(ListenerParams),
    /// Read them again.
    Resume(ListenerParams),
    /// Read them no more, and wait until all that a listener has to do is done.
    Drain(DrainParams),
    /// Which log lines are written; without a level the answer only says it.
    LogLevel(Option<Level>),
    /// Show what enters and leaves: the connection becomes a stream.
    Tap(TapParams),
    /// End in order.
    Stop,
}

/// Parameters of `peers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersParams {
    /// Name of the listener.
    pub listener: String,
    /// Most peers of the answer; none is [`PEERS`], more than [`MOST_PEERS`] is that.
    #[serde(default)]
    pub limit: Option<usize>,
}

impl PeersParams {
    /// Peers that are asked for.
    #[must_use]
    pub fn most(&self) -> usize {
        self.limit.unwrap_or(PEERS).clamp(1, MOST_PEERS)
    }
}

/// Parameters of `plugin-reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginParams {
    /// The plugin: its name as `status` has it, what the configuration calls it, or the path of its file.
    pub plugin: String,
}

/// Parameters of `set`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetParams {
    /// Name of the listener.
    pub listener: String,
    /// Options of its plugin, and settings of its own, each a text as `--listen` takes it, by the names that they have there.
    pub options: BTreeMap<String, String>,
}

/// Parameters of `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddParams {
    /// The listener, as `--listen` takes it: `127.0.0.1:7000=echo,name=a`.
    pub spec: String,
}

/// Parameters of `remove`, `pause` and `resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerParams {
    /// Name of the listener.
    pub listener: String,
}

/// Parameters of `drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// Name of the listener.
    pub listener: String,
    /// How long to wait, milliseconds; none is [`DRAIN_MS`], more than [`MOST_DRAIN_MS`] is that.
    #[serde(default)]
    pub within_ms: Option<u64>,
}

/// How long `drain` waits if the client says nothing, milliseconds: as long as `grace` by default, twice.
pub const DRAIN_MS: u64 = 10_000;
/// Longest that `drain` waits, milliseconds: less than the loop may take for an answer.
pub const MOST_DRAIN_MS: u64 = 50_000;

/// Parameters of `log-level`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogLevelParams {
    /// The level; none asks for it.
    pub level: Option<Level>,
}

/// Names of listeners that a tap may be asked for; it may be asked for all.
pub const MOST_TAPPED: usize = 64;

/// Which datagrams a tap shows. Everything that is said has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapParams {
    /// Names of listeners, [`MOST_TAPPED`] at most; none are all, also those that are added later.
    pub listeners: Vec<String>,
    /// Address or prefix of peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Port of the peer or of the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Only what comes, or what leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<TapDirection>,
    /// Only what is dropped.
    pub drops: bool,
    /// Payload bytes that are copied of each; none is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<usize>,
    /// It ends after so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// It ends after so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "as the daemon sees it")]
pub enum TapDirection {
    In,
    Out,
}

/// A tap begins: behind this line the stream is a capture in the format pcapng, until its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tapping {
    /// Always `pcapng`.
    pub tap: String,
    /// How many addresses are seen.
    pub addresses: usize,
    /// Payload bytes that are copied of each datagram.
    pub snaplen: usize,
    /// Bytes that wait for the reader at most; what finds no room is left out and counted.
    pub buffer: usize,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub polyport: u32,
    /// The version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// What it can be asked for.
    pub methods: Vec<String>,
}

/// Who sends most to a listener, by a sample of what comes while somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Name of the listener.
    pub listener: String,
    /// How long the sample is of, milliseconds. It is halved now and then with all numbers below, so that what is new counts for
    /// more; numbers by this time are rates.
    pub window_ms: u64,
    /// Datagrams that came in that time, from all peers.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Who sends most, the most first.
    pub peers: Vec<Peer>,
}

/// Who sends to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address, one of IPv4 as such also where it comes by IPv6.
    pub address: String,
    /// Its port; none if there were several.
    pub port: Option<u16>,
    /// Datagrams of it, as the sample says.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// At most so many datagrams more, from before it was told apart from others.
    pub more: u64,
}

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// In words, as the log says it.
    pub summary: String,
    /// Addresses that got a new handler.
    pub replaced: usize,
    /// Addresses whose handler got other options.
    pub reconfigured: usize,
    /// Addresses with other settings of the daemon's own.
    pub adjusted: usize,
    /// Addresses that are served for the first time.
    #[serde(default)]
    pub added: usize,
    /// Addresses that are served no more.
    #[serde(default)]
    pub removed: usize,
    /// Libraries that serve for the first time, each with its version and generation.
    pub libraries: Vec<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// Sockets that are not read, or are read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quieted {
    /// Name of the listener.
    pub listener: String,
    /// How many addresses of it that are.
    pub addresses: usize,
}

/// What has become of a `drain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Name of the listener.
    pub listener: String,
    /// Whether nothing waits any more, at any of its addresses. If not, it goes on, and may be asked for again.
    pub drained: bool,
    /// How many addresses it has.
    pub addresses: usize,
    /// Addresses at which something waits, or that have sessions.
    pub left: usize,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// How much is logged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The level.
    pub level: Level,
}

/// The daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Always true.
    pub stopping: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are those of what they hold")]
pub enum Answer {
    Hello(Hello),
    Status(Box<Status>),
    Peers(Peers),
    Configuration(Box<Configuration>),
    Reloaded(Reloaded),
    Drained(Drained),
    Quieted(Quieted),
    Logged(Logged),
    Tapping(Tapping),
    Stopping(Stopping),
}

/// Why a request was refused: `error` of JSON-RPC 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// One of [`code`].
    pub code: i32,
    /// In words.
    pub message: String,
    /// What is wrong with a configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Problems>,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// How many problems there are.
    pub total: usize,
    /// The first [`MOST_PROBLEMS`], each as `polyport check --json` prints it.
    pub problems: Vec<Problem>,
    /// All of it for people, with carets.
    pub text: String,
}

/// One thing that is wrong, as `polyport check --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of `polyport check --json`")]
pub struct Problem {
    pub file: Option<String>,
    pub line: Option<usize>,
    pub col: Option<usize>,
    pub code: String,
    pub message: String,
    pub help: Option<String>,
}

impl Error {
    /// A refusal in words.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The codes of errors: those of JSON-RPC 2.0, and our own from -32000 downwards.
pub mod code {
    /// The line is no JSON.
    pub const PARSE: i32 = -32_700;
    /// It is JSON, and no request.
    pub const INVALID_REQUEST: i32 = -32_600;
    /// There is no such method.
    pub const UNKNOWN_METHOD: i32 = -32_601;
    /// The method takes other parameters.
    pub const INVALID_PARAMS: i32 = -32_602;
    /// Too many requests wait.
    pub const BUSY: i32 = -32_000;
    /// Too many connections.
    pub const NO_ROOM: i32 = -32_001;
    /// A line that was not whole in time.
    pub const SLOW: i32 = -32_002;
    /// A line that is too long.
    pub const TOO_LONG: i32 = -32_003;
    /// The client is neither the user of the daemon nor root.
    pub const STRANGER: i32 = -32_004;
    /// The loop of the daemon has not answered in time.
    pub const UNANSWERED: i32 = -32_005;
    /// The daemon ends.
    pub const ENDING: i32 = -32_006;
    /// Nothing was changed; `data` says why.
    pub const REFUSED: i32 = -32_010;
    /// There is no such listener.
    pub const NO_LISTENER: i32 = -32_011;
    /// No listener is served by such a plugin.
    pub const NO_PLUGIN: i32 = -32_012;
}
