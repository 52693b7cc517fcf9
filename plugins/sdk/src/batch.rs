//! The datagrams of one turn, and the place for the answers.

use crate::Level;
use crate::context::{log, nanos, set_timer};
use crate::convert::{RawBatch, Slot, Slots};
use crate::frozen::Frozen;
use crate::route::{Route, from_abi};
use core::fmt::Display;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use polyport_abi as abi;

/// What [`on_batch`](crate::Handler::on_batch) and [`on_timer`](crate::Handler::on_timer) get. Everything
/// queued here leaves when the call returns; after a panic nothing of it does.
///
/// Functions that send return whether there was room. What finds none is counted by the host.
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
}

impl<'a> Batch<'a> {
    pub(crate) const fn new(raw: RawBatch<'a>, slots: Slots<'a>) -> Self {
        Self { raw, slots }
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

    /// The time of this turn, nanoseconds of the monotonic clock.
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

    /// Largest payload the socket can send in one datagram, bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.raw.with(|b| b.max_payload as usize)
    }

    /// Sends a copy of `data` to `to`, from the address of the listener.
    pub fn send_to(&mut self, to: SocketAddr, data: &[u8]) -> bool {
        self.send(Route::fresh(to), data)
    }

    /// Sends a copy of `data` to `to`, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn send_to_at(&mut self, at_ns: u64, to: SocketAddr, data: &[u8]) -> bool {
        self.send(Route { at_ns, ..Route::fresh(to) }, data)
    }

    /// Sends a copy of `data` to `to`, from `from`, which must be an address of this host.
    pub fn send_to_from(&mut self, to: SocketAddr, from: SocketAddr, data: &[u8]) -> bool {
        self.send(Route { from: Some(from), ..Route::fresh(to) }, data)
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "queueing changes the batch")]
    fn send(&mut self, route: Route, data: &[u8]) -> bool {
        copy(self.raw, route, data)
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

/// One received datagram.
///
/// Sending it in place consumes it, since the bytes must stay as they are until the call has returned:
///
/// ```compile_fail,E0382
/// # fn f(mut datagram: polyport_plugin::Datagram<'_>) {
/// datagram.echo();
/// datagram.payload_mut()[0] = 1;
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # fn f(datagram: polyport_plugin::Datagram<'_>) {
/// datagram.echo();
/// datagram.reply(b"again");
/// # }
/// ```
///
/// [`freeze`](Self::freeze) gives up only the right to change it:
///
/// ```
/// # fn f(datagram: polyport_plugin::Datagram<'_>) {
/// let datagram = datagram.freeze();
/// datagram.echo();
/// datagram.echo();
/// # }
/// ```
#[derive(Debug)]
pub struct Datagram<'a>(pub(crate) Slot<'a>);

impl<'a> Datagram<'a> {
    /// The bytes; an empty datagram is legal.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The bytes, to be changed in place before an [`echo`](Self::echo). The length is fixed.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    /// Sends it back to its sender from the address it was sent to. Copies nothing.
    #[inline]
    pub fn echo(self) -> bool {
        self.freeze().echo()
    }

    /// Sends it back as [`echo`](Self::echo) does, but not before `at_ns` of the monotonic clock; 0 is now. The
    /// host keeps the bytes.
    #[inline]
    pub fn echo_at(self, at_ns: u64) -> bool {
        self.freeze().echo_at(at_ns)
    }

    /// Sends it on to another address. Copies nothing.
    pub fn forward(self, to: SocketAddr) -> bool {
        self.freeze().forward(to)
    }

    /// Makes the bytes unchangeable, so that they can be sent any number of times.
    #[must_use]
    #[inline]
    pub fn freeze(self) -> Frozen<'a> {
        Frozen(self)
    }

    /// Drops it on purpose: the host counts it as a drop with that reason.
    #[inline]
    pub fn discard(self) {
        self.0.with(|d| d.verdict = abi::VERDICT_DISCARD);
    }

    /// Sends a copy of `data` to the sender, from the address the datagram was sent to.
    pub fn reply(&self, data: &[u8]) -> bool {
        self.reply_at(0, data)
    }

    /// Sends a copy of `data` to the sender, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn reply_at(&self, at_ns: u64, data: &[u8]) -> bool {
        copy(self.0.raw, self.answer(at_ns), data)
    }

    /// Builds the answer in the host's memory: `build` gets the request and `cap` zeroed bytes, and
    /// returns how many of them it used.
    pub fn reply_with(&self, cap: usize, build: impl FnOnce(&[u8], &mut [u8]) -> usize) -> bool {
        self.reply_with_at(0, cap, build)
    }

    /// Builds the answer as [`reply_with`](Self::reply_with) does; it leaves not before `at_ns` of the monotonic
    /// clock; 0 is now.
    pub fn reply_with_at(
        &self,
        at_ns: u64,
        cap: usize,
        build: impl FnOnce(&[u8], &mut [u8]) -> usize,
    ) -> bool {
        self.0.raw.send_built(cap, self.answer(at_ns), |out| build(self.0.bytes(), out))
    }

    const fn answer(&self, at_ns: u64) -> Route {
        Route { rx: self.0.index, at_ns, to: None, from: None }
    }

    /// Who sent it.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.0.with(|d| from_abi(&d.peer)).unwrap_or(NOBODY)
    }

    /// The address it was sent to if [`has_local`](Self::has_local), else the listener's.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.0.with(|d| from_abi(&d.local)).unwrap_or(NOBODY)
    }

    /// Whether [`local`](Self::local) is the address this very datagram was sent to.
    #[must_use]
    pub fn has_local(&self) -> bool {
        self.flag(abi::RX_HAS_LOCAL)
    }

    /// Whether it was sent to a multicast group.
    #[must_use]
    pub fn is_multicast(&self) -> bool {
        self.flag(abi::RX_MULTICAST)
    }

    /// Whether it was sent to a broadcast address.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        self.flag(abi::RX_BROADCAST)
    }

    /// Whether it was longer than the host's buffer; the rest is lost.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flag(abi::RX_TRUNCATED)
    }

    /// When it arrived, nanoseconds of the monotonic clock.
    #[must_use]
    #[inline]
    pub fn rx_ns(&self) -> u64 {
        self.0.with(|d| d.rx_ns)
    }

    /// How long it has waited for this call, by the time of the turn.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_nanos(self.0.raw.with(|b| b.now_ns).saturating_sub(self.rx_ns()))
    }

    /// The two ECN bits of RFC 3168.
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.0.with(|d| d.ecn)
    }

    /// Index of the interface it arrived on, if known.
    #[must_use]
    pub fn ifindex(&self) -> Option<u32> {
        self.0.with(|d| (d.ifindex != 0).then_some(d.ifindex))
    }

    /// TTL or hop limit on arrival, if known.
    #[must_use]
    pub fn hop_limit(&self) -> Option<u8> {
        self.0.with(|d| (d.hop_limit != 0).then_some(d.hop_limit))
    }

    fn flag(&self, bit: u8) -> bool {
        self.0.with(|d| d.flags & bit != 0)
    }
}

/// Where a host says "no address".
const NOBODY: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn copy(raw: RawBatch<'_>, route: Route, data: &[u8]) -> bool {
    raw.send_built(data.len(), route, |out| {
        out.copy_from_slice(data);
        data.len()
    })
}

/// The moment `after` from `now_ns`, for what takes `at_ns`.
#[must_use]
pub fn later(now_ns: u64, after: Duration) -> u64 {
    now_ns.saturating_add(nanos(after))
}
