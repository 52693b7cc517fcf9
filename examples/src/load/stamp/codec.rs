//! Test packets as octets: RFC 8762 sections 4.2 and 4.3, with the session's identifier of RFC 8972 section 3.

use polyport_protocol::{DecodeError, Nanos};

use super::seal::Seal;
use super::settings::Stamp;
use super::timestamp::{self, ErrorEstimate};

/// Where things stand in the packets of a mode. What a sender says stands in the same places as what a reflector says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Octets of our packet without padding.
    len: usize,
    /// The least that a reflector's packet has: one of TWAMP Light ends with the TTL.
    shortest: usize,
    timestamp: usize,
    error: usize,
    ssid: usize,
    received: usize,
    their_sequence: usize,
    their_timestamp: usize,
    ttl: usize,
}

/// Unauthenticated mode: figures 2 and 5.
const OPEN: Layout = Layout {
    len: 44,
    shortest: 41,
    timestamp: 4,
    error: 12,
    ssid: 14,
    received: 16,
    their_sequence: 24,
    their_timestamp: 28,
    ttl: 40,
};

/// Authenticated mode: figures 4 and 6.
const SEALED: Layout = Layout {
    len: 112,
    shortest: 112,
    timestamp: 16,
    error: 24,
    ssid: 26,
    received: 32,
    their_sequence: 48,
    their_timestamp: 64,
    ttl: 80,
};

/// What we say of our clock: nobody asked whether anything keeps it, so it may be off by a second (RFC 4656, section 4.1.2:
/// 128 * 2^25 units of 2^-32 s), in the format of NTP.
const OUR_ERROR: [u8; 2] = [25, 128];

/// Padding is an Extra Padding TLV (RFC 8972, section 4.1), type 1, that says U until a reflector knows it. One of RFC 8762 alone sends it back as
/// any padding.
const PADDING: [u8; 2] = [0x80, 1];

/// Octets of the head of a TLV: flags, type, length. Less padding than that is plain.
const TLV_HEAD: usize = 4;

/// Writes packets and reads those of reflectors.
#[derive(Clone, Debug)]
pub struct Codec {
    layout: Layout,
    ssid: [u8; 2],
    seal: Option<Seal>,
}

/// What a reflector's packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The reflector's own number, the low half.
    pub sequence: u32,
    /// The number of our packet, the low half.
    pub their_sequence: u32,
    /// When ours left, as we wrote it; `None` if no moment of ours is written like that.
    pub sent: Option<Nanos>,
    /// When it came to the reflector and when the answer left, since 1970; `None` if one of them means no moment, or the second
    /// lies before the first.
    pub inside: Option<(Nanos, Nanos)>,
    /// What the reflector says of its clock; `None` if it is corrupt.
    pub estimate: Option<ErrorEstimate>,
    /// The session is that of another sender.
    pub foreign: bool,
    /// TTL or hop limit with which our packet came; 255 if it is not known.
    pub ttl: u8,
}

impl Codec {
    /// For what is asked of reflectors.
    #[must_use]
    pub fn new(stamp: &Stamp) -> Self {
        let layout = if stamp.seal.is_some() { SEALED } else { OPEN };
        Self { layout, ssid: stamp.settings.ssid.to_be_bytes(), seal: stamp.seal.clone() }
    }

    /// Octets of a packet without padding.
    #[must_use]
    pub const fn least(&self) -> usize {
        self.layout.len
    }

    /// Writes packet `seq`, which leaves at `unix` (since 1970), over all of `packet`.
    pub fn write(&self, packet: &mut [u8], seq: u64, unix: Nanos) {
        let Layout { len, timestamp, error, ssid, .. } = self.layout;
        packet.fill(0);
        let [_, _, _, _, number @ ..] = seq.to_be_bytes();
        put(packet, 0, &number);
        put(packet, timestamp, &timestamp::ntp(unix));
        put(packet, error, &OUR_ERROR);
        put(packet, ssid, &self.ssid);
        if let Some(padding) = packet.get_mut(len..).filter(|padding| padding.len() >= TLV_HEAD) {
            let value = u16::try_from(padding.len() - TLV_HEAD).unwrap_or(u16::MAX);
            put(padding, 0, &PADDING);
            put(padding, PADDING.len(), &value.to_be_bytes());
        }
        if let Some(seal) = &self.seal {
            seal.seal(packet);
        }
    }

    /// Reads a reflector's packet; `near` is about now, since 1970.
    ///
    /// # Errors
    /// It is too short, or sealed with another key.
    pub fn read(&self, packet: &[u8], near: Nanos) -> Result<Answer, DecodeError> {
        let Layout {
            shortest, timestamp, error, ssid, received, their_sequence, their_timestamp, ttl, ..
        } = self.layout;
        if packet.len() < shortest {
            return Err(DecodeError::Short);
        }
        if self.seal.as_ref().is_some_and(|seal| !seal.verifies(packet)) {
            return Err(DecodeError::BadAuth);
        }
        let estimate = ErrorEstimate::read(octets(packet, error));
        let moment = |at| timestamp::read(octets(packet, at), estimate?.format, near);
        let inside = moment(received).zip(moment(timestamp)).filter(|(received, sent)| received <= sent);
        let session: [u8; 2] = octets(packet, ssid);
        Ok(Answer {
            sequence: u32::from_be_bytes(octets(packet, 0)),
            their_sequence: u32::from_be_bytes(octets(packet, their_sequence)),
            sent: timestamp::read(octets(packet, their_timestamp), timestamp::Format::Ntp, near),
            inside,
            estimate,
            foreign: session != [0; 2] && session != self.ssid,
            ttl: octets::<1>(packet, ttl)[0],
        })
    }
}

/// Octets of a packet that is long enough.
fn octets<const N: usize>(packet: &[u8], at: usize) -> [u8; N] {
    packet.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

fn put(packet: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(place) = packet.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::stamp::settings::StampSettings;
    use crate::load::stamp::timestamp::Format;

    const NOW: Nanos = 1_700_000_000_500_000_000;

    fn codec(ssid: u16, seal: Option<Seal>) -> Codec {
        Codec::new(&Stamp { settings: StampSettings { ssid, ..StampSettings::default() }, seal })
    }

    #[test]
    fn a_packet_has_the_fields_of_figure_2() {
        let mut packet = [0xAA; 50];
        codec(0x0102, None).write(&mut packet, (7 << 32) + 0x0304_0506, NOW);
        let expected = [
            &[3, 4, 5, 6][..],
            &[0xE8, 0xFE, 0x6F, 0x80, 0x80, 0, 0, 0],
            &[25, 128, 1, 2],
            &[0; 28],
            // Extra padding of two octets.
            &[0x80, 1, 0, 2, 0, 0],
        ];
        assert_eq!(packet[..], expected.concat());
        let mut packet = [0xAA; 47];
        codec(0, None).write(&mut packet, 1, NOW);
        assert_eq!((&packet[14..16], &packet[44..]), (&[0; 2][..], &[0; 3][..]), "three octets are no TLV");
    }

    #[test]
    fn an_answer_of_either_mode_is_read() {
        let seal = Seal::new(&[7; 32]).unwrap();
        for (seal, layout) in [(None, OPEN), (Some(seal), SEALED)] {
            let codec = codec(9, seal.clone());
            let mut packet = vec![0; codec.least() + 20];
            put(&mut packet, 0, &5_u32.to_be_bytes());
            put(&mut packet, layout.timestamp, &timestamp::ntp(NOW + 9));
            put(&mut packet, layout.error, &[0x99, 128]);
            put(&mut packet, layout.ssid, &[0, 9]);
            put(&mut packet, layout.received, &timestamp::ntp(NOW + 2));
            put(&mut packet, layout.their_sequence, &6_u32.to_be_bytes());
            put(&mut packet, layout.their_timestamp, &timestamp::ntp(NOW));
            put(&mut packet, layout.ttl, &[61]);
            if let Some(seal) = &seal {
                assert_eq!(codec.read(&packet, NOW), Err(DecodeError::BadAuth));
                seal.seal(&mut packet);
            }
            let answer = codec.read(&packet, NOW).unwrap();
            assert_eq!(
                (answer.sequence, answer.their_sequence, answer.ttl, answer.foreign),
                (5, 6, 61, false)
            );
            assert_eq!((answer.sent, answer.inside), (Some(NOW), Some((NOW + 2, NOW + 9))));
            let estimate = answer.estimate.unwrap();
            assert_eq!((estimate.synchronized, estimate.format), (true, Format::Ntp));
            assert_eq!(codec.read(&packet[..layout.shortest - 1], NOW), Err(DecodeError::Short));
            codec.read(&packet[..layout.shortest], NOW).unwrap();
        }
    }

    #[test]
    fn stamps_that_cannot_be_are_none() {
        let mut packet = [0; 44];
        put(&mut packet, OPEN.error, &[25, 128]);
        let inside = |packet: &[u8]| codec(0, None).read(packet, NOW).unwrap().inside;
        assert_eq!(inside(&packet), None, "never set");
        put(&mut packet, OPEN.received, &timestamp::ntp(NOW));
        put(&mut packet, OPEN.timestamp, &timestamp::ntp(NOW - 1));
        assert_eq!(inside(&packet), None, "it left before it came");
        put(&mut packet, OPEN.timestamp, &timestamp::ntp(NOW));
        assert_eq!(inside(&packet), Some((NOW, NOW)));
        packet[OPEN.error + 1] = 0;
        let answer = codec(0, None).read(&packet, NOW).unwrap();
        assert_eq!((answer.inside, answer.estimate), (None, None), "of unknown format");
        put(&mut packet, OPEN.ssid, &[1, 0]);
        assert!(codec(0, None).read(&packet, NOW).unwrap().foreign);
    }

    proptest! {
        #[test]
        fn any_octets_are_an_answer_or_too_short(packet in proptest::collection::vec(any::<u8>(), 0..200), near in any::<u64>()) {
            prop_assert_eq!(codec(1, None).read(&packet, near).is_ok(), packet.len() >= 41);
            let sealed = codec(1, Seal::new(&[1; 16]).ok()).read(&packet, near);
            prop_assert_eq!(sealed, Err(if packet.len() < 112 { DecodeError::Short } else { DecodeError::BadAuth }));
        }
    }
}
