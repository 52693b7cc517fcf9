//! Where the datagrams of a session leave: by its own socket, counted in the book of its family.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::family::Family;
use super::slot::Session;
use super::slots::event_token;
use crate::exchange::Output;
use crate::limits::{Limits, SESSION_BACKLOG};
use crate::metrics::DropReason;
use crate::reactor::errno::is_about_earlier;
use crate::reactor::io::{Interest, Io, Message};
use crate::reactor::listener::{Backlog, BacklogLimits, Repeats};
use crate::reactor::send::{Outlet, Transmitter};
use crate::reactor::tap::Place;

/// A session as sending sees it.
#[derive(Debug)]
pub(super) struct SessionOutlet<'a, S> {
    pub(super) session: &'a mut Session<S>,
    pub(super) family: &'a mut Family,
    /// Name and address of the listener, and who taps it.
    pub(super) listener: Place<'a>,
}

impl<S> SessionOutlet<'_, S> {
    /// Sends outputs, and notes what waits after that.
    pub(super) fn transmit<I: Io<Socket = S>>(
        &mut self,
        transmitter: &mut Transmitter<'_, I>,
        outputs: &[Output<'_>],
    ) {
        let before = self.session.backlog.len() as u64;
        match outputs {
            [one] if one.segment == 0 && !self.session.broken => transmitter.transmit_one(self, one),
            _ => transmitter.transmit(self, outputs),
        }
        self.note_backlog(before);
        if !self.session.flags.idle_rx {
            self.session.heard_ns = transmitter.now_ns;
        }
    }

    /// Sends what waits for room.
    pub(super) fn flush<I: Io<Socket = S>>(&mut self, transmitter: Transmitter<'_, I>) {
        let before = self.session.backlog.len() as u64;
        transmitter.flush_backlog(self);
        self.note_backlog(before);
    }

    fn note_backlog(&mut self, before: u64) {
        let after = self.session.backlog.len() as u64;
        self.family.backlogged = (self.family.backlogged + after).saturating_sub(before);
    }
}

impl<S> fmt::Display for SessionOutlet<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { name, local, .. } = self.listener;
        write!(f, "listener {name} {local}: a session")
    }
}

impl<I: Io> Outlet<I> for SessionOutlet<'_, I::Socket> {
    /// An ICMP message about an earlier datagram fails the call, and this one has not left then: it is tried once more.
    fn send(&mut self, io: &mut I, messages: &[Message<'_>]) -> io::Result<usize> {
        let is_connected = self.session.upstream.get().is_some();
        let socket = &mut self.session.socket;
        let mut send =
            || if is_connected { io.send_connected(socket, messages) } else { io.send(socket, messages) };
        match send() {
            Err(error) if is_about_earlier(&error) => {
                self.family.book.errors_taken += 1;
                send()
            }
            result => result,
        }
    }

    fn watch_for(&mut self, io: &mut I, interest: Interest) -> bool {
        io.watch(&mut self.session.socket, event_token(self.session.id), interest).is_ok()
    }

    fn backlog(&mut self) -> &mut Backlog {
        &mut self.session.backlog
    }

    fn backlog_limits(&self, limits: &Limits) -> BacklogLimits {
        BacklogLimits {
            datagrams: limits.backlog_datagrams.min(SESSION_BACKLOG),
            bytes: limits.backlog_bytes,
            total_bytes: limits.backlog_total_bytes,
        }
    }

    #[inline]
    fn tapped(&self) -> u8 {
        self.listener.tapped
    }

    fn place(&self) -> Place<'_> {
        let local = self.session.local.get().unwrap_or(Output::UNNAMED);
        Place { local, upstream: true, ..self.listener }
    }

    fn note_sent(&mut self, datagrams: u64, bytes: u64) {
        self.family.book.counters.sent += datagrams;
        self.family.book.counters.sent_bytes += bytes;
        self.session.up.0 += datagrams;
        self.session.up.1 += bytes;
    }

    fn note_dropped(&mut self, reason: DropReason, datagrams: u64) {
        self.family.book.counters.drop_many(reason, datagrams);
        self.session.dropped += datagrams;
    }

    fn note_segments_refused(&mut self) {
        self.family.book.counters.segments_refused += 1;
    }

    fn no_segments_until(&mut self) -> &mut u64 {
        &mut self.session.no_segments_until
    }

    fn is_broken(&self) -> bool {
        self.session.broken
    }

    fn break_down(&mut self) {
        self.session.broken = true;
    }

    fn what_ends(&self) -> &'static str {
        "the session ends"
    }

    fn failures(&mut self) -> &mut Repeats {
        &mut self.family.failures
    }

    fn peer(&self) -> SocketAddr {
        self.session.upstream.get().unwrap_or(Output::UNNAMED)
    }
}
