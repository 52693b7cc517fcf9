//! What the IP header of all that a socket sends says, where a message says nothing else: TOS and TTL (`ip(7)`, `ipv6(7)`).

use std::io;

use libc::c_int;
use socket2::Socket;

use crate::{SocketOptions, sockopt};

/// TTL that leaves it to the system.
const SYSTEM_TTL: c_int = if cfg!(target_os = "linux") { -1 } else { 64 };
/// TTL of datagrams to groups where nobody says another: they stay on the link.
const SYSTEM_GROUP_TTL: c_int = 1;

/// Sets what the options ask for; an error names its option.
pub(crate) fn set(
    socket: &Socket,
    ipv6: bool,
    options: &SocketOptions,
) -> Result<(), (&'static str, io::Error)> {
    if let Some(tos) = options.tos {
        set_tos(socket, ipv6, tos)?;
    }
    match options.ttl {
        Some(ttl) => set_ttl(socket, ipv6, (ttl.get().into(), ttl.get().into())),
        None => Ok(()),
    }
}

/// Sets what the options ask for, and takes back what they do not: a former owner may have set it.
pub(crate) fn reset(
    socket: &Socket,
    ipv6: bool,
    options: &SocketOptions,
) -> Result<(), (&'static str, io::Error)> {
    set_tos(socket, ipv6, options.tos.unwrap_or(0))?;
    let ttl = options.ttl.map_or((SYSTEM_TTL, SYSTEM_GROUP_TTL), |ttl| (ttl.get().into(), ttl.get().into()));
    set_ttl(socket, ipv6, ttl)
}

fn set_tos(socket: &Socket, ipv6: bool, tos: u8) -> Result<(), (&'static str, io::Error)> {
    if ipv6 {
        set_int(socket, (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, "IPV6_TCLASS"), tos.into())
    } else {
        set_int(socket, (libc::IPPROTO_IP, libc::IP_TOS, "IP_TOS"), tos.into())
    }
}

/// Sets the TTL of unicast datagrams and that of those to groups.
fn set_ttl(
    socket: &Socket,
    ipv6: bool,
    (ttl, group_ttl): (c_int, c_int),
) -> Result<(), (&'static str, io::Error)> {
    if ipv6 {
        set_int(socket, (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS"), ttl)?;
        set_int(socket, (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS"), group_ttl)
    } else {
        set_int(socket, (libc::IPPROTO_IP, libc::IP_TTL, "IP_TTL"), ttl)?;
        set_int(socket, (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, "IP_MULTICAST_TTL"), group_ttl)
    }
}

fn set_int(
    socket: &Socket,
    (level, option, name): (c_int, c_int, &'static str),
    value: c_int,
) -> Result<(), (&'static str, io::Error)> {
    sockopt::set_int(socket, level, option, value).map_err(|error| (name, error))
}
