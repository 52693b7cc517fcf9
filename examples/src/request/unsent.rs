//! Why a request did not leave.

use std::io;
use std::net::SocketAddr;

use polyport_terminal::Exit;

use crate::outcome::ExitError;

/// Nobody listens at `target`.
pub(super) fn refused(target: SocketAddr) -> ExitError {
    ExitError::new(Exit::NoReply, format!("connection refused: nobody listens at {target}"))
}

/// A datagram that did not leave.
pub(super) fn unsent(target: SocketAddr, error: &io::Error) -> ExitError {
    let what = format!("send to {target}");
    let kind = error.kind();
    if kind == io::ErrorKind::ConnectionRefused {
        return refused(target);
    }
    if kind == io::ErrorKind::PermissionDenied {
        let advice = "a broadcast address needs polyport-cast";
        return ExitError::new(Exit::Permission, format!("cannot {what}: {error}: {advice}"));
    }
    ExitError::io(&what, error)
}
