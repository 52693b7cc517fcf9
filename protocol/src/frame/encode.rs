//! From parts to a datagram, written into the caller's slice.

use super::error::EncodeError;
use super::field::{HEADER_LEN, MAX_HEADER_LEN};
use super::flags::Flags;
use super::header::Header;
use super::kind::Kind;
use crate::auth::Key;
use crate::checksum::crc32c;
use crate::option::{FrameOption, is_free};

/// Writes one frame, part by part: options, AUTH, payload, padding.
///
/// The length of the slice is the limit of the frame; a responder passes a slice cut to what the peer may get
/// ([P-55]). The first mistake is kept and reported by [`Encoder::finish`].
///
/// ```
/// use polyport_protocol::{Encoder, Header, Kind};
///
/// let mut datagram = [0; 64];
/// let header = Header::new(Kind::Request, 0x0123_4567_89ab_cdef, 0xcafe_f00d, 7, 123_456_789);
/// let len = Encoder::new(&mut datagram, &header).payload(b"ping").finish()?;
/// assert_eq!(len, 48);
/// # Ok::<(), polyport_protocol::EncodeError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is complete before finish()"]
pub struct Encoder<'b, 'k> {
    buffer: &'b mut [u8],
    header: Header,
    /// Octets written so far.
    at: usize,
    header_len: usize,
    payload_len: u16,
    stage: Stage,
    key: Option<&'k Key>,
    error: Option<EncodeError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Options,
    Sealed,
    Body,
    Padding,
}

impl<'b, 'k> Encoder<'b, 'k> {
    /// Starts a frame at the front of `buffer`.
    pub fn new(buffer: &'b mut [u8], header: &Header) -> Self {
        let mut header = *header;
        header.flags = header.flags.without(Flags::PADDED);
        let mut encoder = Self {
            buffer,
            header,
            at: HEADER_LEN,
            header_len: HEADER_LEN,
            payload_len: 0,
            stage: Stage::Options,
            key: None,
            error: None,
        };
        if encoder.buffer.len() < HEADER_LEN {
            encoder.fail(EncodeError::NoSpace { needed: HEADER_LEN, available: encoder.buffer.len() });
        }
        if let Kind::Private(octet) = header.kind
            && Kind::from_octet(octet) != Some(header.kind)
        {
            encoder.fail(EncodeError::Reserved);
        }
        encoder
    }

    /// Adds an option.
    pub fn option(mut self, option: &FrameOption<'_>) -> Self {
        if let Err(error) = self.try_option(option) {
            self.fail(error);
        }
        self
    }

    /// Adds an option if the slice has room for it and for `reserve` octets behind it, else leaves it out
    /// ([P-53]). `reserve` is what is still to come: other options, AUTH, payload.
    pub fn option_if_fits(self, option: &FrameOption<'_>, reserve: usize) -> Self {
        let needed = self.at.saturating_add(option.wire_len()).saturating_add(reserve);
        let header_len = self.at.saturating_add(option.wire_len());
        if needed <= self.buffer.len() && header_len <= MAX_HEADER_LEN { self.option(option) } else { self }
    }

    /// Seals the frame with a tag instead of the CRC. After this no option can follow.
    pub fn auth(mut self, key: &'k Key) -> Self {
        let blank = [0; 16];
        let tag = blank.get(..key.tag_len()).unwrap_or(&blank);
        if self.header.kind == Kind::Version || self.stage != Stage::Options {
            self.fail(EncodeError::Order);
        } else if let Err(error) = self.append(&FrameOption::Auth { key_id: key.id(), tag }) {
            self.fail(error);
        } else {
            self.key = Some(key);
            self.stage = Stage::Sealed;
        }
        self
    }

    /// Seals with a tag if there is a key, else leaves the CRC in place.
    pub fn auth_if(self, key: Option<&'k Key>) -> Self {
        match key {
            Some(key) => self.auth(key),
            None => self,
        }
    }

    /// Copies the payload in.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        if let Err(error) = self.try_payload(payload) {
            self.fail(error);
        }
        self
    }

    /// Pads the frame with zeros to `length` octets and sets flag P; does nothing if it is that long already.
    pub fn pad_to(mut self, length: usize) -> Self {
        let available = self.buffer.len();
        if self.stage == Stage::Padding {
            self.fail(EncodeError::Order);
        } else if length > self.at {
            match self.buffer.get_mut(self.at..length) {
                Some(padding) => {
                    padding.fill(0);
                    self.at = length;
                    self.header.flags = self.header.flags.with(Flags::PADDED);
                    self.stage = Stage::Padding;
                }
                None => self.fail(EncodeError::NoSpace { needed: length, available }),
            }
        }
        self
    }

    /// Writes header and checksum or tag. Returns the octets of the frame.
    ///
    /// # Errors
    /// The first mistake made since [`Encoder::new`]. The content of the slice is then undefined.
    pub fn finish(self) -> Result<usize, EncodeError> {
        let no_space = EncodeError::NoSpace { needed: self.at, available: self.buffer.len() };
        if let Some(error) = self.error {
            return Err(error);
        }
        let datagram = self.buffer.get_mut(..self.at).ok_or(no_space)?;
        seal(datagram, &self.header, self.header_len, self.payload_len, self.key).ok_or(no_space)
    }

    fn try_option(&mut self, option: &FrameOption<'_>) -> Result<(), EncodeError> {
        if self.stage != Stage::Options {
            return Err(EncodeError::Order);
        }
        match option {
            FrameOption::Auth { .. } => Err(EncodeError::BadOption),
            FrameOption::Other { number, .. } if !is_free(*number) => Err(EncodeError::Reserved),
            FrameOption::Room(value) | FrameOption::Versions(value) | FrameOption::Other { value, .. }
                if value.len() > 255 =>
            {
                Err(EncodeError::BadOption)
            }
            FrameOption::Room(_)
            | FrameOption::Cookie(_)
            | FrameOption::Times { .. }
            | FrameOption::Rstat { .. }
            | FrameOption::RetryAfter { .. }
            | FrameOption::ProbeInfo { .. }
            | FrameOption::Versions(_)
            | FrameOption::Other { .. } => self.append(option),
        }
    }

    fn append(&mut self, option: &FrameOption<'_>) -> Result<(), EncodeError> {
        let end = self.at.saturating_add(option.wire_len());
        if end > MAX_HEADER_LEN {
            return Err(EncodeError::HeaderTooLong);
        }
        let no_space = EncodeError::NoSpace { needed: end, available: self.buffer.len() };
        let room = self.buffer.get_mut(self.at..).ok_or(no_space)?;
        option.emit(room).ok_or(no_space)?;
        self.at = end;
        self.header_len = end;
        Ok(())
    }

    fn try_payload(&mut self, payload: &[u8]) -> Result<(), EncodeError> {
        if self.stage >= Stage::Body {
            return Err(EncodeError::Order);
        }
        self.payload_len = u16::try_from(payload.len()).map_err(|_| EncodeError::PayloadTooLong)?;
        let end = self.at.saturating_add(payload.len());
        let no_space = EncodeError::NoSpace { needed: end, available: self.buffer.len() };
        self.buffer.get_mut(self.at..end).ok_or(no_space)?.copy_from_slice(payload);
        self.at = end;
        self.stage = Stage::Body;
        Ok(())
    }

    const fn fail(&mut self, error: EncodeError) {
        if self.error.is_none() {
            self.error = Some(error);
        }
    }
}

/// Writes the fixed header over the front of a frame whose other parts are in place, then its CRC or tag.
/// The tag octets must be zero. `None` if the lengths contradict each other.
pub(super) fn seal(
    datagram: &mut [u8],
    header: &Header,
    header_len: usize,
    payload_len: u16,
    key: Option<&Key>,
) -> Option<usize> {
    let hlen = u8::try_from(header_len.checked_div(4)?).ok()?;
    let mut fixed = header.emit(hlen, payload_len);
    let (front, rest) = datagram.split_first_chunk_mut::<HEADER_LEN>()?;
    match key {
        None => {
            let crc = crc32c(&fixed, rest);
            super::field::CHECKSUM_AT.write(&mut fixed, crc.to_be_bytes());
            *front = fixed;
        }
        Some(key) => {
            *front = fixed;
            let tag = key.tag(&[datagram]);
            let end = header_len.checked_sub(super::AUTH_PAD)?;
            datagram.get_mut(end.checked_sub(key.tag_len())?..end)?.copy_from_slice(tag.as_slice());
        }
    }
    Some(datagram.len())
}
