//! When each datagram of a load should leave: it follows from the flow, the way of arrival, its number and the seed, so that
//! every run with the same ones plans the same times.

use std::fmt;

use polyport_protocol::Nanos;
use polyport_protocol::client::Pacer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::Rate;
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

/// The planned times of a whole load, each by its number. They are asked for in order, and some may be left out.
#[derive(Debug)]
pub struct Arrivals {
    start: Nanos,
    times: Times,
}

#[derive(Debug)]
enum Times {
    /// One rate, evenly: so many datagrams.
    Even { pacer: Pacer, total: u64 },
    /// Pieces, evenly or in bursts.
    Pieces { profile: Profile, burst: u64 },
    /// By chance.
    Random(Box<Poisson>),
}

impl Arrivals {
    /// One rate, evenly, from `start` on.
    #[must_use]
    pub fn even(start: Nanos, rate: Rate, duration: Nanos) -> Self {
        let (pacer, total) = (rate.schedule(start, duration), rate.total(duration));
        Self { start, times: Times::Even { pacer, total } }
    }

    /// From `start` on, along `profile`.
    #[must_use]
    pub fn new(start: Nanos, profile: Profile, arrival: Arrival, seed: u64) -> Self {
        let times = match arrival {
            Arrival::Constant => Times::Pieces { profile, burst: 1 },
            Arrival::Burst(burst) => Times::Pieces { profile, burst: burst.max(1) },
            Arrival::Poisson => Times::Random(Box::new(Poisson::new(profile, seed))),
        };
        Self { start, times }
    }

    /// When datagram `index` should leave; `None` behind the end. No number below it may be asked for later.
    pub fn planned(&mut self, index: u64) -> Option<Nanos> {
        let after = match &mut self.times {
            Times::Even { pacer, total } => return (index < *total).then(|| pacer.planned(index)),
            Times::Pieces { profile, burst } => {
                (index < profile.total()).then(|| profile.planned(index - index % *burst))?
            }
            Times::Random(poisson) => {
                poisson.skip_to(index);
                poisson.next()?
            }
        };
        Some(self.start.saturating_add(after))
    }

    /// How many datagrams should have left by `time`: without a step for each. No number below that may be asked for later.
    pub fn due(&mut self, time: Nanos) -> u64 {
        match &mut self.times {
            Times::Even { pacer, .. } => pacer.due(time),
            _ if time < self.start => 0,
            Times::Pieces { profile, burst } => {
                let burst = *burst;
                let (mut due, mut open) = (0, profile.total());
                while due < open {
                    let middle = due + (open - due) / 2;
                    if self.start.saturating_add(profile.planned(middle - middle % burst)) <= time {
                        due = middle + 1;
                    } else {
                        open = middle;
                    }
                }
                due
            }
            Times::Random(poisson) => {
                poisson.pass(time - self.start);
                poisson.index()
            }
        }
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

    use super::*;

    fn arrivals(flow: &str, arrival: Arrival, seed: u64) -> Arrivals {
        Arrivals::new(5, Profile::parse(flow).unwrap(), arrival, seed)
    }

    fn all(mut arrivals: Arrivals) -> Vec<Nanos> {
        (0..).map_while(|index| arrivals.planned(index)).collect()
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
        let times = all(arrivals("1000:10ms", Arrival::Burst(4), 0));
        let at = |ms: u64| 5 + ms * MILLISECOND;
        assert_eq!(times, [at(0), at(0), at(0), at(0), at(4), at(4), at(4), at(4), at(8), at(8)]);
    }

    #[test]
    fn an_even_flow_is_that_of_the_pacer() {
        let even = Arrivals::even(5, Rate { count: 7000, period: SECOND }, SECOND);
        let (one, other) = (all(even), all(arrivals("7000:1s", Arrival::Constant, 0)));
        assert_eq!(one.len(), other.len());
        assert!(one.iter().zip(&other).all(|(one, other)| one.abs_diff(*other) <= 1));
    }

    #[test]
    fn poisson_repeats_by_seed() {
        let times = |seed| all(arrivals("20000:1s,0..20000:1s", Arrival::Poisson, seed));
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        assert!(times(1).is_sorted());
        let (first, second): (Vec<_>, Vec<_>) = times(3).into_iter().partition(|time| *time < SECOND);
        // Within six standard deviations, the square roots of what is expected.
        assert!(first.len().abs_diff(20_000) < 6 * 142, "{}", first.len());
        assert!(second.len().abs_diff(10_000) < 6 * 100, "{}", second.len());
    }

    #[test]
    fn what_is_left_out_moves_no_time() {
        for arrival in [Arrival::Constant, Arrival::Poisson, Arrival::Burst(7)] {
            let arrivals = || arrivals("0..30000:100ms,5000:100ms", arrival, 9);
            let (times, mut some, mut due) = (all(arrivals()), arrivals(), arrivals());
            for (index, time) in (0..).zip(&times).step_by(1025) {
                assert_eq!(some.planned(index), Some(*time), "{arrival}");
                let left = times.iter().filter(|other| *other <= time).count() as u64;
                assert_eq!(due.due(*time), left, "{arrival}");
                assert_eq!(due.planned(left), times.get(usize::try_from(left).unwrap()).copied());
            }
            assert_eq!((due.due(Nanos::MAX), due.planned(times.len() as u64)), (times.len() as u64, None));
        }
    }
}
