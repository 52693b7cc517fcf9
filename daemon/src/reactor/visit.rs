//! A visit serves one listener: receive, admit, hand to the handler, settle.

use super::core::Core;
use super::errno::{OnReceive, on_receive};
use super::exit::way_out;
use super::io::Io;
use super::listener::{Advice, Listener, Service, is_stream};
use super::probe::{CallTiming, Slow};
use super::send::Transmitter;
use crate::access::Access;
use crate::exchange::{Arrived, Asked, Exchange};
use crate::guard;
use crate::limits::RECEIVE_ERRORS_IN_A_ROW;
use crate::metrics::DropReason;
use crate::plugin::{Call, Gate, Instance, Outcome};
use crate::tap::Verdict;

/// What a visit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Visit {
    /// Messages taken. A train counts once, because it costs the kernel and the loop about as much as one datagram.
    pub(super) messages: usize,
    /// More datagrams may wait, so the listener goes back to the end of the ready list.
    pub(super) more: bool,
    /// A receive call brought equal datagrams of one peer in a row.
    pub(super) stream: bool,
}

impl<I: Io> Core<I> {
    /// Serves one listener until its socket is drained or the visit has had its share.
    pub(super) fn visit(&mut self, listener: &mut Listener<I::Socket>) -> Visit {
        let mut messages = 0;
        let mut bytes = 0;
        let mut errors = 0;
        let mut second_look = false;
        let mut stream = false;
        loop {
            if listener.broken {
                return Visit { messages, more: false, stream };
            }
            let share = self.limits.visit_datagrams.saturating_sub(messages);
            if share == 0 || bytes >= self.limits.visit_bytes {
                return Visit { messages, more: true, stream };
            }
            self.exchange.clear(self.now.mono_ns, listener.local);
            let room = self.limits.visit_bytes - bytes;
            let most = listener.pace.next(room).min(share).min(self.exchange.limits().slots);
            match self.io.receive(&mut listener.socket, &mut self.exchange, most) {
                Ok(received) => {
                    errors = 0;
                    if std::mem::take(&mut second_look) {
                        listener.pace.looked(true);
                    }
                    let came = self.exchange.messages().len();
                    messages += came;
                    bytes += self.exchange.messages().iter().map(|a| a.len.max(1)).sum::<usize>();
                    stream |= is_stream(self.exchange.messages());
                    self.adapt(listener, most);
                    self.serve(listener);
                    if received.drained {
                        let rests = stream && self.waiting.rests();
                        if rests || listener.is_polled() || !listener.pace.looks_again(came) {
                            return Visit { messages, more: false, stream };
                        }
                        second_look = true;
                    }
                }
                Err(error) => {
                    let action = on_receive(&error);
                    if action != OnReceive::Drained {
                        listener.counters.receive_errors += 1;
                        errors += 1;
                    }
                    match action {
                        OnReceive::Drained => {
                            if second_look {
                                listener.pace.looked(false);
                            }
                            return Visit { messages, more: false, stream };
                        }
                        OnReceive::Again if errors < RECEIVE_ERRORS_IN_A_ROW => {}
                        OnReceive::Again | OnReceive::Pause => {
                            listener.pause(&mut self.io, &mut self.timers, self.now.mono_ns);
                            return Visit { messages, more: false, stream: false };
                        }
                        OnReceive::Broken => {
                            log::error!(
                                "{listener}: the socket is unusable: {error}; the listener is closed"
                            );
                            listener.broken = true;
                            self.close_if_broken(listener);
                        }
                    }
                }
            }
        }
    }

    /// Calls the handler because its timer `token` fired, and settles the call.
    pub(super) fn handler_timer(&mut self, listener: &mut Listener<I::Socket>, token: u64) {
        self.call_alone(listener, ("timer", "on_timer"), |instance, exchange, call, gate| {
            instance.on_timer(exchange, call, gate, token)
        });
    }

    /// Calls the handler because another thread has woken it, and settles the call.
    pub(super) fn handler_wake(&mut self, listener: &mut Listener<I::Socket>) {
        self.call_alone(listener, ("wake", "on_wake"), Instance::on_wake);
    }

    /// Calls the handler for something that comes without datagrams, and settles the call. It has a name in the log, and one in
    /// the ABI.
    fn call_alone(
        &mut self,
        listener: &mut Listener<I::Socket>,
        (what, function): (&'static str, &'static str),
        make: impl FnOnce(&mut Instance, &mut Exchange, Call, &dyn Gate) -> Outcome,
    ) {
        let call = self.call(listener);
        self.open_desk(listener);
        let (exit, service) = way_out(&self.own, listener);
        let Service::Running(instance) = service else { return };
        self.exchange.clear(self.now.mono_ns, exit.local);
        // Rare beside datagrams, and no turn is timed for them: each is timed.
        let sampled = self.sample.takes_call();
        let timing =
            CallTiming { from_ns: Some(self.io.now().mono_ns), cpu_ns: Some(self.io.cpu_ns()), sampled };
        let outcome = make(instance, &mut self.exchange, call, &exit);
        self.end_timing(listener, what, timing);
        self.after_call(listener, outcome, function);
    }

    /// Serves the messages in the exchange.
    fn serve(&mut self, listener: &mut Listener<I::Socket>) {
        if self.looks_at_peers {
            self.look_at_peers(listener);
        }
        if listener.tapped != 0 {
            return self.serve_tapped(listener);
        }
        self.admit(listener);
        self.serve_admitted(listener);
    }

    /// Looks who sends, while somebody asks for it.
    #[cold]
    fn look_at_peers(&mut self, listener: &Listener<I::Socket>) {
        let Self { peers, exchange, now, rng, .. } = self;
        self.looks_at_peers = peers.look(&listener.name, exchange.messages(), now.mono_ns, rng);
    }

    /// Serves the messages in the exchange, and shows taps what became of them.
    #[cold]
    fn serve_tapped(&mut self, listener: &mut Listener<I::Socket>) {
        listener.tapped &= self.taps.live();
        let now = self.io.now();
        let messages = self.exchange.messages().iter();
        self.taps.stage(messages, &self.exchange, listener.local, now, |arrived| {
            admission(arrived, listener.access.as_deref()).err()
        });
        self.admit(listener);
        self.serve_admitted(listener);
        self.taps.hand_on(listener.place());
    }

    /// Serves the messages in the exchange, which may all be seen by the handler.
    pub(super) fn serve_admitted(&mut self, listener: &mut Listener<I::Socket>) {
        let stamped = self.exchange.has_stamps();
        loop {
            self.catch_up(listener, stamped);
            let n = self.exchange.present() as u64;
            if n == 0 {
                return;
            }
            if stamped {
                self.exchange.stamp(self.now.wall_offset_ns, self.now.mono_ns);
            }
            if !self.serve_presented(listener) {
                listener.counters.drop_many(DropReason::HandlerDown, n);
                if listener.tapped != 0 {
                    let down = Verdict::Dropped(DropReason::HandlerDown.name());
                    self.taps.settle(self.exchange.datagrams(), |_| down);
                }
            }
        }
    }

    /// Before datagrams are shown to a handler that the time matters to: reads the clock, and sends what it has delayed until now.
    /// `stamped` is whether it is told when the kernel received them.
    #[inline]
    pub(super) fn catch_up(&mut self, listener: &mut Listener<I::Socket>, stamped: bool) {
        if listener.marks.delays() || stamped {
            self.read_clock(stamped);
        }
        if listener.marks.delays() {
            self.send_due_of(listener);
        }
    }

    /// Reads the clock after a receive call, for a handler that answers later: what arrived during the turn must not be
    /// answered before its time. And for one that is told when the kernel received each datagram: now is after that, and the
    /// kernel notes the time of the wall clock, which may have been set a moment ago, so both clocks are read. The others are
    /// told the time of the turn, and pay for no second look at the clock.
    fn read_clock(&mut self, stamped: bool) {
        self.now = if stamped { self.io.read_clocks() } else { self.io.now() };
        self.exchange.set_now(self.now.mono_ns);
    }

    /// Sends what a listener has delayed until now, by its sessions too, so that nothing leaves before it that comes of what was
    /// just received.
    fn send_due_of(&mut self, listener: &mut Listener<I::Socket>) {
        let mut left = self.limits.turn_timers;
        while left > 0 {
            let sent = self.send_due_by_listener(listener) + self.send_due_by_sessions(listener);
            if sent == 0 {
                return;
            }
            left = left.saturating_sub(sent);
        }
    }

    /// Sends datagrams of a listener that are due, as many as one call takes. Returns how many there were.
    pub(super) fn send_due_by_listener(&mut self, listener: &mut Listener<I::Socket>) -> usize {
        let Self { io, limits, backlog_bytes, delayed, now, taps, .. } = self;
        let mut transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns: now.mono_ns };
        let sent = transmitter.transmit_due(listener, delayed);
        self.close_if_broken(listener);
        sent
    }

    /// Hands the datagrams that are presented to the handler, and settles the call. False: there is none.
    #[inline]
    pub(super) fn serve_presented(&mut self, listener: &mut Listener<I::Socket>) -> bool {
        let call = self.call(listener);
        self.open_desk(listener);
        let timing = self.begin_timing();
        let (exit, service) = way_out(&self.own, listener);
        let Service::Running(instance) = service else {
            self.exchange.close_desk();
            return false;
        };
        let outcome = instance.on_batch(&mut self.exchange, call, &exit);
        self.end_timing(listener, "batch", timing);
        self.after_call(listener, outcome, "on_batch");
        true
    }

    /// Begins to time a call, if it is to be timed: how long it takes, and how much of that a processor works.
    #[inline]
    pub(super) fn begin_timing(&mut self) -> CallTiming {
        let cpu_ns = self.slow.weighs_call().then(|| self.io.cpu_ns());
        let sampled = self.sample.takes_call();
        let timed = self.slow.times_call() || sampled;
        CallTiming { from_ns: timed.then(|| self.io.now().mono_ns), cpu_ns, sampled }
    }

    /// Keeps how long a call took that was timed, and looks whether it was slow.
    #[inline]
    pub(super) fn end_timing(
        &mut self,
        listener: &mut Listener<I::Socket>,
        what: &'static str,
        timing: CallTiming,
    ) {
        if let Some(before_ns) = timing.from_ns {
            let now_ns = self.io.now().mono_ns;
            let took_ns = now_ns.saturating_sub(before_ns);
            self.sample.note(&listener.name, took_ns, timing.sampled);
            if self.slow.is_slow_call(took_ns) {
                let cpu_now_ns = self.io.cpu_ns();
                let since_mark_ns = self.slow.mark(now_ns, cpu_now_ns);
                let cpu_ns = timing.cpu_ns.map_or(since_mark_ns, |before| cpu_now_ns.saturating_sub(before));
                self.note_slow(listener, Slow { what, took_ns, cpu_ns, exact: timing.cpu_ns.is_some() });
            }
        }
    }

    /// Counts a slow call, and logs a line about it at most every ten seconds.
    pub(super) fn note_slow(&mut self, listener: &mut Listener<I::Socket>, slow: Slow) {
        listener.counters.slow_calls += 1;
        if self.slow.may_log(self.now.mono_ns) {
            log::warn!("{listener}: the handler {slow}; every listener waits meanwhile");
        }
    }

    /// Learns from a receive call how to make the next one.
    fn adapt(&mut self, listener: &mut Listener<I::Socket>, asked: usize) {
        let messages = self.exchange.messages();
        if listener.pace.learn(asked, messages) == Advice::JoinTrains {
            let joined = self.io.set_trains(&mut listener.socket, true);
            log::debug!(
                "{listener}: one peer sends in bulk; trains {}",
                if joined { "on" } else { "stay off" }
            );
        }
    }

    /// Counts the messages that arrived, and drops those that the handler must not see.
    fn admit(&mut self, listener: &mut Listener<I::Socket>) {
        // The list lies in another line of the cache.
        let access = if listener.marks.restricted() { listener.access.as_deref() } else { None };
        let counters = &mut listener.counters;
        let mut refused = false;
        for arrived in self.exchange.messages() {
            counters.received += arrived.datagrams() as u64;
            counters.received_bytes += arrived.len as u64;
            if let Err(reason) = admission(arrived, access) {
                counters.drop_many(reason, arrived.datagrams() as u64);
                refused = true;
                log::trace!(target: "polyport::datagram", "{} {}: {} {reason}", listener.name, listener.local, arrived.peer);
            }
        }
        if refused {
            self.exchange.retain(|arrived| admission(arrived, access).is_ok());
        }
    }

    /// Settles a handler call by its outcome, and does what else it asked for.
    #[inline]
    pub(super) fn after_call(
        &mut self,
        listener: &mut Listener<I::Socket>,
        outcome: Outcome,
        function: &'static str,
    ) {
        self.conclude(listener, outcome, function, Self::settle_any);
        self.close_if_broken(listener);
    }

    /// Does what a handler asked for in a call, and by its outcome settles it or takes the handler away. `settle` is told whether
    /// the call has taken or used tickets.
    #[inline]
    pub(super) fn conclude(
        &mut self,
        listener: &mut Listener<I::Socket>,
        outcome: Outcome,
        function: &'static str,
        settle: impl FnOnce(&mut Self, &mut Listener<I::Socket>, bool),
    ) {
        let tickets = self.take_asked(listener).tickets;
        match outcome {
            Outcome::Served => settle(self, listener, tickets),
            Outcome::Failed => {
                listener.note_error(function);
                settle(self, listener, tickets);
            }
            Outcome::Broken | Outcome::Unknown(_) => self.broke_in(listener, outcome, function),
        }
    }

    /// Applies the timers and the changes of groups that the handler asked for in its call. Returns what it asked for.
    #[inline]
    fn take_asked(&mut self, listener: &mut Listener<I::Socket>) -> Asked {
        let asked = self.exchange.take_asked();
        if asked.is_something() {
            self.apply_asked(listener, asked);
        }
        asked
    }

    /// Applies the timers and the changes of groups that a handler call has asked for.
    #[cold]
    fn apply_asked(&mut self, listener: &mut Listener<I::Socket>, asked: Asked) {
        let Service::Running(instance) = &listener.service else { return };
        let groups = if asked.groups { instance.take_groups() } else { Vec::new() };
        if asked.timers {
            let refused = self.apply_timers(listener.timers(), instance);
            listener.note_refused_timers(refused, self.limits.handler_timers);
        }
        self.apply_groups(listener, &groups);
    }

    /// Ends the tickets that a call has used, and counts what it did with tickets.
    #[cold]
    pub(super) fn end_tickets(&mut self, listener: &mut Listener<I::Socket>) {
        listener.note_tickets(self.exchange.end_tickets(), self.exchange.limits().tickets);
    }

    /// Settles a call of a handler that has sessions, or of one that has none. It has taken tickets, used them, or neither.
    #[inline]
    fn settle_any(&mut self, listener: &mut Listener<I::Socket>, tickets: bool) {
        if self.exchange.has_sessions() {
            self.settle_sessions(listener, false, tickets);
            self.tell(listener);
        } else if tickets {
            self.settle_tickets(listener);
        } else {
            self.settle(listener);
        }
    }

    /// Drops what a handler queued that broke, and the handler.
    #[cold]
    fn broke_in(&mut self, listener: &mut Listener<I::Socket>, outcome: Outcome, function: &'static str) {
        if let Outcome::Unknown(code) = outcome {
            listener.counters.unknown_codes += 1;
            log::error!(
                "{listener}: the handler returned {code} from {function}, which the ABI does not know; it is taken \
                 for PP_FATAL"
            );
        }
        self.end_tickets(listener);
        // The answers may point into the memory of the handler, which is about to be freed.
        self.exchange.discard_outputs();
        self.blame(listener, function);
        self.forget_requests();
        self.broke(listener);
    }

    pub(super) fn call(&self, listener: &Listener<I::Socket>) -> Call {
        let now_ns = self.now.mono_ns;
        let room = if listener.marks.delays() {
            self.delayed.room(listener.token, now_ns)
        } else {
            self.delayed.first_room()
        };
        Call {
            now_ns,
            wall_offset_ns: self.now.wall_offset_ns,
            max_payload: listener.max_payload(),
            delay_datagrams: u32::try_from(room.datagrams).unwrap_or(u32::MAX),
            delay_bytes: room.bytes as u64,
        }
    }
}

/// Decides whether the handler sees a message, of those that a list lets in if there is one; the error is the reason to
/// drop it.
#[inline]
pub(super) fn admission(arrived: &Arrived, access: Option<&Access>) -> Result<(), DropReason> {
    if arrived.flags.truncated {
        return Err(DropReason::Truncated);
    }
    guard::admit(arrived.peer, access)
}
