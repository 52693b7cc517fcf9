//! Whether a received datagram reaches the handler, by its source.

use std::net::SocketAddr;

use crate::access::Access;
use crate::metrics::DropReason;

/// Decides whether a datagram from `peer` reaches the handler of a listener with this access list.
///
/// # Errors
/// The reason to drop it. A datagram with source port 0 cannot be answered (RFC 768: 0 stands for no port), and forged
/// ones could provoke a storm of send errors (R22). Who is not let in is dropped whatever the handler would do with it,
/// and in both spellings of an IPv4 address (R24).
#[inline]
pub fn admit(peer: SocketAddr, access: Option<&Access>) -> Result<(), DropReason> {
    if peer.port() == 0 {
        return Err(DropReason::SourcePortZero);
    }
    match access {
        Some(access) if !access.allows(peer.ip()) => Err(DropReason::SourceDenied),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_port_zero_is_refused() {
        assert_eq!(admit(SocketAddr::from(([192, 0, 2, 1], 0)), None), Err(DropReason::SourcePortZero));
        assert_eq!(admit(SocketAddr::from(([192, 0, 2, 1], 1)), None), Ok(()));
    }

    #[test]
    fn who_is_not_let_in_is_refused() {
        let access = Access::new(Vec::new(), vec!["192.0.2.0/24".parse().unwrap()]);
        let admit = |peer: &str| admit(peer.parse().unwrap(), Some(&access));
        assert_eq!(admit("192.0.2.1:9"), Err(DropReason::SourceDenied));
        assert_eq!(admit("[::ffff:192.0.2.1]:9"), Err(DropReason::SourceDenied));
        assert_eq!(admit("192.0.2.1:0"), Err(DropReason::SourcePortZero));
        assert_eq!((admit("192.0.3.1:9"), admit("[2001:db8::1]:9")), (Ok(()), Ok(())));
    }
}
