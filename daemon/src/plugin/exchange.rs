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
#![expect(unsafe_code, reason = "handlers see this memory through raw pointers")]

use polyport_abi::{
    NO_RX, OK, RX_BROADCAST, RX_HAS_LOCAL, RX_MULTICAST, TX_FROM, TX_TO, VERDICT_DISCARD, pp_addr, pp_batch,
    pp_dgram, pp_tx,
};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::ptr::{self, NonNull};
use std::slice;

/// Sizes of the shared memory. All of it is reserved once; pages that are never touched cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// Receive slots, datagrams or trains a receive call can take.
    pub slots: usize,
    /// Bytes a slot takes from the kernel: 65,535 is more than any UDP datagram.
    pub slot_len: usize,
    /// Distance of two slots: not a power of two, or all slots would share one cache set.
    pub stride: usize,
    /// Descriptors in `rx`.
    pub rx: usize,
    /// Entries in `tx` between two flushes.
    pub tx: usize,
    /// Entries one call may queue in all, flushes included.
    pub tx_total: usize,
    /// Bytes of an arena chunk; holds at least one full datagram.
    pub arena: usize,
    /// Chunks one call may use.
    pub arena_chunks: usize,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            slots: 32,
            slot_len: 65_535,
            stride: 65_536 + 192,
            rx: 2048,
            tx: 2048,
            tx_total: 16_384,
            arena: 256 * 1024,
            arena_chunks: 16,
        }
    }
}

/// A datagram as the I/O received it.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Where its bytes begin in the ring.
    pub offset: usize,
    /// Bytes received.
    pub len: usize,
    /// Bytes that may be overwritten.
    pub cap: usize,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to, where the socket tells.
    pub destination: Option<IpAddr>,
    /// The address a reply leaves from; none lets the kernel choose.
    pub reply_from: Option<ReplySource>,
    /// Interface it arrived on, 0 unknown.
    pub ifindex: u32,
    /// ECN bits.
    pub ecn: u8,
    /// TTL or hop limit, 0 unknown.
    pub hop_limit: u8,
    /// What kind of arrival it was.
    pub flags: ArrivalFlags,
}

/// How a datagram arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalFlags {
    /// Sent to a multicast group.
    pub multicast: bool,
    /// Sent to a broadcast address.
    pub broadcast: bool,
    /// Longer than its slot.
    pub truncated: bool,
}

/// A local address to send from, so that a reply comes from where the request went (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplySource {
    /// The unicast address; unspecified pins only the interface.
    pub ip: IpAddr,
    /// The interface, 0 for any.
    pub ifindex: u32,
}

/// One datagram a handler wants to send, checked.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Index of the received datagram it answers.
    pub rx: Option<usize>,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Destination.
    pub to: SocketAddr,
    /// Source.
    pub from: Option<ReplySource>,
    /// Not before this moment, monotonic ns; 0 is now.
    pub at_ns: u64,
    /// Split every so many bytes; 0 is one datagram.
    pub segment: u32,
    /// ECN bits.
    pub ecn: u8,
}

/// A send entry that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputError {
    /// An index or a length outside what was received.
    Bad,
    /// Longer than a datagram.
    TooLong,
    /// No destination.
    NoDestination,
}

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    limits: ExchangeLimits,
    ring: Memory,
    rx: Vec<pp_dgram>,
    /// What the host keeps for itself of each arrival: a handler may scribble over its descriptor.
    arrived: Vec<Arrived>,
    tx: Vec<pp_tx>,
    tx_len: usize,
    parked: Vec<pp_tx>,
    arena: Vec<Memory>,
    arena_at: usize,
    refused: u32,
}

impl Exchange {
    /// Reserves the memory.
    #[must_use]
    pub fn new(limits: ExchangeLimits) -> Self {
        Self {
            limits,
            ring: Memory::new(limits.slots * limits.stride),
            rx: Vec::with_capacity(limits.rx),
            arrived: Vec::with_capacity(limits.rx),
            tx: vec![EMPTY_TX; limits.tx],
            tx_len: 0,
            parked: Vec::new(),
            arena: vec![Memory::new(limits.arena)],
            arena_at: 0,
            refused: 0,
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

    /// Forgets the datagrams and answers of the last call.
    pub fn clear(&mut self) {
        self.rx.clear();
        self.arrived.clear();
        self.discard_outputs();
    }

    /// Forgets the answers only: a handler that broke sends nothing.
    pub fn discard_outputs(&mut self) {
        self.tx_len = 0;
        self.parked.clear();
        self.arena_at = 0;
        self.refused = 0;
    }

    /// Adds a received datagram; false when there is no room for its descriptor or it does not lie in the
    /// ring.
    pub fn push(&mut self, a: Arrived) -> bool {
        let inside = a.len <= a.cap && a.offset.checked_add(a.cap).is_some_and(|end| end <= self.ring.len);
        let (Ok(len), Ok(cap)) = (u32::try_from(a.len), u32::try_from(a.cap)) else { return false };
        if !inside || self.rx.len() == self.limits.rx {
            return false;
        }
        let multicast = if a.flags.multicast { RX_MULTICAST } else { 0 };
        let broadcast = if a.flags.broadcast { RX_BROADCAST } else { 0 };
        let has_local = if a.destination.is_some() { RX_HAS_LOCAL } else { 0 };
        self.rx.push(pp_dgram {
            data: self.ring.at(a.offset),
            len,
            cap,
            peer: to_pp_addr(a.peer),
            local: a.destination.map_or_else(pp_addr::default, |ip| to_pp_addr(SocketAddr::new(ip, 0))),
            rx_ns: 0,
            ifindex: a.ifindex,
            ecn: a.ecn,
            flags: multicast | broadcast | has_local,
            hop_limit: a.hop_limit,
            verdict: 0,
            reserved: [0; 2],
        });
        self.arrived.push(a);
        true
    }

    /// The datagrams, as they arrived.
    #[must_use]
    pub fn arrived(&self) -> &[Arrived] {
        &self.arrived
    }

    /// The bytes of a received datagram as they are now.
    #[must_use]
    pub fn payload(&self, index: usize) -> &[u8] {
        self.arrived.get(index).map_or(&[], |a| self.ring.slice(a.offset, a.len))
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

    /// Keeps the datagrams for which `keep` says so, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&Arrived) -> bool) {
        if self.arrived.iter().all(&mut keep) {
            return;
        }
        let mut kept = self.arrived.iter().map(&mut keep).collect::<Vec<_>>().into_iter();
        self.rx.retain(|_| kept.next().unwrap_or(false));
        self.arrived.retain(keep);
    }

    /// What the handler queued in its last call, in order.
    pub fn outputs(&self) -> impl Iterator<Item = Result<Output<'_>, OutputError>> {
        self.parked.iter().chain(self.tx.get(..self.tx_len).unwrap_or_default()).map(|tx| self.check(tx))
    }

    /// How many entries that are.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.parked.len() + self.tx_len
    }

    fn check(&self, tx: &pp_tx) -> Result<Output<'_>, OutputError> {
        let len = usize::try_from(tx.len).map_err(|_| OutputError::TooLong)?;
        let answered = match tx.rx {
            NO_RX => None,
            index => {
                let index = usize::try_from(index).map_err(|_| OutputError::Bad)?;
                Some((index, self.arrived.get(index).ok_or(OutputError::Bad)?))
            }
        };
        let (to, from) = route(tx, answered.map(|(_, a)| a))?;
        if len > if to.is_ipv4() { MAX_V4 } else { MAX_V6 } {
            return Err(OutputError::TooLong);
        }
        let payload = if tx.data.is_null() {
            let (_, a) = answered.ok_or(OutputError::Bad)?;
            if len > a.cap {
                return Err(OutputError::Bad);
            }
            self.ring.slice(a.offset, len)
        } else {
            // SAFETY: the contract of `pp_tx::data`: the bytes lie in the ring, the arena, or memory of the
            // instance that stays unchanged until its next call, which cannot happen while `self` is borrowed.
            unsafe { slice::from_raw_parts(tx.data, len) }
        };
        let rx = answered.map(|(index, _)| index);
        Ok(Output { rx, payload, to, from, at_ns: tx.at_ns, segment: tx.segment, ecn: tx.ecn & 3 })
    }

    /// Lends the memory to a handler call: `call` gets the batch, which is valid until it returns. What the
    /// kernel does not tell of where a datagram went, such as the port, is as in `bound`.
    pub(super) fn lend<R>(
        &mut self,
        now_ns: u64,
        bound: SocketAddr,
        batch: &pp_batch,
        call: impl FnOnce(*mut pp_batch) -> R,
    ) -> R {
        let bound = to_pp_addr(bound);
        for d in &mut self.rx {
            d.rx_ns = now_ns;
            if d.flags & RX_HAS_LOCAL == 0 {
                d.local = bound;
            }
            d.local.port = bound.port;
        }
        let mut batch = pp_batch {
            rx_len: u32::try_from(self.rx.len()).unwrap_or(0),
            rx: self.rx.as_mut_ptr(),
            tx: self.tx.as_mut_ptr(),
            tx_len: 0,
            tx_cap: u32::try_from(self.tx.len()).unwrap_or(0),
            arena: self.arena.first().map_or(ptr::null_mut(), |m| m.at(0)),
            arena_len: 0,
            arena_cap: u32::try_from(self.limits.arena).unwrap_or(0),
            now_ns,
            size: batch.size,
            wall_offset_ns: batch.wall_offset_ns,
            ctx: batch.ctx,
            host: batch.host,
            max_payload: batch.max_payload,
            log_level: batch.log_level,
            refused: 0,
            reserved: 0,
        };
        let result = call(&raw mut batch);
        self.tx_len = usize::try_from(batch.tx_len).unwrap_or(usize::MAX).min(self.tx.len());
        self.refused = batch.refused;
        result
    }

    /// The host's side of `flush`: parks what is queued and hands out the next chunk. False when the call
    /// has used up its share.
    pub(super) fn park(&mut self, batch: &mut pp_batch) -> bool {
        let queued = usize::try_from(batch.tx_len).unwrap_or(usize::MAX).min(self.tx.len());
        if self.parked.len() + queued > self.limits.tx_total || self.arena_at + 1 == self.limits.arena_chunks
        {
            return false;
        }
        self.parked.extend_from_slice(self.tx.get(..queued).unwrap_or_default());
        batch.tx_len = 0;
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

/// Largest UDP payload over IPv4: 65,535 less the IP and UDP headers.
const MAX_V4: usize = 65_507;
/// Largest UDP payload over IPv6 without jumbograms.
const MAX_V6: usize = 65_527;

const EMPTY_TX: pp_tx = pp_tx {
    data: ptr::null(),
    len: 0,
    rx: NO_RX,
    at_ns: 0,
    segment: 0,
    ecn: 0,
    flags: 0,
    reserved0: 0,
    to: pp_addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 },
    from: pp_addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 },
    reserved: [0; 2],
};

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

/// A socket address as it crosses the boundary.
pub(super) fn to_pp_addr(addr: SocketAddr) -> pp_addr {
    let mut out = pp_addr { port: addr.port(), ..pp_addr::default() };
    match addr {
        SocketAddr::V4(v4) => {
            out.family = 4;
            let [a, b, c, d] = v4.ip().octets();
            out.ip = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        }
        SocketAddr::V6(v6) => {
            out.family = 6;
            out.ip = v6.ip().octets();
            out.scope = v6.scope_id();
        }
    }
    out
}

fn from_pp_addr(addr: &pp_addr) -> Option<SocketAddr> {
    let [a, b, c, d, ..] = addr.ip;
    match addr.family {
        4 => Some(SocketAddr::from(([a, b, c, d], addr.port))),
        6 => Some(SocketAddr::V6(SocketAddrV6::new(addr.ip.into(), addr.port, 0, addr.scope))),
        _ => None,
    }
}

/// A block of bytes that is reached through raw pointers on both sides, and freed with its owner.
#[derive(Debug)]
struct Memory {
    base: NonNull<u8>,
    len: usize,
}

impl Memory {
    fn new(len: usize) -> Self {
        // A zeroed allocation of this size comes from the system untouched, page by page on first use.
        let bytes: &'static mut [u8] = Box::leak(vec![0; len].into_boxed_slice());
        Self { base: NonNull::from(bytes).cast(), len }
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(offset)
    }

    fn slice(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "a slice inside the memory");
        // SAFETY: the range was just checked; handlers write only during a call, when no slice is lent out.
        unsafe { slice::from_raw_parts(self.at(offset), len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `base` and `len` are of the one allocation, and `&mut self` excludes every other slice.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let bytes = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
        // SAFETY: made by `Box::leak` of a boxed slice of exactly this length, and freed only here.
        drop(unsafe { Box::from_raw(bytes) });
    }
}

// `OK` is what `flush` answers when `park` said yes; kept here so that both stand together.
pub(super) const PARKED: i32 = OK;

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
