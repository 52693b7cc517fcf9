//! Sending many datagrams in one call: `sendmmsg(2)`.
#![expect(unsafe_code, reason = "sendto, sendmsg and sendmmsg read through pointers")]

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};

use crate::address::RawAddress;
use crate::control::{self, SendControl};
use crate::recv::Calls;
use crate::single::{send_connected, send_to};
use crate::sys::{self, Header};
use crate::{SendMessage, UdpSocket};

/// Messages are sent to the destination that each of them names.
const NAMED: bool = false;
/// Messages are sent to the peer that the socket is connected to.
const CONNECTED: bool = true;

/// Message headers for sending a batch, made once.
pub struct SendBatch {
    headers: Vec<Header>,
    names: Vec<RawAddress>,
    controls: Vec<SendControl>,
    calls: Calls,
}

// SAFETY: the raw pointers in `headers` lead into the vectors of the same batch, which move with it and are never
// resized, or to memory of a caller that is not touched after the call it was lent to.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// Makes headers for up to `messages` messages a call (at least 1, and [`crate::MAX_BATCH`] at most).
    #[must_use]
    pub fn new(messages: usize) -> Self {
        let messages = messages.clamp(1, crate::MAX_BATCH);
        let mut batch = Self {
            headers: (0..messages).map(|_| Header::new()).collect(),
            names: vec![RawAddress::new(); messages],
            controls: vec![SendControl::new(); messages],
            calls: Calls::DEFAULT,
        };
        for (header, name) in batch.headers.iter_mut().zip(&mut batch.names) {
            header.msg.msg_name = (&raw mut *name).cast();
        }
        batch
    }

    /// Messages that one call can take.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Forces one system call a message, as on systems without `sendmmsg`: for comparisons and tests.
    pub fn use_single_calls(&mut self) {
        self.calls = Calls::Single;
    }

    /// Sends `messages` in order, by the cheapest call there is for them. Never blocks.
    ///
    /// `Ok(n)` says that the first `n` left; go on with the rest, also if `n` is smaller than asked: the cause was a
    /// full buffer, a faulty message or the batch's capacity, and the next call tells which. `n` is 0 only for an
    /// empty list.
    ///
    /// # Errors
    /// The **first** message failed with this errno; none was sent. To go on, leave it out. `WouldBlock`: the send
    /// buffer is full. What else may come is in `udp(7)` and `ip(7)`. EINTR is repeated inside.
    #[inline]
    pub fn send(&mut self, socket: &UdpSocket, messages: &[SendMessage<'_>]) -> io::Result<usize> {
        self.send_iter(socket, messages.iter().copied())
    }

    /// Sends as [`Self::send`] does, for messages that are made on the way: they need not be collected first.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    #[inline]
    pub fn send_iter<'a>(
        &mut self,
        socket: &UdpSocket,
        messages: impl IntoIterator<IntoIter: ExactSizeIterator<Item = SendMessage<'a>> + Clone>,
    ) -> io::Result<usize> {
        self.send_by::<NAMED>(socket.as_raw_fd(), messages.into_iter())
    }

    /// Sends as [`Self::send_iter`] does by a connected socket, to its peer: the calls name no destination, so that the
    /// kernel looks up no route for each. The destination of a message says only of which family its control data are.
    ///
    /// # Errors
    /// Those of [`Self::send`]; EDESTADDRREQ if the socket is not connected. An ICMP error of an earlier datagram fails one
    /// call, whose first message has not left then.
    #[inline]
    pub fn send_connected<'a>(
        &mut self,
        socket: &UdpSocket,
        messages: impl IntoIterator<IntoIter: ExactSizeIterator<Item = SendMessage<'a>> + Clone>,
    ) -> io::Result<usize> {
        self.send_by::<CONNECTED>(socket.as_raw_fd(), messages.into_iter())
    }

    #[inline]
    fn send_by<'a, const BY: bool>(
        &mut self,
        fd: RawFd,
        mut messages: impl ExactSizeIterator<Item = SendMessage<'a>> + Clone,
    ) -> io::Result<usize> {
        if messages.len() <= 1 {
            return messages.next().map_or(Ok(0), |one| self.send_one::<BY>(fd, &one).map(|()| 1));
        }
        let many = messages.take(self.headers.len());
        if self.calls == Calls::Many {
            match self.send_many::<BY>(fd, many.clone()) {
                Err(error) if Calls::are_missing(&error) => self.calls = Calls::Single,
                result => return result,
            }
        }
        self.send_each::<BY>(fd, many)
    }

    fn send_many<'a, const BY: bool>(
        &mut self,
        fd: RawFd,
        messages: impl Iterator<Item = SendMessage<'a>>,
    ) -> io::Result<usize> {
        let mut filled = 0;
        for (index, message) in messages.enumerate() {
            match self.fill::<BY>(index, &message) {
                Ok(()) => filled += 1,
                Err(error) if index == 0 => return Err(error),
                Err(_) => break,
            }
        }
        send_filled(fd, &mut self.headers[..filled])
    }

    /// Sends with one call a message, where sendmmsg(2) is missing or unwanted. An error after the first message is left
    /// for the next call to meet.
    fn send_each<'a, const BY: bool>(
        &mut self,
        fd: RawFd,
        messages: impl Iterator<Item = SendMessage<'a>>,
    ) -> io::Result<usize> {
        let mut sent = 0;
        for message in messages {
            match self.send_one::<BY>(fd, &message) {
                Ok(()) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    #[inline]
    fn send_one<const BY: bool>(&mut self, fd: RawFd, message: &SendMessage<'_>) -> io::Result<()> {
        match message.parts {
            [] if BY == CONNECTED && message.is_plain() => send_connected(fd, &[]),
            [part] if BY == CONNECTED && message.is_plain() => send_connected(fd, part),
            [] if message.is_plain() => send_to(fd, &[], &message.to),
            [part] if message.is_plain() => send_to(fd, part, &message.to),
            _ => {
                self.fill::<BY>(0, message)?;
                let header = &raw const self.headers[0].msg;
                // SAFETY: `fill` has made the header point to the batch's arrays and to `message`, all alive.
                sys::retry(|| unsafe { libc::sendmsg(fd, header, libc::MSG_DONTWAIT) }).map(|_| ())
            }
        }
    }

    /// Makes header `index` describe `message`; what that borrows must outlive the header's use.
    #[inline]
    fn fill<const BY: bool>(&mut self, index: usize, message: &SendMessage<'_>) -> io::Result<()> {
        let header = &mut self.headers[index].msg;
        // Without a length the kernel does not look at the name.
        header.msg_namelen = if BY == CONNECTED { 0 } else { self.names[index].set(&message.to) };
        // IoSlice is documented to have the layout of iovec; sending only reads it.
        header.msg_iov = message.parts.as_ptr().cast::<libc::iovec>().cast_mut();
        header.msg_iovlen = sys::fit(message.parts.len())?;
        let control = &mut self.controls[index];
        let used = if message.is_plain() { 0 } else { control::write(message, control)? };
        header.msg_control = if used == 0 { std::ptr::null_mut() } else { control.bytes.as_mut_ptr().cast() };
        header.msg_controllen = sys::fit(used)?;
        Ok(())
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch")
            .field("capacity", &self.capacity())
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn send_filled(fd: RawFd, headers: &mut [Header]) -> io::Result<usize> {
    let (count, flags) = (sys::fit(headers.len())?, sys::fit(libc::MSG_DONTWAIT)?);
    // SAFETY: `headers` are `count` mmsghdr; their pointers lead to the batch's arrays and to the messages that `send`
    // has borrowed for the time of the call.
    sys::retry(|| unsafe { libc::sendmmsg(fd, headers.as_mut_ptr().cast(), count, flags) })
}

#[cfg(not(target_os = "linux"))]
fn send_filled(_: RawFd, _: &mut [Header]) -> io::Result<usize> {
    Err(sys::errno(libc::ENOSYS))
}

const _: () = assert!(
    size_of::<IoSlice<'_>>() == size_of::<libc::iovec>()
        && align_of::<IoSlice<'_>>() == align_of::<libc::iovec>()
);
