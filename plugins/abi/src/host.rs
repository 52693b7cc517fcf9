//! What the host offers to a plugin: its functions, and the batch of one call. Each names the other, so they are
//! in one file.

use core::ffi::{c_char, c_void};
use core::marker::PhantomData;

use crate::{pp_addr, pp_dgram, pp_session, pp_tx};

/// The host's handle of one instance; opaque to the plugin.
#[repr(C)]
#[derive(Debug)]
pub struct pp_ctx {
    opaque: [u8; 0],
    not_send: PhantomData<*mut ()>,
}

/// Log level: something is broken and somebody has to act.
pub const LOG_ERROR: i32 = 1;
/// Log level: something is wrong, service goes on.
pub const LOG_WARN: i32 = 2;
/// Log level: a change of state worth a line.
pub const LOG_INFO: i32 = 3;
/// Log level: for the person who debugs the plugin.
pub const LOG_DEBUG: i32 = 4;
/// Log level: a line a datagram.
pub const LOG_TRACE: i32 = 5;

/// Metric kind: only grows.
pub const COUNTER: u32 = 1;
/// Metric kind: goes up and down.
pub const GAUGE: u32 = 2;

/// `[any thread]` One line, no newline; rate-limited per instance by the host.
pub type log_fn = unsafe extern "C" fn(*mut pp_ctx, level: i32, msg: *const u8, len: usize);
/// `[create only]` The cell to add to or set: never NULL, and valid as long as the process (before 1.3: until `destroy`).
/// `name` is `snake_case` with
/// a unit (`dropped_total`); the same name gives the same cell again after a restart or reload.
pub type metric_fn =
    unsafe extern "C" fn(*mut pp_ctx, kind: u32, name: *const c_char, help: *const c_char) -> *mut u64;
/// `[instance thread]` Calls `on_timer(token)` at `at_ns`, then every `every_ns` if not 0. The same token
/// again moves the timer, `at_ns == 0` cancels it. It fires in the first turn that begins at `at_ns` or later.
pub type timer_fn = unsafe extern "C" fn(*mut pp_ctx, token: u64, at_ns: u64, every_ns: u64) -> i32;
/// `[in on_batch, on_timer]` Empties `tx` and hands out a fresh arena. What was queued is accepted; arena
/// memory handed out before stays valid until the call returns.
pub type flush_fn = unsafe extern "C" fn(*mut pp_ctx, *mut pp_batch) -> i32;
/// `[any thread]` Optional interfaces by name; NULL when absent.
pub type extension_fn = unsafe extern "C" fn(*mut pp_ctx, id: *const c_char) -> *const c_void;

/// `[first in create, then any thread]` Asks for `bytes` more that the instance may keep beyond a call: `OK` grants
/// them, `ERROR` does not. The first call belongs in `create`, with 0 bytes if need be, and opens the instance's
/// account; without one the answer is `UNSUPPORTED`. The host takes everything back after `destroy`.
pub type reserve_fn = unsafe extern "C" fn(*mut pp_ctx, bytes: u64) -> i32;
/// `[any thread]` Gives back `bytes` of what was granted.
pub type release_fn = unsafe extern "C" fn(*mut pp_ctx, bytes: u64);

/// A fact for [`want_fn`]: `pp_dgram::tos`.
pub const WANT_TOS: u32 = 1;
/// A fact for [`want_fn`]: `pp_dgram::hop_limit`.
pub const WANT_HOPS: u32 = 2;
/// A fact for [`want_fn`]: `pp_dgram::local` with [`crate::RX_HAS_LOCAL`], and `pp_dgram::ifindex`.
pub const WANT_LOCAL: u32 = 4;
/// A fact for [`want_fn`]: `pp_dgram::rx_ns` with [`crate::RX_KERNEL_TIME`].
pub const WANT_TIME: u32 = 8;
/// A fact for [`want_fn`]: as [`WANT_TIME`], but of datagrams that came alone only; those that came as a train stay one, and
/// are told the time of the host.
pub const WANT_LONE_TIME: u32 = 16;

/// `[create only]` Facts (`WANT_*`) to fill in for each datagram of the listener; returns those that will be.
pub type want_fn = unsafe extern "C" fn(*mut pp_ctx, facts: u32) -> u32;

/// `[in a call with a batch]` Reserves the id of a session, never 0; 0: not now, or not so. The socket is made when the call has
/// returned, before its entries are sent; what goes wrong then is told by `on_session`.
pub type session_open_fn = unsafe extern "C" fn(*mut pp_ctx, *const pp_session) -> u64;
/// `[in a call with a batch]` Ends a session. What this call queued for it still leaves.
pub type session_close_fn = unsafe extern "C" fn(*mut pp_ctx, session: u64) -> i32;
/// `[in a call with a batch; SET_USER in create, too]` Changes a session, `SET_*`.
pub type session_set_fn = unsafe extern "C" fn(*mut pp_ctx, session: u64, what: u32, value: u64) -> i32;

/// `[any thread, at any time]` Has `on_wake` called soon, once however often this was called before it. `ERROR` when the
/// instance is gone, for ever after, unless a later one of the same listener has its place and is woken; `UNSUPPORTED` if the
/// plugin has no `on_wake`.
pub type wake_fn = unsafe extern "C" fn(*mut pp_ctx) -> i32;
/// `[in on_batch]` A ticket for `rx[.rx]`: the right to answer it in a later call, for `age_ns`, at most [`TICKET_AGE_NS`];
/// 0 is that long. Returns 0 if there is none to be had.
pub type ticket_fn = unsafe extern "C" fn(*mut pp_ctx, rx: u32, age_ns: u64) -> u64;
/// `[in a call with a batch]` Uses a ticket: `OK`, and the number that stands for its datagram in `pp_tx::rx` until the
/// call returns. `ERROR`: it is too old, was used in an earlier call, or is none of this instance.
pub type answer_fn = unsafe extern "C" fn(*mut pp_ctx, ticket: u64, rx: *mut u32) -> i32;

/// Longest age of a ticket, ns: twice as long as a resolver looks for an answer by default (`resolv.conf(5)`: three
/// servers, twice, 5 s each).
pub const TICKET_AGE_NS: u64 = 60_000_000_000;

/// [`group_fn`]: leaves the group.
pub const GROUP_LEAVE: u32 = 0;
/// [`group_fn`]: joins the group.
pub const GROUP_JOIN: u32 = 1;
/// `[instance thread]` Has the socket of the listener join or leave (`GROUP_*`) a multicast group; the call is made when
/// `create`, or the handler call, has returned. `source` of family 0 or NULL is any, `ifindex` 0 the interface that the
/// system chooses.
pub type group_fn = unsafe extern "C" fn(
    *mut pp_ctx,
    op: u32,
    group: *const pp_addr,
    source: *const pp_addr,
    ifindex: u32,
) -> i32;

/// The host's function table. Grows only at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_host {
    /// `sizeof(pp_host)` of the host.
    pub size: u32,
    /// The ABI minor the host offers.
    pub abi_minor: u32,
    /// `"polyport"`.
    pub name: *const c_char,
    /// The host's version, `"0.1.0"`.
    pub version: *const c_char,
    /// See [`log_fn`].
    pub log: log_fn,
    /// See [`metric_fn`].
    pub metric: metric_fn,
    /// See [`timer_fn`].
    pub timer: timer_fn,
    /// See [`flush_fn`].
    pub flush: flush_fn,
    /// See [`extension_fn`].
    pub extension: extension_fn,
    /// Since 1.1, see [`reserve_fn`].
    pub reserve: reserve_fn,
    /// Since 1.1, see [`release_fn`].
    pub release: release_fn,
    /// Since 1.2, see [`want_fn`].
    pub want: want_fn,
    /// Since 1.3, see [`session_open_fn`].
    pub session_open: session_open_fn,
    /// Since 1.3, see [`session_close_fn`].
    pub session_close: session_close_fn,
    /// Since 1.3, see [`session_set_fn`].
    pub session_set: session_set_fn,
    /// Since 1.3, see [`wake_fn`].
    pub wake: wake_fn,
    /// Since 1.3, see [`ticket_fn`].
    pub ticket: ticket_fn,
    /// Since 1.3, see [`answer_fn`].
    pub answer: answer_fn,
    /// Since 1.3, see [`group_fn`].
    pub group: group_fn,
}

/// What `on_batch` and `on_timer` get. Grows only at its end; valid until the call returns.
#[repr(C)]
#[derive(Debug)]
pub struct pp_batch {
    /// `sizeof(pp_batch)` of the host.
    pub size: u32,
    /// Datagrams in `rx`; 0 in `on_timer`.
    pub rx_len: u32,
    /// The datagrams received.
    pub rx: *mut pp_dgram,
    /// The ring for answers: write `tx[tx_len]`, then `tx_len += 1`.
    pub tx: *mut pp_tx,
    /// Entries written.
    pub tx_len: u32,
    /// Entries there is room for; `pp_host::flush` makes room.
    pub tx_cap: u32,
    /// Scratch for payloads; lives until the datagrams built in it have left.
    pub arena: *mut u8,
    /// Bytes of the arena in use.
    pub arena_len: u32,
    /// Bytes of the arena.
    pub arena_cap: u32,
    /// The time of this call, monotonic nanoseconds: that of the turn, or of the receive call where the handler delays.
    pub now_ns: u64,
    /// `now_ns + wall_offset_ns` is Unix time in nanoseconds.
    pub wall_offset_ns: i64,
    /// The host's handle of the instance.
    pub ctx: *mut pp_ctx,
    /// The host's functions.
    pub host: *const pp_host,
    /// Largest payload the socket can send in one datagram, bytes.
    pub max_payload: u32,
    /// Highest `LOG_*` level that is kept.
    pub log_level: u32,
    /// Datagrams that found no room: the handler counts up, the host reads.
    pub refused: u32,
    /// Since 1.2: how many more datagrams find room to leave later (`at_ns`); the handler counts down. In its place an older
    /// host has a zero that means nothing: see [`Self::size`].
    pub delay_datagrams: u32,
    /// Since 1.2: how many payload bytes more they may have; the handler counts down.
    pub delay_bytes: u64,
    /// Since 1.3: 1 and the index of the datagram that the handler works on; 0 is none, or not known. The handler writes it,
    /// and the host reads it if the call breaks the handler.
    pub handling: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<pp_host>() == 144 && size_of::<pp_batch>() == 112);
