//! The identity: read from the file before any code of the library runs.

use crate::{pp_dgram, pp_opt, pp_tx, pp_value};

/// The ABI major; also in the symbol name. A host loads only its own.
pub const ABI_MAJOR: u16 = 1;
/// The ABI minor of this crate.
pub const ABI_MINOR: u16 = 3;
/// First bytes of every identity.
pub const MAGIC: [u8; 16] = *b"POLYPORT-PLUGIN1";
/// Bytes of an identity, over all majors.
pub const IDENT_SIZE: u16 = 256;

/// `pp_ident::flags`: a panic would stop the daemon.
pub const F_PANIC_ABORT: u32 = 0x1;
/// `pp_ident::flags`: unoptimised build.
pub const F_DEBUG: u32 = 0x2;
/// `pp_ident::flags`, since 1.3: one instance for all addresses of a listener, instead of one for each.
pub const F_PER_LISTENER: u32 = 0x4;

/// The sizes of the four array elements, a byte each: a compiler that packs structs differently is found
/// before the first call.
#[expect(clippy::cast_possible_truncation, reason = "four struct sizes, each asserted to be below 128")]
pub const LAYOUT: u32 = (size_of::<pp_dgram>() as u32) << 24
    | (size_of::<pp_tx>() as u32) << 16
    | (size_of::<pp_opt>() as u32) << 8
    | size_of::<pp_value>() as u32;

/// The identity of a plugin. 256 bytes without pointers, frozen over all majors. Text is NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_ident {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// ABI major the plugin speaks.
    pub abi_major: u16,
    /// ABI minor the plugin was built with.
    pub abi_minor: u16,
    /// Oldest host minor the plugin works with.
    pub min_host_minor: u16,
    /// [`IDENT_SIZE`].
    pub ident_size: u16,
    /// [`LAYOUT`].
    pub layout: u32,
    /// `F_*` bits.
    pub flags: u32,
    /// Name of the plugin.
    pub name: [u8; 40],
    /// Version of the plugin.
    pub version: [u8; 24],
    /// What built it.
    pub toolchain: [u8; 56],
    /// One line about it.
    pub about: [u8; 104],
}

const _: () = assert!(size_of::<pp_ident>() == 256 && LAYOUT == 0x6060_4028);
