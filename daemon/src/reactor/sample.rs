//! Kernel drops, looked at off the hot path: a second after there was traffic, a slice of the listeners a
//! turn, so that tens of thousands of sockets do not hold up a turn.

use super::io::Io;
use super::listener::Listener;
use slab::Slab;

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
}

impl Sampler {
    /// There was traffic.
    #[inline]
    pub(super) fn note_traffic(&mut self, now_ns: u64) {
        self.due_ns.get_or_insert_with(|| now_ns.saturating_add(PERIOD_NS));
    }

    /// When the loop has to turn for it.
    pub(super) fn next(&self) -> Option<u64> {
        self.due_ns
    }

    /// Looks at a slice when it is time.
    pub(super) fn run<I: Io>(&mut self, io: &mut I, listeners: &mut Slab<Listener<I::Socket>>, now_ns: u64) {
        if self.due_ns.is_none_or(|due| due > now_ns) {
            return;
        }
        let end = self.cursor + SLICE;
        for index in self.cursor..end.min(listeners.capacity()) {
            if let Some(listener) = listeners.get_mut(index) {
                look(io, listener);
            }
        }
        self.cursor = end;
        if end >= listeners.capacity() {
            (self.cursor, self.due_ns) = (0, None);
        }
    }
}

/// Reads one socket's count. The kernel's has 32 bits and wraps; ours does not.
pub(super) fn look<I: Io>(io: &mut I, listener: &mut Listener<I::Socket>) {
    let Some(drops) = io.kernel_drops(&listener.socket) else { return };
    let fresh = drops.wrapping_sub(listener.kernel_drops_seen);
    listener.kernel_drops_seen = drops;
    listener.counters.kernel_drops += u64::from(fresh);
}
