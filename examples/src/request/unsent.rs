//! Why a request did not leave, where routers may have been left out.

use std::io;
use std::net::SocketAddr;

use polyport_terminal::Exit;

use crate::outcome::ExitError;

/// What [`crate::unsent::unsent`] says, or where `dont_route` leaves routers out: a route there may be, but none without
/// one.
#[must_use]
pub fn unsent(
    doing: &str,
    peer: SocketAddr,
    own: SocketAddr,
    error: &io::Error,
    dont_route: bool,
) -> ExitError {
    if dont_route && error.kind() == io::ErrorKind::NetworkUnreachable {
        let text = format!(
            "cannot {doing} {peer} without a router: {error}: it is on no link of this host, and --dont-route uses no \
             gateway; see `ip route get {}`",
            peer.ip()
        );
        return ExitError::new(Exit::NoReply, text).of_one_address();
    }
    crate::unsent::unsent(doing, peer, own, error)
}
