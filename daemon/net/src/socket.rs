//! A UDP socket: made whole, then read and written in batches.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::buffers::{self, BufferSize, Buffers, Direction};
use crate::setup::{Later, Setup};
#[cfg(target_os = "linux")]
use crate::sockopt;
use crate::{BindError, BindStep, Facts, PathMtuDiscovery, Pktinfo, SocketOptions};
use crate::{connect, device, facts, header, path_mtu};

/// A bound UDP socket of one address family, never blocking, closed on exec and on drop.
///
/// An IPv6 socket does not carry IPv4: `[::]:53` and `0.0.0.0:53` are two sockets, so that no address ever shows up
/// in its IPv4-mapped form and slips past an access list.
#[derive(Debug)]
pub struct UdpSocket {
    inner: Socket,
    ipv6: bool,
    asked: Asked,
    /// What its options ask for, of each datagram.
    facts: facts::Bits,
    /// What its owner has asked for besides, with [`Self::want`].
    wanted: facts::Bits,
    /// Datagrams must not be joined into trains.
    apart: bool,
    /// Whether datagrams may come with control data that nobody asked for here: trains, or what a former owner of the
    /// socket wanted.
    surprises: AtomicBool,
    /// Whether datagrams may come with control data; without, a cheaper call receives them.
    control: AtomicBool,
    /// Another process still reads it: what is to be set on it then.
    pub(crate) later: Option<Later>,
}

/// Buffer sizes that were asked for, bytes; 0 if the system's default was left.
#[derive(Debug)]
struct Asked {
    recv_buffer: u32,
    send_buffer: u32,
}

impl Asked {
    /// The kernel takes no more than an `int` of either, and makes more of anything as small as a byte.
    fn new(options: &SocketOptions) -> Self {
        let narrow =
            |size: Option<usize>| size.map_or(0, |size| u32::try_from(size.max(1)).unwrap_or(u32::MAX));
        Self { recv_buffer: narrow(options.recv_buffer), send_buffer: narrow(options.send_buffer) }
    }
}

impl UdpSocket {
    /// Makes a socket with `options` and binds it to `addr`; port 0 lets the system choose one.
    ///
    /// # Errors
    /// [`BindError`] says at which step; its text, what to do.
    pub fn bind(addr: SocketAddr, options: &SocketOptions) -> Result<Self, BindError> {
        let at = |step| move |source| BindError { addr, step, source };
        // `socket2` makes it close-on-exec.
        let inner = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))
            .map_err(at(BindStep::Create))?;
        inner.set_nonblocking(true).map_err(at(BindStep::Option("O_NONBLOCK")))?;
        if addr.is_ipv6() {
            inner.set_only_v6(true).map_err(at(BindStep::Option("IPV6_V6ONLY")))?;
        }
        apply(&inner, &addr, options).map_err(|(name, source)| at(BindStep::Option(name))(source))?;
        header::set(&inner, addr.is_ipv6(), options)
            .map_err(|(name, source)| at(BindStep::Option(name))(source))?;
        let tied = device::tie(&inner, options).map_err(at(BindStep::Option("SO_BINDTODEVICE")))?;
        let facts = options.facts(&addr);
        facts::change(&inner, addr.is_ipv6(), Facts::NONE, facts)
            .map_err(|(name, source)| at(BindStep::Option(name))(source))?;
        let bound = if tied { addr } else { device::anywhere(addr) };
        inner.bind(&SockAddr::from(bound)).map_err(at(BindStep::Bind))?;
        let socket = Self::with(inner, &addr, options, Facts::NONE, false);
        if !tied {
            device::tie_to_nobody(&socket.inner).map_err(at(BindStep::Option("SO_BINDTOIFINDEX")))?;
        }
        Ok(socket)
    }

    /// Takes over a bound socket that another process made: the daemon's predecessor, or systemd. The options are set as
    /// far as they still can be on a bound socket.
    ///
    /// # Errors
    /// `InvalidInput` if it is no bound UDP socket, or an IPv6 one that carries IPv4 too; otherwise those of
    /// `setsockopt(2)`. The text says which.
    pub fn adopt(fd: OwnedFd, options: &SocketOptions) -> io::Result<Self> {
        Self::adopt_with(fd, options, Facts::NONE)
    }

    fn adopt_with(fd: OwnedFd, options: &SocketOptions, wanted: Facts) -> io::Result<Self> {
        let inner = Socket::from(fd);
        let wrong = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let addr =
            inner.local_addr()?.as_socket().ok_or_else(|| wrong("inherited socket: not an IP socket"))?;
        if inner.r#type()? != Type::DGRAM || addr.port() == 0 {
            return Err(wrong("inherited socket: not a bound UDP socket"));
        }
        if addr.is_ipv6() && !inner.only_v6()? {
            return Err(wrong(
                "inherited socket: it carries IPv4, too; set IPV6_V6ONLY (BindIPv6Only=ipv6-only)",
            ));
        }
        inner.set_nonblocking(true)?;
        inner.set_cloexec(true)?;
        let named = |name| {
            move |error: io::Error| {
                io::Error::new(error.kind(), format!("inherited socket {addr}: {name}: {error}"))
            }
        };
        apply(&inner, &addr, options).map_err(|(name, error)| named(name)(error))?;
        // A new socket has neither; whoever had this one may have turned on what is not asked for.
        inner.set_reuse_address(options.reuse_addr).map_err(named("SO_REUSEADDR"))?;
        inner.set_broadcast(options.broadcast).map_err(named("SO_BROADCAST"))?;
        if !options.freebind {
            freebind(&inner, addr.is_ipv6(), false).map_err(named("IP_FREEBIND"))?;
        }
        header::reset(&inner, addr.is_ipv6(), options).map_err(|(name, error)| named(name)(error))?;
        facts::set(&inner, addr.is_ipv6(), options.facts(&addr).or(wanted))
            .map_err(|(name, error)| named(name)(error))?;
        // Whoever made it may have asked for control data, trains included.
        let socket = Self::with(inner, &addr, options, wanted, true);
        device::tie_as(&socket.inner, options).map_err(named("SO_BINDTODEVICE"))?;
        Ok(socket)
    }

    pub(crate) fn with(
        inner: Socket,
        addr: &SocketAddr,
        options: &SocketOptions,
        wanted: Facts,
        surprises: bool,
    ) -> Self {
        let facts = options.facts(addr);
        let control = AtomicBool::new(surprises || facts.or(wanted).any());
        let (asked, surprises) = (Asked::new(options), AtomicBool::new(surprises));
        let (facts, wanted) = (facts.into(), wanted.into());
        let later = None;
        Self { inner, ipv6: addr.is_ipv6(), asked, facts, wanted, apart: false, surprises, control, later }
    }

    /// The socket once more, by a descriptor of its own, with other options as far as they still can be set, and with what
    /// [`Self::want`] asked for. What is set is set for both, and what waits to be received is taken by whoever asks first.
    ///
    /// # Errors
    /// Those of `dup(2)` and of [`Self::adopt`].
    pub fn duplicate(&self, options: &SocketOptions) -> io::Result<Self> {
        let mut again = Self::adopt_with(self.as_fd().try_clone_to_owned()?, options, self.wanted.into())?;
        // Unlike an inherited socket, this one is known: without control data it goes on with the cheaper call.
        again.surprises.store(self.surprises.load(Relaxed), Relaxed);
        again.update_control();
        again.apart = self.apart;
        Ok(again)
    }

    /// Takes over a socket that [`Self::bind`] has made with these options in another process of the same program:
    /// nothing is set again.
    ///
    /// # Errors
    /// `InvalidInput` if it is no bound UDP socket; otherwise those of `getsockname(2)`.
    pub fn made_elsewhere(fd: OwnedFd, options: &SocketOptions) -> io::Result<Self> {
        let inner = Socket::from(fd);
        let addr = inner.local_addr()?.as_socket().filter(|addr| addr.port() != 0);
        match addr.filter(|_| inner.r#type().is_ok_and(|kind| kind == Type::DGRAM)) {
            Some(addr) => Ok(Self::with(inner, &addr, options, Facts::NONE, false)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a bound UDP socket")),
        }
    }

    /// Gives the socket other options as far as they still can be set, while it is read. What [`Self::want`] asked
    /// for stays, and so do the larger buffers of before where none are asked for now.
    ///
    /// # Errors
    /// Those of [`Self::adopt`]; part of the options may be set then.
    pub fn set_options(&mut self, options: &SocketOptions) -> io::Result<()> {
        let Self { asked, facts, .. } = self.duplicate(options)?;
        (self.asked, self.facts) = (asked, facts);
        self.update_control();
        Ok(())
    }

    /// Asks the socket to tell these facts of each datagram, besides those that its options ask for, and no longer those of
    /// an earlier call. Returns all that it tells from now on: what the system cannot tell, or refuses to, is missing.
    pub fn want(&mut self, facts: Facts) -> Facts {
        if let Some(later) = &mut self.later {
            later.wanted = facts;
            return Facts::from(self.facts).or(facts);
        }
        let (always, before) = (self.facts.into(), self.wanted.into());
        self.wanted = facts::try_change(&self.inner, self.ipv6, always, before, facts).into();
        self.update_control();
        self.facts()
    }

    /// What it tells of each datagram.
    #[inline]
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts::from(self.facts).or(self.wanted.into())
    }

    /// From now on no datagrams are joined into trains, whoever asks for it with [`Self::set_gro`]; with `false` they may be
    /// again. A train has one time of arrival for all that is in it.
    pub fn keep_apart(&mut self, apart: bool) {
        if let Some(later) = &mut self.later {
            later.apart = apart;
            return;
        }
        self.apart = apart;
        if apart {
            // Where there are no trains, there is nothing to turn off.
            self.set_gro(false).ok();
        }
    }

    pub(crate) fn apart(&self) -> bool {
        self.apart
    }

    /// How it is set up beyond its options.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup { wanted: self.wanted.into(), surprises: self.surprises.load(Relaxed), apart: self.apart }
    }

    /// It is set up so already.
    pub(crate) fn is_set_up(&mut self, setup: Setup) {
        (self.wanted, self.apart) = (setup.wanted.into(), setup.apart);
        self.surprises.store(setup.surprises, Relaxed);
        self.update_control();
    }

    fn update_control(&self) {
        self.control.store(self.surprises.load(Relaxed) || self.facts().any(), Relaxed);
    }

    /// Whether a datagram may come with control data: where it arrived, how a train is cut, and the like.
    #[inline]
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.control.load(Relaxed)
    }

    /// From now on datagrams may come with control data.
    pub(crate) fn expect_control(&self) {
        self.surprises.store(true, Relaxed);
        self.control.store(true, Relaxed);
    }

    /// The address and port it is bound to.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether it is an IPv6 socket.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// The buffers asked for and got.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn buffers(&self) -> io::Result<Buffers> {
        let size = |asked: u32, direction| {
            let asked = (asked > 0).then(|| usize::try_from(asked).unwrap_or(usize::MAX));
            buffers::granted(&self.inner, direction).map(|got| BufferSize { asked, got })
        };
        Ok(Buffers {
            recv: size(self.asked.recv_buffer, Direction::Recv)?,
            send: size(self.asked.send_buffer, Direction::Send)?,
        })
    }

    /// Ties the socket to one peer: it receives from that one only, learns of its ICMP errors (ECONNREFUSED), and the
    /// route is looked up once. Use [`Self::send`] then.
    ///
    /// # Errors
    /// Those of `connect(2)`: EINVAL or EAFNOSUPPORT for another family, ENETUNREACH without a route.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.inner.connect(&SockAddr::from(peer))
    }

    /// Undoes [`Self::connect`]. On Linux a port that the system had chosen is given up as well.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub fn disconnect(&self) -> io::Result<()> {
        connect::dissolve(self)
    }

    /// Sends one datagram to the connected peer.
    ///
    /// # Errors
    /// EDESTADDRREQ if there is none; otherwise as [`crate::SendBatch::send`].
    pub fn send(&self, payload: &[u8]) -> io::Result<usize> {
        loop {
            match self.inner.send(payload) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// TTL, or hop limit, of unicast datagrams: 1 to 255.
    ///
    /// # Errors
    /// EINVAL for other values.
    pub fn set_ttl(&self, hops: u8) -> io::Result<()> {
        if self.ipv6 {
            self.inner.set_unicast_hops_v6(hops.into())
        } else {
            self.inner.set_ttl_v4(hops.into())
        }
    }

    /// Sets how datagrams longer than the path's MTU are treated.
    ///
    /// # Errors
    /// `Unsupported` off Linux; EBADF and the like are bugs.
    pub fn set_path_mtu_discovery(&self, mode: PathMtuDiscovery) -> io::Result<()> {
        path_mtu::set_discovery(self, self.ipv6, mode)
    }

    /// The MTU of the path to the peer as known to the kernel, in bytes, IP header included.
    ///
    /// # Errors
    /// ENOTCONN if the socket is not connected: without a peer there is no path. `Unsupported` off Linux.
    pub fn path_mtu(&self) -> io::Result<usize> {
        path_mtu::read_mtu(self, self.ipv6)
    }

    /// Takes the error that is pending on the socket, if any (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)` itself.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }

    /// Datagrams the kernel dropped at this socket since it was made, mostly as its receive buffer was full; `None`
    /// where the system does not tell (off Linux). Wraps around at 2^32.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn drops(&self) -> io::Result<Option<u32>> {
        drops(self)
    }

    /// Ties the socket to the interface that has this name now, so that it hears and sends by no other; a VRF is one as well.
    /// `None` unties it. An interface that goes away and comes again under its name is another one, and the socket hears nothing
    /// until it is tied again.
    ///
    /// No right is needed, and nothing comes in by another interface meanwhile.
    ///
    /// # Errors
    /// ENODEV if there is no such interface; then the socket hears nothing until a call succeeds, or goes on as it was.
    /// `Unsupported` off Linux.
    pub fn set_device(&self, device: Option<&str>) -> io::Result<()> {
        device::tie_again(&self.inner, device)
    }

    /// Index of the interface the socket is tied to, by its options or as its address is link-local; `None` is no one. The
    /// interface may be gone.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`, none of which a live socket meets. `Unsupported` off Linux.
    pub fn device(&self) -> io::Result<Option<u32>> {
        device::tied_to(&self.inner)
    }

    pub(crate) fn inner(&self) -> &Socket {
        &self.inner
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// Sets all options that may come before bind or after it; an error names its option.
fn apply(
    socket: &Socket,
    addr: &SocketAddr,
    options: &SocketOptions,
) -> Result<(), (&'static str, io::Error)> {
    let ipv6 = addr.is_ipv6();
    let named = |name| move |error| (name, error);
    if let Some(size) = options.recv_buffer {
        buffers::ask(socket, Direction::Recv, size).map_err(named("SO_RCVBUF"))?;
    } else {
        buffers::raise(socket, options.recv_buffer_at_least).map_err(named("SO_RCVBUF"))?;
    }
    if let Some(size) = options.send_buffer {
        buffers::ask(socket, Direction::Send, size).map_err(named("SO_SNDBUF"))?;
    }
    if options.reuse_addr {
        socket.set_reuse_address(true).map_err(named("SO_REUSEADDR"))?;
    }
    if options.broadcast {
        socket.set_broadcast(true).map_err(named("SO_BROADCAST"))?;
    }
    if options.freebind {
        freebind(socket, ipv6, true).map_err(named("IP_FREEBIND"))?;
    }
    if let Some(mode) = options.path_mtu_discovery {
        path_mtu::set_discovery(socket, ipv6, mode).map_err(named("IP_MTU_DISCOVER"))?;
    }
    if Pktinfo::WildcardOnly.is_wanted(addr) {
        only_own_groups(socket, ipv6).map_err(named("IP_MULTICAST_ALL"))?;
    }
    Ok(())
}

/// Linux delivers to a wildcard socket the groups that any socket of the host joined, unless told not to.
#[cfg(target_os = "linux")]
fn only_own_groups(socket: &Socket, ipv6: bool) -> io::Result<()> {
    // `linux/in6.h`; libc lacks it for glibc.
    const IPV6_MULTICAST_ALL: libc::c_int = 29;
    if !ipv6 {
        return sockopt::set_int(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0);
    }
    match sockopt::set_int(socket, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) {
        // Before Linux 4.20.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        result => result,
    }
}

/// Elsewhere this is how sockets behave.
#[cfg(not(target_os = "linux"))]
fn only_own_groups(_: &Socket, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn freebind(socket: &Socket, ipv6: bool, on: bool) -> io::Result<()> {
    if ipv6 { socket.set_freebind_v6(on) } else { socket.set_freebind_v4(on) }
}

#[cfg(not(target_os = "linux"))]
fn freebind(_: &Socket, _: bool, on: bool) -> io::Result<()> {
    if on { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

#[cfg(target_os = "linux")]
fn drops(socket: &UdpSocket) -> io::Result<Option<u32>> {
    const INDEX: usize = libc::SK_MEMINFO_DROPS as usize;
    let info = sockopt::get::<{ INDEX + 1 }>(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(Some(info[INDEX].cast_unsigned()))
}

#[cfg(not(target_os = "linux"))]
fn drops(_: &UdpSocket) -> io::Result<Option<u32>> {
    Ok(None)
}
