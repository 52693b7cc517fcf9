//! What becomes of an entry that was queued.

use core::net::SocketAddr;

use polyport_abi as abi;
use polyport_abi::{pp_dgram, pp_tx};

use super::host::refusal;
use super::kinds::Sent;
use super::sessions::Way;
use super::table;
use super::tickets::Tickets;
use crate::route::MAX_PAYLOAD;

/// Checks a queued datagram as the daemon does, and takes its bytes. `None` if it cannot be sent. The call was about one of
/// `addresses`, by its number.
pub(super) fn settle(
    mut tx: pp_tx,
    rx: &[pp_dgram],
    way: Option<Way>,
    tickets: &Tickets,
    now_ns: u64,
    (addresses, here): (&[SocketAddr], u32),
) -> Option<Sent> {
    let elsewhere = tx.flags & abi::TX_ADDRESS != 0;
    let by = if elsewhere { tx.address } else { here } as usize;
    let bound = *addresses.get(by).filter(|_| !elsewhere || way.is_none())?;
    let (has_to, has_from) = (tx.flags & abi::TX_TO != 0, tx.flags & abi::TX_FROM != 0);
    let by_ticket = tickets.asked(tx.rx);
    let answered = match by_ticket {
        None if tx.rx != abi::NO_RX => Some(rx.get(tx.rx as usize)?),
        _ => None,
    };
    let known = abi::TX_TO
        | abi::TX_FROM
        | abi::TX_SESSION
        | abi::TX_CLIENT
        | abi::TX_PROVED
        | abi::TX_DF
        | abi::TX_ADDRESS;
    if tx.flags & !known != 0
        || tx.run != 0
        || tx.len as usize > MAX_PAYLOAD
        // An answer by a ticket leaves by the listener's socket.
        || by_ticket.is_some() && way.is_some()
    {
        return None;
    }
    if tx.data.is_null() {
        let datagram = answered.filter(|d| tx.len <= d.cap)?;
        tx.data = datagram.data;
    }
    let asked = by_ticket.map(|asked| (asked.peer, asked.local));
    let asked = asked.or_else(|| answered.map(|d| (d.peer, d.local)));
    let to = if has_to { Some(tx.to) } else { asked.map(|(peer, _)| peer) };
    let from = if has_from { Some(tx.from) } else { asked.filter(|_| !elsewhere).map(|(_, local)| local) };
    let (to, from, via) = match way {
        Some(Way { to, from, via }) => (to, from, via),
        None => (to?.socket_addr()?, from.and_then(|from| from.socket_addr()), None),
    };
    let named_from = from.filter(|_| has_from);
    let port = if elsewhere { 0 } else { bound.port() };
    if (has_to || has_from) && via.is_none() && refusal(Some(to), named_from, addresses, port) != abi::OK {
        return None;
    }
    let from = from.unwrap_or(bound);
    // What goes to a client, or answers a ticket, leaves by the address that was asked.
    let asked = addresses.iter().position(|address| *address == from);
    Some(Sent {
        to,
        from,
        by: if elsewhere { by } else { asked.unwrap_or(by) },
        via,
        at_ns: tx.at_ns.max(now_ns),
        payload: table::payload(&tx),
        rx: answered.map(|_| tx.rx as usize),
        proved: tx.flags & abi::TX_PROVED != 0,
        df: tx.flags & abi::TX_DF != 0,
        tos: tx.tos,
        by_ticket: by_ticket.is_some(),
    })
}
