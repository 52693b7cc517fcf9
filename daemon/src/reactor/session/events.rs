//! What a handler is told about its sessions, and what time brings them.

use super::family::Family;
use crate::exchange::SessionEnd;
use crate::limits::{IDLE_ENDS, IDLE_LOOKS};
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::exit::way_out;
use crate::reactor::io::Io;
use crate::reactor::listener::{Listener, Service};

impl<I: Io> Core<I> {
    /// Tells the handler of a listener what has happened to its sessions, before it is called for anything else.
    pub(in crate::reactor) fn tell(&mut self, listener: &mut Listener<I::Socket>) {
        while let Some(event) = listener.family.as_mut().and_then(|family| family.events.pop_front()) {
            let call = self.call(listener);
            self.exchange.conceal();
            self.open_desk(listener);
            let (exit, service) = way_out(&self.own, listener);
            let Service::Running(instance) = service else {
                self.forget_handler_of_sessions(listener);
                return;
            };
            let outcome = instance.on_session(&mut self.exchange, call, &exit, &event);
            self.conclude(listener, outcome, "on_session", |core, listener, tickets| {
                core.settle_sessions(listener, true, tickets);
            });
        }
    }

    /// Makes the sessions that were asked for in events of the turn before.
    fn open_late(&mut self, listener: &mut Listener<I::Socket>) {
        self.exchange.clear(self.now.mono_ns, listener.local);
        self.with_family(listener, |core, listener, family| core.open_deferred(listener, family));
        self.tell(listener);
    }

    /// Ends a session outside of any call of the handler, and tells it.
    pub(super) fn end_alone(&mut self, listener: &mut Listener<I::Socket>, id: u64, end: SessionEnd) {
        self.exchange.clear(self.now.mono_ns, listener.local);
        self.with_family(listener, |core, _, family| core.end_session(family, id, end, 0));
        self.tell(listener);
    }

    /// Works with the family of a listener beside the listener.
    pub(super) fn with_family<R>(
        &mut self,
        listener: &mut Listener<I::Socket>,
        work: impl FnOnce(&mut Self, &mut Listener<I::Socket>, &mut Family) -> R,
    ) -> Option<R> {
        let mut family = listener.family.take()?;
        let result = work(self, listener, &mut family);
        listener.family = Some(family);
        Some(result)
    }
}

impl<I: Io> Reactor<I> {
    /// Makes the sessions that the last turn left, and ends those that are idle, a bounded number.
    #[inline]
    pub(in crate::reactor) fn tend_sessions(&mut self) {
        if self.core.sessions.next().is_some_and(|at_ns| at_ns <= self.core.now.mono_ns) {
            self.tend();
        }
    }

    fn tend(&mut self) {
        for owner in std::mem::take(&mut self.core.sessions.deferred) {
            if let Some(listener) = current(&mut self.listeners, owner) {
                self.core.open_late(listener);
                self.run_errands();
            }
        }
        let (mut ends, mut looks) = (IDLE_ENDS, IDLE_LOOKS);
        let now_ns = self.core.now.mono_ns;
        while ends > 0 && looks > 0 {
            let Some(index) = self.core.sessions.wheel.pop_due(now_ns) else { return };
            looks -= 1;
            let Some(session) = self.core.sessions.at(index) else { continue };
            let (id, owner) = (session.id, session.owner);
            if session.idle_at().is_none_or(|at_ns| at_ns > now_ns) {
                self.core.sessions.schedule(id, now_ns);
                continue;
            }
            ends -= 1;
            if let Some(listener) = current(&mut self.listeners, owner) {
                self.core.end_alone(listener, id, SessionEnd::Idle);
                self.run_errands();
            }
        }
    }
}
