//! When the loop lets more of a stream arrive before it looks again.
//!
//! A stream is one peer that sends equal datagrams one after the other. A loop that is faster than that peer finds a
//! few of them at every visit, and pays for a wake-up, a receive call and a send call each time. Network cards have the
//! same problem with interrupts, and solve it by interrupt moderation. The loop does likewise: while a stream lasts, it
//! rests for a fraction of a millisecond between two looks. Only the stream waits: nothing watches its socket during
//! the rest, and a datagram for any other listener ends it.

use std::time::Duration;

/// Datagrams a visit must find after a rest, however short, for the rest to be worth it.
const WORTH: usize = 6;
/// A longer rest must bring one datagram for each so many ns. A thin stream, or one that waits for its answers, does
/// not, and is not held up.
const EACH_NS: usize = 8000;
/// Rests in a row that were not worth it, after which the loop rests rarely.
const FRUITLESS_RESTS: u8 = 2;
/// Visits of a stream between two such rare rests.
const TRY_EVERY: u8 = 64;

/// What the visits of one turn found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Listeners that were visited.
    pub(crate) visits: usize,
    /// Messages of all visits; a train counts once.
    pub(crate) messages: usize,
    /// A visit found several equal datagrams of one peer in a row.
    pub(crate) stream: bool,
    /// A visit left something for the next turn.
    pub(crate) more: bool,
}

/// Decides after each turn whether the loop rests before the next.
#[derive(Debug)]
pub(crate) struct Moderation {
    /// Length of a rest; zero is never.
    rest: Duration,
    /// Messages a turn must find after a rest for the rest to be worth it.
    worth: usize,
    /// The turn that ended began with a rest.
    rested: bool,
    /// Rests in a row that were not worth it.
    fruitless: u8,
    /// Visits of a stream since the last rest.
    unrested: u8,
}

impl Moderation {
    /// A moderation whose rests have the length `rest`; zero is never. A visit finds at most `most` messages.
    pub(crate) fn new(rest: Duration, most: usize) -> Self {
        let span_ns = usize::try_from(rest.as_nanos()).unwrap_or(usize::MAX);
        Self { rest, worth: WORTH.max(span_ns / EACH_NS).min(most), rested: false, fruitless: 0, unrested: 0 }
    }

    /// Notes that the loop did not take the rest that [`Self::after`] asked for, so that the next turn proves nothing.
    pub(crate) fn did_not_rest(&mut self) {
        self.rested = false;
    }

    /// Whether the loop may rest at all.
    pub(crate) fn is_allowed(&self) -> bool {
        !self.rest.is_zero()
    }

    /// Whether the loop rests for a stream. If so, a visit does not look twice.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_allowed() && self.fruitless < FRUITLESS_RESTS
    }

    /// Learns from a turn that found something. Returns how long to rest before the next look, if at all.
    #[inline]
    pub(crate) fn after(&mut self, found: Found) -> Option<Duration> {
        if !self.is_allowed() {
            return None;
        }
        if std::mem::take(&mut self.rested) {
            let worth = found.messages >= self.worth;
            self.fruitless = if worth { 0 } else { (self.fruitless + 1).min(FRUITLESS_RESTS) };
        }
        // With other busy listeners there is no rest: they must not wait, and their visits let the stream arrive
        // anyway.
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
