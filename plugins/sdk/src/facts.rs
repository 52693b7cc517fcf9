//! What a handler may want to know of each datagram besides its bytes and its sender.

use core::ops::BitOr;

use polyport_abi as abi;

/// Facts about datagrams, for [`Setup::want`](crate::Setup::want):
///
/// ```
/// # use polyport_plugin::Facts;
/// let asked = Facts::TOS | Facts::TIME;
/// assert!(asked.contains(Facts::TIME) && !asked.contains(Facts::HOPS));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts(u32);

impl Facts {
    /// [`Datagram::tos`](crate::Datagram::tos) and [`ecn`](crate::Datagram::ecn).
    pub const TOS: Self = Self(abi::WANT_TOS);
    /// [`Datagram::hop_limit`](crate::Datagram::hop_limit).
    pub const HOPS: Self = Self(abi::WANT_HOPS);
    /// [`Datagram::has_local`](crate::Datagram::has_local) and [`ifindex`](crate::Datagram::ifindex) on every listener, also
    /// on one that is bound to a single address.
    pub const LOCAL: Self = Self(abi::WANT_LOCAL);
    /// [`Datagram::rx_ns`](crate::Datagram::rx_ns) is when the kernel received it, not when this turn began.
    pub const TIME: Self = Self(abi::WANT_TIME);
    /// As [`Facts::TIME`], for datagrams that came alone. Those of one peer that came as a train stay together, which keeps bulk
    /// cheap, and are told the time of the host.
    pub const LONE_TIME: Self = Self(abi::WANT_LONE_TIME);

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl BitOr for Facts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
