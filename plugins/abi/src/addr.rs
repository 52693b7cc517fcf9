//! A socket address as it crosses the boundary.

/// An IPv4 or IPv6 socket address, or none. 24 bytes, frozen within ABI 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct pp_addr {
    /// The address in network order; IPv4 in `ip[0..4]`, the rest zero.
    pub ip: [u8; 16],
    /// The port in host byte order: 53 is 53.
    pub port: u16,
    /// 4, 6, or 0 for "no address".
    pub family: u8,
    /// Zero when written, ignored when read.
    pub reserved: u8,
    /// IPv6 zone (interface index), else 0.
    pub scope: u32,
}

const _: () = assert!(size_of::<pp_addr>() == 24);
