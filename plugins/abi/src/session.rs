//! Sessions: sockets beside the listener's that belong to an instance. Since ABI 1.3.

use crate::pp_addr;

/// `pp_session::flags`: only what comes in by the session counts against `idle_ns`.
pub const SESSION_IDLE_RX: u32 = 0x1;
/// `pp_session::flags`: nothing is fragmented; what is too long is dropped and told as [`NET_TOO_BIG`].
pub const SESSION_DF: u32 = 0x2;
/// `pp_session::flags`: fill `pp_dgram::tos`.
pub const SESSION_TOS: u32 = 0x4;

/// What a session shall be. Grows only at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_session {
    /// `sizeof(pp_session)` of the plugin.
    pub size: u32,
    /// `SESSION_*` bits.
    pub flags: u32,
    /// The upstream that its socket is connected to. Family 0: none, and anybody may send to the socket.
    pub to: pp_addr,
    /// Where its socket is bound; family 0 and port 0 leave that to the system.
    pub from: pp_addr,
    /// Comes back in `pp_dgram::user` and in events.
    pub user: u64,
    /// It ends after so long without a datagram, ns; 0: never.
    pub idle_ns: u64,
    /// Its client is the sender of `rx[.rx]` of this call, which must have come to the listener; [`crate::NO_RX`]: it has none.
    pub rx: u32,
    /// Receive buffer to ask for, bytes; 0: what the system gives.
    pub recv_buffer: u32,
    /// Send buffer to ask for, bytes; 0: what the system gives.
    pub send_buffer: u32,
    /// Zero when written, ignored when read.
    pub reserved: u32,
}

/// A session of the instance before, in `pp_create`. Grows only at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_session_info {
    /// `sizeof(pp_session_info)` of the host.
    pub size: u32,
    /// `SESSION_*` bits it was opened with.
    pub flags: u32,
    /// Its id.
    pub id: u64,
    /// Its word.
    pub user: u64,
    /// When it was opened, monotonic ns.
    pub opened_ns: u64,
    /// When the last datagram that counts against `idle_ns` was sent or came, monotonic ns.
    pub heard_ns: u64,
    /// Its client; family 0: none.
    pub client: pp_addr,
    /// Its upstream; family 0: none.
    pub upstream: pp_addr,
    /// The address of its socket.
    pub local: pp_addr,
}

/// `pp_event::kind`: the session has ended; once for each id. The reason is one of `END_*`.
pub const EV_CLOSED: u32 = 1;
/// `pp_event::kind`: the network says something, and the session goes on. The reason is one of `NET_*`.
pub const EV_ERROR: u32 = 2;

/// End of a session: the plugin closed it.
pub const END_ASKED: u32 = 1;
/// End of a session: no datagram for `idle_ns`.
pub const END_IDLE: u32 = 2;
/// End of a session that never was: the ports of its source address are used up.
pub const END_NO_PORT: u32 = 3;
/// End of a session that never was: no descriptor or no memory is left.
pub const END_NO_FILE: u32 = 4;
/// End of a session that never was: more than the configuration allows.
pub const END_LIMIT: u32 = 5;
/// End of a session that never was: the system, or the host, does not send there or from there.
pub const END_REFUSED_ADDR: u32 = 6;
/// End of a session: its socket is unusable.
pub const END_BROKEN: u32 = 7;
/// End of a session: the next instance did not keep it.
pub const END_RESTART: u32 = 8;

/// Error: nobody listens at the upstream.
pub const NET_REFUSED: u32 = 1;
/// Error: no way to the upstream.
pub const NET_UNREACHABLE: u32 = 2;
/// Error: a datagram was longer than the path takes, see [`pp_event::mtu`].
pub const NET_TOO_BIG: u32 = 3;
/// Error: a firewall forbids it.
pub const NET_FORBIDDEN: u32 = 4;
/// Error: something else, see [`pp_event::err`].
pub const NET_OTHER: u32 = 5;

/// What has happened to a session. Grows only at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_event {
    /// `sizeof(pp_event)` of the host.
    pub size: u32,
    /// [`EV_CLOSED`] or [`EV_ERROR`].
    pub kind: u32,
    /// The id of the session.
    pub session: u64,
    /// Its word.
    pub user: u64,
    /// `END_*` or `NET_*`.
    pub reason: u32,
    /// [`EV_ERROR`]: so many since the last event of this kind.
    pub count: u32,
    /// [`NET_TOO_BIG`]: bytes that the path takes, headers included; 0 is unknown.
    pub mtu: u32,
    /// The errno behind it, or 0.
    pub err: i32,
    /// The router or host that said so; family 0: this host.
    pub reporter: pp_addr,
    /// When it was opened, monotonic ns; 0: it never was.
    pub opened_ns: u64,
    /// Datagrams sent by it so far.
    pub up_datagrams: u64,
    /// Their payload bytes.
    pub up_bytes: u64,
    /// Datagrams received by it so far.
    pub down_datagrams: u64,
    /// Their payload bytes.
    pub down_bytes: u64,
    /// Datagrams that were to leave by it and did not.
    pub dropped: u64,
    /// Its client; family 0: none.
    pub client: pp_addr,
    /// Its upstream; family 0: none.
    pub upstream: pp_addr,
    /// The address of its socket; family 0: unknown.
    pub local: pp_addr,
}

/// `session_set`: the word of the session. In `create` it keeps a session of the instance before.
pub const SET_USER: u32 = 1;
/// `session_set`: `idle_ns`.
pub const SET_IDLE: u32 = 2;
/// `session_set`: its client is the sender of `rx[value]` of this call, which must have come to the listener.
pub const SET_CLIENT: u32 = 3;

const _: () = assert!(
    size_of::<pp_session>() == 88 && size_of::<pp_session_info>() == 112 && size_of::<pp_event>() == 184
);
