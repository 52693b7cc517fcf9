//! Why a datagram was refused, and why a frame could not be written.

use core::fmt;

/// One variant for each class of SPEC.md section 6, in the order of its tests.
///
/// The class decides what a receiver does (drop, hand over, answer) and which counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DecodeError {
    /// [P-31] The kernel cut the datagram (`MSG_TRUNC`).
    Truncated,
    /// [P-32] Fewer octets than the fixed header has.
    Short,
    /// [P-33] The magic differs: some other protocol.
    NotOurs,
    /// [P-34] A version other than 0 and 1; a responder may answer with a VERSION frame.
    UnknownVersion,
    /// [P-35] The header length is below 11 units or reaches beyond the datagram.
    BadHlen,
    /// [P-36] The payload reaches beyond the datagram.
    BadLength,
    /// [P-37] Octets behind the payload although flag P is clear.
    Trailing,
    /// [P-38] The options do not tile the option area, have a wrong length, or AUTH is misplaced.
    BadOption,
    /// [P-39] The CRC-32C is wrong.
    BadChecksum,
    /// [P-39] The tag is wrong or made with an unknown key.
    BadAuth,
    /// [P-39] A tag is required and absent.
    NoAuth,
    /// [P-39] A tag is present and no key is configured.
    UnexpectedAuth,
    /// [P-40] A critical option that this receiver does not know.
    UnknownCritical,
    /// [P-41] A kind that this receiver does not know.
    UnknownKind,
    /// [P-42] A reply at a responder, a request at a client, or a kind that contradicts flag R.
    WrongDirection,
    /// [P-43] A sequence number seen before on this authenticated stream.
    Replay,
    /// [P-43] A sequence number left of the replay window.
    TooOld,
}

impl DecodeError {
    /// Every class, in the order of the tests; `ALL[e.index()] == e`.
    pub const ALL: [Self; 17] = [
        Self::Truncated,
        Self::Short,
        Self::NotOurs,
        Self::UnknownVersion,
        Self::BadHlen,
        Self::BadLength,
        Self::Trailing,
        Self::BadOption,
        Self::BadChecksum,
        Self::BadAuth,
        Self::NoAuth,
        Self::UnexpectedAuth,
        Self::UnknownCritical,
        Self::UnknownKind,
        Self::WrongDirection,
        Self::Replay,
        Self::TooOld,
    ];

    /// The name of the class as SPEC.md, the vectors and the counters spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Short => "short",
            Self::NotOurs => "not_ours",
            Self::UnknownVersion => "unknown_version",
            Self::BadHlen => "bad_hlen",
            Self::BadLength => "bad_length",
            Self::Trailing => "trailing",
            Self::BadOption => "bad_option",
            Self::BadChecksum => "bad_checksum",
            Self::BadAuth => "bad_auth",
            Self::NoAuth => "no_auth",
            Self::UnexpectedAuth => "unexpected_auth",
            Self::UnknownCritical => "unknown_critical",
            Self::UnknownKind => "unknown_kind",
            Self::WrongDirection => "wrong_direction",
            Self::Replay => "replay",
            Self::TooOld => "too_old",
        }
    }

    /// Place in [`DecodeError::ALL`], for an array of counters.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the discriminant of an enum without fields, 0..17")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for DecodeError {}

/// Why the encoder refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The frame does not fit into the caller's slice.
    NoSpace {
        /// Octets the frame has at least.
        needed: usize,
        /// Octets the slice has.
        available: usize,
    },
    /// The options would make the header longer than 1020 octets ([P-5]).
    HeaderTooLong,
    /// An option value longer than 255 octets, or an AUTH given as an ordinary option.
    BadOption,
    /// A payload longer than 65 535 octets.
    PayloadTooLong,
    /// Parts come in the order options, AUTH, payload, padding; each of the last three once.
    Order,
    /// A kind or option number that SPEC.md does not leave to plugins.
    Reserved,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace { needed, available } => {
                write!(f, "the frame needs {needed} octets and the buffer has {available}")
            }
            Self::HeaderTooLong => f.write_str("the options exceed the 976 octets a header can carry"),
            Self::BadOption => {
                f.write_str("an option value exceeds 255 octets, or AUTH was given as an option")
            }
            Self::PayloadTooLong => f.write_str("the payload exceeds 65535 octets"),
            Self::Order => f.write_str("frame parts must come in the order options, AUTH, payload, padding"),
            Self::Reserved => f.write_str("the number is not in the range left to plugins"),
        }
    }
}

impl core::error::Error for EncodeError {}
