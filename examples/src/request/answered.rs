//! What both ways of asking lead to.

use std::net::SocketAddr;

use polyport_protocol::Nanos;

/// The answer to a request, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload.
    pub payload: Vec<u8>,
    /// From the transmission it answers to its arrival; after a retransmission in raw mode nobody knows which one that was,
    /// and it is counted from the last.
    pub rtt: Nanos,
    /// Transmissions so far.
    pub transmissions: u8,
}
