//! A datagram that entered or left, and what became of it.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// Which way a datagram went, as the daemon sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a peer to the daemon.
    In,
    /// From the daemon to a peer.
    Out,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It came in, and the handler answered it.
    Replied,
    /// It came in, and the handler answered nothing, or not in this call.
    Consumed,
    /// It came in behind a datagram that broke the handler, and the next handler gets it.
    Kept,
    /// It was handed to the kernel.
    Sent,
    /// It went nowhere; the name of the reason.
    Dropped(&'static str),
}

/// A datagram that entered or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the listener.
    pub name: Arc<str>,
    /// When the loop had it, or handed it to the kernel: Unix time in nanoseconds.
    pub at_ns: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Who sent it, or to whom it was to go.
    pub peer: SocketAddr,
    /// The daemon's address; unspecified where only the kernel knows it.
    pub local: SocketAddr,
    /// What became of it.
    pub verdict: Verdict,
    /// Nanoseconds from the arrival of a datagram until its answer was handed to the kernel.
    pub latency_ns: Option<u64>,
    /// The session that it has to do with; 0 is none.
    pub session: u64,
    /// It came or left by the session's own socket: the peer is whom the handler asks.
    pub upstream: bool,
    /// Bytes of its payload.
    pub len: usize,
    /// Where those of them that were copied lie in the chunk.
    pub payload: Range<usize>,
    /// TOS or traffic class; 0 is unknown or none.
    pub tos: u8,
    /// TTL or hop limit; 0 is unknown, or left to the system.
    pub ttl: u8,
}

/// Entries of one batch, with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The entries, in the order in which they were settled.
    pub entries: Vec<Entry>,
    /// Payload bytes of all of them.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// The bytes of an entry that were copied.
    #[must_use]
    pub fn payload(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.payload.clone()).unwrap_or_default()
    }
}
