//! What a session is called.

use core::num::NonZeroU64;

/// The name of a session. It is never used again, so one that has ended costs a dropped datagram and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(NonZeroU64);

impl SessionId {
    pub(crate) fn new(raw: u64) -> Option<Self> {
        NonZeroU64::new(raw).map(Self)
    }

    /// As [`Self::new`]; of 0, which no host gives, the id that none has given so far.
    pub(crate) fn or_nobody(raw: u64) -> Self {
        Self(NonZeroU64::new(raw).unwrap_or(NonZeroU64::MAX))
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0.get()
    }
}
