//! The end with grace: nothing new is taken, and what waits leaves when it is due.
//!
//! ```text
//! end_within --> each listener serves what lies in its socket, then it is deaf: nothing reads it any more
//!            --> timers, wakes, sessions, delayed datagrams and backlogs go on, until nothing waits or the time is over
//!            --> Flow::Ended; Reactor::stop drops what is left
//! ```
//!
//! What came before the request to end has arrived as far as its sender knows, so it is served. What comes later is left in the
//! socket: for whoever may have it next, or for nobody.

use std::io;
use std::time::Duration;

use polyport_terminal::counted;

use super::core::{Reactor, current};
use super::grace::Ending;
use super::io::{Event, Io, Token, Wait, nanos};
use super::turn::Flow;

/// Most messages that are taken from one socket at the end: more than a queue of 32 MiB holds of the smallest ones. A flood has
/// no end otherwise.
const LAST_MESSAGES: usize = 65_536;
/// How long a session that was asked more often than it has answered may keep the end waiting after the last datagram, ns: longer than
/// an answer from the other side of the world takes. Who only ever sends one way costs the end so much.
const ANSWER_NS: u64 = 1_000_000_000;

/// How often a loop that neither serves nor ends looks at itself, ns; whoever decides wakes it.
const HELD_LOOK_NS: u64 = 1_000_000_000;

impl<I: Io> Reactor<I> {
    /// Ends the service within `grace`: takes what has arrived and nothing more, and goes on with what waits. From now on
    /// [`Self::turn`] returns [`Flow::Ended`] as soon as nothing waits that can leave in time; then [`Self::stop`] is to be called. A
    /// change that is under way is given up. Called again, it changes nothing.
    pub fn end_within(&mut self, grace: Duration) {
        if self.ending.is_some() {
            return;
        }
        // The same turn would finish it, and nobody be told.
        self.finish_change();
        let now_ns = self.core.io.now().mono_ns;
        // All are visited, the one of the rest as well.
        self.core.waiting.end_rest();
        let mut hearing = 0;
        for (_, listener) in &mut self.listeners {
            // Who is paused stays so: what lies in its socket is for whoever has it next.
            listener.deaf |= listener.broken;
            if !listener.deaf {
                hearing += 1;
                self.ready.push(listener.token, &mut listener.ready);
            }
        }
        let until_ns = now_ns.saturating_add(nanos(grace));
        self.ending = Some(Box::new(Ending { hearing, ..Ending::new(until_ns, now_ns) }));
    }

    /// Whether the service ends.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// One turn of the end; see [`Reactor::turn`].
    #[cold]
    pub(super) fn last_turn(&mut self) -> io::Result<Flow> {
        let Some(mut ending) = self.ending.take() else { return Ok(Flow::Ended) };
        self.core.now = self.core.io.now();
        if self.core.now.mono_ns >= ending.until_ns {
            self.ending = Some(ending);
            return Ok(Flow::Ended);
        }
        self.review_sessions();
        let has_more = !self.ready.is_empty() || self.unwatch_some(&mut ending);
        let wait = if has_more { Wait::No } else { self.last_deadline(&ending) };
        let mut events = std::mem::take(&mut self.core.events);
        events.clear();
        self.core.io.poll(wait, &mut events)?;
        self.core.now = self.core.io.now();
        let (mut attend, mut wakes) = (false, false);
        for event in events.drain(..) {
            match event {
                // It is being done.
                Event::Stop => {}
                Event::Attend => attend = true,
                Event::Addresses => self.core.host.changed(self.core.now.mono_ns),
                Event::Wake => wakes = true,
                Event::Ready { token, readable, writable } => {
                    let hears = token.is_beside()
                        || current(&mut self.listeners, token).is_some_and(|listener| !listener.deaf);
                    self.note(token, readable && hears, writable);
                }
            }
        }
        self.core.events = events;
        let left = self.send_due(self.core.limits.turn_timers);
        if wakes {
            self.call_woken();
        }
        let mut budget = self.core.limits.turn_datagrams;
        for _ in 0..self.ready.len() {
            if budget == 0 {
                break;
            }
            let Some(token) = self.ready.pop() else { break };
            let messages = self.last_visit(token, &mut ending);
            budget = budget.saturating_sub(messages.max(1));
        }
        self.core.now = self.core.io.now();
        self.timers();
        self.tend_sessions();
        self.send_due(left);
        self.count_evicted();
        let core = &mut self.core;
        core.host.run(&mut core.io, &mut core.own, core.now.mono_ns);
        // What served before the last change may be over.
        if self.core.change_at_ns <= self.core.now.mono_ns {
            self.tend_change();
        }
        let over = self.is_over(&mut ending);
        self.ending = Some(ending);
        debug_assert!(self.conserves(), "I1 does not hold");
        Ok(if over {
            Flow::Ended
        } else if self.core.fatal {
            Flow::Fatal
        } else if attend {
            Flow::Attend
        } else {
            Flow::Continue
        })
    }

    /// Takes what lies in a socket, or what its sessions have heard. Returns how many messages that were.
    fn last_visit(&mut self, token: Token, ending: &mut Ending) -> usize {
        if token.is_beside() {
            return self.visit_sessions(token).messages;
        }
        let Some(listener) = current(&mut self.listeners, token) else { return 0 };
        listener.ready = false;
        if listener.deaf {
            return 0;
        }
        let messages = self.core.visit(listener).messages;
        self.run_errands();
        let Some(listener) = current(&mut self.listeners, token) else { return messages };
        let taken = ending.taken.entry(token).or_default();
        *taken += messages;
        // A visit that took something may have left something.
        if messages > 0 && *taken < LAST_MESSAGES && !listener.broken {
            self.ready.push(token, &mut listener.ready);
            return messages;
        }
        listener.deaf = true;
        ending.hearing = ending.hearing.saturating_sub(1);
        if !listener.broken {
            let core = &mut self.core;
            listener.resume(&mut core.io, &mut core.timers, core.now.mono_ns);
        }
        messages
    }

    /// A wait until something is due, or it is time to look whether something still waits.
    fn last_deadline(&self, ending: &Ending) -> Wait {
        let at_ns = ending.look_ns.min(ending.until_ns);
        match self.next_deadline() {
            Wait::No => Wait::No,
            Wait::Until(due_ns) => Wait::Until(due_ns.min(at_ns)),
            Wait::Forever => Wait::Until(at_ns),
        }
    }

    /// Whether nothing waits any more that can leave in time. Otherwise notes when to look again.
    fn is_over(&mut self, ending: &mut Ending) -> bool {
        let (now_ns, until_ns) = (self.core.now.mono_ns, ending.until_ns);
        if ending.held {
            ending.look_ns = now_ns.saturating_add(HELD_LOOK_NS);
            return false;
        }
        ending.look_ns = until_ns;
        if now_ns >= until_ns {
            return true;
        }
        if ending.hearing > 0 || !self.ready.is_empty() {
            return false;
        }
        let delayed = self.core.delayed.next().is_some_and(|at_ns| at_ns <= until_ns);
        if delayed || self.has_deferred() || self.has_backlog() {
            ending.asked = None;
            self.tell_of_waiting(ending);
            return false;
        }
        if let Some(at_ns) = self.core.exchange.tickets_end(now_ns) {
            ending.asked = None;
            ending.look_ns = at_ns.min(until_ns);
            self.tell_of_waiting(ending);
            return false;
        }
        let sessions = &mut self.core.sessions;
        let asked = ending.asked.get_or_insert_with(|| sessions.ids());
        while let Some(id) = asked.last() {
            if let Some(at_ns) = sessions.answers_until(*id, ANSWER_NS).filter(|at_ns| *at_ns > now_ns) {
                ending.look_ns = at_ns.min(until_ns);
                self.tell_of_waiting(ending);
                return false;
            }
            asked.pop();
        }
        true
    }

    /// Whether a handler that is down will be given what was kept for it, or sessions are about to be opened.
    fn has_deferred(&self) -> bool {
        self.core.sessions.has_deferred() || self.listeners.iter().any(|(_, l)| l.counters.kept > 0)
    }

    /// Whether something waits for room in a socket.
    fn has_backlog(&self) -> bool {
        // What has no bytes waits as well.
        self.core.backlog_bytes > 0
            || self.listeners.iter().any(|(_, listener)| {
                !listener.backlog.is_empty()
                    || listener.family.as_ref().is_some_and(|family| family.has_backlog())
            })
    }

    /// Says once that the end waits, and for how long.
    fn tell_of_waiting(&self, ending: &mut Ending) {
        if !std::mem::replace(&mut ending.told, true) {
            let waiting: u64 = self.listeners.iter().map(|(_, listener)| listener.all_waiting()).sum();
            let ms = ending.until_ns.saturating_sub(self.core.now.mono_ns) / 1_000_000;
            log::info!(
                "ending: waiting to be sent: {}; answers may still be to come; another {ms} ms at most",
                counted(waiting, "datagram", "datagrams")
            );
        }
    }
}
