//! Where messages leave: the socket of a listener, or that of a session.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::limits::Limits;
use crate::metrics::DropReason;
use crate::reactor::io::{Interest, Io, Message};
use crate::reactor::listener::{Backlog, BacklogLimits, Listener, Repeats};
use crate::reactor::tap::Place;

/// A socket with its books and its backlog, as sending sees it.
pub(crate) trait Outlet<I: Io>: fmt::Display {
    /// Sends by its socket, see [`Io::send`].
    fn send(&mut self, io: &mut I, messages: &[Message<'_>]) -> io::Result<usize>;

    /// Watches its socket; false when the system refuses.
    fn watch_for(&mut self, io: &mut I, interest: Interest) -> bool;

    /// What waits for room in the socket.
    fn backlog(&mut self) -> &mut Backlog;

    /// How much of it may wait.
    fn backlog_limits(&self, limits: &Limits) -> BacklogLimits;

    /// The taps that see what leaves, a bit each.
    fn tapped(&self) -> u8;

    /// Where they see it.
    fn place(&self) -> Place<'_>;

    /// Counts datagrams that have left, and their payload bytes.
    fn note_sent(&mut self, datagrams: u64, bytes: u64);

    /// Counts datagrams that will not leave.
    fn note_dropped(&mut self, reason: DropReason, datagrams: u64);

    /// Counts a segmented message that the kernel refused.
    fn note_segments_refused(&mut self);

    /// Until this moment it sends no segmented message, monotonic ns.
    fn no_segments_until(&mut self) -> &mut u64;

    /// Whether its socket is unusable.
    fn is_broken(&self) -> bool;

    /// Notes that its socket is unusable.
    fn break_down(&mut self);

    /// What follows from that, in words.
    fn what_ends(&self) -> &'static str;

    /// What was said about failed sends.
    fn failures(&mut self) -> &mut Repeats;

    /// Where a message goes that names no destination.
    fn peer(&self) -> SocketAddr;
}

impl<I: Io> Outlet<I> for Listener<I::Socket> {
    #[inline]
    fn send(&mut self, io: &mut I, messages: &[Message<'_>]) -> io::Result<usize> {
        io.send(&mut self.socket, messages)
    }

    fn watch_for(&mut self, io: &mut I, interest: Interest) -> bool {
        Self::watch_for(self, io, interest)
    }

    #[inline]
    fn backlog(&mut self) -> &mut Backlog {
        &mut self.backlog
    }

    fn backlog_limits(&self, limits: &Limits) -> BacklogLimits {
        BacklogLimits {
            datagrams: limits.backlog_datagrams,
            bytes: limits.backlog_bytes,
            total_bytes: limits.backlog_total_bytes,
        }
    }

    #[inline]
    fn tapped(&self) -> u8 {
        self.tapped
    }

    fn place(&self) -> Place<'_> {
        Self::place(self)
    }

    #[inline]
    fn note_sent(&mut self, datagrams: u64, bytes: u64) {
        self.counters.sent += datagrams;
        self.counters.sent_bytes += bytes;
    }

    fn note_dropped(&mut self, reason: DropReason, datagrams: u64) {
        self.counters.drop_many(reason, datagrams);
    }

    fn note_segments_refused(&mut self) {
        self.counters.segments_refused += 1;
    }

    #[inline]
    fn no_segments_until(&mut self) -> &mut u64 {
        &mut self.no_segments_until
    }

    #[inline]
    fn is_broken(&self) -> bool {
        self.broken
    }

    fn break_down(&mut self) {
        self.broken = true;
    }

    fn what_ends(&self) -> &'static str {
        "the listener is closed"
    }

    fn failures(&mut self) -> &mut Repeats {
        self.failures.get_or_insert_default()
    }

    fn peer(&self) -> SocketAddr {
        self.local
    }
}
