//! What is known of a datagram where its fate is decided.

use crate::key::Name;

/// A datagram that is to be decided about.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Whose it is, for the log.
    pub client: Name,
    /// Length of its payload.
    pub bytes: usize,
    /// Its traffic class, where it is known: `ecn` looks at it.
    pub tos: u8,
    /// When it came, ns of the host's clock.
    pub now_ns: u64,
    /// When that was in ns since 1970, for the log.
    pub wall_ns: u64,
}
