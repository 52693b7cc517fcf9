//! A visit to the sessions of a listener: one after the other, together the share of one visit.

use super::family::Family;
use super::outlet::SessionOutlet;
use super::slots::event_token;
use crate::exchange::{OwnedOutput, SessionEnd};
use crate::metrics::DropReason;
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::errno::{OnReceive, on_receive};
use crate::reactor::io::{Interest, Io, Token};
use crate::reactor::listener::{Advice, Listener, Service};
use crate::reactor::send::Transmitter;
use crate::reactor::visit::{Visit, admission};

impl<I: Io> Reactor<I> {
    /// Handles the event of a session: sends its backlog, and has its listener visit it.
    #[inline(never)]
    pub(in crate::reactor) fn note_session(&mut self, token: Token, readable: bool, writable: bool) {
        let Some(session) = self.core.sessions.named(token) else { return };
        let (id, owner, waits) = (session.id, session.owner, !session.backlog.is_empty());
        let is_new = readable && !session.ready;
        session.ready |= readable;
        let Some(listener) = current(&mut self.listeners, owner) else { return };
        if writable && waits {
            self.core.with_family(listener, |core, listener, family| core.flush(listener, family, id));
            self.core.end_if_broken(listener, id);
        }
        if let Some(family) = listener.family.as_mut().filter(|_| is_new) {
            family.ready.push_back(id);
            self.ready.push(owner.beside(), &mut family.listed);
        }
    }

    /// Visits the ready sessions of the listener that `token` names.
    #[inline(never)]
    pub(in crate::reactor) fn visit_sessions(&mut self, token: Token) -> Visit {
        let Some(listener) = current(&mut self.listeners, token.owner()) else { return Visit::default() };
        let Some(family) = &mut listener.family else { return Visit::default() };
        family.listed = false;
        let visit = self.core.visit_sessions(listener);
        if let Some(family) = listener.family.as_mut().filter(|family| !family.ready.is_empty()) {
            self.ready.push(token, &mut family.listed);
        }
        visit
    }

    /// Sends a delayed datagram by its session; `token` names the sessions of its listener.
    #[inline(never)]
    pub(in crate::reactor) fn send_due_by_session(&mut self, token: Token, owned: OwnedOutput) {
        let Self { core, listeners, .. } = self;
        let Some(listener) = current(listeners, token.owner()) else { return };
        let Some(family) = &mut listener.family else { return };
        family.delayed = family.delayed.saturating_sub(1);
        let Core { io, limits, backlog_bytes, delayed, now, sessions, .. } = core;
        let mut transmitter = Transmitter { io, limits, backlog_bytes, now_ns: now.mono_ns };
        match sessions.of(token.owner(), owned.session) {
            Some(session) => {
                let listener = (&*listener.name, listener.local);
                let mut outlet = SessionOutlet { session, family, listener };
                outlet.transmit(&mut transmitter, &[owned.as_output()]);
            }
            None => family.book.counters.drop_one(DropReason::SessionClosed),
        }
        let id = owned.session;
        delayed.recycle(owned);
        core.end_if_broken(listener, id);
    }

    /// Counts delayed datagrams that were to leave by sessions and gave way to those of others.
    pub(in crate::reactor) fn count_evicted_by_session(&mut self, token: Token, n: u64) {
        let listener = current(&mut self.listeners, token.owner());
        if let Some(family) = listener.and_then(|listener| listener.family.as_mut()) {
            family.delayed = family.delayed.saturating_sub(n);
            family.book.counters.drop_many(DropReason::DelayFull, n);
        }
    }
}

impl<I: Io> Core<I> {
    /// Sends what waits for room in the socket of a session.
    fn flush(&mut self, listener: &Listener<I::Socket>, family: &mut Family, id: u64) {
        let Self { io, limits, backlog_bytes, now, sessions, .. } = self;
        let transmitter = Transmitter { io, limits, backlog_bytes, now_ns: now.mono_ns };
        if let Some(session) = sessions.of(listener.token, id) {
            let listener = (&*listener.name, listener.local);
            SessionOutlet { session, family, listener }.flush(transmitter);
        }
    }

    /// Ends a session whose socket has turned out to be unusable, outside of any call of the handler.
    fn end_if_broken(&mut self, listener: &mut Listener<I::Socket>, id: u64) {
        if self.sessions.get(id).is_some_and(|session| session.broken) {
            self.exchange.clear(self.now.mono_ns, listener.local);
            self.with_family(listener, |core, _, family| core.end_session(family, id, SessionEnd::Broken, 0));
            self.tell(listener);
        }
    }

    fn visit_sessions(&mut self, listener: &mut Listener<I::Socket>) -> Visit {
        let mut visit = Visit::default();
        let mut bytes = 0;
        while visit.messages < self.limits.visit_datagrams && bytes < self.limits.visit_bytes {
            let Some(id) = listener.family.as_mut().and_then(|family| family.ready.pop_front()) else {
                break;
            };
            let share = self.limits.visit_datagrams - visit.messages;
            let room = self.limits.visit_bytes - bytes;
            let (messages, taken) = self.visit_session(listener, id, share, room);
            // Whoever has nothing to receive costs a call as well.
            visit.messages += messages.max(1);
            bytes += taken;
        }
        visit
    }

    /// Receives once from a session and serves what came. Returns how many messages that were, and how many bytes.
    fn visit_session(
        &mut self,
        listener: &mut Listener<I::Socket>,
        id: u64,
        share: usize,
        room: usize,
    ) -> (usize, usize) {
        let Some(session) = self.sessions.of(listener.token, id) else { return (0, 0) };
        session.ready = false;
        if !matches!(listener.service, Service::Running(_)) {
            // What arrives waits in the kernel for the next handler.
            session.parked = self.io.watch(&mut session.socket, event_token(id), Interest::NOTHING).is_ok();
            return (0, 0);
        }
        self.exchange.clear(self.now.mono_ns, session.local.get().unwrap_or(listener.local));
        let most = session.pace.next(room).min(share).min(self.exchange.limits().slots);
        let result = self.io.receive(&mut session.socket, &mut self.exchange, most);
        let came = self.exchange.messages().len();
        let bytes = self.exchange.messages().iter().map(|a| a.len.max(1)).sum::<usize>();
        match result {
            Ok(received) => {
                session.heard_ns = self.now.mono_ns;
                if session.pace.learn(most, self.exchange.messages()) == Advice::JoinTrains {
                    self.io.set_trains(&mut session.socket, true);
                }
                if !received.drained {
                    self.come_back(listener, id);
                }
                self.admit_session(listener, id);
                self.serve_session(listener, id);
                (came, bytes)
            }
            Err(error) => {
                self.receive_failed(listener, id, &error);
                self.tell(listener);
                self.close_if_broken(listener);
                (0, 0)
            }
        }
    }

    /// Decides what follows from the error of a receive call.
    fn receive_failed(&mut self, listener: &mut Listener<I::Socket>, id: u64, error: &std::io::Error) {
        let action = on_receive(error);
        self.with_family(listener, |core, _, family| match action {
            // An event without a datagram: an error waits that a send has met already, or nothing does.
            OnReceive::Drained => core.take_errors(family, id, 0),
            OnReceive::Again => {
                family.book.counters.receive_errors += 1;
                family.book.errors_taken += 1;
                core.take_errors(family, id, error.raw_os_error().unwrap_or(0));
            }
            // The kernel has no memory: the event comes again while datagrams wait.
            OnReceive::Pause => family.book.counters.receive_errors += 1,
            OnReceive::Broken => {
                family.book.counters.receive_errors += 1;
                core.end_session(family, id, SessionEnd::Broken, error.raw_os_error().unwrap_or(0));
            }
        });
        if action == OnReceive::Again {
            // Datagrams may wait behind the error.
            self.come_back(listener, id);
        }
    }

    /// Puts a session at the end of the list of those that are ready.
    fn come_back(&mut self, listener: &mut Listener<I::Socket>, id: u64) {
        if let (Some(family), Some(session)) = (&mut listener.family, self.sessions.get(id))
            && !std::mem::replace(&mut session.ready, true)
        {
            family.ready.push_back(id);
        }
    }

    /// Counts the messages that came by a session, and drops those that the handler must not see.
    fn admit_session(&mut self, listener: &mut Listener<I::Socket>, id: u64) {
        let Some(family) = &mut listener.family else { return };
        let counters = &mut family.book.counters;
        let (mut down, mut refused) = ((0, 0), false);
        for arrived in self.exchange.messages() {
            down = (down.0 + arrived.datagrams() as u64, down.1 + arrived.len as u64);
            if let Err(reason) = admission(arrived) {
                counters.drop_many(reason, arrived.datagrams() as u64);
                refused = true;
            }
        }
        counters.received += down.0;
        counters.received_bytes += down.1;
        if let Some(session) = self.sessions.get(id) {
            session.down = (session.down.0 + down.0, session.down.1 + down.1);
        }
        if refused {
            self.exchange.retain(|arrived| admission(arrived).is_ok());
        }
    }

    /// Serves the messages in the exchange, which came by a session.
    fn serve_session(&mut self, listener: &mut Listener<I::Socket>, id: u64) {
        let stamped = self.exchange.has_stamps();
        loop {
            self.catch_up(listener, stamped);
            let n = self.exchange.present() as u64;
            if n == 0 {
                return;
            }
            let Some(user) = self.sessions.of(listener.token, id).map(|session| session.user) else {
                // The handler has ended it, and does not hear of it any more.
                drop_presented(listener, DropReason::OnPurpose, n);
                continue;
            };
            self.exchange.came_by(id, listener.local.port());
            self.exchange.tell_session(user);
            if stamped {
                self.exchange.stamp(self.now.wall_offset_ns, self.now.mono_ns);
            }
            let call = self.call(listener);
            self.open_desk(listener);
            let Service::Running(instance) = &mut listener.service else {
                self.exchange.close_desk();
                drop_presented(listener, DropReason::HandlerDown, n);
                continue;
            };
            let timing = self.begin_timing();
            let outcome = instance.on_batch(&mut self.exchange, call);
            self.end_timing(listener, "batch", timing);
            self.after_call(listener, outcome, "on_batch");
        }
    }
}

/// Counts presented datagrams as dropped that came by a session.
fn drop_presented<S>(listener: &mut Listener<S>, reason: DropReason, n: u64) {
    if let Some(family) = &mut listener.family {
        family.book.counters.drop_many(reason, n);
    }
}
