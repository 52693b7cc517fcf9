//! What a handler queues: the send ring, the arena, and what earlier flushes of the same call parked.

use super::ExchangeLimits;
use super::memory::Memory;
use super::received::{NO_ADDR, narrow};
use polyport_abi::{NO_RX, pp_batch, pp_tx};
use std::ptr;

/// The sending half of an exchange.
#[derive(Debug)]
pub(super) struct SendQueue {
    pub(super) tx: Vec<pp_tx>,
    pub(super) tx_len: usize,
    parked: Vec<pp_tx>,
    arena: Vec<Memory>,
    /// The chunk of the arena that is lent out.
    arena_at: usize,
    /// Datagrams the handler found no room for.
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

    /// Forgets everything.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.tx_len = 0;
        self.parked.clear();
        self.arena_at = 0;
        self.refused = 0;
    }

    /// What `flush` parked, then the ring.
    #[inline]
    pub(super) fn lists(&self) -> [&[pp_tx]; 2] {
        [&self.parked, self.tx.get(..self.tx_len).unwrap_or_default()]
    }

    /// The entry, if exactly one was queued and nothing was refused.
    #[inline(always)]
    pub(super) fn only(&self) -> Option<&pp_tx> {
        let alone = self.tx_len == 1 && self.parked.is_empty() && self.refused == 0;
        self.tx.first().filter(|_| alone)
    }

    pub(super) fn refused(&self) -> u32 {
        self.refused
    }

    /// Fills in the sending half of a batch that is lent to a handler.
    #[inline]
    pub(super) fn lend(&mut self, batch: &mut pp_batch) {
        (batch.tx, batch.tx_len, batch.tx_cap) = (self.tx.as_mut_ptr(), 0, narrow(self.room()));
        batch.arena = self.arena.first().map_or(ptr::null_mut(), |m| m.at(0));
        (batch.arena_len, batch.arena_cap, batch.refused) = (0, narrow(self.limits.arena), 0);
    }

    /// Takes back what the handler wrote.
    #[inline]
    pub(super) fn take_back(&mut self, batch: &pp_batch) {
        self.tx_len = (batch.tx_len as usize).min(self.room());
        self.refused = batch.refused;
    }

    /// The host's side of `flush`: parks what is queued and hands out the next chunk. False when the call
    /// has used up its share.
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

    /// Entries that `tx` may take until the next flush: the share of the call bounds the last round.
    fn room(&self) -> usize {
        self.tx.len().min(self.limits.tx_total.saturating_sub(self.parked.len()))
    }
}

pub(super) const EMPTY_TX: pp_tx = pp_tx {
    data: ptr::null(),
    len: 0,
    rx: NO_RX,
    at_ns: 0,
    segment: 0,
    ecn: 0,
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
