//! What the loop needs from the world: sockets, readiness, and the time.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::rc::Rc;
use std::time::Duration;

use crate::exchange::{Exchange, Facts, ReplySource};
use crate::guard::LocalAddress;
use crate::plugin::{GroupRequest, Notify};

/// The I/O a reactor runs on. Calls do not block, [`Io::poll`] excepted.
pub trait Io {
    /// A bound UDP socket.
    type Socket;

    /// The time. The loop reads it once a turn, and once more at the end of a turn that did something.
    fn now(&mut self) -> Now;

    /// The time, with the wall clock of this very moment; [`Self::now`] may know it from a while ago. Where the two clocks are
    /// read one after another, the offset is too small by what lies between, never too large: a moment that is reckoned from the wall
    /// clock is not before the true one.
    fn read_clocks(&mut self) -> Now;

    /// Bytes for the secrets of a handler: of the operating system, different each time.
    ///
    /// # Errors
    /// The errno of `getrandom(2)`, which a system that has started does not give.
    fn secret(&mut self) -> io::Result<[u8; 32]>;

    /// A function that raises [`Event::Wake`] from any thread, also while [`Self::poll`] or [`Self::rest`] waits. Asked for
    /// once, when the first handler that can be woken is made.
    ///
    /// # Errors
    /// The errno of `eventfd(2)`, or of `kevent(2)`.
    fn notify(&mut self) -> io::Result<Notify>;

    /// Processor time that this thread has used, ns. The loop asks rarely, because it is a system call.
    fn cpu_ns(&mut self) -> u64;

    /// Waits until a socket is ready, no longer than `wait` says, and appends to `events`. An event may be spurious or
    /// stale. Returns true when more events may be there than one call gives.
    ///
    /// # Errors
    /// Only what makes waiting impossible, such as `EBADF` of `epoll_wait(2)`. An interrupted wait gives no events and
    /// no error.
    fn poll(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<bool>;

    /// Whether [`Self::rest`] is exact to some microseconds. If not, the loop never rests.
    fn can_rest(&self) -> bool;

    /// Waits for `span`, which is less than a second, or until a watched socket is ready. May end early.
    fn rest(&mut self, span: Duration);

    /// Starts to watch a socket for arrivals.
    ///
    /// # Errors
    /// The errno of `epoll_ctl(2)` or `kevent(2)`.
    fn register(&mut self, socket: &mut Self::Socket, token: Token) -> io::Result<()>;

    /// Changes what a socket is watched for. A socket that is ready for it already raises an event too.
    ///
    /// # Errors
    /// The errno of `epoll_ctl(2)` or `kevent(2)`.
    fn watch(&mut self, socket: &mut Self::Socket, token: Token, interest: Interest) -> io::Result<()>;

    /// Stops watching a socket for good: it raises no event any more.
    ///
    /// # Errors
    /// The errno of `epoll_ctl(2)` or `kevent(2)`.
    fn unregister(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Whether the system takes [`Message::segment`] (`UDP_SEGMENT` of `udp(7)`). The device may still refuse a
    /// segmented message.
    fn can_segment(&mut self, socket: &Self::Socket) -> bool;

    /// Lets the kernel join datagrams of one peer into trains (`UDP_GRO` of `udp(7)`), or not. Returns false where the
    /// system cannot, and where the time of each datagram is wanted.
    fn set_trains(&mut self, socket: &mut Self::Socket, on: bool) -> bool;

    /// Asks a socket to tell these facts of each datagram, and no longer those of an earlier call, and returns all that it
    /// tells. A socket that tells the time must not join datagrams into trains, which have one time for all.
    fn want(&mut self, socket: &mut Self::Socket, facts: Facts) -> Facts;

    /// Datagrams that the kernel has dropped at this socket since it was made, modulo 2^32; none where it does not
    /// tell.
    fn kernel_drops(&mut self, socket: &Self::Socket) -> Option<u32>;

    /// Reads a part of the addresses that the system treats as local, and appends it to `into`. `again` begins anew.
    ///
    /// # Errors
    /// Why they cannot be read; the next call begins anew.
    fn read_addresses(&mut self, again: bool, into: &mut Vec<LocalAddress>) -> io::Result<AddressReading>;

    /// Whether [`Event::Addresses`] comes when addresses may have changed. If not, they have to be read now and then.
    fn tells_of_addresses(&self) -> bool;

    /// The index of the network interface with this name, if there is one.
    fn interface_index(&mut self, name: &str) -> Option<u32>;

    /// From now on [`Event::Addresses`] comes for interfaces as well, and readings have them: see [`Self::links`]. Reads them once.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn watch_links(&mut self) -> io::Result<()>;

    /// The interfaces as the last reading found them; none before [`Self::watch_links`].
    fn links(&self) -> Vec<Link>;

    /// Ties a socket to the interface that has this name now, whatever it was tied to.
    ///
    /// # Errors
    /// Those of `SO_BINDTODEVICE` of `socket(7)`; then the socket hears nothing.
    fn tie(&mut self, socket: &mut Self::Socket, device: &str) -> io::Result<()>;

    /// Leaves a group on the interface it was joined on, which may be gone, and joins it on another.
    ///
    /// # Errors
    /// Those of `MCAST_JOIN_GROUP` of `ip(7)`; `EADDRINUSE` if it is joined there already.
    fn move_group(&mut self, socket: &mut Self::Socket, group: &Group, ifindex: u32) -> io::Result<()>;

    /// Has a socket join or leave a group.
    ///
    /// # Errors
    /// Those of `MCAST_JOIN_GROUP` and `MCAST_LEAVE_GROUP` of `ip(7)`.
    fn change_group(&mut self, socket: &mut Self::Socket, request: &GroupRequest) -> io::Result<()>;

    /// Receives at most `max` messages into the ring of `exchange`, behind those that are there, and describes them.
    ///
    /// # Errors
    /// The errno of `recvmmsg(2)` or `recvfrom(2)`; `WouldBlock` when no datagram waits. The implementation repeats
    /// interrupted calls.
    fn receive(
        &mut self,
        socket: &mut Self::Socket,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received>;

    /// Sends messages in order. `Ok(n)` says that the first `n` have left, at least one.
    ///
    /// # Errors
    /// The errno of `sendmmsg(2)` or `sendto(2)` for the first message; then none has left.
    fn send(&mut self, socket: &mut Self::Socket, messages: &[Message<'_>]) -> io::Result<usize>;

    /// Sends messages as [`Self::send`] does, by a socket that is connected, to its peer.
    ///
    /// # Errors
    /// Those of [`Self::send`], and what an ICMP message said about an earlier datagram: then the first message has not left,
    /// and the same call again tries it.
    fn send_connected(&mut self, socket: &mut Self::Socket, messages: &[Message<'_>]) -> io::Result<usize>;

    /// Makes the socket of a session.
    ///
    /// # Errors
    /// The errno of `socket(2)`, `bind(2)` or `connect(2)`.
    fn open(&mut self, dial: &Dial) -> io::Result<Self::Socket>;

    /// The address of a socket; none if the system does not say.
    fn local(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// Stops watching the socket of a session and closes it.
    fn close(&mut self, socket: Self::Socket);

    /// Takes what the network said about the datagrams of a session, at most [`MOST_ERRORS`], and appends it to `into`. False
    /// where the system keeps no such list; then the errors of calls are all there is.
    fn errors(&mut self, socket: &mut Self::Socket, into: &mut Vec<NetError>) -> bool;
}

/// Most errors that are taken from a socket at once.
pub const MOST_ERRORS: usize = 16;

/// How the sockets of a listener send, those of its sessions as well, where nothing says another way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The name of the one interface, or VRF, by which they hear and send.
    pub device: Option<String>,
    /// TOS or traffic class; none is 0.
    pub tos: Option<u8>,
    /// TTL or hop limit; none is the system's.
    pub ttl: Option<NonZeroU8>,
}

/// What the socket of a session shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The peer it is connected to; none: anybody may send to it.
    pub to: Option<SocketAddr>,
    /// Where it is bound; none leaves that to the system.
    pub from: Option<SocketAddr>,
    /// Its family if neither of the two says it.
    pub ipv6: bool,
    /// It never fragments.
    pub df: bool,
    /// Receive buffer to ask for, bytes.
    pub recv_buffer: Option<usize>,
    /// Send buffer to ask for, bytes.
    pub send_buffer: Option<usize>,
    /// How it sends: as its listener does.
    pub outgoing: Rc<Outgoing>,
}

/// What the network said about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetError {
    /// The errno it stands for.
    pub errno: i32,
    /// The bytes that the path takes, headers included; 0 is unknown.
    pub mtu: u32,
    /// The router or host that said so; none is this host.
    pub reporter: Option<IpAddr>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Do not wait.
    No,
    /// Wait until this moment, monotonic ns.
    Until(u64),
    /// Wait until there is an event.
    Forever,
}

impl Wait {
    /// A span from the moment `now_ns` on, cut short by the deadline of the wait.
    pub(crate) fn at_most(self, span: Duration, now_ns: u64) -> Duration {
        match self {
            Self::Until(at_ns) => span.min(Duration::from_nanos(at_ns.saturating_sub(now_ns))),
            Self::No | Self::Forever => span,
        }
    }
}

/// The two clocks of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds. Only this clock drives timers.
    pub mono_ns: u64,
    /// `mono_ns + wall_offset_ns` is Unix time in nanoseconds.
    pub wall_offset_ns: i64,
}

/// The name of a listener in an event: slot and generation. The generation shows that an event is stale, because the
/// slot has a new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Index into the slab.
    pub index: u32,
    /// Number of the owner of that slot, counted over all listeners; wraps around.
    pub generation: u32,
}

impl Token {
    /// The bit of [`Self::index`] that says: beside the listeners. In an event such a token names a session; on the lists of
    /// the loop it names the sessions of the listener that has the rest of the index.
    const BESIDE: u32 = 1 << 31;

    /// Whether it is not for a listener itself.
    #[inline]
    #[must_use]
    pub fn is_beside(self) -> bool {
        self.index & Self::BESIDE != 0
    }

    /// The sessions of the listener that it names.
    #[must_use]
    pub(crate) fn beside(self) -> Self {
        Self { index: self.index | Self::BESIDE, ..self }
    }

    /// The listener whose sessions it names; a listener's own token stays as it is.
    #[must_use]
    pub(crate) fn owner(self) -> Self {
        Self { index: self.index & !Self::BESIDE, ..self }
    }
}

impl Token {
    /// The token as one number.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The token with this number.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub(crate) fn numbered(number: u64) -> Self {
        Self { index: number as u32, generation: (number >> 32) as u32 }
    }
}

/// What [`Io::poll`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A socket may be read or written. Errors count as readable, so that a receive call takes them.
    Ready {
        /// The listener of the socket.
        token: Token,
        /// Datagrams or errors may wait.
        readable: bool,
        /// There may be room to send.
        writable: bool,
    },
    /// A signal or the caller asks the loop to stop.
    Stop,
    /// The owner of the loop has something to look at.
    Attend,
    /// The addresses of the host may have changed.
    Addresses,
    /// Some thread has called the function of [`Io::notify`].
    Wake,
}

/// How far [`Io::read_addresses`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressReading {
    /// There is more to read.
    Part,
    /// That was all.
    Whole,
    /// The addresses changed meanwhile, so that some may be missing.
    Torn,
}

/// A multicast group that a socket is in, on an interface that is known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub group: IpAddr,
    /// The only sender that is heard; none is any.
    pub source: Option<IpAddr>,
    /// Name of the interface.
    pub interface: String,
    /// Index of the interface that had this name when the group was joined; 0: there was none.
    pub ifindex: u32,
}

/// An interface that a socket is tied to, known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Index of the interface that had this name when the socket was tied; 0: there was none.
    pub ifindex: u32,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether groups can be joined on it.
    pub multicast: bool,
}

/// What a listener needs of the network beside its socket, which the kernel does not bring back when it has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The groups its socket is in, on interfaces that are known by name.
    pub groups: Vec<Group>,
    /// The groups that it is to be in on every interface, with the only sender that is heard.
    pub everywhere: Vec<(IpAddr, Option<IpAddr>)>,
    /// The interface its socket is tied to.
    pub device: Option<Device>,
    /// Its address, if that may come later: then it is told when it is not there, and when it is.
    pub address: Option<IpAddr>,
}

impl Needs {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.everywhere.is_empty()
            && self.device.is_none()
            && self.address.is_none()
    }
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
    /// Arrivals only, for a listener without a backlog.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Arrivals and room to send, for a listener with a backlog.
    pub const READ_WRITE: Self = Self { readable: true, writable: true };
    /// Nothing, for a listener that is polled, or whose socket gives only errors.
    pub const NOTHING: Self = Self { readable: false, writable: false };
}

/// The result of a receive call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Messages taken from the socket; a train counts once.
    pub messages: usize,
    /// No further visit is needed before the next event: no datagram waits, or those that wait raise an event.
    pub drained: bool,
}

/// One message to send: a datagram, or a train of equal datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Destination.
    pub to: &'a SocketAddr,
    /// Source; none lets the kernel choose.
    pub from: Option<&'a ReplySource>,
    /// The payload in parts, which are sent one after the other.
    pub parts: &'a [IoSlice<'a>],
    /// Size of the datagrams the payload is cut into, bytes; the last may be shorter. None is one datagram.
    pub segment: Option<NonZeroU16>,
    /// TOS or traffic class; 0 leaves it to the socket.
    pub tos: u8,
    /// TTL or hop limit; none leaves it to the socket, as does a group as the destination.
    pub hop_limit: Option<NonZeroU8>,
    /// It leaves whole or not at all, where the system can do that (Linux).
    pub df: bool,
}

/// A duration in nanoseconds, 584 years at most.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
