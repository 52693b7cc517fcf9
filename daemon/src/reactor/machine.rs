//! The reactor: a value with one owner thread.

use super::clock::nanos;
use super::delayed::Delayed;
use super::governor::Governor;
use super::io::{Event, Io, Now, Token};
use super::limits::ReactorLimits;
use super::listener::{Listener, ListenerSpec, Service};
use super::pace::Pace;
use super::polling::{Polling, Stretch};
use super::ready::ReadyList;
use super::report::{AddError, ListenerReport};
use super::sample::{self, Sampler};
use super::seed::instance_seed;
use super::slow::SlowWatch;
use super::timers::{Timer, Timers};
use crate::guard::OwnAddresses;
use crate::metrics::{Counters, DropReason};
use crate::plugin::{CreateError, Exchange, ExchangeLimits, Instance, InstanceSpec, TimerRequest, Why};
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;

/// Owns every listener and runs the loop.
#[derive(Debug)]
pub struct Reactor<I: Io> {
    pub(super) listeners: Slab<Listener<I::Socket>>,
    generation: u32,
    pub(super) ready: ReadyList,
    pub(super) sampler: Sampler,
    pub(super) stretch: Stretch,
    /// The listener that was rested for.
    pub(super) gathered: Option<Token>,
    pub(super) core: Core<I>,
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
    pub(super) events: Vec<Event>,
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
            unwatchable: false,
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
    pub(super) fn conserves(&self) -> bool {
        self.listeners.iter().all(|(_, l)| l.counters.conservation(l.waiting()).holds())
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
