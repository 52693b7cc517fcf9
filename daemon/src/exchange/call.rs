//! All memory of a call together, lent to one handler after the other.

use super::received::{Received, narrow};
use super::send_queue::SendQueue;
use super::{Arrived, ExchangeLimits, Outputs, Queued};
use polyport_abi::pp_batch;
use std::net::SocketAddr;
use std::ptr;

/// Receive buffers, descriptors, send entries and scratch memory of one reactor; see the module.
#[derive(Debug)]
pub struct Exchange {
    pub(super) limits: ExchangeLimits,
    pub(super) received: Received,
    pub(super) queue: SendQueue,
    /// The handler asked for timers: told here, because the record it wrote them to is cold.
    timers_asked: bool,
}

impl Exchange {
    /// Reserves the memory.
    #[must_use]
    pub fn new(limits: ExchangeLimits) -> Self {
        let (received, queue) = (Received::new(&limits), SendQueue::new(&limits));
        Self { limits, received, queue, timers_asked: false }
    }

    /// The sizes.
    #[must_use]
    pub fn limits(&self) -> &ExchangeLimits {
        &self.limits
    }

    /// The receive memory, for the I/O to fill.
    pub fn ring_mut(&mut self) -> &mut [u8] {
        self.received.ring.bytes_mut()
    }

    /// Forgets the datagrams and answers of the last call; what is pushed from now on arrived at `now_ns` at a
    /// listener bound to `bound`, which tells what the kernel does not: the port, on a wildcard, and everything
    /// elsewhere.
    pub fn clear(&mut self, now_ns: u64, bound: SocketAddr) {
        self.received.clear(now_ns, bound);
        self.queue.clear();
    }

    /// Forgets the answers only: a handler that broke sends nothing.
    pub fn discard_outputs(&mut self) {
        self.queue.clear();
    }

    /// Adds a received message; false when it has more datagrams than there are descriptors, or does not lie
    /// in the ring.
    #[inline]
    pub fn push(&mut self, arrived: Arrived) -> bool {
        self.received.push(arrived)
    }

    /// Describes the next messages to the handler, and forgets the answers to the last ones: as many as
    /// [`ExchangeLimits::present`] allows, at least one. Returns how many datagrams they are; 0 when there is
    /// nothing left.
    #[inline]
    pub fn present(&mut self) -> usize {
        self.queue.clear();
        self.received.present()
    }

    /// The messages, as they arrived.
    #[must_use]
    pub fn messages(&self) -> &[Arrived] {
        &self.received.messages
    }

    /// How many datagrams are presented.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.received.shown
    }

    /// The sender of a datagram.
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<SocketAddr> {
        Some(self.received.datagram(index)?.message.peer)
    }

    /// The bytes of a received datagram as they are now.
    #[must_use]
    pub fn payload(&self, index: usize) -> &[u8] {
        self.received.datagram(index).map_or(&[], |rx| self.received.ring.slice(rx.offset, rx.len))
    }

    /// Whether the handler dropped that datagram on purpose.
    #[must_use]
    pub fn discarded(&self, index: usize) -> bool {
        self.received.is_discarded(index)
    }

    /// Datagrams the handler found no room for.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.queue.refused()
    }

    /// Whether the handler called `timer` since this was asked last.
    pub fn take_timers_asked(&mut self) -> bool {
        std::mem::take(&mut self.timers_asked)
    }

    /// The handler called `timer`.
    pub(crate) fn note_timer(&mut self) {
        self.timers_asked = true;
    }

    /// Keeps the messages for which `keep` says so, in order; nothing may be presented yet.
    pub fn retain(&mut self, keep: impl Fn(&Arrived) -> bool) {
        self.received.messages.retain(keep);
    }

    /// What the handler queued in its last call, in order.
    #[must_use]
    pub fn outputs(&self) -> Outputs<'_> {
        Outputs::new(&self.received, self.queue.lists(), self.limits.tx_total)
    }

    /// What kind of answers the handler queued in its last call: most visits end in one of two simple kinds, and
    /// what they cost is code that has to be fetched.
    #[inline(always)]
    #[must_use]
    pub fn queued(&self) -> Queued<'_> {
        Queued::of(&self.received, &self.queue).unwrap_or_else(|| Queued::Mixed(self.outputs()))
    }

    /// Lends the memory to a handler call: `call` gets the batch, which is valid until it returns, and the way back to
    /// this exchange for `flush`. Only a pointer made here may be used meanwhile: any other would reach around `self`.
    pub(crate) fn lend<R>(
        &mut self,
        batch: &pp_batch,
        call: impl FnOnce(*mut pp_batch, *mut Self) -> R,
    ) -> R {
        let Received { rx, shown, .. } = &mut self.received;
        let mut batch = pp_batch { rx: rx.as_mut_ptr(), rx_len: narrow(*shown), reserved: 0, ..*batch };
        self.queue.lend(&mut batch);
        let result = call(&raw mut batch, ptr::from_mut(self));
        self.queue.take_back(&batch);
        result
    }

    /// The host's side of `flush`: parks what is queued and hands out the next chunk. False when the call
    /// has used up its share.
    pub(crate) fn park(&mut self, batch: &mut pp_batch) -> bool {
        self.queue.park(batch)
    }
}
