//! The head of a datagram to send: where it goes, and when.

use core::net::SocketAddr;

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_tx};

/// Largest payload of a UDP datagram over IPv4, bytes: 65,535 less 20 of IP and 8 of UDP (RFC 768).
pub(crate) const MAX_PAYLOAD: usize = 65_507;

/// Where a datagram goes and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) rx: u32,
    pub(crate) at_ns: u64,
    pub(crate) to: Option<SocketAddr>,
    pub(crate) from: Option<SocketAddr>,
    /// The receiver has proved its address.
    pub(crate) proved: bool,
    /// It leaves whole or not at all.
    pub(crate) df: bool,
    /// Traffic class to send with; 0 is the socket's own.
    pub(crate) tos: u8,
}

impl Route {
    /// Answers datagram `rx` of the batch.
    pub(crate) const fn answer(rx: u32, at_ns: u64) -> Self {
        Self { rx, at_ns, to: None, from: None, proved: false, df: false, tos: 0 }
    }

    /// Answers no datagram; needs `to`.
    pub(crate) const fn fresh(to: SocketAddr) -> Self {
        Self { rx: abi::NO_RX, at_ns: 0, to: Some(to), from: None, proved: false, df: false, tos: 0 }
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
        && tx.tos == 0
}

/// Writes the first 32 bytes, and the addresses only if there are any.
#[inline]
pub(crate) fn fill(tx: &mut pp_tx, data: *const u8, len: u32, route: Route) {
    (tx.data, tx.len, tx.rx, tx.at_ns) = (data, len, route.rx, route.at_ns);
    (tx.segment, tx.tos, tx.flags, tx.run) = (0, route.tos, 0, 0);
    if let Some(to) = route.to {
        tx.flags |= abi::TX_TO;
        tx.to = pp_addr::from(to);
    }
    if let Some(from) = route.from {
        tx.flags |= abi::TX_FROM;
        tx.from = pp_addr::from(from);
    }
    if route.proved {
        tx.flags |= abi::TX_PROVED;
    }
    if route.df {
        tx.flags |= abi::TX_DF;
    }
}
