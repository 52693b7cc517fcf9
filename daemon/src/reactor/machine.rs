//! The reactor: a value with one owner thread.

use super::ahead::Slots;
use super::clock::nanos;
use super::delayed::Delayed;
use super::governor::{Governor, Ran};
use super::io::{Event, Io, Now, Token, Wait};
use super::limits::ReactorLimits;
use super::listener::{HOT_BYTES, Listener, ListenerSpec, Service};
use super::moderation::Found;
use super::pace::Pace;
use super::polling::{Change, Polling, Stretch};
use super::ready::ReadyList;
use super::report::{AddError, ListenerReport};
use super::sample::{self, Sampler};
use super::seed::instance_seed;
use super::slow::SlowWatch;
use super::timers::{Timer, Timers};
use super::visit::Visit;
use crate::guard::OwnAddresses;
use crate::metrics::{Counters, DropReason};
use crate::plugin::{CreateError, Exchange, ExchangeLimits, Instance, InstanceSpec, TimerRequest, Why};
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;
use std::io;
use std::time::Duration;

/// Owns every listener and runs the loop.
#[derive(Debug)]
pub struct Reactor<I: Io> {
    listeners: Slab<Listener<I::Socket>>,
    generation: u32,
    ready: ReadyList,
    sampler: Sampler,
    stretch: Stretch,
    /// The listener that was rested for.
    gathered: Option<Token>,
    core: Core<I>,
}

/// What a visit works with besides its listener.
#[derive(Debug)]
pub(super) struct Core<I> {
    pub(super) io: I,
    pub(super) exchange: Exchange,
    pub(super) limits: ReactorLimits,
    pub(super) timers: Timers,
    pub(super) delayed: Delayed,
    /// Where no reply may go.
    pub(super) own: OwnAddresses,
    /// Bytes of all backlogs.
    pub(super) backlog_bytes: usize,
    pub(super) now: Now,
    /// Feeds every handler.
    seed: u64,
    pub(super) rng: StdRng,
    pub(super) timer_requests: Vec<TimerRequest>,
    /// A handler broke whose listener says `on_fault = "exit"`.
    pub(super) fatal: bool,
    pub(super) slow: SlowWatch,
    pub(super) governor: Governor,
    events: Vec<Event>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Call [`Reactor::turn`] again.
    Continue,
    /// Somebody asked to stop.
    Stop,
    /// A handler broke, and its listener says that the daemon shall exit then.
    Fatal,
}

/// How far ahead of an event the slot of another is fetched.
const EVENTS_AHEAD: usize = 4;

impl<I: Io> Reactor<I> {
    /// A reactor without listeners. `seed` feeds every handler and the jitter of restarts.
    #[must_use]
    pub fn new(mut io: I, limits: ReactorLimits, exchange: ExchangeLimits, seed: u64) -> Self {
        let now = io.now();
        let core = Core {
            io,
            exchange: Exchange::new(exchange),
            limits,
            timers: Timers::default(),
            delayed: Delayed::default(),
            own: OwnAddresses::default(),
            backlog_bytes: 0,
            now,
            seed,
            rng: StdRng::seed_from_u64(seed),
            timer_requests: Vec::new(),
            fatal: false,
            slow: SlowWatch::new(nanos(limits.slow_batch)),
            governor: Governor::new(&limits),
            events: Vec::new(),
        };
        Self {
            listeners: Slab::new(),
            generation: 0,
            ready: ReadyList::default(),
            sampler: Sampler::default(),
            stretch: Stretch::default(),
            gathered: None,
            core,
        }
    }

    /// Bytes of a listener's slot; what a listener takes beyond is its handler and what the host knows of that.
    pub const SLOT_BYTES: usize = size_of::<Listener<I::Socket>>();

    /// Makes room for so many listeners: growing on the way would leave gaps.
    pub fn reserve(&mut self, listeners: usize) {
        self.listeners.reserve_exact(listeners);
        self.core.own.reserve(listeners);
        self.sampler.reserve(listeners);
    }

    /// The I/O, for tests that play the world.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.core.io
    }

    /// Makes the handler of a listener and starts to watch its socket. Nothing is served before the next
    /// turn.
    ///
    /// # Errors
    /// The plugin's refusal, or why the socket cannot be watched; the listener is gone then.
    pub fn add(&mut self, spec: ListenerSpec<I::Socket>) -> Result<Token, AddError> {
        self.generation = self.generation.wrapping_add(1);
        let slot = self.listeners.vacant_entry();
        let index = u32::try_from(slot.key()).unwrap_or(u32::MAX);
        let token = Token { index, generation: self.generation };
        let mut listener = Listener {
            token,
            name: spec.name,
            local: spec.local,
            socket: spec.socket,
            plugin: spec.plugin,
            values: spec.values,
            on_fault: spec.on_fault,
            service: Service::Down,
            cells: Default::default(),
            counters: Counters::default(),
            backlog: Default::default(),
            delayed: 0,
            ready: false,
            broken: false,
            marked: false,
            kernel_drops_seen: 0,
            no_segments_until: if self.core.limits.segments { 0 } else { u64::MAX },
            polling: Polling::default(),
            pace: Pace::default(),
            faults: None,
        };
        self.core.create(&mut listener, Why::Start).map_err(AddError::Create)?;
        if let Err(error) = self.core.io.register(&mut listener.socket, token) {
            self.core.timers.cancel_all(token);
            return Err(AddError::Register(error));
        }
        self.core.own.add(listener.local);
        slot.insert(listener);
        Ok(token)
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// Only when waiting itself fails.
    pub fn turn(&mut self) -> io::Result<Flow> {
        // 1. Wait, unless somebody is still ready.
        let waited = self.ready.is_empty();
        let gathered = self.gathered.take();
        let busy = !waited || gathered.is_some() || self.core.governor.spins(self.core.now.mono_ns);
        let wait = if busy { Wait::No } else { self.next_deadline() };
        let mut events = std::mem::take(&mut self.core.events);
        events.clear();
        let mut more = self.core.io.poll(wait, &mut events)?;
        // Who is ready comes on the list before anybody is visited twice, however many they are.
        while more && waited && events.len() < self.listeners.len() {
            let before = events.len();
            more = self.core.io.poll(Wait::No, &mut events)? && events.len() > before;
        }
        self.core.now = self.core.io.now();
        // 2. Events to the ready list.
        let mut stop = false;
        let events_were_none = events.is_empty();
        let slots = Slots::of(&self.listeners);
        for (number, event) in events.iter().enumerate() {
            if let Some(Event::Ready { token, .. }) = events.get(number + EVENTS_AHEAD) {
                slots.prefetch(token.index, HOT_BYTES);
            }
            match *event {
                Event::Stop => stop = true,
                Event::Ready { token, readable, writable } => self.note(token, readable, writable),
            }
        }
        self.core.events = events;
        // Behind those that ended the rest.
        if let Some(token) = gathered
            && let Some(listener) = current(&mut self.listeners, token)
        {
            self.ready.push(token, &mut listener.ready);
        }
        // 3. Visits, round robin, while the budget lasts.
        let mut budget = self.core.limits.turn_datagrams;
        let mut found = Found { visits: 0, messages: 0, stream: false, more: false };
        let mut visited = None;
        for _ in 0..self.ready.len() {
            // A token must not leave the list without a visit: no event would bring it back.
            if budget == 0 {
                break;
            }
            let Some(token) = self.ready.pop() else { break };
            self.prefetch_next(&slots);
            let visit = self.visit(token);
            budget = budget.saturating_sub(visit.messages.max(1));
            found.visits += 1;
            found.messages += visit.messages;
            found.stream |= visit.stream;
            found.more |= visit.more;
            visited = Some(token);
        }
        if let Some(last) = visited {
            let (from_ns, to_ns) = (self.core.now.mono_ns, self.core.io.now().mono_ns);
            self.look_for_slow_visits(found.visits, last, to_ns.saturating_sub(from_ns));
            let Core { governor, io, .. } = &mut self.core;
            if found.messages > 0 {
                self.stretch.note(governor.gap_ns(from_ns), found.visits);
                if let Some(span) = governor.after(found, Ran { from_ns, to_ns, waited }, || io.cpu_ns()) {
                    self.rest(span, last, to_ns);
                }
            }
        }
        // 4. What is due.
        self.timers();
        let Self { sampler, core, listeners, .. } = self;
        sampler.run(&mut core.io, listeners, core.now.mono_ns);
        debug_assert!(!events_were_none || self.conserves(), "I1 does not hold");
        Ok(if stop {
            Flow::Stop
        } else if self.core.fatal {
            Flow::Fatal
        } else {
            Flow::Continue
        })
    }

    /// Ends service: what still waits to be sent is dropped with that reason.
    pub fn stop(&mut self) {
        self.core.delayed.clear();
        for (_, listener) in &mut self.listeners {
            sample::look(&mut self.core.io, listener);
            listener.counters.drop_many(DropReason::Stopping, std::mem::take(&mut listener.delayed));
            while listener.backlog.pop(&mut self.core.backlog_bytes).is_some() {
                listener.counters.drop_one(DropReason::Stopping);
            }
        }
    }

    /// What every listener counted.
    pub fn reports(&self) -> impl Iterator<Item = ListenerReport<'_>> {
        self.listeners.iter().map(|(_, l)| ListenerReport {
            name: &l.name,
            local: l.local,
            plugin: l.plugin.name(),
            counters: &l.counters,
            waiting: l.waiting(),
            cells: l.cells.iter().map(|cell| (cell.name.as_str(), cell.value())).collect(),
        })
    }

    /// I1 for every listener.
    fn conserves(&self) -> bool {
        self.listeners.iter().all(|(_, l)| l.counters.conservation(l.waiting()).holds())
    }

    /// A slow turn with one visit names its listener; after one with more, calls are timed.
    fn look_for_slow_visits(&mut self, visits: usize, last: Token, took_ns: u64) {
        let timed_already = self.core.slow.is_timing();
        if self.core.slow.is_slow(took_ns)
            && !timed_already
            && visits == 1
            && let Some(listener) = current(&mut self.listeners, last)
        {
            self.core.note_slow(listener, took_ns);
        }
    }

    /// Lets more of a stream gather, while every other listener is watched and until something is due.
    fn rest(&mut self, span: Duration, last: Token, now_ns: u64) {
        let span = match self.next_deadline() {
            Wait::Until(at_ns) => span.min(Duration::from_nanos(at_ns.saturating_sub(now_ns))),
            Wait::No | Wait::Forever => span,
        };
        let Some(listener) = current(&mut self.listeners, last) else { return };
        if self.ready.len() > usize::from(listener.ready) {
            // The budget of the turn did not reach somebody.
            return;
        }
        if !listener.polling.is_on() {
            self.core.poll_listener(listener);
        }
        if listener.polling.is_on() {
            if std::mem::take(&mut listener.ready) {
                self.ready.pop();
            }
            self.gathered = Some(last);
            self.core.io.rest(span);
        }
    }

    fn next_deadline(&self) -> Wait {
        let deadlines = [self.core.timers.next(), self.core.delayed.next(), self.sampler.next()];
        deadlines.into_iter().flatten().min().map_or(Wait::Forever, Wait::Until)
    }

    fn note(&mut self, token: Token, readable: bool, writable: bool) {
        let Some(listener) = current(&mut self.listeners, token).filter(|l| !l.broken) else { return };
        if writable && !listener.backlog.is_empty() {
            self.core.flush_backlog(listener);
        }
        if readable {
            self.ready.push(token, &mut listener.ready);
        }
    }

    /// Fetches the memory of the next visits while this one waits for the kernel: first the slot, a visit later
    /// what it points to.
    #[inline]
    fn prefetch_next(&self, slots: &Slots<Listener<I::Socket>>) {
        if let Some(after_next) = self.ready.ahead(1) {
            slots.prefetch(after_next.index, HOT_BYTES);
        }
        if let Some(next) = self.ready.ahead(0).and_then(|next| self.listeners.get(next.index as usize)) {
            next.prefetch_handler();
        }
    }

    fn visit(&mut self, token: Token) -> Visit {
        let Some(listener) = current(&mut self.listeners, token) else { return Visit::default() };
        listener.ready = false;
        self.sampler.note_visit(token.index, &mut listener.marked, self.core.now.mono_ns);
        let visit = self.core.visit(listener);
        match listener.polling.after(visit.messages > 0, self.stretch) {
            Change::GoOn => {}
            Change::Poll => self.core.poll_listener(listener),
            Change::Watch => {
                self.core.resume(listener);
            }
        }
        if visit.more || listener.polling.is_on() {
            self.ready.push(token, &mut listener.ready);
        }
        visit
    }

    fn timers(&mut self) {
        let mut left = self.core.limits.turn_timers;
        while left > 0 {
            let Some((token, timer)) = self.core.timers.pop_due(self.core.now.mono_ns) else { break };
            left -= 1;
            let Some(listener) = current(&mut self.listeners, token) else { continue };
            match timer {
                Timer::Handler { token } => self.core.handler_timer(listener, token),
                Timer::Resume => {
                    if self.core.resume(listener) {
                        self.ready.push(token, &mut listener.ready);
                    }
                }
                Timer::Restart => self.core.restart(listener),
            }
        }
        // A share of its own: timers that are always due must not keep the delayed datagrams.
        let mut left = self.core.limits.turn_timers;
        while left > 0 {
            let Some((token, first)) = self.core.delayed.pop_due(self.core.now.mono_ns, None) else { break };
            let Some(listener) = current(&mut self.listeners, token) else { continue };
            left = left.saturating_sub(self.core.send_due(listener, first));
        }
    }
}

impl<I: Io> Core<I> {
    /// Makes a handler for a listener; no other is there at that time.
    pub(super) fn create(&mut self, listener: &mut Listener<I::Socket>, why: Why) -> Result<(), CreateError> {
        let spec = InstanceSpec {
            listener: &listener.name,
            local: listener.local,
            values: &listener.values,
            seed: instance_seed(self.seed, &listener.name, listener.local),
            now_ns: self.now.mono_ns,
            why,
        };
        let instance = Instance::create(&listener.plugin, &spec, &mut listener.cells)?;
        let refused = self.apply_timers(listener.token, &instance);
        listener.note_refused_timers(refused, self.limits.handler_timers);
        listener.service = Service::Running(instance);
        Ok(())
    }

    /// Applies the timer calls a handler made, up to its limit. Returns how many were beyond it.
    pub(super) fn apply_timers(&mut self, token: Token, instance: &Instance) -> u64 {
        let mut refused = 0;
        instance.take_timers(&mut self.timer_requests);
        for request in self.timer_requests.drain(..) {
            let limit = self.limits.handler_timers;
            if request.at_ns == 0 || self.timers.has_room(token, request.token, limit) {
                let timer = Timer::Handler { token: request.token };
                self.timers.arm(token, timer, request.at_ns, request.every_ns);
            } else {
                refused += 1;
            }
        }
        refused
    }
}

/// The listener an event or a timer is for, unless its slot has a new owner.
fn current<S>(listeners: &mut Slab<Listener<S>>, token: Token) -> Option<&mut Listener<S>> {
    listeners.get_mut(token.index as usize).filter(|listener| listener.token == token)
}
