//! What a socket is made with.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;

use crate::{Facts, PathMtuDiscovery};

/// Options of a new socket. The default is right for a server: nothing that costs per datagram, nothing that lets one
/// peer's errors reach another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes of receive buffer to ask for; `None` leaves `net.core.rmem_default`. A small datagram is charged about
    /// 1 KiB, so the usual default of 208 KiB holds a few hundred.
    pub recv_buffer: Option<usize>,
    /// Where [`Self::recv_buffer`] is `None`: raise the receive buffer to so many bytes if it is smaller, as far as the limit of
    /// the system goes. Unlike a size that was asked for it goes past no limit, and is not reported if it is cut.
    pub recv_buffer_at_least: usize,
    /// Bytes of send buffer to ask for; `None` leaves `net.core.wmem_default`.
    pub send_buffer: Option<usize>,
    /// `SO_REUSEADDR`: several sockets may bind one UDP port, and the last takes its unicast traffic. Only for sharing
    /// multicast groups.
    pub reuse_addr: bool,
    /// `SO_BROADCAST`: sending to a broadcast address is allowed (it fails with EACCES otherwise).
    pub broadcast: bool,
    /// `IP_FREEBIND`: binding to an address that this host does not have yet is allowed. Linux only.
    pub freebind: bool,
    /// `SO_BINDTODEVICE`: the name of the one interface, or VRF, by which it hears and sends. Linux only.
    pub device: Option<String>,
    /// [`Self::device`] need not be there yet: until [`crate::UdpSocket::set_device`] succeeds the socket hears and sends nothing.
    pub device_later: bool,
    /// `IP_TOS` or `IPV6_TCLASS` of what says nothing else: DSCP and ECN. `None` is 0.
    pub tos: Option<u8>,
    /// `IP_TTL` or `IPV6_UNICAST_HOPS` of what says nothing else, and how far what goes to groups may travel. `None` leaves the
    /// system's, which is 1 for groups.
    pub ttl: Option<NonZeroU8>,
    /// When to ask for [`crate::RecvMeta::local`].
    pub pktinfo: Pktinfo,
    /// Fill [`crate::RecvMeta::tos`].
    pub recv_tos: bool,
    /// Fill [`crate::RecvMeta::hop_limit`].
    pub recv_hop_limit: bool,
    /// How datagrams longer than the path's MTU are treated; `None` leaves the system's way. Linux only.
    pub path_mtu_discovery: Option<PathMtuDiscovery>,
}

impl SocketOptions {
    /// What a socket that is bound to `addr` has to tell of each datagram.
    pub(crate) fn facts(&self, addr: &SocketAddr) -> Facts {
        let local = self.pktinfo.is_wanted(addr);
        Facts { tos: self.recv_tos, hop_limit: self.recv_hop_limit, local, time: false }
    }
}

/// When a socket asks the kernel where each datagram arrived. It costs a control message a datagram, and an answer
/// that names its source bypasses the cached route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pktinfo {
    /// Only if the bound address does not already say it: unspecified, a group, or broadcast.
    #[default]
    WildcardOnly,
    /// On every socket.
    Always,
    /// On none: answers of a wildcard socket leave from whatever address the routing table likes.
    Never,
}

impl Pktinfo {
    pub(crate) fn is_wanted(self, bound: &SocketAddr) -> bool {
        match self {
            Self::WildcardOnly => !is_unicast(bound.ip()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = match ip {
        IpAddr::V4(v4) => v4.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_groups_want_to_know() {
        let wanted = |text: &str| Pktinfo::WildcardOnly.is_wanted(&text.parse().unwrap());
        for text in ["0.0.0.0:1", "[::]:1", "239.1.2.3:1", "[ff02::1]:1", "255.255.255.255:1"] {
            assert!(wanted(text), "{text}");
        }
        for text in ["127.0.0.1:1", "[::1]:1", "192.0.2.1:1"] {
            assert!(!wanted(text), "{text}");
            assert!(Pktinfo::Always.is_wanted(&text.parse().unwrap()));
        }
        assert!(!Pktinfo::Never.is_wanted(&"0.0.0.0:1".parse().unwrap()));
    }
}
