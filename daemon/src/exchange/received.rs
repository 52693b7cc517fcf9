//! The receiving half of an exchange: the ring, and the descriptors that a handler sees.

use std::net::SocketAddr;
use std::ptr;

use polyport_abi::{
    RX_BROADCAST, RX_HAS_LOCAL, RX_HAS_TOS, RX_KERNEL_TIME, RX_MULTICAST, VERDICT_DISCARD, VERDICT_NONE,
    pp_addr, pp_dgram,
};

use super::array::Array;
use super::memory::Memory;
use super::tickets::Tickets;
use super::{Arrived, ExchangeLimits};

/// The receiving half of an exchange.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) ring: Memory,
    /// Descriptors, the first `shown` of them in use.
    pub(super) rx: Array<pp_dgram>,
    pub(super) shown: usize,
    /// The message each datagram came in. The host keeps this to itself, because a handler may overwrite its
    /// descriptors.
    index: Vec<u16>,
    pub(super) messages: Vec<Arrived>,
    /// When the kernel received each message, ns since 1970, 0 if it does not tell; those that are missing were not asked for.
    pub(super) stamps: Vec<u64>,
    /// The socket of the datagram that was stamped last, and what was told of it.
    latest: Latest,
    /// Index of the first datagram of each message that is shown in this call.
    firsts: Vec<usize>,
    /// Number of the first message that is shown in this call.
    from: usize,
    /// Number of the first message that is left for the next call.
    to: usize,
    /// Most datagrams of a call, unless a single message has more.
    most: usize,
    /// When the messages arrived, monotonic ns.
    now_ns: u64,
    /// The address the listener is bound to.
    bound: pp_addr,
    /// The handler of the call has sessions.
    pub(super) has_sessions: bool,
    /// Which of the addresses of its instance the call is about.
    pub(super) address: u32,
    /// Datagrams of earlier calls that may still be answered.
    pub(super) tickets: Tickets,
}

/// When the datagram arrived that was stamped last, as it was told.
#[derive(Clone, Copy, Debug)]
struct Latest {
    /// The session that it came by; 0 is the listener's own socket.
    session: u64,
    /// The address that the listener is bound to.
    bound: pp_addr,
    /// Monotonic ns.
    rx_ns: u64,
}

/// A received datagram as the host knows it, whatever the handler wrote to its descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rx<'a> {
    /// Where its bytes begin in the ring, bytes.
    pub(super) offset: usize,
    /// Its length, bytes.
    pub(super) len: usize,
    /// The message it came in.
    pub(super) message: &'a Arrived,
    /// Number of that message.
    pub(super) number: usize,
    /// Which datagram of that message it is.
    pub(super) place: usize,
}

impl Received {
    pub(super) fn new(limits: &ExchangeLimits) -> Self {
        Self::within(limits, Memory::new(limits.slots * limits.stride), Array::new(vec![EMPTY_RX; limits.rx]))
    }

    /// A receiving half with this ring, and as many of these descriptors as the limits say.
    pub(super) fn within(limits: &ExchangeLimits, ring: Memory, rx: Array<pp_dgram>) -> Self {
        Self {
            ring,
            rx,
            shown: 0,
            index: vec![0; limits.rx],
            messages: Vec::with_capacity(limits.slots),
            stamps: Vec::new(),
            latest: Latest { session: 0, bound: NO_ADDR, rx_ns: 0 },
            firsts: Vec::with_capacity(limits.slots),
            from: 0,
            to: 0,
            // Never more than there are descriptors.
            most: limits.present.min(limits.rx),
            now_ns: 0,
            bound: NO_ADDR,
            has_sessions: false,
            address: 0,
            tickets: Tickets::new(limits.tickets),
        }
    }

    /// Forgets all messages. Those pushed from now on arrived at `now_ns` at a listener bound to `bound`.
    #[inline]
    pub(super) fn clear(&mut self, now_ns: u64, bound: SocketAddr) {
        self.now_ns = now_ns;
        self.bound = pp_addr::from(bound);
        self.shown = 0;
        self.to = 0;
        self.messages.clear();
        self.stamps.clear();
    }

    /// Changes when the messages arrived, monotonic ns.
    pub(super) fn set_now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// When the messages arrived, monotonic ns.
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Adds a received message. Returns false if it has more datagrams than there are descriptors, or does not lie in
    /// the ring.
    #[inline]
    pub(super) fn push(&mut self, mut a: Arrived) -> bool {
        let train = a.segment > 0 && a.segment < a.len;
        if !train {
            a.segment = 0;
        }
        let inside = (train || a.len <= a.cap)
            && a.offset.checked_add(a.len.max(a.cap)).is_some_and(|end| end <= self.ring.len);
        let fits = inside && a.datagrams() <= self.rx.len() && self.messages.len() < usize::from(u16::MAX);
        if fits {
            self.messages.push(a);
        }
        fits
    }

    /// Writes the time of the kernel into the descriptors that are shown in this call, `until_ns` at the latest, monotonic ns.
    /// `wall_offset_ns` is what the wall clock is ahead of the monotonic one.
    ///
    /// No datagram is told an earlier time than the one before it at the same socket: whoever counts a delay from the arrival
    /// would have it overtake a train before it, which is told the time of the turn.
    pub(super) fn stamp(&mut self, wall_offset_ns: i64, until_ns: u64) {
        let mut latest = self.latest;
        for (dgram, number) in self.rx.iter_mut().zip(&self.index).take(self.shown) {
            let number = usize::from(*number);
            let session = self.messages.get(number).map_or(0, |message| message.session);
            if (latest.session, latest.bound) != (session, self.bound) {
                latest = Latest { session, bound: self.bound, rx_ns: 0 };
            }
            if let Some(unix_ns) = self.stamps.get(number).filter(|ns| **ns != 0) {
                // 0 would be no time at all.
                let told = unix_ns.saturating_sub_signed(wall_offset_ns).min(until_ns).max(1);
                // What is no time of the kernel, or that of another datagram, is not told as such.
                dgram.flags |= if told < latest.rx_ns { 0 } else { RX_KERNEL_TIME };
                dgram.rx_ns = told;
            }
            latest.rx_ns = dgram.rx_ns.max(latest.rx_ns);
            dgram.rx_ns = latest.rx_ns;
        }
        self.latest = latest;
    }

    /// The port of the listener.
    #[inline]
    pub(super) fn listener_port(&self) -> u16 {
        self.bound.port
    }

    /// Whether the messages came by sessions: a call shows such messages, or those of the listener.
    #[inline]
    pub(super) fn is_by_session(&self) -> bool {
        self.messages.first().is_some_and(|message| message.session != 0)
    }

    /// Where in the ring the next message is to be put, in slots.
    #[inline]
    pub(super) fn next_slot(&self, stride: usize) -> usize {
        self.messages.last().map_or(0, |last| last.offset / stride + 1)
    }

    /// The messages that were pushed last, of which nothing else was said, came by this session.
    pub(super) fn came_by(&mut self, id: u64) {
        let new = self.messages.iter_mut().rev().take_while(|message| message.session == 0);
        new.for_each(|message| message.session = id);
    }

    /// Forgets those messages that are left for the next call whose session is gone. Returns how many datagrams they were.
    pub(super) fn forget_sessions(&mut self, mut is_there: impl FnMut(u64) -> bool) -> usize {
        let (mut at, mut forgotten) = (self.to, 0);
        while let Some(message) = self.messages.get(at) {
            if is_there(message.session) {
                at += 1;
                continue;
            }
            forgotten += message.datagrams();
            self.messages.remove(at);
            if at < self.stamps.len() {
                self.stamps.remove(at);
            }
        }
        forgotten
    }

    /// Writes the session that each came by into the descriptors that are shown in this call, with its word and its address, as
    /// `know` tells them; an address of family 0 is not written.
    pub(super) fn tell_sessions(&mut self, mut know: impl FnMut(u64) -> (u64, pp_addr)) {
        let mut last = (0, 0, NO_ADDR);
        for (dgram, number) in self.rx.iter_mut().zip(&self.index).take(self.shown) {
            let Some(message) = self.messages.get(usize::from(*number)) else { return };
            if message.session != last.0 {
                let (user, local) = know(message.session);
                last = (message.session, user, local);
            }
            let (session, user, local) = last;
            (dgram.session, dgram.user) = (session, user);
            if local.family != NO_ADDR.family {
                // Where the socket tells which address was asked, only the port is missing.
                let ip = if message.destination.is_some() { dgram.local } else { local };
                dgram.local = pp_addr { port: local.port, ..ip };
            }
        }
    }

    /// Shows none of the datagrams any more; the next messages stay for the next call.
    pub(super) fn conceal(&mut self) {
        self.shown = 0;
        self.from = self.to;
    }

    /// Describes the next messages to the handler. Returns how many datagrams they are; 0 when no message is left.
    #[inline]
    pub(super) fn present(&mut self) -> usize {
        self.firsts.clear();
        self.shown = 0;
        self.from = self.to;
        // A single datagram takes a short way, because most visits of a sparse listener find one.
        if let ([a], [dgram, ..], [number, ..], 0) =
            (&self.messages[..], &mut self.rx[..], &mut self.index[..], self.to)
            && a.segment == 0
        {
            describe(dgram, a, self.ring.at(a.offset), self.now_ns, &self.bound);
            *number = 0;
            self.firsts.push(0);
            self.shown = 1;
            self.to = 1;
            return 1;
        }
        self.present_more()
    }

    /// Describes as many complete messages as a call takes, at least one.
    fn present_more(&mut self) -> usize {
        while let Some(a) = self.messages.get(self.to) {
            let n = a.datagrams();
            if self.shown > 0 && self.shown + n > self.most {
                break;
            }
            let free = self.rx.get_mut(self.shown..self.shown + n).unwrap_or_default();
            let own = self.index.get_mut(self.shown..self.shown + n).unwrap_or_default();
            let number = u16::try_from(self.to).unwrap_or(u16::MAX);
            let data = self.ring.at(a.offset);
            if let ([one], [own]) = (&mut *free, &mut *own) {
                describe(one, a, data, self.now_ns, &self.bound);
                *own = number;
            } else {
                cut(free, a, data, self.now_ns, &self.bound);
                own.fill(number);
            }
            self.firsts.push(self.shown);
            self.shown += n;
            self.to += 1;
        }
        self.shown
    }

    /// The first message that is shown in this call.
    #[inline]
    pub(super) fn first_message(&self) -> Option<&Arrived> {
        self.messages.get(self.from)
    }

    /// A datagram that is shown in this call; none if there is no such index.
    #[inline]
    pub(super) fn datagram(&self, index: usize) -> Option<Rx<'_>> {
        let number = usize::from(*self.index.get(..self.shown)?.get(index)?);
        let message = self.messages.get(number)?;
        let place = index.checked_sub(*self.firsts.get(number.checked_sub(self.from)?)?)?;
        let (offset, len) = message.piece(place);
        Some(Rx { offset, len, message, number, place })
    }

    /// Gives the instance `owner` a ticket for a datagram that is shown in this call; none if there is no such datagram, or
    /// there are too many tickets.
    pub(super) fn take_ticket(&mut self, owner: usize, index: usize, age_ns: u64) -> Option<u64> {
        // An answer leaves by the listener's socket. What a session heard came by another.
        let rx = self.datagram(index).filter(|rx| rx.message.session == 0)?;
        let arrived = Arrived { len: rx.len, ..*rx.message };
        let message = rx.number - self.from;
        let until = (self.now_ns, self.now_ns.saturating_add(age_ns));
        self.tickets.take(owner, (arrived, self.address), message, until)
    }

    /// The messages that are shown in this call.
    pub(super) fn shown_messages(&self) -> &[Arrived] {
        self.messages.get(self.from..self.to).unwrap_or_default()
    }

    /// The number of the message that a datagram came in, among those that are shown in this call.
    pub(super) fn message_number(&self, index: usize) -> Option<usize> {
        usize::from(*self.index.get(..self.shown)?.get(index)?).checked_sub(self.from)
    }

    /// Whether bytes are such as a handler may send: of a message that was received, as far as it may be written to, or nowhere in
    /// the ring.
    #[inline]
    pub(super) fn may_send(&self, data: *const u8, len: usize) -> bool {
        let at = data.addr().wrapping_sub(self.ring.at(0).addr());
        at >= self.ring.len || self.is_received(at, len)
    }

    #[cold]
    fn is_received(&self, at: usize, len: usize) -> bool {
        self.messages.iter().any(|message| {
            let end = message.offset + if message.segment == 0 { message.cap } else { message.len };
            (message.offset..=end).contains(&at) && at + len <= end
        })
    }

    /// Where a number of presented datagrams ends: the message with the next one, and which datagram of it that is.
    pub(super) fn place_behind(&self, presented: usize) -> (usize, usize) {
        self.datagram(presented).map_or((self.to, 0), |next| (next.number, next.place))
    }

    /// Whether the handler dropped a datagram on purpose.
    pub(super) fn is_discarded(&self, index: usize) -> bool {
        self.rx.get(index).is_some_and(|d| d.verdict == VERDICT_DISCARD)
    }
}

/// Fills in the descriptors of a train. They differ in the address of their bytes, and the last in its length.
fn cut(train: &mut [pp_dgram], a: &Arrived, mut data: *mut u8, now_ns: u64, bound: &pp_addr) {
    let Some((first, more)) = train.split_first_mut() else { return };
    describe(first, a, data, now_ns, bound);
    first.len = narrow(a.segment);
    first.cap = narrow(a.segment);
    // To copy a descriptor and change one field takes fewer instructions than to fill in every field.
    let head = *first;
    for dgram in &mut *more {
        data = data.wrapping_add(a.segment);
        *dgram = head;
        dgram.data = data;
    }
    if let Some(last) = more.last_mut() {
        let len = narrow(a.len - (a.datagrams() - 1) * a.segment);
        last.len = len;
        last.cap = len;
    }
}

/// Fills in the descriptor of a message that is one datagram.
#[inline]
fn describe(dgram: &mut pp_dgram, a: &Arrived, data: *mut u8, now_ns: u64, bound: &pp_addr) {
    let multicast = if a.flags.multicast { RX_MULTICAST } else { 0 };
    let broadcast = if a.flags.broadcast { RX_BROADCAST } else { 0 };
    let has_local = if a.destination.is_some() { RX_HAS_LOCAL } else { 0 };
    let has_tos = if a.flags.has_tos { RX_HAS_TOS } else { 0 };
    dgram.data = data;
    dgram.len = narrow(a.len);
    dgram.cap = narrow(a.cap);
    dgram.peer = pp_addr::from(a.peer);
    dgram.local = a.destination.map_or(*bound, |ip| pp_addr::from(SocketAddr::new(ip, bound.port)));
    dgram.rx_ns = now_ns;
    dgram.ifindex = a.ifindex;
    dgram.tos = a.tos;
    dgram.flags = multicast | broadcast | has_local | has_tos;
    dgram.hop_limit = a.hop_limit;
    dgram.verdict = VERDICT_NONE;
    dgram.session = 0;
    dgram.user = 0;
}

/// Converts an offset, a length or a count of the shared memory, which is far smaller than 4 GiB.
pub(super) fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// No address: family 0.
pub(super) const NO_ADDR: pp_addr = pp_addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 };

/// A descriptor of nothing.
pub(super) const EMPTY_RX: pp_dgram = pp_dgram {
    data: ptr::null_mut(),
    len: 0,
    cap: 0,
    peer: NO_ADDR,
    local: NO_ADDR,
    rx_ns: 0,
    ifindex: 0,
    tos: 0,
    flags: 0,
    hop_limit: 0,
    verdict: 0,
    session: 0,
    user: 0,
};
