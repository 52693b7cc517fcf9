//! Receiving many datagrams in one call: `recvmmsg(2)`.
#![expect(unsafe_code, reason = "recvmsg and recvmmsg write through the pointers of the message headers")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use crate::address::RawAddress;
use crate::control::{self, RecvControl};
use crate::sys::{self, Header};
use crate::{RecvMeta, SlotLayout, UdpSocket};

/// Message headers for receiving a batch, made once; the payload memory is the caller's, so that one ring serves
/// all sockets.
///
/// ```text
///   headers[i] ──► names[i]      who sent it            kept here
///              ──► controls[i]   where it arrived        kept here
///              ──► vectors[i] ──► memory[i * stride ..]  the caller's
/// ```
pub struct RecvBatch {
    headers: Vec<Header>,
    vectors: Vec<libc::iovec>,
    names: Vec<RawAddress>,
    controls: Vec<RecvControl>,
    /// Datagrams of the last call; their headers carry the kernel's lengths and must be reset before the next.
    received: usize,
    /// What `vectors` describe.
    laid: Laid,
    calls: Calls,
}

/// Memory that the vectors lead to, and how many of them do.
#[derive(Clone, Copy)]
struct Laid {
    memory: *mut [u8],
    layout: SlotLayout,
    slots: usize,
}

/// Whether a batch goes to the kernel in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// `recvmmsg` and `sendmmsg`.
    Many,
    /// One `recvmsg` or `sendmsg` a message: the system has nothing else, or a sandbox forbids it.
    Single,
}

impl Calls {
    pub(crate) const DEFAULT: Self = if cfg!(target_os = "linux") { Self::Many } else { Self::Single };

    /// Whether the batch call itself is missing, as opposed to a message having failed.
    pub(crate) fn are_missing(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
    }
}

// SAFETY: the raw pointers in `headers` and `vectors` lead into the vectors of the same batch, which move with it and
// are never resized, or to memory of a caller that is not touched after the call it was lent to.
unsafe impl Send for RecvBatch {}

impl RecvBatch {
    /// Makes headers for up to `slots` datagrams a call (at least 1, and [`crate::MAX_BATCH`] at most). A call
    /// with unused slots costs no more than one without.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let slots = slots.clamp(1, crate::MAX_BATCH);
        let mut batch = Self {
            headers: (0..slots).map(|_| Header::new()).collect(),
            vectors: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; slots],
            names: vec![RawAddress::new(); slots],
            controls: vec![RecvControl::new(); slots],
            received: slots,
            laid: Laid {
                memory: std::ptr::slice_from_raw_parts_mut(std::ptr::null_mut(), 0),
                layout: SlotLayout::WHOLE,
                slots: 0,
            },
            calls: Calls::DEFAULT,
        };
        let parts = batch.vectors.iter_mut().zip(&mut batch.names).zip(&mut batch.controls);
        for (header, ((vector, name), control)) in batch.headers.iter_mut().zip(parts) {
            header.msg.msg_iov = vector;
            header.msg.msg_iovlen = 1;
            header.msg.msg_name = (&raw mut *name).cast();
            header.msg.msg_control = control.bytes.as_mut_ptr().cast();
        }
        batch
    }

    /// Datagrams that one call can bring.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Forces one system call a datagram, as on systems without `recvmmsg`: for comparisons and tests.
    pub fn use_single_calls(&mut self) {
        self.calls = Calls::Single;
    }

    /// Receives up to `max` datagrams that wait on `socket`, into the slots that `layout` cuts from `memory`.
    /// Never blocks. The result is at least 1; [`Self::meta`] tells about each.
    ///
    /// Fewer than asked for means that the queue was empty, provided the socket is not connected and has no error
    /// queue; otherwise only `WouldBlock` means so, as a pending ICMP error ends a batch early.
    ///
    /// # Errors
    /// `WouldBlock` if nothing waits. `InvalidInput` if `max` is 0 or `memory` holds no slot. Any other errno
    /// concerns the socket (see `udp(7)`) or was pending on it from an ICMP message, in which case it is consumed
    /// and the next call goes on. EINTR is repeated inside.
    pub fn recv(
        &mut self,
        socket: &UdpSocket,
        memory: &mut [u8],
        layout: SlotLayout,
        max: usize,
    ) -> io::Result<usize> {
        self.reset();
        // A server lends the same memory every time.
        if !std::ptr::eq(self.laid.memory, memory) || self.laid.layout != layout {
            self.lay(memory, layout);
        }
        let max = max.min(self.laid.slots);
        if max == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = socket.as_raw_fd();
        let headers = &mut self.headers[..max];
        let result = match headers {
            [header] => recv_one(fd, header).map(|()| 1),
            many if self.calls == Calls::Many => match recv_many(fd, many) {
                Err(error) if Calls::are_missing(&error) => {
                    self.calls = Calls::Single;
                    recv_each(fd, many)
                }
                result => result,
            },
            many => recv_each(fd, many),
        };
        self.received = *result.as_ref().unwrap_or(&0);
        result
    }

    /// Makes the vectors lead to the slots of `memory`.
    fn lay(&mut self, memory: &mut [u8], layout: SlotLayout) {
        self.laid = Laid { memory, layout, slots: self.headers.len().min(layout.slots(memory.len())) };
        let slots = memory.chunks_mut(layout.stride()).take(self.laid.slots);
        for (vector, slot) in self.vectors.iter_mut().zip(slots) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = layout.slot_len();
        }
    }

    /// What is known of datagram `index` of the last call.
    ///
    /// # Panics
    /// If `index` is not below the count that the last [`Self::recv`] returned.
    #[inline]
    #[must_use]
    pub fn meta(&self, index: usize) -> RecvMeta {
        let header = &self.headers[..self.received][index];
        let flags = header.msg.msg_flags;
        let control_truncated = flags & libc::MSG_CTRUNC != 0;
        let control = match sys::length(header.msg.msg_controllen) {
            1.. if control_truncated => control::Received::default(),
            0 => control::Received::default(),
            len => self.controls[index].bytes.get(..len).map(control::read).unwrap_or_default(),
        };
        RecvMeta {
            len: sys::length(header.len),
            peer: self.names[index].get(header.msg.msg_namelen).unwrap_or(NOBODY),
            local: control.local,
            truncated: flags & libc::MSG_TRUNC != 0,
            control_truncated,
            tos: control.tos,
            hop_limit: control.hop_limit,
            segment: control.segment,
            fragment: control.fragment,
            unix_ns: control.unix_ns,
        }
    }

    /// All datagrams of the last call.
    #[inline]
    pub fn metas(&self) -> impl ExactSizeIterator<Item = RecvMeta> {
        (0..self.received).map(|index| self.meta(index))
    }

    /// Restores the lengths that the kernel changed, in the headers that were used.
    fn reset(&mut self) {
        for header in &mut self.headers[..self.received] {
            header.msg.msg_namelen = RawAddress::CAPACITY;
            header.msg.msg_controllen = control::RECV_CAPACITY.into();
            header.msg.msg_flags = 0;
        }
        self.received = 0;
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("slots", &self.slots())
            .field("received", &self.received)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn recv_many(fd: RawFd, headers: &mut [Header]) -> io::Result<usize> {
    let (count, flags) = (sys::fit(headers.len())?, sys::fit(libc::MSG_DONTWAIT)?);
    // No timeout: the kernel looks at it only after a datagram came (recvmmsg(2), BUGS).
    // SAFETY: `headers` are `count` mmsghdr whose pointers lead to live, writable memory of the lengths they state: the
    // batch's own arrays, and the slots that `recv` has borrowed for the time of the call.
    sys::retry(|| unsafe {
        libc::recvmmsg(fd, headers.as_mut_ptr().cast(), count, flags, std::ptr::null_mut())
    })
}

#[cfg(not(target_os = "linux"))]
fn recv_many(_: RawFd, _: &mut [Header]) -> io::Result<usize> {
    Err(sys::errno(libc::ENOSYS))
}

/// Receives with one call a datagram, where recvmmsg(2) is missing or unwanted. An error after the first datagram is left
/// for the next call to meet.
fn recv_each(fd: RawFd, headers: &mut [Header]) -> io::Result<usize> {
    for (done, header) in headers.iter_mut().enumerate() {
        match recv_one(fd, header) {
            Ok(()) => {}
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
    }
    Ok(headers.len())
}

fn recv_one(fd: RawFd, header: &mut Header) -> io::Result<()> {
    let message = &raw mut header.msg;
    // SAFETY: as in `recv_many`, for one message.
    let len = sys::retry(|| unsafe { libc::recvmsg(fd, message, libc::MSG_DONTWAIT) })?;
    header.len = sys::fit(len)?;
    Ok(())
}

/// Stands for a peer the kernel did not name, which UDP does not do; port 0 is never answered.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_call_is_told_from_a_failing_one() {
        let missing = |errno| Calls::are_missing(&io::Error::from_raw_os_error(errno));
        // A kernel without the call, and what some sandboxes answer in its place.
        assert!(missing(libc::ENOSYS) && missing(libc::EOPNOTSUPP));
        for errno in [libc::EAGAIN, libc::EPERM, libc::EINVAL, libc::EBADF] {
            assert!(!missing(errno), "{errno}");
        }
    }
}
