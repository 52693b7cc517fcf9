//! A decoded frame, borrowed from its datagram.

use super::header::Header;
use crate::option::Options;

/// A frame that passed every check of SPEC.md section 6 that needs no state.
///
/// Only [`Decoder`](super::Decoder) makes one. The replay window is the caller's to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'d> {
    pub(super) header: Header,
    pub(super) options: Options<'d>,
    pub(super) payload: &'d [u8],
    pub(super) padding: usize,
}

impl<'d> Frame<'d> {
    /// The fixed header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> Options<'d> {
        self.options
    }

    /// The payload, without padding.
    #[must_use]
    pub const fn payload(&self) -> &'d [u8] {
        self.payload
    }

    /// Octets of padding behind the payload.
    #[must_use]
    pub const fn padding(&self) -> usize {
        self.padding
    }

    /// Octets of the header with its options, 44 to 1020.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.options.wire_len().saturating_add(super::HEADER_LEN)
    }

    /// Octets of the whole datagram.
    #[must_use]
    pub const fn datagram_len(&self) -> usize {
        self.header_len().saturating_add(self.payload.len()).saturating_add(self.padding)
    }
}
