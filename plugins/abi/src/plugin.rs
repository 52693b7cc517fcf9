//! What a library exports.

use core::ffi::{c_char, c_void};

use crate::{
    pp_addr, pp_batch, pp_ctx, pp_error, pp_event, pp_host, pp_ident, pp_opt, pp_session_info, pp_value,
};

/// `pp_create::why`: the daemon starts or the listener is new.
pub const WHY_START: u32 = 0;
/// `pp_create::why`: the previous instance panicked or returned [`crate::FATAL`].
pub const WHY_RESTART: u32 = 1;
/// `pp_create::why`: a new library or a new configuration.
pub const WHY_RELOAD: u32 = 2;

/// What `create` gets. Grows only at its end; `ctx` and `host` stay valid until `destroy` returns, the
/// rest until `create` returns.
#[repr(C)]
#[derive(Debug)]
pub struct pp_create {
    /// `sizeof(pp_create)` of the host.
    pub size: u32,
    /// `WHY_*`.
    pub why: u32,
    /// The host's handle of the instance.
    pub ctx: *mut pp_ctx,
    /// The host's functions.
    pub host: *const pp_host,
    /// The configuration, in the order of the options.
    pub values: *const pp_value,
    /// Entries of `values`.
    pub n_values: u32,
    /// Version of `state`, as `save` gave it.
    pub state_version: u32,
    /// From `save` of the instance being replaced, or NULL.
    pub state: *const u8,
    /// Bytes of `state`.
    pub state_len: u64,
    /// Seed of the instance: fixed by the configuration for repeatable runs, else random.
    pub seed: u64,
    /// The time, monotonic nanoseconds.
    pub now_ns: u64,
    /// Name of the listener in the configuration.
    pub listener: *const c_char,
    /// The bound address.
    pub local: pp_addr,
    /// Since 1.1: bytes of the operating system's generator, different for each instance. For keys and secrets: the
    /// seed may be known to others.
    pub secret: [u8; 32],
    /// Since 1.3: the sessions of the instance before. Each that is not kept, with [`crate::SET_USER`], ends when `create`
    /// returns.
    pub sessions: *const pp_session_info,
    /// Entries of `sessions`.
    pub n_sessions: u32,
    /// Bytes from one entry of `sessions` to the next.
    pub session_stride: u32,
}

/// Returns the instance, or NULL after it has filled the error.
pub type create_fn = unsafe extern "C" fn(*const pp_create, *mut pp_error) -> *mut c_void;
/// Frees the instance.
pub type destroy_fn = unsafe extern "C" fn(*mut c_void);
/// Serves one batch of datagrams.
pub type on_batch_fn = unsafe extern "C" fn(*mut c_void, *mut pp_batch) -> i32;
/// A timer fired; `rx` is empty, sending works as in `on_batch`.
pub type on_timer_fn = unsafe extern "C" fn(*mut c_void, *mut pp_batch, token: u64) -> i32;
/// Checks a configuration, without side effects.
pub type check_fn = unsafe extern "C" fn(*const pp_value, n: u32, *mut pp_error) -> i32;
/// Takes a new configuration without a new instance.
pub type reconfigure_fn = unsafe extern "C" fn(*mut c_void, *const pp_value, n: u32, *mut pp_error) -> i32;
/// Writes state for the successor; returns the size it needs, which may exceed `cap`.
pub type save_fn = unsafe extern "C" fn(*mut c_void, buf: *mut u8, cap: u64, version: *mut u32) -> i64;
/// As [`save_fn`], of an instance that broke: the host calls it before `destroy`, and nothing else.
pub type rescue_fn = unsafe extern "C" fn(*mut c_void, buf: *mut u8, cap: u64, version: *mut u32) -> i64;
/// Since 1.3: some thread has called `pp_host::wake`; `rx` is empty, sending works as in `on_batch`.
pub type on_wake_fn = unsafe extern "C" fn(*mut c_void, *mut pp_batch) -> i32;
/// Plugin-side optional interfaces.
pub type plugin_extension_fn = unsafe extern "C" fn(*const c_char) -> *const c_void;

/// Something has happened to a session; `rx` is empty, sending works as in `on_batch`.
pub type on_session_fn = unsafe extern "C" fn(*mut c_void, *mut pp_batch, *const pp_event) -> i32;

/// The exported table. Grows only at its end; functions after `on_batch` are optional for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_plugin {
    /// The identity.
    pub ident: pp_ident,
    /// `sizeof(pp_plugin)` when the plugin was compiled.
    pub size: u32,
    /// Entries of `options`.
    pub n_options: u32,
    /// The options, an array.
    pub options: *const pp_opt,
    /// Required, see [`create_fn`].
    pub create: Option<create_fn>,
    /// Required, see [`destroy_fn`].
    pub destroy: Option<destroy_fn>,
    /// Required, see [`on_batch_fn`].
    pub on_batch: Option<on_batch_fn>,
    /// Optional, see [`on_timer_fn`].
    pub on_timer: Option<on_timer_fn>,
    /// Optional, see [`check_fn`].
    pub check: Option<check_fn>,
    /// Optional, see [`reconfigure_fn`].
    pub reconfigure: Option<reconfigure_fn>,
    /// Optional, see [`save_fn`].
    pub save: Option<save_fn>,
    /// Optional, see [`plugin_extension_fn`].
    pub extension: Option<plugin_extension_fn>,
    /// Optional, since 1.3, see [`on_session_fn`]; without it a plugin opens no sessions.
    pub on_session: Option<on_session_fn>,
    /// Optional, since 1.3, see [`rescue_fn`].
    pub rescue: Option<rescue_fn>,
    /// Optional since 1.3, see [`on_wake_fn`].
    pub on_wake: Option<on_wake_fn>,
}

#[expect(unsafe_code, reason = "the exported table is a static")]
// SAFETY: a plugin table is immutable data; `options` points to a static array that nobody writes.
unsafe impl Sync for pp_plugin {}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<pp_create>() == 152 && size_of::<pp_plugin>() == 360);
    assert!(offset_of!(pp_plugin, size) == 256 && offset_of!(pp_plugin, create) == 272);
};
