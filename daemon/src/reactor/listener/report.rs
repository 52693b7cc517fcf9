//! What the reactor tells the caller about a listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::metrics::Counters;
use crate::plugin::{Cells, CreateError};
use crate::reactor::io::Token;
use crate::reactor::session::{SessionBook, SessionReport};

/// What one listener counted.
#[derive(Clone, Debug)]
pub struct ListenerReport<'a> {
    /// The name of the listener to the reactor.
    pub token: Token,
    /// The number that its owner chose; the reactor does not read it.
    pub tag: u64,
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
