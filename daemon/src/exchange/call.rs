//! The memory of a call as a whole, lent to one handler after the other.

use std::net::SocketAddr;
use std::ptr;

use polyport_abi::{pp_batch, pp_session};

use super::claims::Claims;
use super::received::{Received, narrow};
use super::send_queue::SendQueue;
use super::sessions::Desk;
use super::{
    Arrived, Client, CompactAddr, ExchangeLimits, OpenRefused, Outputs, Queued, SessionRequest, Taken,
    TicketCounts, Used,
};

/// The memory that host and handler share during a call: receive buffers, descriptors, send entries and scratch memory.
/// A reactor has one, and lends it to one handler after the other.
#[derive(Debug)]
pub struct Exchange {
    pub(super) limits: ExchangeLimits,
    pub(super) received: Received,
    pub(super) queue: SendQueue,
    /// What the handler has asked for. The calls are in the instance's record, but that is rarely in the cache.
    asked: Asked,
    desk: Desk,
    /// What the last call that broke its handler said that it worked on (`pp_batch::handling`).
    handling: u32,
    /// What handlers said of what they had written, if it is fenced: the tests of plugins judge it.
    pub(super) claims: Option<Claims>,
}

/// What a handler has asked the host for besides sending and sessions. Nearly no call asks for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Timers.
    pub timers: bool,
    /// Tickets, to have them or to use them.
    pub tickets: bool,
    /// To join or leave groups.
    pub groups: bool,
}

impl Asked {
    /// Nothing.
    pub const NOTHING: Self = Self { timers: false, tickets: false, groups: false };

    /// Whether it is something.
    #[inline]
    #[must_use]
    pub fn is_something(self) -> bool {
        self.timers | self.tickets | self.groups
    }
}

impl Exchange {
    /// An exchange with memory of these sizes.
    #[must_use]
    pub fn new(limits: ExchangeLimits) -> Self {
        let received = Received::new(&limits);
        let queue = SendQueue::new(&limits);
        Self::within(limits, received, queue)
    }

    /// An exchange with this memory, which has these sizes.
    pub(super) fn within(limits: ExchangeLimits, received: Received, queue: SendQueue) -> Self {
        Self {
            limits,
            received,
            queue,
            asked: Asked::NOTHING,
            desk: Desk::default(),
            handling: 0,
            claims: None,
        }
    }

    /// The sizes of its memory.
    #[must_use]
    pub fn limits(&self) -> &ExchangeLimits {
        &self.limits
    }

    /// The receive ring, for the I/O to fill.
    pub fn ring_mut(&mut self) -> &mut [u8] {
        self.received.ring.bytes_mut()
    }

    /// Forgets the datagrams and answers of the last call. Messages pushed from now on arrived at `now_ns`, monotonic
    /// ns, at a listener bound to `bound`. The handler is told that address and port as their destination; if a message
    /// has a destination of its own, only the port.
    pub fn clear(&mut self, now_ns: u64, bound: SocketAddr) {
        self.received.clear(now_ns, bound);
        self.queue.clear();
    }

    /// The messages arrived at `now_ns`, monotonic ns, or before, which is later than [`Self::clear`] was told. Those that
    /// are presented from now on show it.
    pub fn set_now(&mut self, now_ns: u64) {
        self.received.set_now(now_ns);
    }

    /// Forgets only the answers, because a handler that broke sends nothing.
    pub fn discard_outputs(&mut self) {
        self.queue.clear();
    }

    /// Adds a received message. Returns false if it has more datagrams than there are descriptors, or does not lie in
    /// the ring.
    #[inline]
    pub fn push(&mut self, arrived: Arrived) -> bool {
        self.received.push(arrived)
    }

    /// Says when the kernel received the message that was pushed last, ns since 1970; 0 if it does not tell.
    pub fn push_stamp(&mut self, unix_ns: u64) {
        // Messages before it may have come by sockets that were not asked.
        let before = self.received.messages.len().saturating_sub(1);
        self.received.stamps.resize(before, 0);
        self.received.stamps.push(unix_ns);
    }

    /// Whether the time of the kernel is known of the messages that were pushed; then [`Self::stamp`] tells the handler.
    #[inline]
    #[must_use]
    pub fn has_stamps(&self) -> bool {
        !self.received.stamps.is_empty()
    }

    /// Tells the handler when the kernel received the datagrams that are presented, which was at `until_ns` at the latest,
    /// monotonic ns. `wall_offset_ns` is what the wall clock is ahead of the monotonic one.
    pub fn stamp(&mut self, wall_offset_ns: i64, until_ns: u64) {
        self.received.stamp(wall_offset_ns, until_ns);
    }

    /// Describes the next messages to the handler, as many as [`ExchangeLimits::present`] allows and at least one, and
    /// forgets the answers to the messages before. Returns how many datagrams they are; 0 when no message is left.
    #[inline]
    pub fn present(&mut self) -> usize {
        self.queue.clear();
        self.received.present()
    }

    /// The messages that were pushed, in order.
    #[must_use]
    pub fn messages(&self) -> &[Arrived] {
        &self.received.messages
    }

    /// The bytes of a message that was pushed, as they are now.
    #[must_use]
    pub fn bytes_of(&self, arrived: &Arrived) -> &[u8] {
        self.received.ring.slice(arrived.offset, arrived.len)
    }

    /// The messages whose datagrams are presented to the handler, in order.
    #[must_use]
    pub fn presented(&self) -> &[Arrived] {
        self.received.shown_messages()
    }

    /// The number, among [`Self::presented`], of the message with a presented datagram; none if there is no such index.
    #[must_use]
    pub fn message_of(&self, index: usize) -> Option<usize> {
        self.received.message_number(index)
    }

    /// The length of a presented datagram as it came, bytes; none if there is no such index.
    #[must_use]
    pub fn length(&self, index: usize) -> Option<usize> {
        Some(self.received.datagram(index)?.len)
    }

    /// How many datagrams are presented to the handler.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.received.shown
    }

    /// The sender of a presented datagram; none if there is no such index.
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<SocketAddr> {
        Some(self.received.datagram(index)?.message.peer)
    }

    /// The bytes of a presented datagram as the handler left them; empty if there is no such index.
    #[must_use]
    pub fn payload(&self, index: usize) -> &[u8] {
        self.received.datagram(index).map_or(&[], |rx| self.received.ring.slice(rx.offset, rx.len))
    }

    /// Whether the handler dropped a presented datagram on purpose (`pp_dgram::verdict`).
    #[must_use]
    pub fn discarded(&self, index: usize) -> bool {
        self.received.is_discarded(index)
    }

    /// Datagrams that the handler had no room to queue (`pp_batch::refused`).
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.queue.refused()
    }

    /// What a handler has asked for since the last call of this function.
    #[inline]
    pub fn take_asked(&mut self) -> Asked {
        std::mem::take(&mut self.asked)
    }

    /// Notes that the handler has called `timer`.
    pub(crate) fn note_timer(&mut self) {
        self.asked.timers = true;
    }

    /// Notes that the handler has called `group`.
    pub(crate) fn note_group(&mut self) {
        self.asked.groups = true;
    }

    /// Does `ticket` for the host: a ticket for a presented datagram, good for `age_ns`; none if there is none to be had.
    pub(crate) fn take_ticket(&mut self, owner: usize, rx: u32, age_ns: u64) -> Option<u64> {
        self.asked.tickets = true;
        self.received.take_ticket(owner, rx as usize, age_ns)
    }

    /// Does `answer` for the host: what stands for the datagram of a ticket in `pp_tx::rx`; none if it is no longer good.
    pub(crate) fn answer(&mut self, owner: usize, ticket: u64) -> Option<u32> {
        self.asked.tickets = true;
        let now_ns = self.received.now_ns();
        self.received.tickets.answer(owner, ticket, now_ns)
    }

    /// The tickets that the call has taken.
    #[must_use]
    pub fn tickets_taken(&self) -> &[Taken] {
        self.received.tickets.taken()
    }

    /// The tickets that the call uses.
    #[must_use]
    pub fn tickets_used(&self) -> &[Used] {
        self.received.tickets.used()
    }

    /// Says what a ticket that the call has taken pays for, thousandths of a byte.
    pub fn endow_ticket(&mut self, taken: Taken, milli: u64) {
        self.received.tickets.endow(taken, milli);
    }

    /// Ends the tickets that the call has used. Returns what it did with tickets.
    pub fn end_tickets(&mut self) -> TicketCounts {
        self.received.tickets.end_call()
    }

    /// Ends all tickets of an instance, by the number that names it.
    pub fn forget_tickets(&mut self, owner: usize) {
        self.received.tickets.forget(owner);
    }

    /// When the last ticket ends that is good at `now_ns`, monotonic ns; none if there is no such ticket.
    #[must_use]
    pub fn tickets_end(&self, now_ns: u64) -> Option<u64> {
        self.received.tickets.last_end(now_ns)
    }

    /// How many tickets there are, of which some may be too old.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.received.tickets.len()
    }

    /// Opens the desk for sessions: the handler that is called next may open so many. What it queues may name sessions.
    pub fn open_desk(&mut self, room: usize) {
        self.received.has_sessions = true;
        self.desk.open(room);
    }

    /// Closes the desk, and forgets what was asked for there.
    pub fn close_desk(&mut self) {
        self.received.has_sessions = false;
        self.desk.close();
    }

    /// Whether the desk is open.
    #[inline]
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.received.has_sessions
    }

    /// Moves what the handler has asked for about sessions into `into`.
    pub fn take_requests(&mut self, into: &mut Vec<SessionRequest>) {
        into.append(&mut self.desk.requests);
    }

    /// How many ids are missing to have `most` in stock.
    #[must_use]
    pub fn missing_ids(&self, most: usize) -> usize {
        self.desk.missing(most)
    }

    /// Adds an id to the stock of those that handlers may be given.
    pub fn stock_id(&mut self, id: u64) {
        self.desk.stock(id);
    }

    /// Counts since this was asked last: how often no id was given out, by [`OpenRefused`], and requests that make no sense.
    pub fn take_session_counts(&mut self) -> ([u64; OpenRefused::COUNT], u64) {
        self.desk.take_counts()
    }

    /// Gives out no ids until `until_ns`, for sessions from `source`, or for any.
    pub fn pause_opens(&mut self, source: Option<std::net::IpAddr>, is_all: bool, until_ns: u64) {
        self.desk.pause(source, is_all, until_ns);
    }

    /// Gives out ids again.
    pub fn resume_opens(&mut self) {
        self.desk.resume();
    }

    /// Why no session is to be opened now from `source`; none if one may be.
    #[must_use]
    pub fn opens_paused(&self, source: Option<std::net::IpAddr>) -> Option<OpenRefused> {
        self.desk.paused(source, self.received.now_ns())
    }

    /// The messages that were pushed last, of which nothing else was said, came by the socket of session `id`. All messages
    /// of an exchange come by sessions of one listener, or none does.
    pub fn came_by(&mut self, id: u64) {
        self.received.came_by(id);
    }

    /// The slot of the ring that the next message is to be put into.
    #[inline]
    #[must_use]
    pub fn next_slot(&self) -> usize {
        self.received.next_slot(self.limits.stride)
    }

    /// The port of the listener whose handler is called.
    #[must_use]
    pub fn listener_port(&self) -> u16 {
        self.received.listener_port()
    }

    /// Whether the messages came by sessions.
    #[inline]
    #[must_use]
    pub fn is_by_session(&self) -> bool {
        self.received.is_by_session()
    }

    /// Forgets those messages that were not presented yet and whose session is gone. Returns how many datagrams they were.
    pub fn forget_sessions(&mut self, is_there: impl FnMut(u64) -> bool) -> usize {
        self.received.forget_sessions(is_there)
    }

    /// Tells the handler by which session each datagram came that is presented, with its word and the address of its socket,
    /// as `know` says; a session of unknown address has that of the listener.
    pub fn tell_sessions(&mut self, mut know: impl FnMut(u64) -> (u64, CompactAddr)) {
        self.received.tell_sessions(|id| {
            let (user, local) = know(id);
            (user, local.into())
        });
    }

    /// Shows none of the datagrams any more and forgets the answers, for a call about something else. What was not presented
    /// yet stays.
    pub fn conceal(&mut self) {
        self.received.conceal();
        self.queue.clear();
    }

    /// Does `session_open` for the host; 0 if there is none.
    pub(crate) fn open_session(&mut self, raw: &pp_session) -> u64 {
        let Self { received, desk, .. } = self;
        desk.ask(raw, received.now_ns(), |rx| sender(received, rx)).unwrap_or(0)
    }

    /// Does `session_close` and the like for the host. False if this is no time for it, or there are too many.
    pub(crate) fn note_session(&mut self, request: SessionRequest) -> bool {
        self.desk.note(request)
    }

    /// Does `session_set` of the client for the host: it is the sender of datagram `rx` now.
    pub(crate) fn note_client(&mut self, id: u64, rx: u64) -> bool {
        let client = u32::try_from(rx).ok().and_then(|rx| sender(&self.received, rx));
        match client {
            Some(client) => self.desk.note(SessionRequest::Client(id, client)),
            None => {
                self.desk.note_bad();
                false
            }
        }
    }

    /// Notes what a call that broke its handler said that it worked on, `pp_batch::handling`.
    pub(crate) fn note_handling(&mut self, handling: u32) {
        self.handling = handling;
    }

    /// The index of the presented datagram that the handler worked on when its call broke it; none if nobody knows. A datagram
    /// that was alone is known in any case.
    #[must_use]
    pub fn handled_last(&self) -> Option<usize> {
        let said = (self.handling as usize).checked_sub(1).filter(|index| *index < self.received.shown);
        said.or_else(|| (self.received.shown == 1).then_some(0))
    }

    /// Keeps only the messages for which `keep` is true. Must be called before any message is presented.
    pub fn retain(&mut self, keep: impl Fn(&Arrived) -> bool) {
        let Received { messages, stamps, .. } = &mut self.received;
        let mut of_stamps = messages.iter();
        stamps.retain(|_| of_stamps.next().is_some_and(&keep));
        messages.retain(keep);
    }

    /// The answers that the handler queued in its last call, in order.
    #[must_use]
    pub fn outputs(&self) -> Outputs<'_> {
        Outputs::new(&self.received, &self.queue, self.limits.tx_total)
    }

    /// The sessions by which these are to leave, one for each of them that names any. They may be none of the handler's.
    pub fn sessions_named(&self) -> impl Iterator<Item = u64> {
        self.queue.lists().into_iter().flatten().map(|tx| tx.session).filter(|id| *id != 0)
    }

    /// The answers that the handler queued in its last call, by kind. Most visits of a sparse listener end in the simple
    /// kind, which needs less code than [`Self::outputs`].
    #[inline(always)]
    #[must_use]
    pub fn queued(&self) -> Queued<'_> {
        Queued::of(&self.received, &self.queue).unwrap_or_else(|| Queued::Mixed(self.outputs()))
    }

    /// Lends the memory to a handler call. `call` gets the batch, valid until it returns, and a pointer to this
    /// exchange for `flush`. During the call the exchange may be used through that pointer only, because every other
    /// one would alias `self`.
    pub(crate) fn lend<R>(
        &mut self,
        batch: &pp_batch,
        call: impl FnOnce(*mut pp_batch, *mut Self) -> R,
    ) -> R {
        self.received.address = batch.address;
        let Received { rx, shown, .. } = &mut self.received;
        let mut batch = pp_batch { rx: rx.as_mut_ptr(), rx_len: narrow(*shown), ..*batch };
        self.queue.lend(&mut batch);
        let result = call(&raw mut batch, ptr::from_mut(self));
        self.queue.take_back(&batch);
        if let Some(claims) = &mut self.claims {
            claims.note(&batch);
        }
        result
    }

    /// Does `flush` for the host: parks the queued entries and hands out the next arena chunk. Returns false when the
    /// call has used up its share.
    pub(crate) fn park(&mut self, batch: &mut pp_batch) -> bool {
        if let Some(claims) = &mut self.claims {
            claims.note(batch);
        }
        self.queue.park(batch)
    }
}

/// Who sent a presented datagram, if it came to the listener.
fn sender(received: &Received, rx: u32) -> Option<Client> {
    let datagram = received.datagram(rx as usize).filter(|rx| rx.message.session == 0)?;
    Some(Client { peer: datagram.message.peer, asked: datagram.message.reply_from })
}
