//! Datagrams that are legal and odd, or not even legal: R18, R19, R21. R20, a datagram longer than its slot, is
//! shown where slots are small: in `polyport-net` (`tests/it/delivery.rs`) and in the simulation; the daemon's
//! slots hold every datagram. R22, source port 0, is in `logs`.

use std::net::{SocketAddr, UdpSocket};

use polyport_tests::kernel::snmp;
use polyport_tests::network::Network;
use polyport_tests::plugins::repository;
use polyport_tests::tool::tool;
use polyport_tests::{Client, DEADLINE, scale, wait};

use crate::polyport;

/// R18: an empty datagram is a datagram.
#[test]
fn a_stream_of_empty_datagrams_is_answered_by_empty_ones_and_leaves_the_neighbour_alone() {
    const WINDOW: usize = 50;
    const NEIGHBOUR_EVERY: usize = 100;
    let all = 100_000 * scale() as usize;
    let launch = polyport().listen("127.0.0.1:0=echo,name=empty");
    let daemon = launch.listen("127.0.0.1:0=echo,name=neighbour").serve();
    let (empty, neighbour) = (daemon.client(0), daemon.client(1));
    for round in 0..all / WINDOW {
        (0..WINDOW).for_each(|_| empty.send(b""));
        if round % NEIGHBOUR_EVERY == 0 {
            neighbour.expect_echo(b"not empty");
        }
        (0..WINDOW).for_each(|_| assert_eq!(empty.receive(), b""));
    }
    let served = daemon.stop();
    assert_eq!(served.received("empty", "received"), all as u64);
    assert_eq!(served.received("empty", "replied"), all as u64);
    assert_eq!(served.sent("empty", "sent"), all as u64);
    let asked = all / WINDOW / NEIGHBOUR_EVERY;
    assert_eq!(served.received("neighbour", "replied"), asked as u64);
}

/// R18 again, all at once: empty datagrams use up the budget of a visit as others do. One socket sees the order.
#[test]
fn queued_empty_datagrams_give_way_to_the_neighbour() {
    const QUEUED: usize = 200;
    const VISIT: usize = 4;
    let limits = format!("[limits]\nvisit_datagrams = {VISIT}\n");
    let listen = |name| format!("[[listen]]\nname = '{name}'\nbind = '127.0.0.1:0'\nplugin = 'echo'\n");
    let daemon = polyport().config(&(limits + &listen("empty") + &listen("neighbour"))).serve();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let [empty, neighbour] = [daemon.addresses()[0], daemon.addresses()[1]];
    daemon.process.freeze();
    for _ in 0..QUEUED {
        socket.send_to(b"", empty).unwrap();
    }
    socket.send_to(b"in between", neighbour).unwrap();
    daemon.process.thaw();
    let mut buffer = [0; 16];
    let mut answers = (0..=QUEUED).map(|_| socket.recv_from(&mut buffer).unwrap());
    let before = answers.by_ref().take_while(|answer| *answer == (0, empty)).count();
    assert!(before <= VISIT, "{before} empty answers before the neighbour's");
    assert_eq!(answers.filter(|answer| *answer == (0, empty)).count(), QUEUED - before);
    assert_eq!(daemon.stop().received("empty", "replied"), QUEUED as u64);
}

/// R19: a wire with a real MTU cuts large datagrams into fragments, both ways. Over loopback: `echo`.
#[test]
fn datagrams_of_every_size_pass_a_wire_unbroken() {
    const SIZES: [usize; 12] = [0, 1, 1451, 1452, 1453, 1471, 1472, 1473, 8191, 8192, 65_506, 65_507];
    const LARGEST_V6: usize = 65_527;
    let Some(network) = Network::new() else { return };
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch
        .listen("10.77.0.1:5000=echo,name=v4")
        .listen("[fd77::1]:5000=echo,name=v6")
        .listen("[::]:5001=echo,name=any")
        .listen("0.0.0.0:5001=echo,name=any4")
        .serve();
    let client = |local: &str, server: &str| {
        let (local, server): (SocketAddr, SocketAddr) = (local.parse().unwrap(), server.parse().unwrap());
        network.there.inside(|| Client::from(local, server))
    };
    let v4 = ["10.77.0.1:5000", "10.77.0.3:5001"].map(|server| client("10.77.0.2:0", server));
    let v6 = ["[fd77::1]:5000", "[fd77::3]:5001"].map(|server| client("[fd77::2]:0", server));
    for client in v4.iter().chain(&v6) {
        SIZES.iter().for_each(|size| client.expect_echo(&pattern(*size)));
    }
    v6.iter().for_each(|client| client.expect_echo(&pattern(LARGEST_V6)));
    assert!(snmp(&daemon.pid(), "Ip", "FragCreates") > 0, "nothing was cut into fragments");
    let served = daemon.stop();
    for (name, n) in [("v4", 12), ("any4", 12), ("v6", 13), ("any", 13)] {
        assert_eq!(served.received(name, "replied"), n, "{}", served.line(name));
        assert_eq!(served.received(name, "truncated"), 0, "{}", served.line(name));
    }
}

/// Anybody can forge the message that says that a path is narrow; replies must not be cut smaller for it.
#[test]
fn a_forged_message_about_the_path_changes_nothing() {
    const LONG: usize = 1400;
    let Some(network) = Network::new() else { return };
    let Some(python) = tool("python3") else { return };
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch.listen("10.77.0.1:5000=echo,name=exact").serve();
    let server = daemon.addresses()[0];
    let client = network.there.inside(|| Client::from("10.77.0.2:0".parse().unwrap(), server));
    client.expect_echo(&pattern(LONG));
    let told = || snmp(&daemon.pid(), "Icmp", "InDestUnreachs");
    let (told_before, cut_before) = (told(), snmp(&daemon.pid(), "Ip", "FragCreates"));
    let script = repository().join("tests/it/forged_mtu.py");
    let forger = network.there.launch(&python).arg(&script).arg("10.77.0.1").arg("5000");
    forger.arg("10.77.0.2").arg(client.local().port().to_string()).arg("600").run().expect_code(0);
    wait::until("the forged message is there", || told() > told_before);
    client.expect_echo(&pattern(LONG));
    assert_eq!(snmp(&daemon.pid(), "Ip", "FragCreates"), cut_before, "the reply was cut");
    assert_eq!(daemon.stop().received("exact", "replied"), 2);
}

/// R21: the kernel finds a bad checksum when the datagram is read, so it wakes the daemon for nothing.
#[test]
fn a_bad_checksum_is_ignored_and_the_next_datagram_is_answered() {
    const BAD: u64 = 10;
    let Some(network) = Network::new() else { return };
    let Some(python) = tool("python3") else { return };
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch.listen("10.77.0.1:5000=echo,name=exact").listen("0.0.0.0:5001=echo,name=any").serve();
    let bad = || snmp(&daemon.pid(), "Udp", "InCsumErrors");
    let script = repository().join("tests/it/bad_checksums.py");
    for (row, port) in ["5000", "5001"].into_iter().enumerate() {
        let before = bad();
        let sender = network.there.launch(&python).arg(&script).arg("10.77.0.1").arg(port);
        sender.arg(BAD.to_string()).run().expect_code(0);
        wait::until("bad checksums are counted", || bad() - before == BAD);
        daemon.wait_until_drained(row);
        let server = format!("10.77.0.1:{port}").parse().unwrap();
        let client = network.there.inside(|| Client::from("10.77.0.2:0".parse().unwrap(), server));
        client.expect_echo(b"a good one");
    }
    let served = daemon.stop();
    for name in ["exact", "any"] {
        assert_eq!(served.received(name, "received"), 1, "{}", served.line(name));
    }
    assert_eq!(served.finished.logged().len(), 2, "{}", served.finished.stderr);
}

/// Bytes that show a swap, a shift or a cut.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap_or(0)).collect()
}
