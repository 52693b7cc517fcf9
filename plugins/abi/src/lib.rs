//! The polyport plugin interface, ABI 1, as `#[repr(C)]` types.
//!
//! This crate is the Rust twin of `include/polyport_plugin.h`; a test compiles a C program against the
//! header and compares every size, offset and constant with this crate. It holds types and constants,
//! and how an address becomes one of Rust's own: what the two sides may do with them is written in `plugins/ABI.md`, and the safe interface for
//! plugin authors is the crate `polyport-plugin`.
//!
//! ```text
//! a plugin library exports one data symbol
//!   polyport_plugin_v1: pp_plugin
//!     +-- pp_ident     256 bytes, no pointers: the host reads it from the file before dlopen
//!     +-- options      what may be configured; the host parses and checks
//!     +-- functions    create, destroy, on_batch, and optional ones
//! ```
//!
//! Types keep the C names, so that one search finds both sides.
#![no_std]
#![expect(non_camel_case_types, reason = "the names are those of the C header")]

mod addr;
mod datagram;
mod host;
mod ident;
mod option;
mod plugin;
mod session;

pub use addr::pp_addr;
pub use datagram::{
    NO_RX, RX_BROADCAST, RX_HAS_LOCAL, RX_HAS_TOS, RX_KERNEL_TIME, RX_MULTICAST, RX_TRUNCATED, TX_ADDRESS,
    TX_CLIENT, TX_DF, TX_FROM, TX_PROVED, TX_SESSION, TX_TO, VERDICT_DISCARD, VERDICT_NONE, pp_dgram, pp_tx,
};
pub use host::{
    COUNTER, GAUGE, GROUP_JOIN, GROUP_LEAVE, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARN,
    REFUSED_DESTINATION, REFUSED_GROUP, REFUSED_LOOP_PORT, REFUSED_OWN_LISTENER, REFUSED_SAME_PORT,
    REFUSED_SOURCE, TICKET_AGE_NS, WANT_HOPS, WANT_LOCAL, WANT_LONE_TIME, WANT_TIME, WANT_TOS, answer_fn,
    extension_fn, flush_fn, group_fn, log_fn, metric_fn, pp_batch, pp_ctx, pp_host, refusal_fn, release_fn,
    reserve_fn, session_close_fn, session_open_fn, session_set_fn, ticket_fn, timer_fn, wake_fn, want_fn,
};
pub use ident::{
    ABI_MAJOR, ABI_MINOR, F_DEBUG, F_PANIC_ABORT, F_PER_LISTENER, IDENT_SIZE, LAYOUT, MAGIC, pp_ident,
};
pub use option::{
    OPT_ADDR, OPT_BOOL, OPT_DURATION, OPT_ENUM, OPT_FLOAT, OPT_INT, OPT_JSON, OPT_LIST, OPT_RATIO, OPT_READS,
    OPT_REQUIRED, OPT_SECRET, OPT_SIZE, OPT_STRING, OPT_WRITES, pp_error, pp_opt, pp_val, pp_value,
};
pub use plugin::{
    WHY_RELOAD, WHY_RESTART, WHY_START, check_fn, create_fn, destroy_fn, on_batch_fn, on_session_fn,
    on_timer_fn, on_wake_fn, plugin_extension_fn, pp_create, pp_plugin, reconfigure_fn, rescue_fn, save_fn,
};
pub use session::{
    END_ASKED, END_BROKEN, END_IDLE, END_LIMIT, END_NO_FILE, END_NO_PORT, END_REFUSED_ADDR, END_RESTART,
    EV_CLOSED, EV_ERROR, NET_FORBIDDEN, NET_OTHER, NET_REFUSED, NET_TOO_BIG, NET_UNREACHABLE, SESSION_DF,
    SESSION_IDLE_RX, SESSION_TOS, SET_CLIENT, SET_IDLE, SET_USER, pp_event, pp_session, pp_session_info,
};

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Name of the data symbol every plugin exports, NUL-terminated. The major version is part of it.
pub const SYMBOL: &core::ffi::CStr = c"polyport_plugin_v1";

/// The call succeeded; what was queued is sent.
pub const OK: i32 = 0;
/// `on_batch`/`on_timer`: this call failed, keep the instance; what was queued is sent.
pub const ERROR: i32 = -1;
/// `on_batch`/`on_timer`: the instance is broken, restart it; what was queued is discarded.
pub const FATAL: i32 = -2;
/// The service is not offered.
pub const UNSUPPORTED: i32 = -3;
