//! The fixed header as values: parse, emit, and the header of a reply.

use super::field::{
    ATTEMPT_AT, CHECKSUM_AT, CODE_AT, FLAGS_AT, Fixed, HLEN_AT, KIND_AT, MAGIC, MAGIC_AT, PAYLOAD_LEN_AT,
    REQUEST_ID_AT, SEQ_AT, STREAM_ID_AT, TIMESTAMP_AT, VERSION, VERSION_AT,
};
use super::flags::{Code, Flags};
use super::kind::Kind;

/// Every field of the fixed header that is not derived from the frame's own parts.
///
/// Version, header length, payload length and checksum are not here: the decoder has checked them and the
/// encoder computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// The flag octet as received; the encoder adds P when it pads.
    pub flags: Flags,
    /// 64 random bits, one value for all attempts of a request; 0 in an EVENT ([P-8]).
    pub request_id: u64,
    /// 32 random bits for each run of a client ([P-9]).
    pub stream_id: u32,
    /// 0 in the first transmission of a request, one more in each retransmission ([P-10]).
    pub attempt: u8,
    /// Why a reply is what it is; 0 in a request.
    pub code: Code,
    /// Counter of the stream's requests, probes and events ([P-11]).
    pub seq: u64,
    /// Nanoseconds of the sender's own clock, opaque to the receiver ([P-12]).
    pub timestamp: u64,
}

impl Header {
    /// The header of a first attempt: no flags, code 0.
    #[must_use]
    pub const fn new(kind: Kind, request_id: u64, stream_id: u32, seq: u64, timestamp: u64) -> Self {
        Self { kind, flags: Flags::NONE, request_id, stream_id, attempt: 0, code: Code::OK, seq, timestamp }
    }

    /// The header of a reply to this very copy of the request: all that identifies it is copied ([P-50]),
    /// R is set, and of the other flags only W is kept ([P-98]).
    #[must_use]
    pub const fn reply(&self, kind: Kind, code: Code) -> Self {
        Self { kind, code, flags: self.flags.only(Flags::WARM_UP).with(Flags::REPLY), ..*self }
    }

    /// Whether a responder may answer a frame with this header at all ([P-46]): not a reply, not an ERROR,
    /// not an EVENT. The source address has to be judged by the caller.
    #[must_use]
    pub const fn may_be_answered(&self) -> bool {
        !self.flags.contains(Flags::REPLY) && self.kind.answer().is_some()
    }

    /// The header of a datagram that a [`Decoder`](super::Decoder) refused as
    /// [`UnknownCritical`](super::DecodeError::UnknownCritical), to answer it with ERROR 21 ([P-40]). Its checksum
    /// or tag is right then, but its direction has not been tested. Of any other datagram the fields mean nothing.
    ///
    /// `None` if it is too short or its kind is not one of SPEC.md.
    #[must_use]
    pub fn of_refused(datagram: &[u8]) -> Option<Self> {
        let fixed = datagram.first_chunk::<{ super::HEADER_LEN }>()?;
        Kind::from_octet(KIND_AT.octet(fixed)).map(|kind| Self::parse(kind, fixed))
    }

    #[inline]
    pub(crate) fn parse(kind: Kind, fixed: &Fixed) -> Self {
        Self {
            kind,
            flags: Flags::from_octet(FLAGS_AT.octet(fixed)),
            request_id: u64::from_be_bytes(REQUEST_ID_AT.read(fixed)),
            stream_id: u32::from_be_bytes(STREAM_ID_AT.read(fixed)),
            attempt: ATTEMPT_AT.octet(fixed),
            code: Code(CODE_AT.octet(fixed)),
            seq: u64::from_be_bytes(SEQ_AT.read(fixed)),
            timestamp: u64::from_be_bytes(TIMESTAMP_AT.read(fixed)),
        }
    }

    /// The fixed header with checksum 0. `hlen` is in units of four octets.
    #[inline]
    pub(crate) fn emit(&self, hlen: u8, payload_len: u16) -> Fixed {
        let version = if matches!(self.kind, Kind::Version) { 0 } else { VERSION };
        let mut fixed = [0; super::HEADER_LEN];
        MAGIC_AT.write(&mut fixed, MAGIC);
        VERSION_AT.write(&mut fixed, [version]);
        KIND_AT.write(&mut fixed, [self.kind.to_octet()]);
        FLAGS_AT.write(&mut fixed, [self.flags.to_octet()]);
        HLEN_AT.write(&mut fixed, [hlen]);
        REQUEST_ID_AT.write(&mut fixed, self.request_id.to_be_bytes());
        STREAM_ID_AT.write(&mut fixed, self.stream_id.to_be_bytes());
        ATTEMPT_AT.write(&mut fixed, [self.attempt]);
        CODE_AT.write(&mut fixed, [self.code.0]);
        PAYLOAD_LEN_AT.write(&mut fixed, payload_len.to_be_bytes());
        SEQ_AT.write(&mut fixed, self.seq.to_be_bytes());
        TIMESTAMP_AT.write(&mut fixed, self.timestamp.to_be_bytes());
        CHECKSUM_AT.write(&mut fixed, [0; 4]);
        fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_copies_what_identifies_the_copy_and_only_the_warm_up_flag() {
        let mut request = Header::new(Kind::Request, 1, 2, 3, 4);
        request.attempt = 5;
        request.flags = Flags::WARM_UP | Flags::GROUP | Flags::WANT_STATS | Flags::GREASE | Flags::PADDED;
        let reply = request.reply(Kind::Error, Code::BUSY);
        assert_eq!(
            (reply.request_id, reply.stream_id, reply.seq, reply.timestamp, reply.attempt),
            (1, 2, 3, 4, 5)
        );
        assert_eq!(reply.flags, Flags::REPLY | Flags::WARM_UP);
        assert_eq!((reply.kind, reply.code), (Kind::Error, Code::BUSY));
        assert!(request.may_be_answered() && !reply.may_be_answered());
    }

    #[test]
    fn a_frame_with_an_unknown_critical_option_still_has_a_header() {
        let header = Header { attempt: 3, flags: Flags::WARM_UP, ..Header::new(Kind::Probe, 1, 2, 3, 4) };
        let mut datagram = [0; 64];
        let option = crate::FrameOption::Other { number: 0xC1, value: b"" };
        let len = crate::Encoder::new(&mut datagram, &header).option(&option).finish().unwrap();
        let refused = crate::Decoder::new(crate::Role::Responder).decode(&datagram[..len]);
        assert_eq!(refused, Err(crate::DecodeError::UnknownCritical));
        assert_eq!(Header::of_refused(&datagram[..len]), Some(header));
        assert_eq!(Header::of_refused(&datagram[..43]), None);
        datagram[5] = 0x3A;
        assert_eq!(Header::of_refused(&datagram[..len]), None);
    }

    #[test]
    fn events_and_errors_are_never_answered() {
        for kind in [Kind::Event, Kind::Error, Kind::Version, Kind::Response, Kind::ProbeAck] {
            assert!(!Header::new(kind, 0, 0, 0, 0).may_be_answered(), "{kind:?}");
        }
    }
}
