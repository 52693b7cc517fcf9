//! When each datagram of a load should leave: it follows from the flow, the way of arrival, its number and the seed, so that
//! every run with the same ones plans the same times.

use std::fmt;

use polyport_protocol::Nanos;
use polyport_protocol::client::{Pacer, Slot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::poisson::Poisson;
use super::profile::Profile;

/// How datagrams arrive that have a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Evenly.
    #[default]
    Constant,
    /// With times between them that are exponentially distributed: as many independent users send.
    Poisson,
    /// So many at once, and nothing in between.
    Burst(u64),
}

/// The times of a load, and how far it has come.
#[derive(Debug)]
pub struct Schedule {
    start: Nanos,
    taken: u64,
    times: Times,
}

#[derive(Debug)]
enum Times {
    /// One rate, evenly.
    Even(Pacer),
    /// Pieces, evenly or in bursts.
    Pieces { profile: Profile, burst: u64 },
    /// By chance.
    Random(Box<Poisson>),
    /// When one that was sent is answered or timed out: so many may leave, since when, and the end of all.
    Closed { allowed: u64, since: Nanos, end: Nanos, over: bool },
}

impl Schedule {
    /// One rate, evenly.
    #[must_use]
    pub const fn even(pacer: Pacer) -> Self {
        Self { start: 0, taken: 0, times: Times::Even(pacer) }
    }

    /// A closed loop: datagrams leave when [`Self::allow`] says so, until `end`.
    #[must_use]
    pub const fn closed(end: Nanos) -> Self {
        Self { start: 0, taken: 0, times: Times::Closed { allowed: 0, since: 0, end, over: false } }
    }

    /// In a closed loop, `more` datagrams may leave at `now`. Of other schedules it changes nothing.
    pub const fn allow(&mut self, more: u64, now: Nanos) {
        if let Times::Closed { allowed, since, end, over } = &mut self.times {
            let wanted = self.taken.saturating_add(more);
            if wanted > *allowed {
                (*allowed, *since) = (wanted, now);
            }
            *over = now >= *end;
        }
    }

    /// From `start` on, along `profile`.
    #[must_use]
    pub fn new(start: Nanos, profile: Profile, arrival: Arrival, seed: u64) -> Self {
        let times = match arrival {
            Arrival::Constant => Times::Pieces { profile, burst: 1 },
            Arrival::Burst(burst) => Times::Pieces { profile, burst: burst.max(1) },
            Arrival::Poisson => Times::Random(Box::new(Poisson::new(profile, seed))),
        };
        Self { start, taken: 0, times }
    }

    /// The next place; its time is the next deadline. `None` once the schedule has ended.
    #[must_use]
    pub fn peek(&self) -> Option<Slot> {
        let after = match &self.times {
            Times::Even(pacer) => return pacer.peek(),
            Times::Pieces { profile, burst } => {
                (self.taken < profile.total()).then(|| profile.planned(self.taken - self.taken % burst))?
            }
            Times::Random(poisson) => poisson.next()?,
            Times::Closed { over: true, .. } => return None,
            Times::Closed { allowed, since, end, over: false } => {
                if self.taken < *allowed {
                    *since
                } else {
                    *end
                }
            }
        };
        Some(Slot { index: self.taken, planned: self.start.saturating_add(after) })
    }

    /// Takes the next place if it is due at `now`.
    pub fn take(&mut self, now: Nanos) -> Option<Slot> {
        if let Times::Even(pacer) = &mut self.times {
            return pacer.take(now);
        }
        let slot = self.peek().filter(|slot| slot.planned <= now)?;
        if matches!(self.times, Times::Closed { allowed, .. } if self.taken >= allowed) {
            return None;
        }
        self.taken += 1;
        if let Times::Random(poisson) = &mut self.times {
            poisson.step();
        }
        Some(slot)
    }

    /// Passes over the places planned up to `time`, and says how many there were: without a step for each.
    pub fn pass(&mut self, time: Nanos) -> u64 {
        let passed = match &mut self.times {
            Times::Even(pacer) => return pacer.pass(time),
            // What could not leave at once still may: nothing was planned that it could miss.
            Times::Closed { .. } => 0,
            _ if time < self.start => 0,
            Times::Pieces { profile, burst } => {
                let burst = *burst;
                let (mut due, mut open) = (self.taken, profile.total());
                while due < open {
                    let middle = due + (open - due) / 2;
                    if self.start.saturating_add(profile.planned(middle - middle % burst)) <= time {
                        due = middle + 1;
                    } else {
                        open = middle;
                    }
                }
                due - self.taken
            }
            Times::Random(poisson) => poisson.pass(time - self.start),
        };
        self.taken += passed;
        passed
    }
}

impl Arrival {
    /// Parses `constant`, `poisson` or `burst:10`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "constant" => Ok(Self::Constant),
            None if text == "poisson" => Ok(Self::Poisson),
            Some(("burst", count)) => match count.parse() {
                Ok(count @ 1..=MOST_AT_ONCE) => Ok(Self::Burst(count)),
                Ok(_) | Err(_) => Err(format!("a burst has 1 to {MOST_AT_ONCE} datagrams")),
            },
            _ => Err(format!("`{text}` is no way of arrival: write constant, poisson or burst:10")),
        }
    }
}

/// Datagrams of a burst: more than any socket buffer takes.
const MOST_AT_ONCE: u64 = 1_000_000;

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Burst(count) => write!(f, "bursts of {count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::{MILLISECOND, SECOND};
    use proptest::prelude::*;

    use super::*;

    fn schedule(flow: &str, arrival: Arrival, seed: u64) -> Schedule {
        Schedule::new(5, Profile::parse(flow).unwrap(), arrival, seed)
    }

    fn all(mut schedule: Schedule) -> Vec<Nanos> {
        std::iter::from_fn(|| schedule.take(Nanos::MAX)).map(|slot| slot.planned).collect()
    }

    #[test]
    fn ways_of_arrival_are_read() {
        for (text, arrival) in
            [("constant", Arrival::Constant), ("poisson", Arrival::Poisson), ("burst:32", Arrival::Burst(32))]
        {
            assert_eq!(Arrival::parse(text), Ok(arrival));
        }
        for wrong in ["", "burst", "burst:0", "burst:1000001", "poisson:2", "often"] {
            assert!(Arrival::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_burst_leaves_at_the_time_of_its_first() {
        let times = all(schedule("1000:10ms", Arrival::Burst(4), 0));
        let at = |ms: u64| 5 + ms * MILLISECOND;
        assert_eq!(times, [at(0), at(0), at(0), at(0), at(4), at(4), at(4), at(4), at(8), at(8)]);
    }

    #[test]
    fn an_even_flow_is_that_of_the_pacer() {
        let pacer = Pacer::per_second(5, 7000).with_total(7000);
        let (one, other) = (all(Schedule::even(pacer)), all(schedule("7000:1s", Arrival::Constant, 0)));
        assert_eq!(one.len(), other.len());
        assert!(one.iter().zip(&other).all(|(one, other)| one.abs_diff(*other) <= 1));
    }

    #[test]
    fn poisson_repeats_by_seed() {
        let times = |seed| all(schedule("20000:1s,0..20000:1s", Arrival::Poisson, seed));
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        assert!(times(1).is_sorted());
        let (first, second): (Vec<_>, Vec<_>) = times(3).into_iter().partition(|time| *time < SECOND);
        // Within six standard deviations, the square roots of what is expected.
        assert!(first.len().abs_diff(20_000) < 6 * 142, "{}", first.len());
        assert!(second.len().abs_diff(10_000) < 6 * 100, "{}", second.len());
    }

    #[test]
    fn a_closed_loop_lets_so_many_leave_as_are_allowed() {
        let mut schedule = Schedule::closed(100);
        schedule.allow(2, 10);
        assert_eq!(schedule.take(9), None);
        assert_eq!(schedule.take(10), Some(Slot { index: 0, planned: 10 }));
        schedule.allow(1, 20);
        assert_eq!(schedule.take(20), Some(Slot { index: 1, planned: 10 }), "it may leave since then");
        assert_eq!((schedule.peek(), schedule.take(100)), (Some(Slot { index: 2, planned: 100 }), None));
        schedule.allow(1, 30);
        assert_eq!(schedule.take(31), Some(Slot { index: 2, planned: 30 }));
        schedule.allow(2, 100);
        assert_eq!((schedule.peek(), schedule.pass(Nanos::MAX)), (None, 0));
    }

    proptest! {
        #[test]
        fn passing_is_taking_without_looking(
            seed in any::<u64>(),
            kind in 0..3_usize,
            steps in prop::collection::vec((any::<bool>(), 0..40_000_000_u64), 1..30),
        ) {
            let arrival = [Arrival::Constant, Arrival::Poisson, Arrival::Burst(7)][kind];
            let schedule = || schedule("0..30000:100ms,5000:100ms", arrival, seed);
            let (mut one, mut other) = (schedule(), schedule());
            let mut now = 0;
            for (pass, more) in steps {
                now += more;
                let taken = std::iter::from_fn(|| one.take(now)).count() as u64;
                if pass {
                    prop_assert_eq!(other.pass(now), taken);
                } else {
                    prop_assert_eq!(std::iter::from_fn(|| other.take(now)).count() as u64, taken);
                }
                prop_assert_eq!(one.peek(), other.peek());
                prop_assert!(one.peek().is_none_or(|slot| slot.planned > now));
            }
        }
    }
}
