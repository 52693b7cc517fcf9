//! Why a request did not leave.

use std::io;
use std::net::SocketAddr;

use polyport_terminal::Exit;

use crate::outcome::ExitError;

/// Nobody listens at `target`.
pub(super) fn refused(target: SocketAddr) -> ExitError {
    ExitError::new(Exit::NoReply, format!("connection refused: nobody listens at {target}"))
}

/// A socket that could not be tied to `target`; `dont_route` says whether routers were left out.
#[must_use]
pub fn unconnected(target: SocketAddr, error: &io::Error, dont_route: bool) -> ExitError {
    no_link(target, error, dont_route)
        .unwrap_or_else(|| ExitError::io(&format!("connect to {target}"), error))
}

/// A datagram that did not leave; `dont_route` says whether routers were left out.
pub(super) fn unsent(target: SocketAddr, error: &io::Error, dont_route: bool) -> ExitError {
    let what = format!("send to {target}");
    let kind = error.kind();
    if kind == io::ErrorKind::ConnectionRefused {
        return refused(target);
    }
    if kind == io::ErrorKind::PermissionDenied {
        let advice = "a broadcast address needs polyport-cast";
        return ExitError::new(Exit::Permission, format!("cannot {what}: {error}: {advice}"));
    }
    no_link(target, error, dont_route).unwrap_or_else(|| ExitError::io(&what, error))
}

/// A route there may be, but none without a router.
fn no_link(target: SocketAddr, error: &io::Error, dont_route: bool) -> Option<ExitError> {
    (dont_route && error.kind() == io::ErrorKind::NetworkUnreachable).then(|| {
        let text = format!(
            "cannot send to {target} without a router: {error}: it is on no link of this host, and --dont-route \
             uses no gateway; see `ip route get`"
        );
        ExitError::new(Exit::NoReply, text)
    })
}
