//! Received bytes that stay as they are.

use crate::Datagram;
use core::net::SocketAddr;

/// A datagram whose bytes will not change any more: it can be sent any number of times without a copy.
#[derive(Debug)]
pub struct Frozen<'a>(pub(crate) Datagram<'a>);

impl Frozen<'_> {
    /// Sends it back to its sender from the address it was sent to.
    #[inline]
    pub fn echo(&self) -> bool {
        self.0.0.send_in_place(0, None)
    }

    /// Sends it back to its sender, not before `at_ns` of the monotonic clock; 0 is now.
    #[inline]
    pub fn echo_at(&self, at_ns: u64) -> bool {
        self.0.0.send_in_place(at_ns, None)
    }

    /// Sends it on to another address.
    pub fn forward(&self, to: SocketAddr) -> bool {
        self.0.0.send_in_place(0, Some(to))
    }

    /// Sends it on to another address, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn forward_at(&self, at_ns: u64, to: SocketAddr) -> bool {
        self.0.0.send_in_place(at_ns, Some(to))
    }
}

/// Reading, answering and everything else that leaves the bytes alone.
impl<'a> core::ops::Deref for Frozen<'a> {
    type Target = Datagram<'a>;

    fn deref(&self) -> &Datagram<'a> {
        &self.0
    }
}
