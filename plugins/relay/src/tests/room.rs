//! As many sessions as may be, by the options or by the host.

use polyport_plugin::End;
use polyport_plugin::testing::Harness;

use super::{A, CLIENT, client, only, refused, relay, seconds};
use crate::Relay;

#[test]
fn at_the_limit_newcomers_are_refused_and_old_ones_served() {
    let mut h = relay(&[("to", A), ("sessions", "2")]);
    (1..=3).for_each(|n| _ = h.send(client(n), b"x"));
    assert_eq!((h.sessions().len(), refused(&h), h.discarded()), (2, [0, 1, 0, 0, 0], 1));
    h.send(client(1), b"x");
    assert_eq!(h.counter("up_datagrams_total"), 3);
}

#[test]
fn or_the_one_ends_that_was_silent_for_longest() {
    let mut h = relay(&[("to", A), ("sessions", "3"), ("full", "oldest"), ("idle", "1h")]);
    for n in 1..=3 {
        h.send(client(n), b"x");
        seconds(&mut h, 1);
    }
    // The first is answered last; the second never, and was there before the third.
    let first = h.sessions()[0].id;
    h.upstream(first, b"x");
    h.send(client(4), b"x");
    let there: Vec<_> = h.sessions().iter().map(|session| session.client.unwrap()).collect();
    assert_eq!(there, [client(1), client(3), client(4)]);
    assert_eq!((h.counter("closed_full_total"), h.gauge("sessions")), (1, 3));
    assert!(h.lines()[0].contains("silent for longest"));
    seconds(&mut h, 1);
    h.send(client(5), b"x");
    h.send(client(6), b"x");
    let there: Vec<_> = h.sessions().iter().map(|session| session.client.unwrap()).collect();
    assert_eq!(there, [client(4), client(5), client(6)]);
}

/// The clients of the sessions there are, in the order in which they were opened.
fn there(h: &Harness<Relay>) -> Vec<std::net::SocketAddr> {
    h.sessions().iter().map(|session| session.client.unwrap()).collect()
}

/// The host has no room for a session more, so the oldest has to go first: the newcomer's next datagram gets in.
#[test]
fn where_the_host_has_the_same_limit_or_a_smaller_one_the_oldest_makes_room_as_well() {
    for own in ["2", "100"] {
        let mut h = relay(&[("to", A), ("sessions", own), ("full", "oldest"), ("idle", "1h")]);
        h.set_most_sessions(2);
        for n in 1..=2 {
            h.send(client(n), b"x");
            seconds(&mut h, 1);
        }
        for n in 3..=6 {
            h.send(client(n), b"comes too early");
            assert_eq!(there(&h), [client(n - 1)]);
            h.send(client(n), b"gets in");
            assert_eq!(there(&h), [client(n - 1), client(n)]);
            seconds(&mut h, 1);
        }
        assert_eq!((refused(&h), h.counter("closed_full_total"), h.bad()), ([0, 4, 0, 0, 0], 4, 0), "{own}");
        assert_eq!(h.ends_in_vain(), 0);
    }
}

/// However many come at once, and however often each of them asks.
#[test]
fn one_place_is_made_a_call_and_none_where_one_was_taken() {
    let mut h = relay(&[("to", A), ("sessions", "4"), ("full", "oldest"), ("idle", "1h")]);
    h.set_most_sessions(4);
    (1..=4).for_each(|n| _ = h.send(client(n), b"x"));
    seconds(&mut h, 1);
    h.send_batch(&[(client(5), b"x"), (client(5), b"x"), (client(6), b"x"), (client(7), b"x")]);
    assert_eq!((there(&h), refused(&h)[1]), (vec![client(2), client(3), client(4)], 4));
    // One gets in, and the others may have met the limit of one call.
    h.send_batch(&[(client(6), b"x"), (client(5), b"x"), (client(7), b"x")]);
    assert_eq!(there(&h), [client(2), client(3), client(4), client(6)]);
    seconds(&mut h, 1);
    h.send(client(5), b"x");
    h.send(client(5), b"x");
    assert_eq!(there(&h), [client(3), client(4), client(6), client(5)]);
}

#[test]
fn without_full_oldest_nobody_has_to_go() {
    let mut h = relay(&[("to", A)]);
    h.set_most_sessions(1);
    (1..=3).for_each(|n| _ = h.send(client(n), b"x"));
    assert_eq!((there(&h), refused(&h)[1]), (vec![client(1)], 2));
}

/// The host has said yes, and then it was too late.
#[test]
fn a_limit_that_is_told_afterwards_makes_room_too() {
    let mut h = relay(&[("to", A), ("full", "oldest"), ("idle", "1h")]);
    h.send(client(1), b"x");
    seconds(&mut h, 1);
    h.refuse_opens(Some(End::Limit));
    h.send(client(2), b"x");
    assert_eq!((h.sessions().len(), refused(&h)[1], h.counter("closed_full_total")), (0, 1, 1));
}

/// It gives its own place back, and its next datagram has another session.
#[test]
fn a_session_moves_where_the_host_has_no_room_for_two() {
    let mut h = relay(&[("to", A)]);
    h.set_most_sessions(1);
    h.send(CLIENT, b"x");
    let first = only(&h);
    h.upstream(first, b"answer");
    h.send(CLIENT, b"nobody answers");
    seconds(&mut h, 10);
    h.sent();
    h.send(CLIENT, b"and this still leaves");
    assert_eq!((h.sent()[0].via, h.sessions().len(), h.counter("moved_total")), (Some(first), 0, 1));
    h.send(CLIENT, b"by another port");
    assert_ne!(only(&h), first);
}
