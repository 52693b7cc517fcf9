//! Tests of what came by sessions, from the host's side.

use std::net::SocketAddr;

use polyport_abi::{RX_KERNEL_TIME, TX_CLIENT, TX_FROM, TX_SESSION, TX_TO, pp_addr, pp_tx};

use super::send_queue::EMPTY_TX;
use super::tests::{BOUND, SMALL, arrived, exchange, set};
use super::*;

/// What a session has heard came by another socket than that by which an answer by a ticket leaves.
#[test]
fn a_ticket_has_nothing_to_do_with_sessions() {
    let mut e = exchange(&[b"one"]);
    e.open_desk(1);
    let ticket = e.take_ticket(1, 0, 100).unwrap();
    e.came_by(5);
    assert_eq!(e.take_ticket(1, 0, 100), None);
    let rx = e.answer(1, ticket).unwrap();
    set(&mut e, &[pp_tx { rx, ..EMPTY_TX }, pp_tx { rx, flags: TX_SESSION, session: 5, ..EMPTY_TX }]);
    let out: Vec<_> = e.outputs().map(|out| out.map(|out| (out.to, out.session, out.ticket))).collect();
    assert_eq!(out[0].as_ref().unwrap(), &(arrived(0, 0).peer, 0, 1));
    assert_eq!(out[1].as_ref().unwrap_err(), &OutputError::Bad);
}

/// What came by several sessions is shown together: each datagram with its own session, and what is sent back goes by that.
#[test]
fn each_datagram_says_by_which_session_it_came() {
    let mut e = Exchange::new(ExchangeLimits { present: 2, ..SMALL });
    e.clear(5, BOUND.parse().unwrap());
    let tells = Arrived { destination: Some("203.0.113.5".parse().unwrap()), ..arrived(3 * 80, 2) };
    let (last, messages) = (3, [arrived(0, 2), arrived(80, 2), arrived(2 * 80, 2), tells]);
    for (slot, (message, session)) in messages.into_iter().zip([7, 7, 8, 9]).enumerate() {
        assert_eq!(e.next_slot(), slot);
        assert!(e.push(message));
        // Only some of them have a time.
        (slot == 2).then(|| e.push_stamp(99));
        e.came_by(session);
    }
    e.open_desk(1);
    let local = |id: u64| SocketAddr::from(([203, 0, 113, 9], u16::try_from(id).unwrap()));
    let know = |id| (id * 100, if id == 8 { None.into() } else { Some(local(id)).into() });
    let shown = |e: &Exchange| {
        let rx = &e.received.rx[..e.datagrams()];
        rx.iter().map(|d| (d.session, d.user, d.local.socket_addr().unwrap())).collect::<Vec<_>>()
    };
    assert!(e.is_by_session());
    assert_eq!(e.present(), 2);
    e.tell_sessions(know);
    assert_eq!(shown(&e), [(7, 700, local(7)), (7, 700, local(7))]);
    e.stamp(0, 1000);
    assert_eq!(e.received.rx[0].flags & RX_KERNEL_TIME, 0);
    // One of those that are left is gone, and nobody is shown what it has heard.
    assert_eq!(e.forget_sessions(|id| id != 9), 1);
    assert_eq!(e.present(), 1);
    e.tell_sessions(know);
    assert_eq!(shown(&e), [(8, 800, BOUND.parse().unwrap())]);
    e.stamp(0, 1000);
    assert_eq!(e.received.rx[0].rx_ns, 99);
    assert!(e.take_ticket(1, 0, 100).is_none());
    set(&mut e, &[pp_tx { rx: 0, len: 2, ..EMPTY_TX }, pp_tx { rx: 0, flags: TX_CLIENT, ..EMPTY_TX }]);
    let out: Vec<_> = e.outputs().map(|out| out.map(|out| (out.session, out.to_client)).unwrap()).collect();
    assert_eq!(out, [(8, false), (8, true)]);
    assert_eq!(e.present(), 0);
    // The address of one whose socket tells which was asked.
    e.clear(5, BOUND.parse().unwrap());
    assert!(!e.is_by_session() && e.push(Arrived { offset: 0, ..messages[last] }));
    e.came_by(9);
    e.present();
    e.tell_sessions(know);
    assert_eq!(shown(&e), [(9, 900, "203.0.113.5:9".parse().unwrap())]);
}

/// Also in a call about what a session has heard, whose port is another.
#[test]
fn a_socket_sends_from_its_own_port() {
    let mut e = Exchange::new(SMALL);
    e.clear(0, "0.0.0.0:9".parse().unwrap());
    assert!(e.push(arrived(0, 3)));
    e.present();
    e.open_desk(1);
    e.came_by(5);
    let other = Some(SocketAddr::from(([203, 0, 113, 9], 10)));
    e.tell_sessions(|_| (0, other.into()));
    let to = pp_addr::from("203.0.113.1:7".parse::<SocketAddr>().unwrap());
    for (port, leaves) in [(0, true), (9, true), (10, false)] {
        let from = pp_addr::from(SocketAddr::from(([203, 0, 113, 9], port)));
        set(&mut e, &[pp_tx { rx: 0, flags: TX_TO | TX_FROM, to, from, ..EMPTY_TX }]);
        assert_eq!(e.outputs().next().unwrap().is_ok(), leaves, "port {port}");
    }
}
