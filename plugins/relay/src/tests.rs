//! The whole handler in the host in miniature.

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::testing::{Harness, Incoming, Outcome};
use polyport_plugin::{End, NetErrorKind, SessionId};

use crate::Relay;

mod network;
mod room;
mod together;

const A: &str = "203.0.113.1:53";
const B: &str = "203.0.113.2:53";
const CLIENT: &str = "192.0.2.7:1000";
/// Longest that a lookup of `localhost` takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn relay(options: &[(&str, &str)]) -> Harness<Relay> {
    Harness::new(options)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn client(n: u32) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(n % 250).unwrap()], u16::try_from(1000 + n / 250).unwrap()))
}

fn only(h: &Harness<Relay>) -> SessionId {
    let open = h.sessions();
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].id
}

fn upstream_of(h: &Harness<Relay>, client: &str) -> SocketAddr {
    let open = h.sessions();
    let own = open.iter().find(|session| session.client == Some(address(client))).expect("a session");
    own.upstream.unwrap()
}

fn seconds(h: &mut Harness<Relay>, n: u64) {
    assert_eq!(h.advance(Duration::from_secs(n)), Outcome::Done);
}

fn refused(h: &Harness<Relay>) -> [u64; 5] {
    ["upstream", "sessions", "opens", "port", "file"].map(|why| h.counter(&format!("refused_{why}_total")))
}

#[test]
fn each_client_has_a_session_and_both_ways_are_counted() {
    let mut h = relay(&[("to", A)]);
    h.send_batch(&[(client(1), &b"one"[..]), (client(2), b"two!"), (client(1), b"")]);
    assert_eq!((h.sessions().len(), h.gauge("sessions")), (2, 2));
    let sent = h.sent();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|sent| sent.to == address(A) && sent.via.is_some()));
    assert_ne!(sent[0].via, sent[1].via);
    let (first, second) = (sent[0].via.unwrap(), sent[1].via.unwrap());
    h.upstream(second, b"answer");
    h.upstream(first, b"");
    let sent = h.sent();
    assert_eq!([sent[0].to, sent[1].to], [client(2), client(1)]);
    assert_eq!((h.counter("up_datagrams_total"), h.counter("up_bytes_total")), (3, 7));
    assert_eq!((h.counter("down_datagrams_total"), h.counter("down_bytes_total")), (2, 6));
    assert_eq!((h.counter("opened_total"), h.bad(), h.discarded()), (2, 0, 0));
}

#[test]
fn neighbours_are_one_entry_each_way() {
    let mut h = relay(&[("to", A)]);
    h.set_memory(polyport_plugin::testing::Memory { tx_cap: 1, flushes: 0, ..Default::default() });
    let train: Vec<_> = (0..64).map(|_| (CLIENT, &b"abc"[..])).collect();
    h.send_batch(&train);
    assert_eq!((h.sent().len(), h.refused()), (64, 0));
    let id = only(&h);
    let back: Vec<_> = (0..64).map(|_| Incoming::new(address(A), b"def")).collect();
    h.deliver_by(id, &back);
    assert_eq!((h.sent().len(), h.refused()), (64, 0));
}

#[test]
fn a_client_that_asks_another_address_has_another_session() {
    let mut h = relay(&[("to", A)]);
    h.send(CLIENT, b"one");
    h.send(CLIENT, b"one");
    assert_eq!(h.sessions().len(), 1);
    let group = Incoming::multicast(address(CLIENT), address("224.0.0.9:7"), b"x");
    let broadcast = Incoming::broadcast(address(CLIENT), address("198.51.100.255:7"), b"x");
    h.deliver(&[group, broadcast]);
    assert_eq!((h.sessions().len(), h.counter("groups_total"), h.discarded()), (1, 2, 2));
}

#[test]
fn an_idle_session_ends_with_its_line() {
    let mut h = relay(&[("to", A), ("idle", "30s")]);
    h.send(CLIENT, &[0; 1200]);
    let id = only(&h);
    seconds(&mut h, 20);
    h.upstream(id, b"answer");
    seconds(&mut h, 40);
    assert_eq!((h.sessions().len(), h.gauge("sessions"), h.counter("closed_idle_total")), (0, 0, 1));
    let line = "192.0.2.7:1000 -> 203.0.113.1:53 by :40001, 50.0s, idle; up 1 (1.2 KiB, lost 0), down 1 (6 B, lost 0); errors 0";
    assert_eq!(h.lines(), [line]);
    h.send(CLIENT, b"again");
    assert_eq!(h.counter("opened_total"), 2);
}

#[test]
fn who_is_there_when_the_relay_stops_has_a_line_and_of_many_the_others_are_counted() {
    let mut h = relay(&[("to", "203.0.113.1:53"), ("up.loss", "100%")]);
    h.send(CLIENT, b"x");
    h.reconfigure(&[("to", "203.0.113.1:53")]).unwrap();
    (0..2).for_each(|_| _ = h.send(CLIENT, b"x"));
    let id = only(&h);
    h.upstream(id, b"x");
    let line = "192.0.2.7:1000 -> 203.0.113.1:53, open at the end; up 2 (lost 1), down 1 (lost 0); errors 0";
    assert_eq!(h.stop(), [line]);

    let mut h = relay(&[("to", A)]);
    (0..40).for_each(|n| _ = h.send(client(n), b"x"));
    let lines = h.stop();
    assert_eq!((lines.len(), lines[32].as_str()), (33, "8 more sessions are open at the end"));
    let mut h = relay(&[("to", A), ("log", "off")]);
    h.send(CLIENT, b"x");
    assert_eq!(h.stop().len(), 0);
}

#[test]
fn who_goes_on_by_another_instance_has_no_line_yet() {
    let mut h = relay(&[("to", A)]);
    h.send(CLIENT, b"x");
    h.reload(&[("to", A), ("tos", "copy")]).unwrap();
    assert_eq!(h.lines().len(), 0);
    // Its state was asked for, and it goes on all the same.
    let refusal = h.reload(&[("to", A), ("up.loss", "1%"), ("decisions", "/nobody/has/this")]).unwrap_err();
    assert_eq!(refusal.option.as_deref(), Some("decisions"));
    h.send(CLIENT, b"x");
    assert_eq!(h.stop().len(), 1);
}

#[test]
fn nothing_is_written_if_nothing_is_to_be() {
    let mut h = relay(&[("to", A), ("idle", "1s"), ("log", "off")]);
    h.send(CLIENT, b"x");
    seconds(&mut h, 2);
    assert_eq!((h.sessions().len(), h.lines().len()), (0, 0));
}

#[test]
fn a_session_ends_when_all_is_answered() {
    let mut h = relay(&[("to", A), ("replies", "2")]);
    h.send_batch(&[(CLIENT, &b"q"[..]), (CLIENT, b"q")]);
    let id = only(&h);
    for _ in 0..3 {
        h.upstream(id, b"a");
        assert_eq!(only(&h), id);
    }
    h.sent();
    h.upstream(id, b"a");
    assert_eq!((h.sent().len(), h.sessions().len(), h.counter("closed_replies_total")), (1, 0, 1));
    assert!(h.lines()[0].contains(", answered; up 2 "));
    h.send(CLIENT, b"q");
    assert_ne!(only(&h), id);
}

#[test]
fn so_many_sessions_begin_in_a_second() {
    let mut h = relay(&[("to", A), ("opens", "10")]);
    (0..30).for_each(|n| _ = h.send(client(n), b"x"));
    assert_eq!((h.sessions().len(), refused(&h)), (10, [0, 0, 20, 0, 0]));
    h.send(client(1), b"of one that has a session");
    assert_eq!(h.discarded(), 20);
    seconds(&mut h, 1);
    (30..60).for_each(|n| _ = h.send(client(n), b"x"));
    assert_eq!(h.sessions().len(), 20);
}

#[test]
fn who_is_refused_moves_if_another_is_up_and_was_not_answered() {
    let mut h = relay(&[("to", "203.0.113.1:53, 203.0.113.2:53"), ("select", "first")]);
    h.send(CLIENT, b"one");
    let first = only(&h);
    h.fail(first, NetErrorKind::Refused);
    assert_eq!(h.counter("upstream_refused_total"), 1);
    h.send(CLIENT, b"two");
    assert_eq!((upstream_of(&h, CLIENT), h.counter("moved_total")), (address(B), 1));
    assert!(h.lines()[0].contains(", moved; up 1 "));
    // An answered one stays: anybody can forge this.
    let second = only(&h);
    h.upstream(second, b"answer");
    for _ in 0..20 {
        h.fail(second, NetErrorKind::Refused);
        h.send(CLIENT, b"more");
    }
    assert_eq!(only(&h), second);
}

#[test]
fn with_one_upstream_a_refused_session_stays_as_it_is() {
    for how in ["move", "keep"] {
        let mut h = relay(&[("to", A), ("refused", how)]);
        h.send(CLIENT, b"one");
        let id = only(&h);
        for _ in 0..10 {
            h.fail(id, NetErrorKind::Unreachable);
            h.send(CLIENT, b"more");
        }
        assert_eq!((only(&h), h.counter("upstream_unreachable_total")), (id, 10));
        assert_eq!(h.counter("upstream_down_total"), u64::from(how == "move"));
        h.send(client(1), b"all down is all up");
        assert_eq!(h.sessions().len(), 2);
    }
}

/// Where `move` would, since another one is up.
#[test]
fn with_refused_keep_nobody_moves_and_nothing_goes_down() {
    for (how, goes, moved) in [("keep", A, 0), ("move", B, 1)] {
        let to = "203.0.113.1:53, 203.0.113.2:53";
        let mut h = relay(&[("to", to), ("select", "first"), ("refused", how), ("marks", "1")]);
        h.send(CLIENT, b"one");
        let id = only(&h);
        h.fail(id, NetErrorKind::Refused);
        h.send(CLIENT, b"two");
        assert_eq!((upstream_of(&h, CLIENT), h.counter("moved_total")), (address(goes), moved), "{how}");
        assert_eq!((h.counter("upstream_refused_total"), h.counter("upstream_down_total")), (1, moved));
    }
}

#[test]
fn so_many_marks_and_an_upstream_is_down_for_a_while() {
    let mut h = relay(&[("to", "203.0.113.1:53, 203.0.113.2:53"), ("select", "first"), ("marks", "2")]);
    for n in 1..=2 {
        h.send(client(n), b"x");
        let id = h.sessions().last().unwrap().id;
        h.fail(id, NetErrorKind::Refused);
    }
    assert_eq!((h.gauge("upstreams_down"), h.counter("upstream_down_total")), (1, 1));
    assert!(h.lines().iter().any(|line| line == "upstream 203.0.113.1:53 is down for 10s: refused"));
    h.send("192.0.2.7:9", b"x");
    assert_eq!(upstream_of(&h, "192.0.2.7:9"), address(B));
    seconds(&mut h, 10);
    h.send("192.0.2.7:10", b"x");
    assert_eq!((upstream_of(&h, "192.0.2.7:10"), h.gauge("upstreams_down")), (address(A), 0));
}

#[test]
fn who_falls_silent_is_left_for_another_upstream_or_another_port() {
    for (to, goes) in [(A, A), ("203.0.113.1:53, 203.0.113.2:53", B)] {
        let mut h = relay(&[("to", to), ("select", "first"), ("marks", "1")]);
        h.send(CLIENT, b"one");
        let first = only(&h);
        h.upstream(first, b"answer");
        seconds(&mut h, 100);
        for _ in 0..9 {
            h.send(CLIENT, b"nobody says a word");
            seconds(&mut h, 1);
        }
        assert_eq!(only(&h), first);
        seconds(&mut h, 1);
        h.send(CLIENT, b"and is left");
        assert_eq!(h.sent().last().unwrap().via, Some(only(&h)), "by the new one");
        assert_ne!(only(&h), first);
        assert_eq!((upstream_of(&h, CLIENT), h.counter("moved_total")), (address(goes), 1));
        assert_eq!(h.counter("upstream_down_total"), 1);
    }
}

#[test]
fn silence_means_nothing_where_nobody_is_ever_answered_or_where_it_is_off() {
    for options in [&[("to", A)][..], &[("to", A), ("silence", "0s")]] {
        let mut h = relay(options);
        h.send(CLIENT, b"syslog");
        let id = only(&h);
        if options.len() > 1 {
            h.upstream(id, b"answer");
        }
        for _ in 0..50 {
            seconds(&mut h, 3);
            h.send(CLIENT, b"more");
        }
        assert_eq!((only(&h), h.counter("moved_total")), (id, 0));
    }
}

#[test]
fn a_hash_keeps_a_client_at_its_upstream_and_affinity_says_what_a_client_is() {
    let to = "203.0.113.1:53, 203.0.113.2:53, 203.0.113.3:53*2";
    let chosen = |affinity: &str| {
        let mut h = relay(&[("to", to), ("affinity", affinity)]);
        (0..60).for_each(|port| _ = h.send(SocketAddr::from(([192, 0, 2, 1], 1000 + port)), b"x"));
        h.sessions().iter().map(|session| session.upstream.unwrap().to_string()).collect::<Vec<_>>()
    };
    let by_address = chosen("address");
    assert_eq!(by_address, chosen("address"), "in every process");
    let kinds = |chosen: &[String]| chosen.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((kinds(&by_address), kinds(&chosen("ip"))), (3, 1));
}

#[test]
fn a_session_that_cannot_be_made_is_counted_by_its_reason() {
    for (end, at) in [(End::NoPort, 3), (End::NoFile, 4), (End::Limit, 1), (End::RefusedAddress, 0)] {
        let mut h = relay(&[("to", A)]);
        h.refuse_opens(Some(end));
        h.send(CLIENT, b"x");
        assert_eq!((h.sessions().len(), h.gauge("sessions"), h.counter("failed_total")), (0, 0, 1));
        let mut expected = [0; 5];
        expected[at] = 1;
        assert_eq!((refused(&h), h.lost()), (expected, 1), "{end}");
        h.refuse_opens(None);
        h.send(CLIENT, b"x");
        assert_eq!(h.sessions().len(), 1, "{end}");
    }
}

#[test]
fn where_ports_are_used_up_the_next_source_has_some() {
    let mut h = relay(&[("to", A), ("source", "198.51.100.2, 198.51.100.3")]);
    let from = |h: &mut Harness<Relay>| h.sent().last().map(|sent| sent.from.ip().to_string());
    h.send(client(1), b"x");
    assert_eq!(from(&mut h).as_deref(), Some("198.51.100.2"));
    h.refuse_opens(Some(End::NoPort));
    h.send(client(2), b"x");
    h.refuse_opens(None);
    h.send(client(2), b"x");
    assert_eq!(from(&mut h).as_deref(), Some("198.51.100.3"));
    h.refuse_opens(Some(End::NoPort));
    h.send_batch(&[(client(3), &b"x"[..]), (client(4), b"x")]);
    h.refuse_opens(None);
    h.send(client(3), b"x");
    assert_eq!(from(&mut h).as_deref(), Some("198.51.100.2"));
    assert_eq!(refused(&h), [0, 0, 0, 3, 0]);
}

#[test]
fn too_long_for_the_path_is_counted_and_said_once_a_session() {
    let mut h = relay(&[("to", A), ("df", "true")]);
    h.send(CLIENT, b"x");
    let id = only(&h);
    (0..3).for_each(|_| _ = h.fail(id, NetErrorKind::TooBig));
    assert_eq!(h.counter("too_big_total"), 3);
    assert_eq!(h.lines(), ["192.0.2.7:1000 -> 203.0.113.1:53: too long for the path"]);
}

#[test]
fn dscp_and_ecn_go_through_if_they_are_to() {
    for (tos, expected) in [("clear", 0), ("copy", 0xba)] {
        let mut h = relay(&[("to", A), ("tos", tos)]);
        h.deliver(&[Incoming { tos: 0xba, ..Incoming::new(address(CLIENT), b"x") }]);
        let id = only(&h);
        h.deliver_by(id, &[Incoming { tos: 0xba, ..Incoming::new(address(A), b"x") }]);
        let sent: Vec<_> = h.sent().iter().map(|sent| sent.tos).collect();
        assert_eq!(sent, [expected; 2]);
    }
}

#[test]
fn other_options_leave_sessions_where_they_are() {
    let mut h = relay(&[("to", "203.0.113.1:53, 203.0.113.2:53"), ("select", "first")]);
    h.send(client(1), b"x");
    let answered = only(&h);
    h.upstream(answered, b"answer");
    h.send(client(2), b"x");
    h.reconfigure(&[("to", B), ("sessions", "1")]).unwrap();
    h.deliver_wake();
    h.send(client(1), b"x");
    let open = h.sessions();
    assert_eq!((open[0].id, open[0].upstream), (answered, Some(address(A))), "an answered one stays");
    h.send(client(2), b"an unanswered one moves");
    let open = h.sessions();
    assert_eq!((open.len(), open[1].upstream), (2, Some(address(B))));
    h.send(client(3), b"x");
    assert_eq!((h.sessions().len(), refused(&h)[1]), (2, 1));
    let refusal = h.reconfigure(&[("to", B), ("tos", "copy")]).unwrap_err();
    assert!(refusal.message.contains("not supported"));
    assert!(h.reconfigure(&[("to", "nobody")]).is_err());
    h.send(client(1), b"x");
    assert_eq!(h.sessions()[0].id, answered);
}

#[test]
fn a_new_instance_has_the_sessions_and_knows_who_was_answered() {
    for reload in [false, true] {
        let mut h = relay(&[("to", A), ("replies", "3")]);
        (0..100).for_each(|n| _ = h.send(client(n), b"x"));
        let before = h.sessions();
        h.upstream(before[7].id, b"answer");
        if reload {
            h.reload(&[("to", B), ("replies", "3"), ("tos", "copy")]).unwrap();
        } else {
            h.restart().unwrap();
        }
        assert_eq!((h.sessions().len(), h.gauge("sessions")), (100, 100));
        h.sent();
        h.send(client(7), b"x");
        assert_eq!(h.sent()[0].via, Some(before[7].id));
        h.send(client(8), b"x");
        // What is gone from the options is left by whoever was not answered.
        assert_eq!(h.sent()[0].via == Some(before[8].id), !reload);
        h.upstream(before[7].id, b"answer");
        assert_eq!((h.sent()[0].to, h.bad()), (client(7), 0));
        // Two requests and two answers so far, of six.
        if reload {
            (0..3).for_each(|_| _ = h.upstream(before[7].id, b"answer"));
            assert!(h.sessions().iter().any(|session| session.id == before[7].id));
            h.upstream(before[7].id, b"answer");
            assert!(!h.sessions().iter().any(|session| session.id == before[7].id));
        }
    }
}

#[test]
fn names_are_found_off_the_thread() {
    let mut h = relay(&[("to", "localhost:9"), ("family", "ipv4")]);
    assert_eq!(h.gauge("unresolved"), 1);
    h.send(CLIENT, b"too early");
    assert_eq!(refused(&h), [1, 0, 0, 0, 0]);
    assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
    assert_eq!(h.gauge("unresolved"), 0);
    h.send(CLIENT, b"x");
    assert_eq!(upstream_of(&h, CLIENT), address("127.0.0.1:9"));
    // And again.
    seconds(&mut h, 30);
    assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
    h.reconfigure(&[("to", "localhost:8"), ("family", "ipv4")]).unwrap();
    while h.gauge("unresolved") > 0 {
        assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
    }
    h.send(client(1), b"x");
    assert_eq!(upstream_of(&h, &client(1).to_string()), address("127.0.0.1:8"));
}

#[test]
fn a_name_that_is_not_found_is_looked_up_again() {
    let mut h = relay(&[("to", "nobody.invalid:9")]);
    for wait in [1, 2, 4] {
        assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
        assert!(h.lines().iter().any(|line| line.starts_with("nobody.invalid: ")));
        assert_eq!(h.gauge("unresolved"), 1);
        let _ = h.advance(Duration::from_millis(wait * 1000 - 1));
        assert!(!h.is_woken());
        let _ = h.advance(Duration::from_millis(1));
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_option() {
    for (options, option, why) in [
        (&[("to", "")][..], "to", "names nobody"),
        (&[("to", "192.0.2.1")], "to", "`192.0.2.1`: expected HOST:PORT"),
        (&[("to", A), ("source", "192.0.2.1:5")], "source", "without a port"),
        (&[("to", A), ("source", "::1")], "source", "no address of the family of `203.0.113.1:53`"),
        (&[("to", A), ("source", "224.0.0.1")], "source", "no address of this host"),
        (&[("to", A), ("sessions", "0")], "sessions", ""),
    ] {
        let refused = Harness::<Relay>::try_new(options, 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(option), "{refused}");
        assert!(refused.message.contains(why), "{refused}");
    }
}

/// Ids as a host gives them.
pub(crate) fn ids(count: u32) -> Vec<SessionId> {
    let most = count.to_string();
    let mut h = relay(&[("to", A), ("sessions", &most), ("opens", "0")]);
    (0..count).for_each(|n| _ = h.send(client(n), b"x"));
    h.sessions().iter().map(|session| session.id).collect()
}
