//! Waiting for one socket: `poll(2)`, for clients that do one thing at a time. Servers use a poller over all sockets.
#![expect(unsafe_code, reason = "poll takes a pointer")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libc::{c_int, c_short};

/// Waits up to `timeout` until a receive would not block; `false` if the time ran out. An error that is pending on
/// the socket counts as readable: receiving returns it. A fraction of a millisecond is rounded up.
///
/// # Errors
/// `Interrupted` if a signal came: what is left of the time is known to the caller, who has the clock.
pub fn wait_readable(fd: &impl AsFd, timeout: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLIN, timeout)
}

/// Waits up to `timeout` until a send would not block; `false` if the time ran out. An error that is pending on the
/// socket counts as writable: sending returns it. A fraction of a millisecond is rounded up.
///
/// # Errors
/// `Interrupted` if a signal came: what is left of the time is known to the caller, who has the clock.
pub fn wait_writable(fd: &impl AsFd, timeout: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLOUT, timeout)
}

fn wait(fd: &impl AsFd, events: c_short, timeout: Duration) -> io::Result<bool> {
    let millis = timeout.as_nanos().div_ceil(NANOS_PER_MILLI);
    let millis = c_int::try_from(millis).unwrap_or(c_int::MAX);
    let mut entry = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 };
    // SAFETY: `entry` is one live pollfd, as the count says.
    let ready = unsafe { libc::poll(&raw mut entry, 1, millis) };
    match ready {
        0 => Ok(false),
        1.. => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;
