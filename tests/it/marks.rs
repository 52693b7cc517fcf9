//! What a handler says of the datagrams it sends, traffic class and source port, and the groups it joins.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport_net::{Facts, RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, Source, UdpSocket};
use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::{Daemon, wait};

use crate::polyport;

/// What the handler sends with when it does not know what it was asked with.
const UNKNOWN: u8 = 0x20;

fn marks(bind: &str, name: &str) -> Option<(Daemon, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("marks"), &[], dir.path(), "marks")?;
    Some((polyport().listen(spec(bind, &library) + &format!(",name={name}")).serve(), dir))
}

/// A client that is told the traffic class of answers.
fn client(server: SocketAddr) -> UdpSocket {
    let mut local = server;
    local.set_port(0);
    let mut socket = UdpSocket::bind(local, &SocketOptions::default()).unwrap();
    assert!(socket.want(Facts { tos: true, ..Facts::NONE }).tos);
    socket
}

/// Sends `payload` as one message with a traffic class; returns that of each answer.
#[track_caller]
fn ask(client: &UdpSocket, server: SocketAddr, tos: u8, (payload, segment): (&[u8], u16)) -> Vec<Option<u8>> {
    let parts = [IoSlice::new(payload)];
    let segment = std::num::NonZeroU16::new(segment);
    let message = SendMessage { to: server, from: None, parts: &parts, segment, tos, hop_limit: None };
    SendBatch::new(1).send(client, &[message]).unwrap();
    let (layout, mut batch) = (SlotLayout::new(2048, 0), RecvBatch::new(64));
    let mut memory = vec![0; layout.memory(64)];
    let (mut found, mut bytes) = (Vec::new(), 0);
    wait::until("the answers", || {
        if batch.recv(client, &mut memory, layout, 64).is_ok() {
            bytes += batch.metas().map(|meta| meta.len).sum::<usize>();
            found.extend(batch.metas().map(|meta| meta.tos));
        }
        bytes == payload.len()
    });
    found
}

#[test]
fn answers_leave_with_the_traffic_class_that_the_handler_chose() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let Some((daemon, _dir)) = marks(bind, "wants") else { return };
        let server = daemon.addresses()[0];
        let client = client(server);
        for tos in [0xB8, 0x01, 0x28, 0xFF, 0, 0x02] {
            assert_eq!(ask(&client, server, tos, (b"one", 0)), [Some(tos)], "{bind}");
        }
        // Equal datagrams leave as one message, and keep their class.
        assert_eq!(ask(&client, server, 0xB9, (&[7; 800], 100)), [Some(0xB9); 8], "{bind}");
        let served = daemon.stop();
        assert_eq!((served.sent("wants", "sent"), served.sent("wants", "dropped")), (14, 0));
    }
}

/// A TOS of 0 is told from an unknown one.
#[test]
fn who_did_not_ask_does_not_know_the_traffic_class() {
    let Some((daemon, _dir)) = marks("127.0.0.1:0", "other") else { return };
    let server = daemon.addresses()[0];
    assert_eq!(ask(&client(server), server, 0xB8, (b"one", 0)), [Some(UNKNOWN)]);
    assert_eq!(daemon.stop().sent("other", "sent"), 1);
}

#[test]
fn a_source_port_that_is_not_the_listeners_is_refused() {
    let Some((daemon, _dir)) = marks("127.0.0.1:0", "other") else { return };
    daemon.client(0).send(b"port");
    daemon.client(0).expect_echo(b"and on");
    let served = daemon.stop();
    assert_eq!((served.sent("other", "bad_tx"), served.sent("other", "sent")), (1, 1));
}

#[test]
fn a_handler_joins_and_leaves_groups() {
    const LOOPBACK: u32 = 1;
    const NOWHERE: u8 = 251;
    let Some((mut daemon, _dir)) = marks("0.0.0.0:0", "other") else { return };
    let port = daemon.addresses()[0].port();
    let to_group = || {
        let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let socket = UdpSocket::bind((own, 0).into(), &SocketOptions::default()).unwrap();
        let (parts, from) = ([IoSlice::new(b"all")], Some(Source { ip: own, ifindex: LOOPBACK }));
        let to = SocketAddr::from(([239, 1, 2, 3], port));
        let message = SendMessage { to, from, parts: &parts, segment: None, tos: 0, hop_limit: None };
        SendBatch::new(1).send(&socket, &[message]).unwrap();
    };
    let client = polyport_tests::Client::of(([127, 0, 0, 1], port).into());
    let word = |word: &str, ifindex: u8| [format!("{word:6}").as_bytes(), &[ifindex]].concat();
    to_group();
    client.expect_echo(&word("join", 1));
    to_group();
    client.expect_echo(&word("leave", 1));
    to_group();
    (0..2).for_each(|_| client.expect_echo(&word("join", NOWHERE)));
    daemon.process.wait_for_stderr("the handler cannot join 239.1.2.3 on interface 251: ");
    let served = daemon.stop();
    // Answers to groups are not sent by default.
    assert_eq!((served.received("other", "received"), served.sent("other", "group")), (5, 1));
    assert_eq!(served.counted("other", "refused"), 2);
    assert_eq!(served.finished.stderr.matches("cannot join").count(), 1);
}
