//! Every size both ways, trains, addresses of both families.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU16;

use polyport_net::{RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions};
use polyport_tests::network::{Network, WIRE};
use polyport_tests::strace::Strace;
use polyport_tests::upstream::Upstream;
use polyport_tests::{Client, DEADLINE, wait};

use super::{counted, relay};
use crate::polyport;

#[test]
fn every_size_goes_both_ways_unchanged() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(upstream.address, "");
    let client = daemon.client(0);
    let sizes = || (0_u64..=2000).chain([9000, 65_507]);
    for len in sizes() {
        let payload: Vec<u8> = (0..len).map(|n| u8::try_from((n * 7 + len) % 251).unwrap()).collect();
        client.expect_echo(&payload);
    }
    let served = daemon.stop();
    let bytes = sizes().sum::<u64>();
    for direction in ["up", "down"] {
        let totals =
            ["datagrams", "bytes"].map(|what| counted(&served, &format!("{direction}_{what}_total")));
        assert_eq!(totals, [2003, bytes], "{direction}");
    }
    assert_eq!((counted(&served, "opened_total"), served.sent("relay", "sent")), (1, 2003));
}

/// The train of a client goes to the server by one receive and one send, and so does the train of its answers.
#[test]
fn a_train_is_one_receive_and_one_send_each_way() {
    const LENGTH: usize = 64;
    const CARS: usize = 64;
    let options = SocketOptions { recv_buffer: Some(1 << 20), ..Default::default() };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = polyport_net::UdpSocket::bind(any, &options).unwrap();
    let client = polyport_net::UdpSocket::bind(any, &options).unwrap();
    for more in ["", ",tos=copy"] {
        let daemon = relay(server.local_addr().unwrap(), more);
        let to = daemon.addresses()[0];
        // The first trains tell the daemon that bulk comes here.
        for _ in 0..3 {
            send_train(&client, to, LENGTH, CARS);
            let session = receive(&server, LENGTH, CARS);
            send_train(&server, session, LENGTH, CARS);
            receive(&client, LENGTH, CARS);
        }
        daemon.process.freeze();
        let Some(strace) = Strace::attach(&daemon, "recvmmsg,recvmsg,recvfrom,sendmmsg,sendmsg,sendto", &[])
        else {
            return;
        };
        send_train(&client, to, LENGTH, CARS);
        daemon.process.thaw();
        let session = receive(&server, LENGTH, CARS);
        wait::until("a daemon that waits", || daemon.is_asleep());
        let there = strace.so_far();
        daemon.process.freeze();
        send_train(&server, session, LENGTH, CARS);
        daemon.process.thaw();
        receive(&client, LENGTH, CARS);
        wait::until("a daemon that waits", || daemon.is_asleep());
        let both = strace.detach();
        let [sends_there, sends] =
            [&there, &both].map(|trace| trace.calls(&["sendmmsg", "sendmsg", "sendto"]));
        assert_eq!((sends_there, sends), (1, 2), "{more}\n{}", both.text());
        // A look for more finds nothing, and may come with each.
        let received = both.calls(&["recvmmsg", "recvmsg", "recvfrom"]);
        assert!((2..=4).contains(&received), "{received} {more}\n{}", both.text());
        let served = daemon.stop();
        assert_eq!(counted(&served, "down_datagrams_total"), 4 * CARS as u64);
    }
}

fn send_train(socket: &polyport_net::UdpSocket, to: SocketAddr, length: usize, cars: usize) {
    let train = vec![7; length * cars];
    let parts = [IoSlice::new(&train)];
    let segment = NonZeroU16::new(u16::try_from(length).unwrap());
    let message = SendMessage { to, from: None, parts: &parts, segment, tos: 0, hop_limit: None };
    assert_eq!(SendBatch::new(1).send(socket, &[message]).unwrap(), 1);
}

/// Takes so many datagrams. Returns who sent the last.
#[track_caller]
fn receive(socket: &polyport_net::UdpSocket, length: usize, datagrams: usize) -> SocketAddr {
    let layout = SlotLayout::new(2048, 64);
    let mut batch = RecvBatch::new(64);
    let mut memory = vec![0; layout.memory(64)];
    let mut left = datagrams;
    let mut peer = None;
    while left > 0 {
        let ready = polyport_net::wait_readable(socket, DEADLINE).unwrap();
        assert!(ready, "{left} of {datagrams} are missing");
        left -= batch.recv(socket, &mut memory, layout, 64).unwrap();
        assert!(batch.metas().all(|meta| meta.len == length));
        peer = batch.metas().last().map(|meta| meta.peer);
    }
    peer.unwrap()
}

/// A server may say more than it was asked.
#[test]
fn the_largest_answer_comes_to_the_smallest_question() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let daemon = relay(server.local_addr().unwrap(), "");
    let client = daemon.client(0);
    client.send(b"");
    let mut buffer = [0; 10];
    let (len, session) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(len, 0);
    server.send_to(&vec![7; 65_507], session).unwrap();
    assert_eq!(client.receive(), vec![7; 65_507]);
    server.send_to(b"", session).unwrap();
    assert_eq!(client.receive(), b"");
    drop(daemon.stop());
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let upstream = Upstream::at("127.0.0.1:0");
    let relay = format!("0.0.0.0:0=relay,name=relay,to={}", upstream.address);
    let daemon = polyport().listen(relay).serve();
    let port = daemon.addresses()[0].port();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    // One client, who asks two addresses: two sessions, since each answer has to come from where it was asked.
    for _ in 0..2 {
        for ip in [[127, 0, 0, 2], [127, 0, 0, 3]] {
            let asked = SocketAddr::from((ip, port));
            socket.send_to(&ip, asked).unwrap();
            let mut buffer = [0; 10];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from), (&ip[..], asked));
        }
    }
    let served = daemon.stop();
    assert_eq!(counted(&served, "opened_total"), 2);
}

/// Over IPv6, from a link-local address, and from one family to the other.
#[test]
fn clients_of_both_families_are_relayed_to_servers_of_both() {
    let Some(network) = Network::new() else { return };
    network.here.ip(&["address", "add", "fe80::77/64", "dev", WIRE, "nodad"]);
    network.there.ip(&["address", "add", "fe80::78/64", "dev", WIRE, "nodad"]);
    let bind = |address: &'static str| network.there.inside(move || UdpSocket::bind(address).unwrap());
    let upstreams = [Upstream::of(bind("10.77.0.2:9000")), Upstream::of(bind("[fd77::2]:9000"))];
    let scope = network.there.inside(|| {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        rustix::net::netdevice::name_to_index(&socket, WIRE).unwrap()
    });
    for (row, upstream) in upstreams.iter().enumerate() {
        let relay = format!("[::]:7000=relay,name=relay,to={}", upstream.address);
        let daemon = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test")).listen(relay).serve();
        for (client, server) in [
            ("[fd77::4]:0".to_owned(), "[fd77::3]:7000".to_owned()),
            (format!("[fe80::78%{scope}]:0"), format!("[fe80::77%{scope}]:7000")),
        ] {
            let (client, server): (SocketAddr, SocketAddr) =
                (client.parse().unwrap(), server.parse().unwrap());
            let client = network.there.inside(|| Client::from(client, server));
            client.expect_echo(b"first");
            client.expect_echo(b"second");
        }
        let served = daemon.stop();
        assert_eq!(counted(&served, "opened_total"), 2, "{row}");
    }
}
