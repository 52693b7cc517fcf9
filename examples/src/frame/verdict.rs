//! What a decoder said of a datagram, or why there was none to ask about.

use polyport_protocol::{DecodeError, Frame};

use crate::input::MAX_DATAGRAM;

/// The frame, or why the datagram is none.
pub type Verdict<'d> = Result<Frame<'d>, DecodeError>;

/// `ok`, or the malformation as SPEC.md section 6 names it.
#[must_use]
pub fn class(verdict: Verdict<'_>) -> &'static str {
    verdict.map_or_else(DecodeError::name, |_| "ok")
}

/// Why an input is no datagram at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDatagram {
    /// It is not hex; says where.
    NotHex(String),
    /// More octets than UDP can carry; how many, if the input was read to its end.
    TooLong(Option<usize>),
}

impl NoDatagram {
    /// The class, beside those of SPEC.md section 6.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NotHex(_) => "not_hex",
            Self::TooLong(_) => "too_long",
        }
    }

    /// Refuses what no datagram can be as long as.
    ///
    /// # Errors
    /// [`Self::TooLong`].
    pub const fn check(octets: &[u8]) -> Result<(), Self> {
        if octets.len() > MAX_DATAGRAM { Err(Self::TooLong(Some(octets.len()))) } else { Ok(()) }
    }
}

impl std::fmt::Display for NoDatagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let most = MAX_DATAGRAM;
        match self {
            Self::NotHex(reason) => f.write_str(reason),
            Self::TooLong(Some(octets)) => {
                write!(f, "{octets} octets are no datagram: UDP over IPv4 carries at most {most}")
            }
            Self::TooLong(None) => {
                write!(f, "it is too long for a datagram: UDP over IPv4 carries at most {most} octets")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_datagram_is_one_and_one_octet_more_is_none() {
        assert_eq!(NoDatagram::check(&vec![0; 65_507]), Ok(()));
        let refused = NoDatagram::check(&vec![0; 65_508]).unwrap_err();
        assert_eq!(refused.class(), "too_long");
        assert_eq!(refused.to_string(), "65508 octets are no datagram: UDP over IPv4 carries at most 65507");
    }
}
