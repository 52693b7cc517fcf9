//! What becomes of an entry that was queued.

use polyport_abi as abi;
use polyport_abi::{pp_dgram, pp_tx};

use super::kinds::{LOCAL, Sent};
use super::sessions::Way;
use super::table;
use super::tickets::Tickets;
use crate::route::MAX_PAYLOAD;

/// Checks a queued datagram as the daemon does, and takes its bytes. `None` if it cannot be sent.
pub(super) fn settle(
    mut tx: pp_tx,
    rx: &[pp_dgram],
    way: Option<Way>,
    tickets: &Tickets,
    now_ns: u64,
) -> Option<Sent> {
    let (has_to, has_from) = (tx.flags & abi::TX_TO != 0, tx.flags & abi::TX_FROM != 0);
    let by_ticket = tickets.asked(tx.rx);
    let answered = match by_ticket {
        None if tx.rx != abi::NO_RX => Some(rx.get(tx.rx as usize)?),
        _ => None,
    };
    let known = abi::TX_TO | abi::TX_FROM | abi::TX_SESSION | abi::TX_CLIENT | abi::TX_PROVED | abi::TX_DF;
    if tx.flags & !known != 0
        || tx.run != 0
        || tx.len as usize > MAX_PAYLOAD
        // A socket sends from its own port.
        || has_from && ![0, LOCAL.port()].contains(&tx.from.port)
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
    let from = if has_from { Some(tx.from) } else { asked.map(|(_, local)| local) };
    let (to, from, via) = match way {
        Some(Way { to, from, via }) => (to, from, via),
        None => (to?.socket_addr()?, from.and_then(|from| from.socket_addr()), None),
    };
    Some(Sent {
        to,
        from: from.unwrap_or(LOCAL),
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
