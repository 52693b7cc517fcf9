//! Flag octet ([P-14]) and code octet ([P-17]).

use core::fmt;
use core::ops::BitOr;

/// The flag octet of a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// R: a reply. Never answered.
    pub const REPLY: Self = Self(0x80);
    /// P: octets behind the payload are padding.
    pub const PADDED: Self = Self(0x40);
    /// G: sent to a multicast or broadcast address.
    pub const GROUP: Self = Self(0x20);
    /// W: warm-up, counted on neither side.
    pub const WARM_UP: Self = Self(0x10);
    /// S: the sender asks for RSTAT.
    pub const WANT_STATS: Self = Self(0x08);
    /// T: the sender asks for TIMES.
    pub const WANT_TIMES: Self = Self(0x04);
    /// I: idempotent, the responder may execute the request again.
    pub const IDEMPOTENT: Self = Self(0x02);
    /// X: grease, set at random and ignored.
    pub const GREASE: Self = Self(0x01);

    /// Flags of an octet; every octet is valid.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        Self(octet)
    }

    /// The octet on the wire.
    #[must_use]
    pub const fn to_octet(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags that both have.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// These flags less those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags(")?;
        for (bit, letter) in (0_u32..8).rev().zip("RPGWSTIX".chars()) {
            if self.0.checked_shr(bit).unwrap_or(0) & 1 == 1 {
                write!(f, "{letter}")?;
            }
        }
        f.write_str(")")
    }
}

/// The code octet of a reply; requests send [`Code::OK`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Code(
    /// The octet on the wire; 128 to 255 belong to the plugin.
    pub u8,
);

impl Code {
    /// Success.
    pub const OK: Self = Self(0);
    /// The responder has no room for the request now; `RETRY_AFTER` may say when.
    pub const BUSY: Self = Self(16);
    /// The reply is longer than an unvalidated peer may get, and the request has no room for a COOKIE.
    pub const REPLY_TOO_LARGE: Self = Self(17);
    /// The reply is longer than an unvalidated peer may get, and this ERROR carries a COOKIE to repeat the request
    /// with.
    pub const COOKIE_REQUIRED: Self = Self(18);
    /// The COOKIE of the request is not valid.
    pub const BAD_COOKIE: Self = Self(19);
    /// The request id was used before with another content.
    pub const ID_CONFLICT: Self = Self(20);
    /// The request has a critical option that the responder does not know.
    pub const UNKNOWN_CRITICAL_OPTION: Self = Self(21);
    /// The handler could not execute the request.
    pub const HANDLER_FAILED: Self = Self(22);
    /// The responder is about to stop.
    pub const SHUTTING_DOWN: Self = Self(23);

    /// The name SPEC.md gives the code; `plugin` from 128 on, `unassigned` for the rest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "ok",
            16 => "busy",
            17 => "reply_too_large_for_unvalidated",
            18 => "cookie_required",
            19 => "bad_cookie",
            20 => "id_conflict",
            21 => "unknown_critical_option",
            22 => "handler_failed",
            23 => "shutting_down",
            128..=255 => "plugin",
            _ => "unassigned",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_their_letters() {
        let flags = Flags::REPLY | Flags::WANT_STATS | Flags::WANT_TIMES;
        assert_eq!(format!("{flags:?}"), "Flags(RST)");
        assert_eq!(flags.to_octet(), 0x8C);
        assert!(!flags.contains(Flags::PADDED | Flags::REPLY));
    }
}
