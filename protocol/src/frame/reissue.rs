//! A frame once more, for another datagram of the same stream or of another one.

use super::field::{HEADER_LEN, REQUEST_ID_AT, SEQ_AT, STREAM_ID_AT, TIMESTAMP_AT};
use crate::checksum::crc32c;

/// What a frame has for itself, in the words of SPEC.md section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reissue {
    /// What all attempts of a request have in common.
    pub request_id: u64,
    /// Whose it is.
    pub stream_id: u32,
    /// Its number in the stream.
    pub seq: u64,
    /// When it is sent, on the sender's clock.
    pub timestamp: u64,
}

impl Reissue {
    /// Changes these fields of a whole frame that has no AUTH, and its checksum ([P-22]). All else stays: who sends frames of
    /// one shape encodes the first one, and copies it. `None` if there is no room for a header.
    ///
    /// ```
    /// use polyport_protocol::{Encoder, Header, Kind, Reissue};
    ///
    /// let encode = |header: &Header| {
    ///     let mut datagram = [0; 48];
    ///     Encoder::new(&mut datagram, header).payload(b"ping").finish().map(|_| datagram)
    /// };
    /// let mut datagram = encode(&Header::new(Kind::Request, 1, 2, 3, 4))?;
    /// let written = Reissue { request_id: 5, stream_id: 6, seq: 7, timestamp: 8 }.write(&mut datagram);
    /// assert_eq!(written, Some(()));
    /// assert_eq!(datagram, encode(&Header::new(Kind::Request, 5, 6, 7, 8))?);
    /// # Ok::<(), polyport_protocol::EncodeError>(())
    /// ```
    #[inline]
    #[must_use = "nothing was changed if there is no room"]
    pub fn write(&self, datagram: &mut [u8]) -> Option<()> {
        let (fixed, rest) = datagram.split_first_chunk_mut::<HEADER_LEN>()?;
        REQUEST_ID_AT.write(fixed, self.request_id.to_be_bytes());
        STREAM_ID_AT.write(fixed, self.stream_id.to_be_bytes());
        SEQ_AT.write(fixed, self.seq.to_be_bytes());
        TIMESTAMP_AT.write(fixed, self.timestamp.to_be_bytes());
        let crc = crc32c(fixed, rest);
        super::field::CHECKSUM_AT.write(fixed, crc.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_must_be_a_header() {
        let identity = Reissue { request_id: 1, stream_id: 2, seq: 3, timestamp: 4 };
        assert_eq!(identity.write(&mut [0; HEADER_LEN - 1]), None);
        assert_eq!(identity.write(&mut [0; HEADER_LEN]), Some(()));
    }
}
