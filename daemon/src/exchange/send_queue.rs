//! The sending half of an exchange: the send ring, the arena, and the entries that earlier flushes of a call parked.

use std::ptr;

use polyport_abi::{NO_RX, pp_batch, pp_tx};

use super::ExchangeLimits;
use super::memory::Memory;
use super::received::{NO_ADDR, narrow};

/// The sending half of an exchange.
#[derive(Debug)]
pub(super) struct SendQueue {
    /// The send ring, its first `tx_len` entries in use.
    pub(super) tx: Vec<pp_tx>,
    pub(super) tx_len: usize,
    /// Entries that flushes of this call moved out of the ring, in order.
    parked: Vec<pp_tx>,
    /// The chunks made so far; one more is made when a call needs it.
    arena: Vec<Memory>,
    /// Number of the chunk that is lent to the handler.
    arena_at: usize,
    /// Datagrams that the handler had no room to queue.
    refused: u32,
    limits: ExchangeLimits,
}

impl SendQueue {
    pub(super) fn new(limits: &ExchangeLimits) -> Self {
        Self {
            tx: vec![EMPTY_TX; limits.tx],
            tx_len: 0,
            parked: Vec::new(),
            arena: vec![Memory::new(limits.arena)],
            arena_at: 0,
            refused: 0,
            limits: *limits,
        }
    }

    /// Forgets the entries of the last call.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.tx_len = 0;
        self.parked.clear();
        self.arena_at = 0;
        self.refused = 0;
    }

    /// The entries that `flush` parked, then those in the ring.
    #[inline]
    pub(super) fn lists(&self) -> [&[pp_tx]; 2] {
        [&self.parked, self.tx.get(..self.tx_len).unwrap_or_default()]
    }

    /// The entry, if the handler queued exactly one and had room for all its answers.
    #[inline(always)]
    pub(super) fn only(&self) -> Option<&pp_tx> {
        let alone = self.tx_len == 1 && self.parked.is_empty() && self.refused == 0;
        self.tx.first().filter(|_| alone)
    }

    /// Datagrams that the handler had no room to queue.
    pub(super) fn refused(&self) -> u32 {
        self.refused
    }

    /// Fills in the sending half of a batch that is lent to a handler.
    #[inline]
    pub(super) fn lend(&mut self, batch: &mut pp_batch) {
        batch.tx = self.tx.as_mut_ptr();
        batch.tx_len = 0;
        batch.tx_cap = narrow(self.room());
        batch.arena = self.arena.first().map_or(ptr::null_mut(), |m| m.at(0));
        batch.arena_len = 0;
        batch.arena_cap = narrow(self.limits.arena);
        batch.refused = 0;
    }

    /// Takes over what the handler wrote to its batch, and bounds it.
    #[inline]
    pub(super) fn take_back(&mut self, batch: &pp_batch) {
        self.tx_len = (batch.tx_len as usize).min(self.room());
        self.refused = batch.refused;
    }

    /// Parks the queued entries and hands out the next arena chunk. Returns false when the call has used up its share.
    pub(super) fn park(&mut self, batch: &mut pp_batch) -> bool {
        let queued = (batch.tx_len as usize).min(self.room());
        let last_chunk = batch.arena_len > 0 && self.arena_at + 1 == self.limits.arena_chunks;
        if self.parked.len() + queued >= self.limits.tx_total || last_chunk {
            return false;
        }
        self.parked.extend_from_slice(self.tx.get(..queued).unwrap_or_default());
        batch.tx_len = 0;
        batch.tx_cap = narrow(self.room());
        if batch.arena_len > 0 {
            self.arena_at += 1;
            if self.arena_at == self.arena.len() {
                self.arena.push(Memory::new(self.limits.arena));
            }
            batch.arena = self.arena.get(self.arena_at).map_or(ptr::null_mut(), |m| m.at(0));
            batch.arena_len = 0;
        }
        true
    }

    /// Entries that the ring may take until the next flush: all of it, or what is left of the share of the call.
    fn room(&self) -> usize {
        self.tx.len().min(self.limits.tx_total.saturating_sub(self.parked.len()))
    }
}

/// An entry that sends nothing and answers no datagram.
pub(super) const EMPTY_TX: pp_tx = pp_tx {
    data: ptr::null(),
    len: 0,
    rx: NO_RX,
    at_ns: 0,
    segment: 0,
    tos: 0,
    flags: 0,
    run: 0,
    to: NO_ADDR,
    from: NO_ADDR,
    reserved: [0; 2],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::tests::{SMALL, blank_batch};

    #[test]
    fn a_flush_takes_a_new_chunk_only_after_one_that_was_used() {
        let mut queue = SendQueue::new(&ExchangeLimits { tx_total: 100, ..SMALL });
        let mut batch = blank_batch();
        // The same again after `clear`: a call has all chunks, whatever the one before it used.
        for _ in 0..2 {
            queue.clear();
            queue.lend(&mut batch);
            let first = batch.arena;
            assert!(queue.park(&mut batch));
            assert_eq!(batch.arena, first, "nothing of it was used");
            for _ in 1..SMALL.arena_chunks {
                let before = batch.arena;
                batch.arena_len = 1;
                assert!(queue.park(&mut batch));
                assert_ne!(batch.arena, before);
                assert_eq!(batch.arena_len, 0);
            }
            batch.arena_len = 1;
            assert!(!queue.park(&mut batch), "that was the last");
            batch.arena_len = 0;
            assert!(queue.park(&mut batch), "who needs no chunk can go on");
        }
    }

    /// The call after it may break, and then nothing is taken back.
    #[test]
    fn what_was_queued_is_forgotten() {
        let mut queue = SendQueue::new(&SMALL);
        let mut batch = blank_batch();
        queue.lend(&mut batch);
        (batch.tx_len, batch.refused) = (1, 3);
        assert!(queue.park(&mut batch));
        batch.tx_len = 1;
        queue.take_back(&batch);
        assert_eq!((queue.lists().map(<[pp_tx]>::len), queue.refused()), ([1, 1], 3));
        queue.clear();
        assert_eq!((queue.lists().map(<[pp_tx]>::len), queue.refused()), ([0, 0], 0));
    }
}
