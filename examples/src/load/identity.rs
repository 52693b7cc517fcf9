//! What tells one datagram of a run from all others.

/// What identifies a datagram on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The stream.
    pub stream_id: u32,
    /// The number in it.
    pub seq: u64,
    /// The id.
    pub request_id: u64,
    /// The time of sending, on a clock with a random epoch ([P-12]).
    pub timestamp: u64,
}
