//! Streams with a key: tags, replays, and options that make no sense.

use polyport_protocol::Integrity;

use super::*;

const SIP: &str = "000102030405060708090a0b0c0d0e0f";

fn sip() -> Key {
    Key::siphash(1, core::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn sealed(h: &mut Harness<Responder>, peer: &str, datagram: &[u8]) -> Option<Answer> {
    let keys = [sip(), Key::hmac_sha256(2, &[0x6B; 32]).unwrap()];
    assert_eq!(h.send(peer, datagram), Outcome::Done);
    answers(h, &Decoder::new(Role::Client).with_integrity(Integrity::Keys(&keys))).pop()
}

/// A COOKIE made since the start, which every request with AUTH needs that must not be executed twice ([P-110]).
fn cookie(h: &mut Harness<Responder>, peer: &str, key: &Key) -> FrameOption<'static> {
    let asks = encode(&Header { attempt: 200, ..header(9, 9) }, &[], b"", Some(key));
    FrameOption::Cookie(sealed(h, peer, &asks).unwrap().cookie.unwrap())
}

/// A9: a frame that was captured and is sent again after a restart is asked for a COOKIE, and not executed.
#[test]
fn a_captured_frame_is_not_executed_after_a_restart() {
    let secret = "101112131415161718191a1b1c1d1e1f";
    for options in [
        &[("auth", "siphash"), ("key", SIP)][..],
        &[("auth", "siphash"), ("key", SIP), ("cookie_secret", secret)],
    ] {
        let mut h = responder(options);
        let cookie = cookie(&mut h, PEER, &sip());
        let captured = encode(&header(1, 1), &[cookie], b"pay 5", Some(&sip()));
        assert_eq!(sealed(&mut h, PEER, &captured).unwrap().header.kind, Kind::Response);
        // Within the same second, too.
        h.advance(core::time::Duration::from_millis(300));
        h.restart().unwrap();
        let refusal = sealed(&mut h, PEER, &captured).unwrap();
        assert_eq!((refusal.header.kind, refusal.code()), (Kind::Error, Code::BAD_COOKIE));
        assert_eq!((h.counter("executed_total"), h.counter("challenged_total")), (1, 2));
        // Its own sender goes on with the fresh one.
        let again = Header { attempt: 1, ..header(1, 1) };
        let fresh = FrameOption::Cookie(refusal.cookie.unwrap());
        let answer = sealed(&mut h, PEER, &encode(&again, &[fresh], b"pay 5", Some(&sip()))).unwrap();
        assert_eq!(answer.header.kind, Kind::Response);
    }
}

#[test]
fn what_may_be_executed_twice_needs_no_cookie() {
    let mut h = responder(&[("auth", "siphash"), ("key", SIP)]);
    let twice = flagged(header(1, 1), Flags::IDEMPOTENT);
    assert_eq!(sealed(&mut h, PEER, &encode(&twice, &[], b"ping", Some(&sip()))).unwrap().payload, b"ping");
    let probe = Header { kind: Kind::Probe, ..header(2, 2) };
    assert_eq!(
        sealed(&mut h, PEER, &encode(&probe, &[], b"", Some(&sip()))).unwrap().header.kind,
        Kind::ProbeAck
    );
    let mut h = responder(&[("auth", "siphash"), ("key", SIP), ("idempotent", "true")]);
    assert_eq!(
        sealed(&mut h, PEER, &encode(&header(1, 1), &[], b"ping", Some(&sip()))).unwrap().payload,
        b"ping"
    );
}

#[test]
fn a_sealed_request_gets_a_sealed_reply() {
    let hmac_key = "6b".repeat(32);
    let cases = [
        (vec![("auth", "siphash"), ("key", SIP)], sip()),
        (
            vec![("auth", "hmac"), ("key", &hmac_key), ("key_id", "2")],
            Key::hmac_sha256(2, &[0x6B; 32]).unwrap(),
        ),
    ];
    for (options, key) in cases {
        let mut h = responder(&options);
        let cookie = cookie(&mut h, PEER, &key);
        let frame = encode(&header(1, 1), &[cookie], b"ping", Some(&key));
        let answer = sealed(&mut h, PEER, &frame).unwrap();
        assert_eq!((answer.payload.as_slice(), answer.len), (&b"ping"[..], frame.len() - 20));
    }
}

#[test]
fn a_replay_is_dropped_and_a_retransmission_is_answered_from_the_cache() {
    let mut h = responder(&[("auth", "siphash"), ("key", SIP)]);
    let cookie = cookie(&mut h, PEER, &sip());
    let frame =
        |attempt, seq| encode(&Header { attempt, ..header(seq, seq) }, &[cookie], b"ping", Some(&sip()));
    assert!(sealed(&mut h, PEER, &frame(0, 5000)).is_some());
    assert_eq!(sealed(&mut h, PEER, &frame(0, 5000)), None);
    assert_eq!(sealed(&mut h, OTHER, &frame(0, 5000)), None, "from elsewhere it is no newer");
    assert_eq!(h.counter("malformed_replay_total"), 2);
    assert!(sealed(&mut h, PEER, &frame(1, 5000)).is_some());
    assert_eq!((h.counter("executed_total"), h.counter("duplicates_answered_total")), (1, 1));
    assert_eq!(sealed(&mut h, PEER, &frame(0, 5000 - 1984)), None);
    assert_eq!(h.counter("malformed_too_old_total"), 1);
    assert!(sealed(&mut h, PEER, &frame(0, 5000 - 1983)).is_some());
    assert_eq!(h.discarded(), 3);
}

/// [P-102]: a forged frame is a forgery wherever its number lies, and does not move the window.
#[test]
fn a_wrong_tag_does_not_move_the_window() {
    let mut h = responder(&[("auth", "siphash"), ("key", SIP)]);
    let mut forged = encode(&header(1, 1 << 40), &[], b"ping", Some(&sip()));
    forged[50] ^= 1;
    assert_eq!(sealed(&mut h, PEER, &forged), None);
    assert_eq!(h.counter("malformed_bad_auth_total"), 1);
    assert!(sealed(&mut h, PEER, &encode(&header(1, 1), &[], b"ping", Some(&sip()))).is_some());
}

#[test]
fn errors_and_cookies_are_sealed_too() {
    let mut h = responder(&[("service", "time"), ("auth", "siphash"), ("key", SIP)]);
    let room = FrameOption::Room(&[0; 16]);
    let refusal = sealed(&mut h, PEER, &encode(&header(1, 1), &[room], b"", Some(&sip()))).unwrap();
    assert_eq!((refusal.code(), refusal.len), (Code::COOKIE_REQUIRED, 80));
    let cookie = FrameOption::Cookie(refusal.cookie.unwrap());
    let again = Header { attempt: 1, ..header(1, 1) };
    let answer = sealed(&mut h, PEER, &encode(&again, &[cookie], b"", Some(&sip()))).unwrap();
    assert_eq!((answer.header.kind, answer.len), (Kind::Response, 85));
    let critical = FrameOption::Other { number: 0xC7, value: b"" };
    let answer = sealed(&mut h, PEER, &encode(&header(2, 2), &[critical], b"", Some(&sip()))).unwrap();
    assert_eq!(answer.code(), Code::UNKNOWN_CRITICAL_OPTION);
}

#[test]
fn options_that_contradict_each_other_are_refused_by_name() {
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("auth", "siphash")], "auth"),
        (&[("key", SIP)], "key"),
        (&[("auth", "siphash"), ("key", "0011")], "key"),
        (&[("auth", "hmac"), ("key", "0011")], "key"),
        (&[("auth", "siphash"), ("key", "not hexadecimal digits at all!!!")], "key"),
        (&[("auth", "hmac"), ("key", "000102030405060708090a0b0c0d0e0f0")], "key"),
        (&[("cookie_secret", "00")], "cookie_secret"),
        (&[("cache_bytes", "1KiB")], "cache_bytes"),
    ];
    for (options, at_fault) in cases {
        let refused = Harness::<Responder>::try_new(options, 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(at_fault), "{options:?}: {refused}");
        assert!(!refused.message.contains("hexadecimal digits at all"), "the secret is not repeated");
    }
    let mut h = responder(&[]);
    assert!(h.reconfigure(&[("auth", "siphash")]).is_err());
}

#[test]
fn a_key_proves_no_address_since_what_was_captured_may_come_from_elsewhere() {
    let mut h = responder(&[("auth", "siphash"), ("key", SIP)]);
    h.send(PEER, &encode(&header(1, 1), &[], b"ping", Some(&sip())));
    assert!(!h.sent().pop().unwrap().proved);
    let mut open = responder(&[]);
    open.send(PEER, &encode(&header(1, 1), &[], b"ping", None));
    assert!(!open.sent().pop().unwrap().proved);
}
