//! One datagram, by the call with the least to copy in and out: `recvfrom(2)`, `sendto(2)`.
#![expect(unsafe_code, reason = "recvfrom and sendto take pointers")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use crate::address::RawAddress;
use crate::recv::NOBODY;
use crate::{RecvMeta, UdpSocket, sys};

impl UdpSocket {
    /// Receives one datagram into `slot`. Never blocks. What control data would tell stays unknown: for a socket
    /// that [has them](Self::has_control), use [`crate::RecvBatch`].
    ///
    /// # Errors
    /// Those of [`crate::RecvBatch::recv`].
    #[inline]
    pub fn recv_single(&self, slot: &mut [u8]) -> io::Result<RecvMeta> {
        let (fd, data, room) = (self.as_raw_fd(), slot.as_mut_ptr().cast(), slot.len());
        let mut name = RawAddress::new();
        let mut name_len = RawAddress::CAPACITY;
        let (peer, peer_len) = ((&raw mut name).cast::<libc::sockaddr>(), &raw mut name_len);
        // SAFETY: `data` and `peer` lead to live memory of the lengths passed with them.
        let len = sys::retry(|| unsafe { libc::recvfrom(fd, data, room, FLAGS, peer, peer_len) })?;
        // With MSG_TRUNC in the flags the result is the length that was sent, whatever found room. Elsewhere a cut
        // datagram cannot be told from one that just fits.
        let truncated = if cfg!(target_os = "linux") { len > room } else { len == room };
        Ok(RecvMeta {
            len: len.min(room),
            peer: name.get(name_len).unwrap_or(NOBODY),
            local: None,
            truncated,
            control_truncated: false,
            tos: None,
            hop_limit: None,
            segment: None,
            fragment: None,
            unix_ns: None,
        })
    }
}

const FLAGS: libc::c_int =
    if cfg!(target_os = "linux") { libc::MSG_DONTWAIT | libc::MSG_TRUNC } else { libc::MSG_DONTWAIT };

/// One payload to the peer of a connected socket, no control data.
#[inline]
pub(crate) fn send_connected(fd: RawFd, payload: &[u8]) -> io::Result<()> {
    let data = payload.as_ptr().cast::<libc::c_void>();
    // SAFETY: `data` leads to live memory of the length passed with it.
    sys::retry(|| unsafe { libc::send(fd, data, payload.len(), libc::MSG_DONTWAIT) }).map(|_| ())
}

/// One payload, one address, no control data.
#[inline]
pub(crate) fn send_to(fd: RawFd, payload: &[u8], to: &SocketAddr) -> io::Result<()> {
    let mut name = RawAddress::new();
    let name_len = name.set(to);
    let name = (&raw const name).cast::<libc::sockaddr>();
    let data = payload.as_ptr().cast::<libc::c_void>();
    // SAFETY: `data` and `name` lead to live memory of the lengths passed with them.
    sys::retry(|| unsafe { libc::sendto(fd, data, payload.len(), libc::MSG_DONTWAIT, name, name_len) })
        .map(|_| ())
}
