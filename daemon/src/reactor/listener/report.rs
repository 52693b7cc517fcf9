//! What the reactor says of a listener to whoever owns it.

use crate::metrics::Counters;
use crate::plugin::CreateError;
use crate::reactor::io::Token;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What one listener counted.
#[derive(Clone, Debug)]
pub struct ListenerReport<'a> {
    /// Names it to the reactor.
    pub token: Token,
    /// What its owner said of it.
    pub tag: u64,
    /// Name in the configuration.
    pub name: &'a Arc<str>,
    /// The bound address.
    pub local: SocketAddr,
    /// Name of the plugin.
    pub plugin: &'a Arc<str>,
    /// The loop's counts.
    pub counters: &'a Counters,
    /// Datagrams that wait to be sent: delayed ones and those of the backlog.
    pub waiting: u64,
    /// The handler's own cells.
    pub cells: Vec<(&'a str, u64)>,
}

/// What is left of a listener that was taken out.
#[derive(Debug)]
pub struct Removed<S> {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The address it was bound to.
    pub local: SocketAddr,
    /// Name of the plugin.
    pub plugin: Arc<str>,
    /// Its socket, which nothing watches any more. Dropping it gives the address back.
    pub socket: S,
    /// The loop's counts.
    pub counters: Counters,
    /// The handler's own cells.
    pub cells: Vec<(String, u64)>,
}

/// A listener that could not be added.
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
