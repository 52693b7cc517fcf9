//! What a handler queued, checked entry by entry; echoes of a whole train are seen as the one send they are.
#![expect(unsafe_code, reason = "a queued entry may point into the handler's own memory")]

use super::address::from_pp_addr;
use super::{Arrived, Exchange, ReplySource, Rx};
use polyport_abi::{NO_RX, TX_FROM, TX_TO, pp_tx};
use std::net::SocketAddr;
use std::slice;

/// Something a handler wants to send: a datagram, or a train of equal ones.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Which received datagrams it answers.
    pub answers: Answers,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Destination.
    pub to: SocketAddr,
    /// Source.
    pub from: Option<ReplySource>,
    /// Not before this moment, monotonic ns; 0 is now.
    pub at_ns: u64,
    /// Cut into datagrams of this size, the last may be shorter; 0 is one datagram.
    pub segment: usize,
    /// ECN bits.
    pub ecn: u8,
}

impl<'a> Output<'a> {
    /// How many datagrams it is.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        if self.segment == 0 { 1 } else { self.payload.len().div_ceil(self.segment).max(1) }
    }

    /// The datagrams one by one.
    pub fn split(&self) -> impl Iterator<Item = Output<'a>> + use<'a> {
        let size = if self.segment == 0 { usize::MAX } else { self.segment };
        let (payload, head) = (self.payload, Output { payload: &[], segment: 0, ..*self });
        // An empty datagram is one datagram, which `chunks` would not give.
        let empty = payload.is_empty().then_some(payload);
        payload.chunks(size).chain(empty).map(move |payload| Output { payload, ..head })
    }
}

/// Received datagrams that one output answers: `count` of them from index `first` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Index of the first.
    pub first: usize,
    /// How many; 0 for an output that answers none.
    pub count: usize,
}

/// A send entry that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputError {
    /// An index or a length outside what was received, or a flag this host does not know.
    Bad,
    /// Longer than a datagram.
    TooLong,
    /// No destination.
    NoDestination,
}

/// The entries of a call, in order.
#[derive(Debug)]
pub struct Outputs<'a> {
    exchange: &'a Exchange,
    /// What `flush` parked, then the ring.
    lists: [&'a [pp_tx]; 2],
}

impl<'a> Outputs<'a> {
    pub(super) fn new(exchange: &'a Exchange, parked: &'a [pp_tx], ring: &'a [pp_tx]) -> Self {
        Self { exchange, lists: [parked, ring] }
    }
}

impl<'a> Iterator for Outputs<'a> {
    type Item = Result<Output<'a>, OutputError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.lists[0].is_empty() {
            self.lists.swap(0, 1);
        }
        let list = self.lists[0];
        let first = list.first()?;
        let run = self.exchange.train_run(list);
        self.lists[0] = list.get(run..).unwrap_or_default();
        Some(if run > 1 { Ok(self.exchange.train(first, run)) } else { self.exchange.check(first) })
    }
}

impl Exchange {
    /// How many entries at the head of `list` echo consecutive datagrams of one received train, unchanged in
    /// length; 1 when it is anything else.
    #[inline]
    fn train_run(&self, list: &[pp_tx]) -> usize {
        let Some(first) = list.first().filter(|tx| is_plain_echo(tx)) else { return 1 };
        let rest = self.index.get(first.rx as usize..self.rx_len).unwrap_or_default();
        let Some(head) = rest.first() else { return 1 };
        if self.messages.get(head.message as usize).is_none_or(|m| m.segment == 0) {
            return 1;
        }
        let same = |(k, (tx, rx)): (u32, (&pp_tx, &Rx))| {
            is_plain_echo(tx) && tx.rx == first.rx + k && tx.len == rx.len && rx.message == head.message
        };
        (0..).zip(list.iter().zip(rest)).take_while(|pair| same(*pair)).count().max(1)
    }

    /// The first `run` entries from `first`, as the train they came in.
    fn train(&self, first: &pp_tx, run: usize) -> Output<'_> {
        let start = first.rx as usize;
        let bytes = self.index.get(start..start + run).unwrap_or_default();
        let offset = bytes.first().map_or(0, |rx| rx.offset as usize);
        let end = bytes.last().map_or(0, |rx| (rx.offset + rx.len) as usize);
        let message = bytes.first().and_then(|rx| self.messages.get(rx.message as usize));
        Output {
            answers: Answers { first: start, count: run },
            payload: self.ring.slice(offset, end.saturating_sub(offset)),
            to: message.map_or(NOWHERE, |m| m.peer),
            from: message.and_then(|m| m.reply_from),
            at_ns: 0,
            segment: message.map_or(0, |m| m.segment),
            ecn: 0,
        }
    }

    fn check(&self, tx: &pp_tx) -> Result<Output<'_>, OutputError> {
        // A flag of a later minor asks for something that would not be done.
        if tx.flags & !(TX_TO | TX_FROM) != 0 {
            return Err(OutputError::Bad);
        }
        let len = tx.len as usize;
        let answered = match tx.rx {
            NO_RX => None,
            index => {
                let rx = self.index.get(..self.rx_len).and_then(|all| all.get(index as usize));
                let rx = rx.ok_or(OutputError::Bad)?;
                Some((index as usize, rx, self.messages.get(rx.message as usize).ok_or(OutputError::Bad)?))
            }
        };
        let (to, from) = route(tx, answered.map(|(_, _, message)| message))?;
        if len > if to.is_ipv4() { MAX_V4 } else { MAX_V6 } {
            return Err(OutputError::TooLong);
        }
        let payload = if tx.data.is_null() {
            let (_, rx, _) = answered.ok_or(OutputError::Bad)?;
            if tx.len > rx.cap {
                return Err(OutputError::Bad);
            }
            self.ring.slice(rx.offset as usize, len)
        } else {
            // SAFETY: the contract of `pp_tx::data`: the bytes lie in the ring, the arena, or memory of the
            // instance that stays unchanged until its next call, which cannot happen while `self` is borrowed.
            unsafe { slice::from_raw_parts(tx.data, len) }
        };
        let answers = answered.map_or_else(Answers::default, |(first, _, _)| Answers { first, count: 1 });
        let segment = tx.segment as usize;
        let segment = if segment < len { segment } else { 0 };
        Ok(Output { answers, payload, to, from, at_ns: tx.at_ns, segment, ecn: tx.ecn & 3 })
    }
}

/// Largest UDP payload over IPv4: 65,535 less the IP and UDP headers.
const MAX_V4: usize = 65_507;
/// Largest UDP payload over IPv6 without jumbograms.
const MAX_V6: usize = 65_527;
/// Where a train without a message would go; there is none.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

#[inline]
fn is_plain_echo(tx: &pp_tx) -> bool {
    tx.data.is_null() && tx.at_ns == 0 && tx.segment == 0 && tx.flags == 0 && tx.ecn & 3 == 0
}

fn route(tx: &pp_tx, answered: Option<&Arrived>) -> Result<(SocketAddr, Option<ReplySource>), OutputError> {
    let to = if tx.flags & TX_TO != 0 {
        from_pp_addr(&tx.to).ok_or(OutputError::NoDestination)?
    } else {
        answered.ok_or(OutputError::NoDestination)?.peer
    };
    let from = if tx.flags & TX_FROM != 0 {
        from_pp_addr(&tx.from).map(|a| ReplySource { ip: a.ip(), ifindex: tx.from.scope })
    } else {
        answered.and_then(|a| a.reply_from)
    };
    Ok((to, from))
}
