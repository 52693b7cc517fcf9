//! A visit to the sessions of a listener: what several have heard is shown in one call, and all of them have the share of one visit.

use arrayvec::ArrayVec;

use super::family::Family;
use super::outlet::SessionOutlet;
use super::slots::event_token;
use crate::exchange::{Output, SessionEnd};
use crate::metrics::DropReason;
use crate::reactor::core::{Core, Reactor, current};
use crate::reactor::errno::{OnReceive, on_receive};
use crate::reactor::io::{Interest, Io, Token};
use crate::reactor::listener::{Advice, Listener, Service};
use crate::reactor::send::{MAX_OUTPUTS, Transmitter};
use crate::reactor::tap::Place;
use crate::reactor::visit::{Visit, admission};
use crate::tap::Verdict;

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
            self.run_errands();
        }
        let Some(listener) = current(&mut self.listeners, owner) else { return };
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
        self.run_errands();
        visit
    }

    /// Counts delayed datagrams that were to leave by sessions and gave way to those of others.
    pub(in crate::reactor) fn count_evicted_by_session(&mut self, token: Token, n: u64) {
        let listener = current(&mut self.listeners, token.owner());
        let Some(listener) = listener else { return };
        self.core.taps.missed(listener.tapped, n);
        if let Some(family) = &mut listener.family {
            family.delayed = family.delayed.saturating_sub(n);
            family.book.counters.drop_many(DropReason::DelayFull, n);
        }
    }
}

impl<I: Io> Core<I> {
    /// Sends what waits for room in the socket of a session.
    fn flush(&mut self, listener: &Listener<I::Socket>, family: &mut Family, id: u64) {
        let Self { io, limits, backlog_bytes, now, sessions, taps, .. } = self;
        let transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns: now.mono_ns };
        if let Some(session) = sessions.of(listener.token, id) {
            let listener = listener.place();
            SessionOutlet { session, family, listener }.flush(transmitter);
        }
    }

    /// Ends sessions of a listener whose sockets have turned out to be unusable while they sent what was due.
    pub(in crate::reactor) fn end_broken_sessions(&mut self, listener: &mut Listener<I::Socket>) {
        if !self.sessions.broken.is_empty() {
            self.exchange.clear(self.now.mono_ns, listener.local);
            self.with_family(listener, |core, listener, family| core.end_broken(listener, family));
            self.tell(listener);
        }
    }

    /// Sends datagrams that are due by the sessions of a listener, as many as there is room for. Returns how many there were. Those
    /// of one session leave together, in their order.
    pub(in crate::reactor) fn send_due_by_sessions(&mut self, listener: &mut Listener<I::Socket>) -> usize {
        let tapped = listener.tapped;
        let place = Place { name: &listener.name, local: listener.local, tapped, upstream: false };
        let Some(family) = &mut listener.family else { return 0 };
        let Self { io, limits, backlog_bytes, delayed, now, sessions, taps, .. } = self;
        let token = listener.token.beside();
        let due: ArrayVec<Output<'_>, MAX_OUTPUTS> =
            delayed.due_of(token, now.mono_ns).take(MAX_OUTPUTS).collect();
        let sent = due.len();
        if sent == 0 {
            return 0;
        }
        family.delayed = family.delayed.saturating_sub(sent as u64);
        let mut by_session: ArrayVec<&Output<'_>, MAX_OUTPUTS> = due.iter().collect();
        by_session.sort_by_key(|output| output.session);
        let mut transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns: now.mono_ns };
        for of_session in by_session.chunk_by(|one, next| one.session == next.session) {
            let id = of_session.first().map_or(0, |output| output.session);
            let Some(session) = sessions.of(listener.token, id) else {
                family.book.counters.drop_many(DropReason::SessionClosed, of_session.len() as u64);
                transmitter.taps.missed(tapped, of_session.len() as u64);
                continue;
            };
            let outputs: ArrayVec<Output<'_>, MAX_OUTPUTS> = of_session.iter().copied().copied().collect();
            SessionOutlet { session, family, listener: place }.transmit(&mut transmitter, &outputs);
            if session.broken {
                // It ends when nothing waits in the memory of a call any more.
                sessions.broken.push(id);
            }
        }
        drop(by_session);
        drop(due);
        delayed.forget(token, sent);
        sent
    }

    /// Ends a session whose socket has turned out to be unusable, outside of any call of the handler.
    pub(super) fn end_if_broken(&mut self, listener: &mut Listener<I::Socket>, id: u64) {
        if self.sessions.get(id).is_some_and(|session| session.broken) {
            self.end_alone(listener, id, SessionEnd::Broken);
        }
    }

    fn visit_sessions(&mut self, listener: &mut Listener<I::Socket>) -> Visit {
        listener.tapped &= self.taps.live();
        let mut visit = Visit::default();
        let mut bytes = 0;
        while visit.messages < self.limits.visit_datagrams && bytes < self.limits.visit_bytes {
            let share = self.limits.visit_datagrams - visit.messages;
            let room = self.limits.visit_bytes - bytes;
            let Some(gathered) = self.gather(listener, share, room) else { break };
            visit.messages += gathered.messages;
            bytes += gathered.bytes;
            self.serve_sessions(listener);
            if listener.tapped != 0 {
                self.taps.hand_on(listener.place());
            }
            if let Some((id, error)) = gathered.failed {
                self.exchange.clear(self.now.mono_ns, listener.local);
                self.receive_failed(listener, id, &error);
                self.tell(listener);
                self.close_if_broken(listener);
            }
        }
        visit
    }

    /// Receives once from each session that is ready, until the memory of a call is full. None: no session is.
    fn gather(&mut self, listener: &mut Listener<I::Socket>, share: usize, room: usize) -> Option<Gathered> {
        let slots = self.exchange.limits().slots;
        let mut gathered = Gathered::default();
        self.exchange.clear(self.now.mono_ns, listener.local);
        while gathered.messages < share && gathered.bytes < room {
            let free = slots.saturating_sub(self.exchange.next_slot());
            if free == 0 {
                break;
            }
            let Some(family) = &mut listener.family else { break };
            let Some(id) = family.ready.pop_front() else { break };
            if let Some(after_next) = family.ready.get(1).filter(|_| self.shortcuts.prefetch) {
                self.sessions.prefetch(*after_next);
            }
            let most = free.min(share - gathered.messages);
            self.receive_by(listener, id, (most, room - gathered.bytes), &mut gathered);
            if gathered.failed.is_some() {
                break;
            }
        }
        (gathered.messages > 0).then_some(gathered)
    }

    /// Receives once from a session: so many messages at most, and bytes.
    fn receive_by(
        &mut self,
        listener: &mut Listener<I::Socket>,
        id: u64,
        (most, room): (usize, usize),
        gathered: &mut Gathered,
    ) {
        // Whoever has nothing to receive costs a call as well.
        gathered.messages += 1;
        let Some(session) = self.sessions.of(listener.token, id) else { return };
        session.ready = false;
        if !matches!(listener.service, Service::Running(_)) {
            // What arrives waits in the kernel for the next handler.
            session.parked = self.io.watch(&mut session.socket, event_token(id), Interest::NOTHING).is_ok();
            return;
        }
        let most = session.pace.next(room).min(most);
        let before = self.exchange.messages().len();
        match self.io.receive(&mut session.socket, &mut self.exchange, most) {
            Ok(received) => {
                session.heard_ns = self.now.mono_ns;
                let came = self.exchange.messages().get(before..).unwrap_or_default();
                gathered.messages += came.len().saturating_sub(1);
                gathered.bytes += came.iter().map(|message| message.len.max(1)).sum::<usize>();
                if session.pace.learn(most, came) == Advice::JoinTrains {
                    self.io.set_trains(&mut session.socket, true);
                }
                self.exchange.came_by(id);
                if !received.drained {
                    self.come_back(listener, id);
                }
                self.admit_session(listener, id, before);
            }
            Err(error) => gathered.failed = Some((id, error)),
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

    /// Counts the messages that came by a session, those from number `first` on, and drops those that the handler must not see.
    fn admit_session(&mut self, listener: &mut Listener<I::Socket>, id: u64, first: usize) {
        let Some(family) = &mut listener.family else { return };
        if listener.tapped != 0 {
            let local =
                self.sessions.get(id).and_then(|session| session.local.get()).unwrap_or(Output::UNNAMED);
            let (now, messages) = (self.io.now(), self.exchange.messages().iter().skip(first));
            self.taps.stage(messages, &self.exchange, local, now, |arrived| admission(arrived, None).err());
        }
        let counters = &mut family.book.counters;
        let (mut down, mut refused) = ((0, 0), false);
        for arrived in self.exchange.messages().iter().skip(first) {
            down = (down.0 + arrived.datagrams() as u64, down.1 + arrived.len as u64);
            // Whom the handler has dialled itself may answer: the list is about those who come.
            if let Err(reason) = admission(arrived, None) {
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
            self.exchange.retain(|arrived| admission(arrived, None).is_ok());
        }
    }

    /// Serves the messages in the exchange, which came by sessions.
    fn serve_sessions(&mut self, listener: &mut Listener<I::Socket>) {
        let stamped = self.exchange.has_stamps();
        loop {
            self.catch_up(listener, stamped);
            let Self { exchange, sessions, taps, .. } = self;
            // The handler may have ended some, and does not hear of them any more.
            let forgotten = exchange.forget_sessions(|id| sessions.of(listener.token, id).is_some());
            drop_presented(listener, DropReason::OnPurpose, forgotten as u64);
            if forgotten > 0 && listener.tapped != 0 {
                taps.forget_sessions(|id| sessions.of(listener.token, id).is_some());
            }
            let n = exchange.present() as u64;
            if n == 0 {
                return;
            }
            exchange.tell_sessions(|id| {
                sessions.get(id).map_or_else(Default::default, |session| (session.user, session.local))
            });
            if stamped {
                self.exchange.stamp(self.now.wall_offset_ns, self.now.mono_ns);
            }
            if !self.serve_presented(listener) {
                drop_presented(listener, DropReason::HandlerDown, n);
                if listener.tapped != 0 {
                    let down = Verdict::Dropped(DropReason::HandlerDown.name());
                    self.taps.settle(self.exchange.datagrams(), |_| down);
                }
            }
        }
    }
}

/// What was received from several sessions, to be shown in one call.
#[derive(Debug, Default)]
struct Gathered {
    /// Messages, and receive calls that brought none.
    messages: usize,
    bytes: usize,
    /// The session whose receive call failed, which was the last one.
    failed: Option<(u64, std::io::Error)>,
}

/// Counts datagrams as dropped that came by sessions.
fn drop_presented<S>(listener: &mut Listener<S>, reason: DropReason, n: u64) {
    if let Some(family) = &mut listener.family {
        family.book.counters.drop_many(reason, n);
    }
}
