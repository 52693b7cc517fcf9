//! From a datagram to a [`Frame`]: the checks of SPEC.md section 6, in its order.

use super::error::DecodeError;
use super::field::{
    CHECKSUM_AT, FLAGS_AT, Fixed, HEADER_LEN, HLEN_AT, KIND_AT, MAGIC, MAGIC_AT, PAYLOAD_LEN_AT, VERSION,
    VERSION_AT,
};
use super::flags::Flags;
use super::header::Header;
use super::kind::Kind;
use super::view::Frame;
use crate::auth::{Integrity, Key};
use crate::checksum::crc32c;
use crate::option::Options;

/// Which direction a receiver takes frames from ([P-42]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Takes frames with R clear.
    Responder,
    /// Takes frames with R set.
    Client,
    /// Takes both: tools that show frames, and the load tester on a raw echo port ([P-44]).
    #[default]
    Any,
}

/// Checks and splits datagrams. Cheap to copy; holds no state of a peer.
///
/// ```
/// use polyport_protocol::{DecodeError, Decoder, Role};
///
/// let decoder = Decoder::new(Role::Responder);
/// assert_eq!(decoder.decode(b"ping").unwrap_err(), DecodeError::Short);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder<'a> {
    role: Role,
    integrity: Integrity<'a>,
    private_kinds: &'a [u8],
    private_critical: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A decoder that checks the CRC and knows the numbers of SPEC.md only.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { role, integrity: Integrity::Checksum, private_kinds: &[], private_critical: &[] }
    }

    /// Sets how frames are checked.
    #[must_use]
    pub const fn with_integrity(self, integrity: Integrity<'a>) -> Self {
        Self { integrity, ..self }
    }

    /// Names the private kinds (0x80 to 0xBF) that are known here; the others are `unknown_kind` ([P-107]).
    #[must_use]
    pub const fn with_private_kinds(self, kinds: &'a [u8]) -> Self {
        Self { private_kinds: kinds, ..self }
    }

    /// Names the private critical options (0xC0 to 0xFF) that are known here; the others are
    /// `unknown_critical` ([P-107]).
    #[must_use]
    pub const fn with_private_critical(self, numbers: &'a [u8]) -> Self {
        Self { private_critical: numbers, ..self }
    }

    /// Decodes a datagram, given what the kernel said about its length: `truncated` is `MSG_TRUNC`.
    ///
    /// # Errors
    /// The class of the first test that fails.
    #[inline]
    pub fn decode_received<'d>(&self, datagram: &'d [u8], truncated: bool) -> Result<Frame<'d>, DecodeError> {
        if truncated { Err(DecodeError::Truncated) } else { self.decode(datagram) }
    }

    /// Decodes a datagram that was received whole.
    ///
    /// # Errors
    /// The class of the first test that fails.
    #[inline]
    pub fn decode<'d>(&self, datagram: &'d [u8]) -> Result<Frame<'d>, DecodeError> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Short)?;
        if MAGIC_AT.read(fixed) != MAGIC {
            return Err(DecodeError::NotOurs);
        }
        let version = VERSION_AT.octet(fixed);
        if version > VERSION {
            return Err(DecodeError::UnknownVersion);
        }
        let flags = Flags::from_octet(FLAGS_AT.octet(fixed));
        let [area, payload, padding] = split(fixed, rest, flags)?;
        let survey = Options::survey(area, self.private_critical)?;
        match survey.auth {
            None => self.check_checksum(version, fixed, rest)?,
            Some((key_id, tag)) => self.check_tag(version, datagram, area.len(), key_id, tag)?,
        }
        if survey.unknown_critical {
            return Err(DecodeError::UnknownCritical);
        }
        let kind = self.kind(version, KIND_AT.octet(fixed)).ok_or(DecodeError::UnknownKind)?;
        self.check_direction(kind, flags)?;
        let header = Header::parse(kind, fixed);
        Ok(Frame { header, options: survey.options, payload, padding: padding.len() })
    }

    #[inline]
    fn check_checksum(&self, version: u8, fixed: &Fixed, rest: &[u8]) -> Result<(), DecodeError> {
        // [P-97]: who cannot speak our version cannot know our keys either.
        if matches!(self.integrity, Integrity::Keys(_)) && version == VERSION {
            return Err(DecodeError::NoAuth);
        }
        let found = u32::from_be_bytes(CHECKSUM_AT.read(fixed));
        if found == crc32c(fixed, rest) { Ok(()) } else { Err(DecodeError::BadChecksum) }
    }

    fn check_tag(
        &self,
        version: u8,
        datagram: &[u8],
        area: usize,
        key_id: u32,
        tag: &[u8],
    ) -> Result<(), DecodeError> {
        let keys = match self.integrity {
            Integrity::Keys(keys) if version == VERSION => keys,
            Integrity::Keys(_) | Integrity::Checksum => return Err(DecodeError::UnexpectedAuth),
        };
        let key = keys.iter().find(|key| key.id() == key_id).ok_or(DecodeError::BadAuth)?;
        let (before, after) = around_tag(datagram, area, tag.len()).ok_or(DecodeError::BadAuth)?;
        if tag_matches(key, before, after, tag) { Ok(()) } else { Err(DecodeError::BadAuth) }
    }

    #[inline]
    fn kind(&self, version: u8, octet: u8) -> Option<Kind> {
        if version == 0 {
            return (octet == Kind::Version.to_octet()).then_some(Kind::Version);
        }
        let kind = Kind::from_octet(octet)?;
        let known = !matches!(kind, Kind::Private(_)) || self.private_kinds.contains(&octet);
        known.then_some(kind)
    }

    #[inline]
    fn check_direction(&self, kind: Kind, flags: Flags) -> Result<(), DecodeError> {
        let reply = flags.contains(Flags::REPLY);
        let wanted = match self.role {
            Role::Responder => !reply,
            Role::Client => reply,
            Role::Any => true,
        };
        let consistent = kind.is_reply().is_none_or(|of_kind| of_kind == reply);
        if wanted && consistent { Ok(()) } else { Err(DecodeError::WrongDirection) }
    }
}

/// Option area, payload and padding: [P-35], [P-36], [P-37].
#[inline]
fn split<'d>(fixed: &Fixed, rest: &'d [u8], flags: Flags) -> Result<[&'d [u8]; 3], DecodeError> {
    let header_len = usize::from(HLEN_AT.octet(fixed)).saturating_mul(4);
    let area = header_len.checked_sub(HEADER_LEN).ok_or(DecodeError::BadHlen)?;
    let (area, body) = rest.split_at_checked(area).ok_or(DecodeError::BadHlen)?;
    let payload_len = usize::from(u16::from_be_bytes(PAYLOAD_LEN_AT.read(fixed)));
    let (payload, padding) = body.split_at_checked(payload_len).ok_or(DecodeError::BadLength)?;
    if padding.is_empty() || flags.contains(Flags::PADDED) {
        Ok([area, payload, padding])
    } else {
        Err(DecodeError::Trailing)
    }
}

/// What lies before and behind the tag. AUTH is the last option and its pad octets are two for either length
/// of tag, so the tag ends two octets before the option area does.
fn around_tag(datagram: &[u8], area: usize, tag: usize) -> Option<(&[u8], &[u8])> {
    let end = area.checked_add(HEADER_LEN)?.checked_sub(super::AUTH_PAD)?;
    let (head, after) = datagram.split_at_checked(end)?;
    Some((head.get(..end.checked_sub(tag)?)?, after))
}

/// A tag of the other algorithm's length never matches.
fn tag_matches(key: &Key, before: &[u8], after: &[u8], tag: &[u8]) -> bool {
    let zeros = [0; 16];
    let blank = zeros.get(..tag.len()).unwrap_or(&zeros);
    key.tag(&[before, blank, after]).matches(tag)
}
