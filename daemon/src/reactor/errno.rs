//! What each errno of a socket call means for the loop: one table, with one decision in each line. No errno ends the
//! process. `polyport-net` repeats calls after `EINTR`, and has other calls where the system gives `ENOSYS`.

use std::io;

use crate::metrics::DropReason;

/// What to do after a failed receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnReceive {
    /// End the visit: no datagram waits, and an event will tell when one does.
    Drained,
    /// Try again, a bounded number of times: the call has taken an error from the socket.
    Again,
    /// Stop watching the socket for 10 ms, and visit the listener then.
    Pause,
    /// Close the listener: the descriptor is invalid, which is a bug of the daemon.
    Broken,
}

/// What to do after a failed send with its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnSend {
    /// Keep the messages and wait for room in the socket.
    Backlog,
    /// Drop this message, and go on with the next.
    Drop(DropReason),
    /// Close the listener: the descriptor is invalid, which is a bug of the daemon.
    Broken,
}

/// What to do after a session could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnOpen {
    /// All ports of the source address are used up. An attempt costs milliseconds then: make none for a while.
    NoPort,
    /// No descriptor or no memory is left: make no attempt for a while.
    NoFile,
    /// The addresses are at fault; others may do.
    Refused,
}

/// Decides what follows when the socket of a session was not made: an `error` of `socket(2)`, `bind(2)`, `connect(2)` or
/// `epoll_ctl(2)`. `has_port` is whether one port was asked for.
pub(super) fn on_open(error: &io::Error, has_port: bool) -> OnOpen {
    match error.raw_os_error().unwrap_or(0) {
        // Of connect and of bind with port 0; elsewhere EAGAIN would mean to wait.
        libc::EAGAIN | libc::EADDRINUSE if !has_port => OnOpen::NoPort,
        // ENOSPC: `/proc/sys/fs/epoll/max_user_watches`.
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC => OnOpen::NoFile,
        _ => OnOpen::Refused,
    }
}

/// Whether a socket could not join a group because it is in it.
pub(super) fn is_joined(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EADDRINUSE)
}

/// Whether an error of a call on a connected socket may be that of an earlier datagram, which an ICMP message told
/// (`icmp_err_convert` of Linux). Then the call has done nothing, and the next one meets it no more.
pub(super) fn is_about_earlier(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::EMSGSIZE
                | libc::EACCES
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
        )
    )
}

/// Decides what a visit does after a receive failed with `error` (`recvmsg(2)`, `udp(7)`, `ip(7)`).
pub(super) fn on_receive(error: &io::Error) -> OnReceive {
    match error.raw_os_error().unwrap_or(0) {
        libc::EAGAIN => OnReceive::Drained,
        libc::ENOBUFS | libc::ENOMEM => OnReceive::Pause,
        libc::EBADF | libc::ENOTSOCK => OnReceive::Broken,
        // An ICMP message about an earlier datagram turns into ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,
        // ENETDOWN, ENONET, EPROTO and others. The kernel reports each once.
        _ => OnReceive::Again,
    }
}

/// Decides what becomes of the first message after a send failed with `error` (`sendmsg(2)`, `udp(7)`, `ip(7)`).
pub(super) fn on_send(error: &io::Error) -> OnSend {
    match error.raw_os_error().unwrap_or(0) {
        libc::EAGAIN => OnSend::Backlog,
        libc::ENOBUFS | libc::ENOMEM => OnSend::Drop(DropReason::NoBuffers),
        libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN => {
            OnSend::Drop(DropReason::Unreachable)
        }
        libc::EPERM | libc::EACCES => OnSend::Drop(DropReason::Forbidden),
        libc::EMSGSIZE => OnSend::Drop(DropReason::TooBig),
        // Port 0, a source address that is gone, a blackhole route: the message is at fault, not the socket.
        libc::EINVAL => OnSend::Drop(DropReason::Invalid),
        libc::EADDRNOTAVAIL | libc::ENODEV | libc::ENXIO => OnSend::Drop(DropReason::AddressGone),
        libc::EAFNOSUPPORT | libc::EDESTADDRREQ => OnSend::Drop(DropReason::NoDestination),
        libc::ENOSYS | libc::EOPNOTSUPP => OnSend::Drop(DropReason::Unsupported),
        libc::EBADF | libc::ENOTSOCK => OnSend::Broken,
        _ => OnSend::Drop(DropReason::Unreachable),
    }
}

/// Whether a segmented message may have failed because it is segmented. If so, its datagrams are sent one by one.
///
/// `EIO` says that the device has no checksum offload, `EMSGSIZE` that a segment is larger than the path's MTU. Older
/// kernels give `EINVAL` for the latter, and all give it for a source address that is gone.
pub(super) fn refuses_segments(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EMSGSIZE | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_errno_is_fatal_but_a_broken_descriptor() {
        for errno in 0..200 {
            let error = io::Error::from_raw_os_error(errno);
            let broken = errno == libc::EBADF || errno == libc::ENOTSOCK;
            assert_eq!(on_send(&error) == OnSend::Broken, broken, "{error}");
            assert_eq!(on_receive(&error) == OnReceive::Broken, broken, "{error}");
        }
    }

    /// Repeats the table, so that no line of it changes unseen: errnos of `sendmsg(2)`, `udp(7)` and `ip(7)`.
    #[test]
    fn every_errno_of_a_send_has_its_reason() {
        for (reason, errnos) in [
            (DropReason::NoBuffers, &[libc::ENOBUFS, libc::ENOMEM][..]),
            (
                DropReason::Unreachable,
                &[libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EHOSTDOWN, libc::ENETDOWN],
            ),
            (DropReason::Unreachable, &[libc::EIO, libc::EPROTO, libc::EPIPE, libc::ECONNRESET]),
            (DropReason::Forbidden, &[libc::EPERM, libc::EACCES]),
            (DropReason::TooBig, &[libc::EMSGSIZE]),
            (DropReason::Invalid, &[libc::EINVAL]),
            (DropReason::AddressGone, &[libc::EADDRNOTAVAIL, libc::ENODEV, libc::ENXIO]),
            (DropReason::NoDestination, &[libc::EAFNOSUPPORT, libc::EDESTADDRREQ]),
            (DropReason::Unsupported, &[libc::ENOSYS, libc::EOPNOTSUPP]),
        ] {
            for errno in errnos {
                let error = io::Error::from_raw_os_error(*errno);
                assert_eq!(on_send(&error), OnSend::Drop(reason), "{error}");
            }
        }
    }

    #[test]
    fn what_says_something_about_segmenting_is_not_about_its_datagrams() {
        let refused = [libc::EIO, libc::EMSGSIZE, libc::EINVAL, libc::EOPNOTSUPP, libc::ENOPROTOOPT];
        for errno in 0..200 {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(refuses_segments(&error), refused.contains(&errno), "{error}");
        }
    }

    #[test]
    fn an_error_of_a_receive_is_waited_for_or_taken_and_forgotten() {
        for (action, errnos) in [
            (OnReceive::Pause, &[libc::ENOBUFS, libc::ENOMEM][..]),
            (OnReceive::Again, &[libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETDOWN, libc::EPROTO]),
        ] {
            for errno in errnos {
                let error = io::Error::from_raw_os_error(*errno);
                assert_eq!(on_receive(&error), action, "{error}");
            }
        }
    }

    /// Repeats the table: errnos of `socket(2)`, `bind(2)`, `connect(2)` and `epoll_ctl(2)`.
    #[test]
    fn what_cannot_be_opened_now_is_told_from_what_never_can() {
        let open = |errno: &i32, has_port| on_open(&io::Error::from_raw_os_error(*errno), has_port);
        let ports = [libc::EAGAIN, libc::EADDRINUSE];
        assert!(ports.iter().all(|errno| open(errno, false) == OnOpen::NoPort));
        assert!(ports.iter().all(|errno| open(errno, true) == OnOpen::Refused));
        let files = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ENOSPC];
        assert!(files.iter().all(|errno| open(errno, true) == OnOpen::NoFile));
        for errno in [libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EINVAL, libc::EACCES, libc::EAFNOSUPPORT]
        {
            assert_eq!(open(&errno, false), OnOpen::Refused, "{errno}");
        }
    }

    #[test]
    fn a_full_or_broken_socket_says_nothing_about_earlier_datagrams() {
        for errno in [libc::EAGAIN, libc::EBADF, libc::ENOTSOCK, libc::ENOBUFS, libc::EINVAL, libc::EIO] {
            assert!(!is_about_earlier(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        assert!(is_about_earlier(&io::Error::from_raw_os_error(libc::ECONNREFUSED)));
    }

    #[test]
    fn only_a_full_socket_keeps_messages() {
        assert_eq!(on_send(&io::Error::from_raw_os_error(libc::EAGAIN)), OnSend::Backlog);
        assert_eq!(
            on_send(&io::Error::from_raw_os_error(libc::ENOBUFS)),
            OnSend::Drop(DropReason::NoBuffers)
        );
        assert_eq!(on_receive(&io::Error::from_raw_os_error(libc::EAGAIN)), OnReceive::Drained);
    }
}
