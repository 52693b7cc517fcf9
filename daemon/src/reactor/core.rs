//! The reactor, a value with one owner thread, and what a visit works with.

use std::ops::Range;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;

use super::bundle::{Bundles, Errands};
use super::change::{ChangeDone, ChangeRefused, Changing, Trial};
use super::due::{Delayed, ReadyList, Timers};
use super::grace::Ending;
use super::io::{Event, Io, Needs, Now, Token, nanos};
use super::listener::{Listener, ListenerReport, Removed, Standing};
use super::probe::{CallSample, CallTimes, HostAddresses, Network, PeerWatch, PeersSeen, Sampler, SlowWatch};
use super::send::Transmitter;
use super::session::Sessions;
use super::tap::Taps;
use super::waiting::Waiting;
use crate::exchange::{Exchange, ExchangeLimits};
use crate::guard::{Budgets, OwnAddresses};
use crate::limits::{HANDLER_BYTES, Limits};
use crate::plugin::{HandlerBudget, TimerRequest, WakeList};

/// Owns every listener and runs the loop.
#[derive(Debug)]
pub struct Reactor<I: Io> {
    pub(super) listeners: Slab<Listener<I::Socket>>,
    /// Slots that ever had a listener: there may be room for many more.
    pub(super) used_slots: usize,
    /// Generation of the listener that was added last.
    pub(super) generation: u32,
    pub(super) ready: ReadyList,
    pub(super) sampler: Sampler,
    pub(super) network: Network,
    /// A change that is being made, or whose former handlers are not all destroyed yet.
    pub(super) change: Option<Box<Changing<I::Socket>>>,
    /// How many changes were begun; none has the number 0.
    pub(super) changes: u32,
    /// The number of the one that was made last.
    pub(super) made: u32,
    /// What is left of listeners that were removed by a change, until their owner takes it.
    pub(super) removed: Vec<Removed<I::Socket>>,
    /// Sockets of newcomers that were never served, until their owner takes them.
    pub(super) unserved: Vec<I::Socket>,
    /// Listeners that leave are not removed for now.
    pub(super) keeps_leaving: bool,
    /// The most processor time that a turn has taken for changes since somebody looked, ns.
    pub(super) step_ns: u64,
    /// What has become of the last one.
    pub(super) changed: Option<Result<ChangeDone, Vec<ChangeRefused>>>,
    /// How far the end is, once it was asked for.
    pub(super) ending: Option<Box<Ending>>,
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
    /// The addresses that have a handler together.
    pub(super) bundles: Bundles,
    /// What a visit has left to be done for other addresses.
    pub(super) errands: Errands,
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
    /// Somebody asks who sends most to a listener: a look at it for each receive call.
    pub(super) looks_at_peers: bool,
    pub(super) peers: PeerWatch,
    /// What served before the last changes.
    pub(super) trial: Trial,
    /// When there is something to do for a change or a trial, monotonic ns; `u64::MAX` is never.
    pub(super) change_at_ns: u64,
    /// When the owner wants to look, monotonic ns; `u64::MAX` is never. Part of the one above.
    pub(super) attend_at_ns: u64,
    pub(super) slow: SlowWatch,
    /// How long handlers take.
    pub(super) sample: CallSample,
    pub(super) waiting: Waiting,
    /// Who sees what enters and leaves.
    pub(super) taps: Taps,
    /// What listeners need whose sockets somebody else still reads; none: nothing is held back.
    pub(super) held_back: Option<Vec<(Token, Needs)>>,
    /// Memory for the events of one turn, used again by the next.
    pub(super) events: Vec<Event>,
}

/// What waits in a reactor, and what it holds for handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Datagrams that leave later.
    pub delayed_datagrams: usize,
    /// Their payload bytes.
    pub delayed_bytes: usize,
    /// Payload bytes that wait for room in sockets.
    pub backlog_bytes: usize,
    /// Bytes that are kept for handlers that are to be made again.
    pub kept_bytes: usize,
    /// Tickets for later answers, of which some may be too old.
    pub tickets: usize,
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
            bundles: Bundles::default(),
            errands: Errands::default(),
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
            looks_at_peers: false,
            peers: PeerWatch::default(),
            trial: Trial::default(),
            change_at_ns: u64::MAX,
            attend_at_ns: u64::MAX,
            slow: SlowWatch::new(nanos(limits.slow_batch)),
            sample: CallSample::new(seed),
            waiting,
            taps: Taps::default(),
            held_back: None,
            events: Vec::new(),
        };
        Self {
            listeners: Slab::new(),
            generation: 0,
            ready: ReadyList::default(),
            used_slots: 0,
            sampler: Sampler::default(),
            network: Network::default(),
            change: None,
            changes: 0,
            made: 0,
            removed: Vec::new(),
            unserved: Vec::new(),
            keeps_leaving: false,
            step_ns: 0,
            changed: None,
            ending: None,
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

    /// The socket of a listener, to give it other options; none if the listener was removed.
    pub fn socket_mut(&mut self, token: Token) -> Option<&mut I::Socket> {
        current(&mut self.listeners, token).map(|listener| &mut listener.socket)
    }

    /// A listener needs this of the network from now on, and nothing of before.
    pub fn set_needs(&mut self, token: Token, needs: Needs) {
        let Self { listeners, core, network, .. } = self;
        let Some(listener) = current(listeners, token) else { return };
        if network.replace(&mut core.io, listener, needs) {
            core.host.changed(core.now.mono_ns);
        }
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
        self.listeners
            .iter()
            .map(|(_, listener)| listener)
            .filter(|it| self.is_known(it))
            .map(Listener::report)
    }

    /// Whether a listener is one of those that its owner knows of.
    fn is_known(&self, listener: &Listener<I::Socket>) -> bool {
        listener.standing != Standing::Coming && !self.has_left(listener)
    }

    /// Whether a listener has left with a change, and is not removed yet.
    pub(super) fn has_left(&self, listener: &Listener<I::Socket>) -> bool {
        // Of a change that was refused nothing is left to be undone: its number is never that of one that was made.
        listener.leaving != 0 && listener.leaving == self.made
    }

    /// How many slots there are that have a listener, or had one.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.used_slots
    }

    /// A report of every listener in these slots: a part of [`Self::reports`] for who may not look at all of them at once.
    pub fn reports_in(&self, slots: Range<usize>) -> impl Iterator<Item = ListenerReport<'_>> {
        let there = slots.filter_map(|slot| self.listeners.get(slot));
        there.filter(|listener| self.is_known(listener)).map(Listener::report)
    }

    /// How long calls of the handlers of a listener took, by its name, if any was timed for it.
    #[must_use]
    pub fn call_times(&self, name: &str) -> Option<&CallTimes> {
        self.core.sample.of(name)
    }

    /// Samples of call times that were not kept, since too many listeners have some.
    #[must_use]
    pub fn call_times_left_out(&self) -> u64 {
        self.core.sample.left_out()
    }

    /// Forgets the call times of listeners whose names `stays` does not know.
    pub fn retain_call_times(&mut self, stays: impl FnMut(&str) -> bool) {
        self.core.sample.retain(stays);
    }

    /// Who sends most to the addresses of the listener `name`, as many as `most`. They are looked at from the first question on, until
    /// ten seconds after the last.
    pub fn top_peers(&mut self, name: &str, most: usize) -> PeersSeen {
        self.core.looks_at_peers = true;
        self.core.peers.ask(name, most, self.core.now.mono_ns)
    }

    /// How many sessions all handlers may have together.
    #[must_use]
    pub fn most_sessions(&self) -> usize {
        self.core.limits.sessions
    }

    /// Says how many sessions all handlers may have together from now on; those that there are stay.
    pub fn limit_sessions(&mut self, most: usize) {
        self.core.limits.sessions = most;
    }

    /// What waits and what is held for handlers, of all listeners together.
    #[must_use]
    pub fn held(&self) -> Held {
        let Core { delayed, backlog_bytes, kept_bytes, exchange, .. } = &self.core;
        let (delayed_datagrams, delayed_bytes) = delayed.held_by_all();
        Held {
            delayed_datagrams,
            delayed_bytes,
            backlog_bytes: *backlog_bytes,
            kept_bytes: *kept_bytes,
            tickets: exchange.tickets(),
        }
    }

    /// Whether a change goes on for so many listeners that a look at all of them in each turn would take a debug
    /// build minutes.
    pub(super) fn is_moving_many(&self) -> bool {
        self.change.is_some() && self.listeners.len() > 1000
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
        let Self { io, limits, backlog_bytes, now, taps, .. } = self;
        Transmitter { io, limits, backlog_bytes, taps, now_ns: now.mono_ns }
    }
}

/// The listener that a token names, unless its slot has a new owner.
pub(super) fn current<S>(listeners: &mut Slab<Listener<S>>, token: Token) -> Option<&mut Listener<S>> {
    listeners.get_mut(token.index as usize).filter(|listener| listener.token == token)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::plugin::CACHE_LINE;
    use crate::reactor::mio::MioIo;

    #[test]
    fn what_a_receive_call_asks_about_peers_lies_beside_what_it_reads_anyway() {
        let (flag, read) = (offset_of!(Core<MioIo>, looks_at_peers), offset_of!(Core<MioIo>, shortcuts));
        assert!(flag.abs_diff(read) < CACHE_LINE / 4, "{flag} and {read} bytes");
    }
}
