//! One call with datagrams of several sessions, of the listener, and of trains among them.

use polyport_plugin::SessionId;
use polyport_plugin::testing::{Harness, Incoming, Sent};

use super::{A, address, client, relay};
use crate::Relay;

fn up(n: u32, payload: &[u8]) -> (Option<SessionId>, Incoming) {
    (None, Incoming::new(client(n), payload))
}

fn down(id: SessionId, payload: &[u8]) -> (Option<SessionId>, Incoming) {
    (Some(id), Incoming::new(address(A), payload))
}

/// A relay with sessions of the clients from 1 on.
fn with_clients(options: &[(&str, &str)], count: u32) -> (Harness<Relay>, Vec<SessionId>) {
    let mut h = relay(options);
    (1..=count).for_each(|n| _ = h.send(client(n), b"first"));
    let ids = h.sessions().iter().map(|session| session.id).collect();
    h.sent();
    (h, ids)
}

/// What went to a client, in its order.
fn payloads(sent: &[Sent], to: u32) -> Vec<&[u8]> {
    sent.iter().filter(|sent| sent.to == client(to)).map(|sent| sent.payload.as_slice()).collect()
}

#[test]
fn each_answer_goes_to_the_client_of_its_own_session() {
    for options in
        [&[("to", A)][..], &[("to", A), ("tos", "copy")], &[("to", A), ("down.duplicate", "0.001%")]]
    {
        let (mut h, ids) = with_clients(options, 2);
        let (one, two) = (ids[0], ids[1]);
        // A train of one session, a train of the other right behind it, a lone one, and another train.
        let mut all: Vec<_> = (0..20_u8).map(|n| down(one, &[1, n])).collect();
        all.extend((0..20).map(|n| down(two, &[2, n])));
        all.push(down(one, &[1, 20]));
        all.extend((20..40).map(|n| down(two, &[2, n])));
        h.deliver_together(&all);
        let sent = h.sent();
        assert!(sent.iter().all(|sent| sent.via.is_none()));
        let expected = |of: u8, count: u8| (0..count).map(|n| vec![of, n]).collect::<Vec<_>>();
        assert_eq!((payloads(&sent, 1).len(), payloads(&sent, 2).len()), (21, 40), "{options:?}");
        assert_eq!(payloads(&sent, 1), expected(1, 21));
        assert_eq!(payloads(&sent, 2), expected(2, 40));
        assert_eq!((h.counter("down_datagrams_total"), h.bad(), h.refused()), (61, 0, 0));
    }
}

/// Not one entry goes by the session of somebody else, whoever stands between.
#[test]
fn clients_and_servers_in_one_call_do_not_mix() {
    let (mut h, ids) = with_clients(&[("to", A)], 2);
    let (one, two) = (ids[0], ids[1]);
    h.deliver_together(&[
        up(1, b"u1"),
        up(1, b"u1"),
        down(two, b"d2"),
        down(two, b"d2"),
        up(1, b"u1"),
        down(one, b"d1"),
        up(2, b"u2"),
        up(3, b"new"),
        down(one, b"d1"),
    ]);
    let sent = h.sent();
    let by =
        |id: SessionId| sent.iter().filter(move |sent| sent.via == Some(id)).map(|sent| &sent.payload[..]);
    assert_eq!(by(one).collect::<Vec<_>>(), [b"u1"; 3]);
    assert_eq!(by(two).collect::<Vec<_>>(), [b"u2"]);
    assert_eq!(by(h.sessions()[2].id).collect::<Vec<_>>(), [b"new"]);
    assert_eq!((payloads(&sent, 1), payloads(&sent, 2)), (vec![&b"d1"[..]; 2], vec![&b"d2"[..]; 2]));
    assert_eq!((h.bad(), h.discarded(), h.lost()), (0, 0, 0));
}

/// Its answers are complete in the middle of the call: what more comes for it is passed on, and its client begins anew.
#[test]
fn a_session_that_ends_in_a_call_ends_once() {
    let (mut h, ids) = with_clients(&[("to", A), ("replies", "1")], 2);
    let (one, two) = (ids[0], ids[1]);
    h.deliver_together(&[
        down(one, b"a"),
        down(one, b"a"),
        down(two, b"b"),
        down(one, b"a"),
        up(1, b"next"),
        up(1, b"next"),
    ]);
    assert_eq!((h.ends_in_vain(), h.counter("closed_replies_total"), h.bad()), (0, 2, 0));
    let sent = h.sent();
    assert_eq!((payloads(&sent, 1).len(), payloads(&sent, 2).len()), (3, 1));
    let open = h.sessions();
    assert_eq!((open.len(), open[0].client), (1, Some(client(1))));
    assert_eq!(sent.iter().filter(|sent| sent.via == Some(open[0].id)).count(), 2, "by the new one");
}

/// What a client sends behind the answer that ended its session, with nobody between, needs another one too.
#[test]
fn the_session_of_the_datagram_before_may_have_ended_since() {
    let (mut h, ids) = with_clients(&[("to", A), ("replies", "1")], 1);
    h.upstream(ids[0], b"a");
    h.send(client(1), b"q");
    let second = h.sessions()[0].id;
    h.sent();
    h.deliver_together(&[up(1, b"q"), down(second, b"a"), down(second, b"a"), up(1, b"q")]);
    let sent = h.sent();
    let third = h.sessions()[0].id;
    assert!(third != second && sent.iter().any(|sent| sent.via == Some(third)), "{sent:?}");
    assert_eq!(h.ends_in_vain(), 0);
}

/// Answers of a session that ends must not bring it back into the order by which the oldest is found.
#[test]
fn answers_of_a_session_that_ends_make_nobody_older() {
    let options = [("to", A), ("replies", "1"), ("sessions", "3"), ("full", "oldest"), ("idle", "1h")];
    let (mut h, ids) = with_clients(&options, 3);
    h.deliver_together(&[down(ids[0], b"a"), down(ids[0], b"a"), down(ids[0], b"a")]);
    let (ends, full) = (h.ends_in_vain(), |h: &Harness<Relay>| h.counter("closed_full_total"));
    assert_eq!((ends, h.sessions().len(), full(&h)), (0, 2, 0));
    (4..=12).for_each(|n| _ = h.send(client(n), b"x"));
    let there: Vec<_> = h.sessions().iter().map(|session| session.client.unwrap()).collect();
    assert_eq!((there, full(&h)), (vec![client(10), client(11), client(12)], 8));
}
