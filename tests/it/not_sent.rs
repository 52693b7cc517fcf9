//! What a handler is told at once of where it may send: the same that is counted when its call is settled.

use std::net::SocketAddr;

use polyport_abi::{
    OK, REFUSED_DESTINATION, REFUSED_GROUP, REFUSED_LOOP_PORT, REFUSED_OWN_LISTENER, REFUSED_SAME_PORT,
    REFUSED_SOURCE,
};
use polyport_tests::plugins::{compile_c, fixture, spec};

use crate::polyport;

/// A `pp_addr`; of family 0 without an address.
fn raw(address: Option<SocketAddr>) -> [u8; 24] {
    let mut raw = [0; 24];
    if let Some(address) = address {
        match address {
            SocketAddr::V4(v4) => raw[..4].copy_from_slice(&v4.ip().octets()),
            SocketAddr::V6(v6) => raw[..16].copy_from_slice(&v6.ip().octets()),
        }
        raw[16..18].copy_from_slice(&address.port().to_ne_bytes());
        raw[18] = if address.is_ipv4() { 4 } else { 6 };
    }
    raw
}

#[test]
fn what_will_not_leave_is_known_at_once_and_counted_later_for_the_same_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("refused"), &[], dir.path(), "refused") else { return };
    let daemon = polyport()
        .listen(spec("127.0.0.1:0", &library) + ",name=asks")
        .listen("0.0.0.0:0=echo,name=wild")
        .serve();
    let [own, wild] = [0, 1].map(|at| daemon.addresses()[at].port());
    let client = daemon.client(0);
    let away = client.local();
    let at = |text: &str, port: u16| Some(SocketAddr::new(text.parse().unwrap(), port));
    let cases = [
        (Some(away), None, OK, "sent"),
        (Some(away), at("127.0.0.1", 0), OK, "sent"),
        (Some(away), at("127.0.0.1", own), OK, "sent"),
        (Some(away), at("127.0.0.1", own ^ 1), REFUSED_SOURCE, "bad_tx"),
        (at("127.0.0.1", own), None, REFUSED_OWN_LISTENER, "own_listener"),
        (at("127.0.0.9", wild), None, REFUSED_OWN_LISTENER, "own_listener"),
        (at("239.1.2.3", away.port()), None, REFUSED_GROUP, "group"),
        (at("127.0.0.1", 19), None, REFUSED_LOOP_PORT, "loop_port"),
        (at("127.0.0.9", own), None, REFUSED_SAME_PORT, "same_port"),
        (at("::1", away.port()), None, REFUSED_DESTINATION, "no_destination"),
        (at("127.0.0.1", 0), None, REFUSED_DESTINATION, "invalid"),
        (None, None, REFUSED_DESTINATION, "no_destination"),
    ];
    for (to, from, expected, _) in cases {
        client.send(&[raw(to), raw(from)].concat());
        let mut answer = client.receive();
        if answer == b"x" {
            answer = client.receive();
        }
        assert_eq!(i32::from(answer[0]), expected, "to {to:?} from {from:?}");
    }
    let served = daemon.stop();
    for (what, count) in [
        // Each answer as well.
        ("sent", cases.len() as u64 + 3),
        ("bad_tx", 1),
        ("own_listener", 2),
        ("group", 1),
        ("loop_port", 1),
        ("same_port", 1),
        ("no_destination", 2),
        ("invalid", 1),
    ] {
        assert_eq!(served.sent("asks", what), count, "{what}");
    }
}
