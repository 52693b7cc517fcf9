//! How sockets are watched: level-triggered on Linux (`epoll(7)`), edge-triggered by mio elsewhere.
//!
//! The mio crate registers sockets edge-triggered. Then a listener with one datagram needs a second receive call to
//! learn that there is no other, a third of what the datagram costs in all. So on Linux the sockets are added to mio's
//! epoll instance level-triggered: datagrams that still wait after a single receive raise an event by themselves.

use std::io;
use std::os::fd::AsRawFd;

use mio::Poll;
use polyport_net::UdpSocket;

use crate::reactor::io::Interest;

/// Whether datagrams that still wait raise an event by themselves.
pub(crate) const LEVEL_TRIGGERED: bool = cfg!(target_os = "linux");

/// Starts to watch a socket for arrivals.
#[cfg(target_os = "linux")]
pub(crate) fn register(poll: &Poll, socket: &UdpSocket, token: mio::Token) -> io::Result<()> {
    polyport_net::epoll::add(poll, socket, token.0 as u64)
}

/// Starts to watch a descriptor that is no listener's for arrivals.
pub(crate) fn watch_descriptor(poll: &Poll, descriptor: &impl AsRawFd, token: mio::Token) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return polyport_net::epoll::add(poll, descriptor, token.0 as u64);
    #[cfg(not(target_os = "linux"))]
    poll.registry().register(
        &mut mio::unix::SourceFd(&descriptor.as_raw_fd()),
        token,
        mio::Interest::READABLE,
    )
}

/// Changes what a socket is watched for.
#[cfg(target_os = "linux")]
pub(crate) fn change(
    poll: &Poll,
    socket: &UdpSocket,
    token: mio::Token,
    interest: Interest,
) -> io::Result<()> {
    polyport_net::epoll::modify(poll, socket, token.0 as u64, interest.readable, interest.writable)
}

/// Stops watching a socket.
#[cfg(target_os = "linux")]
pub(crate) fn unregister(poll: &Poll, socket: &UdpSocket) -> io::Result<()> {
    polyport_net::epoll::modify(poll, socket, 0, false, false)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unregister(poll: &Poll, socket: &UdpSocket) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    poll.registry().deregister(&mut mio::unix::SourceFd(&fd))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn register(poll: &Poll, socket: &UdpSocket, token: mio::Token) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    poll.registry().register(&mut mio::unix::SourceFd(&fd), token, mio::Interest::READABLE)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn change(
    poll: &Poll,
    socket: &UdpSocket,
    token: mio::Token,
    interest: Interest,
) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let mut source = mio::unix::SourceFd(&fd);
    // A socket that gives only errors may stay watched: edge-triggered, it raises no event by itself.
    let wanted = match (interest.readable, interest.writable) {
        (_, true) => mio::Interest::READABLE | mio::Interest::WRITABLE,
        (_, false) => mio::Interest::READABLE,
    };
    poll.registry().reregister(&mut source, token, wanted)
}
