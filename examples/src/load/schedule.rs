//! The schedule of a run, as one thread follows it: the places of its flows, in order, each at the time that the schedule
//! of the whole run gives to it.

use polyport_protocol::Nanos;
use polyport_protocol::client::Slot;

use super::arrivals::Arrivals;
use super::config::Config;
use super::part::Part;

/// The places of a part.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    targets: u64,
    part: Part,
    /// The next place of this part, which may lie behind the end.
    next: u64,
    peeked: Option<Slot>,
}

/// What says when the next one may leave.
#[derive(Debug)]
enum Pace {
    /// The plan of the whole load.
    Open(Arrivals),
    /// The answers to this part: how many more may leave, since when, and the end of all.
    Closed { allowed: u64, since: Nanos, end: Nanos, over: bool },
}

impl Schedule {
    /// The part's places of a load of `duration` from `start` on, or of its warm-up.
    #[must_use]
    pub fn new(config: &Config, part: Part, start: Nanos, duration: Nanos, practice: bool) -> Self {
        let targets = (config.targets.len() as u64).max(1);
        let pace = match config.in_flight {
            Some(_) => Pace::Closed {
                allowed: 0,
                since: start,
                end: start.saturating_add(duration),
                over: duration == 0,
            },
            None => Pace::Open(config.arrivals(start, duration, practice)),
        };
        let mut schedule = Self { pace, targets, part, next: 0, peeked: None };
        schedule.go_to(0);
        schedule
    }

    /// In a closed loop, `more` datagrams may leave at `now`. Of other schedules it changes nothing.
    pub fn allow(&mut self, more: u64, now: Nanos) {
        if let Pace::Closed { allowed, since, end, over } = &mut self.pace {
            if more > *allowed {
                (*allowed, *since) = (more, now);
            }
            *over = now >= *end;
            self.peeked = self.look();
        }
    }

    /// The next place; its time is the next deadline. `None` once the schedule has ended.
    #[must_use]
    pub const fn peek(&self) -> Option<Slot> {
        self.peeked
    }

    /// Takes the next place if it is due at `now`.
    pub fn take(&mut self, now: Nanos) -> Option<Slot> {
        let slot = self.peeked.filter(|slot| slot.planned <= now)?;
        if let Pace::Closed { allowed, .. } = &mut self.pace {
            *allowed = allowed.checked_sub(1)?;
        }
        self.go_to(slot.index + 1);
        Some(slot)
    }

    /// Whether answers say when the next one may leave.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.pace, Pace::Closed { .. })
    }

    /// In a closed loop, the last place taken did not leave after all and is the next one again.
    pub fn give_back(&mut self, slot: Slot) {
        if let Pace::Closed { allowed, .. } = &mut self.pace {
            *allowed = allowed.saturating_add(1);
            self.go_to(slot.index);
        }
    }

    /// Passes over the places planned up to `time`, and says how many there were: in one step, however many.
    pub fn pass(&mut self, time: Nanos) -> u64 {
        if self.peeked.is_none_or(|slot| slot.planned > time) {
            return 0;
        }
        let end = match &mut self.pace {
            Pace::Open(arrivals) => arrivals.due(time).max(self.next),
            // What could not leave at once still may: nothing was planned that it could miss.
            Pace::Closed { .. } => return 0,
        };
        let passed = self.before(end) - self.before(self.next);
        self.go_to(end);
        passed
    }

    /// Makes the first place of this part from `index` on the next one.
    fn go_to(&mut self, index: u64) {
        self.next = if self.part.of() == 1 { index } else { self.from(index) };
        self.peeked = self.look();
    }

    fn look(&mut self) -> Option<Slot> {
        let index = self.next;
        let planned = match &mut self.pace {
            Pace::Open(arrivals) => arrivals.planned(index)?,
            Pace::Closed { over: true, .. } => return None,
            Pace::Closed { allowed: 0, end, .. } => *end,
            Pace::Closed { since, .. } => *since,
        };
        Some(Slot { index, planned })
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
    use crate::load::arrivals::Arrival;
    use crate::load::config::example;
    use crate::load::plan::{Rate, Turns};
    use crate::load::profile::Profile;

    fn config(targets: u16, flows: u32, count: u64) -> Config {
        let target = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let rate = Rate { count, period: SECOND };
        Config { flows, rate, ..example((1..=targets).map(target).collect()) }
    }

    fn schedule(config: &Config, part: Part) -> Schedule {
        Schedule::new(config, part, 7, SECOND, false)
    }

    #[test]
    fn a_closed_loop_lets_so_many_leave_as_are_allowed() {
        let config = Config { in_flight: Some(2), ..config(1, 1, 1) };
        let mut schedule = Schedule::new(&config, Part::whole(1), 0, 100, false);
        schedule.allow(2, 10);
        assert_eq!(schedule.take(9), None);
        assert_eq!(schedule.take(10), Some(Slot { index: 0, planned: 10 }));
        schedule.allow(1, 20);
        assert_eq!(schedule.take(20), Some(Slot { index: 1, planned: 10 }), "it may leave since then");
        assert_eq!((schedule.peek(), schedule.take(100)), (Some(Slot { index: 2, planned: 100 }), None));
        schedule.allow(1, 30);
        assert_eq!(schedule.take(31), Some(Slot { index: 2, planned: 30 }));
        schedule.give_back(Slot { index: 2, planned: 30 });
        assert_eq!(schedule.take(31), Some(Slot { index: 2, planned: 30 }), "it had no room");
        schedule.allow(2, 100);
        assert_eq!((schedule.peek(), schedule.pass(Nanos::MAX)), (None, 0));
    }

    #[test]
    fn a_closed_loop_of_a_part_has_the_places_of_its_flows() {
        let config = Config { in_flight: Some(9), ..config(3, 5, 1) };
        let part = Part::new(1, 2, 5);
        let mut schedule = schedule(&config, part);
        schedule.allow(100, 7);
        let turns: Vec<_> =
            std::iter::from_fn(|| schedule.take(7)).map(|slot| config.turns().of(slot.index)).collect();
        assert_eq!(turns.len(), 100);
        assert!(turns.iter().all(|(_, flow)| part.has(*flow)), "{turns:?}");
        let count = |lane| turns.iter().filter(|turn| **turn == lane).count();
        assert_eq!((count((0, 1)), count((2, 3))), (17, 16));
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(
            targets in 1_u16..5, threads in 1_u32..5, more in 0_u32..5, count in 1_u64..3000, pass in 0..SECOND,
            kind in 0..4_usize, ramp in any::<bool>(), seed in any::<u64>(),
        ) {
            let arrival = [Arrival::Constant, Arrival::Poisson, Arrival::Burst(7), Arrival::Burst(1000)][kind];
            let profile = ramp.then(|| Profile::parse(&format!("0..{count}:500ms,{count}:500ms")).unwrap());
            let config = Config { arrival, profile, seed, ..config(targets, threads + more, count) };
            let turns: Turns = config.turns();
            let mut all = Vec::new();
            let mut passed = 0;
            for index in 0..threads {
                let part = Part::new(index, threads, config.flows);
                let mut schedule = schedule(&config, part);
                let mut other = self::schedule(&config, part);
                while let Some(slot) = schedule.take(Nanos::MAX) {
                    prop_assert!(part.has(turns.of(slot.index).1), "{slot:?}");
                    all.push(slot);
                }
                // Passing over is the same as taking.
                passed += other.pass(7 + pass);
                prop_assert_eq!(other.pass(7 + pass), 0);
                let rest = all.iter().filter(|slot| part.has(turns.of(slot.index).1) && slot.planned > 7 + pass);
                let left: Vec<_> = std::iter::from_fn(|| other.take(Nanos::MAX)).collect();
                prop_assert_eq!(left, rest.copied().collect::<Vec<_>>());
            }
            all.sort_by_key(|slot| slot.index);
            let mut whole = config.arrivals(7, SECOND, false);
            let planned: Vec<_> =
                (0..).map_while(|index| Some(Slot { index, planned: whole.planned(index)? })).collect();
            prop_assert_eq!(&all, &planned);
            prop_assert!(all.is_sorted_by_key(|slot| slot.planned));
            let due = all.iter().filter(|slot| slot.planned <= 7 + pass).count();
            prop_assert_eq!(passed, due as u64);
        }
    }
}
