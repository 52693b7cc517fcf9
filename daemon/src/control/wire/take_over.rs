//! What the daemon that serves and the one that follows say to each other, once the connection is theirs alone: one line at a time,
//! descriptors beside it (`unix(7)`, `SCM_RIGHTS`).
//!
//! ```text
//! the one that follows                    the one that serves
//! take-over {version}             -->
//!                                 <--     {version, sockets}
//! {"next": 0}                     -->
//!                                 <--     {"portion": ...} and its descriptors
//! {"next": 253}                   -->     what came before has arrived
//!                                 <--     {"portion": {..., "last": true}}
//! "commit": ready, reads nothing  -->     reads nothing any more
//!                                 <--     "yours"
//! "mine": begins to read          -->     ends
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of what is said here. Who asks for another one is refused.
pub const TAKE_OVER_VERSION: u32 = 1;

/// Most descriptors beside one line: `SCM_MAX_FD` of Linux.
pub const MOST_DESCRIPTORS: usize = 253;

/// How long a daemon that takes over may need from its first word until it is ready: it binds what is new and makes thousands of
/// handlers, and opens their files. Nobody waits for it meanwhile; then it is given up.
pub const TAKE_OVER: Duration = Duration::from_secs(60);

/// How long it may need then to say that it reads: nobody does meanwhile, and what comes waits in the kernel.
pub const TAKE_OVER_LAST_WORD: Duration = Duration::from_secs(2);

/// Parameters of `take-over`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeOverParams {
    /// [`TAKE_OVER_VERSION`] of who asks.
    pub version: u32,
}

/// The sockets are handed over from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandingOver {
    /// [`TAKE_OVER_VERSION`].
    pub take_over: u32,
    /// How many addresses are served.
    pub sockets: usize,
}

/// What the daemon says that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taker {
    /// So many descriptors have arrived; what comes next?
    Next(usize),
    /// Everything is ready: read nothing any more.
    Commit,
    /// The sockets are read from now on.
    Mine,
    /// It does not come to it, in words.
    GiveUp(String),
}

/// What the daemon says that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Giver {
    /// Some of the descriptors.
    Portion(Portion),
    /// Nothing is read any more.
    Yours,
    /// It does not come to it, in words.
    Refused(String),
}

/// What stands beside some descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// How their sockets are set up.
    pub kinds: Vec<Kind>,
    /// What they are, in their order.
    pub descriptors: Vec<Descriptor>,
    /// These were all.
    pub last: bool,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Descriptor {
    /// The control socket, which listens.
    Control,
    /// The socket of metrics, which listens.
    Metrics,
    /// The socket of an address.
    Socket {
        /// Its kind, by the number in the portion.
        kind: usize,
        /// The address, as the configuration has it: its port may be 0.
        asked: SocketAddr,
    },
}

/// How a socket is set up; those of a listener are mostly alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// Name of the listener.
    pub listener: String,
    /// Its options, as the daemon writes them.
    pub options: Value,
    /// Groups that its configuration had it join.
    pub groups: Vec<Joined>,
    /// Facts that its handler has asked for: `tos`, `hop_limit`, `local`, `time`.
    pub wanted: Vec<String>,
    /// Datagrams are not joined into trains.
    pub apart: bool,
}

/// A group that a socket is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as a membership has them")]
pub struct Joined {
    pub group: IpAddr,
    pub source: Option<IpAddr>,
    pub ifindex: u32,
}
