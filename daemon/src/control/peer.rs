//! Who is on the other side of a connection.

use std::os::unix::net::UnixStream;

/// Whether the client is root or the user of this process. The mode of the socket says the same; this holds also where somebody
/// changes it.
#[cfg(target_os = "linux")]
pub(super) fn is_permitted(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

/// Whether a daemon that answers may be taken over: it is this user's or root's, or this process is root, which is told by whoever
/// starts it whom to follow.
#[cfg(target_os = "linux")]
pub(super) fn is_trusted(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| is_trusted_of(peer.uid, rustix::process::geteuid()))
}

#[cfg(target_os = "linux")]
fn is_trusted_of(theirs: rustix::process::Uid, own: rustix::process::Uid) -> bool {
    theirs.is_root() || theirs == own || own.is_root()
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::Uid;

    use super::*;

    #[test]
    fn nobody_follows_a_daemon_of_another_user_but_root() {
        let (root, one, other) = (Uid::ROOT, Uid::from_raw(1001), Uid::from_raw(1002));
        for (theirs, own, is) in
            [(one, one, true), (root, one, true), (one, root, true), (root, root, true), (other, one, false)]
        {
            assert_eq!(is_trusted_of(theirs, own), is, "{theirs:?} {own:?}");
        }
        let (stream, _other) = UnixStream::pair().unwrap();
        assert!(is_trusted(&stream), "this process is its own user's");
    }
}
