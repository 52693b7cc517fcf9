//! The admission of a datagram by its source.

use crate::metrics::DropReason;
use std::net::SocketAddr;

/// Decides whether a datagram from `peer` reaches the handler.
///
/// # Errors
/// The reason to drop it. Source port 0 (RFC 768: "no reply is expected") cannot be answered, and is what a
/// forger sends who wants an error storm (R22).
#[inline]
pub fn admit(peer: SocketAddr) -> Result<(), DropReason> {
    if peer.port() == 0 { Err(DropReason::SourcePortZero) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_port_zero_is_refused() {
        assert_eq!(admit(SocketAddr::from(([192, 0, 2, 1], 0))), Err(DropReason::SourcePortZero));
        assert_eq!(admit(SocketAddr::from(([192, 0, 2, 1], 1))), Ok(()));
    }
}
