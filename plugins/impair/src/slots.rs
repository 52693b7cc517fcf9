//! Slots: a chain of moments at which datagrams may leave, each with room for some.

use alloc::collections::VecDeque;

use crate::chance::below;
use crate::config::Slot;

/// Slots that are looked at to find one late enough. After a longer silence, or with a delay of more slots, the chain begins
/// anew at the datagram: what a line costs does not depend on how long it was silent.
const WALK: u32 = 1024;
/// Slots with room that are remembered for datagrams that overtake: 6 KiB a line. Of more, the oldest is given up.
const WINDOW: usize = 256;

/// The slots of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    /// How many were made.
    made: u64,
    /// When the latest is, ns.
    latest: u64,
    /// Those from now on that have room, in order.
    open: VecDeque<Open>,
    /// Whose chain it is: other options have another one.
    of: Option<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    at: u64,
    packets: u32,
    bytes: u64,
}

impl Slots {
    /// The first slot at `ready` or later with room, taken for a datagram that comes at `now`. `draw` has the random numbers
    /// of the slots.
    pub(crate) fn place(
        &mut self,
        slot: &Slot,
        now: u64,
        ready: u64,
        bytes: u64,
        draw: impl Fn(u64) -> u64,
    ) -> u64 {
        if self.of != Some(*slot) {
            self.of = Some(*slot);
            self.open.clear();
            self.latest = now;
        }
        while self.open.front().is_some_and(|open| open.at < now) {
            self.open.pop_front();
        }
        let index = self.open.partition_point(|open| open.at < ready);
        if index < self.open.len() {
            return self.take(index, bytes);
        }
        let mut walked = 0;
        loop {
            if walked == WALK && self.latest < ready {
                self.latest = ready;
            }
            walked = (walked + 1).min(WALK);
            let pause = slot.min.saturating_add(below(draw(self.made), slot.max.saturating_sub(slot.min)));
            self.made = self.made.wrapping_add(1);
            self.latest = self.latest.saturating_add(pause.max(1));
            if self.latest >= now {
                if self.open.len() == WINDOW {
                    self.open.pop_front();
                }
                let (packets, bytes) = (slot.packets.unwrap_or(u32::MAX), slot.bytes.unwrap_or(u64::MAX));
                self.open.push_back(Open { at: self.latest, packets, bytes });
            }
            if self.latest >= ready {
                return self.take(self.open.len().saturating_sub(1), bytes);
            }
        }
    }

    /// Uses a place in one of the slots; one that has no other is forgotten.
    fn take(&mut self, index: usize, bytes: u64) -> u64 {
        let Some(open) = self.open.get_mut(index) else { return self.latest };
        open.packets = open.packets.saturating_sub(1);
        open.bytes = open.bytes.saturating_sub(bytes);
        let taken = *open;
        if taken.packets == 0 || taken.bytes == 0 {
            self.open.remove(index);
        }
        taken.at
    }
}
