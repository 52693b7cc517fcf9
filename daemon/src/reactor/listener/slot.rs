//! One bound UDP address with its handler: a slot of the slab.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::rc::Rc;
use std::sync::Arc;

use super::backlog::Backlog;
use super::fault::Faults;
use super::marks::Marks;
use super::pace::Pace;
use super::polling::Polling;
use super::repeats::Repeats;
use super::report::{ListenerReport, ListenerState, Removed};
use super::seen::Seen;
use super::watch::Watch;
use crate::access::Access;
use crate::exchange::{Facts, TicketCounts};
use crate::guard::{self, Counted};
use crate::metrics::{Counters, DropReason};
use crate::plugin::{CACHE_LINE, Cells, GroupRequest, Instance, Plugin, Values};
use crate::reactor::bundle::Seat;
use crate::reactor::io::{Needs, Outgoing, Token};
use crate::reactor::session::Family;
use crate::reactor::tap::Place;
use crate::reply::{ReplyPolicy, ReplyTtl};

/// What the daemon does when a handler breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// It is made again, after a wait that grows with each break and never ends. Datagrams are read, dropped and counted
    /// until then.
    #[default]
    Restart,
    /// It is not made again. Datagrams are read, dropped and counted.
    Off,
    /// The daemon stops.
    Exit,
}

/// What [`crate::reactor::Reactor::add`] needs to make a listener.
#[derive(Debug)]
pub struct ListenerSpec<S> {
    /// Name in the configuration, shared by all addresses of an entry.
    pub name: Arc<str>,
    /// The bound address.
    pub local: SocketAddr,
    /// The bound socket.
    pub socket: S,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its checked options.
    pub values: Rc<Values>,
    /// What the daemon does when the handler breaks.
    pub on_fault: OnFault,
    /// Who may talk to it; none is anybody.
    pub access: Option<Arc<Access>>,
    /// What it may answer, and to whom.
    pub reply: Rc<ReplyPolicy>,
    /// What it needs of the network beside its socket.
    pub needs: Needs,
    /// How its socket sends, and those of its sessions.
    pub outgoing: Rc<Outgoing>,
    /// Drops of the kernel at this socket that are counted elsewhere already, modulo 2^32.
    pub kernel_drops_seen: u32,
    /// Most sessions that its handler may have; none is what the limits allow.
    pub sessions: Option<usize>,
    /// Other listeners may have sessions to it although its handler has sessions itself.
    pub chain: bool,
    /// Comes back in reports; means nothing to the reactor.
    pub tag: u64,
}

/// The state of a listener's handler.
#[derive(Debug)]
pub(crate) enum Service {
    /// The handler serves datagrams.
    Running(Instance),
    /// The handler broke, and a timer makes it again.
    Down,
    /// The handler broke and is not to be made again, or the socket is unusable.
    Failed,
}

/// Whether a listener is one of those that its owner knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    #[default]
    Here,
    /// It has its handler, and serves when the change is made that it is part of. Until then it counts as broken: no
    /// event of it means anything.
    Coming,
    /// It is not read until its owner says so.
    Paused,
    /// It is not read any more, and goes on with what it has.
    Draining,
}

/// One bound UDP address with its handler. The fields of every visit come first and fill cache lines: with a thousand
/// busy listeners none of them is in the cache, and a visit waits for each line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Listener<S> {
    pub(crate) token: Token,
    /// The listener is on the ready list.
    pub(crate) ready: bool,
    /// The socket is unusable, so no call on it makes sense any more; or nothing is served by it yet.
    pub(crate) broken: bool,
    /// The sampler of kernel drops knows that the listener was visited.
    pub(crate) marked: bool,
    /// Whose datagrams its budget counts.
    pub(crate) counted: Counted,
    /// Answers leave with the TTL or hop limit of their request, less one, and this at most; 0: with the socket's.
    pub(crate) farthest: u8,
    pub(crate) marks: Marks,
    /// The taps that see it, a bit each.
    pub(crate) tapped: u8,
    /// What brings the listener back after a visit.
    pub(crate) watch: Watch,
    /// Whether it is cheaper to poll the listener or to watch it.
    pub(crate) polling: Polling,
    /// How the next visit receives.
    pub(crate) pace: Pace,
    pub(crate) service: Service,
    pub(crate) socket: S,
    pub(crate) local: SocketAddr,
    pub(crate) backlog: Backlog,
    pub(crate) counters: Counters,
    /// Until this moment no segmented message is sent, monotonic ns.
    pub(crate) no_segments_until: u64,
    /// Datagrams of this listener among the delayed ones.
    pub(crate) delayed: u64,
    /// The kernel's count of drops when the sampler read it last, modulo 2^32.
    pub(crate) kernel_drops_seen: u32,
    /// It goes with the change of this number, if that is made; 0: with none. Beside its standing, which it keeps if the
    /// change is refused.
    pub(crate) leaving: u32,
    /// A number that the owner chose.
    pub(crate) tag: u64,
    /// Its sessions, if its plugin has any.
    pub(crate) family: Option<Box<Family>>,
    /// Its place among the addresses of its handler, if that serves several. In a box, because few have one.
    pub(crate) seat: Option<Box<Seat>>,
    pub(crate) on_fault: OnFault,
    /// Other listeners may have sessions to it although its handler has sessions itself.
    pub(crate) chain: bool,
    /// Nothing is received any more: the service ends.
    pub(crate) deaf: bool,
    /// The last change of what the socket is watched for failed; only the first of such failures in a row is logged.
    pub(crate) watch_failed: bool,
    pub(crate) standing: Standing,
    pub(crate) name: Arc<str>,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) values: Rc<Values>,
    /// Who may talk to it; none is anybody.
    pub(crate) access: Option<Arc<Access>>,
    /// What it may answer, and to whom. Looked at only for the few destinations that a policy speaks of.
    pub(crate) reply: Rc<ReplyPolicy>,
    pub(crate) cells: Cells,
    /// What the handler wants to know of datagrams.
    pub(crate) wanted: Facts,
    /// The breaks of the handler. Most handlers never break, so this is made at the first break.
    pub(crate) faults: Option<Box<Faults>>,
    /// The drops that the log may know of. Most listeners never have one.
    pub(crate) seen: Seen,
    /// What was said about failed sends. Most listeners never have one.
    pub(crate) failures: Option<Box<Repeats>>,
}

/// Bytes at the beginning of a listener that a visit touches.
pub(crate) const HOT_BYTES: usize = 3 * CACHE_LINE;

/// How far answers travel that leave with the TTL or hop limit of their request, less one; 0 where they do not.
pub(crate) fn farthest(reply: &ReplyPolicy, ttl: Option<NonZeroU8>) -> u8 {
    if reply.ttl == ReplyTtl::Decay { guard::farthest(ttl) } else { 0 }
}

impl<S> Listener<S> {
    /// A listener without a handler. `segments` is whether its socket takes segmented messages.
    pub(crate) fn new(token: Token, spec: ListenerSpec<S>, segments: bool) -> Self {
        let mut marks = Marks::default();
        marks.restrict(spec.access.is_some());
        Self {
            token,
            name: spec.name,
            local: spec.local,
            socket: spec.socket,
            plugin: spec.plugin,
            values: spec.values,
            on_fault: spec.on_fault,
            chain: spec.chain,
            counted: Counted::by(spec.reply.budget.as_ref()),
            farthest: farthest(&spec.reply, spec.outgoing.ttl),
            marks,
            tapped: 0,
            access: spec.access,
            reply: spec.reply,
            service: Service::Down,
            cells: Cells::default(),
            counters: Counters::default(),
            backlog: Backlog::default(),
            delayed: 0,
            ready: false,
            broken: false,
            deaf: false,
            standing: Standing::Here,
            marked: false,
            watch_failed: false,
            kernel_drops_seen: spec.kernel_drops_seen,
            leaving: 0,
            tag: spec.tag,
            family: None,
            seat: None,
            wanted: Facts::NONE,
            no_segments_until: if segments { 0 } else { u64::MAX },
            watch: Watch::default(),
            polling: Polling::default(),
            pace: Pace::default(),
            faults: None,
            failures: None,
            seen: None,
        }
    }

    /// Where a tap sees its datagrams.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { name: &self.name, local: self.local, tapped: self.tapped, upstream: false }
    }

    /// Its place among the addresses of its handler, if that serves several.
    pub(crate) fn seat(&self) -> Option<Seat> {
        self.seat.as_deref().copied()
    }

    /// Whether other listeners may not have sessions to it: its handler has sessions itself, by which a datagram might go on for
    /// ever.
    pub(crate) fn is_closed(&self) -> bool {
        self.plugin.has_sessions() && !self.chain
    }

    /// Whether it has its handler together with the addresses of this bundle.
    pub(crate) fn is_of(&self, bundle: Token) -> bool {
        self.seat().is_some_and(|seat| seat.bundle == bundle)
    }

    /// Under which name the timers of its handler are armed.
    pub(crate) fn timers(&self) -> Token {
        self.seat().map_or(self.token, |seat| seat.bundle)
    }

    /// What the listener has counted so far.
    pub(crate) fn report(&self) -> ListenerReport<'_> {
        ListenerReport {
            token: self.token,
            tag: self.tag,
            state: self.state(),
            name: &self.name,
            local: self.local,
            plugin: self.plugin.name(),
            counters: &self.counters,
            waiting: self.waiting(),
            cells: &self.cells,
            sessions: self.family.as_deref().map(Family::report),
        }
    }

    /// How it is served.
    fn state(&self) -> ListenerState {
        match (&self.service, self.broken, self.deaf) {
            (_, true, _) | (Service::Failed, ..) => ListenerState::Failed,
            (Service::Down, ..) => ListenerState::Down,
            (Service::Running(_), false, false) => ListenerState::Serving,
            (Service::Running(_), false, true) if self.standing == Standing::Draining => {
                ListenerState::Draining
            }
            (Service::Running(_), false, true) => ListenerState::Paused,
        }
    }

    /// Destroys the handler, and returns what is left of the listener.
    pub(crate) fn into_removed(self) -> Removed<S> {
        let Self { name, local, socket, service, cells, counters, family, tag, .. } = self;
        // The handler goes first, because `destroy` may still count in the cells.
        drop(service);
        let sessions = family.map(|family| family.into_book());
        Removed { name, local, socket, counters, cells, sessions, tag }
    }

    /// Prefetches what a visit touches outside the slot. The slot must be in the cache already.
    #[inline]
    pub(crate) fn prefetch_handler(&self) {
        if let Service::Running(instance) = &self.service {
            instance.prefetch();
        }
    }

    /// Whether the handler that serves now has sessions.
    #[inline]
    pub(crate) fn has_sessions(&self) -> bool {
        matches!(&self.service, Service::Running(instance) if instance.has_sessions())
    }

    /// Counts a call of a function that returned an error, and logs the first.
    #[cold]
    pub(crate) fn note_error(&mut self, function: &str) {
        if self.counters.handler_errors == 0 {
            log::warn!(
                "{self}: the handler returned PP_ERROR (-1) from {function}; it goes on, and what it queued \
                 leaves; this is logged once"
            );
        }
        self.counters.handler_errors += 1;
    }

    /// Counts what a call did with tickets, and logs the first that it was refused; there are `most` for all handlers.
    #[cold]
    pub(crate) fn note_tickets(&mut self, counts: TicketCounts, most: usize) {
        if counts.refused > 0 && self.counters.tickets_refused == 0 {
            log::warn!(
                "{self}: too many tickets for later answers: there are {most}, a quarter of them for each handler; \
                 more are refused; this is logged once"
            );
        }
        self.counters.tickets_taken += counts.taken;
        self.counters.tickets_used += counts.used;
        self.counters.tickets_refused += counts.refused;
    }

    /// Counts a change of a group that failed, and logs the first.
    #[cold]
    pub(crate) fn note_group(&mut self, request: &GroupRequest, error: &std::io::Error) {
        let GroupRequest { joins, group, ifindex, .. } = request;
        if self.counters.groups_refused == 0 {
            let verb = if *joins { "join" } else { "leave" };
            log::warn!(
                "{self}: the handler cannot {verb} {group} on interface {ifindex}: {error}; this is logged once"
            );
        }
        self.counters.groups_refused += 1;
    }

    /// Counts timers that were refused because the handler has `limit` armed already, and logs the first.
    pub(crate) fn note_refused_timers(&mut self, refused: u64, limit: usize) {
        if refused > 0 && self.counters.timers_refused == 0 {
            log::warn!(
                "{self}: the handler has {limit} timers armed already; more are refused; this is logged once"
            );
        }
        self.counters.timers_refused += refused;
    }

    /// Drops `n` datagrams of this listener that were delayed, for want of room.
    pub(crate) fn drop_delayed(&mut self, n: u64) {
        self.delayed = self.delayed.saturating_sub(n);
        self.counters.drop_many(DropReason::DelayFull, n);
    }

    /// Datagrams that wait to be sent.
    pub(crate) fn waiting(&self) -> u64 {
        self.delayed + self.backlog.len() as u64
    }

    /// Datagrams that wait to be sent, by its sessions as well.
    pub(crate) fn all_waiting(&self) -> u64 {
        self.waiting() + self.family.as_ref().map_or(0, |family| family.report().waiting)
    }

    /// Largest payload of one datagram, bytes: 65,535 less the headers.
    pub(crate) fn max_payload(&self) -> u32 {
        if self.local.is_ipv4() { 65_507 } else { 65_527 }
    }
}

impl<S> fmt::Display for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {} {} (plugin {})", self.name, self.local, self.plugin.name())
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::reactor::mio::Socket;

    #[test]
    fn what_every_visit_touches_lies_in_the_lines_that_are_fetched() {
        let counters = offset_of!(Listener<Socket>, counters);
        let last_hot_counter = offset_of!(Counters, sent_bytes) + size_of::<u64>();
        assert!(counters + last_hot_counter <= HOT_BYTES, "{counters} + {last_hot_counter} bytes");
        assert_eq!(align_of::<Listener<Socket>>(), CACHE_LINE);
        assert!(size_of::<Listener<Socket>>() <= 12 * CACHE_LINE, "{} bytes", size_of::<Listener<Socket>>());
    }
}
