//! Recorded links: when one could carry how much, and how long its datagrams took.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crate::chance::mix;
use crate::limits::{LONGEST_NS, MOST_ENTRIES};
use crate::text::{ParseError, numbered};

const NS_PER_MS: u64 = 1_000_000;

/// When a link can carry 1500 bytes, over and over: a trace of mahimahi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTrace {
    /// Milliseconds, in order; the last is above 0 and the length of the trace.
    opportunities: Box<[u32]>,
    /// Tells traces apart: the same times have the same one, also if the file is read again.
    mark: u64,
}

/// Which opportunity a line has come to, and what is left of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    /// Counted through all rounds of the trace.
    opportunity: u64,
    left: u64,
    /// Of which trace, and where that begins, ns: of another one the number means nothing.
    of: Option<(u64, u64)>,
}

impl RateTrace {
    /// Bytes that an opportunity carries.
    pub const BYTES: u64 = 1500;

    /// Reads one: a line for each opportunity, in milliseconds from the begin, none smaller than the one before. The last
    /// one is where the trace begins again. Empty lines and such with `#` say nothing.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut opportunities: Vec<u32> = Vec::new();
        for (line, content) in numbered(text) {
            let wrong = || ParseError::new(line, "expected milliseconds, a whole number below 2^32");
            let ms = content.parse().map_err(|_| wrong())?;
            if opportunities.last().is_some_and(|last| *last > ms) {
                return Err(ParseError::new(line, "earlier than the line before"));
            }
            bounded(line, opportunities.len())?;
            opportunities.push(ms);
        }
        let end = text.lines().count().max(1);
        match opportunities.last() {
            None => Err(ParseError::new(end, "there is no time at which the link carries anything")),
            Some(0) => Err(ParseError::new(end, "the last time is how long the trace lasts: above 0")),
            Some(_) => {
                let mark = opportunities.iter().fold(0, |mark, ms| mix(mark, u64::from(*ms), 0));
                Ok(Self { opportunities: opportunities.into(), mark })
            }
        }
    }

    /// The opportunities of a round, ms.
    #[must_use]
    pub fn times_ms(&self) -> &[u32] {
        &self.opportunities
    }

    /// How long a round lasts, ns.
    #[must_use]
    pub fn period_ns(&self) -> u64 {
        self.opportunities.last().map_or(1, |ms| u64::from(*ms) * NS_PER_MS)
    }

    /// Carries `bytes` that are ready at `ready`, by a trace that begins at `origin`, both ns of one clock; returns when the
    /// last of them is across. What comes later is carried after it.
    pub(crate) fn carry(&self, carried: &mut Carried, origin: u64, ready: u64, bytes: u64) -> u64 {
        let (of, ready) = (Some((self.mark, origin)), ready.saturating_sub(origin));
        let first = self.first_from(ready);
        if carried.of != of || first > carried.opportunity {
            *carried = Carried { opportunity: first, left: Self::BYTES, of };
        }
        if carried.left == 0 {
            carried.opportunity = carried.opportunity.saturating_add(1);
            carried.left = Self::BYTES;
        }
        if let Some(left) = carried.left.checked_sub(bytes) {
            carried.left = left;
        } else {
            let rest = bytes - carried.left;
            let whole = (rest - 1) / Self::BYTES;
            carried.opportunity = carried.opportunity.saturating_add(whole + 1);
            carried.left = Self::BYTES - (rest - whole * Self::BYTES);
        }
        self.time(carried.opportunity).max(ready).saturating_add(origin)
    }

    /// The first opportunity at `ready` or later.
    fn first_from(&self, ready: u64) -> u64 {
        let (period, count) = (self.period_ns(), self.opportunities.len() as u64);
        let (mut round, mut within) = (ready / period, ready % period);
        // The end of a round is the begin of the next.
        if within == 0 && round > 0 {
            (round, within) = (round - 1, period);
        }
        let before = self.opportunities.partition_point(|ms| u64::from(*ms) * NS_PER_MS < within) as u64;
        round.saturating_mul(count).saturating_add(before)
    }

    /// When an opportunity is, ns since the begin.
    fn time(&self, opportunity: u64) -> u64 {
        let count = (self.opportunities.len() as u64).max(1);
        let within = usize::try_from(opportunity % count).ok().and_then(|at| self.opportunities.get(at));
        let within = within.map_or(0, |ms| u64::from(*ms) * NS_PER_MS);
        (opportunity / count).saturating_mul(self.period_ns()).saturating_add(within)
    }
}

/// How long one datagram after the other takes, over and over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayTrace {
    delays: Box<[u64]>,
    shortest: u64,
}

impl DelayTrace {
    /// Reads one: a delay a line, a number in milliseconds, or with a unit: `12.5`, `12.5ms`, `300us`, `1s`, `40ns`. Empty
    /// lines and such with `#` say nothing.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut delays = Vec::new();
        for (line, content) in numbered(text) {
            let message = "expected a delay up to 24 h, such as 12.5ms, or 12.5 in milliseconds";
            let delay = delay(content).filter(|ns| *ns <= LONGEST_NS);
            bounded(line, delays.len())?;
            delays.push(delay.ok_or_else(|| ParseError::new(line, message))?);
        }
        match delays.iter().min().copied() {
            None => Err(ParseError::new(text.lines().count().max(1), "there is no delay")),
            Some(shortest) => Ok(Self { delays: delays.into(), shortest }),
        }
    }

    /// The delays of a round, ns.
    #[must_use]
    pub fn delays(&self) -> &[u64] {
        &self.delays
    }

    /// The shortest of them, ns.
    #[must_use]
    pub const fn shortest(&self) -> u64 {
        self.shortest
    }

    /// The delay of datagram or step number `at`.
    #[inline]
    pub(crate) fn at(&self, at: u64) -> u64 {
        let index = at.checked_rem(self.delays.len() as u64).unwrap_or(0);
        usize::try_from(index).ok().and_then(|index| self.delays.get(index)).copied().unwrap_or(0)
    }
}

fn bounded(line: usize, entries: usize) -> Result<(), ParseError> {
    if entries < MOST_ENTRIES {
        return Ok(());
    }
    Err(ParseError::new(line, format!("more than {MOST_ENTRIES} lines")))
}

/// A decimal number with a unit, in ns; what is below 1 ns is cut. No float: every text means exactly one number.
fn delay(text: &str) -> Option<u64> {
    let units = [("ns", 1), ("us", 1_000), ("ms", NS_PER_MS), ("s", 1_000_000_000)];
    let unit = units.iter().find_map(|(name, ns)| text.strip_suffix(name).map(|number| (number, *ns)));
    let (number, ns) = unit.unwrap_or((text, NS_PER_MS));
    let number = number.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let (mut sum, mut worth) = (whole.parse::<u64>().ok()?.checked_mul(ns)?, ns);
    for digit in part.bytes() {
        worth /= 10;
        sum = sum.checked_add(worth * u64::from(digit - b'0'))?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
