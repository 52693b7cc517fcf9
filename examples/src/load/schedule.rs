//! The schedule of a run, as one thread follows it: the places of its flows, in order, each at the time that the schedule
//! of the whole run gives to it.

use polyport_protocol::Nanos;
use polyport_protocol::client::{Pacer, Slot};

use super::config::Config;
use super::part::Part;

/// The places of a part.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The whole schedule. Nothing is taken from it.
    pacer: Pacer,
    total: u64,
    targets: u64,
    part: Part,
    /// The next place of this part, which may lie behind the end.
    next: u64,
    peeked: Option<Slot>,
}

impl Schedule {
    /// The part's places of a load of `duration` from `start` on.
    #[must_use]
    pub fn new(config: &Config, part: Part, start: Nanos, duration: Nanos) -> Self {
        let targets = (config.targets.len() as u64).max(1);
        let pacer = config.rate.schedule(start, duration);
        let mut schedule =
            Self { pacer, total: config.rate.total(duration), targets, part, next: 0, peeked: None };
        schedule.go_to(0);
        schedule
    }

    /// The next place; its time is the next deadline. `None` once the schedule has ended.
    #[must_use]
    pub const fn peek(&self) -> Option<Slot> {
        self.peeked
    }

    /// Takes the next place if it is due at `now`.
    pub fn take(&mut self, now: Nanos) -> Option<Slot> {
        let slot = self.peeked.filter(|slot| slot.planned <= now)?;
        self.go_to(slot.index + 1);
        Some(slot)
    }

    /// Passes over the places planned up to `time`, and says how many there were: in one step, however many.
    pub fn pass(&mut self, time: Nanos) -> u64 {
        if self.peeked.is_none_or(|slot| slot.planned > time) {
            return 0;
        }
        let end = self.pacer.due(time).max(self.next);
        let passed = self.before(end) - self.before(self.next);
        self.go_to(end);
        passed
    }

    /// Makes the first place of this part from `index` on the next one.
    fn go_to(&mut self, index: u64) {
        self.next = if self.part.of() == 1 { index } else { self.from(index) };
        let planned = || Slot { index: self.next, planned: self.pacer.planned(self.next) };
        self.peeked = (self.next < self.total).then(planned);
    }

    /// The first place of this part that is not below `index`. Each flow has all targets, one place for each, before the
    /// next one has its turn.
    fn from(&self, index: u64) -> u64 {
        let turn = index / self.targets;
        let flows = u64::from(self.part.all());
        let is_ours = |turn: u64| u32::try_from(turn % flows).is_ok_and(|flow| self.part.has(flow));
        if is_ours(turn) {
            return index;
        }
        // Twice as many turns as there are threads hold one of each thread, also where the flows begin anew.
        let later = (turn + 1..=turn + 2 * u64::from(self.part.of())).find(|turn| is_ours(*turn));
        later.map_or(u64::MAX, |turn| turn.saturating_mul(self.targets))
    }

    /// How many places of this part are below `index`.
    fn before(&self, index: u64) -> u64 {
        let (turns, rest) = (index / self.targets, index % self.targets);
        let flows = u64::from(self.part.all());
        let flow = u32::try_from(turns % flows).unwrap_or(0);
        let rounds = turns / flows * u64::from(self.part.flows()) + u64::from(self.part.below(flow));
        rounds * self.targets + if self.part.has(flow) { rest } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use polyport_protocol::SECOND;
    use proptest::prelude::*;

    use super::*;
    use crate::load::config::example;
    use crate::load::plan::{Rate, Turns};

    fn config(targets: u16, flows: u32, count: u64) -> Config {
        let target = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let rate = Rate { count, period: SECOND };
        Config { flows, rate, ..example((1..=targets).map(target).collect()) }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(
            targets in 1_u16..5, threads in 1_u32..5, more in 0_u32..5, count in 1_u64..500, pass in 0..SECOND,
        ) {
            let config = config(targets, threads + more, count);
            let turns: Turns = config.turns();
            let mut all = Vec::new();
            let mut passed = 0;
            for index in 0..threads {
                let part = Part::new(index, threads, config.flows);
                let mut schedule = Schedule::new(&config, part, 7, SECOND);
                let mut other = schedule.clone();
                while let Some(slot) = schedule.take(Nanos::MAX) {
                    prop_assert!(part.has(turns.of(slot.index).1), "{slot:?}");
                    all.push(slot);
                }
                // Passing over is the same as taking.
                passed += other.pass(7 + pass);
                prop_assert_eq!(other.pass(7 + pass), 0);
                prop_assert!(other.peek().is_none_or(|slot| slot.planned > 7 + pass));
                prop_assert_eq!(other.take(7 + pass), None);
            }
            all.sort_unstable_by_key(|slot| slot.index);
            let mut pacer = config.rate.schedule(7, SECOND);
            let whole: Vec<Slot> = std::iter::from_fn(|| pacer.take(Nanos::MAX)).collect();
            prop_assert_eq!(passed, whole.iter().filter(|slot| slot.planned <= 7 + pass).count() as u64);
            prop_assert_eq!(all, whole);
        }
    }

    #[test]
    fn a_rate_that_nobody_can_count_is_passed_in_one_step() {
        let config = config(3, 5, 1_000_000_000);
        let passed: u64 = (0..4)
            .map(|index| {
                let mut schedule = Schedule::new(&config, Part::new(index, 4, 5), 0, SECOND);
                let passed = schedule.pass(Nanos::MAX);
                assert_eq!(schedule.peek(), None);
                passed
            })
            .sum();
        assert_eq!(passed, 1_000_000_000);
    }
}
