//! What the books of a run are opened with.

use std::net::SocketAddr;

use polyport_protocol::Nanos;

use super::ids::Ids;
use super::stamp::settings::Numbering;

/// What the books need to know of a run.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// Where datagrams go.
    pub targets: Vec<SocketAddr>,
    /// Streams for each target, at least 1.
    pub streams: u32,
    /// Datagrams that each stream remembers.
    pub ring: usize,
    /// Datagrams that each stream of handshake and warm-up remembers.
    pub practice_ring: usize,
    /// After this time an answer is late.
    pub timeout: Nanos,
    /// Most datagrams without answer and not timed out.
    pub max_in_flight: u64,
    /// Streams of the run that other threads have and that are numbered before these.
    pub first: u32,
    /// Random: id of the first stream of the run.
    pub first_stream_id: u32,
    /// Random: what the clock of the timestamps shows at time 0.
    pub epoch: u64,
    /// The ids.
    pub ids: Ids,
    /// Whether the port alone at which a datagram comes tells the stream; then handshake and warm-up have a port of their own.
    pub by_port: bool,
    /// Which numbers reflectors give to their packets, where such are the targets.
    pub numbering: Option<Numbering>,
    /// Whether nothing in the datagrams follows from their ids, which saves to make them.
    pub nameless: bool,
}
