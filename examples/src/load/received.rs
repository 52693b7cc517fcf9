//! What came of a datagram that was received.

use polyport_protocol::Nanos;

use super::class::Class;
use super::ipdv::Ipdv;

/// What a received datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its class.
    pub class: Class,
    /// The target whose datagram it answers, plan and departure of that datagram; for first answers only, and not
    /// during handshake and warm-up.
    pub first: Option<(usize, Nanos, Nanos)>,
    /// By how much its times differ from those of its neighbour.
    pub ipdv: Option<Ipdv>,
}
