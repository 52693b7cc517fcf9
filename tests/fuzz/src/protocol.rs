//! A datagram of PPT/1: decoded, explained, encoded again.

use polyport_protocol::{
    DecodeError, Decoder, Encoder, Flags, Frame, FrameOption, Header, Integrity, Key, Kind, Role,
    version_reply,
};
use polyport_tools::frame::explain;

use crate::input::Input;

/// Decodes a datagram in each role, with and without keys. The first octet says whether the checksum is put right
/// before, since no fuzzer guesses one.
pub fn datagram(data: &[u8]) {
    let mut input = Input(data);
    let mend = input.u8() & 1 == 1;
    let mut datagram = input.0.to_vec();
    if mend {
        put_checksum(&mut datagram);
    }
    let keys = [Key::siphash(1, [0x11; 16]), key_2()];
    for integrity in [Integrity::Checksum, Integrity::Keys(&keys)] {
        let any = Decoder::new(Role::Any).with_integrity(integrity).with_private_kinds(&[0x80, 0x9F]);
        let verdict = any.decode(&datagram);
        explained(&datagram, verdict.map(drop));
        assert_eq!(any.decode_received(&datagram, true), Err(DecodeError::Truncated));
        if let Ok(frame) = verdict {
            whole(&datagram, &frame);
            again(&any, &datagram, &frame, &keys);
            one_direction(integrity, &datagram, &frame);
        }
    }
    answered_version(&datagram);
}

/// A key of the other algorithm, with number 2.
fn key_2() -> Key {
    match Key::hmac_sha256(2, &[0x22; 32]) {
        Ok(key) => key,
        Err(_) => Key::siphash(2, [0x22; 16]),
    }
}

/// Writes the CRC-32C that the datagram should have, at octets 40 to 43: the decoder counts them as zeros.
fn put_checksum(datagram: &mut [u8]) {
    let Some(place) = datagram.get_mut(40..44) else { return };
    place.fill(0);
    let crc = crc32c(datagram);
    datagram[40..44].copy_from_slice(&crc.to_be_bytes());
}

/// The obvious version of the checksum: Castagnoli's polynomial, bit by bit (RFC 3385).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

/// The parts of a frame are the datagram, all of it.
fn whole(datagram: &[u8], frame: &Frame<'_>) {
    assert_eq!(frame.datagram_len(), datagram.len());
    assert_eq!(frame.header_len() + frame.payload().len() + frame.padding(), datagram.len());
    let options: usize = frame.options().iter().map(|option| option.wire_len()).sum();
    assert_eq!(options, frame.options().wire_len());
    let payload = frame.header_len()..datagram.len() - frame.padding();
    assert_eq!(frame.payload(), &datagram[payload]);
}

/// What was decoded can be encoded, and means the same then.
fn again(decoder: &Decoder<'_>, datagram: &[u8], frame: &Frame<'_>, keys: &[Key]) {
    let key = frame.options().key_id().and_then(|id| keys.iter().find(|key| key.id() == id));
    let mut buffer = vec![0xEE; datagram.len()];
    let mut encoder = Encoder::new(&mut buffer, frame.header());
    for option in frame.options().iter().filter(|option| !matches!(option, FrameOption::Auth { .. })) {
        encoder = encoder.option(&option);
    }
    let encoder = encoder.auth_if(key).payload(frame.payload()).pad_to(datagram.len());
    // Of the options of others the encoder writes the private ones only.
    let Ok(len) = encoder.finish() else {
        let foreign = |option: FrameOption<'_>| matches!(option, FrameOption::Other { .. });
        assert!(frame.options().iter().any(foreign), "{frame:?}");
        return;
    };
    assert_eq!(len, datagram.len());
    let twin = decoder.decode(&buffer);
    assert!(twin.is_ok(), "{twin:?} {frame:?}");
    if let Ok(twin) = twin {
        let options = |frame: &Frame<'_>| frame.options().iter().map(without_tag).collect::<Vec<_>>();
        assert_eq!((without_padded(&twin), twin.payload()), (without_padded(frame), frame.payload()));
        assert_eq!((twin.padding(), options(&twin)), (frame.padding(), options(frame)));
    }
}

/// The header without flag P, which a decoder accepts where nothing is padded ([P-7]), and an encoder does not write there.
fn without_padded(frame: &Frame<'_>) -> Header {
    Header { flags: frame.header().flags.without(Flags::PADDED), ..*frame.header() }
}

/// Padding is zero in what the encoder writes and anything in what came, so tags differ.
fn without_tag(option: FrameOption<'_>) -> String {
    if let FrameOption::Auth { key_id, tag } = option {
        return format!("{key_id} {}", tag.len());
    }
    format!("{option:?}")
}

/// No frame is taken by both a client and a responder, but one of a kind that says nothing of its direction.
fn one_direction(integrity: Integrity<'_>, datagram: &[u8], frame: &Frame<'_>) {
    let of = |role| {
        let decoder = Decoder::new(role).with_integrity(integrity).with_private_kinds(&[0x80, 0x9F]);
        decoder.decode(datagram).is_ok()
    };
    assert!(of(Role::Client) != of(Role::Responder), "{frame:?}");
    if frame.header().may_be_answered() {
        assert!(of(Role::Responder) && !matches!(frame.header().kind, Kind::Error | Kind::Event));
    }
}

/// Every octet stands in one line.
fn explained(datagram: &[u8], verdict: Result<(), DecodeError>) {
    let mut at = 0;
    for line in explain(datagram, verdict) {
        assert_eq!((line.offset, line.octets), (at, &datagram[at..at + line.octets.len()]));
        assert!(!line.octets.is_empty() && !line.field.is_empty() && !line.meaning.is_empty());
        assert!(line.meaning.chars().all(|c| !c.is_control()), "{}", line.meaning.escape_debug());
        at += line.octets.len();
    }
    assert_eq!(at, datagram.len());
}

/// An answer to another version is no longer than the question, and no question itself.
fn answered_version(datagram: &[u8]) {
    let mut out = [0; 64];
    if let Some(len) = version_reply(datagram, &[1, 0x0A], &mut out) {
        assert!(len <= datagram.len(), "{len}");
        assert!(matches!(Decoder::new(Role::Client).decode(&out[..len]), Ok(frame) if
            frame.header().kind == Kind::Version && !frame.header().may_be_answered()));
        assert_eq!(version_reply(&out[..len], &[1, 0x0A], &mut [0; 64]), None);
    }
}
