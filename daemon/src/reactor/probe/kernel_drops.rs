//! Kernel drops, read off the hot path: a second after there was traffic, a slice of the listeners in each turn.
//!
//! The sampler looks at the listeners that were visited, because a full receive queue has raised an event before. One
//! look is a system call of about half a microsecond; 50,000 of them a second would take a fiftieth of a processor. A
//! datagram with a wrong checksum is dropped without an event. A slow sweep over all listeners finds such drops, and so
//! does the last look at the end of the service.

use slab::Slab;

use super::alarms::Alarms;
use crate::reactor::io::Io;
use crate::reactor::listener::Listener;

/// Time from the first visit to the look at the sockets, ns.
const PERIOD_NS: u64 = 1_000_000_000;
/// Most visited listeners looked at in one turn, and most of the sweep.
const SLICE: usize = 256;

/// Decides which sockets are looked at, and when.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// When the next look is due, monotonic ns; none when no listener was visited.
    due_ns: Option<u64>,
    /// Slots that were visited since the current look began.
    visited: Vec<u32>,
    /// Slots that the current look has not come to yet.
    looking: Vec<u32>,
    /// The next slot of the sweep.
    sweep: usize,
    /// What is told of drops.
    alarms: Alarms,
}

impl Sampler {
    /// Makes room for so many listeners, so that no visit allocates. The extra slice is for slots whose flag the sweep
    /// has cleared: they may be noted twice.
    pub(crate) fn reserve(&mut self, listeners: usize) {
        self.visited.reserve_exact(listeners + SLICE);
        self.looking.reserve_exact(listeners + SLICE);
    }

    /// Notes that a listener was visited. `marked` is the listener's own flag that it is noted already.
    #[inline]
    pub(crate) fn note_visit(&mut self, slot: u32, marked: &mut bool, now_ns: u64) {
        if !*marked {
            *marked = true;
            self.visited.push(slot);
            self.due_ns.get_or_insert_with(|| now_ns.saturating_add(PERIOD_NS));
        }
    }

    /// The moment of the next look, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due_ns
    }

    /// Looks at a slice of the sockets, if it is time. `slots` is how many of the slots have a listener, or had one.
    #[inline]
    pub(crate) fn run<I: Io>(
        &mut self,
        io: &mut I,
        listeners: &mut Slab<Listener<I::Socket>>,
        slots: usize,
        now_ns: u64,
    ) {
        if self.due_ns.is_some_and(|due| due <= now_ns) {
            self.look_at_slice(io, listeners, slots, now_ns);
        }
    }

    fn look_at_slice<I: Io>(
        &mut self,
        io: &mut I,
        listeners: &mut Slab<Listener<I::Socket>>,
        slots: usize,
        now_ns: u64,
    ) {
        let mut alarms = std::mem::take(&mut self.alarms);
        self.slice(slots, now_ns, |slot| {
            if let Some(listener) = listeners.get_mut(slot) {
                listener.marked = false;
                look(io, listener);
                alarms.look(listener, now_ns);
            }
        });
        self.alarms = alarms;
    }

    /// Looks at one socket for the last time.
    pub(crate) fn look_last<I: Io>(&mut self, io: &mut I, listener: &mut Listener<I::Socket>, now_ns: u64) {
        look(io, listener);
        self.alarms.look(listener, now_ns);
    }

    /// Calls `look` with the slots of the next slice. `slots` is how many there are in all.
    fn slice(&mut self, slots: usize, now_ns: u64, mut look: impl FnMut(usize)) {
        if self.looking.is_empty() {
            std::mem::swap(&mut self.looking, &mut self.visited);
        }
        let from = self.looking.len().saturating_sub(SLICE);
        self.looking.drain(from..).for_each(|slot| look(slot as usize));
        if self.looking.is_empty() {
            // The sweep clears the flag of every slot it looks at; the next visit sets it again.
            let end = (self.sweep + SLICE).min(slots);
            (self.sweep..end).for_each(look);
            self.sweep = if end == slots { 0 } else { end };
            self.due_ns = (!self.visited.is_empty()).then(|| now_ns.saturating_add(PERIOD_NS));
        }
    }
}

/// Reads the drop count of one socket and adds the difference to the last look. The kernel's count has 32 bits and
/// wraps around; the listener's counter does not.
pub(crate) fn look<I: Io>(io: &mut I, listener: &mut Listener<I::Socket>) {
    let Some(drops) = io.kernel_drops(&listener.socket) else { return };
    let fresh = drops.wrapping_sub(listener.kernel_drops_seen);
    listener.kernel_drops_seen = drops;
    listener.counters.kernel_drops += u64::from(fresh);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 3 * SLICE;

    /// Notes visits; only the first visit of each slot counts.
    fn visit(sampler: &mut Sampler, marks: &mut [bool], slots: impl IntoIterator<Item = usize>, now_ns: u64) {
        for slot in slots {
            sampler.note_visit(u32::try_from(slot).unwrap(), &mut marks[slot], now_ns);
        }
    }

    /// The slots that one turn looks at, without those of the sweep.
    fn turn(sampler: &mut Sampler, marks: &mut [bool], now_ns: u64) -> Vec<usize> {
        let (mut looked, visited) = (Vec::new(), sampler.looking.len().max(sampler.visited.len()).min(SLICE));
        if sampler.due_ns.is_some_and(|due| due <= now_ns) {
            sampler.slice(SLOTS, now_ns, |slot| {
                marks[slot] = false;
                looked.push(slot);
            });
        }
        looked.truncate(visited);
        looked.sort_unstable();
        looked
    }

    #[test]
    fn who_was_visited_is_looked_at_once_a_period_later_in_slices() {
        let (mut sampler, mut marks) = (Sampler::default(), [false; SLOTS]);
        visit(&mut sampler, &mut marks, [7, 9, 7, 7], 5);
        assert_eq!((turn(&mut sampler, &mut marks, 6), sampler.next()), (vec![], Some(5 + PERIOD_NS)));
        assert_eq!(turn(&mut sampler, &mut marks, 5 + PERIOD_NS), [7, 9]);
        assert_eq!((sampler.next(), turn(&mut sampler, &mut marks, 9 * PERIOD_NS)), (None, vec![]));
        visit(&mut sampler, &mut marks, 0..2 * SLICE + 1, 0);
        let sizes: Vec<_> = (0..4).map(|_| turn(&mut sampler, &mut marks, PERIOD_NS).len()).collect();
        assert_eq!((sizes, sampler.next()), (vec![SLICE, SLICE, 1, 0], None));
    }

    #[test]
    fn traffic_during_a_look_is_looked_at_a_period_later() {
        let (mut sampler, mut marks) = (Sampler::default(), [false; SLOTS]);
        visit(&mut sampler, &mut marks, 0..SLICE + 1, 0);
        turn(&mut sampler, &mut marks, PERIOD_NS);
        visit(&mut sampler, &mut marks, [700], PERIOD_NS);
        assert_eq!(turn(&mut sampler, &mut marks, PERIOD_NS), [0]);
        assert_eq!(
            (sampler.next(), turn(&mut sampler, &mut marks, PERIOD_NS)),
            (Some(2 * PERIOD_NS), vec![])
        );
        assert_eq!(turn(&mut sampler, &mut marks, 2 * PERIOD_NS), [700]);
    }

    #[test]
    fn the_sweep_comes_to_every_slot() {
        let (mut sampler, mut marks) = (Sampler::default(), [false; SLOTS]);
        let mut swept = vec![0; SLOTS];
        for period in 0..6 {
            visit(&mut sampler, &mut marks, [1], period * PERIOD_NS);
            sampler.slice(SLOTS, (period + 1) * PERIOD_NS, |slot| {
                marks[slot] = false;
                swept[slot] += 1;
            });
        }
        assert!(
            swept.iter().enumerate().all(|(slot, n)| *n == if slot == 1 { 2 + 6 } else { 2 }),
            "{swept:?}"
        );
    }
}
