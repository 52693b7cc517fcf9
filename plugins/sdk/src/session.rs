//! Sessions: sockets beside the listener's, for handlers that ask others.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::Deref;
use core::time::Duration;

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_event, pp_session, pp_session_info};

use crate::convert::Created;
use crate::datagram::Datagram;
use crate::session_id::SessionId;
use crate::time::nanos;

/// What a session shall be, for [`Batch::open`](crate::Batch::open):
///
/// ```
/// # use polyport_plugin::{Datagram, Session};
/// # use std::time::Duration;
/// # fn f(datagram: &Datagram<'_>) {
/// let upstream = "192.0.2.1:53".parse().unwrap();
/// let session = Session::to(upstream).idle(Duration::from_secs(120)).client(datagram);
/// # }
/// ```
///
/// Its datagrams come by [`on_batch`](crate::Handler::on_batch) as those of the listener do, and
/// [`Datagram::session`](crate::Datagram::session) tells them apart.
#[derive(Clone, Copy, Debug)]
#[must_use = "a session is opened by Batch::open"]
pub struct Session {
    pub(crate) raw: pp_session,
}

impl Session {
    /// One that speaks to `upstream`, hears nobody else, and is told what the network says about it.
    ///
    /// The host keeps no budget for what is sent there, so the address must come from the options of the handler or from
    /// whoever has proved it, never from a datagram: its sender could have any victim flooded. An address of one of the
    /// daemon's own listeners is refused.
    pub fn to(upstream: SocketAddr) -> Self {
        Self::new(upstream.into())
    }

    /// One that speaks to anybody, and hears anybody: [`Batch::send_session_to`](crate::Batch::send_session_to). What it sends
    /// is subject to the reply policy of the listener.
    pub fn unconnected() -> Self {
        Self::new(pp_addr::default())
    }

    fn new(to: pp_addr) -> Self {
        let size = u32::try_from(size_of::<pp_session>()).unwrap_or(0);
        let from = pp_addr::default();
        let raw = pp_session {
            size,
            flags: 0,
            to,
            from,
            user: 0,
            idle_ns: 0,
            rx: abi::NO_RX,
            recv_buffer: 0,
            send_buffer: 0,
            reserved: 0,
        };
        Self { raw }
    }

    /// Its socket is bound to `source`, an address of this host; port 0 lets the system choose one. Each address has ports of
    /// its own.
    pub fn from(mut self, source: SocketAddr) -> Self {
        self.raw.from = source.into();
        self
    }

    /// It ends after so long without a datagram either way; without this it stays until it is closed.
    pub fn idle(mut self, after: Duration) -> Self {
        self.raw.idle_ns = nanos(after);
        self
    }

    /// Only what comes in by it counts against the idle time.
    pub fn idle_unless_heard(mut self) -> Self {
        self.raw.flags |= abi::SESSION_IDLE_RX;
        self
    }

    /// It never fragments: what is longer than the path takes is dropped, and told as [`NetErrorKind::TooBig`].
    pub fn dont_fragment(mut self) -> Self {
        self.raw.flags |= abi::SESSION_DF;
        self
    }

    /// It tells [`Datagram::tos`](crate::Datagram::tos).
    pub fn want_tos(mut self) -> Self {
        self.raw.flags |= abi::SESSION_TOS;
        self
    }

    /// A number that comes back in [`Datagram::user`](crate::Datagram::user) and in events: the index of your own table.
    pub fn user(mut self, user: u64) -> Self {
        self.raw.user = user;
        self
    }

    /// Its client is the sender of `datagram`, which came to the listener: [`Datagram::to_client`](crate::Datagram::to_client) and
    /// [`Batch::send_client`](crate::Batch::send_client) send there, from the address that it had asked.
    pub fn client(mut self, datagram: &Datagram<'_>) -> Self {
        self.raw.rx = datagram.0.index;
        self
    }

    /// Bytes of receive buffer to ask for, as `SO_RCVBUF` of socket(7).
    pub fn recv_buffer(mut self, bytes: u32) -> Self {
        self.raw.recv_buffer = bytes;
        self
    }

    /// Bytes of send buffer to ask for, as `SO_SNDBUF` of socket(7).
    pub fn send_buffer(mut self, bytes: u32) -> Self {
        self.raw.send_buffer = bytes;
        self
    }
}

/// A session of the instance before, from [`Setup::sessions`](crate::Setup::sessions). One that is not kept ends.
#[derive(Clone, Copy, Debug)]
pub struct OldSession<'a> {
    created: &'a Created<'a>,
    info: pp_session_info,
}

impl<'a> OldSession<'a> {
    pub(crate) const fn new(created: &'a Created<'a>, info: pp_session_info) -> Self {
        Self { created, info }
    }

    /// Its number for the instance before.
    #[must_use]
    pub const fn user(&self) -> u64 {
        self.info.user
    }

    /// Its client, if it has one.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.info.client.socket_addr()
    }

    /// Its upstream, unless it is [`Session::unconnected`].
    #[must_use]
    pub fn upstream(&self) -> Option<SocketAddr> {
        self.info.upstream.socket_addr()
    }

    /// The address of its socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.info.local.socket_addr()
    }

    /// When it was opened, nanoseconds of the monotonic clock.
    #[must_use]
    pub const fn opened_ns(&self) -> u64 {
        self.info.opened_ns
    }

    /// Goes on with it, with another number. None if the host does not let it.
    pub fn keep(&self, user: u64) -> Option<SessionId> {
        let kept = self.created.host.session_set(self.info.id, abi::SET_USER, user);
        SessionId::new(self.info.id).filter(|_| kept)
    }
}

/// What has happened to a session, for [`on_session`](crate::Handler::on_session).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It has ended, or could not be opened; told once for each.
    Closed(Closed),
    /// The network says something; the session goes on.
    Error(NetError),
}

impl Event {
    pub(crate) fn new(raw: pp_event) -> Option<Self> {
        SessionId::new(raw.session)?;
        Some(match raw.kind {
            abi::EV_CLOSED => Self::Closed(Closed(Report(raw))),
            abi::EV_ERROR => Self::Error(NetError(Report(raw))),
            _ => return None,
        })
    }
}

/// Datagrams and their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams.
    pub datagrams: u64,
    /// Payload bytes of all of them.
    pub bytes: u64,
}

/// A session as it was when an event was told.
#[derive(Clone, Copy, Debug)]
pub struct Report(pp_event);

impl Report {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::or_nobody(self.0.session)
    }

    /// Its number, [`Session::user`].
    #[must_use]
    pub const fn user(&self) -> u64 {
        self.0.user
    }

    /// Its client, if it has one.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.0.client.socket_addr()
    }

    /// Its upstream, unless it is [`Session::unconnected`].
    #[must_use]
    pub fn upstream(&self) -> Option<SocketAddr> {
        self.0.upstream.socket_addr()
    }

    /// The address of its socket; none if there was none.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.0.local.socket_addr()
    }

    /// When it was opened, nanoseconds of the monotonic clock; none if it could not be.
    #[must_use]
    pub fn opened_ns(&self) -> Option<u64> {
        (self.0.opened_ns > 0).then_some(self.0.opened_ns)
    }

    /// What left by it so far.
    #[must_use]
    pub const fn sent(&self) -> Traffic {
        Traffic { datagrams: self.0.up_datagrams, bytes: self.0.up_bytes }
    }

    /// What came in by it so far.
    #[must_use]
    pub const fn received(&self) -> Traffic {
        Traffic { datagrams: self.0.down_datagrams, bytes: self.0.down_bytes }
    }

    /// Datagrams that were to leave by it and did not.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.0.dropped
    }

    /// The errno behind the event, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        (self.0.err != 0).then_some(self.0.err)
    }
}

/// Who speaks with whom, and how much: `192.0.2.7:50211 -> 192.0.2.1:53 by 192.0.2.9:41022; sent 3 (96 bytes), received 2 (80
/// bytes)`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |address: Option<SocketAddr>, none: &str| {
            address.map_or_else(|| none.to_owned(), |address| address.to_string())
        };
        write!(f, "{} -> {}", text(self.client(), "no client"), text(self.upstream(), "anybody"))?;
        if let Some(local) = self.local() {
            write!(f, " by {local}")?;
        }
        let (sent, received) = (self.sent(), self.received());
        write!(f, "; sent {} ({} bytes)", sent.datagrams, sent.bytes)?;
        write!(f, ", received {} ({} bytes)", received.datagrams, received.bytes)?;
        if self.dropped() > 0 { write!(f, ", dropped {}", self.dropped()) } else { Ok(()) }
    }
}

/// A session has ended.
#[derive(Clone, Copy, Debug)]
pub struct Closed(Report);

impl Closed {
    /// Why.
    #[must_use]
    pub const fn reason(&self) -> End {
        match (self.0).0.reason {
            abi::END_ASKED => End::Asked,
            abi::END_IDLE => End::Idle,
            abi::END_NO_PORT => End::NoPort,
            abi::END_NO_FILE => End::NoFile,
            abi::END_LIMIT => End::Limit,
            abi::END_REFUSED_ADDR => End::RefusedAddress,
            abi::END_RESTART => End::Restart,
            _ => End::Broken,
        }
    }
}

impl Deref for Closed {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.reason())
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The handler has closed it.
    Asked,
    /// No datagram for as long as [`Session::idle`] says.
    Idle,
    /// It could not be opened: the ports of its source address are used up. [`Session::from`] with another address has others.
    NoPort,
    /// It could not be opened: no descriptor or no memory is left.
    NoFile,
    /// It could not be opened: more than the configuration allows.
    Limit,
    /// It could not be opened: the system, or the host, does not send there, or from there.
    RefusedAddress,
    /// Its socket is unusable.
    Broken,
    /// The instance that was made in place of the one that had it has not kept it.
    Restart,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "closed",
            Self::Idle => "idle",
            Self::NoPort => "no port is left",
            Self::NoFile => "no descriptor is left",
            Self::Limit => "a limit",
            Self::RefusedAddress => "the address is refused",
            Self::Broken => "the socket is broken",
            Self::Restart => "not kept",
        })
    }
}

/// The network says something about a session.
#[derive(Clone, Copy, Debug)]
pub struct NetError(Report);

impl NetError {
    /// What.
    #[must_use]
    pub const fn kind(&self) -> NetErrorKind {
        match (self.0).0.reason {
            abi::NET_REFUSED => NetErrorKind::Refused,
            abi::NET_UNREACHABLE => NetErrorKind::Unreachable,
            abi::NET_TOO_BIG => NetErrorKind::TooBig,
            abi::NET_FORBIDDEN => NetErrorKind::Forbidden,
            _ => NetErrorKind::Other,
        }
    }

    /// How often since the last time it was told of this kind.
    #[must_use]
    pub const fn count(&self) -> u32 {
        (self.0).0.count
    }

    /// Bytes that the path takes, headers included, of [`NetErrorKind::TooBig`] and if known.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        let mtu = (self.0).0.mtu;
        (mtu > 0).then_some(mtu)
    }

    /// The router or host that said so; none is this host. It may be forged: end nothing because of it.
    #[must_use]
    pub fn reporter(&self) -> Option<IpAddr> {
        (self.0).0.reporter.socket_addr().map(|address| address.ip())
    }
}

impl Deref for NetError {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.kind())?;
        if self.count() > 1 { write!(f, ", {} times", self.count()) } else { Ok(()) }
    }
}

/// What the network says about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetErrorKind {
    /// Nobody listens at the upstream.
    Refused,
    /// There is no way to it.
    Unreachable,
    /// A datagram was longer than the path takes.
    TooBig,
    /// A firewall forbids it.
    Forbidden,
    /// Something else, see [`Report::errno`].
    Other,
}

impl fmt::Display for NetErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TooBig => "too big",
            Self::Forbidden => "forbidden",
            Self::Other => "failed",
        })
    }
}
