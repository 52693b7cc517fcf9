//! What a decoder said of a datagram.

use polyport_protocol::{DecodeError, Frame};

/// The frame, or why the datagram is none.
pub type Verdict<'d> = Result<Frame<'d>, DecodeError>;

/// `ok`, or the malformation as SPEC.md section 6 names it.
#[must_use]
pub fn class(verdict: Verdict<'_>) -> &'static str {
    verdict.map_or_else(DecodeError::name, |_| "ok")
}
