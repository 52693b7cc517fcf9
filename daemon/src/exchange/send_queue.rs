//! The sending half of an exchange: the send ring, the arena, and the entries that earlier flushes of a call parked.

use std::ptr;

use polyport_abi::{NO_RX, pp_batch, pp_tx};

use super::ExchangeLimits;
use super::array::Array;
use super::memory::Memory;
use super::received::{NO_ADDR, narrow};

/// The sending half of an exchange.
#[derive(Debug)]
pub(super) struct SendQueue {
    /// The send ring, its first `tx_len` entries in use.
    pub(super) tx: Array<pp_tx>,
    pub(super) tx_len: usize,
    /// Entries that flushes of this call moved out of the ring, in order.
    parked: Vec<pp_tx>,
    /// The chunks made so far; one more is made when a call needs it. What no call has taken of them is zero.
    pub(super) arena: Vec<Memory>,
    /// How a chunk is made; none if the system has no memory for it.
    make_chunk: fn(usize) -> Option<Memory>,
    /// Bytes of each chunk that the last call took.
    taken: Vec<usize>,
    /// Number of the chunk that is lent to the handler.
    arena_at: usize,
    /// Datagrams that the handler had no room to queue.
    refused: u32,
    limits: ExchangeLimits,
}

impl SendQueue {
    pub(super) fn new(limits: &ExchangeLimits) -> Self {
        let make_chunk = |len| Some(Memory::new(len));
        Self::within(limits, Array::new(vec![EMPTY_TX; limits.tx]), make_chunk)
    }

    /// A sending half with this ring, and chunks that are made like this.
    pub(super) fn within(
        limits: &ExchangeLimits,
        tx: Array<pp_tx>,
        make_chunk: fn(usize) -> Option<Memory>,
    ) -> Self {
        Self {
            tx,
            tx_len: 0,
            parked: Vec::new(),
            arena: make_chunk(limits.arena).into_iter().collect(),
            make_chunk,
            taken: vec![0],
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
        self.wipe();
        batch.tx = self.tx.as_mut_ptr();
        batch.tx_len = 0;
        batch.tx_cap = narrow(self.room());
        batch.arena = self.arena.first().map_or(ptr::null_mut(), |m| m.at(0));
        batch.arena_len = 0;
        batch.arena_cap = narrow(self.limits.arena);
        batch.refused = 0;
    }

    /// Makes what the last call took of the arena zero again: its bytes are not for the next handler, and not for the peers of
    /// that one. A call that took nothing costs a comparison.
    #[inline]
    fn wipe(&mut self) {
        for (chunk, taken) in self.arena.iter_mut().zip(&mut self.taken) {
            if *taken > 0 {
                chunk.bytes_mut().get_mut(..std::mem::take(taken)).unwrap_or_default().fill(0);
            }
        }
    }

    /// Whether bytes are such as a handler may send: within what the call has taken of the arena, or nowhere in it.
    #[inline]
    pub(super) fn may_send(&self, data: *const u8, len: usize) -> bool {
        self.arena.iter().zip(&self.taken).all(|(chunk, taken)| {
            let at = data.addr().wrapping_sub(chunk.at(0).addr());
            at >= chunk.len || at + len <= *taken
        })
    }

    /// Takes over what the handler wrote to its batch, and bounds it.
    #[inline]
    pub(super) fn take_back(&mut self, batch: &pp_batch) {
        self.tx_len = (batch.tx_len as usize).min(self.room());
        self.refused = batch.refused;
        self.note_taken(batch);
    }

    /// Notes how much of the chunk that is lent the handler took.
    #[inline]
    fn note_taken(&mut self, batch: &pp_batch) {
        if let Some(taken) = self.taken.get_mut(self.arena_at) {
            *taken = (batch.arena_len as usize).min(self.limits.arena);
        }
    }

    /// Parks the queued entries and hands out the next arena chunk. Returns false when the call has used up its share.
    pub(super) fn park(&mut self, batch: &mut pp_batch) -> bool {
        let queued = (batch.tx_len as usize).min(self.room());
        let last_chunk = batch.arena_len > 0 && self.arena_at + 1 == self.limits.arena_chunks;
        if self.parked.len() + queued >= self.limits.tx_total || last_chunk {
            return false;
        }
        if batch.arena_len > 0 && self.arena_at + 1 == self.arena.len() {
            let Some(chunk) = (self.make_chunk)(self.limits.arena) else { return false };
            self.arena.push(chunk);
            self.taken.push(0);
        }
        self.parked.extend_from_slice(self.tx.get(..queued).unwrap_or_default());
        batch.tx_len = 0;
        batch.tx_cap = narrow(self.room());
        if batch.arena_len > 0 {
            self.note_taken(batch);
            self.arena_at += 1;
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
    session: 0,
    address: 0,
    reserved: 0,
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

    /// All chunks, whatever the calls before it used.
    #[test]
    fn what_is_handed_out_is_zero_and_no_more_may_leave_than_was_taken() {
        let mut queue = SendQueue::new(&ExchangeLimits { tx_total: 100, ..SMALL });
        let mut batch = blank_batch();
        for used in [8, 128, 3, 0, 77] {
            queue.clear();
            queue.lend(&mut batch);
            for _ in 0..SMALL.arena_chunks {
                let chunk = queue.arena_at;
                assert!(queue.arena[chunk].slice(0, SMALL.arena).iter().all(|byte| *byte == 0), "{used}");
                queue.arena[chunk].bytes_mut()[..used].fill(0xAA);
                batch.arena_len = u32::try_from(used).unwrap();
                let at = queue.arena[chunk].at(0).cast_const();
                queue.take_back(&batch);
                assert!(queue.may_send(at, used) && !queue.may_send(at, used + 1), "{used}");
                assert!(used < 2 || queue.may_send(at.wrapping_add(1), used - 1));
                assert!(used < 2 || !queue.may_send(at.wrapping_add(1), used));
                if !queue.park(&mut batch) {
                    break;
                }
            }
            let own = [0; 4];
            assert!(queue.may_send(own.as_ptr(), own.len()), "memory of the handler is its own matter");
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
