//! Listeners that are not read for a while: paused, or drained before they go.

use std::time::Duration;

use super::core::{Reactor, current};
use super::io::{Io, Token, nanos};
use super::listener::Standing;

/// Visits of a socket that is to be read no more, between two batches.
const LAST_VISITS: usize = 4;

impl<I: Io> Reactor<I> {
    /// Reads the socket of a listener no more, until it is [resumed](Self::resume): what comes waits in the kernel,
    /// and what finds no room there is dropped by it. What the handler has still to do goes on. False if there is no
    /// such listener, or its socket is unusable.
    pub fn pause(&mut self, token: Token) -> bool {
        self.be_quiet(token, Standing::Paused)
    }

    /// Takes some of what lies in the socket of a listener, and reads it no more when there is nothing left, or
    /// `at_once`. Returns whether it is read no more.
    pub fn quiet_down(&mut self, token: Token, at_once: bool) -> bool {
        for _ in 0..LAST_VISITS {
            let Some(listener) = current(&mut self.listeners, token).filter(|it| !it.broken && !it.deaf)
            else {
                return true;
            };
            let messages = if at_once { 0 } else { self.core.visit(listener).messages };
            self.run_errands();
            if messages == 0 {
                self.be_quiet(token, Standing::Draining);
                return true;
            }
        }
        false
    }

    /// Reads the socket of a listener again. False as of [`Self::pause`], and while the service ends: what comes is another's then.
    pub fn resume(&mut self, token: Token) -> bool {
        if self.ending.is_some() {
            return false;
        }
        let Self { listeners, core, ready, .. } = self;
        let Some(listener) = current(listeners, token).filter(|listener| !listener.broken) else {
            return false;
        };
        listener.deaf = false;
        listener.standing = Standing::Here;
        listener.resume(&mut core.io, &mut core.timers, core.now.mono_ns);
        ready.push(token, &mut listener.ready);
        true
    }

    /// Whether nothing of a listener waits to be sent, its handler is to be given nothing, and it has no sessions.
    #[must_use]
    pub fn is_drained(&self, token: Token) -> bool {
        let listener = self.listeners.get(token.index as usize).filter(|listener| listener.token == token);
        listener.is_none_or(|listener| {
            let sessions = listener.family.as_ref().map_or(0, |family| family.report().book.open);
            listener.all_waiting() == 0 && listener.counters.kept == 0 && sessions == 0
        })
    }

    /// Has a turn return [`Flow::Attend`](super::Flow::Attend) after so long, once.
    pub fn attend_in(&mut self, span: Duration) {
        let core = &mut self.core;
        core.attend_at_ns = core.now.mono_ns.saturating_add(nanos(span));
        core.change_at_ns = core.change_at_ns.min(core.attend_at_ns);
    }

    fn be_quiet(&mut self, token: Token, standing: Standing) -> bool {
        // Neither the rest of its stream nor the list bring it back.
        if let Some(rested) = self.core.waiting.end_rest()
            && let Some(listener) = current(&mut self.listeners, rested)
        {
            self.ready.push(rested, &mut listener.ready);
        }
        let Self { listeners, core, ready, .. } = self;
        let Some(listener) = current(listeners, token).filter(|listener| !listener.broken) else {
            return false;
        };
        if listener.ready {
            ready.take_out(token);
            listener.ready = false;
        }
        listener.deaf = true;
        if listener.standing == Standing::Here || listener.standing == Standing::Paused {
            listener.standing = standing;
        }
        listener.resume(&mut core.io, &mut core.timers, core.now.mono_ns);
        true
    }
}
