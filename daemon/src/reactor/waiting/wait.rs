//! What the loop asks about waiting: governor, busy period and rest behind one face.

use std::time::Duration;

use super::governor::{Governor, TurnTiming};
use super::moderation::Found;
use crate::limits::Limits;
use crate::reactor::due::ReadyList;
use crate::reactor::io::{Io, Token};
use crate::reactor::listener::{BusyPeriod, Listener};

/// Learns from every turn that found something, and says how the loop waits for the next.
#[derive(Debug)]
pub(crate) struct Waiting {
    governor: Governor,
    busy_period: BusyPeriod,
    /// The listener for whose stream the last turn rested.
    rested_for: Option<Token>,
}

impl Waiting {
    /// State of a loop that has not run yet. `rests` is whether the I/O can rest at all.
    pub(crate) fn new(limits: &Limits, rests: bool) -> Self {
        Self { governor: Governor::new(limits, rests), busy_period: BusyPeriod::default(), rested_for: None }
    }

    /// Ends a rest. Returns the listener the rest was for: nothing watches it, so the caller must visit it.
    #[inline]
    pub(crate) fn end_rest(&mut self) -> Option<Token> {
        self.rested_for.take()
    }

    /// Whether the loop looks again at the moment `now_ns` instead of sleeping.
    #[inline]
    pub(crate) fn spins(&self, now_ns: u64) -> bool {
        self.governor.spins(now_ns)
    }

    /// Whether the loop rests for streams. If so, a visit does not look twice.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.governor.rests()
    }

    /// The current busy period of the loop.
    #[inline]
    pub(crate) fn busy_period(&self) -> BusyPeriod {
        self.busy_period
    }

    /// Learns from a turn that found something. Returns how long to rest before the next look, if at all. `cpu_ns`
    /// gives the processor time of this thread; it is called rarely.
    #[inline]
    pub(crate) fn after(
        &mut self,
        found: Found,
        timing: TurnTiming,
        cpu_ns: impl FnOnce() -> u64,
    ) -> Option<Duration> {
        self.busy_period.note(self.governor.gap_ns(timing.from_ns), found.visits);
        self.governor.after(found, timing, cpu_ns)
    }

    /// Rests for `span`, so that more of the stream of `listener` arrives, while every other listener is watched. There
    /// is no rest when another listener is ready, when this one must stay watched, or when it is gone.
    pub(crate) fn rest<I: Io>(
        &mut self,
        io: &mut I,
        ready: &mut ReadyList,
        listener: Option<&mut Listener<I::Socket>>,
        span: Duration,
    ) {
        // With another listener on the list, the budget of the turn was too small for a visit of that one.
        if let Some(listener) = listener
            && ready.len() <= usize::from(listener.ready)
        {
            if !listener.is_polled() {
                listener.poll(io);
            }
            if listener.is_polled() {
                if std::mem::take(&mut listener.ready) {
                    ready.pop();
                }
                self.rested_for = Some(listener.token);
                io.rest(span);
                return;
            }
        }
        self.did_not_rest();
    }

    /// Notes that the loop did not take the rest that [`Self::after`] asked for.
    pub(crate) fn did_not_rest(&mut self) {
        self.governor.did_not_rest();
    }
}
