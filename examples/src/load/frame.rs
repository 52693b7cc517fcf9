//! The datagrams of a run: REQUEST frames, all of one shape, or plain text for servers that want no frames.

use polyport_protocol::{EncodeError, Encoder, Flags, FrameOption, HEADER_LEN, Header, Key, Kind, Reissue};

use super::ledger::Identity;
use super::mix::Mix;
use super::stamp::codec::Codec;
use super::template::Template;

/// Value octets of the ROOM option that keeps room for RSTAT in the answer ([P-54]): 24 octets in all.
const ROOM_FOR_RSTAT: [u8; 22] = [0; 22];

/// Of the ROOM option that keeps room for RSTAT and TIMES: 44 octets in all.
const ROOM_FOR_BOTH: [u8; 42] = [0; 42];

/// What all datagrams of a run have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    payload: Vec<u8>,
    /// Octets of the whole datagram, reached by padding.
    size: usize,
    /// Ask for RSTAT, and keep room for it.
    statistics: bool,
    /// Ask for TIMES as well.
    times: bool,
    key: Option<Key>,
    /// The payload alone is the datagram.
    plain: bool,
    /// Or packets of STAMP are.
    stamp: Option<Codec>,
    /// Or what this makes.
    template: Option<Template>,
    /// Sizes instead of one.
    mix: Option<Mix>,
    /// A frame of the load and one of handshake and warm-up, which all others differ from in their identity alone; none of
    /// plain text, of several sizes, nor where a tag depends on all of a frame.
    models: Option<[Vec<u8>; 2]>,
}

impl Shape {
    /// Datagrams with `payload` octets of payload, padded up to `size` octets in all. Without `statistics` the
    /// responder is not asked what it has seen, which makes no sense of a raw echo.
    #[must_use]
    pub fn new(payload: usize, size: Option<usize>, statistics: bool, key: Option<Key>) -> Self {
        // A pattern, so that a shifted copy differs.
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(payload).collect();
        let (template, mix, models) = (None, None, None);
        let (plain, times, stamp) = (false, false, None);
        let mut shape =
            Self { payload, size: 0, statistics, times, key, plain, stamp, template, mix, models };
        shape.size = shape.least().max(size.unwrap_or(0));
        shape.modelled()
    }

    /// Encodes once what all frames have in common.
    fn modelled(self) -> Self {
        let model = |practice| {
            let mut model = vec![0; self.size];
            self.compose(&mut model, &Identity::default(), practice, self.size).map(|_| model)
        };
        let models = if self.key.is_none() && !self.plain {
            model(false).and_then(|load| Ok([load, model(true)?])).ok()
        } else {
            None
        };
        Self { models, ..self }
    }

    /// Datagrams that are this text.
    #[must_use]
    pub const fn text(text: Vec<u8>) -> Self {
        let size = text.len();
        let (template, mix, models) = (None, None, None);
        let (statistics, times, plain, stamp) = (false, false, true, None);
        Self { payload: text, size, statistics, times, key: None, plain, stamp, template, mix, models }
    }

    /// Test packets for reflectors, padded up to `size` octets in all.
    #[must_use]
    pub fn stamp(codec: Codec, size: Option<usize>) -> Self {
        let size = codec.least().max(size.unwrap_or(0));
        Self { size, plain: false, stamp: Some(codec), ..Self::text(Vec::new()) }
    }

    /// Has the responder asked when it received and answered.
    #[must_use]
    pub fn timed(self) -> Self {
        let mut shape = Self { times: true, statistics: true, ..self };
        shape.size = shape.least().max(shape.size);
        shape.modelled()
    }

    /// Datagrams that are made from this.
    #[must_use]
    pub fn template(template: Template) -> Self {
        Self { size: template.longest(), template: Some(template), ..Self::text(Vec::new()) }
    }

    /// Gives them these sizes, none of which is below [`Self::shortest`]. Text is cut to them.
    #[must_use]
    pub fn mixed(self, mix: Mix) -> Self {
        Self { size: mix.largest(), mix: Some(mix), models: None, ..self }
    }

    /// The smallest size that a mix may have.
    #[must_use]
    pub fn shortest(&self) -> usize {
        if self.plain { 1 } else { self.least() }
    }

    /// The datagrams themselves, if all of them are one text.
    #[must_use]
    pub fn plain(&self) -> Option<&[u8]> {
        (self.plain && self.template.is_none() && self.mix.is_none()).then_some(&self.payload)
    }

    /// Octets of each datagram, or of the longest one.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The sizes, if there are several.
    #[must_use]
    pub const fn mix(&self) -> Option<&Mix> {
        self.mix.as_ref()
    }

    /// Octets of payload.
    #[must_use]
    pub const fn payload(&self) -> usize {
        self.payload.len()
    }

    /// Octets without padding.
    #[must_use]
    pub fn least(&self) -> usize {
        if let Some(codec) = &self.stamp {
            return codec.least();
        }
        if self.plain {
            return self.payload.len();
        }
        let room = if self.statistics { self.room().wire_len() } else { 0 };
        // AUTH: number, length, key id, tag, two pad octets.
        let auth = self.key.as_ref().map_or(0, |key| key.tag_len() + 8);
        HEADER_LEN + room + auth + self.payload.len()
    }

    /// Writes one datagram to `buffer`; `practice` marks it as handshake or warm-up ([P-14] W).
    ///
    /// # Errors
    /// The buffer is too short.
    pub fn write(
        &self,
        buffer: &mut [u8],
        identity: &Identity,
        practice: bool,
    ) -> Result<usize, EncodeError> {
        // The id looks random, and is that of this datagram alone.
        let size = self.mix.as_ref().map_or(self.size, |mix| mix.pick(identity.request_id));
        if let Some(template) = &self.template {
            let (needed, available) = (self.size, buffer.len());
            return if available < needed {
                Err(EncodeError::NoSpace { needed, available })
            } else {
                Ok(template.write(buffer, identity))
            };
        }
        if let Some(codec) = &self.stamp {
            let available = buffer.len();
            let room = buffer.get_mut(..size).ok_or(EncodeError::NoSpace { needed: size, available })?;
            codec.write(room, identity.seq, identity.timestamp);
            return Ok(size);
        }
        let whole = |buffer: &mut [u8], octets: &[u8]| {
            let (needed, available) = (octets.len(), buffer.len());
            let room = buffer.get_mut(..needed).ok_or(EncodeError::NoSpace { needed, available })?;
            room.copy_from_slice(octets);
            Ok(needed)
        };
        if self.plain {
            return whole(buffer, self.payload.get(..size).unwrap_or(&self.payload));
        }
        let Some([load, warm_up]) = &self.models else {
            return self.compose(buffer, identity, practice, size);
        };
        let len = whole(buffer, if practice { warm_up } else { load })?;
        let &Identity { stream_id, seq, request_id, timestamp } = identity;
        let reissued = Reissue { request_id, stream_id, seq, timestamp };
        let available = len;
        reissued
            .write(&mut buffer[..len])
            .map(|()| len)
            .ok_or(EncodeError::NoSpace { needed: HEADER_LEN, available })
    }

    /// Encodes one frame of `size` octets, part by part.
    fn compose(
        &self,
        buffer: &mut [u8],
        identity: &Identity,
        practice: bool,
        size: usize,
    ) -> Result<usize, EncodeError> {
        let &Identity { stream_id, seq, request_id, timestamp } = identity;
        let mut header = Header::new(Kind::Request, request_id, stream_id, seq, timestamp);
        // Nothing is executed, so nothing needs the reply cache.
        header.flags = Flags::IDEMPOTENT;
        if practice {
            header.flags = header.flags | Flags::WARM_UP;
        }
        if self.statistics {
            header.flags = header.flags | Flags::WANT_STATS;
        }
        if self.times {
            header.flags = header.flags | Flags::WANT_TIMES;
        }
        let encoder = Encoder::new(buffer, &header);
        let encoder = if self.statistics { encoder.option(&self.room()) } else { encoder };
        encoder.auth_if(self.key.as_ref()).payload(&self.payload).pad_to(size).finish()
    }

    const fn room(&self) -> FrameOption<'static> {
        FrameOption::Room(if self.times { &ROOM_FOR_BOTH } else { &ROOM_FOR_RSTAT })
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::{Decoder, Integrity, Role};

    use super::*;

    fn shapes() -> Vec<Shape> {
        let keys = [None, Some(Key::siphash(1, [3; 16])), Some(Key::hmac_sha256(2, &[3; 32]).unwrap())];
        let mut shapes = Vec::new();
        for key in keys {
            for statistics in [false, true] {
                for (payload, size) in [(0, None), (5, None), (32, Some(300)), (100, Some(44))] {
                    let shape = Shape::new(payload, size, statistics, key.clone());
                    if statistics {
                        shapes.push(shape.clone().timed());
                    }
                    shapes.push(shape);
                }
            }
        }
        shapes
    }

    #[test]
    fn every_shape_is_as_long_as_it_says_and_decodes() {
        let identity = Identity { stream_id: 7, seq: 8, request_id: 10, timestamp: 9 };
        for shape in shapes() {
            let mut buffer = vec![0; shape.size()];
            let len = shape.write(&mut buffer, &identity, true).unwrap();
            assert_eq!(len, shape.size(), "{shape:?}");
            let mut composed = vec![0; shape.size()];
            shape.compose(&mut composed, &identity, true, shape.size()).unwrap();
            assert_eq!((&buffer, shape.models.is_some()), (&composed, shape.key.is_none()), "{shape:?}");
            let keys = shape.key.clone().map(|key| vec![key]).unwrap_or_default();
            let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(&keys) };
            let decoder = Decoder::new(Role::Responder).with_integrity(integrity);
            let frame = decoder.decode(&buffer).unwrap();
            assert_eq!(frame.payload(), shape.payload);
            assert_eq!(frame.padding(), shape.size() - shape.least());
            assert_eq!((frame.header().stream_id, frame.header().seq, frame.header().timestamp), (7, 8, 9));
            assert!(frame.header().flags.contains(Flags::WARM_UP | Flags::IDEMPOTENT));
            assert_eq!(frame.header().flags.contains(Flags::WANT_STATS), shape.statistics);
            assert_eq!(frame.header().flags.contains(Flags::WANT_TIMES), shape.times);
        }
    }

    #[test]
    fn text_is_sent_as_it_is() {
        let shape = Shape::text(b"hello".to_vec());
        let identity = Identity { stream_id: 7, seq: 8, request_id: 10, timestamp: 9 };
        let mut buffer = [0; 5];
        assert_eq!(shape.write(&mut buffer, &identity, true), Ok(5));
        assert_eq!((&buffer, shape.size(), shape.least()), (b"hello", 5, 5));
        shape.write(&mut buffer[..4], &identity, true).unwrap_err();
    }

    #[test]
    fn an_answer_with_the_same_payload_has_room_for_rstat() {
        let shape = Shape::new(32, None, true, None);
        let rstat = FrameOption::Rstat { rseq: 0, rcount: 0, window: 0 };
        assert_eq!(shape.size(), HEADER_LEN + rstat.wire_len() + 32);
        let times = FrameOption::Times { rx_ns: 0, tx_ns: 0 };
        let timed = shape.timed();
        assert_eq!(timed.size(), HEADER_LEN + rstat.wire_len() + times.wire_len() + 32);
        assert_eq!(Shape::new(32, Some(300), true, None).timed().size(), 300);
    }
}
