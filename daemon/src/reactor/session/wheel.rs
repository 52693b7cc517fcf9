//! When sessions have been idle for too long: a wheel of buckets, each for a quarter of a second. A datagram costs the wheel
//! nothing: whoever comes up is asked when it was heard last, and put back if that is not long ago.

/// The time of one bucket, ns: no session outlives its idle time by more than that.
pub(super) const TICK_NS: u64 = 250_000_000;
/// Buckets, 17 minutes in all. Who has longer comes up once in between.
const BUCKETS: usize = 4096;
/// No session.
const NONE: u32 = u32::MAX;

/// Sessions by the moment at which they are looked at next.
#[derive(Debug, Default)]
pub(super) struct IdleWheel {
    /// The first session of each bucket; no memory before the first session.
    heads: Vec<u32>,
    /// One bit for each bucket that is not empty.
    used: Vec<u64>,
    /// By the index of the session.
    links: Vec<Link>,
    /// The bucket that was emptied last, counted from time zero.
    swept: u64,
    sessions: usize,
}

/// The place of a session in the list of its bucket.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    /// The bucket; [`NONE`] for a session that is in none.
    bucket: u32,
}

const UNLINKED: Link = Link { before: NONE, after: NONE, bucket: NONE };

impl IdleWheel {
    /// Has session `index` come up at `at_ns`, monotonic ns, or up to [`TICK_NS`] later, and no longer when it was to before.
    pub(super) fn set(&mut self, index: u32, at_ns: u64, now_ns: u64) {
        self.remove(index);
        if self.heads.is_empty() {
            (self.heads, self.used) = (vec![NONE; BUCKETS], vec![0; BUCKETS / 64]);
        }
        if self.sessions == 0 {
            self.swept = now_ns / TICK_NS;
        }
        let tick = (at_ns / TICK_NS + 1).clamp(self.swept + 1, self.swept + BUCKETS as u64 - 1);
        let bucket = bucket(tick);
        if self.links.len() <= index as usize {
            self.links.resize(index as usize + 1, UNLINKED);
        }
        let after = self.head(bucket);
        self.link(index, Link { before: NONE, after, bucket });
        if let Some(after) = self.links.get_mut(after as usize) {
            after.before = index;
        }
        self.set_head(bucket, index);
        self.sessions += 1;
    }

    /// Takes a session off the wheel, if it is there.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(link) = self.links.get(index as usize).copied().filter(|link| link.bucket != NONE) else {
            return;
        };
        self.link(index, UNLINKED);
        if let Some(after) = self.links.get_mut(link.after as usize) {
            after.before = link.before;
        }
        match self.links.get_mut(link.before as usize) {
            Some(before) => before.after = link.after,
            None => self.set_head(link.bucket, link.after),
        }
        self.sessions -= 1;
    }

    /// Takes a session off that has come up.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<u32> {
        let now = now_ns / TICK_NS;
        if self.swept >= now {
            return None;
        }
        let Some(next) = self.next_tick().filter(|next| *next <= now) else {
            self.swept = now;
            return None;
        };
        // The bucket counts as swept when it is empty.
        self.swept = next - 1;
        let index = self.head(bucket(next));
        self.remove(index);
        Some(index)
    }

    /// When the next session comes up, monotonic ns.
    pub(super) fn next(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick * TICK_NS)
    }

    /// The first bucket behind the one that was swept last with a session in it.
    fn next_tick(&self) -> Option<u64> {
        if self.sessions == 0 {
            return None;
        }
        let from = self.swept + 1;
        let start = bucket(from) as usize;
        let words = self.used.len();
        // The first word twice: at first the bits from the start on, at the end those before it.
        (0..=words).find_map(|n| {
            let at = (start / 64 + n) % words;
            let word = self.used.get(at).copied().unwrap_or(0);
            let from_start = u64::MAX << (start % 64);
            let word = match n {
                0 => word & from_start,
                n if n == words => word & !from_start,
                _ => word,
            };
            let bucket = at * 64 + word.trailing_zeros() as usize;
            (word != 0).then(|| from + ((bucket + BUCKETS - start) % BUCKETS) as u64)
        })
    }

    fn head(&self, bucket: u32) -> u32 {
        self.heads.get(bucket as usize).copied().unwrap_or(NONE)
    }

    fn set_head(&mut self, bucket: u32, index: u32) {
        if let Some(head) = self.heads.get_mut(bucket as usize) {
            *head = index;
        }
        if let Some(word) = self.used.get_mut(bucket as usize / 64) {
            let bit = 1 << (bucket % 64);
            *word = if index == NONE { *word & !bit } else { *word | bit };
        }
    }

    fn link(&mut self, index: u32, link: Link) {
        if let Some(place) = self.links.get_mut(index as usize) {
            *place = link;
        }
    }
}

/// The bucket of a moment, in ticks.
fn bucket(tick: u64) -> u32 {
    u32::try_from(tick % BUCKETS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn nobody_comes_up_before_its_time_or_a_tick_after_it() {
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut wheel = IdleWheel::default();
            // The obvious twin.
            let mut due = BTreeMap::<u32, u64>::new();
            let mut now = rng.random_range(0..1000 * MINUTE);
            for _ in 0..2000 {
                match rng.random_range(0..4) {
                    0 | 1 => {
                        let (index, span) = (rng.random_range(0..200), rng.random_range(0..15 * MINUTE));
                        wheel.set(index, now + span, now);
                        due.insert(index, now + span);
                    }
                    2 => {
                        let index = rng.random_range(0..200);
                        wheel.remove(index);
                        due.remove(&index);
                    }
                    _ => {
                        now += rng.random_range(0..MINUTE);
                        while let Some(index) = wheel.pop_due(now) {
                            let at = due.remove(&index).unwrap();
                            assert!(at <= now, "seed {seed}: {index} at {at}, now {now}");
                        }
                        let late = due.iter().find(|(_, at)| **at + TICK_NS <= now);
                        assert_eq!(late, None, "seed {seed}, now {now}");
                        let first = due.values().min().copied();
                        let next = wheel.next();
                        assert_eq!(next.is_some(), first.is_some(), "seed {seed}");
                        if let (Some(next), Some(first)) = (next, first) {
                            assert!(next > now && next <= first.max(now) + TICK_NS, "{next} {first} {now}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn who_has_longer_than_the_wheel_comes_up_early_and_never_gets_lost() {
        let mut wheel = IdleWheel::default();
        wheel.set(3, 100 * MINUTE, 1);
        let early = wheel.next().unwrap();
        assert!(early < 18 * MINUTE);
        assert_eq!(
            (wheel.pop_due(early - 1), wheel.pop_due(early), wheel.pop_due(early)),
            (None, Some(3), None)
        );
        wheel.set(3, 100 * MINUTE, early);
        assert!(wheel.next().unwrap() > early);
    }

    #[test]
    fn an_empty_wheel_takes_no_memory_and_skips_time() {
        let mut wheel = IdleWheel::default();
        assert_eq!((wheel.next(), wheel.pop_due(100 * MINUTE), wheel.heads.capacity()), (None, None, 0));
        wheel.set(0, 200 * MINUTE + 1, 200 * MINUTE);
        assert_eq!(wheel.next(), Some(200 * MINUTE + TICK_NS));
    }
}
