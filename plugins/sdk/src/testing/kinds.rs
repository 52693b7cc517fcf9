//! What goes into the harness and what comes out.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport_abi as abi;
use polyport_abi::pp_dgram;

use crate::session_id::SessionId;

/// The address the listener of the harness is bound to.
pub const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 7);

/// A datagram for the plugin.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who sends it.
    pub peer: SocketAddr,
    /// Where it was sent to.
    pub local: SocketAddr,
    /// The bytes.
    pub payload: Vec<u8>,
    /// `RX_*` bits of [`crate::abi`].
    pub flags: u8,
    /// TOS or traffic class; told to a handler that asked for [`Facts::TOS`](crate::Facts::TOS).
    pub tos: u8,
    /// TTL or hop limit; told to a handler that asked for [`Facts::HOPS`](crate::Facts::HOPS).
    pub hop_limit: u8,
    /// When the kernel received it, nanoseconds of the harness's clock, 0 for now; told to a handler that asked for
    /// [`Facts::TIME`](crate::Facts::TIME).
    pub kernel_ns: u64,
    /// Interface; 0 is unknown.
    pub ifindex: u32,
}

impl Incoming {
    /// Sent to [`LOCAL`], nothing special about it.
    #[must_use]
    pub fn new(peer: SocketAddr, payload: &[u8]) -> Self {
        let flags = abi::RX_HAS_LOCAL;
        let payload = payload.to_vec();
        Self { peer, local: LOCAL, payload, flags, tos: 0, hop_limit: 64, kernel_ns: 0, ifindex: 1 }
    }

    /// Sent to `group`, a multicast address.
    #[must_use]
    pub fn multicast(peer: SocketAddr, group: SocketAddr, payload: &[u8]) -> Self {
        let datagram = Self::new(peer, payload);
        Self { local: group, flags: datagram.flags | abi::RX_MULTICAST, ..datagram }
    }

    /// Sent to `to`, a broadcast address.
    #[must_use]
    pub fn broadcast(peer: SocketAddr, to: SocketAddr, payload: &[u8]) -> Self {
        let datagram = Self::new(peer, payload);
        Self { local: to, flags: datagram.flags | abi::RX_BROADCAST, ..datagram }
    }
}

impl Incoming {
    /// The record of it, with its bytes at `data`, for a handler that is told the facts `told` at `now_ns`.
    pub(super) fn record(&self, data: *mut u8, now_ns: u64, told: u32) -> pp_dgram {
        let tells = |fact| told & fact != 0;
        let (kernel_time, kernel_ns) = if tells(abi::WANT_TIME | abi::WANT_LONE_TIME) {
            (abi::RX_KERNEL_TIME, if self.kernel_ns == 0 { now_ns } else { self.kernel_ns })
        } else {
            (0, now_ns)
        };
        let len = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        pp_dgram {
            data,
            len,
            cap: len,
            peer: polyport_abi::pp_addr::from(self.peer),
            local: polyport_abi::pp_addr::from(self.local),
            rx_ns: kernel_ns,
            ifindex: self.ifindex,
            tos: if tells(abi::WANT_TOS) { self.tos } else { 0 },
            flags: self.flags | kernel_time | if tells(abi::WANT_TOS) { abi::RX_HAS_TOS } else { 0 },
            hop_limit: if tells(abi::WANT_HOPS) { self.hop_limit } else { 0 },
            verdict: abi::VERDICT_NONE,
            session: 0,
            user: 0,
        }
    }
}

/// A datagram the plugin sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where to.
    pub to: SocketAddr,
    /// Where from.
    pub from: SocketAddr,
    /// When it left, nanoseconds of the harness's clock.
    pub at_ns: u64,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Index, within its batch, of the datagram it answers.
    pub rx: Option<usize>,
    /// The plugin said that the receiver has proved its address.
    pub proved: bool,
    /// The plugin wants it to leave whole or not at all.
    pub df: bool,
    /// The session by whose socket it left; none is the listener's.
    pub via: Option<SessionId>,
    /// TOS or traffic class; 0 is the socket's own.
    pub tos: u8,
    /// It answers the datagram of a ticket.
    pub by_ticket: bool,
}

/// How a call ended, as the daemon sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was queued leaves.
    Done,
    /// The call failed; what was queued leaves, the instance stays.
    Failed,
    /// The instance is broken, after a panic for one; what was queued is gone. The panic is in
    /// [`lines`](super::Harness::lines); [`restart`](super::Harness::restart) does what the daemon would do next.
    Fatal,
}

/// Why the plugin, or the configuration, was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The option at fault.
    pub option: Option<String>,
    /// The reason.
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.option {
            Some(option) => write!(f, "option {option}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// An address in a test: a [`SocketAddr`] or its text.
pub trait Address: Copy {
    /// The address.
    fn address(&self) -> SocketAddr;
}

impl Address for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

impl Address for &str {
    #[expect(clippy::panic, reason = "a wrong address is a mistake in the test")]
    fn address(&self) -> SocketAddr {
        self.parse().unwrap_or_else(|_| panic!("{self:?} is not address:port"))
    }
}
