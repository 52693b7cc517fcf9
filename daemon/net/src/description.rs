//! What the kernel says of a socket: `getsockname(2)`, `getpeername(2)` and `getsockopt(2)` in one value.

use std::io;
use std::net::SocketAddr;

use socket2::Type;

use crate::path_mtu::{self, PathMtuDiscovery};
use crate::{Buffers, UdpSocket, sockopt};

/// A socket as the kernel sees it. What the system does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// `SO_TYPE`: whether the socket carries datagrams (`SOCK_DGRAM`), as one of UDP does.
    pub datagrams: bool,
    /// Whether its family is `AF_INET6`; otherwise it is `AF_INET`.
    pub ipv6: bool,
    /// `getsockname(2)`: unspecified with port 0 until it is bound, by a first send for example.
    pub local: SocketAddr,
    /// `getpeername(2)`: the peer it is connected to.
    pub peer: Option<SocketAddr>,
    /// `SO_BROADCAST`: sending to a broadcast address is allowed.
    pub broadcast: bool,
    /// `SO_DONTROUTE`: see [`UdpSocket::set_dont_route`].
    pub dont_route: bool,
    /// `SO_RCVBUF` and `SO_SNDBUF`, in the unit in which one sets them.
    pub buffers: Buffers,
    /// `IP_TTL`, or `IPV6_UNICAST_HOPS`: routers that a unicast datagram may meet, 1 to 255.
    pub ttl: u32,
    /// `IP_TOS`, or `IPV6_TCLASS`: DSCP and ECN, 0 to 255.
    pub tos: u32,
    /// `IP_MTU_DISCOVER`, or `IPV6_MTU_DISCOVER`: how datagrams are treated that are longer than the path's MTU.
    pub path_mtu_discovery: Option<PathMtuDiscovery>,
    /// `IP_MTU`, or `IPV6_MTU`: bytes, IP header included; only a connected socket has a path.
    pub path_mtu: Option<usize>,
}

impl UdpSocket {
    /// Asks the kernel for all that it tells of this socket.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `getsockopt(2)`, none of which a live socket meets.
    pub fn describe(&self) -> io::Result<Description> {
        let inner = self.inner();
        let ipv6 = self.is_ipv6();
        Ok(Description {
            datagrams: inner.r#type()? == Type::DGRAM,
            ipv6,
            local: self.local_addr()?,
            peer: peer(self)?,
            broadcast: inner.broadcast()?,
            dont_route: sockopt::get_int(self, libc::SOL_SOCKET, libc::SO_DONTROUTE)? != 0,
            buffers: self.buffers()?,
            ttl: if ipv6 { inner.unicast_hops_v6() } else { inner.ttl_v4() }?,
            tos: if ipv6 { inner.tclass_v6() } else { inner.tos_v4() }?,
            path_mtu_discovery: path_mtu::discovery(self, ipv6)?,
            path_mtu: path_mtu::of_peer(self, ipv6)?,
        })
    }

    /// `SO_DONTROUTE` (`socket(7)`): datagrams go to hosts on the links of this one only. Over IPv4 a destination behind
    /// a router fails with ENETUNREACH. **Over IPv6 Linux takes the option and routes all the same**; a hop limit of 1
    /// ([`Self::set_ttl`]) has the effect there, at the first router.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`, none of which a live socket meets.
    pub fn set_dont_route(&self, on: bool) -> io::Result<()> {
        sockopt::set_int(self, libc::SOL_SOCKET, libc::SO_DONTROUTE, on.into())
    }
}

fn peer(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    match socket.inner().peer_addr() {
        Ok(peer) => Ok(peer.as_socket()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        // So says macOS of a socket that was connected once.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}
