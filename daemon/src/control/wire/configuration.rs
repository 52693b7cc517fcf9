//! What a daemon was configured to serve.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Most entries of a page of `configuration`: gathered between two batches, in a part of a millisecond.
pub const MOST_CONFIGURED: usize = 256;

/// Which part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigurationParams {
    /// The first entry of the page, from 0.
    pub offset: usize,
    /// Most entries of the page; none, or more than [`MOST_CONFIGURED`], is that.
    pub limit: Option<usize>,
}

/// What a daemon was configured to serve, as it is now: what was changed while it serves is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its process id.
    pub pid: u32,
    /// Another number after each change: pages of one number belong together.
    pub generation: u64,
    /// Where it came from, as in [`Status`](super::Status).
    pub source: String,
    /// What differs from its default of the keys beside listeners, by key: `limits.spin`.
    pub settings: BTreeMap<String, String>,
    /// Keys that the command line of the daemon says: a reload does not change them.
    pub fixed: Vec<String>,
    /// How many listeners there are.
    pub listeners: usize,
    /// The number of the first entry.
    pub offset: usize,
    /// Where the next page begins; none if this is the last.
    pub next: Option<usize>,
    /// The page, in the order of the configuration.
    pub entries: Vec<Configured>,
}

/// A listener as it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Name in the configuration.
    pub name: String,
    /// Its plugin: a name, or a path.
    pub plugin: String,
    /// Whether one handler serves all of its addresses.
    pub together: bool,
    /// Its addresses.
    pub bind: Vec<Ports>,
    /// What differs from its default, by key: `recv_buffer`, `reply.rate`.
    pub settings: BTreeMap<String, String>,
    /// The options of its plugin that are no secrets.
    pub options: BTreeMap<String, String>,
    /// Of those that are secrets a digest.
    pub secrets: BTreeMap<String, String>,
    /// What was set since it was read and differs from that, by key: `tos`, `reply.rate`, `options.loss`. Each with what it was read
    /// as, of a secret `(secret)`; none is the default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub set: BTreeMap<String, Option<String>>,
}

/// Ports in a row of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// The first; port 0 is one that the system chooses.
    pub first: SocketAddr,
    /// The last port, included.
    pub last: u16,
}
