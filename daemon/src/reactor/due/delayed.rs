//! Datagrams that leave later. The host owns their bytes, so they outlive the handler that queued them.

use std::collections::BTreeMap;

use crate::exchange::{Output, OwnedOutput};
use crate::reactor::io::Token;

/// Most buffers of sent datagrams that are kept for the next ones; more would hold memory after a burst.
const SPARE_BUFFERS: usize = 1024;
/// Largest buffer that is kept, bytes.
const SPARE_BYTES: usize = 2048;

/// Delayed datagrams by the moment they are due. Datagrams of the same moment leave in the order they were queued.
#[derive(Debug, Default)]
pub(crate) struct Delayed {
    /// Every datagram by its moment, monotonic ns, and its sequence number.
    queue: BTreeMap<(u64, u64), (Token, OwnedOutput)>,
    /// Payload bytes of all datagrams.
    bytes: usize,
    sequence: u64,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

impl Delayed {
    /// Queues a copy of `output`. Returns false when that would exceed `datagrams` or payload `bytes` of all listeners.
    pub(crate) fn push(
        &mut self,
        listener: Token,
        output: &Output<'_>,
        datagrams: usize,
        bytes: usize,
    ) -> bool {
        if self.queue.len() >= datagrams || self.bytes.saturating_add(output.payload.len()) > bytes {
            return false;
        }
        self.bytes += output.payload.len();
        self.sequence += 1;
        let owned = OwnedOutput::copy(output, self.spare.pop().unwrap_or_default());
        self.queue.insert((output.at_ns, self.sequence), (listener, owned));
        true
    }

    /// The moment the next datagram is due, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next datagram if it is due. If `listener` is given, the datagram must also belong to it.
    pub(crate) fn pop_due(&mut self, now_ns: u64, listener: Option<Token>) -> Option<(Token, OwnedOutput)> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now_ns || listener.is_some_and(|l| l != entry.get().0) {
            return None;
        }
        let (token, owned) = entry.remove();
        self.bytes -= owned.payload.len();
        Some((token, owned))
    }

    /// Forgets the datagrams of one listener, and returns how many there were. Takes time in proportion to all
    /// datagrams.
    pub(crate) fn remove(&mut self, listener: Token) -> u64 {
        let mut removed = 0;
        let mut bytes = 0;
        self.queue.retain(|_, (token, owned)| {
            let stays = *token != listener;
            if !stays {
                removed += 1;
                bytes += owned.payload.len();
            }
            stays
        });
        self.bytes -= bytes;
        removed
    }

    /// Forgets every datagram, at the end of the service.
    pub(crate) fn clear(&mut self) {
        self.bytes = 0;
        self.queue.clear();
    }

    /// Keeps the buffer of a datagram that was sent, to use it again.
    pub(crate) fn recycle(&mut self, owned: OwnedOutput) {
        if self.spare.len() < SPARE_BUFFERS && owned.payload.capacity() <= SPARE_BYTES {
            self.spare.push(owned.payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: Token = Token { index: 0, generation: 0 };

    fn output(at_ns: u64, payload: &[u8]) -> Output<'_> {
        let to = "192.0.2.1:9".parse().unwrap();
        Output {
            answers: Default::default(),
            payload,
            to,
            from: None,
            at_ns,
            segment: 0,
            ecn: 0,
            answers_group: false,
            asked_with: 0,
            hop_limit: 0,
        }
    }

    #[test]
    fn datagrams_leave_in_order_of_their_moment_then_of_arrival() {
        let mut delayed = Delayed::default();
        for (at, payload) in [(20, b"c"), (10, b"a"), (10, b"b")] {
            assert!(delayed.push(L, &output(at, payload), 9, 9));
        }
        assert_eq!(delayed.pop_due(9, None).map(|_| ()), None);
        let order: Vec<_> =
            std::iter::from_fn(|| delayed.pop_due(20, Some(L))).map(|(_, o)| o.payload).collect();
        assert_eq!(order, [b"a", b"b", b"c"]);
        assert_eq!(delayed.bytes, 0);
    }

    #[test]
    fn those_of_one_listener_go_and_give_their_bytes_back() {
        const M: Token = Token { index: 0, generation: 1 };
        let mut delayed = Delayed::default();
        for (listener, payload) in [(L, b"one"), (M, b"two"), (L, b"six")] {
            assert!(delayed.push(listener, &output(9, payload), 9, 9));
        }
        assert_eq!((delayed.remove(L), delayed.remove(L), delayed.bytes), (2, 0, 3));
        assert_eq!(
            delayed.pop_due(9, None).map(|(token, owned)| (token, owned.payload)),
            Some((M, b"two".to_vec()))
        );
    }

    #[test]
    fn both_limits_hold() {
        let mut delayed = Delayed::default();
        assert!(delayed.push(L, &output(1, b"four"), 2, 8));
        assert!(!delayed.push(L, &output(1, b"five."), 2, 8));
        assert!(delayed.push(L, &output(1, b"four"), 2, 8));
        assert!(!delayed.push(L, &output(1, b""), 2, 8));
        delayed.clear();
        assert!(delayed.push(L, &output(1, b"eight---"), 2, 8));
    }

    #[test]
    fn buffers_are_used_again_but_neither_many_nor_large_ones_are_kept() {
        let owned = |capacity| OwnedOutput {
            to: "192.0.2.1:9".parse().unwrap(),
            from: None,
            ecn: 0,
            hop_limit: 0,
            payload: Vec::with_capacity(capacity),
        };
        let mut delayed = Delayed::default();
        delayed.recycle(owned(SPARE_BYTES + 1));
        assert!(delayed.spare.is_empty());
        delayed.recycle(owned(SPARE_BYTES));
        assert!(delayed.push(L, &output(1, b"a"), 9, 9));
        let (_, used) = delayed.pop_due(1, None).unwrap();
        assert_eq!((used.payload.capacity(), delayed.spare.len()), (SPARE_BYTES, 0));
        (0..2 * SPARE_BUFFERS).for_each(|_| delayed.recycle(owned(1)));
        assert_eq!(delayed.spare.len(), SPARE_BUFFERS);
    }
}
