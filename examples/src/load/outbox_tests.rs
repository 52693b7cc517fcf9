//! Batches on real sockets: what leaves, in which order, and what a refusal costs.

use polyport_net::SocketOptions;

use super::*;
use crate::key::generator;
use crate::load::config::example;
use crate::load::ledger::Ledger;
use crate::load::part::Part;

fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap()
}

fn pending(seq: u64, to: SocketAddr, socket: usize) -> Pending {
    let ledger = Ledger::new(example(vec![to]).books(&mut generator(Some(1)), Part::whole(1)));
    let slot = Slot { index: seq, planned: 0 };
    Pending { lane: ledger.lanes().practice(0), seq, slot, to, len: 4, socket }
}

#[cfg(target_os = "linux")]
fn lane(target: usize) -> Lane {
    let targets = ["127.0.0.1:1", "127.0.0.1:2"].map(|target| target.parse().unwrap());
    Ledger::new(example(targets.into()).books(&mut generator(Some(1)), Part::whole(1)))
        .lanes()
        .practice(target)
}

fn push(outbox: &mut Outbox, pending: Pending) {
    outbox.room().fill(pending.seq.to_le_bytes()[0]);
    outbox.push(pending);
}

#[test]
fn one_refused_datagram_stops_no_other_and_each_is_told_once() {
    let peer = bind();
    let good = peer.local_addr().unwrap();
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let mut outbox = Outbox::new(vec![bind()], 4, 1, Gso::Off).unwrap();
    for (seq, to) in [(0, good), (1, nowhere), (2, good)] {
        push(&mut outbox, pending(seq, to, 0));
    }
    let mut told = Vec::new();
    outbox.flush(|event| match event {
        Event::Left(datagram) => told.push((datagram.seq, true)),
        Event::Refused(datagram, _) => told.push((datagram.seq, false)),
        Event::Blocked(_) | Event::Complaint(..) => panic!("{event:?}"),
    });
    assert_eq!(told, [(0, true), (1, false), (2, true)]);
    outbox.flush(|event| panic!("{event:?}: the batch is not empty"));
    for _ in 0..BATCH {
        assert_eq!(outbox.room().len(), 4);
        outbox.push(pending(0, good, 0));
    }
    assert!(outbox.room().is_empty(), "the batch is full");
}

#[test]
fn each_datagram_leaves_whole_by_its_own_socket() {
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let to = peer.local_addr().unwrap();
    let mut outbox = Outbox::new(vec![bind(), bind(), bind()], 4, 1, Gso::Off).unwrap();
    let ports: Vec<u16> = outbox.sockets().iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    for seq in 0..9 {
        push(&mut outbox, pending(seq, to, usize::try_from(seq % 3).unwrap()));
    }
    let mut left = 0;
    outbox.flush(|event| left += u64::from(matches!(event, Event::Left(_))));
    assert_eq!(left, 9);
    for _ in 0..9 {
        let mut octets = [0; 8];
        let (len, from) = peer.recv_from(&mut octets).unwrap();
        assert_eq!((len, octets[0]), (4, octets[3]));
        assert_eq!(from.port(), ports[usize::from(octets[0] % 3)], "datagram {}", octets[0]);
    }
}

/// What arrives at a socket of the standard library, as the first octet of each datagram and its length.
#[cfg(target_os = "linux")]
fn arrivals(peer: &std::net::UdpSocket, count: usize) -> Vec<(u8, usize)> {
    peer.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut octets = [0; 64];
    (0..count)
        .map(|_| (peer.recv(&mut octets).unwrap(), octets[0]))
        .map(|(len, first)| (first, len))
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn trains_are_those_of_one_flow_to_one_target_and_keep_their_order() {
    let peers = ["127.0.0.1:0", "[::1]:0"].map(|bind| std::net::UdpSocket::bind(bind).unwrap());
    let own = ["127.0.0.1:0", "[::1]:0"]
        .map(|bind| UdpSocket::bind(bind.parse().unwrap(), &SocketOptions::default()).unwrap());
    let to = peers.each_ref().map(|peer| peer.local_addr().unwrap());
    let mut outbox = Outbox::new(own.into(), 4, 2, Gso::On).unwrap();
    // By turns to both, and one that is shorter ends a train.
    for seq in 0..200 {
        let which = usize::try_from(seq % 2).unwrap();
        let mut datagram = pending(seq, to[which], which);
        datagram.lane = lane(which);
        datagram.len = if seq == 100 { 3 } else { 4 };
        push(&mut outbox, datagram);
    }
    let mut left = 0;
    outbox.flush(|event| left += u64::from(matches!(event, Event::Left(_))));
    assert_eq!(left, 200);
    for (which, peer) in (0..).zip(&peers) {
        let expected: Vec<(u8, usize)> =
            (0..100).map(|n| 2 * n + which).map(|seq| (seq, if seq == 100 { 3 } else { 4 })).collect();
        assert_eq!(arrivals(peer, 100), expected);
    }
    // 51 and 49, 64 and 36.
    assert_eq!((outbox.trains().left, outbox.trains().datagrams, outbox.trains().refused), (4, 200, 0));
}

/// A train to port 0 is refused as a datagram to port 0 is.
#[cfg(target_os = "linux")]
#[test]
fn a_train_that_is_refused_leaves_one_by_one_and_costs_no_other_target() {
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (good, nowhere) = (peer.local_addr().unwrap(), "127.0.0.1:0".parse().unwrap());
    let mut outbox = Outbox::new(vec![bind()], 4, 2, Gso::Auto).unwrap();
    for round in 1..3 {
        for seq in 0..20 {
            let target = usize::try_from(seq % 2).unwrap();
            let mut datagram = pending(seq, [nowhere, good][target], 0);
            datagram.lane = lane(target);
            push(&mut outbox, datagram);
        }
        let (mut left, mut refused) = (Vec::new(), Vec::new());
        outbox.flush(|event| match event {
            Event::Left(datagram) => left.push(datagram.seq),
            Event::Refused(datagram, _) => refused.push(datagram.seq),
            Event::Blocked(_) | Event::Complaint(..) => panic!("{event:?}"),
        });
        assert_eq!(left, (0..10).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert_eq!(refused, (0..10).map(|n| 2 * n).collect::<Vec<_>>());
        let trains = outbox.trains();
        assert_eq!((trains.left, trains.datagrams, trains.refused), (round, 10 * round, 1), "tried once");
        arrivals(&peer, 10);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_complaint_about_one_datagram_costs_no_other() {
    let closed = bind().local_addr().unwrap();
    let mut outbox = Outbox::new(vec![bind()], 4, 1, Gso::Off).unwrap();
    let (mut left, mut complaints) = (0, 0);
    for seq in 0..10 {
        push(&mut outbox, pending(seq, closed, 0));
    }
    outbox.flush(|event| match event {
        Event::Left(_) => left += 1,
        Event::Complaint(0, report) => {
            assert_eq!(report.error().destination, Some(closed));
            assert_eq!(report.quote().len(), 4);
            complaints += 1;
        }
        Event::Complaint(..) | Event::Blocked(_) | Event::Refused(..) => panic!("{event:?}"),
    });
    assert_eq!(left, 10);
    complaints += self::complaints(&outbox.sockets()[0], |_| ());
    assert_eq!(complaints, 10);
}
