//! One received datagram, and what may be done with it.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use polyport_abi as abi;

use crate::convert::{RawBatch, Slot};
use crate::queued::Queued;
use crate::remote::Ticket;
use crate::route::{Route, Via};
use crate::session_id::SessionId;
use crate::time::nanos;

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
    pub fn echo(self) -> Queued {
        self.freeze().echo()
    }

    /// Sends it back as [`echo`](Self::echo) does, but not before `at_ns` of the monotonic clock; 0 is now. The
    /// host keeps the bytes.
    #[inline]
    pub fn echo_at(self, at_ns: u64) -> Queued {
        self.freeze().echo_at(at_ns)
    }

    /// Sends it on to another address. Copies nothing. See [`Frozen::forward`] for which addresses this is allowed.
    pub fn forward(self, to: SocketAddr) -> Queued {
        self.freeze().forward(to)
    }

    /// Sends it on to an address that needs no budget, see [`Frozen::forward_proved`]. Copies nothing.
    pub fn forward_proved(self, to: SocketAddr) -> Queued {
        self.freeze().forward_proved(to)
    }

    /// Sends it to the upstream of a session, by its socket. Copies nothing; neighbours that go the same way leave as the one
    /// message they came in.
    #[inline]
    #[expect(clippy::wrong_self_convention, reason = "it goes to there, once: an echo consumes it, too")]
    pub fn to_session(self, session: SessionId) -> Queued {
        self.freeze().to_session(session)
    }

    /// Sends it to the client of the session that it came by, from the address that the client had asked. Copies nothing.
    /// It counts against the budget of the listener (`[listen.reply]`) unless the client is on loopback: what is much more than
    /// the client has sent within the last second is dropped.
    #[inline]
    #[expect(clippy::wrong_self_convention, reason = "it goes to there, once: an echo consumes it, too")]
    pub fn to_client(self) -> Queued {
        self.freeze().to_client()
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
    pub fn reply(&self, data: &[u8]) -> Queued {
        self.reply_at(0, data)
    }

    /// Sends a copy of `data` to the sender, not before `at_ns` of the monotonic clock; 0 is now.
    pub fn reply_at(&self, at_ns: u64, data: &[u8]) -> Queued {
        copy(self.0.raw, self.0.answer(at_ns), data)
    }

    /// Builds the answer in the host's memory: `build` gets the request and `cap` zeroed bytes, and
    /// returns how many of them it used.
    pub fn reply_with(&self, cap: usize, build: impl FnOnce(&[u8], &mut [u8]) -> usize) -> Queued {
        self.reply_with_at(0, cap, build)
    }

    /// Builds the answer as [`reply_with`](Self::reply_with) does; it leaves not before `at_ns` of the monotonic
    /// clock; 0 is now.
    pub fn reply_with_at(
        &self,
        at_ns: u64,
        cap: usize,
        build: impl FnOnce(&[u8], &mut [u8]) -> usize,
    ) -> Queued {
        self.0.raw.send_built(cap, self.0.answer(at_ns), |out| build(self.0.bytes(), out))
    }

    /// Sends a copy of it to the upstream of a session, not before `at_ns` of the monotonic clock; 0 is now. `change` may change
    /// the copy, whose length is fixed.
    pub fn copy_to_session_at(
        &self,
        at_ns: u64,
        session: SessionId,
        change: impl FnOnce(&mut [u8]),
    ) -> Queued {
        self.copy_at(self.0.by(at_ns, Via::Session(session.raw())), change)
    }

    /// Sends a copy of it to the client of the session that it came by, see [`to_client`](Self::to_client), not before `at_ns`
    /// of the monotonic clock; 0 is now. `change` may change the copy, whose length is fixed.
    pub fn copy_to_client_at(&self, at_ns: u64, change: impl FnOnce(&mut [u8])) -> Queued {
        self.copy_at(self.0.by(at_ns, Via::Client), change)
    }

    fn copy_at(&self, route: Route, change: impl FnOnce(&mut [u8])) -> Queued {
        let bytes = self.0.bytes();
        self.0.raw.send_built(bytes.len(), route, |out| {
            out.copy_from_slice(bytes);
            change(out);
            out.len()
        })
    }

    /// Says that the sender has proved that it receives at its address: by a cookie that was sent there, or by a key that
    /// nobody else has. The budget of the listener (`[listen.reply]`) does not count the answers to this datagram that
    /// are queued from now on, unless they are forwarded; without a proof an answer that is much longer than its
    /// datagram is dropped, because the sender may be somebody else's victim. The host does not remember a proof: say it
    /// for each datagram.
    pub fn prove_peer(&self) {
        self.0.prove();
    }

    /// Has all that is sent of this datagram from now on, answers and what is forwarded, leave whole or not at all: with
    /// the don't-fragment bit over IPv4, without fragments of this host over IPv6. What is longer than the interface
    /// takes is dropped with the reason `too_big`; what is longer than a link of the path never arrives. Such answers tell
    /// the peer how long a datagram may be on its way; all others are better off in fragments. A host before ABI 1.2,
    /// and one whose system has no way to do it (Linux has), sends it as any other.
    pub fn dont_fragment(&self) {
        self.0.dont_fragment();
    }

    /// Has all that is sent of this datagram from now on leave with this TOS (RFC 791) or traffic class (RFC 8200): DSCP
    /// and ECN; 0 is the socket's own. A host before ABI 1.3 takes the two bits of ECN alone.
    pub fn set_tos(&self, tos: u8) {
        self.0.set_tos(tos);
    }

    /// Takes a ticket: the right to answer this datagram in a later call, from the address it was sent to, by
    /// [`Batch::answer`](crate::Batch::answer). It is good for `age`, a minute at most, and for one call. The datagram counts
    /// as consumed when this call returns, unless it is answered at once as well; what it pays for (`[listen.reply]`) is kept
    /// for the ticket. None if there are too many tickets, and from a host before ABI 1.3: answer at once that it cannot be
    /// done now, or say nothing.
    #[must_use]
    pub fn ticket(&self, age: Duration) -> Option<Ticket> {
        // 0 would be as long as the host allows.
        let number = self.0.raw.host().ticket(self.0.index, nanos(age).max(1));
        core::num::NonZeroU64::new(number).map(Ticket)
    }

    /// Who sent it.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.0.with(|d| d.peer.socket_addr()).unwrap_or(NOBODY)
    }

    /// The address it was sent to if [`has_local`](Self::has_local), else the listener's.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.0.with(|d| d.local.socket_addr()).unwrap_or(NOBODY)
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

    /// When it arrived, nanoseconds of the monotonic clock: when the kernel received it if
    /// [`has_kernel_time`](Self::has_kernel_time), else the time of the turn.
    #[must_use]
    #[inline]
    pub fn rx_ns(&self) -> u64 {
        self.0.with(|d| d.rx_ns)
    }

    /// When it arrived, nanoseconds since 1970 (Unix time). May jump; for records, not for reckoning.
    #[must_use]
    pub fn rx_wall_ns(&self) -> u64 {
        self.rx_ns().saturating_add_signed(self.0.raw.with(|b| b.wall_offset_ns))
    }

    /// Whether [`rx_ns`](Self::rx_ns) is the kernel's time, for which a handler asks with [`Facts::TIME`](crate::Facts::TIME).
    #[must_use]
    pub fn has_kernel_time(&self) -> bool {
        self.flag(abi::RX_KERNEL_TIME)
    }

    /// How long it has waited for this call, by the time of the turn.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_nanos(self.0.raw.with(|b| b.now_ns).saturating_sub(self.rx_ns()))
    }

    /// TOS (RFC 791) or traffic class (RFC 8200) as it came: DSCP and ECN. 0 unless the handler asks for
    /// [`Facts::TOS`](crate::Facts::TOS).
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.0.with(|d| d.tos)
    }

    /// Whether [`tos`](Self::tos) is what the datagram came with. A host before ABI 1.3 does not say so.
    #[must_use]
    pub fn has_tos(&self) -> bool {
        self.flag(abi::RX_HAS_TOS)
    }

    /// The two ECN bits of RFC 3168, of [`tos`](Self::tos).
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.tos() & 0b11
    }

    /// Index of the interface it arrived on, if known: where the listener is bound to no single address, or the handler
    /// asks for [`Facts::LOCAL`](crate::Facts::LOCAL).
    #[must_use]
    pub fn ifindex(&self) -> Option<u32> {
        self.0.with(|d| (d.ifindex != 0).then_some(d.ifindex))
    }

    /// TTL or hop limit on arrival, if known: a handler asks for it with [`Facts::HOPS`](crate::Facts::HOPS).
    #[must_use]
    pub fn hop_limit(&self) -> Option<u8> {
        self.0.with(|d| (d.hop_limit != 0).then_some(d.hop_limit))
    }

    /// The session by whose socket it came; none if it came to the listener. Then [`peer`](Self::peer) is who sent it there.
    #[must_use]
    #[inline]
    pub fn session(&self) -> Option<SessionId> {
        SessionId::new(self.0.with(|d| d.session))
    }

    /// The number of that session, [`Session::user`](crate::Session::user); else 0.
    #[must_use]
    #[inline]
    pub fn user(&self) -> u64 {
        self.0.with(|d| d.user)
    }

    fn flag(&self, bit: u8) -> bool {
        self.0.with(|d| d.flags & bit != 0)
    }
}

/// A datagram whose bytes will not change any more: it can be sent any number of times without a copy.
#[derive(Debug)]
pub struct Frozen<'a>(Datagram<'a>);

impl Frozen<'_> {
    /// Sends it back to its sender from the address it was sent to.
    #[inline]
    pub fn echo(&self) -> Queued {
        self.echo_at(0)
    }

    /// Sends it back to its sender, not before `at_ns` of the monotonic clock; 0 is now.
    #[inline]
    pub fn echo_at(&self, at_ns: u64) -> Queued {
        self.0.0.send_in_place(self.0.0.answer(at_ns))
    }

    /// Sends it to the upstream of a session, by its socket.
    #[inline]
    pub fn to_session(&self, session: SessionId) -> Queued {
        self.to_session_at(0, session)
    }

    /// Sends it to the upstream of a session, not before `at_ns` of the monotonic clock; 0 is now.
    #[inline]
    pub fn to_session_at(&self, at_ns: u64, session: SessionId) -> Queued {
        self.0.0.send_in_place(self.0.0.by(at_ns, Via::Session(session.raw())))
    }

    /// Sends it to the client of the session that it came by, see [`Datagram::to_client`].
    #[inline]
    pub fn to_client(&self) -> Queued {
        self.to_client_at(0)
    }

    /// Sends it to the client of the session that it came by, not before `at_ns` of the monotonic clock; 0 is now.
    #[inline]
    pub fn to_client_at(&self, at_ns: u64) -> Queued {
        self.0.0.send_in_place(self.0.0.by(at_ns, Via::Client))
    }

    /// Sends it to the client of another session.
    #[inline]
    pub fn to_client_of(&self, session: SessionId) -> Queued {
        self.0.0.send_in_place(self.0.0.by(0, Via::ClientOf(session.raw())))
    }

    /// Sends it on to another address. If that is not loopback, it must have sent something itself within the last
    /// second that pays for this (`[listen.reply]`), or the datagram is dropped.
    pub fn forward(&self, to: SocketAddr) -> Queued {
        self.forward_at(0, to)
    }

    /// Sends it on to another address as [`forward`](Self::forward) does, not before `at_ns` of the monotonic clock; 0
    /// is now.
    pub fn forward_at(&self, at_ns: u64, to: SocketAddr) -> Queued {
        self.0.0.send_in_place(self.0.0.onward(at_ns, to, false))
    }

    /// Sends it on to an address that needs no budget: its owner has proved that it receives there, or it comes from
    /// the handler's own options.
    pub fn forward_proved(&self, to: SocketAddr) -> Queued {
        self.forward_proved_at(0, to)
    }

    /// Sends it on to an address that needs no budget, as [`forward_proved`](Self::forward_proved) does, not before
    /// `at_ns` of the monotonic clock; 0 is now.
    pub fn forward_proved_at(&self, at_ns: u64, to: SocketAddr) -> Queued {
        self.0.0.send_in_place(self.0.0.onward(at_ns, to, true))
    }
}

/// Reading, answering and everything else that leaves the bytes alone.
impl<'a> core::ops::Deref for Frozen<'a> {
    type Target = Datagram<'a>;

    fn deref(&self) -> &Datagram<'a> {
        &self.0
    }
}

/// Where a host says "no address".
const NOBODY: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Queues a copy of `data` in the host's memory.
pub(crate) fn copy(raw: RawBatch<'_>, route: Route, data: &[u8]) -> Queued {
    raw.send_built(data.len(), route, |out| {
        out.copy_from_slice(data);
        data.len()
    })
}
