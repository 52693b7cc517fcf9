//! Sockets that speak to one peer, for a server that asks others: a relay, a resolver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::buffers::{self, Direction};
use crate::{Facts, PathMtuDiscovery, Pktinfo, SocketOptions, UdpSocket};
use crate::{device, header, path_mtu};

/// What such a socket shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial<'a> {
    /// The peer: it is connected to it, learns of its ICMP errors, and hears nobody else. `None`: anybody may send to it.
    pub to: Option<SocketAddr>,
    /// Where it is bound; port 0 lets the system choose one. `None` lets the system choose all of it.
    pub from: Option<SocketAddr>,
    /// Its family if neither of the two says it.
    pub ipv6: bool,
    /// It never fragments: what is longer than the path takes fails with EMSGSIZE. Linux only.
    pub df: bool,
    /// Bytes of receive buffer to ask for; `None` leaves `net.core.rmem_default`.
    pub recv_buffer: Option<usize>,
    /// Bytes of send buffer to ask for; `None` leaves `net.core.wmem_default`.
    pub send_buffer: Option<usize>,
    /// The name of the one interface, or VRF, by which it hears and sends (`SO_BINDTODEVICE`). Linux only.
    pub device: Option<&'a str>,
    /// `IP_TOS` or `IPV6_TCLASS` of what says nothing else; `None` is 0.
    pub tos: Option<u8>,
    /// `IP_TTL` or `IPV6_UNICAST_HOPS`; `None` leaves the system's.
    pub ttl: Option<NonZeroU8>,
}

impl UdpSocket {
    /// Makes a socket that speaks to one peer, never blocking. On Linux its ICMP errors can be read, all of them
    /// ([`Self::next_error`]).
    ///
    /// # Errors
    /// EAGAIN (of connect(2)) or EADDRINUSE (of bind(2)): all ports of the source address are used up
    /// (`net.ipv4.ip_local_port_range`), or the one that was asked for is. EMFILE, ENFILE, ENOBUFS, ENOMEM: nothing is left.
    /// EADDRNOTAVAIL: the source is no address of this host. ENETUNREACH: no route. EINVAL: an address of another family. ENODEV:
    /// there is no such interface. EPERM: Linux before 5.7 ties a socket to one only for who has `CAP_NET_RAW`.
    pub fn dial(dial: &Dial<'_>) -> io::Result<Self> {
        let ipv6 = dial.to.or(dial.from).map_or(dial.ipv6, |addr| addr.is_ipv6());
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let any = SocketAddr::new(any, 0);
        if [dial.to, dial.from].iter().flatten().any(|addr| addr.is_ipv6() != ipv6) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let inner = Socket::new(Domain::for_address(any), kind(), Some(Protocol::UDP))?;
        #[cfg(not(target_os = "linux"))]
        inner.set_nonblocking(true)?;
        if ipv6 {
            inner.set_only_v6(true)?;
        }
        if let Some(size) = dial.recv_buffer {
            buffers::ask(&inner, Direction::Recv, size)?;
        }
        if let Some(size) = dial.send_buffer {
            buffers::ask(&inner, Direction::Send, size)?;
        }
        if dial.df {
            path_mtu::set_discovery(&inner, ipv6, PathMtuDiscovery::Do)?;
        }
        let options = SocketOptions {
            recv_buffer: dial.recv_buffer,
            send_buffer: dial.send_buffer,
            device: dial.device.map(str::to_owned),
            tos: dial.tos,
            ttl: dial.ttl,
            pktinfo: Pktinfo::Never,
            ..SocketOptions::default()
        };
        // The route of what is connected is that of the interface, and of the class.
        device::tie(&inner, &options)?;
        header::set(&inner, ipv6, &options).map_err(|(_, error)| error)?;
        // Connecting binds as well: one call less.
        if dial.from.is_some() || dial.to.is_none() {
            inner.bind(&SockAddr::from(dial.from.unwrap_or(any)))?;
        }
        if let Some(to) = dial.to {
            inner.connect(&SockAddr::from(to))?;
        }
        let socket = Self::with(inner, &any, &options, Facts::NONE, false);
        match socket.set_error_queue(true) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(socket),
        }
    }
}

/// A datagram socket that never blocks: one call where the system can do it with one.
fn kind() -> Type {
    #[cfg(target_os = "linux")]
    return Type::DGRAM.nonblocking();
    #[cfg(not(target_os = "linux"))]
    Type::DGRAM
}
