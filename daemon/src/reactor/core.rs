//! The reactor, a value with one owner thread, and what a visit works with.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;

use super::due::{Delayed, ReadyList, Timers};
use super::io::{Event, Io, Now, Token, nanos};
use super::listener::{Listener, ListenerReport};
use super::probe::{Groups, HostAddresses, Sampler, SlowWatch};
use super::send::Transmitter;
use super::session::Sessions;
use super::waiting::Waiting;
use crate::exchange::{Exchange, ExchangeLimits};
use crate::guard::{Budgets, OwnAddresses};
use crate::limits::{HANDLER_BYTES, Limits};
use crate::plugin::{HandlerBudget, TimerRequest, WakeList};

/// Owns every listener and runs the loop.
#[derive(Debug)]
pub struct Reactor<I: Io> {
    pub(super) listeners: Slab<Listener<I::Socket>>,
    /// Generation of the listener that was added last.
    pub(super) generation: u32,
    pub(super) ready: ReadyList,
    pub(super) sampler: Sampler,
    pub(super) groups: Groups,
    pub(super) core: Core<I>,
}

/// What a visit works with besides its listener.
#[derive(Debug)]
pub(super) struct Core<I: Io> {
    pub(super) io: I,
    pub(super) exchange: Exchange,
    pub(super) limits: Limits,
    pub(super) shortcuts: Shortcuts,
    pub(super) timers: Timers,
    pub(super) delayed: Delayed,
    pub(super) sessions: Sessions<I::Socket>,
    /// The addresses of the listeners and of the host, to which nothing may be sent.
    pub(super) own: OwnAddresses,
    pub(super) host: HostAddresses,
    /// The memory that handlers may keep.
    pub(super) handler_budget: Arc<HandlerBudget>,
    /// What may leave to peers that have not proved their address.
    pub(super) budgets: Budgets,
    /// Payload bytes of all backlogs.
    pub(super) backlog_bytes: usize,
    /// Bytes that listeners whose handlers broke keep for the next ones.
    pub(super) kept_bytes: usize,
    /// The time of the current turn.
    pub(super) now: Now,
    /// The seed from which the seed of every handler is made.
    pub(super) seed: u64,
    /// Randomness of the loop itself: the jitter of restarts.
    pub(super) rng: StdRng,
    /// Memory for the timer calls of one handler call, used again by the next.
    pub(super) timer_requests: Vec<TimerRequest>,
    /// The handlers that other threads have woken. Most loops have none that can be.
    pub(super) wakes: Option<Arc<WakeList>>,
    /// A handler broke, and its listener has `on_fault = "exit"`.
    pub(super) fatal: bool,
    pub(super) slow: SlowWatch,
    pub(super) waiting: Waiting,
    /// Memory for the events of one turn, used again by the next.
    pub(super) events: Vec<Event>,
}

/// Shortcuts of the loop, which only save time: without them the loop does the same. Tests compare the two, and
/// benchmarks measure what each shortcut is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcuts {
    /// A single answer to a single datagram is settled and sent without lists.
    pub one: bool,
    /// The memory of the next visits is prefetched while a visit waits for the kernel.
    pub prefetch: bool,
}

impl Shortcuts {
    /// No shortcut at all.
    pub const NONE: Self = Self { one: false, prefetch: false };
}

impl Default for Shortcuts {
    fn default() -> Self {
        Self { one: true, prefetch: true }
    }
}

impl<I: Io> Reactor<I> {
    /// A reactor without listeners. `seed` feeds every handler and the jitter of restarts. `secret` must be unknown to
    /// whoever sends datagrams, and so does not follow from a seed that is configured.
    #[must_use]
    pub fn new(mut io: I, limits: Limits, exchange: ExchangeLimits, seed: u64, secret: [u8; 16]) -> Self {
        let now = io.now();
        let (mut own, mut host) = (OwnAddresses::default(), HostAddresses::default());
        host.read_all(&mut io, &mut own, now.mono_ns);
        let waiting = Waiting::new(&limits, io.can_rest());
        let core = Core {
            io,
            exchange: Exchange::new(exchange),
            limits,
            shortcuts: Shortcuts::default(),
            timers: Timers::default(),
            delayed: Delayed::new(limits.delayed_datagrams, limits.delayed_bytes),
            sessions: Sessions::default(),
            own,
            host,
            handler_budget: Arc::new(
                HandlerBudget::new(limits.handler_bytes.unwrap_or(HANDLER_BYTES) as u64),
            ),
            budgets: Budgets::new(limits.reply_prefixes, secret),
            backlog_bytes: 0,
            kept_bytes: 0,
            now,
            seed,
            rng: StdRng::seed_from_u64(seed),
            timer_requests: Vec::new(),
            wakes: None,
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
            groups: Groups::default(),
            core,
        }
    }

    /// Bytes of a listener's slot. A listener takes more memory for its handler and the host's record of it.
    pub const SLOT_BYTES: usize = size_of::<Listener<I::Socket>>();

    /// Makes room for so many listeners at once. Growing step by step would leave gaps in the heap.
    pub fn reserve(&mut self, listeners: usize) {
        self.listeners.reserve_exact(listeners);
        self.core.own.reserve(listeners);
        self.sampler.reserve(listeners);
    }

    /// Chooses the shortcuts that the loop takes; without this call it takes all.
    pub fn set_shortcuts(&mut self, shortcuts: Shortcuts) {
        self.core.shortcuts = shortcuts;
    }

    /// The socket of a listener; none if the listener was removed.
    #[must_use]
    pub fn socket(&self, token: Token) -> Option<&I::Socket> {
        let listener = self.listeners.get(token.index as usize).filter(|listener| listener.token == token)?;
        Some(&listener.socket)
    }

    /// Gives a listener another tag; none if there is no such listener.
    pub fn set_tag(&mut self, token: Token, tag: u64) -> Option<()> {
        current(&mut self.listeners, token).map(|listener| listener.tag = tag)
    }

    /// The I/O of the reactor, for tests that simulate the network.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.core.io
    }

    /// A report of every listener: what it has counted so far.
    pub fn reports(&self) -> impl Iterator<Item = ListenerReport<'_>> {
        self.listeners.iter().map(|(_, listener)| listener.report())
    }

    /// Whether the conservation equations (invariant I1) hold for every listener.
    pub(super) fn conserves(&self) -> bool {
        let holds = |l: &Listener<I::Socket>| {
            l.counters.conservation(l.waiting()).holds() && l.family.as_ref().is_none_or(|f| f.conserves())
        };
        self.listeners.iter().all(|(_, listener)| holds(listener))
    }
}

impl<I: Io> Core<I> {
    /// The part of the core that sending needs.
    #[inline]
    pub(super) fn transmitter(&mut self) -> Transmitter<'_, I> {
        let Self { io, limits, backlog_bytes, now, .. } = self;
        Transmitter { io, limits, backlog_bytes, now_ns: now.mono_ns }
    }
}

/// The listener that a token names, unless its slot has a new owner.
pub(super) fn current<S>(listeners: &mut Slab<Listener<S>>, token: Token) -> Option<&mut Listener<S>> {
    listeners.get_mut(token.index as usize).filter(|listener| listener.token == token)
}
