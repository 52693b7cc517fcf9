//! Level-triggered readiness of sockets in somebody else's epoll instance (`epoll(7)`, Linux only).
#![expect(unsafe_code, reason = "epoll_ctl reads an event through a pointer")]

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::{UdpSocket, sys};

/// Watches `socket`, or another descriptor, for arrivals; events carry `data`.
///
/// # Errors
/// Those of `epoll_ctl(2)`, such as EEXIST and ENOSPC (`/proc/sys/fs/epoll/max_user_watches`).
pub fn add(epoll: &impl AsRawFd, socket: &impl AsRawFd, data: u64) -> io::Result<()> {
    control(epoll, socket, libc::EPOLL_CTL_ADD, READ, data)
}

/// Changes what a watched socket is watched for; errors are always reported (`epoll_ctl(2)`), unless it is watched
/// for nothing: then it is taken out.
///
/// # Errors
/// Those of `epoll_ctl(2)`, as for [`add`]. A socket that is not watched is no error.
pub fn modify(
    epoll: &impl AsRawFd,
    socket: &UdpSocket,
    data: u64,
    readable: bool,
    writable: bool,
) -> io::Result<()> {
    let wanted = if readable { READ } else { 0 } | if writable { WRITE } else { 0 };
    if wanted == 0 {
        return match control(epoll, socket, libc::EPOLL_CTL_DEL, 0, data) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        };
    }
    // Another fault would meet the second call as well: the guard only saves that call.
    match control(epoll, socket, libc::EPOLL_CTL_MOD, wanted, data) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            control(epoll, socket, libc::EPOLL_CTL_ADD, wanted, data)
        }
        result => result,
    }
}

/// Waits until the instance has an event, or for `span`, less than a second and as exact as the timers of the thread
/// (`ppoll(2)`). A signal ends it early.
pub fn wait(epoll: &impl AsRawFd, span: Duration) {
    let mut entry = libc::pollfd { fd: epoll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() };
    // SAFETY: `entry` is one live pollfd, as the count says; the signal mask may be null, and then stays as it is.
    // Whatever ends the wait, what follows is the same.
    unsafe { libc::ppoll(&raw mut entry, 1, &raw const timeout, std::ptr::null()) };
}

const READ: u32 = libc::EPOLLIN as u32;
const WRITE: u32 = libc::EPOLLOUT as u32;

fn control(epoll: &impl AsRawFd, socket: &impl AsRawFd, op: i32, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the event lives through the call, which copies it; descriptors that are none are an error.
    sys::check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), op, socket.as_raw_fd(), &raw mut event) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd, OwnedFd};

    use super::*;
    use crate::SocketOptions;

    /// What an instance has to tell, without waiting.
    fn events(epoll: &OwnedFd) -> Vec<(u64, u32)> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: `events` has room for the four that are asked for.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 4, 0) };
        let count = usize::try_from(count).unwrap();
        events[..count].iter().map(|event| (event.u64, event.events)).collect()
    }

    #[test]
    fn a_socket_is_watched_for_what_was_asked_last() {
        // SAFETY: the call takes a flag and makes a descriptor, or -1.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0);
        // SAFETY: a descriptor that was just made and has no other owner.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        add(&epoll, &socket, 7).unwrap();
        assert_eq!(add(&epoll, &socket, 7).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        assert_eq!(events(&epoll), []);
        socket.send(b"x").unwrap();
        wait(&epoll, Duration::from_millis(900));
        assert_eq!(events(&epoll), [(7, READ)]);
        for (data, readable, writable, expected) in
            [(8, true, true, READ | WRITE), (9, false, true, WRITE), (10, true, false, READ)]
        {
            modify(&epoll, &socket, data, readable, writable).unwrap();
            assert_eq!(events(&epoll), [(data, expected)]);
        }
        for _ in 0..2 {
            modify(&epoll, &socket, 11, false, false).unwrap();
            assert_eq!(events(&epoll), []);
        }
        modify(&epoll, &socket, 12, true, false).unwrap();
        assert_eq!(events(&epoll), [(12, READ)]);
    }

    #[test]
    fn faults_of_the_instance_are_told() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        for wanted in [true, false] {
            let error = modify(&socket, &socket, 1, wanted, false).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "a socket is no epoll instance");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the standard library's clock is the measure here")]
    fn without_an_event_the_wait_takes_its_time() {
        // SAFETY: the call takes a flag and makes a descriptor, or -1.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0);
        // SAFETY: a descriptor that was just made and has no other owner.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let start = std::time::Instant::now();
        wait(&epoll, Duration::from_millis(20));
        assert!(
            start.elapsed() >= Duration::from_millis(20),
            "a signal ends it early, and there is none here"
        );
    }
}
