//! Multicast groups: RFC 3678's protocol-independent options, `ip(7)`, `ipv6(7)`.
#![expect(unsafe_code, reason = "group requests hold a sockaddr_storage")]

use std::io;
use std::net::{IpAddr, SocketAddr};

use libc::{c_int, group_req, group_source_req, sockaddr_storage};

use crate::address::RawAddress;
use crate::{UdpSocket, sockopt, sys};

/// Membership in a group on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group.
    pub group: IpAddr,
    /// The only sender to hear (RFC 4607), of the group's family; `None` for any.
    pub source: Option<IpAddr>,
    /// Interface index, see [`crate::interface_index`]; 0 leaves the choice to the routing table.
    pub ifindex: u32,
}

impl UdpSocket {
    /// Joins a group. The socket hears its own groups only, not those that others on this host joined.
    ///
    /// # Errors
    /// EINVAL if `group` is none, `source` cannot send, or a family is not the socket's; ENODEV for an unknown interface, EADDRINUSE
    /// if already joined, ENOBUFS beyond `net.ipv4.igmp_max_memberships` (20 a socket by default).
    pub fn join_group(&self, membership: &Membership) -> io::Result<()> {
        self.change(membership, libc::MCAST_JOIN_GROUP, libc::MCAST_JOIN_SOURCE_GROUP)
    }

    /// Leaves a group, with the same values as it was joined with. Closing the socket leaves all.
    ///
    /// # Errors
    /// EADDRNOTAVAIL if it had not been joined.
    pub fn leave_group(&self, membership: &Membership) -> io::Result<()> {
        self.change(membership, libc::MCAST_LEAVE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP)
    }

    /// How many routers datagrams to groups may pass: 0 keeps them on this host, 1 (the default) on the link.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_hops(&self, hops: u8) -> io::Result<()> {
        if self.is_ipv6() {
            self.inner().set_multicast_hops_v6(hops.into())
        } else {
            self.inner().set_multicast_ttl_v4(hops.into())
        }
    }

    /// Whether members on this host hear what this socket sends to groups (the default is yes).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        if self.is_ipv6() {
            self.inner().set_multicast_loop_v6(on)
        } else {
            self.inner().set_multicast_loop_v4(on)
        }
    }

    /// The interface by which datagrams to groups leave; 0 leaves the choice to the routing table.
    ///
    /// # Errors
    /// ENODEV or EADDRNOTAVAIL for an unknown interface.
    pub fn set_multicast_interface(&self, ifindex: u32) -> io::Result<()> {
        if self.is_ipv6() {
            return self.inner().set_multicast_if_v6(ifindex);
        }
        let request = libc::ip_mreqn {
            imr_multiaddr: libc::in_addr { s_addr: 0 },
            imr_address: libc::in_addr { s_addr: 0 },
            imr_ifindex: sys::fit(ifindex)?,
        };
        sockopt::set(self, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
    }

    fn change(&self, membership: &Membership, any: c_int, from_source: c_int) -> io::Result<()> {
        let &Membership { group, source, ifindex } = membership;
        let foreign =
            group.is_ipv6() != self.is_ipv6() || source.is_some_and(|ip| ip.is_ipv6() != group.is_ipv6());
        let no_sender = source.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast());
        if foreign || no_sender || !group.is_multicast() {
            return Err(sys::errno(libc::EINVAL));
        }
        let level = if self.is_ipv6() { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
        let group = storage(group);
        match source {
            None => sockopt::set(self, level, any, &group_req { gr_interface: ifindex, gr_group: group }),
            Some(source) => {
                let gsr_source = storage(source);
                let request = group_source_req { gsr_interface: ifindex, gsr_group: group, gsr_source };
                sockopt::set(self, level, from_source, &request)
            }
        }
    }
}

fn storage(ip: IpAddr) -> sockaddr_storage {
    let mut raw = RawAddress::new();
    raw.set(&SocketAddr::new(ip, 0));
    // SAFETY: sockaddr_storage is a C struct of integers, for which zero is a value.
    let mut storage = unsafe { std::mem::zeroed::<sockaddr_storage>() };
    let target = (&raw mut storage).cast::<RawAddress>();
    // SAFETY: sockaddr_storage is made to hold any address: larger than RawAddress, and aligned for it.
    unsafe { target.write(raw) };
    storage
}

const _: () = assert!(
    size_of::<RawAddress>() <= size_of::<sockaddr_storage>()
        && align_of::<RawAddress>() <= align_of::<sockaddr_storage>()
);
