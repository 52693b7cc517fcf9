//! Who listens to which listeners, and the ways in for entries.

use std::net::SocketAddr;
use std::sync::Arc;

use super::staged::{Staged, source};
use crate::exchange::{Arrived, Exchange, Output};
use crate::metrics::DropReason;
use crate::reactor::io::Now;
use crate::tap::{Direction, Entry, Feed, TAPS, Verdict};

/// Where a datagram is seen: a listener, or one of its sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Name of the listener.
    pub(crate) name: &'a Arc<str>,
    /// The address of the socket.
    pub(crate) local: SocketAddr,
    /// The taps that see it, a bit each.
    pub(crate) tapped: u8,
    /// It is the socket of a session.
    pub(crate) upstream: bool,
}

/// A tap.
#[derive(Debug)]
struct Tap {
    feed: Feed,
    /// Names of listeners; none is all.
    names: Option<Vec<Arc<str>>>,
    /// All listeners know of it.
    is_on: bool,
}

/// An entry that waits until what it answers has been handed on, with its bytes.
#[derive(Debug)]
struct Waiting {
    entry: Entry,
    tapped: u8,
    bytes: (usize, usize),
}

/// The taps of a loop. Most have none.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    taps: [Option<Box<Tap>>; TAPS],
    staged: Staged,
    waiting: Vec<Waiting>,
    waiting_bytes: Vec<u8>,
    /// The listener is being served whose datagrams are staged.
    holds: bool,
    /// What makes Unix time of the time of the loop.
    wall_offset_ns: i64,
}

impl Taps {
    /// Adds a tap of the listeners with these names, or of all; nobody is seen before [`Self::turn_on`]. The number of the tap, or
    /// none if there are enough.
    pub(crate) fn add(&mut self, names: Option<Vec<Arc<str>>>, feed: Feed) -> Option<usize> {
        self.sweep();
        let (at, place) = self.taps.iter_mut().enumerate().find(|(_, place)| place.is_none())?;
        *place = Some(Box::new(Tap { feed, names, is_on: false }));
        Some(at)
    }

    /// Begins: every listener has its bit.
    pub(crate) fn turn_on(&mut self, at: usize) {
        if let Some(Some(tap)) = self.taps.get_mut(at) {
            tap.is_on = true;
        }
    }

    /// Forgets taps that nobody reads any more.
    pub(crate) fn sweep(&mut self) {
        for place in &mut self.taps {
            if place.as_ref().is_some_and(|tap| tap.feed.is_over()) {
                *place = None;
            }
        }
    }

    /// Ends all taps: the service ends.
    pub(crate) fn end(&mut self) {
        self.taps = Default::default();
    }

    /// The bits of all taps that there are.
    pub(crate) fn live(&self) -> u8 {
        self.taps.iter().enumerate().fold(0, |bits, (at, tap)| bits | u8::from(tap.is_some()) << at)
    }

    /// The bits of a listener with this name.
    pub(crate) fn bits(&self, name: &str) -> u8 {
        let wants = |tap: &Tap| tap.names.as_ref().is_none_or(|names| names.iter().any(|own| **own == *name));
        let bits = self.taps.iter().enumerate().filter(|(_, tap)| tap.as_deref().is_some_and(wants));
        bits.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// Copies what was received, before the handler sees it. `refused` says why one does not get that far.
    pub(crate) fn stage<'a>(
        &mut self,
        messages: impl Iterator<Item = &'a Arrived>,
        exchange: &Exchange,
        local: SocketAddr,
        now: Now,
        refused: impl Fn(&Arrived) -> Option<DropReason>,
    ) {
        self.holds = true;
        self.wall_offset_ns = now.wall_offset_ns;
        for arrived in messages {
            let refused = refused(arrived).map(|reason| Verdict::Dropped(reason.name()));
            self.staged.add((arrived, exchange.bytes_of(arrived)), local, now.mono_ns, refused);
        }
    }

    /// Notes what became of the datagrams of a call.
    pub(crate) fn settle(&mut self, n: usize, verdict: impl Fn(usize) -> Verdict) {
        self.staged.settle(n, verdict);
    }

    /// Notes what became of those whose sessions have ended.
    pub(crate) fn forget_sessions(&mut self, is_there: impl FnMut(u64) -> bool) {
        self.staged.forget_sessions(is_there, Verdict::Dropped(DropReason::OnPurpose.name()));
    }

    /// Hands on what is staged, and then what left meanwhile.
    pub(crate) fn hand_on(&mut self, place: Place<'_>) {
        let staged = std::mem::take(&mut self.staged);
        for came in &staged.came {
            // Whatever was shown was settled; what was not shown has no handler.
            let verdict = came.verdict.unwrap_or_else(|| Verdict::Dropped(DropReason::HandlerDown.name()));
            let latency_ns = came.answered_ns.map(|at_ns| at_ns.saturating_sub(came.arrived_ns));
            let entry = Entry {
                name: Arc::clone(place.name),
                at_ns: came.arrived_ns.saturating_add_signed(self.wall_offset_ns),
                direction: Direction::In,
                peer: came.peer,
                local: came.local,
                verdict,
                latency_ns,
                session: came.session,
                upstream: came.upstream,
                len: came.bytes.1 - came.bytes.0,
                payload: 0..0,
                tos: came.tos,
                ttl: came.ttl,
            };
            let payload = staged.bytes.get(came.bytes.0..came.bytes.1).unwrap_or_default();
            self.push(place.tapped, &entry, payload);
        }
        self.staged = staged;
        self.staged.clear();
        self.holds = false;
        for waiting in std::mem::take(&mut self.waiting) {
            let bytes = std::mem::take(&mut self.waiting_bytes);
            self.push(
                waiting.tapped,
                &waiting.entry,
                bytes.get(waiting.bytes.0..waiting.bytes.1).unwrap_or_default(),
            );
            self.waiting_bytes = bytes;
        }
        self.waiting_bytes.clear();
        self.flush();
    }

    /// An output has left, at `now`.
    pub(crate) fn sent(&mut self, place: Place<'_>, output: &Output<'_>, now: Now) {
        for (piece, datagram) in output.split().enumerate() {
            let came_ns = self.staged.answered(output, piece, now.mono_ns);
            let latency_ns = came_ns.map(|came_ns| now.mono_ns.saturating_sub(came_ns));
            self.leave(place, &datagram, now, Verdict::Sent, latency_ns);
        }
        self.flush_unless_held();
    }

    /// An output goes nowhere.
    pub(crate) fn dropped(&mut self, place: Place<'_>, output: &Output<'_>, now: Now, reason: DropReason) {
        for datagram in output.split() {
            self.leave(place, &datagram, now, Verdict::Dropped(reason.name()), None);
        }
        self.flush_unless_held();
    }

    /// Notes a datagram that leaves later.
    pub(crate) fn delayed(&mut self, output: &Output<'_>, piece: usize, now_ns: u64) {
        self.staged.delayed(output, piece, now_ns);
    }

    /// Datagrams were dropped on their way out of which there is nothing to show.
    pub(crate) fn missed(&self, tapped: u8, datagrams: u64) {
        if datagrams > 0 {
            self.on(tapped).for_each(|tap| tap.feed.miss(datagrams));
        }
    }

    fn on(&self, tapped: u8) -> impl Iterator<Item = &Tap> {
        let bits = self.taps.iter().enumerate().filter(move |(at, _)| tapped >> at & 1 == 1);
        bits.filter_map(|(_, tap)| tap.as_deref()).filter(|tap| tap.is_on)
    }

    fn leave(
        &mut self,
        place: Place<'_>,
        output: &Output<'_>,
        now: Now,
        verdict: Verdict,
        latency_ns: Option<u64>,
    ) {
        let entry = Entry {
            name: Arc::clone(place.name),
            at_ns: now.mono_ns.saturating_add_signed(now.wall_offset_ns),
            direction: Direction::Out,
            peer: output.to,
            local: source(output, place.local),
            verdict,
            latency_ns,
            session: output.session,
            upstream: place.upstream,
            len: output.payload.len(),
            payload: 0..0,
            tos: output.tos,
            ttl: output.hop_limit,
        };
        if self.holds {
            let begin = self.waiting_bytes.len();
            self.waiting_bytes.extend_from_slice(output.payload);
            let bytes = (begin, self.waiting_bytes.len());
            self.waiting.push(Waiting { entry, tapped: place.tapped, bytes });
        } else {
            self.push(place.tapped, &entry, output.payload);
        }
    }

    fn push(&mut self, tapped: u8, entry: &Entry, payload: &[u8]) {
        for (at, tap) in self.taps.iter_mut().enumerate() {
            if let Some(tap) = tap.as_mut().filter(|tap| tap.is_on && tapped >> at & 1 == 1) {
                tap.feed.push(entry, payload);
            }
        }
    }

    fn flush_unless_held(&mut self) {
        if !self.holds {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for place in &mut self.taps {
            if place.as_mut().is_some_and(|tap| !tap.feed.flush()) {
                *place = None;
            }
        }
    }
}
