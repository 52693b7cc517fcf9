//! A datagram received, and one to send.

use crate::pp_addr;

/// `pp_dgram::flags`: the datagram was longer than the buffer; the rest is lost.
pub const RX_TRUNCATED: u8 = 0x01;
/// `pp_dgram::flags`: sent to a multicast group.
pub const RX_MULTICAST: u8 = 0x02;
/// `pp_dgram::flags`: sent to a broadcast address.
pub const RX_BROADCAST: u8 = 0x04;
/// `pp_dgram::flags`: `local` is the address this very datagram was sent to.
pub const RX_HAS_LOCAL: u8 = 0x08;
/// `pp_dgram::flags`: `rx_ns` is the kernel's time stamp, not the event loop's.
pub const RX_KERNEL_TIME: u8 = 0x10;
/// `pp_dgram::flags`, since ABI 1.3: `tos` is what the datagram came with; without it 0 is not known.
pub const RX_HAS_TOS: u8 = 0x20;

/// `pp_dgram::verdict`: replied if a `pp_tx` names the datagram, else consumed by the handler.
pub const VERDICT_NONE: u8 = 0;
/// `pp_dgram::verdict`: the handler discarded the datagram on purpose; counted as a drop with that reason.
pub const VERDICT_DISCARD: u8 = 1;

/// One received datagram. 96 bytes, frozen within ABI 1.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_dgram {
    /// The host's buffer, never NULL; `data[0..cap]` may be overwritten.
    pub data: *mut u8,
    /// Bytes received; 0 is legal in UDP.
    pub len: u32,
    /// Bytes that may be overwritten; equals `len` when the buffer is shared with a neighbour (GRO).
    pub cap: u32,
    /// Who sent it.
    pub peer: pp_addr,
    /// Where it was sent to, see [`RX_HAS_LOCAL`]; else the listener's bound address.
    pub local: pp_addr,
    /// Arrival, monotonic nanoseconds: the time of the turn, or the kernel's with [`RX_KERNEL_TIME`].
    pub rx_ns: u64,
    /// Interface it arrived on; 0 is unknown.
    pub ifindex: u32,
    /// TOS or traffic class as it came, DSCP << 2 | ECN, with [`RX_HAS_TOS`]; else 0.
    pub tos: u8,
    /// `RX_*` bits.
    pub flags: u8,
    /// TTL or hop limit on arrival; 0 is unknown.
    pub hop_limit: u8,
    /// `VERDICT_*`: zero when the handler gets it; the handler may set it before it returns.
    pub verdict: u8,
    /// Since 1.3: the session by whose socket it came, 0 for the listener's.
    pub session: u64,
    /// Since 1.3: the word of that session, [`crate::pp_session::user`]; else 0.
    pub user: u64,
}

/// `pp_tx::flags`: `to` is set; otherwise the datagram goes to the sender of `rx[.rx]`.
pub const TX_TO: u8 = 0x01;
/// `pp_tx::flags`: `from` is set; otherwise it leaves from the address `rx[.rx]` was sent to.
pub const TX_FROM: u8 = 0x02;
/// `pp_tx::flags`, since ABI 1.3: the datagram leaves by the socket of `session`, to the upstream of that session, or to `to`
/// if it is connected to nobody.
pub const TX_SESSION: u8 = 0x04;
/// `pp_tx::flags`, since ABI 1.3: the datagram leaves by the listener's socket, to the client of the session that `rx[.rx]`
/// came by, or with [`TX_SESSION`] of `session`, from the address that client had asked.
pub const TX_CLIENT: u8 = 0x08;
/// `pp_tx::flags`, since ABI 1.1: the plugin has proved that whoever it sends to can receive at that address, or chose the
/// address itself; the host's budget of bytes and replies does not count the datagram.
pub const TX_PROVED: u8 = 0x10;
/// `pp_tx::flags`, since ABI 1.2: the datagram leaves whole or not at all. It has the don't-fragment bit (RFC 791) over
/// IPv4, and the host makes no fragments of it over IPv6.
pub const TX_DF: u8 = 0x20;
/// `pp_tx::rx` of a datagram that answers none.
pub const NO_RX: u32 = u32::MAX;

/// One datagram to send. 96 bytes, frozen within ABI 1; a plain reply writes only the first 32.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_tx {
    /// NULL: the bytes of `rx[.rx]` as they are when the handler returns. Else an rx buffer, the arena, or
    /// instance memory that stays unchanged until the next call into this instance.
    pub data: *const u8,
    /// Bytes to send, at most 65,507.
    pub len: u32,
    /// Index into `pp_batch::rx` of the datagram this one answers, or [`NO_RX`].
    pub rx: u32,
    /// 0: now. Else not before this moment (monotonic ns); the host copies and owns the bytes.
    pub at_ns: u64,
    /// 0: one datagram. Else split every `segment` bytes.
    pub segment: u32,
    /// TOS or traffic class to send with, DSCP << 2 | ECN; 0 is the socket's own. A host before 1.3 sends the two ECN bits.
    pub tos: u8,
    /// `TX_*` bits; others zero.
    pub flags: u8,
    /// Further datagrams answered the same way: `rx[.rx + 1] ..= rx[.rx + run]` go back as well, each with its
    /// own bytes, whole. Only with `data` NULL, `segment` 0 and the whole of `rx[.rx]`.
    pub run: u16,
    /// Destination, with [`TX_TO`].
    pub to: pp_addr,
    /// Source, with [`TX_FROM`].
    pub from: pp_addr,
    /// The session it leaves by, with [`TX_SESSION`].
    pub session: u64,
    /// Zero when written, ignored when read.
    pub reserved: u64,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<pp_dgram>() == 96 && size_of::<pp_tx>() == 96);
    assert!(offset_of!(pp_dgram, rx_ns) == 64 && offset_of!(pp_tx, to) == 32);
    assert!(offset_of!(pp_dgram, session) == 80 && offset_of!(pp_tx, session) == 80);
};
