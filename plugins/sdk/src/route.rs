//! Addresses as they cross the boundary, and the head of a datagram to send.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_tx};

/// Largest payload of a UDP datagram over IPv4, bytes: 65,535 less 20 of IP and 8 of UDP (RFC 768).
pub(crate) const MAX_PAYLOAD: usize = 65_507;

pub(crate) fn to_abi(address: SocketAddr) -> pp_addr {
    let mut out = pp_addr { port: address.port(), ..pp_addr::default() };
    match address {
        SocketAddr::V4(v4) => {
            out.family = 4;
            out.ip[..4].copy_from_slice(&v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            out.family = 6;
            out.ip = v6.ip().octets();
            out.scope = v6.scope_id();
        }
    }
    out
}

/// `None` for "no address" and for a family this crate does not know.
pub(crate) fn from_abi(a: &pp_addr) -> Option<SocketAddr> {
    let [b0, b1, b2, b3, ..] = a.ip;
    match a.family {
        4 => Some(SocketAddrV4::new(Ipv4Addr::new(b0, b1, b2, b3), a.port).into()),
        6 => Some(SocketAddrV6::new(Ipv6Addr::from(a.ip), a.port, 0, a.scope).into()),
        _ => None,
    }
}

/// Where a datagram goes and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) rx: u32,
    pub(crate) at_ns: u64,
    pub(crate) to: Option<SocketAddr>,
    pub(crate) from: Option<SocketAddr>,
}

impl Route {
    /// Answers no datagram; needs `to`.
    pub(crate) const fn fresh(to: SocketAddr) -> Self {
        Self { rx: abi::NO_RX, at_ns: 0, to: Some(to), from: None }
    }
}

/// Whether an entry sends a received datagram back at once, as it is: what entries in place are, since this
/// crate never queues a part of one.
#[inline]
pub(crate) fn is_plain_echo(tx: &pp_tx) -> bool {
    tx.data.is_null()
        && tx.rx != abi::NO_RX
        && tx.at_ns == 0
        && tx.segment == 0
        && tx.flags == 0
        && tx.ecn == 0
}

/// Writes the first 32 bytes, and the addresses only if there are any.
#[inline]
pub(crate) fn fill(tx: &mut pp_tx, data: *const u8, len: u32, route: Route) {
    (tx.data, tx.len, tx.rx, tx.at_ns) = (data, len, route.rx, route.at_ns);
    (tx.segment, tx.ecn, tx.flags, tx.run) = (0, 0, 0, 0);
    if let Some(to) = route.to {
        tx.flags |= abi::TX_TO;
        tx.to = to_abi(to);
    }
    if let Some(from) = route.from {
        tx.flags |= abi::TX_FROM;
        tx.from = to_abi(from);
    }
}
