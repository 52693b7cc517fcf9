//! The datagrams of one turn, and the place for the answers.

use core::fmt::Display;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use polyport_abi as abi;

use crate::context::{change_group, log, set_timer};
use crate::convert::{RawBatch, Slots};
use crate::datagram::{Datagram, copy};
use crate::level::Level;
use crate::queued::{Queued, Refusal};
use crate::remote::Ticket;
use crate::route::{Route, Via};
use crate::session::Session;
use crate::session_id::SessionId;
use crate::time::nanos;

/// What [`on_batch`](crate::Handler::on_batch) and [`on_timer`](crate::Handler::on_timer) get. Everything
/// queued here leaves when the call returns; after a panic nothing of it does.
///
/// Functions that send return whether there was room. What finds none is counted by the host. A datagram for later needs room
/// until it leaves as well: what exceeds the part of the listener (`delayed_datagrams`, `delayed_bytes`) is false, and dropped
/// after the call unless others give way to it.
///
/// Nothing of a batch can be kept beyond the call:
///
/// ```compile_fail,E0597
/// use polyport_plugin::prelude::*;
/// struct Keeps { last: &'static [u8] }
/// impl Handler for Keeps {
///     type Config = ();
///     fn new((): (), _: &mut Setup) -> Result<Self> { Ok(Keeps { last: b"" }) }
///     fn on_batch(&mut self, batch: &mut Batch) {
///         for datagram in batch { self.last = datagram.payload(); }
///     }
/// }
/// ```
///
/// Nor leave the thread:
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>() {}
/// needs_send::<polyport_plugin::Batch<'static>>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>() {}
/// needs_send::<polyport_plugin::Datagram<'static>>();
/// ```
#[derive(Debug)]
pub struct Batch<'a> {
    raw: RawBatch<'a>,
    slots: Slots<'a>,
    /// Traffic class of what is sent without a datagram to answer; 0 is the socket's own.
    tos: u8,
    failed: bool,
}

impl<'a> Batch<'a> {
    pub(crate) const fn new(raw: RawBatch<'a>, slots: Slots<'a>) -> Self {
        Self { raw, slots, tos: 0, failed: false }
    }

    /// Datagrams received in this turn, whether taken yet or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.with(|b| b.rx_len as usize)
    }

    /// True in [`on_timer`](crate::Handler::on_timer).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands out the datagrams, each one once: a second call gives none. They do not borrow the batch, so
    /// it can be used inside the loop.
    #[inline]
    pub fn datagrams(&mut self) -> Datagrams<'a> {
        Datagrams(self.slots.take())
    }

    /// Sends every datagram not handed out yet back to its sender, as [`Datagram::echo`] does one, and returns how
    /// many found no room. It costs the same for one datagram and for a thousand.
    #[inline]
    pub fn echo_all(&mut self) -> usize {
        self.slots.take().echo()
    }

    /// The time of this call, nanoseconds of the monotonic clock. What is shown may have arrived up to a turn of the loop later,
    /// but not on a listener that has sent an answer later before: a delay counts from no moment before the arrival.
    #[must_use]
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.raw.with(|b| b.now_ns)
    }

    /// The time of this turn, nanoseconds since 1970 (Unix time). May jump; never compare it with
    /// [`now_ns`](Self::now_ns).
    #[must_use]
    pub fn wall_ns(&self) -> u64 {
        self.raw.with(|b| b.now_ns.saturating_add_signed(b.wall_offset_ns))
    }

    /// The number, in [`Setup::addresses`](crate::Setup::addresses), of the address that this call is about: the one that the
    /// datagrams were sent to, or that the session was opened at. In [`on_timer`](crate::Handler::on_timer) it is the first that is
    /// served. What is sent leaves by it, unless something else is said.
    #[must_use]
    pub fn address(&self) -> usize {
        self.raw.address().unwrap_or(0) as usize
    }

    /// Largest payload the socket of [this address](Self::address) can send in one datagram, bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.raw.with(|b| b.max_payload as usize)
    }

    /// Sends a copy of `data` to `to`, from the [address](Self::address) that this call is about.
    pub fn send_to(&mut self, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route::fresh(to), data)
    }

    /// Sends a copy of `data` to `to` by the address with this number, see [`Setup::addresses`](crate::Setup::addresses). The host
    /// copies what leaves by another address than that of the call, so what can wait for a call about it is cheaper there. There
    /// is one address only with a host before 1.3.
    pub fn send_by(&mut self, address: usize, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(self.by(address, to), data)
    }

    /// Sends a copy of `data` to `to`, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn send_to_at(&mut self, at_ns: u64, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route { at_ns, ..Route::fresh(to) }, data)
    }

    /// Sends a copy of `data` to `to`, from `from`, which must be an address of this host.
    pub fn send_to_from(&mut self, to: SocketAddr, from: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route { from: Some(from), ..Route::fresh(to) }, data)
    }

    /// Sends to addresses that need no budget: the handler has proved that their owners receive there, or they come from
    /// its own options and from no datagram. What is sent otherwise, to an address that is not loopback, must be paid
    /// for by what came from there within the last second, or is dropped (`[listen.reply]`).
    pub fn proved(&mut self) -> Proved<'_, 'a> {
        Proved(self)
    }

    fn by(&self, address: usize, to: SocketAddr) -> Route {
        let number = u32::try_from(address).unwrap_or(u32::MAX);
        let via = self.raw.address().map_or(Via::Same, |_| Via::Address(number));
        Route { via, ..Route::fresh(to) }
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "queueing changes the batch")]
    fn send(&mut self, route: Route, data: &[u8]) -> Queued {
        copy(self.raw, Route { tos: self.tos, ..route }, data)
    }

    /// Has all that the functions of this batch send from now on leave with this TOS (RFC 791) or traffic class (RFC
    /// 8200): DSCP and ECN; 0 is the socket's own. A host before ABI 1.3 takes the two bits of ECN alone.
    pub fn set_tos(&mut self, tos: u8) {
        self.tos = self.raw.tos(tos);
    }

    /// Answers the datagram of a ticket with a copy of `data`, from the address it was sent to. In the call in which a
    /// ticket is used it may be used again; after that it is gone.
    pub fn answer(&mut self, ticket: Ticket, data: &[u8]) -> Queued {
        self.answer_by(ticket, data, false)
    }

    fn answer_by(&mut self, ticket: Ticket, data: &[u8], proved: bool) -> Queued {
        match self.raw.host().answer(ticket.0.get()) {
            Some(rx) => self.send(Route { proved, ..Route::answer(rx, 0) }, data),
            None => Queued::No(Refusal::TooLate),
        }
    }

    /// Says that this call failed, and why: the host counts it and the reason is logged. What is queued leaves all the same,
    /// and the instance goes on. After a panic nothing leaves, and the instance is made again.
    pub fn fail(&mut self, reason: impl Display) {
        self.failed = true;
        log(self.raw.host(), Level::Error, reason);
    }

    /// What the call returns to the host.
    pub(crate) const fn code(&self) -> i32 {
        if self.failed { abi::ERROR } else { abi::OK }
    }

    /// Has the listener's socket join a multicast group when this call has returned, see [`Setup::join`](crate::Setup::join).
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the listener")]
    pub fn join(&mut self, group: IpAddr, source: Option<IpAddr>, ifindex: u32) -> bool {
        change_group(self.raw.host(), abi::GROUP_JOIN, group, source, ifindex)
    }

    /// Has the listener's socket leave a multicast group when this call has returned; all as it was joined.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the listener")]
    pub fn leave(&mut self, group: IpAddr, source: Option<IpAddr>, ifindex: u32) -> bool {
        change_group(self.raw.host(), abi::GROUP_LEAVE, group, source, ifindex)
    }

    /// Opens a session; for handlers with [`SESSIONS`](crate::Handler::SESSIONS). It can be sent to at once. None if it cannot be now: more than
    /// the configuration allows, or nothing is left and the next attempt waits; the host counts which. What goes wrong after
    /// this call is told by [`on_session`](crate::Handler::on_session).
    #[expect(clippy::needless_pass_by_ref_mut, reason = "opening a session changes the host")]
    pub fn open(&mut self, session: Session) -> Option<SessionId> {
        SessionId::new(self.raw.host().session_open(&session.raw))
    }

    /// Ends a session when the call is over; what was queued for it still leaves. It is told as closed.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "closing a session changes the host")]
    pub fn close(&mut self, session: SessionId) -> bool {
        self.raw.host().session_close(session.raw())
    }

    /// Gives a session another number, see [`Session::user`].
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the session")]
    pub fn set_user(&mut self, session: SessionId, user: u64) -> bool {
        self.raw.host().session_set(session.raw(), abi::SET_USER, user)
    }

    /// Gives a session another idle time, see [`Session::idle`]; zero is none.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the session")]
    pub fn set_idle(&mut self, session: SessionId, after: Duration) -> bool {
        self.raw.host().session_set(session.raw(), abi::SET_IDLE, nanos(after))
    }

    /// Gives a session another client: the sender of `datagram`, which came to the listener in this call.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes the session")]
    pub fn set_client(&mut self, session: SessionId, datagram: &Datagram<'_>) -> bool {
        self.raw.host().session_set(session.raw(), abi::SET_CLIENT, datagram.0.index.into())
    }

    /// Sends a copy of `data` to the upstream of a session, by its socket.
    pub fn send_session(&mut self, session: SessionId, data: &[u8]) -> Queued {
        self.send(Route::by(Via::Session(session.raw())), data)
    }

    /// Sends a copy of `data` to `to`, by the socket of a session that is [unconnected](Session::unconnected).
    pub fn send_session_to(&mut self, session: SessionId, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route { to: Some(to), ..Route::by(Via::Session(session.raw())) }, data)
    }

    /// Sends a copy of `data` to the client of a session, by the listener's socket.
    pub fn send_client(&mut self, session: SessionId, data: &[u8]) -> Queued {
        self.send(Route::by(Via::ClientOf(session.raw())), data)
    }

    /// Sets a timer, see [`Setup::timer`](crate::Setup::timer).
    #[expect(clippy::needless_pass_by_ref_mut, reason = "setting a timer changes the host")]
    pub fn timer(&mut self, token: u64, after: Duration, every: Duration) -> bool {
        set_timer(self.raw.host(), self.now_ns(), token, after, every)
    }

    /// Cancels the timer `token`, if there is one.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "cancelling a timer changes the host")]
    pub fn cancel_timer(&mut self, token: u64) -> bool {
        self.raw.host().timer(token, 0, 0)
    }

    /// Whether lines of this level are kept; ask before building an expensive one.
    #[must_use]
    #[inline]
    pub fn log_enabled(&self, level: Level) -> bool {
        self.raw.with(|b| u32::try_from(level as i32).is_ok_and(|level| level <= b.log_level))
    }

    /// One line for the host's log, formatted only if it is kept. Bytes that are not text:
    /// `bytes.escape_ascii()`.
    pub fn log(&self, level: Level, message: impl Display) {
        if self.log_enabled(level) {
            log(self.raw.host(), level, message);
        }
    }
}

/// Sends that need no budget, see [`Batch::proved`].
#[derive(Debug)]
pub struct Proved<'b, 'a>(&'b mut Batch<'a>);

impl Proved<'_, '_> {
    /// Sends a copy of `data` to `to`, from the [address](Batch::address) that this call is about.
    pub fn send_to(&mut self, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route::fresh(to), data)
    }

    /// As [`Batch::send_by`].
    pub fn send_by(&mut self, address: usize, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(self.0.by(address, to), data)
    }

    /// Sends a copy of `data` to `to`, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn send_to_at(&mut self, at_ns: u64, to: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route { at_ns, ..Route::fresh(to) }, data)
    }

    /// Sends a copy of `data` to `to`, from `from`, which must be an address of this host.
    pub fn send_to_from(&mut self, to: SocketAddr, from: SocketAddr, data: &[u8]) -> Queued {
        self.send(Route { from: Some(from), ..Route::fresh(to) }, data)
    }

    /// Answers the datagram of a ticket, as [`Batch::answer`] does.
    pub fn answer(&mut self, ticket: Ticket, data: &[u8]) -> Queued {
        let proved = self.0.raw.host().has_minor(1);
        self.0.answer_by(ticket, data, proved)
    }

    fn send(&mut self, route: Route, data: &[u8]) -> Queued {
        let proved = self.0.raw.host().has_minor(1);
        self.0.send(Route { proved, ..route }, data)
    }
}

impl<'a> IntoIterator for &mut Batch<'a> {
    type Item = Datagram<'a>;
    type IntoIter = Datagrams<'a>;

    #[inline]
    fn into_iter(self) -> Datagrams<'a> {
        self.datagrams()
    }
}

/// The datagrams of a batch, in the order they arrived.
#[derive(Debug)]
pub struct Datagrams<'a>(Slots<'a>);

impl Datagrams<'_> {
    /// Sends on what follows where the datagram before was sent last, as far as it came the same way: from the same peer to the
    /// same address, by the same session, with the same traffic class. Returns how many datagrams those are and how many bytes
    /// they have; they are not handed out any more. A train is then dealt with once. None do if the datagram before
    /// was not sent as it is, at once and without a word about it, or was refused.
    ///
    /// ```
    /// # fn f(batch: &mut polyport_plugin::Batch<'_>, session: polyport_plugin::SessionId) -> u64 {
    /// let (mut bytes, mut datagrams) = (0, batch.datagrams());
    /// while let Some(datagram) = datagrams.next() {
    ///     bytes += datagram.payload().len() as u64;
    ///     datagram.to_session(session);
    ///     bytes += datagrams.follow().1;
    /// }
    /// # bytes
    /// # }
    /// ```
    #[inline]
    pub fn follow(&mut self) -> (u32, u64) {
        self.0.follow()
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    #[inline]
    fn next(&mut self) -> Option<Datagram<'a>> {
        self.0.next().map(Datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.remaining(), Some(self.0.remaining()))
    }
}

impl ExactSizeIterator for Datagrams<'_> {}
