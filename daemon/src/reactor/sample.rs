//! Kernel drops, looked at off the hot path: a second after there was traffic, a slice of the listeners a
//! turn, so that tens of thousands of sockets do not hold up a turn.

use super::io::Io;
use super::listener::Listener;
use slab::Slab;
use std::ops::Range;

/// How long after the first datagram the sockets are looked at, ns.
const PERIOD_NS: u64 = 1_000_000_000;
/// Listeners looked at in a turn; one look is a system call of about half a microsecond.
const SLICE: usize = 256;

/// Where the look at the sockets is.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    due_ns: Option<u64>,
    /// The next slot, while a look is under way.
    cursor: usize,
    /// There was traffic since the look began, perhaps at a slot it has passed.
    again: bool,
}

impl Sampler {
    /// There was traffic.
    #[inline]
    pub(super) fn note_traffic(&mut self, now_ns: u64) {
        self.due_ns.get_or_insert_with(|| now_ns.saturating_add(PERIOD_NS));
        self.again |= self.cursor > 0;
    }

    /// When the loop has to turn for it.
    pub(super) fn next(&self) -> Option<u64> {
        self.due_ns
    }

    /// Looks at a slice when it is time.
    pub(super) fn run<I: Io>(&mut self, io: &mut I, listeners: &mut Slab<Listener<I::Socket>>, now_ns: u64) {
        for index in self.slice(now_ns, listeners.capacity()) {
            if let Some(listener) = listeners.get_mut(index) {
                look(io, listener);
            }
        }
    }

    /// The slots whose turn it is, of so many in all; mostly none.
    fn slice(&mut self, now_ns: u64, slots: usize) -> Range<usize> {
        if self.due_ns.is_none_or(|due| due > now_ns) {
            return 0..0;
        }
        let slice = self.cursor..(self.cursor + SLICE).min(slots);
        self.cursor = slice.end;
        if slice.end == slots {
            let again = std::mem::take(&mut self.again);
            (self.cursor, self.due_ns) = (0, again.then(|| now_ns.saturating_add(PERIOD_NS)));
        }
        slice
    }
}

/// Reads one socket's count. The kernel's has 32 bits and wraps; ours does not.
pub(super) fn look<I: Io>(io: &mut I, listener: &mut Listener<I::Socket>) {
    let Some(drops) = io.kernel_drops(&listener.socket) else { return };
    let fresh = drops.wrapping_sub(listener.kernel_drops_seen);
    listener.kernel_drops_seen = drops;
    listener.counters.kernel_drops += u64::from(fresh);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 2 * SLICE + 1;

    #[test]
    fn every_slot_is_looked_at_once_a_period_after_traffic() {
        let mut sampler = Sampler::default();
        assert_eq!((sampler.slice(PERIOD_NS, SLOTS), sampler.next()), (0..0, None));
        sampler.note_traffic(5);
        sampler.note_traffic(6);
        assert_eq!((sampler.slice(PERIOD_NS, SLOTS), sampler.next()), (0..0, Some(5 + PERIOD_NS)));
        let slices: Vec<_> = (0..4).map(|turn| sampler.slice(5 + PERIOD_NS + turn, SLOTS)).collect();
        assert_eq!(slices, [0..SLICE, SLICE..2 * SLICE, 2 * SLICE..SLOTS, 0..0]);
        assert_eq!(sampler.next(), None);
    }

    #[test]
    fn traffic_behind_the_look_is_looked_at_a_period_later() {
        let mut sampler = Sampler::default();
        sampler.note_traffic(0);
        assert_eq!(sampler.slice(PERIOD_NS, SLOTS), 0..SLICE);
        sampler.note_traffic(PERIOD_NS);
        assert_eq!(sampler.slice(PERIOD_NS, SLOTS), SLICE..2 * SLICE);
        assert_eq!(sampler.slice(PERIOD_NS, SLOTS), 2 * SLICE..SLOTS);
        assert_eq!((sampler.next(), sampler.slice(PERIOD_NS, SLOTS)), (Some(2 * PERIOD_NS), 0..0));
        assert_eq!(sampler.slice(2 * PERIOD_NS, SLOTS), 0..SLICE);
    }
}
