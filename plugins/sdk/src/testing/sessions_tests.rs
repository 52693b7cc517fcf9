//! Sessions in the test kit: what a handler asks for, and what it is told.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Harness, Incoming, LOCAL, Outcome};
use crate::prelude::*;
use crate::{End, Event, NetErrorKind, Session, SessionId};

const UPSTREAM: &str = "203.0.113.5:53";

/// Relays each client by a session of its own; what begins with a letter of its own does something else.
struct Relay {
    clients: Vec<(SocketAddr, SessionId)>,
    opened: u64,
}

impl Handler for Relay {
    type Config = ();
    const SESSIONS: bool = true;

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let kept = setup.sessions().filter(|old| old.user() != 9);
        let clients = kept.filter_map(|old| Some((old.client()?, old.keep(old.user() + 100)?))).collect();
        Ok(Self { clients, opened: 0 })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            if datagram.session().is_some() {
                datagram.to_client();
                continue;
            }
            let client = datagram.peer();
            let known = self.clients.iter().find(|(known, _)| *known == client).map(|(_, id)| *id);
            self.opened += 1;
            let to = UPSTREAM.parse().unwrap();
            let fresh = Session::to(to).idle(Duration::from_secs(60)).user(self.opened).client(&datagram);
            let Some(id) = known.or_else(|| batch.open(fresh)) else { return datagram.discard() };
            if known.is_none() {
                self.clients.push((client, id));
            }
            match datagram.payload().first() {
                Some(b'x') => {
                    batch.send_session(id, b"bye");
                    batch.close(id);
                }
                Some(b'!') => panic!("as asked"),
                Some(b'c') => {
                    batch.send_client(id, b"to the client");
                }
                _ => {
                    datagram.to_session(id);
                }
            }
        }
    }

    fn on_session(&mut self, event: &Event, batch: &mut Batch<'_>) {
        match event {
            Event::Closed(closed) => {
                batch.log(Level::Info, closed);
                self.clients.retain(|(_, id)| *id != closed.id());
            }
            Event::Error(error) => batch.log(Level::Warn, error),
        }
    }
}

#[test]
fn each_client_has_a_session_and_answers_come_back_to_it() {
    let mut host = Harness::<Relay>::new(&[]);
    host.send("192.0.2.7:1", b"one");
    host.send("192.0.2.8:1", b"two");
    let open = host.sessions();
    let seen: Vec<_> = open.iter().map(|s| (s.client.unwrap().to_string(), s.user, s.sent)).collect();
    assert_eq!(seen, [("192.0.2.7:1".to_owned(), 1, 1), ("192.0.2.8:1".to_owned(), 2, 1)]);
    let sent = host.sent();
    assert_eq!((sent[1].to.to_string(), sent[1].via), (UPSTREAM.to_owned(), Some(open[1].id)));
    host.upstream(open[1].id, b"answer");
    let sent = host.sent();
    assert_eq!((sent[0].to.to_string(), sent[0].from, sent[0].via), ("192.0.2.8:1".to_owned(), LOCAL, None));
    assert_eq!(sent[0].payload, b"answer");
    host.send("192.0.2.8:1", b"c");
    assert_eq!(host.sent()[0].payload, b"to the client");
    assert_eq!(host.bad(), 0);
}

#[test]
fn neighbours_to_one_session_are_one_entry() {
    let mut host = Harness::<Relay>::new(&[]);
    host.set_memory(super::Memory { tx_cap: 1, flushes: 0, ..super::Memory::default() });
    let batch: Vec<_> = (0..50).map(|_| ("192.0.2.7:1", &b"abc"[..])).collect();
    host.send_batch(&batch);
    assert_eq!((host.sent().len(), host.refused()), (50, 0));
    let id = host.sessions()[0].id;
    let upstream: Vec<_> = (0..50).map(|_| Incoming::new(LOCAL, b"def")).collect();
    host.deliver_by(id, &upstream);
    assert_eq!((host.sent().len(), host.refused()), (50, 0));
}

#[test]
fn one_call_may_hold_datagrams_of_several_sessions_and_of_the_listener() {
    let mut host = Harness::<Relay>::new(&[]);
    ["192.0.2.7:1", "192.0.2.8:1"].iter().for_each(|client| _ = host.send(*client, b"hello"));
    let ids: Vec<_> = host.sessions().iter().map(|session| session.id).collect();
    host.sent();
    let incoming = |peer: &str, payload: &[u8]| Incoming::new(peer.parse().unwrap(), payload);
    host.deliver_together(&[
        (Some(ids[1]), incoming(UPSTREAM, b"two")),
        (None, incoming("192.0.2.7:1", b"more")),
        (Some(ids[0]), incoming(UPSTREAM, b"one")),
    ]);
    let sent: Vec<_> = host.sent().iter().map(|sent| (sent.to.to_string(), sent.via)).collect();
    let to = |text: &str, via| (text.to_owned(), via);
    assert_eq!(sent, [to("192.0.2.8:1", None), to(UPSTREAM, Some(ids[0])), to("192.0.2.7:1", None)]);
}

#[test]
fn a_limit_of_sessions_lets_no_more_be_opened_and_an_end_too_many_is_counted() {
    let mut host = Harness::<Relay>::new(&[]);
    host.set_most_sessions(2);
    host.send_batch(&[("192.0.2.7:1", &b"a"[..]), ("192.0.2.8:1", b"b"), ("192.0.2.9:1", b"c")]);
    assert_eq!((host.sessions().len(), host.discarded()), (2, 1));
    host.send_batch(&[("192.0.2.7:1", &b"x"[..]), ("192.0.2.7:1", b"x")]);
    assert_eq!((host.sessions().len(), host.ends_in_vain()), (1, 1));
}

#[test]
fn what_was_queued_for_a_session_that_is_closed_still_leaves() {
    let mut host = Harness::<Relay>::new(&[]);
    host.send("192.0.2.7:1", b"x");
    assert_eq!(host.sent()[0].payload, b"bye");
    assert!(host.sessions().is_empty());
    let line =
        "192.0.2.7:1 -> 203.0.113.5:53 by 198.51.100.1:40001; sent 1 (3 bytes), received 0 (0 bytes): closed";
    assert_eq!(host.lines(), [line]);
}

#[test]
fn a_session_ends_when_it_is_idle_and_not_before() {
    let mut host = Harness::<Relay>::new(&[]);
    host.send("192.0.2.7:1", b"one");
    let _ = host.advance(Duration::from_secs(50));
    let id = host.sessions()[0].id;
    host.upstream(id, b"still there");
    let _ = host.advance(Duration::from_secs(59));
    assert_eq!((host.sessions().len(), host.lines().len()), (1, 0));
    let _ = host.advance(Duration::from_secs(1));
    assert!(host.sessions().is_empty() && host.lines()[0].ends_with(": idle"));
}

#[test]
fn what_cannot_be_opened_is_told_and_what_was_for_it_is_lost() {
    let mut host = Harness::<Relay>::new(&[]);
    for (end, words) in [(End::NoPort, "no port is left"), (End::NoFile, "no descriptor is left")] {
        host.refuse_opens(Some(end));
        host.send("192.0.2.7:1", b"one");
        assert!(host.lines()[0].ends_with(words));
    }
    assert_eq!((host.sessions().len(), host.sent().len(), host.lost()), (0, 0, 2));
    host.refuse_opens(None);
    host.send("192.0.2.7:1", b"one");
    assert_eq!(host.sent().len(), 1);
}

#[test]
fn the_network_is_heard_and_the_session_stays() {
    let mut host = Harness::<Relay>::new(&[]);
    host.send("192.0.2.7:1", b"one");
    let id = host.sessions()[0].id;
    host.fail(id, NetErrorKind::Refused);
    assert!(host.lines()[0].ends_with(": refused"));
    assert_eq!(host.sessions().len(), 1);
}

#[test]
fn a_new_instance_keeps_the_sessions_it_wants() {
    let mut host = Harness::<Relay>::new(&[]);
    host.send("192.0.2.7:1", b"one");
    host.send("192.0.2.8:1", b"two");
    let before = host.sessions();
    assert_eq!(host.send("192.0.2.9:1", b"!"), Outcome::Fatal);
    host.restart().unwrap();
    let after = host.sessions();
    assert_eq!(
        after.iter().map(|s| (s.id, s.user)).collect::<Vec<_>>(),
        [(before[0].id, 101), (before[1].id, 102)]
    );
    host.sent();
    host.upstream(after[1].id, b"late answer");
    assert_eq!(host.sent()[0].to.to_string(), "192.0.2.8:1");
}

#[test]
fn nothing_was_opened_by_a_call_that_broke() {
    let mut host = Harness::<Relay>::new(&[]);
    assert_eq!(host.send("192.0.2.7:1", b"!"), Outcome::Fatal);
    assert!(host.sessions().is_empty());
}

#[test]
fn an_older_host_has_no_sessions() {
    let mut host = Harness::<Relay>::new(&[]);
    host.set_host_minor(2);
    host.restart().unwrap();
    host.send("192.0.2.7:1", b"one");
    assert_eq!((host.sessions().len(), host.discarded(), host.bad()), (0, 1, 0));
}
