//! When to let more of a stream arrive before it is looked at again.
//!
//! A peer that sends plain datagrams one after the other is chased by a loop that is faster than it: every visit
//! finds a handful, and pays for a wake-up, a receive and a send call what a visit of dozens would. Network cards
//! have the same trouble with interrupts and the same cure, interrupt moderation: while a stream lasts, rest a fraction
//! of a millisecond between two looks. Only the stream is kept waiting: its socket is not watched meanwhile, and what
//! comes to any other ends the rest.

use std::time::Duration;

/// Datagrams a visit has to find after a rest, however short, for the next one to be worth it.
const WORTH: usize = 6;
/// And one for each so many ns of the rest: a thin stream, or one that waits for its answers, must not be held up.
const EACH_NS: usize = 8000;
/// Rests in a row that were not worth it, before they are tried rarely.
const FRUITLESS_RESTS: u8 = 2;
/// Visits of a stream until a rare try.
const TRY_EVERY: u8 = 64;

/// What a turn found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Listeners that were visited.
    pub(crate) visits: usize,
    /// Messages of all visits.
    pub(crate) messages: usize,
    /// A visit found several equal datagrams of one peer in a row.
    pub(crate) stream: bool,
    /// A visit left something for the next turn.
    pub(crate) more: bool,
}

/// Decides after each turn.
#[derive(Debug)]
pub(crate) struct Moderation {
    rest: Duration,
    /// Datagrams that make it worth it.
    worth: usize,
    /// The turn that ended began with a rest.
    rested: bool,
    fruitless: u8,
    /// Visits of a stream since the last rest.
    unrested: u8,
}

impl Moderation {
    /// Rests for so long; never, when that is zero. A visit can find `most` datagrams.
    pub(crate) fn new(rest: Duration, most: usize) -> Self {
        let span_ns = usize::try_from(rest.as_nanos()).unwrap_or(usize::MAX);
        Self { rest, worth: WORTH.max(span_ns / EACH_NS).min(most), rested: false, fruitless: 0, unrested: 0 }
    }

    /// The rest that was asked for last was not taken.
    pub(crate) fn did_not_rest(&mut self) {
        self.rested = false;
    }

    /// Whether it may rest at all.
    pub(crate) fn is_allowed(&self) -> bool {
        !self.rest.is_zero()
    }

    /// Whether a stream is rested for; then it is not looked at twice in one visit.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_allowed() && self.fruitless < FRUITLESS_RESTS
    }

    /// How long to rest before the next look, if at all.
    #[inline]
    pub(crate) fn after(&mut self, found: Found) -> Option<Duration> {
        if !self.is_allowed() {
            return None;
        }
        if std::mem::take(&mut self.rested) {
            let worth = found.messages >= self.worth;
            self.fruitless = if worth { 0 } else { (self.fruitless + 1).min(FRUITLESS_RESTS) };
        }
        // Who else is busy must not wait, and fills the time anyway.
        if found.visits != 1 || !found.stream || found.more {
            return None;
        }
        self.unrested = self.unrested.saturating_add(1);
        self.rested = self.fruitless < FRUITLESS_RESTS || self.unrested >= TRY_EVERY;
        if self.rested {
            self.unrested = 0;
        }
        self.rested.then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_micros(200);
    const MANY: usize = 25;

    fn stream(messages: usize) -> Found {
        Found { visits: 1, messages, stream: true, more: false }
    }

    fn rests(moderation: &mut Moderation, found: Found) -> usize {
        (0..256).filter(|_| moderation.after(found).is_some()).count()
    }

    #[test]
    fn a_stream_that_fills_the_rests_is_rested_for_and_a_thin_one_is_tried_now_and_then() {
        let mut moderation = Moderation::new(REST, 64);
        assert_eq!(rests(&mut moderation, stream(MANY)), 256);
        assert_eq!(rests(&mut moderation, stream(MANY - 1)), 1 + 255 / usize::from(TRY_EVERY));
        assert!(rests(&mut moderation, stream(MANY)) > 256 - usize::from(TRY_EVERY), "it may come back");
    }

    #[test]
    fn nobody_waits_who_is_alone_or_beside_others() {
        let cases = [
            Found { stream: false, ..stream(30) },
            Found { visits: 2, ..stream(30) },
            Found { visits: 0, ..stream(0) },
            Found { more: true, ..stream(30) },
        ];
        for found in cases {
            assert_eq!(rests(&mut Moderation::new(REST, 64), found), 0, "{found:?}");
        }
        assert_eq!(rests(&mut Moderation::new(Duration::ZERO, 64), stream(30)), 0);
        let mut short = Moderation::new(Duration::from_micros(20), 64);
        assert_eq!(rests(&mut short, stream(WORTH)), 256, "a short rest has to bring less");
        let mut long = Moderation::new(Duration::from_millis(1), 64);
        assert_eq!(rests(&mut long, stream(64)), 256, "more than a full visit cannot be asked for");
        let mut asked = Moderation::new(REST, 64);
        (0..9).for_each(|_| {
            assert!(asked.after(stream(1)).is_some(), "what was not rested for proves nothing");
            asked.did_not_rest();
        });
    }
}
