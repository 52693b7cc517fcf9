//! One turn of the loop: wait, visit the listeners that are ready, and do what is due.

use std::io;
use std::time::Duration;

use super::core::{Core, Reactor, current};
use super::due::Timer;
use super::io::{Event, Io, Token, Wait};
use super::listener::{Change, HOT_BYTES, Listener, Slots, Standing};
use super::probe::Slow;
use super::visit::Visit;
use super::waiting::{Found, TurnTiming};

/// Whether the caller goes on with the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Call [`Reactor::turn`] again.
    Continue,
    /// There is something for the owner of the reactor to look at: [`Event::Attend`], or a change was made or
    /// refused, or is finished. Then as [`Self::Continue`].
    Attend,
    /// The loop was asked to stop: call [`Reactor::stop`], or [`Reactor::end_within`] first and go on.
    Stop,
    /// After [`Reactor::end_within`]: nothing waits any more that could leave in time. Call [`Reactor::stop`].
    Ended,
    /// A handler broke, and its listener has `on_fault = "exit"`.
    Fatal,
}

/// The slot of an event is prefetched while the event so many places before it is handled.
const PREFETCH_DISTANCE: usize = 4;

impl<I: Io> Reactor<I> {
    /// Runs one turn of the loop: waits, visits ready listeners while the budget lasts, then fires timers and sends
    /// delayed datagrams.
    ///
    /// # Errors
    /// The error of [`Io::poll`], when waiting itself fails.
    pub fn turn(&mut self) -> io::Result<Flow> {
        if self.ending.is_some() {
            return self.last_turn();
        }
        self.review_sessions();
        // 1. Wait, unless a listener is still ready.
        let waited = self.ready.is_empty();
        let rested_for = self.core.waiting.end_rest();
        let busy = !waited || rested_for.is_some() || self.core.waiting.spins(self.core.now.mono_ns);
        let wait = if busy { Wait::No } else { self.next_deadline() };
        let mut events = std::mem::take(&mut self.core.events);
        events.clear();
        let mut more = self.core.io.poll(wait, &mut events)?;
        // All ready listeners get on the list, however many, before any of them is visited twice.
        while more && waited && events.len() < self.listeners.len() {
            let before = events.len();
            more = self.core.io.poll(Wait::No, &mut events)? && events.len() > before;
        }
        self.core.now = self.core.io.now();
        let began_ns = self.core.now.mono_ns;
        // 2. Put the listeners of the events on the ready list.
        let (mut stop, mut attend, mut wakes) = (false, false, false);
        let events_were_none = events.is_empty();
        let slots = self.core.shortcuts.prefetch.then(|| Slots::of(&self.listeners));
        for (number, event) in events.iter().enumerate() {
            if let Some(slots) = &slots
                && let Some(Event::Ready { token, .. }) = events.get(number + PREFETCH_DISTANCE)
            {
                if token.is_beside() {
                    self.core.sessions.prefetch_named(*token);
                } else {
                    slots.prefetch(token.index, HOT_BYTES);
                }
            }
            match *event {
                Event::Stop => stop = true,
                Event::Attend => attend = true,
                Event::Addresses => self.core.host.changed(self.core.now.mono_ns),
                Event::Wake => wakes = true,
                Event::Ready { token, readable, writable } => self.note(token, readable, writable),
            }
        }
        self.core.events = events;
        // The listener of the rest comes behind those whose events ended the rest.
        if let Some(token) = rested_for
            && let Some(listener) = current(&mut self.listeners, token)
        {
            self.ready.push(token, &mut listener.ready);
        }
        // 3. Send what is due, for which the wait may have ended, and visit listeners, round robin, while the budget lasts.
        let left = self.send_due(self.core.limits.turn_timers);
        if wakes {
            self.call_woken();
        }
        if wakes || left < self.core.limits.turn_timers {
            // What was sent took its time, of which no handler is slow.
            self.core.now = self.core.io.now();
        }
        let visits_from_ns = self.core.now.mono_ns;
        let mut budget = self.core.limits.turn_datagrams;
        let mut found = Found { visits: 0, messages: 0, stream: false, more: false };
        let mut visited = None;
        for _ in 0..self.ready.len() {
            // A listener must not leave the list without a visit: no event would bring it back.
            if budget == 0 {
                break;
            }
            let Some(token) = self.ready.pop() else { break };
            if let Some(slots) = &slots {
                self.prefetch_next(slots);
            }
            let visit = self.visit(token);
            budget = budget.saturating_sub(visit.messages.max(1));
            found.visits += 1;
            found.messages += visit.messages;
            found.stream |= visit.stream;
            found.more |= visit.more;
            visited = Some(token.owner());
        }
        // 4. Learn from the time the turn took.
        let rest = visited.and_then(|last| self.learn(found, last, (began_ns, visits_from_ns), waited));
        // 5. Do what has become due meanwhile.
        self.timers();
        self.tend_sessions();
        self.send_due(left);
        self.count_evicted();
        let Self { sampler, network, core, listeners, used_slots, .. } = self;
        sampler.run(&mut core.io, listeners, *used_slots, core.now.mono_ns);
        if core.host.run(&mut core.io, &mut core.own, core.now.mono_ns) {
            network.look(&mut core.io, listeners, core.host.known());
        }
        // 6. Change what is to be changed, between two batches.
        if self.core.change_at_ns <= self.core.now.mono_ns {
            attend |= self.tend_change();
        }
        // 7. Rest, if that is worth it.
        if let Some((token, span)) = rest {
            self.rest(token, span);
        }
        debug_assert!(!events_were_none || self.is_moving_many() || self.conserves(), "I1 does not hold");
        Ok(if stop {
            Flow::Stop
        } else if self.core.fatal {
            Flow::Fatal
        } else if attend {
            Flow::Attend
        } else {
            Flow::Continue
        })
    }

    /// Learns from the time that a turn took, and the visits in it, each from when on; `last` is the listener that was visited
    /// last. From now on the time of the turn is that of their end. Returns for which stream to rest, and how long, if that is worth it.
    #[inline]
    fn learn(
        &mut self,
        found: Found,
        last: Token,
        (from_ns, visits_from_ns): (u64, u64),
        waited: bool,
    ) -> Option<(Token, Duration)> {
        self.core.now = self.core.io.now();
        let to_ns = self.core.now.mono_ns;
        self.look_for_slow_visits(found.visits, last, visits_from_ns, to_ns);
        if found.messages == 0 {
            return None;
        }
        let Core { waiting, io, .. } = &mut self.core;
        let timing = TurnTiming { from_ns, to_ns, waited };
        waiting.after(found, timing, || io.cpu_ns()).map(|span| (last, span))
    }

    /// Rests before the next look at the stream of a listener, at most until something is due.
    fn rest(&mut self, token: Token, span: Duration) {
        let span = self.next_deadline().at_most(span, self.core.now.mono_ns);
        let Core { waiting, io, .. } = &mut self.core;
        waiting.rest(io, &mut self.ready, current(&mut self.listeners, token), span);
    }

    /// Looks for slow handlers. If the visits of a turn were slow and it made one, that listener is the slow one. If it made
    /// more, the next calls are timed.
    fn look_for_slow_visits(&mut self, visits: usize, last: Token, from_ns: u64, to_ns: u64) {
        let Core { slow, io, .. } = &mut self.core;
        let timed_already = slow.is_timing();
        let took_ns = to_ns.saturating_sub(from_ns);
        let is_slow = slow.is_slow_turn(took_ns, visits, to_ns);
        if !is_slow && !slow.mark_is_due(to_ns) {
            return;
        }
        let cpu_ns = slow.mark(to_ns, io.cpu_ns());
        if is_slow
            && !timed_already
            && visits == 1
            && let Some(listener) = current(&mut self.listeners, last)
        {
            slow.suspect();
            self.core.note_slow(listener, Slow { what: "batch", took_ns, cpu_ns, exact: false });
        }
    }

    /// A wait until the next timer, delayed datagram, look at kernel drops, or part of the addresses.
    pub(super) fn next_deadline(&self) -> Wait {
        let core = &self.core;
        let deadlines = [
            core.timers.next(),
            core.delayed.next(),
            self.sampler.next(),
            core.host.next(),
            core.sessions.next(),
            Some(core.change_at_ns).filter(|at_ns| *at_ns != u64::MAX),
        ];
        deadlines.into_iter().flatten().min().map_or(Wait::Forever, Wait::Until)
    }

    /// Handles the event of a socket: sends its backlog, and puts the listener on the ready list.
    pub(super) fn note(&mut self, token: Token, readable: bool, writable: bool) {
        if token.is_beside() {
            return self.note_session(token, readable, writable);
        }
        // An event changes nothing about a broken listener, so this saves a visit.
        let Some(listener) = current(&mut self.listeners, token).filter(|l| !l.broken) else { return };
        if writable && !listener.backlog.is_empty() {
            self.core.transmitter().flush_backlog(listener);
            self.core.close_if_broken(listener);
        }
        if readable {
            self.ready.push(token, &mut listener.ready);
        }
    }

    /// Prefetches the memory of the next two visits while the current one waits for the kernel: the slot of the second,
    /// and what the slot of the first points to.
    #[inline]
    fn prefetch_next(&self, slots: &Slots<Listener<I::Socket>>) {
        if let Some(after_next) = self.ready.peek(1) {
            slots.prefetch(after_next.index, HOT_BYTES);
        }
        if let Some(next) = self.ready.peek(0).and_then(|next| self.listeners.get(next.index as usize)) {
            next.prefetch_handler();
        }
    }

    /// Visits a listener, and decides what brings it back.
    fn visit(&mut self, token: Token) -> Visit {
        if token.is_beside() {
            return self.visit_sessions(token);
        }
        let Some(listener) = current(&mut self.listeners, token) else { return Visit::default() };
        listener.ready = false;
        self.sampler.note_visit(token.index, &mut listener.marked, self.core.now.mono_ns);
        let visit = self.core.visit(listener);
        let Core { io, timers, now, waiting, .. } = &mut self.core;
        match listener.polling.after(listener.is_polled(), visit.messages > 0, waiting.busy_period()) {
            Change::GoOn => {}
            Change::Poll => listener.poll(io),
            Change::Watch => listener.resume(io, timers, now.mono_ns),
        }
        if visit.more || listener.is_polled() {
            self.ready.push(token, &mut listener.ready);
        }
        self.run_errands();
        visit
    }

    /// Calls the handlers that other threads have woken, a bounded number; the next turn calls the others.
    #[cold]
    pub(super) fn call_woken(&mut self) {
        let Some(list) = &self.core.wakes else { return };
        let mut woken = Vec::new();
        list.take(self.core.limits.turn_timers, &mut woken);
        for number in woken {
            let token = self.core.bundles.speaker(Token::numbered(number));
            // One that is not served yet is called when it is.
            if let Some(listener) =
                current(&mut self.listeners, token).filter(|it| it.standing != Standing::Coming)
            {
                self.core.handler_wake(listener);
                self.run_errands();
            }
        }
    }

    /// Fires timers that are due, a bounded number.
    pub(super) fn timers(&mut self) {
        let mut left = self.core.limits.turn_timers;
        while left > 0 {
            let Some((token, timer)) = self.core.timers.pop_due(self.core.now.mono_ns) else { break };
            left -= 1;
            let named = if timer == Timer::Resume { token } else { self.core.bundles.speaker(token) };
            let Some(listener) = current(&mut self.listeners, named) else { continue };
            match timer {
                Timer::Handler { token } => self.core.handler_timer(listener, token),
                Timer::Resume => {
                    // A listener that the kernel does not watch is visited too, so that it is served now and then.
                    let Core { io, timers, now, .. } = &mut self.core;
                    listener.resume(io, timers, now.mono_ns);
                    if !listener.deaf {
                        self.ready.push(token, &mut listener.ready);
                    }
                }
                Timer::Restart if listener.seat().is_some() => self.restart_together(token),
                Timer::Restart => self.core.restart(listener),
            }
            self.run_errands();
        }
    }

    /// Sends delayed datagrams that are due, about `left` of them at most, and returns how many more may leave in this
    /// turn. They have a share of their own: timers that are always due must not hold them up.
    pub(super) fn send_due(&mut self, mut left: usize) -> usize {
        while left > 0 {
            let Some(token) = self.core.delayed.due(self.core.now.mono_ns) else { break };
            let Some(listener) = current(&mut self.listeners, token.owner()) else {
                self.core.delayed.remove(token);
                continue;
            };
            let sent = if token.is_beside() {
                let sent = self.core.send_due_by_sessions(listener);
                self.core.end_broken_sessions(listener);
                sent
            } else {
                self.core.send_due_by_listener(listener)
            };
            left = left.saturating_sub(sent);
            self.run_errands();
        }
        left
    }

    /// Counts the delayed datagrams that gave way to those of other listeners, at the listeners they belonged to.
    pub(super) fn count_evicted(&mut self) {
        while let Some((token, n)) = self.core.delayed.pop_evicted() {
            if token.is_beside() {
                self.count_evicted_by_session(token, n);
            } else if let Some(listener) = current(&mut self.listeners, token) {
                listener.drop_delayed(n);
                self.core.taps.missed(listener.tapped, n);
            }
        }
    }
}
