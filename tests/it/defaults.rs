//! What everybody meets first: the program without a configuration, textbook clients, and the way it stops.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use polyport_tests::ports::{DefaultPorts, free_range};
use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::tool;
use polyport_tests::{Client, Daemon, plugins};
use rustix::process::Signal;

use crate::polyport;

#[test]
fn without_a_configuration_one_listener_is_reached_from_outside_and_answers_nobody() {
    let Some(ports) = DefaultPorts::take() else { return };
    let daemon = serve_defaults(&ports);
    let expected = [
        "127.0.0.1:10000",
        "[::1]:10000",
        "127.0.0.1:1060",
        "127.0.0.1:1061",
        "0.0.0.0:1062",
        "127.0.0.1:1063",
    ];
    let expected = expected.map(|address| address.parse::<SocketAddr>().unwrap());
    let (addresses, more) = daemon.addresses().split_at(expected.len());
    assert_eq!(addresses, expected);
    assert_eq!(more.len(), usize::from(cfg!(target_os = "linux")));
    let [v4, v6, length, lossy, listener, _] = ports.inside(|| expected.map(Client::of));
    // It answers nobody; what follows is served later, by the same thread.
    listener.send(b"never answered");
    v4.expect_echo(b"over IPv4");
    v6.expect_echo(b"over IPv6");
    assert_eq!(length.ask(b"four"), b"Your data was 4 bytes long");
    // Half of the datagrams are lost there: twenty attempts a second for ten seconds do not fail.
    assert_eq!(lossy.ask_until_answered(b"12345", 10), b"Your data was 5 bytes long");

    let served = daemon.stop();
    assert_eq!(
        served.line("echo").split_once("  ").unwrap().1.trim(),
        "echo       received 2 = replied 2 + consumed 0 + dropped 0; replies 2 = sent 2 + dropped 0"
    );
    assert_eq!(served.received("length", "replied"), 1);
    assert!(served.received("lossy", "replied") >= 1);
    assert_eq!(served.received("lossy", "on_purpose"), served.received("lossy", "dropped"));
    assert_eq!((served.received("listener", "consumed"), served.sent("listener", "replies")), (1, 0));
}

/// A student's broadcast, to a port that answers it.
#[test]
#[cfg(target_os = "linux")]
fn the_default_broadcast_port_answers_with_the_address_of_the_host() {
    let Some(ports) = DefaultPorts::take() else { return };
    let daemon = serve_defaults(&ports);
    let broadcast: SocketAddr = "127.255.255.255:1064".parse().unwrap();
    assert_eq!(daemon.addresses().last(), Some(&broadcast));
    let (answer, from) = ports.inside(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        socket.send_to(b"who is there?", broadcast).unwrap();
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..len].to_vec(), from)
    });
    assert_eq!((answer.as_slice(), from), (b"ack".as_slice(), "127.0.0.1:1064".parse().unwrap()));
    // Whoever asks the host alone asks nobody.
    ports.inside(|| Client::of("127.0.0.1:1064".parse().unwrap()).send(b"nobody is here"));
    assert_eq!(daemon.stop().received("broadcast", "replied"), 1);
}

#[test]
fn the_table_suggests_what_the_configuration_says_instead_of_nc() {
    let daemon = polyport()
        .config("[[listen]]\nbind = \"0.0.0.0:0\"\nplugin = \"echo\"\ntry = \"ask {address} politely\"\n")
        .serve();
    let port = daemon.addresses()[0].port();
    let table = daemon.process.stdout();
    assert!(table.contains(&format!("  ask 127.0.0.1:{port} politely\n")), "{table}");
    assert!(!table.contains("nc -u"), "{table}");
}

#[test]
fn the_default_lossy_port_answers_a_textbook_client() {
    let Some(python) = tool("python3") else { return };
    let Some(ports) = DefaultPorts::take() else { return };
    let daemon = serve_defaults(&ports);
    let lossy = daemon.addresses()[3];
    // One run loses all its five attempts in one of 32 cases; eight runs in one of 10^12.
    let answered = (0..8).find_map(|_| {
        let finished = ports.inside(|| textbook_client(&python, lossy, "hello", 0));
        (finished.code() == Some(0)).then_some(finished)
    });
    let finished = answered.expect("one of eight runs gets an answer");
    assert!(finished.stdout.ends_with("answer: Your data was 5 bytes long\n"), "{}", finished.stdout);
}

/// The decisions of `lossy` depend on the seed, its port, the address of the peer, and the number of its datagram: so what
/// a client of this test lost, a client in Python on the same port loses as well.
#[test]
fn with_a_seed_a_textbook_client_loses_the_same_datagrams_every_time() {
    let Some(python) = tool("python3") else { return };
    let port = free_range(&[Ipv4Addr::LOCALHOST.into()], 2, 0);
    let lost_first = (1..100).find_map(|seed| {
        let answered = answered_of_five(seed, port);
        let first = answered.iter().position(|&yes| yes)?;
        (first > 0).then_some((seed, first))
    });
    let (seed, lost) = lost_first.expect("a seed that loses the first datagrams but not all");
    let daemon = lossy(seed, port + 1);
    let finished = textbook_client(&python, daemon.addresses()[0], "hello", port);
    finished.expect_code(0);
    let expected = format!("attempts: {}\nanswer: Your data was 5 bytes long\n", lost + 1);
    assert_eq!(finished.stdout, expected);
    let served = daemon.stop();
    assert_eq!(served.received("lossy", "on_purpose"), lost as u64);
    assert_eq!(served.received("lossy", "replied"), 1);
}

#[test]
fn a_textbook_client_of_a_silent_port_gives_up_and_says_so() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=lossy,loss=100%").serve();
    let finished = textbook_client(&python, daemon.addresses()[0], "hello", 0);
    finished.expect_code(1).expect_stderr(&["is silent after 5 attempts"]);
    assert_eq!(daemon.stop().received("lossy", "on_purpose"), 5);
}

#[test]
fn netcat_as_in_the_table_gets_its_line_back() {
    let Some(nc) = tool("nc") else { return };
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let port = daemon.addresses()[0].port();
    assert!(daemon.process.stdout().contains(&format!("echo hi | nc -u -w1 127.0.0.1 {port}\n")));
    let script = format!("echo hi | '{}' -u -w1 127.0.0.1 {port}", nc.display());
    let finished = Process::spawn(Command::new("sh").args(["-c", &script])).finish();
    assert_eq!(finished.stdout, "hi\n", "{}", finished.stderr);
    assert_eq!(daemon.stop().received("echo", "replied"), 1);
}

#[test]
fn a_sigterm_stops_it_as_an_interrupt_does() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"before the end");
    assert_eq!(daemon.stop_by(Signal::TERM).received("echo", "replied"), 1);
}

/// `timeout -s INT` signals the program and then its group, within microseconds: that is one request.
#[test]
fn two_signals_in_a_row_are_one_request() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"before the end");
    // Two signals of one kind that wait are one; and both must be there before it looks.
    daemon.process.freeze();
    daemon.process.signal(Signal::INT);
    daemon.process.signal(Signal::TERM);
    daemon.process.thaw();
    let finished = daemon.process.finish();
    finished.expect_code(0);
    assert!(finished.stdout.contains("\n  echo  received 1 = replied 1"), "{}", finished.stdout);
}

/// `timeout` hands on whatever signal it gets as if its time were over.
#[test]
fn timeout_leaves_the_books() {
    let Some(timeout) = tool("timeout") else { return };
    for signal in [Signal::INT, Signal::TERM] {
        let launch = polyport().replaced_by(&timeout);
        let launch = launch.args(&["-s", "INT", "1h", env!("CARGO_BIN_EXE_polyport-under-test")]);
        let daemon = launch.listen("127.0.0.1:0=echo").serve();
        daemon.client(0).expect_echo(b"before the end");
        assert_eq!(daemon.stop_by(signal).received("echo", "replied"), 1);
    }
}

#[test]
fn what_waits_to_be_sent_at_the_end_is_counted_too() {
    let daemon = polyport().listen("127.0.0.1:0=lossy,delay=60s").listen("127.0.0.1:0=echo").serve();
    daemon.client(0).send(b"is answered in a minute");
    // Visits take turns, so the answer of the other listener shows that the first datagram was taken.
    daemon.client(1).expect_echo(b"now");
    let served = daemon.stop();
    assert_eq!(served.received("lossy", "replied"), 1);
    assert_eq!(served.sent("lossy", "sent"), 0);
    assert_eq!(served.sent("lossy", "stopping"), 1, "{}", served.line("lossy"));
}

fn serve_defaults(ports: &DefaultPorts) -> Daemon {
    ports.launch(env!("CARGO_BIN_EXE_polyport-under-test")).serve()
}

fn lossy(seed: u64, port: u16) -> Daemon {
    polyport().listen(format!("127.0.0.1:{port}=lossy,loss=50%,reply=length,seed={seed}")).serve()
}

/// Which of the first five datagrams from `port` a daemon with this seed answers on the next port.
fn answered_of_five(seed: u64, port: u16) -> [bool; 5] {
    let daemon = lossy(seed, port + 1);
    let client = Client::from((Ipv4Addr::LOCALHOST, port).into(), daemon.addresses()[0]);
    for len in 1..=5 {
        client.send(&vec![b'x'; len]);
    }
    // Its datagrams and an interrupt reach the daemon by different ways: let it be the last to look.
    let probe = Client::of(daemon.addresses()[0]);
    probe.ask_until_answered(b"six bytes or more", 10);
    let mut answered = [false; 5];
    let served = daemon.stop();
    let probes = served.received("lossy", "received") - 5;
    assert!(probes >= 1);
    while let Some(answer) = client.receive_within(std::time::Duration::from_millis(1)) {
        let text = String::from_utf8(answer).unwrap();
        let len: usize = text.split_whitespace().nth(3).unwrap().parse().unwrap();
        answered[len - 1] = true;
    }
    answered
}

fn textbook_client(python: &std::path::Path, server: SocketAddr, text: &str, local_port: u16) -> Finished {
    let script = plugins::repository().join("tests/it/textbook_client.py");
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let mut command = Command::new(python);
    command.arg(script).args([&ip, &port, text, &local_port.to_string()]);
    Process::spawn(&mut command).finish()
}
