//! What the loop needs from the world: sockets, readiness, and the time.

use crate::exchange::{Exchange, ReplySource};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

/// The I/O a reactor runs on. Calls do not block, [`Io::poll`] excepted.
pub trait Io {
    /// A bound UDP socket.
    type Socket;

    /// The time. Read once a turn, and once more at the end of one that did something.
    fn now(&mut self) -> Now;

    /// Processor time this thread has used, ns; read rarely, since it is a system call.
    fn cpu_ns(&mut self) -> u64;

    /// Waits until something is ready, no longer than `wait` says. Events may be spurious or stale. True when there may
    /// be more of them than one call tells.
    ///
    /// # Errors
    /// Only what makes waiting impossible; an interrupted wait is no events.
    fn poll(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<bool>;

    /// Whether [`Self::rest`] is exact to some microseconds; where it is not, the loop never rests.
    fn can_rest(&self) -> bool;

    /// Waits for so long, less than a second, or until a watched socket is ready; may end early.
    fn rest(&mut self, span: Duration);

    /// Starts to watch a socket for arrivals.
    ///
    /// # Errors
    /// As of the mechanism below.
    fn register(&mut self, socket: &mut Self::Socket, token: Token) -> io::Result<()>;

    /// Changes what a socket is watched for. What is possible already at that moment raises an event too.
    ///
    /// # Errors
    /// As of the mechanism below.
    fn watch(&mut self, socket: &mut Self::Socket, token: Token, interest: Interest) -> io::Result<()>;

    /// Forgets a socket that is about to be closed: it raises no event any more.
    ///
    /// # Errors
    /// As of the mechanism below.
    fn unregister(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Whether the system takes [`Message::segment`]. It says nothing of the device, which may refuse one.
    fn can_segment(&mut self, socket: &Self::Socket) -> bool;

    /// Lets the kernel join the datagrams of a peer into trains, or not; false where it cannot.
    fn set_trains(&mut self, socket: &mut Self::Socket, on: bool) -> bool;

    /// Datagrams the kernel dropped at this socket since it was made, where it tells; modulo 2^32.
    fn kernel_drops(&mut self, socket: &Self::Socket) -> Option<u32>;

    /// Receives at most `max` datagrams into the ring of `exchange` and describes them there.
    ///
    /// # Errors
    /// The errno of the call; `WouldBlock` when nothing waits. Interrupted calls are repeated below.
    fn receive(
        &mut self,
        socket: &mut Self::Socket,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received>;

    /// Sends messages in order: `Ok(n)` says that the first `n >= 1` left.
    ///
    /// # Errors
    /// The errno of the first message; none left.
    fn send(&mut self, socket: &mut Self::Socket, messages: &[Message<'_>]) -> io::Result<usize>;
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until this moment, monotonic ns.
    Until(u64),
    /// Until something happens.
    Forever,
}

/// The two clocks of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds; the only clock that drives timers.
    pub mono_ns: u64,
    /// `mono_ns + wall_offset_ns` is Unix time in nanoseconds.
    pub wall_offset_ns: i64,
}

/// Names a listener in an event: slot and generation, so that an event for a slot that has a new owner is
/// known to be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Index into the slab.
    pub index: u32,
    /// Which owner of that slot.
    pub generation: u32,
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A socket may be read (errors count as readable, so that they are taken) or written.
    Ready {
        /// Whose.
        token: Token,
        /// Datagrams or errors may wait.
        readable: bool,
        /// There may be room to send.
        writable: bool,
    },
    /// Somebody asked the process to stop.
    Stop,
}

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Arrivals.
    pub readable: bool,
    /// Room to send.
    pub writable: bool,
}

impl Interest {
    /// Arrivals only: the usual.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Both, while something waits to be sent.
    pub const READ_WRITE: Self = Self { readable: true, writable: true };
    /// Nothing, while the socket gives only errors.
    pub const NOTHING: Self = Self { readable: false, writable: false };
}

/// The result of a receive call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Messages taken from the socket; a train counts once.
    pub messages: usize,
    /// The listener need not be visited again before an event names it: either nothing waits, or what waits
    /// raises one.
    pub drained: bool,
}

/// One send: a datagram, or a train of equal ones.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Destination.
    pub to: &'a SocketAddr,
    /// Source; none lets the kernel choose.
    pub from: Option<&'a ReplySource>,
    /// The bytes, gathered in order.
    pub parts: &'a [IoSlice<'a>],
    /// Cut into datagrams of this size; none is one datagram.
    pub segment: Option<NonZeroU16>,
    /// ECN bits.
    pub ecn: u8,
}

/// A span in the nanoseconds of the monotonic clock; more than 584 years are as many as there are.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
