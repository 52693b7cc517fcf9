//! The parts of the frame that the vectors do not reach: limits of the encoder, directions, replies in place.

use super::*;
use crate::option::FrameOption;
use crate::{Cookie, Integrity, Key};

fn request() -> Header {
    Header::new(Kind::Request, 0x0123_4567_89AB_CDEF, 0xCAFE_F00D, 7, 123_456_789)
}

fn encode(header: &Header, options: &[FrameOption<'_>], payload: &[u8], key: Option<&Key>) -> Vec<u8> {
    let mut buffer = [0xEE; 2048];
    let encoder = options.iter().fold(Encoder::new(&mut buffer, header), |e, o| e.option(o));
    let len = encoder.auth_if(key).payload(payload).finish().unwrap();
    buffer[..len].to_vec()
}

#[track_caller]
fn refused(datagram: &[u8], decoder: &Decoder<'_>) -> DecodeError {
    decoder.decode(datagram).unwrap_err()
}

#[test]
fn integrity_classes_stay_apart() {
    let keys = [Key::siphash(1, [1; 16]), Key::hmac_sha256(2, &[2; 32]).unwrap()];
    let strict = Decoder::new(Role::Any).with_integrity(Integrity::Keys(&keys));
    let plain = encode(&request(), &[], b"ping", None);
    assert_eq!(refused(&plain, &strict), DecodeError::NoAuth);
    for key in &keys {
        let sealed = encode(&request(), &[], b"ping", Some(key));
        assert_eq!(strict.decode(&sealed).unwrap().options().key_id(), Some(key.id()));
        assert_eq!(refused(&sealed, &Decoder::new(Role::Any)), DecodeError::UnexpectedAuth);
        let stranger = [Key::siphash(9, [1; 16])];
        let other = Decoder::new(Role::Any).with_integrity(Integrity::Keys(&stranger));
        assert_eq!(refused(&sealed, &other), DecodeError::BadAuth, "unknown key");
        let confused = [Key::hmac_sha256(1, &[1; 16]).unwrap(), Key::siphash(2, [2; 16])];
        let other = Decoder::new(Role::Any).with_integrity(Integrity::Keys(&confused));
        assert_eq!(refused(&sealed, &other), DecodeError::BadAuth, "same id, other algorithm");
    }
}

/// [P-97]: who does not speak our version cannot know our keys, so even the right tag is one too many.
#[test]
fn a_tag_on_a_frame_of_version_zero_is_unexpected_whoever_made_it() {
    let keys = [Key::siphash(5, [3; 16])];
    let mut forged = encode(&request().reply(Kind::Response, Code::OK), &[], b"", Some(&keys[0]));
    forged[4] = 0;
    forged[5] = Kind::Version.to_octet();
    let tag = forged.len() - AUTH_PAD - keys[0].tag_len()..forged.len() - AUTH_PAD;
    forged[tag.clone()].fill(0);
    let sealed = keys[0].tag(&[&forged]);
    forged[tag].copy_from_slice(sealed.as_slice());
    for integrity in [Integrity::Keys(&keys), Integrity::Checksum] {
        let decoder = Decoder::new(Role::Client).with_integrity(integrity);
        assert_eq!(refused(&forged, &decoder), DecodeError::UnexpectedAuth, "{integrity:?}");
    }
}

#[test]
fn auth_must_be_last_and_of_a_known_length() {
    let key = Key::siphash(1, [1; 16]);
    let keys = [key.clone()];
    let strict = Decoder::new(Role::Any).with_integrity(Integrity::Keys(&keys));
    let mut sealed = encode(&request(), &[], b"\x81\x0c456789012345PP", Some(&key));
    sealed[7] += 4;
    sealed[23] -= 16;
    assert_eq!(refused(&sealed, &strict), DecodeError::BadOption, "AUTH twice");
    let mut odd = encode(&request(), &[], b"", Some(&key));
    odd[45] = 11;
    assert_eq!(refused(&odd, &strict), DecodeError::BadOption, "a tag of 7 octets");
}

#[test]
fn known_options_of_another_length_are_bad_options() {
    for number in 2..=6_u8 {
        for vlen in [0_u8, 3, 5, 15, 17, 19, 21] {
            let mut frame = encode(&request(), &[FrameOption::Room(&[0; 40])], b"", None);
            (frame[44], frame[45]) = (number, vlen);
            assert_eq!(refused(&frame, &Decoder::default()), DecodeError::BadOption, "{number} {vlen}");
        }
    }
}

#[test]
fn of_an_option_that_occurs_twice_the_first_counts() {
    let twice = [FrameOption::RetryAfter { ms: 1 }, FrameOption::RetryAfter { ms: 2 }];
    let frame = encode(&request(), &twice, b"", None);
    assert_eq!(Decoder::default().decode(&frame).unwrap().options().retry_after_ms(), Some(1));
}

#[test]
fn direction_is_the_role_and_the_kind() {
    let plain = encode(&request(), &[], b"", None);
    let reply = encode(&request().reply(Kind::Response, Code::OK), &[], b"", None);
    assert_eq!(refused(&plain, &Decoder::new(Role::Client)), DecodeError::WrongDirection);
    assert_eq!(refused(&reply, &Decoder::new(Role::Responder)), DecodeError::WrongDirection);
    assert!(Decoder::new(Role::Any).decode(&plain).is_ok() && Decoder::new(Role::Any).decode(&reply).is_ok());
    let mut contradiction = request();
    contradiction.flags = Flags::REPLY;
    let contradiction = encode(&contradiction, &[], b"", None);
    for role in [Role::Any, Role::Client, Role::Responder] {
        assert_eq!(refused(&contradiction, &Decoder::new(role)), DecodeError::WrongDirection, "{role:?}");
    }
}

#[test]
fn private_numbers_are_unknown_until_named() {
    let mut header = request();
    header.kind = Kind::Private(0x81);
    let critical = FrameOption::Other { number: 0xC1, value: b"v" };
    let frame = encode(&header, &[critical], b"", None);
    let decoder = Decoder::new(Role::Responder);
    assert_eq!(refused(&frame, &decoder), DecodeError::UnknownCritical);
    let decoder = decoder.with_private_critical(&[0xC1]);
    assert_eq!(refused(&frame, &decoder), DecodeError::UnknownKind);
    let decoder = decoder.with_private_kinds(&[0x81]);
    let decoded = decoder.decode(&frame).unwrap();
    assert_eq!(decoded.header().kind, Kind::Private(0x81));
    assert_eq!(decoded.options().iter().collect::<Vec<_>>(), [critical]);
}

#[test]
fn truncation_comes_before_everything() {
    assert_eq!(Decoder::default().decode_received(b"", true), Err(DecodeError::Truncated));
    assert_eq!(Decoder::default().decode_received(b"", false), Err(DecodeError::Short));
}

#[test]
fn version_zero_is_for_version_frames_alone() {
    let mut version = encode(&request().reply(Kind::Version, Code::OK), &[], b"", None);
    assert_eq!(Decoder::new(Role::Client).decode(&version).unwrap().header().kind, Kind::Version);
    let keys = [Key::siphash(1, [1; 16])];
    let strict = Decoder::new(Role::Client).with_integrity(Integrity::Keys(&keys));
    assert!(strict.decode(&version).is_ok(), "a VERSION frame has a CRC whatever the keys");
    version[5] = 2;
    let crc = crate::checksum::crc32c(version.first_chunk().unwrap(), &[]);
    version[40..44].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(refused(&version, &Decoder::default()), DecodeError::UnknownKind);
}

#[test]
fn the_encoder_reports_its_first_mistake() {
    let header = request();
    let mut small = [0; 47];
    assert_eq!(
        Encoder::new(&mut small, &header).payload(b"ping").finish(),
        Err(EncodeError::NoSpace { needed: 48, available: 47 })
    );
    assert_eq!(
        Encoder::new(&mut [0; 43], &header).finish(),
        Err(EncodeError::NoSpace { needed: 44, available: 43 })
    );
    let mut big = vec![0; 70_000];
    let rooms = |n: usize| (0..n).fold(Vec::new(), |mut v, _| (v.push(FrameOption::Room(&[0; 242])), v).1);
    let with = |buffer: &mut [u8], options: &[FrameOption<'_>]| {
        options.iter().fold(Encoder::new(buffer, &header), |e, o| e.option(o)).finish()
    };
    assert_eq!(with(&mut big, &rooms(4)), Ok(1020));
    assert_eq!(with(&mut big, &rooms(5)), Err(EncodeError::HeaderTooLong));
    assert_eq!(with(&mut big, &[FrameOption::Room(&[0; 256])]), Err(EncodeError::BadOption));
    assert_eq!(with(&mut big, &[FrameOption::Auth { key_id: 1, tag: &[0; 8] }]), Err(EncodeError::BadOption));
    for number in [0x00, 0x02, 0x08, 0x81, 0xCA, 0x8A] {
        let option = FrameOption::Other { number, value: b"" };
        assert_eq!(with(&mut big, &[option]), Err(EncodeError::Reserved), "{number:#x}");
    }
    let long = vec![0; 65_536];
    assert_eq!(Encoder::new(&mut big, &header).payload(&long).finish(), Err(EncodeError::PayloadTooLong));
    let late = Encoder::new(&mut big, &header).payload(b"p").option(&FrameOption::RetryAfter { ms: 1 });
    assert_eq!(late.finish(), Err(EncodeError::Order));
    assert_eq!(Encoder::new(&mut big, &header).pad_to(100).payload(b"p").finish(), Err(EncodeError::Order));
    let greased = Header { kind: Kind::Private(0x8A), ..header };
    assert_eq!(Encoder::new(&mut big, &greased).finish(), Err(EncodeError::Reserved));
}

#[test]
fn reply_options_are_left_out_when_the_request_was_short() {
    let mut buffer = [0; 72];
    let times = FrameOption::Times { rx_ns: 1, tx_ns: 2 };
    let rstat = FrameOption::Rstat { rseq: 1, rcount: 1, window: 1 };
    let reply = request().reply(Kind::Response, Code::OK);
    let len = Encoder::new(&mut buffer, &reply)
        .option_if_fits(&times, 4)
        .option_if_fits(&rstat, 4)
        .payload(b"pong")
        .finish()
        .unwrap();
    assert_eq!(len, 68);
    let frame = Decoder::default().decode(&buffer[..len]).unwrap();
    assert_eq!(frame.options().iter().collect::<Vec<_>>(), [times]);
}

#[test]
fn a_reply_in_place_keeps_the_payload_and_is_never_longer() {
    let keys = [Key::siphash(1, [1; 16]), Key::hmac_sha256(2, &[2; 32]).unwrap()];
    let times = FrameOption::Times { rx_ns: 1, tx_ns: 2 };
    for room in [0_usize, 1, 3, 42, 250, 255] {
        for key in [None, keys.first(), keys.last()] {
            let filler = vec![9; room];
            let asked = [FrameOption::Room(&filler), FrameOption::Cookie(Cookie([3; 16]))];
            let mut datagram = encode(&request(), &asked, b"payload", key);
            let decoder = Decoder::default()
                .with_integrity(key.map_or(Integrity::Checksum, |_| Integrity::Keys(&keys)));
            let place = decoder.decode(&datagram).unwrap().place();
            let mut reply = InPlaceReply::new(&mut datagram, place, Kind::Response, Code::OK);
            assert!(reply.option(&times, key.map_or(0, |k| k.tag_len() + 8)));
            let len = reply.finish(key).unwrap();
            assert_eq!(len, datagram.len());
            let frame = decoder.decode(&datagram).unwrap();
            assert_eq!(frame.payload(), b"payload");
            assert_eq!(frame.options().iter().next(), Some(times));
            assert_eq!(*frame.header(), request().reply(Kind::Response, Code::OK));
        }
    }
}

#[test]
fn a_reply_in_place_cannot_invent_room() {
    let mut datagram = encode(&request(), &[], b"payload", None);
    let place = Decoder::default().decode(&datagram).unwrap().place();
    let mut reply = InPlaceReply::new(&mut datagram, place, Kind::Response, Code::OK);
    assert!(!reply.option(&FrameOption::RetryAfter { ms: 1 }, 0));
    let key = Key::siphash(1, [1; 16]);
    assert_eq!(reply.finish(Some(&key)), Err(EncodeError::NoSpace { needed: 60, available: 44 }));
}

#[test]
fn version_replies_have_their_conditions() {
    let mut unknown = encode(&request(), &[], b"ping", None);
    unknown[4] = 5;
    let mut out = [0; 64];
    let ask = |datagram: &[u8], out: &mut [u8]| version_reply(datagram, &[1, 0x0A], out);
    assert_eq!(ask(&unknown, &mut out), Some(48));
    assert_eq!(ask(&unknown[..47], &mut out), None, "too short to answer");
    assert_eq!(ask(&unknown, &mut [0; 47]), None, "no room");
    for version in [0, 1] {
        unknown[4] = version;
        assert_eq!(ask(&unknown, &mut out), None, "version {version}");
    }
    (unknown[4], unknown[6]) = (5, 0x80);
    assert_eq!(ask(&unknown, &mut out), None, "a reply");
}

#[test]
fn class_names_and_indices_agree() {
    for (index, class) in DecodeError::ALL.into_iter().enumerate() {
        assert_eq!(class.index(), index);
        assert_eq!(class.to_string(), class.name());
    }
}
