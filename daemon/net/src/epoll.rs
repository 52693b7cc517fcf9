//! Level-triggered readiness of sockets in somebody else's epoll instance (`epoll(7)`, Linux only).
#![expect(unsafe_code, reason = "epoll_ctl reads an event through a pointer")]

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::{UdpSocket, sys};

/// Watches `socket` for arrivals; events carry `data`.
///
/// # Errors
/// Those of `epoll_ctl(2)`, such as EEXIST and ENOSPC (`/proc/sys/fs/epoll/max_user_watches`).
pub fn add(epoll: &impl AsRawFd, socket: &UdpSocket, data: u64) -> io::Result<()> {
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

fn control(epoll: &impl AsRawFd, socket: &UdpSocket, op: i32, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the event lives through the call, which copies it; descriptors that are none are an error.
    sys::check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), op, socket.as_raw_fd(), &raw mut event) })
}
