//! The one thing the loop asks about waiting.

use super::governor::{Governor, TurnTiming};
use super::moderation::Found;
use crate::limits::Limits;
use crate::reactor::due::ReadyList;
use crate::reactor::io::{Io, Token};
use crate::reactor::listener::{BusyPeriod, Listener};
use std::time::Duration;

/// Learns from every turn, and says how to wait for the next.
#[derive(Debug)]
pub(crate) struct Waiting {
    governor: Governor,
    busy_period: BusyPeriod,
    /// The listener whose stream the last turn rested for.
    rested_for: Option<Token>,
}

impl Waiting {
    /// `rests` says whether the I/O can rest at all.
    pub(crate) fn new(limits: &Limits, rests: bool) -> Self {
        Self { governor: Governor::new(limits, rests), busy_period: BusyPeriod::default(), rested_for: None }
    }

    /// Ends a rest: the listener it was for, which nothing watches and which is to be visited now.
    #[inline]
    pub(crate) fn end_rest(&mut self) -> Option<Token> {
        self.rested_for.take()
    }

    /// Whether to look again instead of sleeping, at the moment `now_ns`.
    #[inline]
    pub(crate) fn spins(&self, now_ns: u64) -> bool {
        self.governor.spins(now_ns)
    }

    /// Whether streams are rested for; then none is looked at twice in one visit.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.governor.rests()
    }

    /// How long the loop has been busy.
    #[inline]
    pub(crate) fn busy_period(&self) -> BusyPeriod {
        self.busy_period
    }

    /// After a turn that found something: how long to rest before the next look, if at all. `cpu_ns` is the processor
    /// time this thread has used; it is asked for rarely.
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

    /// Lets more of the stream of `listener` gather for `span`, while every other listener is watched. It does not where
    /// somebody else is ready, or where the listener cannot be left unwatched.
    pub(crate) fn rest<I: Io>(
        &mut self,
        io: &mut I,
        ready: &mut ReadyList,
        listener: &mut Listener<I::Socket>,
        span: Duration,
    ) {
        // More than the listener itself on the list: the budget of the turn did not reach somebody.
        if ready.len() <= usize::from(listener.ready) {
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

    /// The rest that [`Self::after`] asked for was not taken.
    pub(crate) fn did_not_rest(&mut self) {
        self.governor.did_not_rest();
    }
}
