//! The memory both sides look at during a handler call, behind a safe face.
//!
//! ```text
//! ring    receive buffers, cut into slots; the reactor's I/O fills them
//! rx      one descriptor a datagram, pointing into the ring
//! tx      the handler's answers, pointing into the ring, the arena or the handler's own memory
//! arena   scratch for answers, in chunks; `flush` hands out the next one
//! ```
//!
//! One `Exchange` belongs to a reactor and serves all its listeners, one call after the other.

mod address;
mod arrival;
mod memory;
mod output;
mod whole;

pub(super) use address::to_pp_addr;
pub use arrival::{ArrivalFlags, Arrived, ExchangeLimits, ReplySource};
pub use output::{Answers, Output, OutputError, Outputs};

use memory::Memory;
use polyport_abi::{
    NO_RX, RX_BROADCAST, RX_HAS_LOCAL, RX_MULTICAST, VERDICT_DISCARD, VERDICT_NONE, pp_addr, pp_batch,
    pp_dgram, pp_tx,
};
use std::net::SocketAddr;
use std::ptr;

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    limits: ExchangeLimits,
    ring: Memory,
    /// Descriptors, the first `rx_len` of them in use.
    rx: Vec<pp_dgram>,
    rx_len: usize,
    /// Which message each datagram came in: the host's own books, since a handler may scribble over its
    /// descriptors.
    index: Vec<u16>,
    messages: Vec<Arrived>,
    /// The number of the first datagram of each message of the portion that is presented.
    firsts: Vec<usize>,
    /// The first message of that portion.
    portion: usize,
    /// Messages the handler has been shown.
    presented: usize,
    now_ns: u64,
    /// The address of the listener.
    bound: pp_addr,
    tx: Vec<pp_tx>,
    tx_len: usize,
    parked: Vec<pp_tx>,
    arena: Vec<Memory>,
    arena_at: usize,
    refused: u32,
    /// The handler asked for timers: told here, because the record it wrote them to is cold.
    timers_asked: bool,
}

/// A received datagram in the host's own books.
#[derive(Clone, Copy, Debug)]
struct Rx<'a> {
    offset: usize,
    len: usize,
    /// The message it came in, its number, and which datagram of it this is.
    message: &'a Arrived,
    number: usize,
    place: usize,
}

impl Exchange {
    /// Reserves the memory.
    #[must_use]
    pub fn new(limits: ExchangeLimits) -> Self {
        Self {
            limits,
            ring: Memory::new(limits.slots * limits.stride),
            rx: vec![EMPTY_RX; limits.rx],
            rx_len: 0,
            index: vec![0; limits.rx],
            messages: Vec::with_capacity(limits.slots),
            firsts: Vec::with_capacity(limits.slots),
            portion: 0,
            presented: 0,
            now_ns: 0,
            bound: NO_ADDR,
            tx: vec![EMPTY_TX; limits.tx],
            tx_len: 0,
            parked: Vec::new(),
            arena: vec![Memory::new(limits.arena)],
            arena_at: 0,
            refused: 0,
            timers_asked: false,
        }
    }

    /// The sizes.
    #[must_use]
    pub fn limits(&self) -> &ExchangeLimits {
        &self.limits
    }

    /// The receive memory, for the I/O to fill.
    pub fn ring_mut(&mut self) -> &mut [u8] {
        self.ring.bytes_mut()
    }

    /// Forgets the datagrams and answers of the last call; what is pushed from now on arrived at `now_ns` at a
    /// listener bound to `bound`, which tells what the kernel does not: the port, on a wildcard, and everything
    /// elsewhere.
    pub fn clear(&mut self, now_ns: u64, bound: SocketAddr) {
        (self.now_ns, self.bound) = (now_ns, to_pp_addr(bound));
        (self.rx_len, self.presented) = (0, 0);
        self.messages.clear();
        self.discard_outputs();
    }

    /// Forgets the answers only: a handler that broke sends nothing.
    pub fn discard_outputs(&mut self) {
        self.tx_len = 0;
        self.parked.clear();
        self.arena_at = 0;
        self.refused = 0;
    }

    /// Adds a received message; false when it has more datagrams than there are descriptors, or does not lie
    /// in the ring.
    #[inline]
    pub fn push(&mut self, mut a: Arrived) -> bool {
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

    /// Describes the next messages to the handler, and forgets the answers to the last ones: as many as
    /// [`ExchangeLimits::present`] allows, at least one. Returns how many datagrams they are; 0 when there is
    /// nothing left.
    #[inline]
    pub fn present(&mut self) -> usize {
        self.discard_outputs();
        self.firsts.clear();
        (self.rx_len, self.portion) = (0, self.presented);
        if let ([a], [dgram, ..], [number, ..], 0) =
            (&self.messages[..], &mut self.rx[..], &mut self.index[..], self.presented)
            && a.segment == 0
        {
            describe(dgram, a, self.ring.at(a.offset), self.now_ns, &self.bound);
            *number = 0;
            self.firsts.push(0);
            (self.rx_len, self.presented) = (1, 1);
            return 1;
        }
        self.present_more()
    }

    /// The same for more than one datagram.
    fn present_more(&mut self) -> usize {
        while let Some(a) = self.messages.get(self.presented) {
            let n = a.datagrams();
            if self.rx_len > 0 && self.rx_len + n > self.limits.present {
                break;
            }
            let free = self.rx.get_mut(self.rx_len..self.rx_len + n).unwrap_or_default();
            let own = self.index.get_mut(self.rx_len..self.rx_len + n).unwrap_or_default();
            let (number, data) = (u16::try_from(self.presented).unwrap_or(u16::MAX), self.ring.at(a.offset));
            if let ([one], [own]) = (&mut *free, &mut *own) {
                describe(one, a, data, self.now_ns, &self.bound);
                *own = number;
            } else {
                cut(free, a, data, self.now_ns, &self.bound);
                own.fill(number);
            }
            self.firsts.push(self.rx_len);
            self.rx_len += n;
            self.presented += 1;
        }
        self.rx_len
    }

    /// The messages, as they arrived.
    #[must_use]
    pub fn messages(&self) -> &[Arrived] {
        &self.messages
    }

    /// How many datagrams are presented.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.rx_len
    }

    /// The sender of a datagram.
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<SocketAddr> {
        Some(self.received(index)?.message.peer)
    }

    /// The bytes of a received datagram as they are now.
    #[must_use]
    pub fn payload(&self, index: usize) -> &[u8] {
        self.received(index).map_or(&[], |rx| self.ring.slice(rx.offset, rx.len))
    }

    /// A datagram the handler has been shown.
    #[inline]
    fn received(&self, index: usize) -> Option<Rx<'_>> {
        let number = usize::from(*self.index.get(..self.rx_len)?.get(index)?);
        let message = self.messages.get(number)?;
        let place = index.checked_sub(*self.firsts.get(number.checked_sub(self.portion)?)?)?;
        let (offset, len) = message.piece(place);
        Some(Rx { offset, len, message, number, place })
    }

    /// Whether the handler dropped that datagram on purpose.
    #[must_use]
    pub fn discarded(&self, index: usize) -> bool {
        self.rx.get(index).is_some_and(|d| d.verdict == VERDICT_DISCARD)
    }

    /// Datagrams the handler found no room for.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Whether the handler called `timer` since this was asked last.
    pub fn take_timers_asked(&mut self) -> bool {
        std::mem::take(&mut self.timers_asked)
    }

    pub(super) fn note_timer(&mut self) {
        self.timers_asked = true;
    }

    /// Keeps the messages for which `keep` says so, in order; nothing may be presented yet.
    pub fn retain(&mut self, keep: impl Fn(&Arrived) -> bool) {
        self.messages.retain(keep);
    }

    /// The answer, if what came was one datagram and all that was queued is one answer to it.
    #[inline(always)]
    #[must_use]
    pub fn lone_answer(&self) -> Option<Output<'_>> {
        let one_each = self.rx_len == 1 && self.tx_len == 1 && self.parked.is_empty() && self.refused == 0;
        let (tx, message) = self.tx.first().zip(self.messages.get(self.portion)).filter(|_| one_each)?;
        self.lone(tx, message)
    }

    /// What the handler queued in its last call, in order.
    #[must_use]
    pub fn outputs(&self) -> Outputs<'_> {
        Outputs::new(self, &self.parked, self.tx.get(..self.tx_len).unwrap_or_default())
    }

    /// Lends the memory to a handler call: `call` gets the batch, which is valid until it returns, and the way back to
    /// this exchange for `flush`. Only a pointer made here may be used meanwhile: any other would reach around `self`.
    pub(super) fn lend<R>(
        &mut self,
        batch: &pp_batch,
        call: impl FnOnce(*mut pp_batch, *mut Self) -> R,
    ) -> R {
        let mut batch = pp_batch {
            rx_len: narrow(self.rx_len),
            rx: self.rx.as_mut_ptr(),
            tx: self.tx.as_mut_ptr(),
            tx_len: 0,
            tx_cap: narrow(self.room()),
            arena: self.arena.first().map_or(ptr::null_mut(), |m| m.at(0)),
            arena_len: 0,
            arena_cap: narrow(self.limits.arena),
            refused: 0,
            reserved: 0,
            ..*batch
        };
        let result = call(&raw mut batch, ptr::from_mut(self));
        self.tx_len = (batch.tx_len as usize).min(self.room());
        self.refused = batch.refused;
        result
    }

    /// Entries that `tx` may take until the next flush: the share of the call bounds the last round.
    fn room(&self) -> usize {
        self.tx.len().min(self.limits.tx_total.saturating_sub(self.parked.len()))
    }

    /// The host's side of `flush`: parks what is queued and hands out the next chunk. False when the call
    /// has used up its share.
    pub(super) fn park(&mut self, batch: &mut pp_batch) -> bool {
        let queued = (batch.tx_len as usize).min(self.room());
        let last_chunk = batch.arena_len > 0 && self.arena_at + 1 == self.limits.arena_chunks;
        if self.parked.len() + queued >= self.limits.tx_total || last_chunk {
            return false;
        }
        self.parked.extend_from_slice(self.tx.get(..queued).unwrap_or_default());
        batch.tx_len = 0;
        batch.tx_cap = narrow(self.room());
        if batch.arena_len > 0 {
            self.arena_at += 1;
            if self.arena_at == self.arena.len() {
                self.arena.push(Memory::new(self.limits.arena));
            }
            batch.arena = self.arena.get(self.arena_at).map_or(ptr::null_mut(), |m| m.at(0));
            batch.arena_len = 0;
        }
        true
    }
}

/// Fills in the descriptors of a train: those of its datagrams differ in where the bytes are.
fn cut(train: &mut [pp_dgram], a: &Arrived, mut data: *mut u8, now_ns: u64, bound: &pp_addr) {
    let Some((first, more)) = train.split_first_mut() else { return };
    describe(first, a, data, now_ns, bound);
    (first.len, first.cap) = (narrow(a.segment), narrow(a.segment));
    // Whole copies with one field changed: in bulk, what a datagram costs here is counted in instructions.
    let head = *first;
    for dgram in &mut *more {
        data = data.wrapping_add(a.segment);
        *dgram = head;
        dgram.data = data;
    }
    if let Some(last) = more.last_mut() {
        let len = narrow(a.len - (a.datagrams() - 1) * a.segment);
        (last.len, last.cap) = (len, len);
    }
}

/// Fills in the descriptor of a message that is one datagram.
#[inline]
fn describe(dgram: &mut pp_dgram, a: &Arrived, data: *mut u8, now_ns: u64, bound: &pp_addr) {
    let multicast = if a.flags.multicast { RX_MULTICAST } else { 0 };
    let broadcast = if a.flags.broadcast { RX_BROADCAST } else { 0 };
    let has_local = if a.destination.is_some() { RX_HAS_LOCAL } else { 0 };
    (dgram.data, dgram.len, dgram.cap) = (data, narrow(a.len), narrow(a.cap));
    dgram.peer = to_pp_addr(a.peer);
    dgram.local = a.destination.map_or(*bound, |ip| to_pp_addr(SocketAddr::new(ip, bound.port)));
    (dgram.rx_ns, dgram.ifindex, dgram.ecn) = (now_ns, a.ifindex, a.ecn);
    (dgram.flags, dgram.hop_limit) = (multicast | broadcast | has_local, a.hop_limit);
    (dgram.verdict, dgram.reserved) = (VERDICT_NONE, [0; 2]);
}

/// Offsets and lengths within the ring, which is far smaller than 4 GiB.
fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

const NO_ADDR: pp_addr = pp_addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 };

const EMPTY_RX: pp_dgram = pp_dgram {
    data: ptr::null_mut(),
    len: 0,
    cap: 0,
    peer: NO_ADDR,
    local: NO_ADDR,
    rx_ns: 0,
    ifindex: 0,
    ecn: 0,
    flags: 0,
    hop_limit: 0,
    verdict: 0,
    reserved: [0; 2],
};

const EMPTY_TX: pp_tx = pp_tx {
    data: ptr::null(),
    len: 0,
    rx: NO_RX,
    at_ns: 0,
    segment: 0,
    ecn: 0,
    flags: 0,
    run: 0,
    to: NO_ADDR,
    from: NO_ADDR,
    reserved: [0; 2],
};

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
