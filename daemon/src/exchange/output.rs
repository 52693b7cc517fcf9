//! The answers that a handler queued, checked entry by entry. Entries that echo a train become one output.
#![expect(unsafe_code, reason = "a queued entry may point into the handler's own memory")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::slice;

use polyport_abi::{NO_RX, TX_ADDRESS, TX_CLIENT, TX_DF, TX_FROM, TX_PROVED, TX_SESSION, TX_TO, pp_tx};

use super::longest::{MAX_V6, longest_to};
use super::received::Received;
use super::send_queue::SendQueue;
use super::{Arrived, ReplySource};

/// Something that a handler wants to send: a datagram, or a train of equal datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Which received datagrams it answers.
    pub answers: Answers,
    /// Payload of all its datagrams.
    pub payload: &'a [u8],
    /// Destination.
    pub to: SocketAddr,
    /// Source; none lets the kernel choose.
    pub from: Option<ReplySource>,
    /// Earliest moment to send it, monotonic ns; 0 is now.
    pub at_ns: u64,
    /// Bytes of each datagram but the last, which may be shorter; 0 is one datagram.
    pub segment: usize,
    /// TOS or traffic class; 0 leaves it to the socket.
    pub tos: u8,
    /// The session that it has to do with; 0 is none, and then it leaves by the listener's socket.
    pub session: u64,
    /// It leaves by the listener's socket to the client of that session; else by the session's own. Where it goes then is not
    /// known here: `to` is [`Self::UNNAMED`], unless the handler has named somebody.
    pub to_client: bool,
    /// By which address of its handler it leaves; [`Self::HERE`] is the one that the call is about.
    pub address: u32,
    /// The handler says that the receiver has proved its address (`PP_TX_PROVED`).
    pub proved: bool,
    /// It leaves whole or not at all (`PP_TX_DF`).
    pub df: bool,
    /// TTL or hop limit of what it answers; 0 is unknown, and that of an output that answers nothing.
    pub asked_with: u8,
    /// TTL or hop limit it leaves with; 0 leaves it to the system. A handler has no say in it.
    pub hop_limit: u8,
    /// Whether the datagrams it answers were sent to a multicast group or to a broadcast address.
    pub answers_group: bool,
    /// It answers the datagram of a ticket: 1 + the place of that among [`super::Exchange::tickets_used`]; else 0.
    pub ticket: u16,
}

impl<'a> Output<'a> {
    /// What the entry `tx` asks for, with what is known of the message that it answers, if it answers one.
    #[inline(always)]
    fn asked(
        tx: &pp_tx,
        answered: Option<&Arrived>,
        answers: Answers,
        payload: &'a [u8],
        way: Way,
        segment: usize,
    ) -> Self {
        let Way { to, from, session, to_client } = way;
        Self {
            answers,
            payload,
            to,
            from,
            at_ns: tx.at_ns,
            segment,
            tos: tx.tos,
            session,
            to_client,
            address: if tx.flags & TX_ADDRESS == 0 { Self::HERE } else { tx.address },
            proved: is_proved(tx),
            df: tx.flags & TX_DF != 0,
            // The datagrams of a train have one TTL. Linux before 6.9 joins others as well and tells that of the first,
            // which is none that a loop could gain hops by: the largest of all that go round still falls with each round.
            asked_with: answered.map_or(0, |message| message.hop_limit),
            hop_limit: 0,
            answers_group: answered.is_some_and(Arrived::is_to_group),
            ticket: 0,
        }
    }

    /// The destination of what goes to the upstream or the client of a session, whoever that is.
    pub const UNNAMED: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

    /// The address that the call is about.
    pub const HERE: u32 = u32::MAX;

    /// How many datagrams the output has.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        if self.segment == 0 { 1 } else { self.payload.len().div_ceil(self.segment).max(1) }
    }

    /// The datagrams one by one.
    pub fn split(&self) -> impl Iterator<Item = Output<'a>> + use<'a> {
        let size = if self.segment == 0 { usize::MAX } else { self.segment };
        let payload = self.payload;
        let head = Output { payload: &[], segment: 0, ..*self };
        // `chunks` gives nothing for an empty payload, but that is one datagram.
        let empty = payload.is_empty().then_some(payload);
        payload.chunks(size).chain(empty).map(move |payload| Output { payload, ..head })
    }
}

/// Which way an output leaves.
#[derive(Clone, Copy, Debug)]
struct Way {
    to: SocketAddr,
    from: Option<ReplySource>,
    session: u64,
    to_client: bool,
}

/// Received datagrams that one output answers: `count` of them from index `first` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Index of the first datagram.
    pub first: usize,
    /// How many; 0 for an output that answers none.
    pub count: usize,
}

/// Why a send entry is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputError {
    /// An index or a length is outside the received datagrams, or this host does not know a flag.
    Bad,
    /// A datagram is longer than UDP allows.
    TooLong,
    /// There is no destination, or its family is neither 4 nor 6.
    NoDestination,
}

/// The answers of one call, in order.
#[derive(Debug)]
pub struct Outputs<'a> {
    received: &'a Received,
    queue: &'a SendQueue,
    /// The entries that `flush` parked, then those in the ring; without those that have been checked.
    lists: [&'a [pp_tx]; 2],
    /// The rest of the last run, if it covers more messages.
    pending: Option<PendingRun<'a>>,
    /// Datagrams that the runs of this call may still cover.
    allowance: usize,
}

/// Datagrams that an entry may cover on average: as many as one segmented message has at most. With more, a handler
/// could keep the loop for seconds.
const RUN_MEAN: usize = 64;

/// A run: received datagrams in a row that one entry answers, or several entries that echo one train.
#[derive(Clone, Copy, Debug)]
struct PendingRun<'a> {
    /// The entry that says how they are answered.
    entry: &'a pp_tx,
    /// Index of the first datagram that has no output yet.
    first: usize,
    /// How many datagrams have no output yet.
    count: usize,
    /// Number of the message with the first of them.
    message: usize,
    /// Which datagram of that message it is.
    place: usize,
}

impl<'a> Outputs<'a> {
    /// The answers in `queue`. `most` is how many entries a call may queue.
    pub(super) fn new(received: &'a Received, queue: &'a SendQueue, most: usize) -> Self {
        // All presented datagrams may always go back, however few entries a call may queue.
        let allowance = (most * RUN_MEAN).max(received.shown);
        Self { received, queue, lists: queue.lists(), pending: None, allowance }
    }

    /// The output for the part of a run that came in one message. The rest of the run becomes pending.
    #[inline(always)]
    fn part_of_run(&mut self, run: PendingRun<'a>) -> Result<Output<'a>, OutputError> {
        let message = self.received.messages.get(run.message).ok_or(OutputError::Bad)?;
        let here = if message.segment == 0 { 1 } else { message.datagrams() - run.place };
        let count = here.min(run.count);
        if count < run.count {
            self.pending = Some(PendingRun {
                first: run.first + count,
                count: run.count - count,
                message: run.message + 1,
                place: 0,
                ..run
            });
        }
        self.received.echo(run.entry, message, run.place, Answers { first: run.first, count })
    }

    /// A run of `count` datagrams that begins with the one `entry` answers; none if there is no such datagram.
    fn begin_run(&self, entry: &'a pp_tx, count: usize) -> Option<PendingRun<'a>> {
        let first = entry.rx as usize;
        let rx = self.received.datagram(first)?;
        Some(PendingRun { entry, first, count, message: rx.number, place: rx.place })
    }

    /// The first output of an entry with a run (`pp_tx::run`). Such an entry may only send back received datagrams, in
    /// their full length.
    fn own_run(&mut self, entry: &'a pp_tx) -> Result<Output<'a>, OutputError> {
        let first = entry.rx as usize;
        let count = usize::from(entry.run) + 1;
        let full_length = self.received.datagram(first).is_some_and(|rx| rx.len == entry.len as usize);
        let plain =
            entry.data.is_null() && entry.segment == 0 && entry.flags & !self.received.known_flags() == 0;
        let inside = first + count <= self.received.shown;
        if !(full_length && plain && inside) {
            return Err(OutputError::Bad);
        }
        let allowance = self.allowance.checked_sub(count).ok_or(OutputError::Bad)?;
        let run = self.begin_run(entry, count).ok_or(OutputError::Bad)?;
        self.allowance = allowance;
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
            self.received.check(self.queue, first)
        })
    }
}

impl Received {
    /// How many entries at the head of `list` echo consecutive datagrams of one received train in their full length.
    /// For all other entries 1.
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

    /// Sends received bytes back: one datagram of `message`, or several as a train, from number `place` on.
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
            len = last + last_len - offset;
            segment = message.segment;
        }
        let payload = self.ring.slice(offset, len);
        let mut way = self.way_back(message);
        // To its sender, the length needs no check: no received datagram is longer than one that can be sent.
        if tx.flags & ROUTE_FLAGS != 0 {
            way = self.route(tx, Some(message))?;
            let longest = if segment == 0 { len } else { segment };
            if longest > most(&way) {
                return Err(OutputError::TooLong);
            }
        }
        Ok(Output::asked(tx, Some(message), answers, payload, way, segment))
    }

    /// Checks an entry that stands for itself, and returns its output.
    fn check(&self, queue: &SendQueue, tx: &pp_tx) -> Result<Output<'_>, OutputError> {
        // A flag of a later ABI minor asks for something that this host would not do.
        if tx.flags & !self.known_flags() != 0 {
            return Err(OutputError::Bad);
        }
        let len = tx.len as usize;
        let answered = match tx.rx {
            NO_RX => None,
            index => match self.datagram(index as usize) {
                Some(rx) => Some(rx),
                None => return self.check_ticket(queue, tx),
            },
        };
        let way = self.route(tx, answered.map(|rx| rx.message))?;
        if len > most(&way) {
            return Err(OutputError::TooLong);
        }
        let payload = if tx.data.is_null() {
            let rx = answered.ok_or(OutputError::Bad)?;
            let cap = if rx.message.segment == 0 { rx.message.cap } else { rx.len };
            if len > cap {
                return Err(OutputError::Bad);
            }
            self.ring.slice(rx.offset, len)
        } else if !queue.may_send(tx.data, len) || !self.may_send(tx.data, len) {
            // Behind what the handler wrote lies what other peers have sent or were sent.
            return Err(OutputError::Bad);
        } else {
            // SAFETY: the contract of `pp_tx::data`: the bytes lie in the ring, the arena, or memory of the
            // instance that stays unchanged until its next call, which cannot happen while `self` is borrowed.
            unsafe { slice::from_raw_parts(tx.data, len) }
        };
        let first = tx.rx as usize;
        let answers = answered.map_or_else(Answers::default, |_| Answers { first, count: 1 });
        let segment = tx.segment as usize;
        let segment = if segment < len { segment } else { 0 };
        let message = answered.map(|rx| rx.message);
        Ok(Output::asked(tx, message, answers, payload, way, segment))
    }

    /// The flags that mean something in this call.
    #[inline]
    fn known_flags(&self) -> u8 {
        if self.has_sessions { KNOWN_FLAGS | SESSION_FLAGS } else { KNOWN_FLAGS }
    }

    /// The way back to the sender of a message.
    #[inline(always)]
    fn way_back(&self, message: &Arrived) -> Way {
        Way { to: message.peer, from: message.reply_from, session: message.session, to_client: false }
    }

    /// Destination and source of an entry: its own, or those of the datagram it answers.
    #[inline]
    fn route(&self, tx: &pp_tx, answered: Option<&Arrived>) -> Result<Way, OutputError> {
        if tx.flags & SESSION_FLAGS != 0 {
            return self.route_of_session(tx, answered);
        }
        self.route_of_datagram(tx, answered, answered.map_or(0, |message| message.session))
    }

    /// Destination and source of an entry that has nothing to do with a session, but that what it answers `came` by one.
    #[inline]
    fn route_of_datagram(
        &self,
        tx: &pp_tx,
        answered: Option<&Arrived>,
        came: u64,
    ) -> Result<Way, OutputError> {
        let named = tx.flags & TX_TO != 0;
        let to = if named {
            tx.to.socket_addr().ok_or(OutputError::NoDestination)?
        } else {
            answered.ok_or(OutputError::NoDestination)?.peer
        };
        // What came by a session, or to another address, says nothing about the one it leaves from.
        let from = if tx.flags & TX_FROM != 0 {
            // A socket sends from its own port. Another one is not honoured, so it is refused.
            let is_own = tx.from.port == self.listener_port() && tx.flags & TX_ADDRESS == 0;
            if tx.from.port != 0 && !is_own {
                return Err(OutputError::Bad);
            }
            tx.from.socket_addr().map(|a| ReplySource { ip: a.ip(), ifindex: tx.from.scope })
        } else {
            let is_here = came == 0 && tx.flags & TX_ADDRESS == 0;
            answered.filter(|_| is_here).and_then(|a| a.reply_from)
        };
        let session = if named { 0 } else { came };
        if session != 0 && tx.flags & (TX_FROM | TX_ADDRESS) != 0 {
            return Err(OutputError::Bad);
        }
        Ok(Way { to, from, session, to_client: false })
    }

    /// Where an entry goes that names a session, or its client.
    #[cold]
    fn route_of_session(&self, tx: &pp_tx, answered: Option<&Arrived>) -> Result<Way, OutputError> {
        let (to_client, names_session) = (tx.flags & TX_CLIENT != 0, tx.flags & TX_SESSION != 0);
        let named = tx.flags & TX_TO != 0;
        let session = if names_session { tx.session } else { answered.map_or(0, |message| message.session) };
        if session == 0 || tx.flags & (TX_FROM | TX_ADDRESS) != 0 || (to_client && named) {
            return Err(OutputError::Bad);
        }
        let to = if named { tx.to.socket_addr().ok_or(OutputError::NoDestination)? } else { Output::UNNAMED };
        Ok(Way { to, from: None, session, to_client })
    }

    /// Checks an entry that answers the datagram of a ticket. That was consumed, and its bytes are gone.
    #[cold]
    fn check_ticket(&self, queue: &SendQueue, tx: &pp_tx) -> Result<Output<'_>, OutputError> {
        let (arrived, place) = self.tickets.datagram(tx.rx).ok_or(OutputError::Bad)?;
        if tx.flags & SESSION_FLAGS != 0 {
            return Err(OutputError::Bad);
        }
        let way = self.route_of_datagram(tx, Some(arrived), 0)?;
        let len = tx.len as usize;
        if len > most(&way) {
            return Err(OutputError::TooLong);
        }
        let payload: &[u8] = match (tx.data.is_null(), len) {
            (true, 0) => &[],
            (true, _) => return Err(OutputError::Bad),
            (false, _) if !queue.may_send(tx.data, len) || !self.may_send(tx.data, len) => {
                return Err(OutputError::Bad);
            }
            // SAFETY: as in `check`.
            (false, _) => unsafe { slice::from_raw_parts(tx.data, len) },
        };
        let segment = if (tx.segment as usize) < len { tx.segment as usize } else { 0 };
        let ticket = u16::try_from(place + 1).map_err(|_| OutputError::Bad)?;
        let output = Output::asked(tx, Some(arrived), Answers::default(), payload, way, segment);
        // It leaves by the address that was asked, whatever this call is about.
        let asked = self.tickets.used().get(place).map(|used| used.address);
        let address = match (output.address, asked) {
            (Output::HERE, Some(asked)) if asked != self.address => asked,
            (address, _) => address,
        };
        Ok(Output { ticket, address, ..output })
    }
}

/// The output that [`Received::check`] would give, if the entry `tx` answers the only presented datagram, `message`,
/// with one datagram to its sender. None for any other entry.
#[inline(always)]
pub(super) fn only_answer<'a>(
    received: &'a Received,
    queue: &SendQueue,
    tx: &'a pp_tx,
    message: &Arrived,
) -> Option<Output<'a>> {
    let len = tx.len as usize;
    if tx.rx != 0
        || tx.run != 0
        || tx.flags & !MARKS != 0
        || tx.segment != 0
        || len > longest_to(message.peer)
    {
        return None;
    }
    let payload = if !tx.data.is_null() {
        if !queue.may_send(tx.data, len) || !received.may_send(tx.data, len) {
            return None;
        }
        // SAFETY: as in `check`.
        unsafe { slice::from_raw_parts(tx.data, len) }
    } else if len <= message.cap {
        received.ring.slice(message.offset, len)
    } else {
        return None;
    };
    let answers = Answers { first: 0, count: 1 };
    let way = Way { to: message.peer, from: message.reply_from, session: 0, to_client: false };
    Some(Output::asked(tx, Some(message), answers, payload, way, 0))
}

/// The flags that say where a datagram goes, and from where.
const ROUTE_FLAGS: u8 = TX_TO | TX_FROM | TX_ADDRESS | SESSION_FLAGS;
/// The flags that have to do with sessions.
const SESSION_FLAGS: u8 = TX_SESSION | TX_CLIENT;
/// The flags that change nothing about where a datagram goes.
const MARKS: u8 = TX_PROVED | TX_DF;
/// The flags that this host knows of any handler.
const KNOWN_FLAGS: u8 = TX_TO | TX_FROM | TX_ADDRESS | MARKS;

/// Whether an entry says that its receiver has proved the address.
#[inline]
fn is_proved(tx: &pp_tx) -> bool {
    tx.flags & TX_PROVED != 0
}

/// Largest payload that can leave this way, bytes, as far as it is known here.
#[inline]
fn most(way: &Way) -> usize {
    if way.session != 0 && way.to == Output::UNNAMED { MAX_V6 } else { longest_to(way.to) }
}

/// Whether an entry sends a received datagram back to its sender, at once and unmarked.
#[inline]
fn is_echo(tx: &pp_tx) -> bool {
    tx.data.is_null() && tx.at_ns == 0 && tx.segment == 0 && tx.flags == 0 && tx.tos == 0
}
