//! What a handler wants to know of each datagram besides its bytes and its sender.

use polyport_abi::{WANT_HOPS, WANT_LOCAL, WANT_LONE_TIME, WANT_TIME, WANT_TOS};

/// Facts about datagrams that a socket tells when it is asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// TOS or traffic class.
    pub tos: bool,
    /// TTL or hop limit.
    pub hop_limit: bool,
    /// The address it was sent to, and the interface.
    pub local: bool,
    /// When the kernel received it; so none comes in a train.
    pub time: bool,
    /// When the kernel received it, if it came alone.
    pub lone_time: bool,
}

impl Facts {
    /// Nothing.
    pub const NONE: Self = Self { tos: false, hop_limit: false, local: false, time: false, lone_time: false };

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            tos: self.tos | other.tos,
            hop_limit: self.hop_limit | other.hop_limit,
            local: self.local | other.local,
            time: self.time | other.time,
            lone_time: self.lone_time | other.lone_time,
        }
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            tos: self.tos & other.tos,
            hop_limit: self.hop_limit & other.hop_limit,
            local: self.local & other.local,
            time: self.time & other.time,
            lone_time: self.lone_time & other.lone_time,
        }
    }

    /// Of the bits that a plugin gave (`PP_WANT_*`), those that there are.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self {
            tos: bits & WANT_TOS != 0,
            hop_limit: bits & WANT_HOPS != 0,
            local: bits & WANT_LOCAL != 0,
            time: bits & WANT_TIME != 0,
            lone_time: bits & WANT_LONE_TIME != 0,
        }
    }

    /// The bits that a plugin knows.
    pub(crate) fn bits(self) -> u32 {
        let facts = [
            (self.tos, WANT_TOS),
            (self.hop_limit, WANT_HOPS),
            (self.local, WANT_LOCAL),
            (self.time, WANT_TIME),
            (self.lone_time, WANT_LONE_TIME),
        ];
        facts.iter().filter(|(told, _)| *told).map(|(_, bit)| bit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_bits_and_other_bits_are_none() {
        for bits in 0..32 {
            assert_eq!(Facts::from_bits(bits | 0xE0).bits(), bits);
        }
        assert_eq!(Facts::from_bits(0), Facts::NONE);
    }
}
