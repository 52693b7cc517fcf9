//! What the host offers to a plugin.

use crate::pp_batch;
use core::ffi::{c_char, c_void};
use core::marker::PhantomData;

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
/// `[create only]` The cell to add to or set: never NULL, valid until `destroy`. `name` is `snake_case` with
/// a unit (`dropped_total`); the same name gives the same cell again after a restart or reload.
pub type metric_fn =
    unsafe extern "C" fn(*mut pp_ctx, kind: u32, name: *const c_char, help: *const c_char) -> *mut u64;
/// `[instance thread]` Calls `on_timer(token)` at `at_ns`, then every `every_ns` if not 0. The same token
/// again moves the timer, `at_ns == 0` cancels it. Resolution: one turn of the event loop, about 1 ms.
pub type timer_fn = unsafe extern "C" fn(*mut pp_ctx, token: u64, at_ns: u64, every_ns: u64) -> i32;
/// `[in on_batch, on_timer]` Empties `tx` and hands out a fresh arena. What was queued is accepted; arena
/// memory handed out before stays valid until the call returns.
pub type flush_fn = unsafe extern "C" fn(*mut pp_ctx, *mut pp_batch) -> i32;
/// `[any thread]` Optional interfaces by name; NULL when absent.
pub type extension_fn = unsafe extern "C" fn(*mut pp_ctx, id: *const c_char) -> *const c_void;

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
}

const _: () = assert!(size_of::<pp_host>() == 64);
