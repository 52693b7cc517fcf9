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
    /// By which socket.
    pub(crate) via: Via,
}

/// By which socket a datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The one by which what it answers came; else the listener's.
    Same,
    /// That of a session, to its upstream.
    Session(u64),
    /// The listener's, to the client of the session by which what it answers came.
    Client,
    /// The listener's, to the client of this session.
    ClientOf(u64),
    /// That of the address with this number.
    Address(u32),
}

impl Via {
    /// The flags that say it, and the session.
    const fn parts(self) -> (u8, u64) {
        match self {
            Self::Same => (0, 0),
            Self::Session(id) => (abi::TX_SESSION, id),
            Self::Client => (abi::TX_CLIENT, 0),
            Self::ClientOf(id) => (abi::TX_SESSION | abi::TX_CLIENT, id),
            Self::Address(_) => (abi::TX_ADDRESS, 0),
        }
    }
}

impl Route {
    /// Answers datagram `rx` of the batch.
    pub(crate) const fn answer(rx: u32, at_ns: u64) -> Self {
        Self { rx, at_ns, to: None, from: None, proved: false, df: false, tos: 0, via: Via::Same }
    }

    /// Answers no datagram; needs `to`.
    pub(crate) const fn fresh(to: SocketAddr) -> Self {
        Self { to: Some(to), ..Self::by(Via::Same) }
    }

    /// Answers no datagram.
    pub(crate) const fn by(via: Via) -> Self {
        Self { rx: abi::NO_RX, at_ns: 0, to: None, from: None, proved: false, df: false, tos: 0, via }
    }

    /// Whether it names no address: then what goes the same way may share its entry.
    pub(crate) const fn is_by_socket(&self) -> bool {
        self.to.is_none() && self.from.is_none()
    }

    /// All flags but those of addresses.
    #[inline]
    const fn flags(&self) -> u8 {
        let marks = if self.proved { abi::TX_PROVED } else { 0 } | if self.df { abi::TX_DF } else { 0 };
        self.via.parts().0 | marks
    }
}

/// Whether an entry sends received datagrams on as they are, at that time, by that socket and marked so: what entries in place
/// are, since this crate never queues a part of one.
#[inline]
pub(crate) fn goes_with(tx: &pp_tx, route: &Route) -> bool {
    let flags = route.flags();
    tx.data.is_null()
        && tx.rx != abi::NO_RX
        && tx.at_ns == route.at_ns
        && tx.segment == 0
        && tx.flags == flags
        && tx.tos == route.tos
        && (flags & abi::TX_SESSION == 0 || tx.session == route.via.parts().1)
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
    if route.via != Via::Same {
        let (flags, session) = route.via.parts();
        tx.flags |= flags;
        tx.session = session;
    }
    if let Via::Address(number) = route.via {
        tx.address = number;
    }
}
