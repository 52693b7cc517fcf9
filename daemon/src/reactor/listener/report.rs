//! What the reactor tells the caller about a listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::metrics::Counters;
use crate::plugin::{Cells, CreateError};
use crate::reactor::io::Token;
use crate::reactor::session::{SessionBook, SessionReport};

/// How a listener is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerState {
    /// By its handler.
    Serving,
    /// Its socket is not read, until somebody resumes it.
    Paused,
    /// Its socket is not read any more, and what it has to do is being done.
    Draining,
    /// Its handler broke, and is made again in a while.
    Down,
    /// Its handler broke and is not made again, or its socket is unusable.
    Failed,
}

impl ListenerState {
    /// All of them: first those that are as somebody wants them.
    pub const ALL: [Self; 5] = [Self::Serving, Self::Paused, Self::Draining, Self::Down, Self::Failed];
    /// How many of the first are as somebody wants them.
    pub const AS_WANTED: usize = 3;

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Failed => "failed",
        }
    }
}

/// What one listener counted.
#[derive(Clone, Debug)]
pub struct ListenerReport<'a> {
    /// The name of the listener to the reactor.
    pub token: Token,
    /// The number that its owner chose; the reactor does not read it.
    pub tag: u64,
    /// How it is served.
    pub state: ListenerState,
    /// Name in the configuration.
    pub name: &'a Arc<str>,
    /// The bound address.
    pub local: SocketAddr,
    /// Name of the plugin.
    pub plugin: &'a Arc<str>,
    /// What the loop has counted.
    pub counters: &'a Counters,
    /// Datagrams that wait to be sent: delayed ones and those of the backlog.
    pub waiting: u64,
    /// The metric cells of the handler.
    pub cells: &'a Cells,
    /// Its sessions, if its plugin has any.
    pub sessions: Option<SessionReport<'a>>,
}

/// What is left of a listener that was removed.
#[derive(Debug)]
pub struct Removed<S> {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The address it was bound to.
    pub local: SocketAddr,
    /// Its socket, which nothing watches any more. Dropping it frees the address.
    pub socket: S,
    /// What the loop has counted.
    pub counters: Counters,
    /// The metric cells of the handler, with their last values.
    pub cells: Cells,
    /// What its sessions have counted, if its plugin has any.
    pub sessions: Option<SessionBook>,
    /// That of its reports.
    pub tag: u64,
}

/// Why a listener could not be added.
#[derive(Debug)]
pub enum AddError {
    /// The plugin refused to make a handler.
    Create(CreateError),
    /// The socket cannot be watched.
    Register(io::Error),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(e) => write!(f, "the plugin refuses: {}", e.message),
            Self::Register(e) => write!(f, "the socket cannot be watched: {e}"),
        }
    }
}

impl std::error::Error for AddError {}
