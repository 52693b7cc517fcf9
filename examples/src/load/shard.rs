//! A load by several generators: which targets are whose, and when all of them start.

use std::fmt;

use polyport_protocol::SECOND;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::{LONGEST, Rate};

/// One of several generators that share the targets of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

impl Shard {
    /// Parses `INDEX/COUNT`, such as `0/3`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some(Self { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        let shard = numbers.ok_or_else(|| format!("`{text}` is no INDEX/COUNT, such as 0/3"))?;
        if shard.index >= shard.count {
            return Err(format!(
                "`{text}`: of {} generators the last one is {}/{}, as they are counted from 0",
                shard.count,
                shard.count.saturating_sub(1),
                shard.count
            ));
        }
        Ok(shard)
    }

    /// The targets of this generator: one of so many, so that neighbours lie on different ones.
    #[must_use]
    pub fn share<T>(self, all: Vec<T>) -> Vec<T> {
        let ours = |place: usize| place as u64 % u64::from(self.count) == u64::from(self.index);
        all.into_iter().enumerate().filter(|(place, _)| ours(*place)).map(|(_, target)| target).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The part of a rate that goes to `ours` of `all` targets, so that each target gets as much as by one generator.
///
/// # Errors
/// It cannot be written as datagrams a time.
pub fn part(rate: Rate, ours: usize, all: usize) -> Result<Rate, String> {
    let wrong = || format!("{ours} of {all} targets have no rate that can be written: see --rate");
    let count = rate.count.checked_mul(ours as u64).ok_or_else(wrong)?;
    let period = rate.period.checked_mul(all as u64).ok_or_else(wrong)?;
    let common = divisor(count, period).max(1);
    whole_seconds(Rate { count: count / common, period: period / common }).ok_or_else(wrong)
}

/// The sum of two rates.
#[must_use]
pub fn sum(one: Rate, other: Rate) -> Option<Rate> {
    let common = divisor(one.period, other.period).max(1);
    let (up, down) = (other.period / common, one.period / common);
    let count = one.count.checked_mul(up)?.checked_add(other.count.checked_mul(down)?)?;
    let period = one.period.checked_mul(up)?;
    let common = divisor(count, period).max(1);
    whole_seconds(Rate { count: count / common, period: period / common })
}

/// A rate written over whole seconds, as the command line has it; `None` if it is out of all bounds.
fn whole_seconds(rate: Rate) -> Option<Rate> {
    let times = SECOND / divisor(rate.period, SECOND).max(1);
    let (count, period) = (rate.count.checked_mul(times)?, rate.period.checked_mul(times)?);
    (count <= period && period <= LONGEST).then_some(Rate { count, period })
}

fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_one_generator_and_its_rate() {
        let targets: Vec<u32> = (0..10).collect();
        let rate = Rate::parse("1000/s").unwrap();
        let mut all = Vec::new();
        let mut total = None;
        for index in 0..3 {
            let shard = Shard::parse(&format!("{index}/3")).unwrap();
            let ours = shard.share(targets.clone());
            let part = part(rate, ours.len(), targets.len()).unwrap();
            assert_eq!(part.total(100 * SECOND), 100 * 1000 * ours.len() as u64 / 10);
            total = Some(total.map_or(part, |total| sum(total, part).unwrap()));
            all.extend(ours);
        }
        all.sort_unstable();
        assert_eq!((all, total), (targets, Some(rate)));
    }

    #[test]
    fn a_rate_that_does_not_divide_keeps_whole_numbers() {
        let third = part(Rate::parse("1000/s").unwrap(), 1, 3).unwrap();
        assert_eq!(
            (third.count, third.period, third.to_string()),
            (1000, 3 * SECOND, "1000 in 3 s".to_owned())
        );
        assert_eq!(sum(sum(third, third).unwrap(), third).unwrap().to_string(), "1000/s");
    }

    #[test]
    fn generators_are_counted_from_zero() {
        assert_eq!(Shard::parse("2/3").unwrap().to_string(), "2/3");
        assert!(Shard::parse("3/3").unwrap_err().contains("the last one is 2/3"));
        for wrong in ["", "1", "a/3", "0/0", "-1/3", "1/3/4"] {
            Shard::parse(wrong).unwrap_err();
        }
    }
}
