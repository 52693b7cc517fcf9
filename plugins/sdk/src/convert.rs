//! Raw pointers of the ABI, turned into safe views. Everything above this file is safe Rust.
//!
//! What makes each view valid is written in `plugins/ABI.md`.
#![expect(unsafe_code, reason = "the plugin boundary: pointers of the host become borrowed views here")]

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::{MaybeUninit, offset_of};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ptr::{self, NonNull};

use polyport_abi::{pp_addr, pp_batch, pp_create, pp_dgram, pp_event, pp_session_info};

use crate::host::{HostRef, OwnLink};
use crate::queued::{Queued, Refusal};
use crate::route::{MAX_PAYLOAD, Route, Via, fill, goes_with};
use crate::text::{slice, text};
use crate::value::{Value, values};

/// What `create` gets, as borrowed Rust values.
#[derive(Debug)]
pub(crate) struct Created<'a> {
    pub(crate) host: HostRef,
    pub(crate) why: u32,
    pub(crate) seed: u64,
    pub(crate) now_ns: u64,
    pub(crate) listener: &'a str,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) state: Option<(u32, &'a [u8])>,
    pub(crate) values: Vec<Value<'a>>,
    /// None from a host older than 1.1.
    pub(crate) secret: Option<[u8; 32]>,
    /// None from a host older than 1.3.
    pub(crate) sessions: Vec<pp_session_info>,
    /// The bound addresses that the instance serves.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The way to the instance from other threads.
    pub(crate) link: OwnLink,
}

impl Created<'_> {
    /// # Safety
    /// `create` is the argument of the plugin's `create`; the view is dropped before that returns.
    pub(crate) unsafe fn new(create: *const pp_create) -> Self {
        // SAFETY: the size is the first field of every `pp_create`, however old the host is.
        let size = unsafe { (*create).size } as usize;
        let mut copy = MaybeUninit::<pp_create>::zeroed();
        // SAFETY: the host's struct has `size` bytes, and no more than ours are copied.
        unsafe {
            create
                .cast::<u8>()
                .copy_to_nonoverlapping(copy.as_mut_ptr().cast(), size.min(size_of::<pp_create>()));
        }
        // SAFETY: plain numbers and pointers, for all of which zero is a value.
        let c = unsafe { copy.assume_init() };
        let secret = (size >= offset_of!(pp_create, sessions)).then_some(c.secret);
        let state = (!c.state.is_null()).then(|| {
            // SAFETY: the host passes `state_len` readable bytes.
            let bytes = unsafe { slice(c.state, usize::try_from(c.state_len).unwrap_or(0)) };
            (c.state_version, bytes)
        });
        Self {
            // SAFETY: both come from this `pp_create`.
            host: unsafe { HostRef::new(c.ctx, c.host) },
            why: c.why,
            seed: c.seed,
            now_ns: c.now_ns,
            // SAFETY: NUL-terminated or NULL, valid during `create`.
            listener: unsafe { text(c.listener) },
            local: c.local.socket_addr(),
            state,
            // SAFETY: the host passes `n_values` values.
            values: unsafe { values(c.values, c.n_values) },
            secret,
            // SAFETY: the host passes `n_sessions` records, each so long; none if it is older.
            sessions: unsafe { sessions(c.sessions, c.n_sessions, c.session_stride) },
            // SAFETY: the host passes `n_addresses` of them; none if it is older.
            addresses: unsafe { addresses(c.addresses, c.n_addresses, c.local) },
            link: OwnLink::default(),
        }
    }
}

/// # Safety
/// `first` points to `n` records with `stride` bytes from one to the next, or is NULL.
unsafe fn sessions(first: *const pp_session_info, n: u32, stride: u32) -> Vec<pp_session_info> {
    let stride = stride as usize;
    if first.is_null() || stride < size_of::<pp_session_info>() {
        return Vec::new();
    }
    let one = |index: u32| {
        let at = first.wrapping_byte_add(index as usize * stride);
        // SAFETY: the caller promises it; a later host has longer records, which begin as ours do.
        unsafe { at.read_unaligned() }
    };
    (0..n).map(one).collect()
}

/// All bound addresses. A host before 1.3 names only `local`, which is all there is.
///
/// # Safety
/// `first` points to `n` addresses, or is NULL.
unsafe fn addresses(first: *const pp_addr, n: u32, local: pp_addr) -> Vec<SocketAddr> {
    if first.is_null() || n == 0 {
        return local.socket_addr().into_iter().collect();
    }
    // SAFETY: the caller promises it.
    let all = unsafe { core::slice::from_raw_parts(first, n as usize) };
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    all.iter().map(|address| address.socket_addr().unwrap_or(nowhere)).collect()
}

/// An event of the host; none for NULL.
///
/// # Safety
/// `event` is the argument of `on_session`.
pub(crate) unsafe fn event(event: *const pp_event) -> Option<pp_event> {
    // SAFETY: NULL, or the host's event, which begins with its size.
    let size = unsafe { event.cast::<u32>().as_ref() }.copied()? as usize;
    let mut copy = MaybeUninit::<pp_event>::zeroed();
    let bytes = size.min(size_of::<pp_event>());
    // SAFETY: the host's event has `size` bytes, and no more than ours are copied.
    unsafe { event.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr().cast(), bytes) };
    // SAFETY: plain numbers, for which zero is a value.
    Some(unsafe { copy.assume_init() })
}

/// The host's `pp_batch` during one call; not `Send`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawBatch<'a> {
    batch: NonNull<pp_batch>,
    life: PhantomData<&'a mut pp_batch>,
}

impl<'a> RawBatch<'a> {
    /// The batch and its datagrams, or `None` for NULL.
    ///
    /// # Safety
    /// `batch` is the argument of `on_batch` or `on_timer`, opened once, and `'a` ends before that returns.
    pub(crate) unsafe fn open(batch: *mut pp_batch) -> Option<(Self, Slots<'a>)> {
        let raw = Self { batch: NonNull::new(batch)?, life: PhantomData };
        let (end, size) = raw.with(|b| (b.rx_len, b.size as usize));
        // A host before 1.3 has no place for marks.
        let marks = size >= offset_of!(pp_batch, handling) + size_of::<u32>();
        Some((raw, Slots { raw, next: 0, end, marks }))
    }

    /// Lends the struct to `f`, which must not call back into user code or the host.
    #[inline]
    pub(crate) fn with<R>(self, f: impl FnOnce(&mut pp_batch) -> R) -> R {
        let mut batch = self.batch;
        // SAFETY: the host lends the struct for the call; this reference ends with `f`, one thread.
        f(unsafe { batch.as_mut() })
    }

    /// The number of the address that the call is about; none from a host before 1.3, which has no numbers.
    pub(crate) fn address(self) -> Option<u32> {
        let end = offset_of!(pp_batch, address) + size_of::<u32>();
        self.with(|b| (b.size as usize >= end).then_some(b.address))
    }

    pub(crate) fn host(self) -> HostRef {
        let (ctx, host) = self.with(|b| (b.ctx, b.host));
        // SAFETY: both come from this batch, and `self` cannot outlive the call.
        unsafe { HostRef::new(ctx, host) }
    }

    /// The traffic class that the host can send with: a host before 1.3 takes the two bits of ECN alone.
    pub(crate) fn tos(self, tos: u8) -> u8 {
        if self.host().has_minor(3) { tos } else { tos & 0b11 }
    }

    fn flush(self) -> bool {
        // SAFETY: inside `on_batch` or `on_timer`, with no reference into the batch alive.
        unsafe { self.host().flush(self.batch.as_ptr()) }
    }

    /// Queues `len` bytes at `data` (NULL: the bytes of `rx`); counted, when there is no room.
    #[inline]
    fn push(self, data: *const u8, len: u32, route: Route) -> Queued {
        let full = |b: &mut pp_batch| b.tx_len >= b.tx_cap;
        if self.with(full) && (!self.flush() || self.with(full)) {
            return self.refuse(Refusal::NoRoom);
        }
        let (ring, at) = self.with(|b| (b.tx, b.tx_len as usize));
        // SAFETY: `at < tx_cap`, the length of the ring.
        let slot = unsafe { ring.add(at) };
        // SAFETY: the host hands out initialised entries; nobody else refers to them during the call.
        fill(unsafe { &mut *slot }, data, len, route);
        self.with(|b| b.tx_len += 1);
        if route.at_ns != 0 && !self.delays(route.at_ns, len) {
            return Queued::No(Refusal::NoRoomLater);
        }
        if route.to.is_some() || route.from.is_some() { self.look(&route) } else { Queued::Yes }
    }

    /// Asks the host what it has against an address. It gets the entry in any case, to count it.
    #[inline(never)]
    fn look(self, route: &Route) -> Queued {
        // Where a session sends is the business of whoever opened it.
        let by_session = matches!(route.via, Via::Session(_));
        let refusal = route.to.filter(|_| !by_session).and_then(|to| self.host().refusal(to, route.from));
        // The host speaks of the address that the call is about.
        let elsewhere = matches!(route.via, Via::Address(_));
        let of_another = [Refusal::SamePort, Refusal::Destination, Refusal::Source];
        let refusal = refusal.filter(|refusal| !elsewhere || !of_another.contains(refusal));
        refusal.map_or(Queued::Yes, Queued::No)
    }

    /// Counts a datagram that was queued for `at_ns`, and says whether it finds room until then, as far as the host can tell.
    fn delays(self, at_ns: u64, len: u32) -> bool {
        let end = offset_of!(pp_batch, delay_bytes) + size_of::<u64>();
        self.with(|b| {
            // A host before 1.2 does not tell.
            if at_ns <= b.now_ns || (b.size as usize) < end {
                return true;
            }
            let fits = b.delay_datagrams > 0 && b.delay_bytes >= u64::from(len);
            if fits {
                b.delay_datagrams -= 1;
                b.delay_bytes -= u64::from(len);
            }
            fits
        })
    }

    /// Lets the last entry answer datagram `index` as well, if it sends the one before it in place, the same way and at the same
    /// time; then the host sees one entry where a train or a batch is echoed.
    #[inline]
    fn extend_run(self, index: u32, route: &Route) -> bool {
        let (ring, len) = self.with(|b| (b.tx, b.tx_len as usize));
        let Some(last) = len.checked_sub(1) else { return false };
        // SAFETY: `last < tx_len <= tx_cap`, the length of the ring.
        let slot = unsafe { ring.add(last) };
        // SAFETY: an entry that `push` has written; nobody else refers to it during the call.
        let tx = unsafe { &mut *slot };
        let follows = tx.rx.wrapping_add(u32::from(tx.run)).wrapping_add(1) == index && goes_with(tx, route);
        if follows && tx.run < u16::MAX {
            tx.run += 1;
            return true;
        }
        false
    }

    /// The last entry, if it sends datagrams on as they are up to the one before `index`, and says nothing but the socket: then it
    /// may answer those that follow as well.
    #[inline]
    pub(crate) fn extensible(self, index: u32) -> Option<u16> {
        let (ring, len) = self.with(|b| (b.tx, b.tx_len as usize));
        let last = len.checked_sub(1)?;
        // SAFETY: `last < tx_len <= tx_cap`, the length of the ring.
        let slot = unsafe { ring.add(last) };
        // SAFETY: an entry that `push` has written; nobody else refers to it during the call.
        let tx = unsafe { &*slot };
        let via = match tx.flags {
            0 => Via::Same,
            polyport_abi::TX_SESSION => Via::Session(tx.session),
            polyport_abi::TX_CLIENT => Via::Client,
            _ => return None,
        };
        let follows =
            tx.rx.wrapping_add(u32::from(tx.run)).wrapping_add(1) == index && goes_with(tx, &Route::by(via));
        follows.then_some(tx.run)
    }

    /// Lets the entry that was just queued answer `more` datagrams as well.
    #[inline]
    pub(crate) fn lengthen_run(self, more: u16) {
        let (ring, last) = self.with(|b| (b.tx, b.tx_len.saturating_sub(1) as usize));
        // SAFETY: `last < tx_len`, since an entry was just queued.
        let slot = unsafe { ring.add(last) };
        // SAFETY: an entry that `push` has written; nobody else refers to it during the call.
        unsafe { (*slot).run = more };
    }

    fn refuse(self, refusal: Refusal) -> Queued {
        self.with(|b| b.refused = b.refused.saturating_add(1));
        Queued::No(refusal)
    }

    /// Queues what `build` writes into `room` zeroed bytes of the arena; it returns how many it used.
    pub(crate) fn send_built(
        self,
        room: usize,
        route: Route,
        build: impl FnOnce(&mut [u8]) -> usize,
    ) -> Queued {
        if room > MAX_PAYLOAD {
            return self.refuse(Refusal::TooLong);
        }
        let Some((block, size)) = self.alloc(room) else { return self.refuse(Refusal::NoRoom) };
        // Since 1.3 what the host hands out is zero.
        let is_zero = self.host().has_minor(3);
        if !is_zero {
            // SAFETY: the block is `room` bytes of the arena that were handed out to nobody else.
            unsafe { block.write_bytes(0, room) };
        }
        // SAFETY: as above, and the host's arena is initialised; it stays valid until the call returns, flush or not.
        let out = unsafe { core::slice::from_raw_parts_mut(block, room) };
        let used = build(out).min(room);
        if is_zero && let Some(unused) = out.get_mut(used..) {
            // It goes back as it came.
            unused.fill(0);
        }
        self.give_back(block, size, used);
        self.push(block, u32::try_from(used).unwrap_or(0), route)
    }

    /// `room` bytes, of which no datagram has more, and the rounded size they take.
    fn alloc(self, room: usize) -> Option<(*mut u8, u32)> {
        // Eight-byte steps keep blocks aligned for anything a plugin lays over them.
        let size = u32::try_from(room.next_multiple_of(8)).ok()?;
        let full = |b: &mut pp_batch| b.arena.is_null() || b.arena_cap.saturating_sub(b.arena_len) < size;
        if self.with(full) && (!self.flush() || self.with(full)) {
            return None;
        }
        let (arena, at) = self.with(|b| (b.arena, b.arena_len as usize));
        self.with(|b| b.arena_len += size);
        // SAFETY: `at + size <= arena_cap`, the length of the arena.
        Some((unsafe { arena.add(at) }, size))
    }

    /// Returns what a builder did not use, unless somebody has allocated behind it.
    fn give_back(self, block: *mut u8, size: u32, used: usize) {
        let keep = u32::try_from(used.next_multiple_of(8)).unwrap_or(size).min(size);
        self.with(|b| {
            let end = b.arena.wrapping_add(b.arena_len as usize);
            if ptr::eq(end, block.wrapping_add(size as usize)) && b.arena_len >= size {
                b.arena_len -= size - keep;
            }
        });
    }
}

/// Hands out every datagram of a batch once: that is what makes a [`Slot`] the only owner of its bytes. The host is told which
/// one was handed out last, so that it knows which one did it when the handler panics.
#[derive(Debug)]
pub(crate) struct Slots<'a> {
    pub(crate) raw: RawBatch<'a>,
    pub(crate) next: u32,
    pub(crate) end: u32,
    /// The host has a place for the number of that datagram.
    pub(crate) marks: bool,
}

impl<'a> Slots<'a> {
    /// Moves the rest out, leaving none.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        let rest = Self { next: self.next, ..*self };
        self.next = self.end;
        rest
    }

    /// Queues all that are left, in runs; returns how many found no room. Whoever took the slots has given up
    /// the bytes for good, so they stay as they are.
    #[inline]
    pub(crate) fn echo(mut self) -> usize {
        while self.next < self.end {
            let (rx, raw) = (self.next, self.raw);
            let more = u16::try_from(self.end - rx - 1).unwrap_or(u16::MAX);
            let len = Slot::new(raw, rx).with(|d| d.len);
            if raw.push(ptr::null(), len, Route::answer(rx, 0)) != Queued::Yes {
                break;
            }
            self.raw.lengthen_run(more);
            self.next += u32::from(more) + 1;
        }
        let refused = self.end - self.next;
        // The first of them is counted already.
        self.raw.with(|b| b.refused = b.refused.saturating_add(refused.saturating_sub(1)));
        refused as usize
    }

    pub(crate) fn remaining(&self) -> usize {
        (self.end - self.next) as usize
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Slot<'a>> {
        let index = self.next;
        let is_left = index < self.end;
        if self.marks {
            // Behind the last one, none is to blame.
            self.raw.with(|b| b.handling = if is_left { index + 1 } else { 0 });
        }
        is_left.then(|| {
            self.next += 1;
            Slot::new(self.raw, index)
        })
    }
}

/// The exclusive right to one received datagram.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) raw: RawBatch<'a>,
    pub(crate) index: u32,
    /// The plugin has said that the sender proved its address.
    proved: Cell<bool>,
    /// What is sent of it leaves whole or not at all.
    df: Cell<bool>,
    /// What is sent of it leaves with this traffic class; 0 is the socket's own.
    tos: Cell<u8>,
}

impl<'a> Slot<'a> {
    #[inline]
    pub(crate) const fn new(raw: RawBatch<'a>, index: u32) -> Self {
        Self { raw, index, proved: Cell::new(false), df: Cell::new(false), tos: Cell::new(0) }
    }

    /// Notes that the sender has proved its address, unless the host is too old to be told.
    pub(crate) fn prove(&self) {
        self.proved.set(self.raw.host().has_minor(1));
    }

    /// Notes that what is sent of it must not be cut, unless the host is too old to be told.
    pub(crate) fn dont_fragment(&self) {
        self.df.set(self.raw.host().has_minor(2));
    }

    /// Notes with which traffic class leaves what is sent of it.
    pub(crate) fn set_tos(&self, tos: u8) {
        self.tos.set(self.raw.tos(tos));
    }

    /// The way to another address than the sender's. What the sender has proved says nothing about it.
    #[inline]
    pub(crate) fn onward(&self, at_ns: u64, to: SocketAddr, proved: bool) -> Route {
        let proved = proved && self.raw.host().has_minor(1);
        let (df, tos) = (self.df.get(), self.tos.get());
        Route { to: Some(to), proved, df, tos, ..Route::answer(self.index, at_ns) }
    }

    /// The way by a session, or to the client of one.
    #[inline]
    pub(crate) fn by(&self, at_ns: u64, via: Via) -> Route {
        Route { via, ..self.answer(at_ns) }
    }

    /// The way back to the sender.
    #[inline]
    pub(crate) fn answer(&self, at_ns: u64) -> Route {
        let (proved, df, tos) = (self.proved.get(), self.df.get(), self.tos.get());
        Route { proved, df, tos, ..Route::answer(self.index, at_ns) }
    }

    /// Lends the record to `f`, which must not keep it.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut pp_dgram) -> R) -> R {
        let rx = self.raw.with(|b| b.rx);
        // SAFETY: `Slots` gives out indices below `rx_len` only.
        let at = unsafe { rx.add(self.index as usize) };
        // SAFETY: the record is the host's, lent for the call; this slot is its only user.
        f(unsafe { &mut *at })
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let (data, len) = self.with(|d| (d.data, d.len as usize));
        // SAFETY: the host lends `len` bytes; only this slot reaches them.
        unsafe { slice(data, len) }
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "the only borrow that keeps a second one out")]
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let (data, len) = self.with(|d| (d.data, d.len as usize));
        if len == 0 {
            return &mut [];
        }
        // SAFETY: the host lends `len <= cap` writable bytes, and `&mut self` is the only way to them.
        unsafe { core::slice::from_raw_parts_mut(data, len) }
    }

    /// Queues the datagram's own bytes. Callers own the slot for good, so the bytes stay as they are.
    #[inline]
    pub(crate) fn send_in_place(&self, route: Route) -> Queued {
        if route.is_by_socket() && self.raw.extend_run(self.index, &route) {
            if route.at_ns == 0 {
                return Queued::Yes;
            }
            // Each of them needs room till then.
            let fits = self.raw.delays(route.at_ns, self.with(|d| d.len));
            return if fits { Queued::Yes } else { Queued::No(Refusal::NoRoomLater) };
        }
        let len = self.with(|d| d.len);
        self.raw.push(ptr::null(), len, route)
    }
}
