//! Path MTU: `IP_MTU_DISCOVER` and `IP_MTU` of `ip(7)`, their IPv6 twins of `ipv6(7)`.

use std::io;
use std::os::fd::AsFd;

/// How datagrams longer than the path's MTU are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMtuDiscovery {
    /// Fragment as needed, and believe no ICMP about the MTU: forged ones cannot poison the cache. For servers.
    Omit,
    /// Fragment as needed; the don't-fragment bit is never set.
    Dont,
    /// Learn the MTU, fragment what is longer (the kernel's usual default).
    Want,
    /// Learn the MTU, never fragment: what is longer fails with EMSGSIZE.
    Do,
    /// Never fragment and disregard what is known: the interface's MTU alone is the limit. For probing.
    Probe,
}

#[cfg(target_os = "linux")]
pub(crate) fn set_discovery(socket: &impl AsFd, ipv6: bool, mode: PathMtuDiscovery) -> io::Result<()> {
    use libc::{IPPROTO_IP, IPPROTO_IPV6};

    use PathMtuDiscovery::{Do, Dont, Omit, Probe, Want};
    let (level, name, value) = match (ipv6, mode) {
        (false, Omit) => (IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        (false, Dont) => (IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        (false, Want) => (IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
        (false, Do) => (IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
        (false, Probe) => (IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        (true, Omit) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
        (true, Dont) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
        (true, Want) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
        (true, Do) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO),
        (true, Probe) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
    };
    crate::sockopt::set_int(socket, level, name, value)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn set_discovery(_: &impl AsFd, _: bool, _: PathMtuDiscovery) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How it is set; `None` for a way that this crate has no name for.
#[cfg(target_os = "linux")]
pub(crate) fn discovery(socket: &impl AsFd, ipv6: bool) -> io::Result<Option<PathMtuDiscovery>> {
    use PathMtuDiscovery::{Do, Dont, Omit, Probe, Want};
    // The numbers of the two families are the same (`linux/in.h`, `linux/in6.h`).
    let mode = if ipv6 {
        crate::sockopt::get_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
    } else {
        crate::sockopt::get_int(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
    }?;
    Ok(match mode {
        libc::IP_PMTUDISC_DONT => Some(Dont),
        libc::IP_PMTUDISC_WANT => Some(Want),
        libc::IP_PMTUDISC_DO => Some(Do),
        libc::IP_PMTUDISC_PROBE => Some(Probe),
        libc::IP_PMTUDISC_OMIT => Some(Omit),
        _ => None,
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn discovery(_: &impl AsFd, _: bool) -> io::Result<Option<PathMtuDiscovery>> {
    Ok(None)
}

/// The MTU of the path to the peer, bytes; `None` without a peer, and off Linux.
pub(crate) fn of_peer(socket: &impl AsFd, ipv6: bool) -> io::Result<Option<usize>> {
    match read_mtu(socket, ipv6) {
        Ok(mtu) => Ok(Some(mtu)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotConnected | io::ErrorKind::Unsupported) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
/// The MTU of the path to the peer, bytes.
pub(crate) fn read_mtu(socket: &impl AsFd, ipv6: bool) -> io::Result<usize> {
    let mtu = if ipv6 {
        crate::sockopt::get_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU)
    } else {
        crate::sockopt::get_int(socket, libc::IPPROTO_IP, libc::IP_MTU)
    };
    mtu.and_then(crate::sys::fit)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_mtu(_: &impl AsFd, _: bool) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
