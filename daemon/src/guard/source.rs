//! Whether a received datagram reaches the handler, by its source.

use std::net::SocketAddr;

use crate::metrics::DropReason;

/// Decides whether a datagram from `peer` reaches the handler.
///
/// # Errors
/// The reason to drop it. A datagram with source port 0 cannot be answered (RFC 768: 0 stands for no port), and forged
/// ones could provoke a storm of send errors (R22).
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
