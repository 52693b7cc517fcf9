//! Kinds of frame ([P-15], [P-16]).

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Answer to an unknown version, itself of version 0.
    Version,
    /// Asks for a RESPONSE.
    Request,
    /// Answers a REQUEST.
    Response,
    /// Says why there is no answer; the code says which reason.
    Error,
    /// One way, never answered.
    Event,
    /// Asks for a `PROBE_ACK`; made to be padded.
    Probe,
    /// Answers a PROBE.
    ProbeAck,
    /// 0x80 to 0xBF, defined by the plugin. The numbers 0x?A are never valid.
    Private(u8),
}

impl Kind {
    /// The octet on the wire.
    #[must_use]
    pub const fn to_octet(self) -> u8 {
        match self {
            Self::Version => 0,
            Self::Request => 1,
            Self::Response => 2,
            Self::Error => 3,
            Self::Event => 4,
            Self::Probe => 5,
            Self::ProbeAck => 6,
            Self::Private(octet) => octet,
        }
    }

    /// The kind of a version-1 frame, or `None` for an unassigned number, among them 0 (VERSION belongs
    /// to version 0, [P-96]) and all greased ones.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::Error),
            4 => Some(Self::Event),
            5 => Some(Self::Probe),
            6 => Some(Self::ProbeAck),
            0x80..=0xBF if !is_grease(octet) => Some(Self::Private(octet)),
            _ => None,
        }
    }

    /// Whether flag R goes with this kind; `None` where the plugin decides.
    #[must_use]
    pub const fn is_reply(self) -> Option<bool> {
        match self {
            Self::Version | Self::Response | Self::Error | Self::ProbeAck => Some(true),
            Self::Request | Self::Event | Self::Probe => Some(false),
            Self::Private(_) => None,
        }
    }

    /// The kind that answers this one without an error, if any ([P-51]).
    #[must_use]
    pub const fn answer(self) -> Option<Self> {
        match self {
            Self::Request => Some(Self::Response),
            Self::Probe => Some(Self::ProbeAck),
            Self::Private(octet) => Some(Self::Private(octet)),
            Self::Version | Self::Response | Self::Error | Self::Event | Self::ProbeAck => None,
        }
    }
}

/// Whether a number is one of 0x0A, 0x1A, ... 0xFA, which are never assigned ([P-16], [P-19], [P-30]).
#[must_use]
pub const fn is_grease(number: u8) -> bool {
    number & 0x0F == 0x0A
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assigned_octet_survives_the_round_trip() {
        let known: Vec<u8> = (0..=255).filter(|o| Kind::from_octet(*o).is_some()).collect();
        assert_eq!(known.len(), 6 + 60, "six protocol kinds and 64 private ones less four greased");
        for octet in known {
            assert_eq!(Kind::from_octet(octet).unwrap().to_octet(), octet);
            assert!(!is_grease(octet), "{octet:#x}");
        }
    }
}
