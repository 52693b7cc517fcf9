//! Replies longer than their request: only for who has shown that the address is his.

use core::time::Duration;

use polyport_plugin::abi;
use polyport_plugin::testing::{Incoming, LOCAL, START_WALL_NS};
use polyport_protocol::{CookieScope, CookieSecrets};

use super::*;

/// The text of `time` has 25 octets: 5 more than the 64 octets of this request allow.
const WITH_ROOM: &[FrameOption<'_>] = &[FrameOption::Room(&[0; 16])];
const SECRET: &str = "101112131415161718191a1b1c1d1e1f";

fn timed(id: u64, options: &[FrameOption<'_>]) -> Vec<u8> {
    encode(&header(id, id), options, b"", None)
}

#[test]
fn a_longer_reply_takes_two_steps_and_one_execution() {
    let mut h = responder(&[("service", "time")]);
    let refusal = ask(&mut h, &timed(1, WITH_ROOM));
    assert_eq!((refusal.header.kind, refusal.code(), refusal.len), (Kind::Error, Code::COOKIE_REQUIRED, 64));
    h.advance(Duration::from_secs(1));
    let again = Header { attempt: 1, ..header(1, 1) };
    let cookie = FrameOption::Cookie(refusal.cookie.unwrap());
    let answer = ask(&mut h, &encode(&again, &[cookie], b"", None));
    assert_eq!((answer.header.kind, answer.len), (Kind::Response, 69));
    assert_eq!(answer.payload, b"unix 1700000000.000000000", "of the first attempt");
    assert_eq!((h.counter("executed_total"), h.counter("replies_too_long_total")), (1, 1));
    assert_eq!((h.counter("cookies_sent_total"), h.counter("cookies_valid_total")), (1, 1));
}

#[test]
fn without_room_for_a_cookie_the_refusal_says_so() {
    let mut h = responder(&[("service", "time")]);
    let refusal = ask(&mut h, &timed(1, &[]));
    assert_eq!((refusal.code(), refusal.len, refusal.cookie), (Code::REPLY_TOO_LARGE, 44, None));
    let refusal = ask(&mut h, &timed(2, &[FrameOption::Room(&[0; 14])]));
    assert_eq!((refusal.code(), refusal.len), (Code::REPLY_TOO_LARGE, 44));
}

#[test]
fn a_request_as_long_as_its_reply_needs_no_cookie() {
    let mut h = responder(&[("service", "time")]);
    let mut padded = [0; 69];
    Encoder::new(&mut padded, &header(1, 1)).pad_to(69).finish().unwrap();
    assert_eq!(ask(&mut h, &padded).len, 69);
}

#[test]
fn a_bad_cookie_counts_as_none_and_is_replaced_where_one_is_needed() {
    let mut h = responder(&[("service", "time")]);
    let bad = FrameOption::Cookie(Cookie([1; 16]));
    let refusal = ask(&mut h, &timed(1, &[bad]));
    assert_eq!((refusal.code(), refusal.len), (Code::BAD_COOKIE, 64));
    let answer = ask(&mut h, &timed(1, &[FrameOption::Cookie(refusal.cookie.unwrap())]));
    assert_eq!(answer.header.kind, Kind::Response);
    let mut echo = responder(&[]);
    assert_eq!(ask(&mut echo, &encode(&header(1, 1), &[bad], b"fits", None)).payload, b"fits");
    assert_eq!(echo.counter("cookies_invalid_total"), 1);
}

#[test]
fn cookies_are_those_of_the_specification_and_of_their_owner() {
    let mut h = responder(&[("service", "time"), ("cookie_secret", SECRET)]);
    let secrets = CookieSecrets::new(core::array::from_fn(|i| 0x10 + u8::try_from(i).unwrap()));
    let scope = CookieScope { peer: PEER.parse().unwrap(), local_port: 7, stream_id: 0xCAFE_F00D };
    let now = u32::try_from(START_WALL_NS / 1_000_000_000).unwrap();
    assert_eq!(ask(&mut h, &timed(1, WITH_ROOM)).cookie, Some(secrets.make(&scope, now)));
    let stolen = FrameOption::Cookie(secrets.make(&scope, now));
    let refusal = try_ask(&mut h, OTHER, &timed(1, &[stolen])).unwrap();
    assert_eq!(refusal.code(), Code::BAD_COOKIE);
    let ahead = FrameOption::Cookie(secrets.make(&scope, now + 301));
    assert_eq!(ask(&mut h, &timed(2, &[ahead])).code(), Code::BAD_COOKIE);
}

/// The kernel tells the address a datagram was sent to, not the port.
#[test]
fn the_port_of_the_listener_stands_in_for_one_that_is_not_told() {
    let mut h = responder(&[("service", "time")]);
    let first = ask(&mut h, &timed(1, WITH_ROOM)).cookie;
    for flags in [abi::RX_HAS_LOCAL, 0] {
        let mut incoming = Incoming::new(PEER.parse().unwrap(), &timed(2, WITH_ROOM));
        incoming.local.set_port(0);
        incoming.flags = flags;
        h.deliver(&[incoming]);
        assert_eq!(answers(&mut h, &Decoder::default())[0].cookie, first);
    }
    let own = LOCAL.to_string();
    let mut looped = Incoming::new(own.parse().unwrap(), &timed(3, WITH_ROOM));
    looped.local.set_port(0);
    h.deliver(&[looped]);
    assert_eq!((h.sent().len(), h.counter("loop_denied_total")), (0, 1));
}

#[test]
fn an_old_cookie_is_renewed_along_the_way() {
    let mut h = responder(&[("service", "time")]);
    let cookie = FrameOption::Cookie(ask(&mut h, &timed(1, WITH_ROOM)).cookie.unwrap());
    h.advance(Duration::from_secs(1799));
    assert_eq!(ask(&mut h, &timed(2, &[cookie])).cookie, None);
    h.advance(Duration::from_secs(1));
    let answer = ask(&mut h, &timed(3, &[cookie]));
    assert_eq!((answer.header.kind, answer.len), (Kind::Response, 89));
    assert_ne!(Some(cookie), answer.cookie.map(FrameOption::Cookie));
    h.advance(Duration::from_secs(1800));
    assert_eq!(ask(&mut h, &timed(4, &[cookie])).header.kind, Kind::Response, "an hour is allowed");
    h.advance(Duration::from_secs(1));
    assert_eq!(ask(&mut h, &timed(5, &[cookie])).code(), Code::BAD_COOKIE);
    assert_eq!(ask(&mut h, &timed(6, &[FrameOption::Cookie(answer.cookie.unwrap())])).len, 89, "and so on");
}

#[test]
fn a_validated_peer_gets_the_options_it_left_no_room_for() {
    for unlimited in ["false", "true"] {
        let mut h = responder(&[("service", "time"), ("unlimited_when_validated", unlimited)]);
        let cookie = FrameOption::Cookie(ask(&mut h, &timed(1, WITH_ROOM)).cookie.unwrap());
        let wants = flagged(header(2, 2), Flags::WANT_STATS | Flags::WANT_TIMES);
        let answer = ask(&mut h, &encode(&wants, &[cookie], b"", None));
        assert!(answer.rstat.is_some() && answer.times.is_some());
        assert_eq!(answer.len, 44 + 24 + 20 + 25);
    }
}

#[test]
fn the_secret_never_comes_from_the_seed_and_survives_a_reload() {
    let cookie = |h: &mut Harness<Responder>| ask(h, &timed(1, WITH_ROOM)).cookie.unwrap();
    let options = &[("service", "time")];
    let (mut a, mut b) = (Harness::with_seed(options, 1), Harness::with_seed(options, 1));
    let first = cookie(&mut a);
    assert_eq!(first, cookie(&mut b));
    assert_eq!(first, cookie(&mut Harness::with_seed(options, 2)), "whatever the seed");
    // A15: who knows the seed of the configuration can make no cookie for another daemon.
    b.set_secret([3; 32]);
    b.restart().unwrap();
    assert_ne!(first, cookie(&mut b));
    a.reload(options).unwrap();
    assert_eq!(ask(&mut a, &timed(2, &[FrameOption::Cookie(first)])).header.kind, Kind::Response);
    let configured = &[("service", "time"), ("cookie_secret", SECRET)];
    a.reload(configured).unwrap();
    let answer = ask(&mut a, &timed(3, &[FrameOption::Cookie(first)]));
    assert!(
        answer.header.kind == Kind::Response && answer.cookie.is_some(),
        "the old one is good, and renewed"
    );
    b.reconfigure(configured).unwrap();
    assert!(ask(&mut b, &timed(3, &[FrameOption::Cookie(first)])).cookie.is_some());
}

/// What the mixing function of the random numbers gives can be turned back, and random numbers are seen by others.
#[test]
fn what_is_drawn_cannot_be_turned_back() {
    let purposes = [crate::COOKIES, crate::DIGESTS, crate::CHOICES, crate::ERRORS];
    let drawn: Vec<_> = purposes.map(|s| crate::draw(&7_u64.to_be_bytes(), s)).to_vec();
    let mut secret = [7; 32];
    let of_all = crate::draw(&secret, crate::COOKIES);
    secret[31] = 8;
    assert_ne!(crate::draw(&secret, crate::COOKIES), of_all, "every octet counts");
    for (at, octets) in drawn.iter().enumerate() {
        assert_ne!(octets[..8], octets[8..]);
        assert!(!drawn[..at].contains(octets));
    }
    let reversible = polyport_plugin::mix(7, crate::CHOICES, 0);
    assert_ne!(crate::choices_seed(7), reversible);
    assert_ne!(drawn[0][..8], polyport_plugin::mix(7, crate::COOKIES, 0).to_be_bytes());
}

/// A9: what was captured before a restart proves nothing after it, though the secret is configured and the same.
#[test]
fn a_cookie_from_before_the_start_is_replaced() {
    let mut h = responder(&[("service", "time"), ("cookie_secret", SECRET)]);
    let before = FrameOption::Cookie(ask(&mut h, &timed(1, WITH_ROOM)).cookie.unwrap());
    h.advance(Duration::from_millis(300));
    assert_eq!(ask(&mut h, &timed(2, &[before])).header.kind, Kind::Response);
    h.restart().unwrap();
    let refusal = ask(&mut h, &timed(3, &[before]));
    assert_eq!(refusal.code(), Code::BAD_COOKIE);
    let fresh = FrameOption::Cookie(refusal.cookie.unwrap());
    assert_eq!(ask(&mut h, &timed(3, &[fresh])).header.kind, Kind::Response);
    h.advance(Duration::from_secs(2));
    h.reload(&[("service", "time")]).unwrap();
    assert_eq!(ask(&mut h, &timed(4, &[fresh])).header.kind, Kind::Response, "a reload hands the secret on");
}

/// A8: frames of an unknown version at 5,000 a second from the same net, and a client that needs a COOKIE.
#[test]
fn a_flood_of_errors_leaves_the_cookies() {
    let mut h = responder(&[("service", "time")]);
    let mut bad_version = [0; 52];
    Encoder::new(&mut bad_version, &header(7, 7)).pad_to(52).finish().unwrap();
    bad_version[4] = 5;
    for id in 0..100 {
        for _ in 0..50 {
            h.send("192.0.2.77:4000", &bad_version);
        }
        h.advance(Duration::from_millis(10));
        h.sent();
        let refusal = ask(&mut h, &timed(id, WITH_ROOM));
        assert_eq!(refusal.code(), Code::COOKIE_REQUIRED);
    }
    let (versions, suppressed) = (h.counter("versions_total"), h.counter("errors_suppressed_total"));
    assert!((195..=205).contains(&versions) && versions + suppressed == 5000, "{versions} {suppressed}");
}

/// The budget of the host does not count answers to a peer that has proved its address.
#[test]
fn a_valid_cookie_proves_the_address_for_the_datagram_that_carries_it() {
    let mut h = responder(&[("service", "time")]);
    let proved = |h: &mut Harness<Responder>, request: &[u8]| {
        h.send(PEER, request);
        h.sent().pop().unwrap().proved
    };
    let cookie = ask(&mut h, &timed(1, WITH_ROOM)).cookie.unwrap();
    assert!(!proved(&mut h, &timed(2, WITH_ROOM)), "there was no cookie");
    assert!(
        !proved(&mut h, &timed(2, &[FrameOption::Cookie(Cookie([1; 16]))])),
        "it was made by somebody else"
    );
    assert!(proved(&mut h, &timed(2, &[FrameOption::Cookie(cookie)])));
    assert!(!proved(&mut h, &timed(3, WITH_ROOM)), "a proof is not remembered: the next one may be forged");
}
