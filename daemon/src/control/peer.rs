//! Who is on the other side of a connection.

use std::os::unix::net::UnixStream;

/// Whether the client is root or the user of this process. The mode of the socket says the same; this holds also where somebody
/// changes it.
#[cfg(target_os = "linux")]
pub(super) fn is_permitted(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

/// The process of a client.
#[cfg(target_os = "linux")]
pub(super) fn pid_of(stream: &UnixStream) -> Option<u32> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pid_of(_: &UnixStream) -> Option<u32> {
    None
}

/// The mode of the socket says it.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_permitted(_: &UnixStream) -> bool {
    true
}
