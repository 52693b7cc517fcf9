//! What waits: when each datagram leaves, and how many bytes it is.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

/// Datagrams that are looked through at least, when those that have left are forgotten together.
const LEAST: usize = 64;

/// Datagrams that have not left yet, and some that have: at most as many as the limit.
///
/// One that has left is forgotten when its room is needed, or with all others that have when there may be as many of them as
/// of those that wait. To take each out of the order at its time would cost several times as much.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// When, and in the low half bytes: one number is compared and moved at once.
    remembered: BinaryHeap<Reverse<u128>>,
    /// Of all that are remembered.
    bytes: u64,
    /// With so many remembered, those that have left are forgotten.
    full: usize,
}

impl Queue {
    /// Whether a datagram of `bytes` that comes at `now` finds room below the limits, in datagrams and in bytes.
    #[inline]
    pub(crate) fn finds_room(&mut self, limits: (u32, u64), bytes: u64, now: u64) -> bool {
        // Room beside those that have left as well is room in any case.
        self.has_room(limits, bytes) || {
            self.release(now);
            self.has_room(limits, bytes)
        }
    }

    /// Adds one that comes at `now` and leaves at `at`.
    #[inline]
    pub(crate) fn push(&mut self, at: u64, bytes: u64, now: u64) {
        if self.remembered.len() >= self.full {
            self.forget(now);
        }
        self.remembered.push(Reverse(u128::from(at) << 64 | u128::from(bytes)));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    #[inline]
    fn has_room(&self, limits: (u32, u64), bytes: u64) -> bool {
        let (datagrams, most) = limits;
        (self.remembered.len() as u64) < u64::from(datagrams) && self.bytes.saturating_add(bytes) <= most
    }

    /// Forgets what has left by `now`, one by one.
    fn release(&mut self, now: u64) {
        while let Some(Reverse(one)) = self.remembered.peek().copied() {
            if leaves(one) > now {
                break;
            }
            self.remembered.pop();
            self.bytes = self.bytes.saturating_sub(bytes(one));
        }
    }

    /// Forgets what has left by `now`, all at once.
    #[cold]
    fn forget(&mut self, now: u64) {
        let left = &mut self.bytes;
        self.remembered.retain(|Reverse(one)| {
            let waits = leaves(*one) > now;
            if !waits {
                *left = left.saturating_sub(bytes(*one));
            }
            waits
        });
        self.full = self.remembered.len().saturating_mul(2).max(LEAST);
    }
}

const fn leaves(one: u128) -> u64 {
    (one >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn bytes(one: u128) -> u64 {
    one as u64
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::mix;

    /// Against a list in which nothing stays longer than it waits.
    #[test]
    fn there_is_room_as_if_each_were_forgotten_at_its_time() {
        const LIMITS: (u32, u64) = (150, 60_000);
        let mut full = [0, 0];
        for seed in 0..20 {
            let (mut queue, mut list, mut most) = (Queue::default(), Vec::new(), 0);
            let mut now = 0;
            for n in 0..5_000 {
                let random = mix(seed, n, 0);
                // Sometimes faster than it drains, by datagrams or by bytes, sometimes slower.
                now += if n % 2_000 < 1_500 { random % 100 } else { random % 10_000 };
                let bytes = random >> 20 & if seed % 2 == 0 { 0xFF } else { 0x3FF };
                let wait = (random >> 32) % 20_000 + 1;
                list.retain(|(at, _)| *at > now);
                let waiting: u64 = list.iter().map(|(_, bytes)| bytes).sum();
                let room = list.len() < 150 && waiting + bytes <= 60_000;
                assert_eq!(queue.finds_room(LIMITS, bytes, now), room, "{seed} {n}");
                if room {
                    queue.push(now + wait, bytes, now);
                    list.push((now + wait, bytes));
                } else {
                    full[usize::from(list.len() < 150)] += 1;
                }
                most = list.len().max(most);
                assert!(queue.remembered.len() <= LEAST.max(2 * most).min(150), "{seed} {n}");
            }
        }
        assert!(full.iter().all(|times| *times > 1_000), "both limits were reached: {full:?}");
    }
}
