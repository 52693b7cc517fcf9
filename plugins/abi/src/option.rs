//! Configuration: declared by the plugin, parsed and checked by the host.

use core::ffi::c_char;

use crate::pp_addr;

/// Option type: `true` or `false`; `pp_val::i` is 1 or 0.
pub const OPT_BOOL: u32 = 1;
/// Option type: signed 64-bit integer in `pp_val::i`.
pub const OPT_INT: u32 = 2;
/// Option type: number in `pp_val::f`.
pub const OPT_FLOAT: u32 = 3;
/// Option type: `"2.5%"` or `0.025`; 0..=1 in `pp_val::f`.
pub const OPT_RATIO: u32 = 4;
/// Option type: `"15ms"`; nanoseconds in `pp_val::i`.
pub const OPT_DURATION: u32 = 5;
/// Option type: `"64KiB"`; bytes in `pp_val::i`.
pub const OPT_SIZE: u32 = 6;
/// Option type: UTF-8 text in `pp_val::str` with `pp_value::len`, NUL-terminated as well.
pub const OPT_STRING: u32 = 7;
/// Option type: one of `pp_opt::choices`; its index in `pp_val::i`.
pub const OPT_ENUM: u32 = 8;
/// Option type: `"[::1]:53"`; in `pp_value::addr`.
pub const OPT_ADDR: u32 = 9;
/// Option type: anything; its JSON text in `pp_val::str`.
pub const OPT_JSON: u32 = 10;

/// Bit of an option type: a list of values of the type that the other bits say, any but [`OPT_JSON`]. `pp_val::list` points to
/// `pp_value::len` of them, each with the type of the elements.
pub const OPT_LIST: u32 = 0x100;

/// `pp_opt::flags`: must be given.
pub const OPT_REQUIRED: u32 = 0x1;
/// `pp_opt::flags`: never printed.
pub const OPT_SECRET: u32 = 0x2;
/// `pp_opt::flags`: a text that is the path of a file or directory the plugin reads. The host lets it.
pub const OPT_READS: u32 = 0x4;
/// `pp_opt::flags`: a text that is the path of a file the plugin makes and writes. The host lets it make, write, rename
/// and remove files in that directory.
pub const OPT_WRITES: u32 = 0x8;

/// One option a plugin declares. 64 bytes, frozen within ABI 1. Strings are NUL-terminated UTF-8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_opt {
    /// Name as written in the configuration.
    pub name: *const c_char,
    /// One line of help.
    pub help: *const c_char,
    /// Default, written as in the configuration; NULL is none.
    pub def: *const c_char,
    /// [`OPT_ENUM`]: the choices, `"a|b|c"`; else NULL.
    pub choices: *const c_char,
    /// Smallest value; no bounds when `min` and `max` are both 0. Ratios, durations (ns) and sizes
    /// (bytes) are compared in the unit of their value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// `OPT_*` type (`type` in C).
    pub kind: u32,
    /// `OPT_REQUIRED`, `OPT_SECRET`, `OPT_READS`, `OPT_WRITES`.
    pub flags: u32,
    /// Zero when written, ignored when read.
    pub reserved: u64,
}

#[expect(unsafe_code, reason = "a static table of literals has to be shared between threads")]
// SAFETY: the pointers of an option table point to string literals, which nobody writes.
unsafe impl Sync for pp_opt {}

/// The value proper; which member is set follows from `pp_value::kind`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union pp_val {
    /// Of `OPT_BOOL`, `OPT_INT`, `OPT_DURATION`, `OPT_SIZE` and `OPT_ENUM`.
    pub i: i64,
    /// Of `OPT_FLOAT` and `OPT_RATIO`.
    pub f: f64,
    /// Of `OPT_STRING` and `OPT_JSON`.
    pub str: *const u8,
    /// Of [`OPT_LIST`].
    pub list: *const pp_value,
}

impl core::fmt::Debug for pp_val {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("pp_val")
    }
}

/// One parsed value; same order as the options. 40 bytes, frozen within ABI 1.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_value {
    /// `OPT_*` type (`type` in C); 0 is "not given and no default".
    pub kind: u32,
    /// Bytes of `v.str`, or elements of `v.list`.
    pub len: u32,
    /// The value.
    pub v: pp_val,
    /// The value of an [`OPT_ADDR`].
    pub addr: pp_addr,
}

/// Why a plugin refused. Zeroed by the host but for `size`, filled by the plugin.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_error {
    /// `sizeof(pp_error)` of the host.
    pub size: u32,
    /// 1 + index of the option at fault; 0 is none.
    pub opt: u32,
    /// NUL-terminated text.
    pub msg: [u8; 504],
}

const _: () = {
    assert!(size_of::<pp_opt>() == 64 && size_of::<pp_value>() == 40 && size_of::<pp_error>() == 512);
};
