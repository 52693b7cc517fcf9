//! What a handler queued, checked entry by entry; echoes of a whole train are seen as the one send they are.
#![expect(unsafe_code, reason = "a queued entry may point into the handler's own memory")]

use super::address::from_pp_addr;
use super::received::Received;
use super::{Arrived, ReplySource};
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
    received: &'a Received,
    /// What `flush` parked, then the ring.
    lists: [&'a [pp_tx]; 2],
    /// What is left of an entry with a run.
    pending: Option<PendingRun<'a>>,
    /// Datagrams that the runs of this call may still stand for.
    allowance: usize,
}

/// Datagrams that the entries a call may queue can stand for on average: as many as one of them can be when it is a
/// segmented message. Beyond that a handler would keep the loop for seconds.
const RUN_MEAN: usize = 64;

/// The received datagrams that an entry answers and that no output has answered yet.
#[derive(Clone, Copy, Debug)]
struct PendingRun<'a> {
    entry: &'a pp_tx,
    first: usize,
    count: usize,
    /// Number of the message the first of them came in, and its place there.
    message: usize,
    place: usize,
}

impl<'a> Outputs<'a> {
    /// The entries of `lists`, of which one call may queue `most`.
    pub(super) fn new(received: &'a Received, lists: [&'a [pp_tx]; 2], most: usize) -> Self {
        // A whole batch may always go back, however few entries a call may queue.
        let allowance = (most * RUN_MEAN).max(received.shown);
        Self { received, lists, pending: None, allowance }
    }

    /// The part of a run that came in one message: a datagram, or a train.
    #[inline(always)]
    fn part_of_run(&mut self, run: PendingRun<'a>) -> Result<Output<'a>, OutputError> {
        let message = self.received.messages.get(run.message).ok_or(OutputError::Bad)?;
        let here = if message.segment == 0 { 1 } else { message.datagrams() - run.place };
        let count = here.min(run.count);
        if count < run.count {
            let (first, count) = (run.first + count, run.count - count);
            self.pending = Some(PendingRun { first, count, message: run.message + 1, place: 0, ..run });
        }
        self.received.echo(run.entry, message, run.place, Answers { first: run.first, count })
    }

    /// What `count` entries, or one with a run, answer: the received datagrams from that of `entry` on.
    fn begin_run(&self, entry: &'a pp_tx, count: usize) -> Option<PendingRun<'a>> {
        let first = entry.rx as usize;
        let rx = self.received.datagram(first)?;
        Some(PendingRun { entry, first, count, message: rx.number, place: rx.place })
    }

    /// The run of an entry that says it has one.
    fn own_run(&mut self, entry: &'a pp_tx) -> Result<Output<'a>, OutputError> {
        let (first, count) = (entry.rx as usize, usize::from(entry.run) + 1);
        let whole = self.received.datagram(first).is_some_and(|rx| rx.len == entry.len as usize);
        let plain = entry.data.is_null() && entry.segment == 0 && entry.flags & !(TX_TO | TX_FROM) == 0;
        let inside = first + count <= self.received.shown;
        let left = self.allowance.checked_sub(count).filter(|_| whole && plain && inside);
        let run = left.and_then(|_| self.begin_run(entry, count)).ok_or(OutputError::Bad)?;
        self.allowance -= count;
        self.part_of_run(run)
    }
}

impl<'a> Iterator for Outputs<'a> {
    type Item = Result<Output<'a>, OutputError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(run) = self.pending.take() {
            return Some(self.part_of_run(run));
        }
        if self.lists[0].is_empty() {
            self.lists.swap(0, 1);
        }
        let list = self.lists[0];
        let first = list.first()?;
        let entries = if first.run == 0 { self.received.train_run(list) } else { 1 };
        self.lists[0] = list.get(entries..).unwrap_or_default();
        Some(if entries > 1 {
            self.begin_run(first, entries).ok_or(OutputError::Bad).and_then(|run| self.part_of_run(run))
        } else if first.run > 0 {
            self.own_run(first)
        } else {
            self.received.check(first)
        })
    }
}

impl Received {
    /// How many entries at the head of `list` echo consecutive datagrams of one received train, unchanged in
    /// length; 1 when it is anything else.
    #[inline]
    fn train_run(&self, list: &[pp_tx]) -> usize {
        let Some((first, more)) = list.split_first().filter(|(tx, more)| !more.is_empty() && is_echo(tx))
        else {
            return 1;
        };
        let Some(head) = self.datagram(first.rx as usize).filter(|rx| rx.message.segment > 0) else {
            return 1;
        };
        let pieces = (head.place + 1..head.message.datagrams()).map(|place| head.message.piece(place));
        let same = |((number, tx), (_, len)): &((u32, &pp_tx), (usize, usize))| {
            is_echo(tx) && tx.run == 0 && tx.rx == *number && tx.len as usize == *len
        };
        if first.len as usize != head.len {
            return 1;
        }
        1 + (first.rx + 1..).zip(more).zip(pieces).take_while(same).count()
    }

    /// Received bytes on their way back: one datagram, or several of one train as the train they came in.
    #[inline(always)]
    fn echo(
        &self,
        tx: &pp_tx,
        message: &Arrived,
        place: usize,
        answers: Answers,
    ) -> Result<Output<'_>, OutputError> {
        let (offset, mut len) = message.piece(place);
        let mut segment = 0;
        if answers.count > 1 {
            let (last, last_len) = message.piece(place + answers.count - 1);
            (len, segment) = (last + last_len - offset, message.segment);
        }
        let payload = self.ring.slice(offset, len);
        let (at_ns, ecn) = (tx.at_ns, tx.ecn & 3);
        if tx.flags == 0 {
            // A received datagram is never longer than one that can be sent.
            let (to, from) = (message.peer, message.reply_from);
            return Ok(Output { answers, payload, to, from, at_ns, segment, ecn });
        }
        let (to, from) = route(tx, Some(message))?;
        let longest = if segment == 0 { len } else { segment };
        if longest > most(to) {
            return Err(OutputError::TooLong);
        }
        Ok(Output { answers, payload, to, from, at_ns, segment, ecn })
    }

    fn check(&self, tx: &pp_tx) -> Result<Output<'_>, OutputError> {
        // A flag of a later minor asks for something that would not be done.
        if tx.flags & !(TX_TO | TX_FROM) != 0 {
            return Err(OutputError::Bad);
        }
        let len = tx.len as usize;
        let answered = match tx.rx {
            NO_RX => None,
            index => Some(self.datagram(index as usize).ok_or(OutputError::Bad)?),
        };
        let (to, from) = route(tx, answered.map(|rx| rx.message))?;
        if len > most(to) {
            return Err(OutputError::TooLong);
        }
        let payload = if tx.data.is_null() {
            let rx = answered.ok_or(OutputError::Bad)?;
            let cap = if rx.message.segment == 0 { rx.message.cap } else { rx.len };
            if len > cap {
                return Err(OutputError::Bad);
            }
            self.ring.slice(rx.offset, len)
        } else {
            // SAFETY: the contract of `pp_tx::data`: the bytes lie in the ring, the arena, or memory of the
            // instance that stays unchanged until its next call, which cannot happen while `self` is borrowed.
            unsafe { slice::from_raw_parts(tx.data, len) }
        };
        let first = tx.rx as usize;
        let answers = answered.map_or_else(Answers::default, |_| Answers { first, count: 1 });
        let segment = tx.segment as usize;
        let segment = if segment < len { segment } else { 0 };
        Ok(Output { answers, payload, to, from, at_ns: tx.at_ns, segment, ecn: tx.ecn & 3 })
    }
}

/// What [`Received::check`] says of the entry `tx` that answers the only datagram, `message`, with one datagram to its
/// sender; none for any other entry.
#[inline(always)]
pub(super) fn only_answer<'a>(
    received: &'a Received,
    tx: &'a pp_tx,
    message: &Arrived,
) -> Option<Output<'a>> {
    let len = tx.len as usize;
    if tx.rx != 0 || tx.run != 0 || tx.flags != 0 || tx.segment != 0 || len > most(message.peer) {
        return None;
    }
    let payload = if !tx.data.is_null() {
        // SAFETY: as in `check`.
        unsafe { slice::from_raw_parts(tx.data, len) }
    } else if len <= message.cap {
        received.ring.slice(message.offset, len)
    } else {
        return None;
    };
    let answers = Answers { first: 0, count: 1 };
    let (to, from) = (message.peer, message.reply_from);
    Some(Output { answers, payload, to, from, at_ns: tx.at_ns, segment: 0, ecn: tx.ecn & 3 })
}

/// Largest payload that can be sent to an address.
#[inline]
fn most(to: SocketAddr) -> usize {
    if to.is_ipv4() { MAX_V4 } else { MAX_V6 }
}

/// Largest UDP payload over IPv4: 65,535 less the IP and UDP headers.
const MAX_V4: usize = 65_507;
/// Largest UDP payload over IPv6 without jumbograms.
const MAX_V6: usize = 65_527;
/// Whether an entry sends a received datagram back at once.
#[inline]
pub(super) fn is_echo(tx: &pp_tx) -> bool {
    tx.data.is_null() && tx.at_ns == 0 && tx.segment == 0 && tx.flags == 0 && tx.ecn & 3 == 0
}

#[inline]
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
