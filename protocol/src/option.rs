//! Options: type, length, value, zero octets up to a multiple of four ([P-18] to [P-21]).

use crate::cookie::Cookie;
use crate::frame::{DecodeError, is_grease};

const ROOM: u8 = 0x01;
const COOKIE: u8 = 0x02;
const TIMES: u8 = 0x03;
const RSTAT: u8 = 0x04;
const RETRY_AFTER: u8 = 0x05;
const PROBE_INFO: u8 = 0x06;
const VERSIONS: u8 = 0x07;
pub(crate) const AUTH: u8 = 0x81;

/// Set in the number of an option that a receiver must understand or refuse ([P-20]).
const CRITICAL: u8 = 0x80;

/// One option of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameOption<'d> {
    /// Filler of 0 to 255 octets, content ignored: makes a request as long as the reply it wants.
    Room(&'d [u8]),
    /// Proof of address ([P-57]).
    Cookie(Cookie),
    /// When the responder received the request and sent the reply, in nanoseconds of its own clock.
    Times {
        /// Receipt of the request.
        rx_ns: u64,
        /// Sending of the reply.
        tx_ns: u64,
    },
    /// What the responder has seen of the stream ([P-70]).
    Rstat {
        /// The responder's own reply counter for the stream, from 0.
        rseq: u64,
        /// Requests seen, duplicates included.
        rcount: u32,
        /// Bit i: request seq - i was seen.
        window: u64,
    },
    /// Do not try again before this many milliseconds have passed.
    RetryAfter {
        /// Milliseconds.
        ms: u32,
    },
    /// What arrived of a PROBE.
    ProbeInfo {
        /// Octets of UDP payload received.
        len: u16,
        /// Largest UDP payload the responder can take in whole; 0 if it does not know ([P-99]).
        limit: u16,
    },
    /// The versions the sender speaks, one octet each.
    Versions(&'d [u8]),
    /// Key and tag ([P-23]); only decoded, the encoder writes it itself.
    Auth {
        /// Which of the receiver's keys.
        key_id: u32,
        /// 8 or 16 octets.
        tag: &'d [u8],
    },
    /// Private, greased or unassigned.
    Other {
        /// The number on the wire.
        number: u8,
        /// Up to 255 octets.
        value: &'d [u8],
    },
}

impl<'d> FrameOption<'d> {
    /// The number on the wire.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Room(_) => ROOM,
            Self::Cookie(_) => COOKIE,
            Self::Times { .. } => TIMES,
            Self::Rstat { .. } => RSTAT,
            Self::RetryAfter { .. } => RETRY_AFTER,
            Self::ProbeInfo { .. } => PROBE_INFO,
            Self::Versions(_) => VERSIONS,
            Self::Auth { .. } => AUTH,
            Self::Other { number, .. } => *number,
        }
    }

    /// Octets of the option on the wire, padding included.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        let value = match self {
            Self::Room(value) | Self::Versions(value) | Self::Other { value, .. } => value.len(),
            Self::Cookie(_) | Self::Times { .. } => 16,
            Self::Rstat { .. } => 20,
            Self::RetryAfter { .. } | Self::ProbeInfo { .. } => 4,
            Self::Auth { tag, .. } => tag.len().saturating_add(4),
        };
        wire_len(value)
    }

    /// Writes the option and its zero padding to the start of `out`; `None` if it does not fit or its value
    /// is longer than 255 octets.
    pub(crate) fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut scratch = [0; 20];
        let value: &[u8] = match self {
            Self::Room(value) | Self::Versions(value) | Self::Other { value, .. } => value,
            Self::Cookie(cookie) => &cookie.0,
            Self::Times { rx_ns, tx_ns } => {
                join(&mut scratch, &[&rx_ns.to_be_bytes(), &tx_ns.to_be_bytes()])?
            }
            Self::Rstat { rseq, rcount, window } => {
                join(&mut scratch, &[&rseq.to_be_bytes(), &rcount.to_be_bytes(), &window.to_be_bytes()])?
            }
            Self::RetryAfter { ms } => join(&mut scratch, &[&ms.to_be_bytes()])?,
            Self::ProbeInfo { len, limit } => {
                join(&mut scratch, &[&len.to_be_bytes(), &limit.to_be_bytes()])?
            }
            Self::Auth { key_id, tag } => join(&mut scratch, &[&key_id.to_be_bytes(), tag])?,
        };
        let vlen = u8::try_from(value.len()).ok()?;
        let out = out.get_mut(..wire_len(value.len()))?;
        let total = out.len();
        out.fill(0);
        let ([number_at, vlen_at], rest) = out.split_first_chunk_mut::<2>()?;
        (*number_at, *vlen_at) = (self.number(), vlen);
        rest.get_mut(..value.len())?.copy_from_slice(value);
        Some(total)
    }

    fn parse(number: u8, value: &'d [u8]) -> Self {
        Self::parse_fixed(number, value).unwrap_or(match number {
            ROOM => Self::Room(value),
            VERSIONS => Self::Versions(value),
            _ => Self::Other { number, value },
        })
    }

    /// The options of fixed length; `None` if the number is another or the length is wrong.
    fn parse_fixed(number: u8, value: &'d [u8]) -> Option<Self> {
        let (option, rest) = match number {
            COOKIE => {
                let (cookie, rest) = value.split_first_chunk()?;
                (Self::Cookie(Cookie(*cookie)), rest)
            }
            TIMES => {
                let (rx_ns, rest) = take_u64(value)?;
                let (tx_ns, rest) = take_u64(rest)?;
                (Self::Times { rx_ns, tx_ns }, rest)
            }
            RSTAT => {
                let (rseq, rest) = take_u64(value)?;
                let (rcount, rest) = rest.split_first_chunk()?;
                let (window, rest) = take_u64(rest)?;
                (Self::Rstat { rseq, rcount: u32::from_be_bytes(*rcount), window }, rest)
            }
            RETRY_AFTER => {
                let (ms, rest) = value.split_first_chunk()?;
                (Self::RetryAfter { ms: u32::from_be_bytes(*ms) }, rest)
            }
            PROBE_INFO => {
                let (len, rest) = value.split_first_chunk()?;
                let (limit, rest) = rest.split_first_chunk()?;
                (Self::ProbeInfo { len: u16::from_be_bytes(*len), limit: u16::from_be_bytes(*limit) }, rest)
            }
            AUTH => {
                let (key_id, tag) = value.split_first_chunk()?;
                let option = Self::Auth { key_id: u32::from_be_bytes(*key_id), tag };
                return matches!(tag.len(), 8 | 16).then_some(option);
            }
            _ => return None,
        };
        rest.is_empty().then_some(option)
    }
}

/// The options of a decoded frame, in the order of the wire.
///
/// Of an option that occurs twice the first one counts ([P-95]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'d> {
    area: &'d [u8],
}

impl<'d> Options<'d> {
    /// The options one after the other.
    #[must_use]
    pub const fn iter(&self) -> OptionsIter<'d> {
        OptionsIter { rest: self.area }
    }

    /// Octets of the option area.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        self.area.len()
    }

    /// The first COOKIE.
    #[must_use]
    pub fn cookie(&self) -> Option<Cookie> {
        self.iter().find_map(|o| if let FrameOption::Cookie(cookie) = o { Some(cookie) } else { None })
    }

    /// The first `RETRY_AFTER`, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u32> {
        self.iter().find_map(|o| if let FrameOption::RetryAfter { ms } = o { Some(ms) } else { None })
    }

    /// The first VERSIONS.
    #[must_use]
    pub fn versions(&self) -> Option<&'d [u8]> {
        self.iter().find_map(|o| if let FrameOption::Versions(list) = o { Some(list) } else { None })
    }

    /// The key id of AUTH: the frame was made with this key.
    #[must_use]
    pub fn key_id(&self) -> Option<u32> {
        self.iter().find_map(|o| if let FrameOption::Auth { key_id, .. } = o { Some(key_id) } else { None })
    }

    /// Walks the area once. `critical` are the private critical numbers the receiver understands.
    #[inline]
    pub(crate) fn survey(area: &'d [u8], critical: &[u8]) -> Result<Survey<'d>, DecodeError> {
        let mut survey = Survey { options: Self { area }, auth: None, unknown_critical: false };
        let mut rest = area;
        while !rest.is_empty() {
            let (number, value, behind) = split(rest).ok_or(DecodeError::BadOption)?;
            rest = behind;
            match FrameOption::parse_fixed(number, value) {
                Some(FrameOption::Auth { key_id, tag }) if rest.is_empty() => {
                    survey.auth = Some((key_id, tag));
                }
                Some(FrameOption::Auth { .. }) => return Err(DecodeError::BadOption),
                None if has_fixed_length(number) => return Err(DecodeError::BadOption),
                None if number & CRITICAL != 0 && (is_grease(number) || !critical.contains(&number)) => {
                    survey.unknown_critical = true;
                }
                Some(_) | None => {}
            }
        }
        Ok(survey)
    }
}

impl<'d> IntoIterator for Options<'d> {
    type Item = FrameOption<'d>;
    type IntoIter = OptionsIter<'d>;

    fn into_iter(self) -> OptionsIter<'d> {
        self.iter()
    }
}

impl<'d> IntoIterator for &Options<'d> {
    type Item = FrameOption<'d>;
    type IntoIter = OptionsIter<'d>;

    fn into_iter(self) -> OptionsIter<'d> {
        self.iter()
    }
}

/// Iterator over [`Options`].
#[derive(Clone, Debug)]
pub struct OptionsIter<'d> {
    rest: &'d [u8],
}

impl<'d> Iterator for OptionsIter<'d> {
    type Item = FrameOption<'d>;

    fn next(&mut self) -> Option<FrameOption<'d>> {
        let (number, value, rest) = split(self.rest)?;
        self.rest = rest;
        Some(FrameOption::parse(number, value))
    }
}

/// What one walk over the options finds out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survey<'d> {
    pub(crate) options: Options<'d>,
    /// Key id and tag.
    pub(crate) auth: Option<(u32, &'d [u8])>,
    pub(crate) unknown_critical: bool,
}

/// Whether the encoder lets a caller use this number for [`FrameOption::Other`]: the private ranges, and
/// greased elective numbers.
pub(crate) const fn is_free(number: u8) -> bool {
    match number {
        0x40..=0x7F => true,
        0xC0..=0xFF => !is_grease(number),
        _ => is_grease(number) && number & CRITICAL == 0,
    }
}

/// Number, value and what follows the padding. The area is a multiple of four octets and so is every option,
/// hence an option whose value fits has its padding too.
#[inline]
fn split(area: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[number, vlen], tail) = area.split_first_chunk::<2>()?;
    let vlen = usize::from(vlen);
    Some((number, tail.get(..vlen)?, area.get(wire_len(vlen)..)?))
}

const fn has_fixed_length(number: u8) -> bool {
    matches!(number, COOKIE | TIMES | RSTAT | RETRY_AFTER | PROBE_INFO | AUTH)
}

const fn wire_len(value: usize) -> usize {
    match value.saturating_add(2).checked_next_multiple_of(4) {
        Some(len) => len,
        None => usize::MAX,
    }
}

#[inline]
fn take_u64(value: &[u8]) -> Option<(u64, &[u8])> {
    let (octets, rest) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*octets), rest))
}

fn join<'s>(scratch: &'s mut [u8; 20], parts: &[&[u8]]) -> Option<&'s [u8]> {
    let mut at = 0_usize;
    for part in parts {
        let end = at.checked_add(part.len())?;
        scratch.get_mut(at..end)?.copy_from_slice(part);
        at = end;
    }
    scratch.get(..at)
}
