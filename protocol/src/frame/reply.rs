//! Replies built over the very datagram they answer, and the answer to an unknown version.

use super::encode::seal;
use super::error::EncodeError;
use super::field::{
    FLAGS_AT, HEADER_LEN, MAGIC, MAGIC_AT, REQUEST_ID_AT, SEQ_AT, STREAM_ID_AT, TIMESTAMP_AT, VERSION,
    VERSION_AT,
};
use super::flags::{Code, Flags};
use super::header::Header;
use super::kind::Kind;
use super::view::Frame;
use super::{AUTH_PAD, Encoder};
use crate::auth::Key;
use crate::option::FrameOption;

/// Shortest datagram of an unknown version that is answered: 44 octets and VERSIONS with two entries ([P-27]).
const MIN_ANSWERED: usize = 48;

/// What has to be known of a request to turn its datagram into the reply; borrows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    header: Header,
    header_len: usize,
    payload_len: u16,
}

impl Frame<'_> {
    /// The place of this frame's parts, to build a reply over them.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            header: self.header,
            header_len: self.header_len(),
            // The payload came out of a 16-bit length field.
            payload_len: u16::try_from(self.payload.len()).unwrap_or(u16::MAX),
        }
    }
}

/// A reply that overwrites its request: the payload stays where it is, the option area is written anew, the
/// padding is cut off. So it is never longer than the request ([P-55]).
#[derive(Debug)]
#[must_use = "nothing is complete before finish()"]
pub struct InPlaceReply<'b> {
    datagram: &'b mut [u8],
    place: Place,
    header: Header,
    at: usize,
}

impl<'b> InPlaceReply<'b> {
    /// Starts the reply of `kind` over `datagram`, whose frame gave `place`.
    pub fn new(datagram: &'b mut [u8], place: Place, kind: Kind, code: Code) -> Self {
        Self { datagram, place, header: place.header.reply(kind, code), at: HEADER_LEN }
    }

    /// Adds an option if it and `reserve` octets behind it fit into the option area of the request. Says
    /// whether it did.
    pub fn option(&mut self, option: &FrameOption<'_>, reserve: usize) -> bool {
        let end = self.at.saturating_add(option.wire_len());
        let fits = end.saturating_add(reserve) <= self.place.header_len;
        if fits && self.datagram.get_mut(self.at..end).and_then(|room| option.emit(room)).is_some() {
            self.at = end;
            return true;
        }
        false
    }

    /// Fills the rest of the option area with ROOM, then seals with the key's tag or the CRC. Returns the
    /// octets of the reply.
    ///
    /// # Errors
    /// [`EncodeError::NoSpace`] if the option area has no room for the tag, or the slice is not the request's
    /// datagram.
    pub fn finish(mut self, key: Option<&Key>) -> Result<usize, EncodeError> {
        let zeros = [0; 253];
        let blank = zeros.get(..key.map_or(0, Key::tag_len)).unwrap_or(&zeros);
        let auth = key.map(|key| FrameOption::Auth { key_id: key.id(), tag: blank });
        let reserve = auth.map_or(0, |auth| auth.wire_len());
        let no_space = EncodeError::NoSpace {
            needed: self.at.saturating_add(reserve),
            available: self.place.header_len,
        };
        loop {
            let gap = self.place.header_len.saturating_sub(self.at).saturating_sub(reserve);
            let value = gap.saturating_sub(AUTH_PAD).min(zeros.len().saturating_sub(3));
            let filler = FrameOption::Room(zeros.get(..value).unwrap_or(&zeros));
            if gap == 0 || !self.option(&filler, reserve) {
                break;
            }
        }
        if let Some(auth) = auth
            && !self.option(&auth, 0)
        {
            return Err(no_space);
        }
        let len = self.place.header_len.saturating_add(usize::from(self.place.payload_len));
        let datagram = self.datagram.get_mut(..len).ok_or(no_space)?;
        seal(datagram, &self.header, self.place.header_len, self.place.payload_len, key).ok_or(no_space)
    }
}

/// Writes the VERSION frame that answers a datagram of an unknown version ([P-27], [P-28]).
///
/// `versions` is what the responder lists: 1 and one greased number ([P-30]). `None` if the datagram must not
/// be answered: R set, shorter than 48 octets, version 0 or 1, or shorter than the answer. That it came by
/// unicast and that the error bucket has a token is for the caller to check.
#[must_use]
pub fn version_reply(datagram: &[u8], versions: &[u8], out: &mut [u8]) -> Option<usize> {
    let fixed = datagram.first_chunk::<HEADER_LEN>()?;
    let flags = Flags::from_octet(FLAGS_AT.octet(fixed));
    let unknown = MAGIC_AT.read(fixed) == MAGIC && VERSION_AT.octet(fixed) > VERSION;
    if datagram.len() < MIN_ANSWERED || !unknown || flags.contains(Flags::REPLY) {
        return None;
    }
    let mut header = Header::new(
        Kind::Version,
        u64::from_be_bytes(REQUEST_ID_AT.read(fixed)),
        u32::from_be_bytes(STREAM_ID_AT.read(fixed)),
        u64::from_be_bytes(SEQ_AT.read(fixed)),
        u64::from_be_bytes(TIMESTAMP_AT.read(fixed)),
    );
    header.flags = Flags::REPLY;
    let limit = out.len().min(datagram.len());
    Encoder::new(out.get_mut(..limit)?, &header).option(&FrameOption::Versions(versions)).finish().ok()
}
