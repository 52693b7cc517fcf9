//! The reactor: a value with one owner thread, and what a visit works with.

use super::due::{Delayed, ReadyList, Timers};
use super::io::{Event, Io, Now, Token, nanos};
use super::listener::{Listener, ListenerReport};
use super::probe::{Sampler, SlowWatch};
use super::send::Transmitter;
use super::waiting::Waiting;
use crate::exchange::{Exchange, ExchangeLimits};
use crate::guard::OwnAddresses;
use crate::limits::Limits;
use crate::plugin::TimerRequest;
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;

/// Owns every listener and runs the loop.
#[derive(Debug)]
pub struct Reactor<I: Io> {
    pub(super) listeners: Slab<Listener<I::Socket>>,
    /// Of the listener that was added last.
    pub(super) generation: u32,
    pub(super) ready: ReadyList,
    pub(super) sampler: Sampler,
    pub(super) core: Core<I>,
}

/// What a visit works with besides its listener.
#[derive(Debug)]
pub(super) struct Core<I> {
    pub(super) io: I,
    pub(super) exchange: Exchange,
    pub(super) limits: Limits,
    pub(super) shortcuts: Shortcuts,
    pub(super) timers: Timers,
    pub(super) delayed: Delayed,
    /// Where no reply may go.
    pub(super) own: OwnAddresses,
    /// Bytes of all backlogs.
    pub(super) backlog_bytes: usize,
    pub(super) now: Now,
    /// Feeds every handler.
    pub(super) seed: u64,
    pub(super) rng: StdRng,
    pub(super) timer_requests: Vec<TimerRequest>,
    /// A handler broke whose listener says `on_fault = "exit"`.
    pub(super) fatal: bool,
    pub(super) slow: SlowWatch,
    pub(super) waiting: Waiting,
    pub(super) events: Vec<Event>,
}

/// Ways of the loop that only save time: with any of them left out it does the same. Tests compare the two, and
/// benchmarks measure what each is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcuts {
    /// The one answer to one datagram is settled and sent without lists.
    pub one: bool,
    /// A whole batch that goes back is settled without looking at entries one by one.
    pub echo: bool,
    /// The memory of the next visits is fetched while one waits for the kernel.
    pub prefetch: bool,
}

impl Shortcuts {
    /// The long way everywhere.
    pub const NONE: Self = Self { one: false, echo: false, prefetch: false };
}

impl Default for Shortcuts {
    fn default() -> Self {
        Self { one: true, echo: true, prefetch: true }
    }
}

impl<I: Io> Reactor<I> {
    /// A reactor without listeners. `seed` feeds every handler and the jitter of restarts.
    #[must_use]
    pub fn new(mut io: I, limits: Limits, exchange: ExchangeLimits, seed: u64) -> Self {
        let now = io.now();
        let waiting = Waiting::new(&limits, io.can_rest());
        let core = Core {
            io,
            exchange: Exchange::new(exchange),
            limits,
            shortcuts: Shortcuts::default(),
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
            waiting,
            events: Vec::new(),
        };
        Self {
            listeners: Slab::new(),
            generation: 0,
            ready: ReadyList::default(),
            sampler: Sampler::default(),
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

    /// Takes or leaves the ways that only save time; all are taken unless this says otherwise.
    pub fn set_shortcuts(&mut self, shortcuts: Shortcuts) {
        self.core.shortcuts = shortcuts;
    }

    /// The socket of a listener.
    #[must_use]
    pub fn socket(&self, token: Token) -> Option<&I::Socket> {
        let listener = self.listeners.get(token.index as usize)?;
        (listener.token == token).then_some(&listener.socket)
    }

    /// Gives a listener another tag; none if there is no such listener.
    pub fn set_tag(&mut self, token: Token, tag: u64) -> Option<()> {
        let listener = self.listeners.get_mut(token.index as usize)?;
        (listener.token == token).then(|| listener.tag = tag)
    }

    /// The I/O, for tests that play the world.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.core.io
    }

    /// What every listener counted.
    pub fn reports(&self) -> impl Iterator<Item = ListenerReport<'_>> {
        self.listeners.iter().map(|(_, listener)| listener.report())
    }

    /// I1 for every listener.
    pub(super) fn conserves(&self) -> bool {
        self.listeners.iter().all(|(_, l)| l.counters.conservation(l.waiting()).holds())
    }
}

impl<I: Io> Core<I> {
    /// The sending half.
    #[inline]
    pub(super) fn transmitter(&mut self) -> Transmitter<'_, I> {
        let Self { io, limits, backlog_bytes, now, .. } = self;
        Transmitter { io, limits, backlog_bytes, now_ns: now.mono_ns }
    }
}
